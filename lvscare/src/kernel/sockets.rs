//! Freeing clients that are stuck to a dead server.
//!
//! IPVS tells a client that its server is gone only when the client sends something. An idle one (a kubelet
//! waiting for an event) would learn nothing for minutes. So the sockets of this network namespace that IPVS
//! maps to the dead server are destroyed (`SOCK_DESTROY`, as `ss --kill` does), and their owners reconnect at
//! once. Sockets in other namespaces (pods) are out of reach; their next packet is answered with a reset.
//!
//! The same facility tells whether anybody acknowledges what a socket sends, and whether anybody answers.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};
use netlink_packet_sock_diag::{AF_INET, AF_INET6, IPPROTO_TCP, SockDiagDestroy, SockDiagMessage};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use rustix::io::Errno;

use super::Error;
use crate::netlink::{self, Channel};

#[cfg(test)]
mod tests;

/// A port to which hardly anybody is connected.
const DISCARD: u16 = 9;

/// The connections of IPVS in this network namespace.
const CONNECTIONS: &str = "/proc/net/ip_vs_conn";

/// The clients of the virtual server `at` whose connections IPVS sends to `server`.
///
/// To be asked before the server is deleted: the deletion takes its connections out of the list.
pub fn clients_of(at: SocketAddr, server: SocketAddr) -> Result<BTreeSet<SocketAddr>, Error> {
    let failed = |source| Error::File { path: CONNECTIONS.into(), source };
    let file = match File::open(CONNECTIONS) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other.map_err(failed)?,
    };
    let mut clients = BTreeSet::new();
    for line in BufReader::new(file).lines() {
        if let Some(connection) = parse(&line.map_err(failed)?)
            && connection.service == at
            && connection.server == server
        {
            clients.insert(connection.client);
        }
    }
    Ok(clients)
}

