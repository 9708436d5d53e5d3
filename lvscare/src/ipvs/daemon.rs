//! Sync daemons, which copy connections to a standby load balancer.

use core::net::{Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    DecodeError, DefaultNla, ErrorContext, Nla, NlaBuffer, Parseable, parse_ipv6, parse_string, parse_u8,
    parse_u16, parse_u32,
};

use super::wire::{emit_string, find, set, string_len};

const IPVS_DAEMON_ATTR_STATE: u16 = 1;
const IPVS_DAEMON_ATTR_MCAST_IFN: u16 = 2;
const IPVS_DAEMON_ATTR_SYNC_ID: u16 = 3;
const IPVS_DAEMON_ATTR_SYNC_MAXLEN: u16 = 4;
const IPVS_DAEMON_ATTR_MCAST_GROUP: u16 = 5;
const IPVS_DAEMON_ATTR_MCAST_GROUP6: u16 = 6;
const IPVS_DAEMON_ATTR_MCAST_PORT: u16 = 7;
const IPVS_DAEMON_ATTR_MCAST_TTL: u16 = 8;

const IP_VS_STATE_NONE: u32 = 0;
const IP_VS_STATE_MASTER: u32 = 1;
const IP_VS_STATE_BACKUP: u32 = 2;

/// A sync daemon (`IPVS_CMD_ATTR_DAEMON`). The kernel runs at most one of each [`DaemonState`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Daemon {
    /// What it is made of, in the order of the wire.
    pub attributes: Vec<DaemonAttribute>,
}

/// An attribute of a [`Daemon`] (`IPVS_DAEMON_ATTR_*`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DaemonAttribute {
    /// Which end it is (`IPVS_DAEMON_ATTR_STATE`).
    State(DaemonState),
    /// Interface of the multicast, at most 15 bytes (`IPVS_DAEMON_ATTR_MCAST_IFN`).
    MulticastInterface(String),
    /// Keeps several pairs on one network apart, 0 to 255 (`IPVS_DAEMON_ATTR_SYNC_ID`).
    SyncId(u32),
    /// Largest UDP payload, in bytes (`IPVS_DAEMON_ATTR_SYNC_MAXLEN`).
    SyncMaxLen(u16),
    /// Multicast group of IPv4 (`IPVS_DAEMON_ATTR_MCAST_GROUP`).
    MulticastGroup(Ipv4Addr),
    /// Multicast group of IPv6 (`IPVS_DAEMON_ATTR_MCAST_GROUP6`).
    MulticastGroup6(Ipv6Addr),
    /// First UDP port, in host byte order on the wire (`IPVS_DAEMON_ATTR_MCAST_PORT`).
    MulticastPort(u16),
    /// Time to live of the multicast packets, in hops (`IPVS_DAEMON_ATTR_MCAST_TTL`).
    MulticastTtl(u8),
    /// An attribute this module does not know.
    Other(DefaultNla),
}

/// The end of the synchronisation that a [`Daemon`] is (`IP_VS_STATE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DaemonState {
    /// Neither (`IP_VS_STATE_NONE`).
    Stopped,
    /// It sends (`IP_VS_STATE_MASTER`).
    Master,
    /// It receives (`IP_VS_STATE_BACKUP`).
    Backup,
    /// A state this module does not know.
    Other(u32),
}

impl Daemon {
    /// All that [`Command::NewDaemon`](super::Command::NewDaemon) demands.
    pub fn new(state: DaemonState, interface: impl Into<String>, sync_id: u32) -> Self {
        let attributes = vec![
            DaemonAttribute::State(state),
            DaemonAttribute::MulticastInterface(interface.into()),
            DaemonAttribute::SyncId(sync_id),
        ];
        Self { attributes }
    }

    /// The same with one attribute set.
    #[must_use]
    pub fn with(mut self, attribute: DaemonAttribute) -> Self {
        set(&mut self.attributes, attribute);
        self
    }

    /// Which end it is.
    pub fn state(&self) -> Option<DaemonState> {
        find!(self.attributes, DaemonAttribute::State(state) => *state)
    }

    /// The interface of its multicast.
    pub fn multicast_interface(&self) -> Option<&str> {
        find!(self.attributes, DaemonAttribute::MulticastInterface(name) => name.as_str())
    }

    /// What keeps several pairs on one network apart.
    pub fn sync_id(&self) -> Option<u32> {
        find!(self.attributes, DaemonAttribute::SyncId(id) => *id)
    }
}

impl From<u32> for DaemonState {
    fn from(state: u32) -> Self {
        match state {
            IP_VS_STATE_NONE => Self::Stopped,
            IP_VS_STATE_MASTER => Self::Master,
            IP_VS_STATE_BACKUP => Self::Backup,
            other => Self::Other(other),
        }
    }
}

