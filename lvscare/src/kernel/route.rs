//! The local route of a virtual address: `ip route add local VIP/32 dev lo table local src NODE_IP`.
//!
//! It is what makes the virtual address work without a dummy link, SNAT or conntrack: it gives this node's
//! connections the right source address, lets pods in, and makes the local stack answer with a reset when
//! IPVS has nothing to say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
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
    /// For listings only: the filter that it heeds is refused where one asks for a single route.
    listings: Channel,
}

impl Routes {
    /// Opens route netlink sockets.
    pub fn open() -> Result<Self, Error> {
        let open = || -> std::io::Result<Self> {
            let mut listings = Channel::open(NETLINK_ROUTE)?;
            listings.filter_listings();
            Ok(Self { channel: Channel::open(NETLINK_ROUTE)?, listings })
        };
        open().map_err(|error| Error::from_netlink(|| "open route netlink".into(), error.into()))
    }

    /// The local routes of exactly `vips`, as far as there are any.
    ///
    /// They are looked for in the table itself: asking the kernel for the way to an address would heed the rules of
    /// policy routing, and one that comes before the table hides a route that is there.
    pub fn read(&mut self, vips: &BTreeSet<IpAddr>) -> Result<BTreeMap<IpAddr, SeenRoute>, Error> {
        let mut found = BTreeMap::new();
        for of_v4 in [true, false] {
            let wanted: BTreeSet<IpAddr> =
                vips.iter().filter(|vip| vip.is_ipv4() == of_v4).copied().collect();
            if let Some(&vip) = wanted.first() {
                found.extend(pick(&wanted, &self.list_local(family(vip))?));
            }
        }
        Ok(found)
    }

    /// The table `local` of one family (`ip route show table local`).
    fn list_local(&mut self, family: AddressFamily) -> Result<Vec<RouteMessage>, Error> {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.table = RT_TABLE_LOCAL;
        let answers = self.listings.request(Message::GetRoute(message), NLM_F_DUMP);
        let answers = answers.map_err(|error| match error {
            crate::netlink::Error::Interrupted => Error::Raced("list the local routes".into()),
            other => Error::from_netlink(|| "list the local routes".into(), other),
        })?;
        Ok(answers
            .into_iter()
            .filter_map(|answer| match answer {
                Message::NewRoute(route) => Some(route),
                _ => None,
            })
            .collect())
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
        Ok(lookup(&mut self.channel, server)?.as_ref().and_then(preferred_source))
    }
}

/// `ip route get ADDRESS`; no way there is no error.
pub(super) fn lookup(channel: &mut Channel, address: IpAddr) -> Result<Option<RouteMessage>, Error> {
    let mut message = RouteMessage::default();
    message.header.address_family = family(address);
    message.header.destination_prefix_length = host_prefix(address);
    message.attributes.push(RouteAttribute::Destination(address.into()));
    match channel.request(Message::GetRoute(message), 0) {
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
    let address = destination(message)?;
    (header.destination_prefix_length == host_prefix(address)).then_some(address)
}

/// The local routes of `vips` among those of the table, which come in the order in which the kernel heeds them.
fn pick(vips: &BTreeSet<IpAddr>, table: &[RouteMessage]) -> BTreeMap<IpAddr, SeenRoute> {
    let mut found = BTreeMap::new();
    for message in table {
        let header = &message.header;
        let Some(vip) = destination(message).filter(|vip| vips.contains(vip)) else { continue };
        // What is only for marked packets (type of service) is not the way of ours.
        if header.table != RT_TABLE_LOCAL
            || header.destination_prefix_length != host_prefix(vip)
            || header.tos != 0
        {
            continue;
        }
        let owner = match header.protocol {
            RouteProtocol::Kernel => RouteOwner::Interface,
            RouteProtocol::Other(PROTOCOL) => RouteOwner::Ours,
            _ => RouteOwner::Foreign,
        };
        // A route to nowhere hides those that come after it.
        let is_local = header.kind == RouteType::Local;
        found.entry(vip).or_insert(is_local.then(|| SeenRoute { source: preferred_source(message), owner }));
    }
    found.into_iter().filter_map(|(vip, route)| Some((vip, route?))).collect()
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
        RouteAttribute::PrefSource(address) => address_of(address),
        _ => None,
    })
}

fn destination(message: &RouteMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => address_of(address),
        _ => None,
    })
}

fn address_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

pub(super) fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn route(vip: &str, kind: RouteType, protocol: RouteProtocol, source: &str) -> RouteMessage {
        let mut message = describe(ip(vip));
        message.header.kind = kind;
        message.header.protocol = protocol;
        message.attributes.push(RouteAttribute::PrefSource(ip(source).into()));
        message
    }

    #[test]
    fn the_route_that_counts_is_picked() {
        let (ours, kernel, boot) =
            (RouteProtocol::Other(PROTOCOL), RouteProtocol::Kernel, RouteProtocol::Boot);
        let local = |protocol, source| route("10.103.97.2", RouteType::Local, protocol, source);
        let nowhere = || route("10.103.97.2", RouteType::BlackHole, boot, "10.0.0.9");
        let of_another_table = || {
            let mut message = local(ours, "10.0.0.9");
            message.header.table = 254;
            message
        };
        let of_a_subnet = || {
            let mut message = local(ours, "10.0.0.9");
            message.header.destination_prefix_length = 24;
            message
        };
        let marked = || {
            let mut message = local(boot, "10.0.0.7");
            message.header.tos = 0x10;
            message
        };
        let cases = [
            (vec![local(ours, "10.0.0.9")], Some((RouteOwner::Ours, "10.0.0.9"))),
            (vec![local(kernel, "10.0.0.9")], Some((RouteOwner::Interface, "10.0.0.9"))),
            (vec![local(boot, "10.0.0.8"), local(ours, "10.0.0.9")], Some((RouteOwner::Foreign, "10.0.0.8"))),
            (vec![marked(), local(ours, "10.0.0.9")], Some((RouteOwner::Ours, "10.0.0.9"))),
            (vec![local(ours, "10.0.0.9"), nowhere()], Some((RouteOwner::Ours, "10.0.0.9"))),
            (vec![nowhere(), local(ours, "10.0.0.9")], None),
            (vec![of_another_table(), of_a_subnet()], None),
            (vec![route("10.103.97.3", RouteType::Local, ours, "10.0.0.9")], None),
            (vec![], None),
        ];
        for (table, expected) in cases {
            let vip = ip("10.103.97.2");
            let found = pick(&BTreeSet::from([vip]), &table).remove(&vip);
            let expected = expected.map(|(owner, source)| SeenRoute { source: Some(ip(source)), owner });
            assert_eq!(found, expected, "{table:?}");
        }
    }

    /// On this machine, whatever it is: the addresses of `lo` are in the table.
    #[test]
    fn the_local_table_can_be_listed() {
        let loopback = ip("127.0.0.1");
        let found = Routes::open().unwrap().read(&BTreeSet::from([loopback])).unwrap();
        assert_eq!(found[&loopback].owner, RouteOwner::Interface);
    }
}
