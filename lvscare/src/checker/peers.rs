//! What the checkers of one virtual server tell each other: who is alive, who has answered lately, and who is to be asked
//! out of turn: as a witness, or because it is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::health::cadence::ENOUGH;
use crate::health::witness::Answer;
use crate::log_throttle::LogThrottle;

/// So many witnesses are asked for: one may be about to fall as well. But all nodes see a server fail, and handshakes
/// are dear: one of those must do.
const WITNESSES: usize = 2;

/// The real servers of one virtual server.
#[derive(Debug)]
pub struct Peers {
    servers: Mutex<BTreeMap<SocketAddr, Peer>>,
    shortages: Mutex<LogThrottle>,
    pub(super) is_this_node: fn(IpAddr) -> bool,
}

impl Default for Peers {
    /// No servers yet.
    fn default() -> Self {
        Self { servers: Mutex::default(), shortages: Mutex::default(), is_this_node }
    }
}

#[derive(Clone, Debug, Default)]
struct Peer {
    wanted: Arc<Wanted>,
    alive: bool,
    /// Its latest answer, unless a question has failed since.
    answer: Option<Answer>,
}

/// Tells one checker that its server is to be asked now.
#[derive(Debug, Default)]
pub struct Wanted {
    notify: Notify,
    anew: AtomicBool,
}

impl Wanted {
    /// Waits for that. Cancel-safe: whoever is not waiting is told as soon as it does.
    pub async fn wanted(&self) {
        self.notify.notified().await;
    }

    /// Whether the next question is to be asked over a new connection.
    pub fn take_anew(&self) -> bool {
        self.anew.swap(false, Ordering::Relaxed)
    }
}

impl Peers {
    /// A server's checker begins its work; whether it is taken for alive.
    pub fn join(&self, server: SocketAddr, alive: bool) -> Arc<Wanted> {
        let mut servers = self.servers();
        let peer = servers.entry(server).or_default();
        peer.alive = alive;
        peer.wanted.clone()
    }

    /// Only these servers have checkers.
    pub fn retain(&self, servers: &BTreeSet<SocketAddr>) {
        let mut peers = self.servers();
        let before = alive(&peers);
        peers.retain(|server, _| servers.contains(server));
        ask_needed(&peers, before);
    }

    /// `server` is taken for alive, or not any more.
    pub fn turned(&self, server: SocketAddr, is_alive: bool) {
        let mut peers = self.servers();
        let before = alive(&peers);
        if let Some(peer) = peers.get_mut(&server) {
            peer.alive = is_alive;
        }
        ask_needed(&peers, before);
    }

    /// How many servers beside `server` are alive.
    pub fn others_alive(&self, server: SocketAddr) -> usize {
        let servers = self.servers();
        servers.iter().filter(|(other, peer)| peer.alive && **other != server).count()
    }

    /// What became of a question to `server`.
    pub fn ended(&self, server: SocketAddr, answer: Option<Answer>) {
        if let Some(peer) = self.servers().get_mut(&server) {
            peer.answer = answer;
        }
    }

    /// The latest answers of the servers beside `server` that can be witnesses against it, as far as they are `wanted`.
    pub fn witnesses(&self, server: SocketAddr, wanted: impl Fn(&Answer) -> bool) -> Vec<Answer> {
        let answers = self.others(server).into_iter().map(|(other, _, answer)| (other, answer));
        let witnesses = answers.filter(|(other, answer)| wanted(answer) && !(self.is_this_node)(other.ip()));
        witnesses.map(|(_, answer)| answer).collect()
    }

    /// Asks others for an answer now, unless they have been asked since `began`. With `anew` the answer must come over a
    /// new connection.
    pub fn ask_others(&self, server: SocketAddr, began: Instant, anew: bool) {
        let others = self.others(server);
        let told = |answer: &Answer| answer.began > began && (answer.anew || !anew);
        if others.iter().any(|(other, _, answer)| told(answer) && !(self.is_this_node)(other.ip())) {
            return;
        }
        let remote = others.into_iter().filter(|(other, ..)| !(self.is_this_node)(other.ip()));
        for (_, wanted, _) in remote.take(if anew { 1 } else { WITNESSES }) {
            wanted.anew.fetch_or(anew, Ordering::Relaxed);
            wanted.notify.notify_one();
        }
    }

    /// This node could not ask. Whether that is to be said, since all of them will have the same trouble.
    pub fn admit_shortage(&self, why: &str, now: Instant) -> Option<u64> {
        self.shortages.lock().unwrap_or_else(PoisonError::into_inner).allow(why, now)
    }

    /// The servers beside `server` whose latest question was answered.
    fn others(&self, server: SocketAddr) -> Vec<(SocketAddr, Arc<Wanted>, Answer)> {
        let servers = self.servers();
        let others = servers.iter().filter(|(other, _)| **other != server);
        others.filter_map(|(other, peer)| Some((*other, peer.wanted.clone(), peer.answer?))).collect()
    }

