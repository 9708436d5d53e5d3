//! The attributes at the top level of a message.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, ErrorContext, Nla, NlaBuffer, Parseable, ParseableParametrized,
    parse_u32,
};

use super::{Command, Daemon, Destination, InfoAttribute, Service, wire::parse_nest};

const IPVS_CMD_ATTR_SERVICE: u16 = 1;
const IPVS_CMD_ATTR_DEST: u16 = 2;
const IPVS_CMD_ATTR_DAEMON: u16 = 3;
const IPVS_CMD_ATTR_TIMEOUT_TCP: u16 = 4;
const IPVS_CMD_ATTR_TIMEOUT_TCP_FIN: u16 = 5;
const IPVS_CMD_ATTR_TIMEOUT_UDP: u16 = 6;

/// An attribute of a [`Message`](super::Message) (`IPVS_CMD_ATTR_*`).
///
/// The kernel numbers the attributes of [`Command::SetInfo`] on their own, so the command decides how a
/// number is read: hence [`ParseableParametrized`] by [`Command`], and not [`Parseable`].
///
/// Timeouts are in seconds; zero leaves a timeout as it is, and a kernel built without the protocol sends
/// none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute {
    /// A virtual server (`IPVS_CMD_ATTR_SERVICE`).
    Service(Service),
    /// A real server (`IPVS_CMD_ATTR_DEST`).
    Destination(Destination),
    /// A sync daemon (`IPVS_CMD_ATTR_DAEMON`).
    Daemon(Daemon),
    /// Seconds an established TCP connection may idle (`IPVS_CMD_ATTR_TIMEOUT_TCP`).
    TimeoutTcp(u32),
    /// Seconds a TCP connection is kept after a FIN (`IPVS_CMD_ATTR_TIMEOUT_TCP_FIN`).
    TimeoutTcpFin(u32),
    /// Seconds a UDP "connection" may idle (`IPVS_CMD_ATTR_TIMEOUT_UDP`).
    TimeoutUdp(u32),
    /// About IPVS itself, only in [`Command::SetInfo`] (`IPVS_INFO_ATTR_*`).
    Info(InfoAttribute),
    /// An attribute this module does not know.
    Other(DefaultNla),
}

impl From<Service> for Attribute {
    fn from(service: Service) -> Self {
        Self::Service(service)
    }
}

impl From<Destination> for Attribute {
    fn from(destination: Destination) -> Self {
        Self::Destination(destination)
    }
}

impl From<Daemon> for Attribute {
    fn from(daemon: Daemon) -> Self {
        Self::Daemon(daemon)
    }
}

impl Nla for Attribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Service(service) => service.attributes.as_slice().buffer_len(),
            Self::Destination(destination) => destination.attributes.as_slice().buffer_len(),
            Self::Daemon(daemon) => daemon.attributes.as_slice().buffer_len(),
            Self::TimeoutTcp(seconds) | Self::TimeoutTcpFin(seconds) | Self::TimeoutUdp(seconds) => {
                size_of_val(seconds)
            }
            Self::Info(info) => info.value_len(),
            Self::Other(other) => other.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Service(_) => IPVS_CMD_ATTR_SERVICE,
            Self::Destination(_) => IPVS_CMD_ATTR_DEST,
            Self::Daemon(_) => IPVS_CMD_ATTR_DAEMON,
            Self::TimeoutTcp(_) => IPVS_CMD_ATTR_TIMEOUT_TCP,
            Self::TimeoutTcpFin(_) => IPVS_CMD_ATTR_TIMEOUT_TCP_FIN,
            Self::TimeoutUdp(_) => IPVS_CMD_ATTR_TIMEOUT_UDP,
            Self::Info(info) => info.kind(),
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Service(service) => service.attributes.as_slice().emit(buffer),
            Self::Destination(destination) => destination.attributes.as_slice().emit(buffer),
            Self::Daemon(daemon) => daemon.attributes.as_slice().emit(buffer),
            Self::TimeoutTcp(seconds) | Self::TimeoutTcpFin(seconds) | Self::TimeoutUdp(seconds) => {
                buffer.copy_from_slice(&seconds.to_ne_bytes());
            }
            Self::Info(info) => info.emit_value(buffer),
            Self::Other(other) => other.emit_value(buffer),
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> ParseableParametrized<NlaBuffer<&'a T>, Command> for Attribute {
    fn parse_with_param(attribute: &NlaBuffer<&'a T>, command: Command) -> Result<Self, DecodeError> {
        if command == Command::SetInfo {
            return InfoAttribute::parse(attribute).map(Self::Info);
        }
        let value = attribute.value();
        Ok(match attribute.kind() {
            IPVS_CMD_ATTR_SERVICE => Self::Service(Service {
                attributes: parse_nest(value).context("invalid IPVS_CMD_ATTR_SERVICE value")?,
            }),
            IPVS_CMD_ATTR_DEST => Self::Destination(Destination {
                attributes: parse_nest(value).context("invalid IPVS_CMD_ATTR_DEST value")?,
            }),
            IPVS_CMD_ATTR_DAEMON => Self::Daemon(Daemon {
                attributes: parse_nest(value).context("invalid IPVS_CMD_ATTR_DAEMON value")?,
            }),
            IPVS_CMD_ATTR_TIMEOUT_TCP => {
                Self::TimeoutTcp(parse_u32(value).context("invalid IPVS_CMD_ATTR_TIMEOUT_TCP value")?)
            }
            IPVS_CMD_ATTR_TIMEOUT_TCP_FIN => {
                Self::TimeoutTcpFin(parse_u32(value).context("invalid IPVS_CMD_ATTR_TIMEOUT_TCP_FIN value")?)
            }
            IPVS_CMD_ATTR_TIMEOUT_UDP => {
                Self::TimeoutUdp(parse_u32(value).context("invalid IPVS_CMD_ATTR_TIMEOUT_UDP value")?)
            }
            _ => Self::Other(DefaultNla::parse(attribute)?),
        })
    }
}
