//! Which servers count as masters, given the lists that the API answers one after another. Pure; time is passed in.
//!
//! What the API lists is probed at once: a server too many costs a few probes. A server too few may cost the node
//! its connection, so one that the API lists no longer is kept for a while:
//!
//! | the API lists no longer | dropped |
//! |---|---|
//! | any server, while fewer than half of those that it does list are alive | not at all |
//! | at most half of the last settled list | after [`MISSES_TO_DROP`] answers without it |
//! | more than half, and the server is not alive either | after [`MISSES_TO_DROP`] answers without it |
//! | more than half, and the server is alive or nothing is known of it | after [`MISSES_TO_DROP_IF_ALIVE`] answers without it |
//!
//! The answers have to follow one another; one that lists the server again starts the count anew. Answers closer
//! to each other than a set spacing count once: when questions fail they are repeated quickly, and that is just
//! when the answers are doubtful. A list is settled when it is what the API says.
//!
//! # Cases
//!
//! - *All masters replaced, one after the other*: each new one joins at the first answer that lists it, each old
//!   one leaves [`MISSES_TO_DROP`] answers after it was removed, and new ones are alive by then.
//! - *All replaced at once, or the advertised addresses cannot be reached from here*: the new ones are probed
//!   while the old ones serve. Until half of the new ones are alive nobody leaves, however long that takes.
//! - *A master is dead and its lease runs out*: it leaves after [`MISSES_TO_DROP`] answers. Its probes do no harm till then.
//! - *An apiserver in a partition lists only itself*: the others are alive, hence [`MISSES_TO_DROP_IF_ALIVE`]. Questions go through
//!   the virtual server, so the others are asked as well, and every answer of theirs starts the count anew.
//! - *The way back*: a server that is listed again is a member again at once.
//! - *All known servers are dead*, perhaps because the list is older than the masters: [`Members::rescue`] adds
//!   the configured ones. They leave as any other that the API does not list.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// No cluster has so many masters; a longer list is a mistake.
pub const MOST: usize = 64;

/// So many answers in a row without a server are normally enough to drop it.
pub const MISSES_TO_DROP: u32 = 3;

/// So many are, when the answer would take away more than half and the server may well be alive.
pub const MISSES_TO_DROP_IF_ALIVE: u32 = 10;

/// What is known of a server's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// A probe has confirmed it.
    Alive,
    /// A probe has found it dead, sick or draining.
    NotAlive,
    /// No probe has ended yet.
    Unknown,
}

/// The servers that count as masters.
#[derive(Clone, Debug)]
pub struct Members {
    /// Each with the number of answers in a row that did not list it.
    servers: BTreeMap<SocketAddr, u32>,
    /// The members when they were last just what the API listed.
    settled: BTreeSet<SocketAddr>,
    /// Answers closer than this count once.
    spacing: Duration,
    /// When an answer last counted.
    counted: Option<Instant>,
}

/// What an answer changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Servers that are new.
    pub added: Vec<SocketAddr>,
    /// Servers that are no longer members.
    pub dropped: Vec<SocketAddr>,
    /// Members that the answer did not list.
    pub kept: Vec<SocketAddr>,
}

impl Members {
    /// Starts with what was known before, which is taken for settled.
    pub fn new(known: impl IntoIterator<Item = SocketAddr>, spacing: Duration) -> Self {
        let settled: BTreeSet<SocketAddr> = known.into_iter().take(MOST).collect();
        let servers = settled.iter().map(|&server| (server, 0)).collect();
        Self { servers, settled, spacing, counted: None }
    }

    /// The members, sorted.
    pub fn servers(&self) -> Vec<SocketAddr> {
        self.servers.keys().copied().collect()
    }

    /// Takes in what the API answered at `now`. An empty answer is no answer.
    pub fn learn(
        &mut self,
        answer: &BTreeSet<SocketAddr>,
        health: impl Fn(SocketAddr) -> Health,
        now: Instant,
    ) -> Step {
        if answer.is_empty() {
            return Step::default();
        }
        let before: BTreeSet<SocketAddr> = self.servers.keys().copied().collect();
        let counts =
            self.counted.is_none_or(|counted| now.saturating_duration_since(counted) >= self.spacing);
        if counts {
            self.counted = Some(now);
        }
        for (server, absences) in &mut self.servers {
            if answer.contains(server) {
                *absences = 0;
            } else if counts {
                *absences = absences.saturating_add(1);
            }
        }
        for &server in answer {
            self.servers.entry(server).or_default();
        }

        let alive = answer.iter().filter(|&&server| health(server) == Health::Alive).count();
        if alive > 0 && alive >= answer.len().div_ceil(2) {
            let many = self.settled.difference(answer).count() > self.settled.len() / 2;
            self.servers.retain(|server, absences| {
                let patience = if many && health(*server) != Health::NotAlive {
                    MISSES_TO_DROP_IF_ALIVE
                } else {
                    MISSES_TO_DROP
                };
                *absences < patience
            });
        }
        self.limit(answer, health);

        let after: BTreeSet<SocketAddr> = self.servers.keys().copied().collect();
        let step = Step {
            added: after.difference(&before).copied().collect(),
            dropped: before.difference(&after).copied().collect(),
            kept: after.difference(answer).copied().collect(),
        };
        if step.kept.is_empty() {
            self.settled = after;
        }
        step
    }

    /// When no member is alive, makes members of the configured servers as well, and says which are new.
    pub fn rescue(
        &mut self,
        configured: &[SocketAddr],
        health: impl Fn(SocketAddr) -> Health,
    ) -> Vec<SocketAddr> {
        if !self.servers.keys().all(|&server| health(server) == Health::NotAlive) {
            return Vec::new();
        }
        let mut added = Vec::new();
        for &server in configured {
            if self.servers.len() < MOST && !self.servers.contains_key(&server) {
                self.servers.insert(server, 0);
                added.push(server);
            }
        }
        added
    }

    /// Leaves [`MOST`] members: one that is alive, whoever it is, then the listed, then other alive ones.
    fn limit(&mut self, answer: &BTreeSet<SocketAddr>, health: impl Fn(SocketAddr) -> Health) {
        if self.servers.len() <= MOST {
            return;
        }
        let is_alive = |server: &SocketAddr| health(*server) == Health::Alive;
        let first = self.servers.keys().copied().find(is_alive);
        let mut ranked = self.servers();
        ranked.sort_by_key(|server| (Some(*server) != first, !answer.contains(server), !is_alive(server)));
        for server in ranked.split_off(MOST) {
            self.servers.remove(&server);
        }
    }
}
