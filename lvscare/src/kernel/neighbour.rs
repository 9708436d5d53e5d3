//! Whether this node knows the next hop towards a server. Only looks.
//!
//! Whoever does not looks for it (ARP, neighbour discovery) once a second, and keeps its packets back until then.

use std::net::IpAddr;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia};
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::io::Errno;

use super::Error;
use super::route::{family, lookup};
use super::rtnetlink::Message;
use crate::netlink::Channel;

/// Whether a packet to `server` leaves this node at once. `false` where the kernel cannot tell: of a server on this very
/// node, over a link without such addresses, before Linux 5.0 (`neigh_get()` in `net/core/neighbour.c`).
pub fn is_known(server: IpAddr) -> Result<bool, Error> {
    let failed = |error| Error::from_netlink(|| format!("look up the next hop to {server}"), error);
    let mut channel = Channel::open(NETLINK_ROUTE).map_err(|error| failed(error.into()))?;
    let Some((hop, interface)) = lookup(&mut channel, server)?.and_then(|route| next_hop(&route, server))
    else {
        return Ok(false);
    };
    match channel.request(Message::GetNeighbour(question(hop, interface)), 0) {
        Ok(answers) => Ok(answers.iter().any(is_valid)),
        Err(error) => match error.errno() {
            Some(Errno::NOENT | Errno::OPNOTSUPP) => Ok(false),
            _ => Err(failed(error)),
        },
    }
}

fn question(hop: IpAddr, interface: u32) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(hop);
    message.header.ifindex = interface;
    let hop = match hop {
        IpAddr::V4(hop) => NeighbourAddress::Inet(hop),
        IpAddr::V6(hop) => NeighbourAddress::Inet6(hop),
    };
    message.attributes.push(NeighbourAttribute::Destination(hop));
    message
}

/// The gateway, or `server` itself, and the index of the interface towards it.
fn next_hop(route: &RouteMessage, server: IpAddr) -> Option<(IpAddr, u32)> {
    let (mut hop, mut interface) = (server, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(gateway))
            | RouteAttribute::Via(RouteVia::Inet(gateway)) => {
                hop = IpAddr::V4(*gateway);
            }
            RouteAttribute::Gateway(RouteAddress::Inet6(gateway))
            | RouteAttribute::Via(RouteVia::Inet6(gateway)) => {
                hop = IpAddr::V6(*gateway);
            }
            RouteAttribute::Oif(index) => interface = Some(*index),
            _ => {}
        }
    }
    Some((hop, interface?))
}

/// As the kernel sees it: packets leave at once (`NUD_VALID` in `include/net/neighbour.h`).
fn is_valid(answer: &Message) -> bool {
    use NeighbourState::{Delay, Noarp, Permanent, Probe, Reachable, Stale};
    let Message::NewNeighbour(message) = answer else { return false };
    matches!(message.header.state, Permanent | Noarp | Reachable | Probe | Stale | Delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_hop_is_the_gateway_if_there_is_one() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let server = ip("10.0.0.1");
        let gateway = RouteAttribute::Gateway(RouteAddress::Inet([10, 0, 9, 1].into()));
        let via = RouteAttribute::Via(RouteVia::Inet6("fe80::1".parse().unwrap()));
        let oif = || RouteAttribute::Oif(7);
        for (attributes, expected) in [
            (vec![oif()], Some((server, 7))),
            (vec![gateway.clone(), oif()], Some((ip("10.0.9.1"), 7))),
            (vec![via, oif()], Some((ip("fe80::1"), 7))),
            (vec![gateway], None),
            (vec![], None),
        ] {
            let mut route = RouteMessage::default();
            route.attributes = attributes;
            assert_eq!(next_hop(&route, server), expected, "{route:?}");
        }
    }

    #[test]
    fn a_neighbour_that_is_looked_for_is_not_known() {
        use NeighbourState::{Delay, Failed, Incomplete, None, Permanent, Probe, Reachable, Stale};
        for (states, known) in
            [(vec![Reachable, Stale, Delay, Probe, Permanent], true), (vec![None, Incomplete, Failed], false)]
        {
            for state in states {
                let mut message = NeighbourMessage::default();
                message.header.state = state;
                assert_eq!(is_valid(&Message::NewNeighbour(message)), known, "{state}");
            }
        }
    }

    /// On this machine, whatever it is: what is asked is understood.
    #[test]
    fn of_this_node_nothing_is_said() {
        assert!(!is_known(IpAddr::from([127, 0, 0, 1])).unwrap());
    }
}
