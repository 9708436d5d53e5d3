//! What names a virtual server: an address and a port, or a firewall mark.

use core::net::SocketAddr;

use netlink_packet_core::DecodeError;

use super::{AddressFamily, ServiceAttribute, find};

const IPPROTO_TCP: u16 = 6;
const IPPROTO_UDP: u16 = 17;
const IPPROTO_SCTP: u16 = 132;

/// What names a service: the kernel has at most one service of each name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ServiceId {
    /// Packets to an address and port. IPVS knows no flow label and no scope: they are zero when read.
    Address {
        /// The transport protocol of the packets.
        protocol: Protocol,
        /// Where they go to. Port zero, for a persistent service only, is all ports.
        address: SocketAddr,
    },
    /// Packets that a firewall rule has marked, whatever their address.
    FirewallMark {
        /// The family of the packets.
        family: AddressFamily,
        /// The mark, not zero.
        mark: u32,
    },
}

/// The transport protocol of a service (`IPPROTO_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP (`IPPROTO_TCP`).
    Tcp,
    /// UDP (`IPPROTO_UDP`).
    Udp,
    /// SCTP (`IPPROTO_SCTP`).
    Sctp,
    /// A protocol this module does not know.
    Other(u16),
}

impl ServiceId {
    /// TCP connections to this address.
    pub const fn tcp(address: SocketAddr) -> Self {
        Self::Address { protocol: Protocol::Tcp, address }
    }

    /// UDP packets to this address.
    pub const fn udp(address: SocketAddr) -> Self {
        Self::Address { protocol: Protocol::Udp, address }
    }

    /// The family of the packets.
    pub fn family(self) -> AddressFamily {
        match self {
            Self::Address { address, .. } => address.ip().into(),
            Self::FirewallMark { family, .. } => family,
        }
    }
}

impl From<ServiceId> for Vec<ServiceAttribute> {
    fn from(id: ServiceId) -> Self {
        let family = ServiceAttribute::AddressFamily(id.family());
        match id {
            ServiceId::Address { protocol, address } => vec![
                family,
                ServiceAttribute::Protocol(protocol),
                ServiceAttribute::Address(address.ip().into()),
                ServiceAttribute::Port(address.port()),
            ],
            ServiceId::FirewallMark { mark, .. } => vec![family, ServiceAttribute::FirewallMark(mark)],
        }
    }
}

impl TryFrom<&[ServiceAttribute]> for ServiceId {
    type Error = DecodeError;

    fn try_from(attributes: &[ServiceAttribute]) -> Result<Self, DecodeError> {
        let family = find!(attributes, ServiceAttribute::AddressFamily(family) => *family)
            .ok_or("IPVS_SVC_ATTR_AF is missing")?;
        if let Some(mark) = find!(attributes, ServiceAttribute::FirewallMark(mark) => *mark) {
            return Ok(Self::FirewallMark { family, mark });
        }
        let protocol = find!(attributes, ServiceAttribute::Protocol(protocol) => *protocol)
            .ok_or("IPVS_SVC_ATTR_PROTOCOL is missing")?;
        let address = find!(attributes, ServiceAttribute::Address(address) => *address)
            .ok_or("IPVS_SVC_ATTR_ADDR is missing")?;
        let port = find!(attributes, ServiceAttribute::Port(port) => *port)
            .ok_or("IPVS_SVC_ATTR_PORT is missing")?;
        let ip = address.to_ip(family).ok_or("IPVS_SVC_ATTR_AF is neither AF_INET nor AF_INET6")?;
        Ok(Self::Address { protocol, address: SocketAddr::new(ip, port) })
    }
}

impl From<u16> for Protocol {
    fn from(protocol: u16) -> Self {
        match protocol {
            IPPROTO_TCP => Self::Tcp,
            IPPROTO_UDP => Self::Udp,
            IPPROTO_SCTP => Self::Sctp,
            other => Self::Other(other),
        }
    }
}

impl From<Protocol> for u16 {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => IPPROTO_TCP,
            Protocol::Udp => IPPROTO_UDP,
            Protocol::Sctp => IPPROTO_SCTP,
            Protocol::Other(other) => other,
        }
    }
}
