//! Which servers of one virtual server stand in the table, given the condition of each. Pure.
//!
//! Normally that is every [`Condition::Alive`] server. The rest of this module is about never emptying the
//! table by mistake:
//!
//! | mode | when | who serves |
//! |---|---|---|
//! | [`Normal`](Mode::Normal) | somebody is alive | the alive ones |
//! | [`Unready`](Mode::Unready) | nobody is alive, somebody is draining | the draining ones; if there is none, those that an administrator has drained and that are well |
//! | [`LastResort`](Mode::LastResort) | neither, but not all are certainly dead | those of the last good set that are not certainly dead; if none is left, the sick ones; if there is none, all that are not certainly dead |
//! | [`Empty`](Mode::Empty) | all are certainly dead | nobody: the virtual server is deleted, so that clients are refused at once |
//!
//! A dead server leaves the table, and its connections are cut, only when it is lost: for certain, or confirmed by a
//! [witness](super::witness). Until then it stays at weight 0, without new connections.
//!
//! Where a preferred server is alive (the node's own apiserver, with `--prefer-local`) it serves alone, and the
//! other alive ones stand by at weight 0: they take over within one pass, and a return cuts nobody off.
//!
//! An emptied pool fills again only with a server that is alive or draining: silence alone would trade an
//! instant refusal for a hanging connection.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Condition, Verdict};
use crate::model::SeenDestination;

#[cfg(test)]
mod tests;

/// A drained server stays this long even without connections: one may just be opening, and the kernel
/// counts it as active only once it is established.
const SETTLE: Duration = Duration::from_secs(1);

/// Servers that fall to one blow (their common etcd, their common switch) are judged one after another. Who
/// stopped serving within this time of the last one belongs to the last good set as well.
const SAME_BLOW: Duration = Duration::from_secs(10);

/// A server is not removed on a word that is older than this: this node may have been late, and the server may be back.
const FRESH: Duration = Duration::from_secs(1);

/// Who serves, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Every alive server.
    #[default]
    Normal,
    /// No server is ready; those that are merely draining serve.
    Unready,
    /// No server is healthy; the last good set serves.
    LastResort,
    /// Every server is certainly dead; nobody serves.
    Empty,
}

/// One configured real server and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Its address.
    pub server: SocketAddr,
    /// Its configured weight.
    pub weight: u32,
    /// Whether it serves alone while it is alive.
    pub preferred: bool,
    /// Whether an administrator has taken it out of service.
    pub drained: bool,
    /// The latest word of its checker.
    pub verdict: &'a Verdict,
}

/// What should stand in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who serves, and why.
    pub mode: Mode,
    /// The real servers with their weights; `None`: no virtual server at all.
    pub destinations: Option<BTreeMap<SocketAddr, u32>>,
    /// Servers that are in the table now and must leave it with their open connections cut.
    pub cut: Vec<SocketAddr>,
    /// Somebody is lost, but that was said too long ago: it must be said again before anybody is cut.
    pub stale: bool,
}

/// The memory of one virtual server: who served last, and why.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    mode: Mode,
    serving: BTreeSet<SocketAddr>,
    /// Who serves or stands by, both as it should be.
    in_service: BTreeSet<SocketAddr>,
    /// When each server that was in service before left it; a sick one may have served for long.
    left: BTreeMap<SocketAddr, Instant>,
}