impl From<DaemonState> for u32 {
    fn from(state: DaemonState) -> Self {
        match state {
            DaemonState::Stopped => IP_VS_STATE_NONE,
            DaemonState::Master => IP_VS_STATE_MASTER,
            DaemonState::Backup => IP_VS_STATE_BACKUP,
            DaemonState::Other(other) => other,
        }
    }
}

impl Nla for DaemonAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::State(_) | Self::SyncId(_) => size_of::<u32>(),
            Self::MulticastInterface(name) => string_len(name),
            Self::SyncMaxLen(_) | Self::MulticastPort(_) => size_of::<u16>(),
            Self::MulticastGroup(group) => group.octets().len(),
            Self::MulticastGroup6(group) => group.octets().len(),
            Self::MulticastTtl(_) => size_of::<u8>(),
            Self::Other(other) => other.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::State(_) => IPVS_DAEMON_ATTR_STATE,
            Self::MulticastInterface(_) => IPVS_DAEMON_ATTR_MCAST_IFN,
            Self::SyncId(_) => IPVS_DAEMON_ATTR_SYNC_ID,
            Self::SyncMaxLen(_) => IPVS_DAEMON_ATTR_SYNC_MAXLEN,
            Self::MulticastGroup(_) => IPVS_DAEMON_ATTR_MCAST_GROUP,
            Self::MulticastGroup6(_) => IPVS_DAEMON_ATTR_MCAST_GROUP6,
            Self::MulticastPort(_) => IPVS_DAEMON_ATTR_MCAST_PORT,
            Self::MulticastTtl(_) => IPVS_DAEMON_ATTR_MCAST_TTL,
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::State(state) => buffer.copy_from_slice(&u32::from(*state).to_ne_bytes()),
            Self::MulticastInterface(name) => emit_string(name, buffer),
            Self::SyncId(id) => buffer.copy_from_slice(&id.to_ne_bytes()),
            Self::SyncMaxLen(number) | Self::MulticastPort(number) => {
                buffer.copy_from_slice(&number.to_ne_bytes());
            }
            Self::MulticastGroup(group) => buffer.copy_from_slice(&group.octets()),
            Self::MulticastGroup6(group) => buffer.copy_from_slice(&group.octets()),
            Self::MulticastTtl(hops) => buffer.copy_from_slice(&hops.to_ne_bytes()),
            Self::Other(other) => other.emit_value(buffer),
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Parseable<NlaBuffer<&'a T>> for DaemonAttribute {
    fn parse(attribute: &NlaBuffer<&'a T>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        Ok(match attribute.kind() {
            IPVS_DAEMON_ATTR_STATE => {
                Self::State(parse_u32(value).context("invalid IPVS_DAEMON_ATTR_STATE value")?.into())
            }
            IPVS_DAEMON_ATTR_MCAST_IFN => Self::MulticastInterface(
                parse_string(value).context("invalid IPVS_DAEMON_ATTR_MCAST_IFN value")?,
            ),
            IPVS_DAEMON_ATTR_SYNC_ID => {
                Self::SyncId(parse_u32(value).context("invalid IPVS_DAEMON_ATTR_SYNC_ID value")?)
            }
            IPVS_DAEMON_ATTR_SYNC_MAXLEN => {
                Self::SyncMaxLen(parse_u16(value).context("invalid IPVS_DAEMON_ATTR_SYNC_MAXLEN value")?)
            }
            IPVS_DAEMON_ATTR_MCAST_GROUP => Self::MulticastGroup(
                <[u8; 4]>::try_from(value)
                    .map_err(|_| DecodeError::invalid_ip_address(value.len()))
                    .context("invalid IPVS_DAEMON_ATTR_MCAST_GROUP value")?
                    .into(),
            ),
            IPVS_DAEMON_ATTR_MCAST_GROUP6 => Self::MulticastGroup6(
                parse_ipv6(value).context("invalid IPVS_DAEMON_ATTR_MCAST_GROUP6 value")?.into(),
            ),
            IPVS_DAEMON_ATTR_MCAST_PORT => {
                Self::MulticastPort(parse_u16(value).context("invalid IPVS_DAEMON_ATTR_MCAST_PORT value")?)
            }
            IPVS_DAEMON_ATTR_MCAST_TTL => {
                Self::MulticastTtl(parse_u8(value).context("invalid IPVS_DAEMON_ATTR_MCAST_TTL value")?)
            }
            _ => Self::Other(DefaultNla::parse(attribute)?),
        })
    }
}
