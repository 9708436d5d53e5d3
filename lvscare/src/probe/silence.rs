//! Is it the server that takes its time, or does nobody hear us?
//!
//! A busy apiserver answers late, but its kernel acknowledges at once. Where not even that comes, the packets are lost:
//! the host has vanished, or something on the way has forgotten the connection. So whoever has kept that silent over a
//! held connection is asked over another one at once, and briefly: where several packets in a row to both are lost, two
//! witnesses agree.
//!
//! Between questions the kernels watch (TCP keep-alive), which costs an apiserver's process nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tracing::debug;

use crate::kernel::sockets::unacknowledged;

/// What is not acknowledged after this time and a round trip has been lost twice: the kernel repeats it 200 ms and a round
/// trip after the first time (`TCP_RTO_MIN` in `include/net/tcp.h`). With short time limits once must do.
const DOUBT: Duration = Duration::from_millis(250);

/// A connection over which nothing was heard for so long is asked by our kernel for a sign of life, and again after each
/// further second. The kernel counts in whole seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// The kernel gives up a connection attempt that nobody has acknowledged for so long.
pub(crate) const GIVEN_UP_AFTER: Duration = Duration::from_secs(3);

/// The same for a connection that is held. The first sign of life that does not come is noticed when the second is due
/// (`tcp_keepalive_timer()` in `net/ipv4/tcp_timer.c`): two seconds after the last one came.
const HELD_GIVEN_UP_AFTER: Duration = Duration::from_millis(1500);

/// So many times, one after another, a connection is tried within a brief time limit.
const BRIEF_ATTEMPTS: u32 = 3;

/// Between whom a connection is, and how far they are from each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoints {
    pub(super) local: SocketAddr,
    pub(super) server: SocketAddr,
    /// How long it took to connect: a round trip, at least.
    pub(super) apart: Duration,
}

/// How a connection is tried where another one was silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Brief {
    /// It must be there after this time.
    pub(super) limit: Duration,
    /// Another attempt is made whenever the latest is so old.
    pub(super) reconnect_every: Duration,
}

impl Endpoints {
    /// How long an acknowledgement may take, where a whole probe may take `timeout`.
    pub(super) fn patience(self, timeout: Duration) -> Duration {
        DOUBT.min(timeout / 2) + 2 * self.apart
    }

    /// How another connection is tried where this one is silent: in a time in which an acknowledgement must come.
    pub(super) fn brief(self, timeout: Duration) -> Brief {
        let limit = self.patience(timeout);
        Brief { limit, reconnect_every: limit / BRIEF_ATTEMPTS }
    }

    /// Whether something that was sent has not been acknowledged. Where the kernel cannot tell, nothing is said against
    /// the server.
    pub(super) fn are_silent(self) -> bool {
        unacknowledged(self.local, self.server)
            .inspect_err(|error| debug!(%error, "send queue of a probe"))
            .is_ok_and(|bytes| bytes > 0)
    }
}

/// Lets the kernel watch a connection that is about to be made.
pub(super) fn watch(socket: &impl std::os::fd::AsFd) -> io::Result<()> {
    let keepalive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(GIVEN_UP_AFTER))
}

/// Lets the kernel watch a connection that will be held more closely.
pub(super) fn watch_held(socket: &impl std::os::fd::AsFd) -> io::Result<()> {
    SockRef::from(socket).set_tcp_user_timeout(Some(HELD_GIVEN_UP_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time limits and distances, and how long an acknowledgement may take.
    #[test]
    fn patience_follows_from_limit_and_distance() {
        let end = SocketAddr::from(([127, 0, 0, 1], 1));
        for (timeout, apart, patience) in
            [(2000, 0, 250), (2000, 5, 260), (2000, 100, 450), (500, 1, 252), (300, 5, 160), (20, 0, 10)]
        {
            let [timeout, apart, patience] = [timeout, apart, patience].map(Duration::from_millis);
            let ends = Endpoints { local: end, server: end, apart };
            assert_eq!(ends.patience(timeout), patience, "{timeout:?} {apart:?}");
            assert_eq!(ends.brief(timeout), Brief { limit: patience, reconnect_every: patience / 3 });
        }
    }
}