impl Pool {
    /// Who served after the latest decision, and why.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Decides who serves. `present` is what the table holds, `drain_timeout` bounds how long a server that
    /// no longer serves may keep its open connections.
    pub fn decide(
        &mut self,
        members: &[Member<'_>],
        present: &BTreeMap<SocketAddr, SeenDestination>,
        drain_timeout: Duration,
        now: Instant,
    ) -> Decision {
        let (mode, serving) = self.choose(members, now);
        let is_member = |server: &SocketAddr| members.iter().any(|member| member.server == *server);
        let stands_by =
            |member: &&Member<'_>| member.verdict.condition == Condition::Alive && !member.drained;
        let alive = members.iter().filter(stands_by);
        let in_service: BTreeSet<SocketAddr> =
            serving.iter().copied().chain(alive.map(|member| member.server)).collect();
        self.left.retain(|server, _| is_member(server));
        self.left.extend(self.in_service.difference(&in_service).map(|&server| (server, now)));
        (self.mode, self.serving, self.in_service) = (mode, serving, in_service);

        let mut destinations = BTreeMap::new();
        let mut cut = Vec::new();
        let mut stale = false;
        for member in members {
            if self.serving.contains(&member.server) {
                destinations.insert(member.server, member.weight);
            } else if member.verdict.condition == Condition::Alive && !member.drained {
                // It stands by for a preferred one.
                destinations.insert(member.server, 0);
            } else if let Some(seen) = present.get(&member.server) {
                if !member.verdict.verified {
                    // Found at weight 0 at start: neither re-admitted nor removed before the first verdict.
                    destinations.insert(member.server, 0);
                } else if member.verdict.condition == Condition::Dead {
                    // Without proof it may be this node that is cut off.
                    let is_lost = member.verdict.certain || member.verdict.confirmed;
                    let is_fresh = now.saturating_duration_since(member.verdict.seen) <= FRESH;
                    stale |= is_lost && !is_fresh;
                    if is_lost && is_fresh {
                        cut.push(member.server);
                    } else {
                        destinations.insert(member.server, 0);
                    }
                } else if self.lingers(member, seen, drain_timeout, now) {
                    destinations.insert(member.server, 0);
                } else {
                    cut.push(member.server);
                }
            }
        }
        let destinations = (self.mode != Mode::Empty).then_some(destinations);
        Decision { mode: self.mode, destinations, cut, stale }
    }

    fn choose(&self, members: &[Member<'_>], now: Instant) -> (Mode, BTreeSet<SocketAddr>) {
        let such = |wanted: &dyn Fn(&Member<'_>) -> bool| -> BTreeSet<SocketAddr> {
            members.iter().filter(|member| wanted(member)).map(|member| member.server).collect()
        };
        let condition = |wanted| such(&|member| !member.drained && member.verdict.condition == wanted);
        let able = |member: &Member<'_>| member.verdict.condition >= Condition::Draining;
        let hopeful = |member: &Member<'_>| !member.verdict.certain;
        let just_left = |server: &SocketAddr| {
            let age = self.left.get(server).map(|&left| now.saturating_duration_since(left));
            self.mode != Mode::LastResort && age.is_some_and(|age| age < SAME_BLOW)
        };
        let good = |server: &SocketAddr| self.serving.contains(server) || just_left(server);

        let candidates = [
            (
                Mode::Normal,
                condition(Condition::Alive)
                    .intersection(&such(&|member| member.preferred))
                    .copied()
                    .collect(),
            ),
            (Mode::Normal, condition(Condition::Alive)),
            (Mode::Unready, condition(Condition::Draining)),
            // The wish of an administrator ends where nobody else is left.
            (Mode::Unready, such(&able)),
            (Mode::LastResort, such(&|member| hopeful(member) && good(&member.server))),
            (Mode::LastResort, condition(Condition::Sick)),
            (Mode::LastResort, such(&|member| hopeful(member))),
        ];
        candidates
            .into_iter()
            .filter(|(mode, _)| *mode != Mode::LastResort || self.mode != Mode::Empty)
            .find(|(_, servers)| !servers.is_empty())
            .unwrap_or((Mode::Empty, BTreeSet::new()))
    }

    /// Whether a server that is no longer in service may keep its open connections for now.
    fn lingers(&self, member: &Member<'_>, seen: &SeenDestination, limit: Duration, now: Instant) -> bool {
        let left = self.left.get(&member.server).unwrap_or(&member.verdict.since);
        let age = now.saturating_duration_since(*left);
        age < limit && (seen.active > 0 || age < SETTLE)
    }
}