    fn servers(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Peer>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn alive(peers: &BTreeMap<SocketAddr, Peer>) -> usize {
    peers.values().filter(|peer| peer.alive).count()
}

/// So many were alive `before`. Where enough were and are not any more, those that are out are needed, and asked now:
/// their turn may come in seconds.
fn ask_needed(peers: &BTreeMap<SocketAddr, Peer>, before: usize) {
    if before >= ENOUGH && alive(peers) < ENOUGH {
        peers.values().filter(|peer| !peer.alive).for_each(|peer| peer.wanted.notify.notify_one());
    }
}

/// Whether packets to `address` never leave this node, so that an answer from there says nothing about the way out. The
/// kernel tells by the source address that it would use; nothing is sent. Where it cannot be asked, nothing is proved.
fn is_this_node(address: IpAddr) -> bool {
    let any =
        if address.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        // Any port will do, but zero.
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    source.map_or(true, |source| source.ip() == address || source.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn server(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 6443).into()
    }

    /// Four servers, of which the last is this node.
    fn peers() -> Peers {
        let peers = Peers { is_this_node: |address| address == server(4).ip(), ..Peers::default() };
        for last in 1..=4 {
            peers.join(server(last), true);
        }
        peers
    }

    fn answer(began: Instant, anew: bool) -> Answer {
        Answer { began, ended: began + Duration::from_millis(1), anew }
    }

    /// Who is asked for an answer, and whether over a new connection.
    fn asked(peers: &Peers) -> Vec<(u8, bool)> {
        let asked = (1..=4).filter_map(|last| {
            let wanted = peers.servers().get(&server(last))?.wanted.clone();
            poll(wanted.wanted()).map(|()| (last, wanted.take_anew()))
        });
        asked.collect()
    }

    /// What a future has to say right now.
    fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn whoever_answered_lately_is_asked() {
        let peers = peers();
        let now = Instant::now();
        peers.ask_others(server(1), now, false);
        assert_eq!(asked(&peers), [], "nobody has answered yet");
        for last in 2..=4 {
            peers.ended(server(last), Some(answer(now, false)));
        }
        peers.ask_others(server(1), now, false);
        assert_eq!(asked(&peers), [(2, false), (3, false)]);
        peers.ended(server(2), None);
        peers.ask_others(server(1), now, true);
        assert_eq!(asked(&peers), [(3, true)]);
    }

    #[test]
    fn whoever_has_answered_since_is_left_alone() {
        let peers = peers();
        let now = Instant::now();
        let later = now + Duration::from_millis(1);
        peers.ended(server(2), Some(answer(later, false)));
        peers.ask_others(server(1), now, false);
        assert_eq!(asked(&peers), []);
        peers.ask_others(server(1), now, true);
        assert_eq!(asked(&peers), [(2, true)], "not over a new connection");
        peers.ended(server(2), Some(answer(later, true)));
        peers.ask_others(server(1), now, true);
        assert_eq!(asked(&peers), []);
    }

    #[test]
    fn neither_this_node_nor_the_accused_is_a_witness() {
        let peers = peers();
        let now = Instant::now();
        for last in [1, 4] {
            peers.ended(server(last), Some(answer(now, true)));
        }
        assert_eq!(peers.witnesses(server(1), |_| true), []);
        peers.ask_others(server(1), now, false);
        assert_eq!(asked(&peers), []);
        assert_eq!(peers.witnesses(server(2), |_| true).len(), 1);
        assert_eq!(peers.witnesses(server(2), |_| false), []);
        assert!(is_this_node(IpAddr::from([127, 0, 0, 1])));
        assert!(is_this_node(IpAddr::from([127, 1, 2, 3])));
    }

    /// Who falls last is asked again at once as well: nobody is needed more.
    #[test]
    fn who_is_out_is_asked_once_it_is_needed() {
        let peers = peers();
        for (turned, alive, others, asked_now) in [
            (1, false, [3, 2, 2, 2], &[][..]),
            (2, false, [2, 2, 1, 1], &[]),
            (3, false, [1, 1, 1, 0], &[1, 2, 3]),
            (4, false, [0, 0, 0, 0], &[]),
            (1, true, [0, 1, 1, 1], &[]),
            (2, true, [1, 1, 2, 2], &[]),
        ] {
            peers.turned(server(turned), alive);
            assert_eq!([1, 2, 3, 4].map(|last| peers.others_alive(server(last))), others, "{turned} {alive}");
            let asked: Vec<u8> = asked(&peers).into_iter().map(|(last, _)| last).collect();
            assert_eq!(asked, asked_now, "{turned} {alive}");
        }
        // Whoever is taken out of the configuration serves nobody either.
        peers.retain(&BTreeSet::from([server(1), server(3), server(4)]));
        assert_eq!(asked(&peers).len(), 2);
    }

    #[test]
    fn who_is_not_configured_any_more_is_forgotten() {
        let peers = peers();
        peers.ended(server(2), Some(answer(Instant::now(), true)));
        peers.retain(&BTreeSet::from([server(1)]));
        assert_eq!(peers.witnesses(server(1), |_| true), []);
    }
}
