//! What changes when masters are replaced. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lvscare::config::Config;
use lvscare::model::{Change, Destination, SeenDestination};

use crate::desired::{DesiredFile, DesiredNode};
use crate::facts::node::Facts;
use crate::step::{Content, Step};

/// The steps, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// New masters serve.
    pub add: Vec<Step>,
    /// The manifest names them.
    pub write: Vec<Step>,
    /// Others get no new connections.
    pub drain: Vec<Step>,
    /// And are gone.
    pub remove: Vec<Step>,
}

impl Steps {
    /// Every step.
    pub fn all(&self) -> impl Iterator<Item = &Step> {
        self.add.iter().chain(&self.write).chain(&self.drain).chain(&self.remove)
    }
}

/// The manifest, if it is to change. Its permissions stay as they are.
pub fn manifest(desired: &DesiredNode, facts: &Facts) -> Vec<Step> {
    let write = |file: &DesiredFile| {
        let before = facts.files.get(Path::new(file.path))?;
        let after = Content { bytes: file.bytes.clone(), ..before.clone() };
        let path = PathBuf::from(file.path);
        (*before != after).then(|| Step::WriteFile {
            path,
            before: Some(before.clone()),
            after,
            secret: false,
        })
    };
    desired.files.iter().filter_map(write).collect()
}

/// Steps that add, drain and remove.
pub type Rules = (Vec<Step>, Vec<Step>, Vec<Step>);

/// What changes in the table when nobody guards it. Pure.
pub fn rules(
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
            None => add.push(Step::Rule(Change::AddServer { at, server, destination })),
            Some(seen) if seen.destination != destination => {
                add.push(Step::Rule(Change::UpdateServer { at, server, destination }));
            }
            Some(_) => {}
        }
    }
    for (&server, seen) in present.iter().filter(|(server, _)| !wanted.contains_key(server)) {
        // Of a dead one the connections are freed at once.
        if seen.destination.weight > 0 && !is_dead(&server) {
            let destination = Destination { weight: 0, ..seen.destination };
            drain.push(Step::Rule(Change::UpdateServer { at, server, destination }));
        }
        remove.push(Step::Rule(Change::RemoveServer { at, server }));
    }
    (add, drain, remove)
}

#[cfg(test)]
mod tests;
