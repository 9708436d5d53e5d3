//! Other masters for a prepared node, without a gap: new ones first, then what makes them last, and those that are no
//! master any more only when their connections have ended.

use std::net::SocketAddr;
use std::time::Duration;

use super::prepare::left_out;
use super::session::Session;
use super::{reports, status};
use crate::api::{Changed, Event, Failure, Kind, Outcome, SetMastersRequest};
use crate::desired::{DesiredNode, Rendered, RenderedPod};
use crate::facts::installed::Installed;
use crate::facts::{self, node, reach};
use crate::journal::Journal;
use crate::machine::{Machine, until};
use crate::paths;
use crate::plan::masters::{Steps, manifest, rules};
use crate::render::{hosts, pod};
use crate::spec::{Part, masters};
use crate::step::Step;

/// A connection may just be opening, and the kernel does not count it yet.
const SETTLE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// Beyond its own limit, the daemon needs time to look.
const MARGIN: Duration = Duration::from_secs(10);

/// A set of masters that can take the place of the present one.
#[derive(Clone, Debug)]
struct Replacement {
    steps: Steps,
    notes: Vec<String>,
    desired: DesiredNode,
    guarded: bool,
}

/// Answers the request.
pub fn run<M: Machine>(
    machine: &mut M,
    request: &SetMastersRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    if request.change.dry_run {
        let journal = Journal::of(machine)?;
        let replacement = look(machine, &journal, request)?;
        return Ok(Outcome::Changed(Changed { planned: true, ..told(replacement) }));
    }
    let mut session = Session::open(machine, "node set-masters", tell)?;
    let done = look(session.machine, &session.journal, request).and_then(|replacement| {
        replace(&mut session, &replacement, request, tell)?;
        let status = status::look(session.machine, &session.journal)?;
        Ok(Changed { status: Some(status), ..told(replacement) })
    });
    session.close()?;
    Ok(Outcome::Changed(done?))
}

fn told(replacement: Replacement) -> Changed {
    let steps = reports(replacement.steps.all());
    Changed { changed: !steps.is_empty(), steps, notes: replacement.notes, ..Changed::default() }
}

/// Looks, and plans. Changes nothing.
fn look<M: Machine>(
    machine: &mut M,
    journal: &Journal,
    request: &SetMastersRequest,
) -> Result<Replacement, Failure> {
    let installed = Installed::of(machine, journal)?;
    let at = installed.daemon.vs;
    let masters = masters::addresses(&request.masters, at, |name| machine.lookup(name))?;
    let name = name_of(machine, at)?;
    let daemon = installed.daemon.with_masters(&masters);
    let config = daemon.config()?;
    let pod = match &installed.manifest {
        None => None,
        Some(content) => {
            let text = String::from_utf8_lossy(&content.bytes);
            let manifest = pod::with_arguments(&text, &daemon.arguments())?.into_bytes();
            Some(RenderedPod { manifest, image: pod::read(&text)?.image, daemon })
        }
    };
    let rendered = Rendered { pod, ..Rendered::default() };
    let skip = [Part::Modules, Part::Sysctl, Part::Hosts];
    let desired = DesiredNode::new(config, &name, rendered, &skip);
    let facts = node::gather(machine, journal, &desired)?;
    if facts.guarded && installed.manifest.is_none() {
        return Err(Failure::new(
            Kind::Foreign,
            "a daemon guards the virtual server, and it is not our static pod; tell it of the masters where it is \
             configured (--rs)",
        ));
    }
    let silent = reach::some_answer(&reach::directly(machine, &masters, at, &name)?, "")?;
    let present = facts.table.services.get(&at).map(|seen| seen.destinations.clone()).unwrap_or_default();
    let leaving: Vec<_> = present.keys().copied().filter(|server| !masters.contains(server)).collect();
    let gone = reach::silent(&reach::directly(machine, &leaving, at, &name)?);
    let notes = silent.iter().map(|(server, why)| left_out(*server, why)).collect();
    let (add, drain, remove) = if facts.guarded || !facts.table.services.contains_key(&at) {
        // The daemon adds and drains on its own; and where there are no rules, none are asked for here.
        Default::default()
    } else {
        let dead = |server: &SocketAddr| gone.contains_key(server);
        rules(at, &desired.config, &present, |server| !silent.contains_key(server), dead)
    };
    let write = manifest(&desired, &facts);
    Ok(Replacement { steps: Steps { add, write, drain, remove }, notes, desired, guarded: facts.guarded })
}

