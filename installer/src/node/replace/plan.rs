//! What changes when masters are replaced. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lvscare::config::Config;
use lvscare::model::{Change, Destination, SeenDestination};

use crate::files::Content;
use crate::node::action::Action;
use crate::node::facts::Facts;
use crate::node::wanted::{Wanted, WantedFile};

/// The steps, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// New masters serve.
    pub add: Vec<Action>,
    /// The manifest names them.
    pub write: Vec<Action>,
    /// Others get no new connections.
    pub drain: Vec<Action>,
    /// And are gone.
    pub remove: Vec<Action>,
}

impl Steps {
    /// Every step.
    pub fn all(&self) -> impl Iterator<Item = &Action> {
        self.add.iter().chain(&self.write).chain(&self.drain).chain(&self.remove)
    }
}

/// The manifest, if it is to change. Its permissions stay as they are.
pub(super) fn manifest(wanted: &Wanted, facts: &Facts) -> Vec<Action> {
    let write = |file: &WantedFile| {
        let before = facts.files.get(Path::new(file.path))?;
        let after = Content { bytes: file.bytes.clone(), ..before.clone() };
        let path = PathBuf::from(file.path);
        (*before != after).then(|| Action::WriteFile {
            path,
            before: Some(before.clone()),
            after,
            secret: false,
        })
    };
    wanted.files.iter().filter_map(write).collect()
}

pub(super) type Rules = (Vec<Action>, Vec<Action>, Vec<Action>);

/// What changes in the table when nobody guards it. Pure.
pub(super) fn rules(
    at: SocketAddr,
    config: &Config,
    present: &BTreeMap<SocketAddr, SeenDestination>,
    answers: impl Fn(&SocketAddr) -> bool,
    is_dead: impl Fn(&SocketAddr) -> bool,
) -> Rules {
    let (mut add, mut drain, mut remove): Rules = Default::default();
    let wanted: BTreeMap<_, _> = config
        .services
        .iter()
        .filter(|service| service.at == at)
        .flat_map(|service| &service.servers)
        .map(|server| (server.address, Destination::masqueraded(server.weight)))
        .collect();
    for (&server, &destination) in wanted.iter().filter(|(server, _)| answers(server)) {
        match present.get(&server) {
            None => add.push(Action::Rule(Change::AddServer { at, server, destination })),
            Some(seen) if seen.destination != destination => {
                add.push(Action::Rule(Change::UpdateServer { at, server, destination }));
            }
            Some(_) => {}
        }
    }
    for (&server, seen) in present.iter().filter(|(server, _)| !wanted.contains_key(server)) {
        // Of a dead one the connections are freed at once.
        if seen.destination.weight > 0 && !is_dead(&server) {
            let destination = Destination { weight: 0, ..seen.destination };
            drain.push(Action::Rule(Change::UpdateServer { at, server, destination }));
        }
        remove.push(Action::Rule(Change::RemoveServer { at, server }));
    }
    (add, drain, remove)
}

#[cfg(test)]
mod tests;
