//! Is it the server that takes its time, or does nobody hear us?
//!
//! A busy apiserver answers late, but its kernel acknowledges at once. Where not even that comes, the packets are lost:
//! the host has vanished, or something on the way has forgotten the connection.

use std::net::SocketAddr;
use std::time::Duration;

use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_packet_sock_diag::{AF_INET, AF_INET6, IPPROTO_TCP, SockDiagMessage};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use tracing::debug;

use crate::netlink::{Channel, Error};

/// What is not acknowledged after this time and a round trip has been lost twice: the kernel repeats it 200 ms and a round
/// trip after the first time (`TCP_RTO_MIN` in `include/net/tcp.h`).
const DOUBT: Duration = Duration::from_millis(250);

/// Between whom a connection is, and how far they are from each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) local: SocketAddr,
    pub(super) server: SocketAddr,
    /// How long it took to connect: a round trip, at least.
    pub(super) apart: Duration,
}

impl Ends {
    /// How long an acknowledgement may take.
    pub(super) fn patience(self) -> Duration {
        DOUBT + 2 * self.apart
    }

    /// Whether something that was sent has not been acknowledged. Where the kernel cannot tell, nothing is said against
    /// the server.
    pub(super) fn are_silent(self) -> bool {
        self.unacknowledged()
            .inspect_err(|error| debug!(%error, "send queue of a probe"))
            .is_ok_and(|bytes| bytes > 0)
    }

    /// How many bytes were sent and not acknowledged (`idiag_wqueue` of `tcp_diag_get_info()` in
    /// `net/ipv4/tcp_diag.c`).
    fn unacknowledged(self) -> Result<u32, Error> {
        let mut channel = Channel::open(NETLINK_SOCK_DIAG)?;
        let answers = channel.request(SockDiagMessage::InetRequest(self.request()), 0)?;
        Ok(answers
            .iter()
            .find_map(|answer| match answer {
                SockDiagMessage::InetResponse(response) => Some(response.header.send_queue),
                _ => None,
            })
            .unwrap_or_default())
    }

    fn request(self) -> InetRequest {
        InetRequest {
            family: if self.server.is_ipv4() { AF_INET } else { AF_INET6 },
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::all(),
            socket_id: SocketId {
                source_port: self.local.port(),
                destination_port: self.server.port(),
                source_address: self.local.ip(),
                destination_address: self.server.ip(),
                interface_id: 0,
                // Whichever it is.
                cookie: [0xff; 8],
            },
        }
    }
}