/// Destroys the connections of this namespace from one of `clients` to `at`. Returns how many there were.
///
/// Only sockets found in a listing are destroyed, each by its cookie: a request by address alone could hit a
/// listener that happens to have a pod's port.
pub fn destroy(at: SocketAddr, clients: &BTreeSet<SocketAddr>) -> Result<usize, Error> {
    if clients.is_empty() {
        return Ok(0);
    }
    let mut channel = Channel::open(NETLINK_SOCK_DIAG).map_err(|error| failed(error.into()))?;
    let mut destroyed = 0;
    // A socket of the IPv6 family can hold an IPv4 connection.
    let families: &[u8] = if at.is_ipv4() { &[AF_INET, AF_INET6] } else { &[AF_INET6] };
    for &family in families {
        for id in established(&mut channel, family, at.port())? {
            let local = SocketAddr::new(id.source_address.to_canonical(), id.source_port);
            let remote = SocketAddr::new(id.destination_address.to_canonical(), id.destination_port);
            if remote != at || !clients.contains(&local) {
                continue;
            }
            let request = SockDiagDestroy::new(request(family, id));
            match channel.request(request, NLM_F_ACK) {
                Ok(_) => destroyed += 1,
                // It ended by itself meanwhile.
                Err(error) if error.errno() == Some(Errno::NOENT) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Ok(destroyed)
}

/// Makes the kernel load what [`destroy`] needs, and tells whether it can.
pub fn warm_up() -> Result<(), Error> {
    let mut channel = Channel::open(NETLINK_SOCK_DIAG).map_err(|error| failed(error.into()))?;
    established(&mut channel, AF_INET, DISCARD).map(drop)
}

/// How many bytes the socket between these two has sent that nobody has acknowledged (`idiag_wqueue` of
/// `tcp_diag_get_info()` in `net/ipv4/tcp_diag.c`).
pub fn unacknowledged(local: SocketAddr, remote: SocketAddr) -> Result<u32, Error> {
    let failed = |error| Error::from_netlink(|| "look at a socket".into(), error);
    let mut channel = Channel::open(NETLINK_SOCK_DIAG).map_err(|error| failed(error.into()))?;
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    let answers = channel.request(request(family, between(local, remote)), 0).map_err(failed)?;
    Ok(responses(answers).map(|header| header.send_queue).next().unwrap_or_default())
}

/// The clients of this namespace whose first words to `at` were acknowledged, and that have waited for an answer at least
/// so long.
pub fn unanswered(at: SocketAddr, wait: Duration) -> Result<BTreeSet<SocketAddr>, Error> {
    let failed = |error| Error::from_netlink(|| "look at the clients".into(), error);
    let mut channel = Channel::open(NETLINK_SOCK_DIAG).map_err(|error| failed(error.into()))?;
    let mut clients = BTreeSet::new();
    let families: &[u8] = if at.is_ipv4() { &[AF_INET, AF_INET6] } else { &[AF_INET6] };
    for &family in families {
        let mut listing = request(family, to_port(family, at.port()));
        if let SockDiagMessage::InetRequest(request) = &mut listing {
            request.extensions = ExtensionFlags::INFO;
        }
        for answer in channel.request(listing, NLM_F_DUMP).map_err(failed)? {
            let SockDiagMessage::InetResponse(response) = answer else { continue };
            let id = &response.header.socket_id;
            let remote = SocketAddr::new(id.destination_address.to_canonical(), id.destination_port);
            let waits =
                response.nlas.iter().any(|nla| matches!(nla, Nla::TcpInfo(info) if waits(info, wait)));
            if remote == at && waits {
                clients.insert(SocketAddr::new(id.source_address.to_canonical(), id.source_port));
            }
        }
    }
    Ok(clients)
}

/// Whether a socket has said something that was acknowledged so long ago, and heard nothing ever (`struct tcp_info` in
/// `include/uapi/linux/tcp.h`, since Linux 4.1).
fn waits(info: &[u8], wait: Duration) -> bool {
    let short = |at: usize| Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_ne_bytes(info.get(at..at + 8)?.try_into().ok()?));
    let (Some(last_sent), Some(acknowledged), Some(received)) = (short(44), long(120), long(128)) else {
        return false;
    };
    // The first byte is that of the SYN.
    acknowledged > 1 && received == 0 && u128::from(last_sent) >= wait.as_millis()
}

/// The connections of one address family to any host's `port`.
fn established(channel: &mut Channel, family: u8, port: u16) -> Result<Vec<SocketId>, Error> {
    let answers = channel.request(request(family, to_port(family, port)), NLM_F_DUMP).map_err(failed)?;
    Ok(responses(answers).map(|header| header.socket_id).collect())
}

/// Whatever socket is connected to any host's `port`.
fn to_port(family: u8, port: u16) -> SocketId {
    let any = if family == AF_INET {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::from(Ipv6Addr::UNSPECIFIED)
    };
    between(SocketAddr::new(any, 0), SocketAddr::new(any, port))
}

/// Whatever socket is between these two.
fn between(local: SocketAddr, remote: SocketAddr) -> SocketId {
    SocketId {
        source_port: local.port(),
        destination_port: remote.port(),
        source_address: local.ip(),
        destination_address: remote.ip(),
        interface_id: 0,
        cookie: [0xff; 8],
    }
}

fn responses(answers: Vec<SockDiagMessage>) -> impl Iterator<Item = InetResponseHeader> {
    answers.into_iter().filter_map(|answer| match answer {
        SockDiagMessage::InetResponse(response) => Some(response.header),
        _ => None,
    })
}

fn request(family: u8, socket_id: SocketId) -> SockDiagMessage {
    SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        // A connection that is just being opened finds a living server by itself, with its next SYN.
        states: StateFlags::ESTABLISHED | StateFlags::CLOSE_WAIT | StateFlags::FIN_WAIT1,
        socket_id,
    })
}

/// Kernels without `CONFIG_INET_DIAG_DESTROY` say "not supported", those without `tcp_diag` "no such entry".
fn failed(error: netlink::Error) -> Error {
    match error.errno() {
        Some(Errno::OPNOTSUPP | Errno::NOENT) => Error::NoSocketDestroy,
        _ => Error::from_netlink(|| "destroy sockets of a dead server".into(), error),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Connection {
    client: SocketAddr,
    service: SocketAddr,
    server: SocketAddr,
}

/// A line of the connection list: `TCP 0A00000A A3E2 0A676102 192B 0A000001 192B ESTABLISHED 893`, with IPv6
/// addresses written out in brackets.
fn parse(line: &str) -> Option<Connection> {
    let mut words = line.split_ascii_whitespace();
    if words.next()? != "TCP" {
        return None;
    }
    let mut endpoint = || {
        let address = words.next()?;
        let port = u16::from_str_radix(words.next()?, 16).ok()?;
        let address = match address.strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.into(),
            None => Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?).into(),
        };
        Some(SocketAddr::new(address, port))
    };
    Some(Connection { client: endpoint()?, service: endpoint()?, server: endpoint()? })
}
