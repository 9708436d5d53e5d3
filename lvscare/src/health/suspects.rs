//! Which servers do not answer this node's own clients?
//!
//! A server can pass every small packet and lose the large ones (a tunnel that is narrower than it says, an MTU of one
//! interface too high). Questions over a held connection are small, and so are their answers; a client that begins a TLS
//! handshake gets a certificate, which is large. So clients of the virtual server are looked at: one whose first words were
//! acknowledged and never answered makes its server a suspect. That is no verdict, since a client may have reasons of its
//! own. It makes the server's checker renew its connection now, and what that handshake sees counts.
//!
//! While nobody waits, this costs one listing of sockets each time and no packet.

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

/// Looks until the task is dropped.
pub async fn run(active: watch::Receiver<Arc<ActiveConfig>>) {
    let mut suspects = Suspects::default();
    loop {
        timer::sleep(jitter::spread(INTERVAL, fastrand::f64())).await;
        let active = active.borrow().clone();
        for service in &active.config.services {
            let waiting = match unanswered(service.at, SILENCE) {
                Ok(waiting) if waiting.is_empty() => continue,
                Ok(waiting) => waiting,
                Err(error) => {
                    debug!(%error, "clients of {}", service.at);
                    continue;
                }
            };
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
