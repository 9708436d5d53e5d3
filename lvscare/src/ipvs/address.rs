//! Addresses and netmasks, whose meaning is in another attribute: the address family.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::DecodeError;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// The family of an [`Address`] or a [`Netmask`] (`AF_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AddressFamily {
    /// IPv4 (`AF_INET`).
    Inet,
    /// IPv6 (`AF_INET6`).
    Inet6,
    /// A family this module does not know; IPVS has none.
    Other(u16),
}

impl From<u16> for AddressFamily {
    fn from(family: u16) -> Self {
        match family {
            AF_INET => Self::Inet,
            AF_INET6 => Self::Inet6,
            other => Self::Other(other),
        }
    }
}

impl From<AddressFamily> for u16 {
    fn from(family: AddressFamily) -> Self {
        match family {
            AddressFamily::Inet => AF_INET,
            AddressFamily::Inet6 => AF_INET6,
            AddressFamily::Other(other) => other,
        }
    }
}

impl From<IpAddr> for AddressFamily {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::Inet,
            IpAddr::V6(_) => Self::Inet6,
        }
    }
}

/// The bytes of an IP address (`union nf_inet_addr`): an IPv4 address is the first four, zeros follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(pub [u8; Self::LEN]);

impl Address {
    /// Length on the wire, of either family.
    pub(super) const LEN: usize = 16;

    /// The address that these bytes are in a family, if IPVS knows the family.
    pub fn to_ip(self, family: AddressFamily) -> Option<IpAddr> {
        let [a, b, c, d, ..] = self.0;
        match family {
            AddressFamily::Inet => Some(Ipv4Addr::new(a, b, c, d).into()),
            AddressFamily::Inet6 => Some(Ipv6Addr::from(self.0).into()),
            AddressFamily::Other(_) => None,
        }
    }

    /// Reads sixteen bytes, or the four that some programs send for IPv4.
    pub(super) fn parse(value: &[u8]) -> Result<Self, DecodeError> {
        match (<[u8; Self::LEN]>::try_from(value), <[u8; 4]>::try_from(value)) {
            (Ok(bytes), _) => Ok(Self(bytes)),
            (_, Ok(ipv4)) => Ok(IpAddr::from(ipv4).into()),
            _ => Err(DecodeError::invalid_ip_address(value.len())),
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                Self([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
            }
            IpAddr::V6(ip) => Self(ip.octets()),
        }
    }
}

/// Which clients of a persistent service go to one real server together: the four bytes of a mask in IPv4,
/// the length of a prefix in IPv6.
///
/// ```
/// use lvscare::ipvs::Netmask;
///
/// assert_eq!(Netmask::ipv4("255.255.255.0".parse()?).0, [255, 255, 255, 0]);
/// assert_eq!(Netmask::ipv6(64).0, 64_u32.to_ne_bytes());
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Netmask(pub [u8; 4]);

impl Netmask {
    /// Every client on its own: what a service without persistence has.
    pub fn host(family: AddressFamily) -> Self {
        match family {
            AddressFamily::Inet6 => Self::ipv6(Ipv6Addr::BITS),
            AddressFamily::Inet | AddressFamily::Other(_) => Self::ipv4(Ipv4Addr::BROADCAST),
        }
    }

    /// The mask of an IPv4 service.
    pub fn ipv4(mask: Ipv4Addr) -> Self {
        Self(mask.octets())
    }

    /// The prefix length, 1 to 128, of an IPv6 service.
    pub fn ipv6(prefix_len: u32) -> Self {
        Self(prefix_len.to_ne_bytes())
    }

    /// The mask, if the service is an IPv4 one.
    pub fn to_ipv4(self) -> Ipv4Addr {
        self.0.into()
    }

    /// The prefix length, if the service is an IPv6 one.
    pub fn to_ipv6(self) -> u32 {
        u32::from_ne_bytes(self.0)
    }
    pub(super) fn parse(value: &[u8]) -> Result<Self, DecodeError> {
        value.try_into().map(Self).map_err(|_| DecodeError::invalid_number(4, value.len()))
    }
}