/// The name by which clients call the virtual server, if there is one.
fn name_of<M: Machine>(machine: &M, at: SocketAddr) -> Result<String, Failure> {
    let bytes = facts::read(machine, paths::HOSTS)?.map(|content| content.bytes).unwrap_or_default();
    let entry = hosts::list(&bytes)?.into_iter().find(|entry| entry.address == at.ip());
    Ok(entry.map_or_else(|| at.ip().to_string(), |entry| entry.name))
}

/// Does it.
fn replace<M: Machine>(
    session: &mut Session<'_, M>,
    replacement: &Replacement,
    request: &SetMastersRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<(), Failure> {
    let Replacement { steps, notes, desired, guarded } = replacement;
    for text in notes {
        tell(Event::Note { text: text.clone() });
    }
    session.perform(&steps.add, desired, tell)?;
    session.perform(&steps.write, desired, tell)?;
    if *guarded {
        return taken_over(session.machine, desired, request.wait);
    }
    session.perform(&steps.drain, desired, tell)?;
    if !steps.drain.is_empty() {
        wait_for_drained(session.machine, desired, &steps.drain, request.drain)?;
    }
    session.perform(&steps.remove, desired, tell)
}

/// Until those that leave have no connection any more, or for so long.
fn wait_for_drained<M: Machine>(
    machine: &mut M,
    desired: &DesiredNode,
    drained: &[Step],
    limit: Duration,
) -> Result<(), Failure> {
    let servers: Vec<_> = drained.iter().filter_map(Step::server).collect();
    let begin = machine.now();
    loop {
        let actual = machine.rules(&desired.services())?;
        let seen = actual.services.values().flat_map(|seen| &seen.destinations);
        let active: u32 =
            seen.filter(|(server, _)| servers.contains(server)).map(|(_, seen)| seen.active).sum();
        let age = machine.now().saturating_sub(begin);
        if (active == 0 && age >= SETTLE.min(limit)) || age >= limit {
            return Ok(());
        }
        if machine.cancel().is_asked() {
            return Err(Failure::cancelled());
        }
        machine.sleep(PAUSE);
    }
}

/// Waits until the daemon of the new manifest has taken over, and those that leave are gone.
fn taken_over<M: Machine>(machine: &mut M, desired: &DesiredNode, wait: Duration) -> Result<(), Failure> {
    let unlike = |why: String| Err(Failure::new(Kind::NotVerified, why));
    if !until(machine, wait, PAUSE, |machine| is_told(machine, desired, |server| server.health.is_some())) {
        return unlike(format!(
            "the manifest names the new masters, but after {wait:?} the daemon still has others: is kubelet at work, and \
             the image on this node? It goes on once the pod has started again",
        ));
    }
    let limit = desired.config.drain_timeout + MARGIN;
    if !until(machine, limit, PAUSE, |machine| is_told(machine, desired, |_| true)) {
        return unlike(format!(
            "after {limit:?} the daemon still has other masters in the table; see `lvscare status`"
        ));
    }
    Ok(())
}

/// Whether a daemon says of each virtual server that those of its real servers that count are the wanted ones.
fn is_told<M: Machine>(
    machine: &mut M,
    desired: &DesiredNode,
    counts: impl Fn(&lvscare::status::RealServer) -> bool,
) -> bool {
    let Some(status) = desired.config.listen.and_then(|listen| machine.daemon(listen)) else { return false };
    desired.config.services.iter().all(|service| {
        let told = status.virtual_servers.iter().find(|told| told.address == service.at);
        told.is_some_and(|told| {
            let servers: Vec<_> = told.real_servers.iter().filter(|server| counts(server)).collect();
            servers.len() == service.servers.len() && servers.iter().all(|server| service.has(server.address))
        })
    })
}
