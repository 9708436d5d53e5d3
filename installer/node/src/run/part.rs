//! The parts of a preparation that can be had alone: the hosts entry and the static pod.

use lvscare::config::Config;

use super::reports;
use super::session::Session;
use crate::api::{Change, Changed, Event, Failure, Outcome, SetHostRequest};
use crate::desired::{DesiredNode, Rendered, RenderedPod};
use crate::facts::node;
use crate::facts::{self};
use crate::journal::Journal;
use crate::machine::Machine;
use crate::paths;
use crate::plan::prepare::{edit_hosts, plan};
use crate::render::{hosts, pod};
use crate::spec::daemon::DaemonOptions;
use crate::spec::{NodeSpec, Part, Spec};
use crate::step::{HostsEdit, Step};

/// All but the pod.
const OTHERS: [Part; 6] = [Part::Checks, Part::Modules, Part::Sysctl, Part::Rules, Part::Reach, Part::Hosts];

/// Has a name mean an address. A person did it, and `undo` leaves it alone.
pub fn set_host<M: Machine>(
    machine: &mut M,
    request: &SetHostRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    let SetHostRequest { name, address, force } = request.clone();
    edit(machine, "hosts set", HostsEdit::Set { name, address, force }, tell)
}

/// Takes a name out.
pub fn unset_host<M: Machine>(
    machine: &mut M,
    name: &str,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    edit(machine, "hosts unset", HostsEdit::Unset { name: name.to_owned() }, tell)
}

/// The names that were set.
pub fn list_hosts<M: Machine>(machine: &M) -> Result<Outcome, Failure> {
    let bytes = facts::read(machine, paths::HOSTS)?.map(|content| content.bytes).unwrap_or_default();
    Ok(Outcome::Hosts { entries: hosts::list(&bytes)? })
}

/// Alone, since another run may just be writing the same file.
fn edit<M: Machine>(
    machine: &mut M,
    command: &str,
    edit: HostsEdit,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    // A name that is none is refused before anything is touched.
    hosts::edit(&[], &edit)?;
    let mut session = Session::open(machine, command, tell)?;
    let done = facts::read(session.machine, paths::HOSTS).and_then(|now| {
        let Some(step) = edit_hosts(edit, now)? else { return Ok(None) };
        session.apply(&step)
    });
    session.close()?;
    let steps: Vec<_> = done?.iter().map(Step::report).collect();
    for step in &steps {
        tell(Event::Done(step.clone()));
    }
    Ok(Outcome::Changed(Changed { changed: !steps.is_empty(), steps, ..Changed::default() }))
}

/// Gives the bytes of the manifest.
pub fn render_pod<M: Machine>(machine: &M, spec: &NodeSpec) -> Result<Outcome, Failure> {
    let spec = Spec::new(spec, |name| machine.lookup(name))?;
    Ok(Outcome::Manifest { text: manifest(&spec)? })
}

fn manifest(spec: &Spec) -> Result<String, Failure> {
    let arguments = spec.daemon.arguments();
    Ok(pod::render(&pod::Pod { image: &spec.image, arguments: &arguments, config: &spec.config })?)
}

/// Writes the manifest where kubelet finds it.
pub fn write_pod<M: Machine>(
    machine: &mut M,
    spec: &NodeSpec,
    request: Change,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    let spec = Spec::new(spec, |name| machine.lookup(name))?;
    let pod = RenderedPod {
        manifest: manifest(&spec)?.into_bytes(),
        image: spec.image.clone(),
        daemon: spec.daemon.clone(),
    };
    let rendered = Rendered { pod: Some(pod), ..Rendered::default() };
    let desired = DesiredNode::new(spec.config, &spec.name, rendered, &OTHERS);
    change(machine, &desired, request, "pod write", tell, |machine, journal| {
        let facts = node::gather(machine, journal, &desired)?;
        let notes = super::prepare::lost_options(&desired, &facts).into_iter().collect();
        Ok((plan(&desired, &facts, request.force)?.node, notes))
    })
}

/// Removes the manifest. Another pod under our name is refused.
pub fn remove_pod<M: Machine>(
    machine: &mut M,
    request: Change,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    let Some(content) = facts::read(machine, paths::POD)? else {
        let planned = request.dry_run;
        return Ok(Outcome::Changed(Changed { planned, ..Changed::default() }));
    };
    let seen = pod::read(&String::from_utf8_lossy(&content.bytes))?;
    let config: Config = DaemonOptions::read(&seen.arguments)?.config()?;
    let desired = DesiredNode::nothing(config);
    let steps = [Step::RemoveFile { path: paths::POD.into() }];
    change(machine, &desired, request, "pod remove", tell, |_, _| Ok((steps.to_vec(), Vec::new())))
}

/// Plans, and does it unless it is only to be told.
fn change<M: Machine>(
    machine: &mut M,
    desired: &DesiredNode,
    request: Change,
    command: &str,
    tell: &mut dyn FnMut(Event),
    plan: impl Fn(&mut M, &Journal) -> Result<(Vec<Step>, Vec<String>), Failure>,
) -> Result<Outcome, Failure> {
    if request.dry_run {
        let journal = Journal::of(machine)?;
        let (steps, notes) = plan(machine, &journal)?;
        let (changed, steps) = (!steps.is_empty(), reports(&steps));
        return Ok(Outcome::Changed(Changed { changed, planned: true, steps, notes, ..Changed::default() }));
    }
    let mut session = Session::open(machine, command, tell)?;
    let done = plan(session.machine, &session.journal).and_then(|(steps, notes)| {
        for text in &notes {
            tell(Event::Note { text: text.clone() });
        }
        session.perform(&steps, desired, tell)?;
        Ok((steps, notes))
    });
    session.close()?;
    let (steps, notes) = done?;
    let (changed, steps) = (!steps.is_empty(), reports(&steps));
    Ok(Outcome::Changed(Changed { changed, steps, notes, ..Changed::default() }))
}
