//! Is it the server that takes its time, or does nobody hear us?
//!
//! A busy apiserver answers late, but its kernel acknowledges at once. Where not even that comes, the packets are lost:
//! the host has vanished, or something on the way has forgotten the connection.

use std::net::SocketAddr;
use std::time::Duration;

use tracing::debug;

use crate::kernel::sockets::unacknowledged;

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
        unacknowledged(self.local, self.server)
            .inspect_err(|error| debug!(%error, "send queue of a probe"))
            .is_ok_and(|bytes| bytes > 0)
    }
}
