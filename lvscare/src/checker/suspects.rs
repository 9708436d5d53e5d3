//! Which servers do not answer this node's own clients?
//!
//! A server can pass every small packet and lose the large ones (a tunnel that is narrower than it says, an MTU of one
//! interface too high). Questions over a held connection are small, and so are their answers; a client that begins a TLS
//! handshake gets a certificate, which is large. So clients of the virtual server are looked at: one whose first words were
//! acknowledged and never answered makes its server a suspect. That is no verdict, since a client may have reasons of its
//! own. It makes the server's checker renew its connection now, and what that handshake sees counts.
//!
//! While nobody makes new connections, nobody can be waiting for a first answer, and this costs nothing. Otherwise it costs
//! one listing of sockets each time and no packet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{debug, info};

use crate::active_config::ActiveConfig;
use crate::jitter;
use crate::kernel::sockets::{clients_of, unanswered};
use crate::timer;

/// Time between two looks, more or less.
const INTERVAL: Duration = Duration::from_secs(2);

/// A server that is well answers a handshake sooner than this, and one that is not will take longer.
const SILENCE: Duration = Duration::from_millis(1500);

/// Whoever connects speaks within this time, if at all, and has waited for too long at its end. Connections are counted once
/// in a `--resync`, so it is longer than that usually is.
const NEWCOMER: Duration = Duration::from_secs(10);

/// A server is suspected this often at most, so that slow ones do not get handshakes on top.
const PAUSE: Duration = Duration::from_secs(30);

/// Who was suspected lately. Pure.
#[derive(Debug, Default)]
struct Suspects(BTreeMap<SocketAddr, Instant>);

impl Suspects {
    /// Whether a server may be suspected at `now`, which it is then.
    fn admit(&mut self, server: SocketAddr, now: Instant) -> bool {
        self.0.retain(|_, since| now.saturating_duration_since(*since) < PAUSE);
        let new = !self.0.contains_key(&server);
        if new {
            self.0.insert(server, now);
        }
        new
    }
}

/// Where somebody may be waiting for a first answer, by virtual server. Pure.
#[derive(Debug, Default)]
struct Newcomers(BTreeMap<SocketAddr, Seen>);

/// What was known of one virtual server.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// How many connections it had been given since it was made.
    connections: u64,
    /// When that was something else, or somebody was waiting.
    stirred: Instant,
}

impl Newcomers {
    /// Whether clients of `service`, which has been given so many `connections` since it was made, are to be looked at.
    fn may_wait(&mut self, service: SocketAddr, connections: u64, now: Instant) -> bool {
        let seen = self.0.entry(service).or_insert(Seen { connections, stirred: now });
        if seen.connections != connections {
            *seen = Seen { connections, stirred: now };
        }
        now.saturating_duration_since(seen.stirred) <= NEWCOMER
    }

    /// Somebody is waiting, and will be for a while.
    fn waits(&mut self, service: SocketAddr, now: Instant) {
        if let Some(seen) = self.0.get_mut(&service) {
            seen.stirred = now;
        }
    }
}

/// Looks until the task is dropped. `connections` tells how many a virtual server has been given since it was made.
pub async fn run(
    active: watch::Receiver<Arc<ActiveConfig>>,
    connections: impl Fn(SocketAddr) -> Option<u64>,
) {
    let mut suspects = Suspects::default();
    let mut newcomers = Newcomers::default();
    loop {
        timer::sleep(jitter::spread(INTERVAL, fastrand::f64())).await;
        let active = active.borrow().clone();
        newcomers.0.retain(|service, _| active.config.service(*service).is_some());
        for service in &active.config.services {
            let Some(connections) = connections(service.at) else { continue };
            if !newcomers.may_wait(service.at, connections, Instant::now()) {
                continue;
            }
            let waiting = match unanswered(service.at, SILENCE) {
                Ok(waiting) if waiting.is_empty() => continue,
                Ok(waiting) => waiting,
                Err(error) => {
                    debug!(%error, "clients of {}", service.at);
                    continue;
                }
            };
            newcomers.waits(service.at, Instant::now());
            for server in service.servers.iter().map(|server| server.address) {
                let Some(settings) = active.settings.get(&service.at) else { continue };
                if serves(service.at, server, &waiting) && suspects.admit(server, Instant::now()) {
                    info!(%server, virtual_server = %service.at, "a client gets no answer; connecting anew");
                    settings.suspect(server);
                }
            }
        }
    }
}

/// Whether one of the `waiting` clients is served by `server`.
fn serves(at: SocketAddr, server: SocketAddr, waiting: &BTreeSet<SocketAddr>) -> bool {
    clients_of(at, server)
        .inspect_err(|error| debug!(%error, "clients of {server}"))
        .is_ok_and(|clients| !clients.is_disjoint(waiting))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody looks for long after the last new connection, unless somebody is still waiting.
    #[test]
    fn clients_are_looked_at_while_they_may_wait() {
        let [one, other] = [1, 2].map(|number| SocketAddr::from(([10, 103, 97, number], 6443)));
        let mut newcomers = Newcomers::default();
        let start = Instant::now();
        // Each line: the second, the number of connections, whether somebody is found waiting then; and whether one looks.
        for (second, connections, waiting, looks) in [
            (0, 3, false, true),
            (10, 3, false, true),
            (12, 3, false, false),
            (100, 3, false, false),
            (102, 4, false, true),
            (104, 4, true, true),
            (114, 4, false, true),
            (116, 4, false, false),
            // It was made anew.
            (118, 0, false, true),
        ] {
            let now = start + Duration::from_secs(second);
            assert_eq!(newcomers.may_wait(one, connections, now), looks, "second {second}");
            if waiting {
                newcomers.waits(one, now);
            }
        }
        assert!(newcomers.may_wait(other, 0, start + Duration::from_secs(200)));
    }

    #[test]
    fn each_server_is_suspected_once_in_a_while() {
        let [one, other] = [1, 2].map(|number| SocketAddr::from(([10, 0, 0, number], 6443)));
        let mut suspects = Suspects::default();
        let start = Instant::now();
        assert!(suspects.admit(one, start));
        assert!(suspects.admit(other, start));
        let mut admitted = Vec::new();
        for second in 1..=90 {
            if suspects.admit(one, start + Duration::from_secs(second)) {
                admitted.push(second);
            }
        }
        assert_eq!(admitted, [30, 60, 90]);
    }
}
