//! One contender at work in a laboratory of its own.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::caller::{Call, Caller};
use super::contender::{Contender, Kind, Way, Witness};
use crate::daemon::{TableReader, URL, vip};
use crate::lab::{Lab, Master, NODE};
use crate::process::Process;

/// Between two looks at the table; a look costs the emulated machine half a millisecond.
const LOOK: Duration = Duration::from_millis(2);

/// So many good calls in a row mean that a proxy no longer uses a server: its turn would have come thrice.
const CONVINCING: usize = 9;

/// Whoever is not usable then will not be.
const STARTED: Duration = Duration::from_secs(60);

/// Programs get so long to end by themselves.
const FAREWELL: Duration = Duration::from_secs(10);

/// A contender, running.
pub(super) struct Stage<'a> {
    pub(super) lab: &'a Lab,
    pub(super) contender: &'static Contender,
    pub(super) process: Process,
    /// What has not happened after so long is not waited for.
    pub(super) patience: Duration,
    reader: TableReader,
}

impl<'a> Stage<'a> {
    /// Starts it and waits until it is usable, which is all servers in the table, or a connection that works. Says
    /// how long that took.
    pub(super) fn start(
        lab: &'a Lab,
        contender: &'static Contender,
        patience: Duration,
    ) -> (Self, Option<Duration>) {
        if contender.kind != Kind::Ours {
            route(lab);
        }
        let command = (contender.command)(lab);
        let reader = TableReader::open(lab.node());
        let began = Instant::now();
        let stage = Self { lab, contender, process: run(lab, &command), patience, reader };
        let usable = wait(STARTED, began, || stage.is_usable());
        (stage, usable)
    }

    /// Ends it as an administrator would.
    pub(super) fn stop(mut self) {
        self.process.signal(Signal::SIGTERM);
        let began = Instant::now();
        while self.process.ended().is_none() && began.elapsed() < FAREWELL {
            sleep(LOOK);
        }
    }

    /// All servers take connections.
    pub(super) fn is_usable(&self) -> bool {
        match self.contender.way {
            Way::Ipvs => self.reader.weights(vip()).is_some_and(|weights| {
                weights.len() == self.lab.masters().len() && weights.values().all(|&weight| weight > 0)
            }),
            Way::Proxy(_) => self.lab.get(self.lab.node(), URL, self.patience).is_ok(),
        }
    }

    /// How long after `since` new connections ceased to go to `server`.
    pub(super) fn wait_out(&self, server: &Master, caller: &Caller, since: Instant) -> Option<Duration> {
        match self.contender.way {
            Way::Ipvs => self.wait(since, || !self.is_in(server)),
            Way::Proxy(Witness::Log { down, .. }) => self.wait(since, || self.says_lately(server, down)),
            Way::Proxy(Witness::Calls) => {
                let good = |call: &Call| call.answered_by.as_ref().is_some_and(|by| by != server.name());
                let calm = |calls: &[Call]| calls.iter().rev().take_while(|call| good(call)).count();
                self.wait(since, || calm(&caller.since(since)) >= CONVINCING)?;
                let calls = caller.since(since);
                let last = calls.iter().rposition(|call| !good(call));
                // Nobody has noticed anything if there was no bad call at all.
                Some(last.map_or(Duration::ZERO, |last| calls[last + 1].began - since))
            }
        }
    }

    /// How long after `since` new connections went to `server`.
    pub(super) fn wait_back(&self, server: &Master, caller: &Caller, since: Instant) -> Option<Duration> {
        self.wait(since, || match self.contender.way {
            Way::Ipvs => self.is_in(server),
            Way::Proxy(Witness::Log { up, .. }) => self.says_lately(server, up),
            Way::Proxy(Witness::Calls) => {
                let calls = caller.since(since);
                calls.iter().any(|call| call.answered_by.as_deref() == Some(server.name()))
            }
        })
    }

    /// What the log says last about `server` has these words.
    fn says_lately(&self, server: &Master, words: &str) -> bool {
        let (log, name) = (self.process.log(), format!("/{} ", server.name()));
        log.lines().rfind(|line| line.contains(&name)).is_some_and(|line| line.contains(words))
    }

    /// How long after `since` `wanted` held, if patience was long enough.
    fn wait(&self, since: Instant, wanted: impl Fn() -> bool) -> Option<Duration> {
        wait(self.patience, since, wanted)
    }

    fn is_in(&self, server: &Master) -> bool {
        self.reader.weight(vip(), server.address()).is_some_and(|weight| weight > 0)
    }
}

/// How long after `since` `wanted` held, if it did within `limit`.
pub(super) fn wait(limit: Duration, since: Instant, wanted: impl Fn() -> bool) -> Option<Duration> {
    while since.elapsed() < limit {
        if wanted() {
            return Some(since.elapsed());
        }
        sleep(LOOK);
    }
    None
}

/// Starts a program on the laboratory's node.
pub(super) fn run(lab: &Lab, command: &[String]) -> Process {
    lab.node().spawn(&command.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Makes the virtual address local to the laboratory's node.
pub(super) fn route(lab: &Lab) {
    lab.node().ip(&format!("route add local {}/32 dev lo table local src {NODE}", vip().ip()));
}
