//! The local route of a virtual address: `ip route add local VIP/32 dev lo table local src NODE_IP`.
//!
//! It is what makes the virtual address work without a dummy link, SNAT or conntrack: it gives this node's
//! connections the right source address, lets pods in, and makes the local stack answer with a reset when
//! IPVS has nothing to say.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::io::Errno;

use super::Error;
use super::rtnetlink::Message;
use crate::model::{RouteOwner, SeenRoute};
use crate::netlink::{self, Channel};

/// `rtm_protocol` of our routes, by which `clean` knows them. Not assigned in iproute2's `rt_protos`.
pub const PROTOCOL: u8 = 97;

/// `RT_TABLE_LOCAL` (`linux/rtnetlink.h`).
const RT_TABLE_LOCAL: u8 = 255;

/// The loopback interface has the first index in every network namespace.
const LOOPBACK: u32 = 1;

/// The routes of this network namespace.
#[derive(Debug)]
pub struct Routes {
    channel: Channel,
}

impl Routes {
    /// Opens a route netlink socket.
    pub fn open() -> Result<Self, Error> {
        let channel = Channel::open(NETLINK_ROUTE)
            .map_err(|error| Error::from_netlink(|| "open route netlink".into(), error.into()))?;
        Ok(Self { channel })
    }

    /// The local route of exactly `vip`, if there is one.
    pub fn read(&mut self, vip: IpAddr) -> Result<Option<SeenRoute>, Error> {
        let Some(message) = self.lookup(vip, RouteFlags::FibMatch)? else {
            return Ok(None);
        };
        let header = &message.header;
        // The table is no help: as long as nobody adds rules, IPv4 keeps local and main in one and says main.
        let exact = header.kind == RouteType::Local && header.destination_prefix_length == host_prefix(vip);
        let owner = match header.protocol {
            RouteProtocol::Kernel => RouteOwner::Interface,
            RouteProtocol::Other(PROTOCOL) => RouteOwner::Ours,
            _ => RouteOwner::Foreign,
        };
        Ok(exact.then(|| SeenRoute { source: preferred_source(&message), owner }))
    }

    /// Adds the local route of `vip`, or replaces the one that is there.
    pub fn set(&mut self, vip: IpAddr, source: IpAddr) -> Result<(), Error> {
        let mut message = describe(vip);
        message.attributes.push(RouteAttribute::PrefSource(source.into()));
        message.attributes.push(RouteAttribute::Oif(LOOPBACK));
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        match self.channel.request(Message::NewRoute(message), flags) {
            Ok(_) => Ok(()),
            // The kernel's word for a preferred source that is not local (`fib_create_info()`).
            Err(error) if error.errno() == Some(Errno::INVAL) => Err(Error::ForeignSource(source)),
            Err(error) => Err(Error::from_netlink(|| format!("set the local route of {vip}"), error)),
        }
    }

    /// Removes our local route of `vip`.
    pub fn remove(&mut self, vip: IpAddr) -> Result<(), Error> {
        match self.channel.request(Message::DelRoute(describe(vip)), NLM_F_ACK) {
            Ok(_) => Ok(()),
            Err(error) if error.errno() == Some(Errno::SRCH) => {
                Err(Error::Raced(format!("remove the local route of {vip}")))
            }
            Err(error) => Err(Error::from_netlink(|| format!("remove the local route of {vip}"), error)),
        }
    }

    /// The source address the kernel would use towards `server`.
    pub fn source_towards(&mut self, server: IpAddr) -> Result<Option<IpAddr>, Error> {
        Ok(self.lookup(server, RouteFlags::empty())?.as_ref().and_then(preferred_source))
    }

    /// `ip route get ADDRESS`; no way there is no error.
    fn lookup(&mut self, address: IpAddr, flags: RouteFlags) -> Result<Option<RouteMessage>, Error> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(address);
        message.header.destination_prefix_length = host_prefix(address);
        message.header.flags = flags;
        message.attributes.push(RouteAttribute::Destination(address.into()));
        match self.channel.request(Message::GetRoute(message), 0) {
            Ok(answers) => Ok(answers.into_iter().find_map(|answer| match answer {
                Message::NewRoute(route) => Some(route),
                _ => None,
            })),
            Err(error) => match error.errno() {
                // Nothing leads there, or a route of type unreachable, blackhole or prohibit does.
                Some(Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::INVAL | Errno::ACCESS) => Ok(None),
                _ => Err(Error::from_netlink(|| format!("look up the route to {address}"), error)),
            },
        }
    }
}

/// Every local route of ours, with the source address that it gives. Leaves out what a route of somebody else hides:
/// there is none of ours then.
pub fn ours() -> Result<BTreeMap<IpAddr, Option<IpAddr>>, Error> {
    let failed = |error: netlink::Error| Error::from_netlink(|| "list the local routes".into(), error);
    let mut channel = Channel::open(NETLINK_ROUTE).map_err(|error| failed(error.into()))?;
    // A node may have a million routes, and ours are few.
    channel.filter_listings();
    let mut found = BTreeMap::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.protocol = RouteProtocol::Other(PROTOCOL);
        message.header.kind = RouteType::Local;
        let answers = match channel.request(Message::GetRoute(message), NLM_F_DUMP) {
            // There is no IPv6 here.
            Err(error) if error.errno() == Some(Errno::OPNOTSUPP) => continue,
            answers => answers.map_err(failed)?,
        };
        // A kernel before 4.20 lists everything.
        found.extend(answers.iter().filter_map(|answer| match answer {
            Message::NewRoute(route) => Some((our_address(route)?, preferred_source(route))),
            _ => None,
        }));
    }
    Ok(found)
}

/// The virtual address, if this is a route of ours.
fn our_address(message: &RouteMessage) -> Option<IpAddr> {
    let header = &message.header;
    if header.kind != RouteType::Local || header.protocol != RouteProtocol::Other(PROTOCOL) {
        return None;
    }
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    (header.destination_prefix_length == host_prefix(address)).then_some(address)
}

/// Our local route of `vip`, without source and interface.
fn describe(vip: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(vip);
    message.header.destination_prefix_length = host_prefix(vip);
    message.header.table = RT_TABLE_LOCAL;
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    message.header.scope = RouteScope::Host;
    message.header.kind = RouteType::Local;
    message.attributes.push(RouteAttribute::Destination(vip.into()));
    message
}

fn preferred_source(message: &RouteMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::PrefSource(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::PrefSource(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
