//! The addresses of this node's interfaces. Only looks.

use std::net::IpAddr;

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::Error;
use super::rtnetlink::Message;
use crate::netlink::Channel;

/// An address of an interface, with the length of its subnet's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address itself.
    pub address: IpAddr,
    /// Leading bits that the subnet shares.
    pub prefix: u8,
}

impl InterfaceAddress {
    /// Whether `other` lies in the same subnet.
    pub fn shares_subnet_with(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                (own.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.prefix.min(128));
                (own.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Every address in this network namespace (`ip address`).
pub fn list() -> Result<Vec<InterfaceAddress>, Error> {
    let list = || -> Result<_, crate::netlink::Error> {
        let mut channel = Channel::open(NETLINK_ROUTE)?;
        channel.request(Message::GetAddress(AddressMessage::default()), NLM_F_DUMP)
    };
    let messages = list().map_err(|error| Error::from_netlink(|| "list addresses".into(), error))?;
    Ok(messages.iter().filter_map(read).collect())
}

fn read(message: &Message) -> Option<InterfaceAddress> {
    let Message::NewAddress(message) = message else { return None };
    // On a point-to-point link `Address` is the peer and `Local` is ours.
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => address = Some(*local),
            AddressAttribute::Address(other) => address = address.or(Some(*other)),
            _ => {}
        }
    }
    Some(InterfaceAddress { address: address?, prefix: message.header.prefix_len })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnet() {
        let of = |address: &str, prefix| InterfaceAddress { address: address.parse().unwrap(), prefix };
        let shares =
            |own: &str, prefix, other: &str| of(own, prefix).shares_subnet_with(other.parse().unwrap());
        assert!(shares("10.0.0.10", 24, "10.0.0.99"));
        assert!(!shares("10.0.0.10", 24, "10.0.1.10"));
        assert!(shares("10.0.0.10", 0, "192.168.0.1"));
        assert!(!shares("10.0.0.10", 32, "10.0.0.11"));
        assert!(shares("fd00:10::1", 64, "fd00:10::2"));
        assert!(!shares("fd00:10::1", 128, "fd00:10::2"));
        assert!(!shares("10.0.0.10", 0, "fd00::1"));
    }

    #[test]
    fn loopback_is_listed() {
        assert!(list().unwrap().iter().any(|own| own.address.is_loopback()));
    }
}
