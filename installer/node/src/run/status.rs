//! What is there of the three things that a prepared node has and that can be seen, and what is not as it should be.

use std::net::SocketAddr;
use std::path::Path;

use lvscare::model::Sysctl;
use lvscare::status::Status;

use crate::api::{Failure, HostEntry, NodeStatus, Outcome};
use crate::facts::{self, former, installed, kubelet};
use crate::journal::{Journal, Original, Restart};
use crate::machine::Machine;
use crate::paths;
use crate::render::hosts;

/// Answers the request.
pub fn run<M: Machine>(machine: &mut M) -> Result<Outcome, Failure> {
    let journal = Journal::of(machine)?;
    Ok(Outcome::Status(look(machine, &journal)?))
}

/// Looks. Where the virtual server is, the manifest says, and else the journal.
pub fn look<M: Machine>(machine: &mut M, journal: &Journal) -> Result<NodeStatus, Failure> {
    let bytes = facts::read(machine, paths::HOSTS)?.map(|content| content.bytes).unwrap_or_default();
    let hosts = hosts::list(&bytes)?;
    let manifest = facts::read(machine, paths::POD)?.map(|_| paths::POD.into());
    let told = installed::told(machine).and_then(|told| told.config().ok());
    let recorded = journal.services().pop();
    // Where nothing was made and nothing is told, there is nothing to look for.
    let place = match (&told, recorded) {
        (Some(config), _) => config.services.first().map(|service| (service.at, config.listen)),
        (None, recorded) => recorded,
    };
    let (rules, rules_unknown) = match place {
        None => (None, Some("none were made on this node".to_owned())),
        Some((at, listen)) => match seen(machine, at, listen) {
            Ok(status) => (Some(status), None),
            Err(failure) => (None, Some(failure.message)),
        },
    };
    let mut status = NodeStatus {
        manifest,
        rules,
        rules_unknown,
        hosts,
        prepared: !journal.is_empty(),
        differences: Vec::new(),
    };
    if let Some((at, _)) = recorded {
        status.differences.extend(data_path(machine, &status, at)?);
    }
    if status.manifest.is_some() {
        status.differences.extend(former::guards(machine).into_iter().map(|(path, _)| {
            format!(
                "{} runs an older lvscare as well; lvscare-installer node adopt takes it over",
                path.display()
            )
        }));
    }
    if journal.is_joining() {
        status.differences.push("a join was begun that kubeadm never said was done".to_owned());
    }
    for restart in journal.restarts() {
        let what = match restart {
            Restart::Kubelet => "kubelet".to_owned(),
            Restart::Pod(manifest) => manifest.display().to_string(),
        };
        status.differences.push(format!(
            "certificates were renewed that {what} has not read yet; run `lvscare-installer node cert renew` again"
        ));
    }
    for original in journal.originals() {
        status.differences.extend(difference(machine, journal, original, &status.hosts)?);
    }
    if let Some(listen) = told.and_then(|config| config.listen)
        && kubelet::joined(machine).is_some()
        && machine.daemon(listen).is_none()
    {
        status.differences.push(format!("no daemon answers on {listen}, although kubelet should run it"));
    }
    Ok(status)
}

/// What the daemon says, and without one the kernel.
fn seen<M: Machine>(machine: &mut M, at: SocketAddr, listen: Option<SocketAddr>) -> Result<Status, Failure> {
    if let Some(status) = listen.and_then(|listen| machine.daemon(listen)) {
        return Ok(status);
    }
    Ok(Status::of_kernel(&machine.rules(&[at])?, [&at]))
}

/// The virtual server and its route, as far as they may be seen.
fn data_path<M: Machine>(
    machine: &mut M,
    status: &NodeStatus,
    at: SocketAddr,
) -> Result<Vec<String>, Failure> {
    if status.rules.is_none() {
        return Ok(Vec::new());
    }
    let actual = machine.rules(&[at])?;
    let mut differences = Vec::new();
    match actual.services.get(&at) {
        None => differences.push(format!("the virtual server {at} is not in the kernel")),
        Some(seen) if seen.destinations.is_empty() => {
            differences.push(format!("the virtual server {at} has no real servers"));
        }
        Some(_) => {}
    }
    if !actual.routes.contains_key(&at.ip()) {
        differences.push(format!("there is no local route to {}", at.ip()));
    }
    Ok(differences)
}

/// What is not as we left it.
fn difference<M: Machine>(
    machine: &M,
    journal: &Journal,
    original: &Original,
    entries: &[HostEntry],
) -> Result<Option<String>, Failure> {
    Ok(match original {
        Original::File { path, .. } | Original::Program { path, .. } if path != Path::new(paths::JOIN) => {
            match facts::digest(machine, path)? {
                None => journal.has_written(path).then(|| format!("{} is gone", path.display())),
                Some(now) if journal.is_other(path, &now) => {
                    Some(format!("{} was changed by somebody else", path.display()))
                }
                Some(_) => None,
            }
        }
        Original::HostsEntry { name, .. } => {
            let is_there = entries.iter().any(|entry| entry.name == *name);
            (!is_there).then(|| format!("{} says nothing of {name} any more", paths::HOSTS))
        }
        Original::Sysctl { name, .. } => {
            let now = facts::sysctl(machine, name);
            let ours = Sysctl::ALL.into_iter().find(|sysctl| sysctl.name() == name);
            let wanted = ours.map_or(1, Sysctl::wanted).to_string();
            now.filter(|now| *now != wanted).map(|now| format!("{name} is {now} instead of {wanted}"))
        }
        _ => None,
    })
}
