//! Makes everything as it was before the first change.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::session::Session;
use crate::api::{Changed, Event, Failure, Kind, Outcome, StepReport, UndoRequest};
use crate::facts::{self, guard, installed, kubelet};
use crate::journal::{Journal, Original};
use crate::machine::{Machine, until};
use crate::paths;
use crate::plan::undo::{Circumstances, Now, order, stays, steps};
use crate::render::former;

/// kubelet looks at its manifests every 20 s, and gives a pod time to end.
const DAEMON_ENDS: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// Answers the request.
pub fn run<M: Machine>(
    machine: &mut M,
    request: UndoRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    // A run that was killed at once has left no more than that directory.
    if machine.entries(Path::new(paths::STATE)).is_none() {
        let planned = request.change.dry_run;
        return Ok(Outcome::Changed(Changed { planned, ..Changed::default() }));
    }
    if request.change.dry_run {
        let journal = Journal::of(machine)?;
        refuse(machine, &journal, request)?;
        return Ok(Outcome::Changed(preview(machine, &journal)?));
    }
    let mut session = Session::open(machine, "node undo", tell)?;
    let done = refuse(session.machine, &session.journal, request).and_then(|()| perform(&mut session, tell));
    let done = done.and_then(|changed| {
        let removed = session.machine.remove_packages();
        removed.map_err(|error| Failure::io(format_args!("remove {}", paths::PACKAGES), &error))?;
        Ok(changed)
    });
    session.close()?;
    Ok(Outcome::Changed(done?))
}

/// What somebody needs or has changed stays, unless it is said that it need not.
fn refuse<M: Machine>(machine: &M, journal: &Journal, request: UndoRequest) -> Result<(), Failure> {
    if request.change.force || journal.is_empty() {
        return Ok(());
    }
    if kubelet::joined(machine).is_some() && !gives_back_guard(journal) {
        return Err(Failure::new(
            Kind::Foreign,
            format!(
                "this node has joined a cluster ({}), and kubelet would lose its way to the apiservers; nothing was \
                 changed; take it out first (kubectl drain and delete node there, kubeadm reset here), or add --force",
                paths::KUBELET
            ),
        ));
    }
    let mut edited = Vec::new();
    for original in journal.originals() {
        if let Original::File { path, .. } | Original::Program { path, .. } = original
            && let Some(now) = facts::digest(machine, path)?
            && journal.is_other(path, &now)
        {
            edited.push(path.display().to_string());
        }
    }
    if edited.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Foreign,
        format!(
            "somebody has changed what was written here: {}; nothing was changed; to take it back all the same, add \
             --force",
            edited.join(", ")
        ),
    ))
}

/// Whether an older guard takes the place of ours again, so that kubelet keeps its way to the apiservers.
fn gives_back_guard(journal: &Journal) -> bool {
    journal.originals().iter().any(|original| match original {
        Original::File { path, before: Some(before) } => {
            path.starts_with(paths::MANIFESTS) && former::read(&before.bytes).is_some()
        }
        _ => false,
    })
}

fn preview<M: Machine>(machine: &mut M, journal: &Journal) -> Result<Changed, Failure> {
    let circumstances = circumstances(machine, journal);
    let mut all = Vec::new();
    for original in order(journal.originals()) {
        all.extend(steps(&original, &look(machine, &original)?, &circumstances)?);
    }
    let steps = super::reports(&all);
    let notes = notes(journal, &circumstances);
    Ok(Changed { changed: !steps.is_empty(), planned: true, steps, notes, ..Changed::default() })
}

fn perform<M: Machine>(
    session: &mut Session<'_, M>,
    tell: &mut dyn FnMut(Event),
) -> Result<Changed, Failure> {
    let circumstances = circumstances(session.machine, &session.journal);
    let notes = notes(&session.journal, &circumstances);
    for text in &notes {
        tell(Event::Note { text: text.clone() });
    }
    // Asked before its manifest goes.
    let told = installed::told(session.machine).and_then(|told| told.config().ok()?.listen);
    let mut done: Vec<StepReport> = Vec::new();
    let mut tell = |event: Event| {
        if let Event::Done(step) = &event {
            done.push(step.clone());
        }
        tell(event);
    };
    session.remove_secrets(&mut tell)?;
    for original in order(session.journal.originals()) {
        if let Original::Rules { at, guard, .. } = &original {
            let listens: Vec<_> = told.into_iter().chain(*guard).collect();
            wait_for_end(session.machine, *at, &listens)?;
        }
        take_back(session, &original, &circumstances, &mut tell)?;
    }
    if session.journal.is_joining() {
        session.journal.set_joining(session.machine, false)?;
    }
    Ok(Changed { changed: !done.is_empty(), steps: done, notes, ..Changed::default() })
}

/// Makes one thing as it was, and strikes it out.
pub fn take_back<M: Machine>(
    session: &mut Session<'_, M>,
    original: &Original,
    circumstances: &Circumstances,
    tell: &mut dyn FnMut(Event),
) -> Result<(), Failure> {
    let now = look(session.machine, original)?;
    for step in steps(original, &now, circumstances)? {
        session.check_wanted()?;
        if let Some(step) = session.apply(&step)? {
            tell(Event::Done(step.report()));
        }
    }
    if let Original::File { path, .. } | Original::HostsEntry { path, .. } | Original::Program { path, .. } =
        original
    {
        session.tidy(path)?;
    }
    session.journal.forget(session.machine, original)
}

/// What is true of the node as a whole.
pub fn circumstances<M: Machine>(machine: &M, journal: &Journal) -> Circumstances {
    Circumstances {
        runs_pods: kubelet::joined(machine).is_some(),
        services: journal.services().into_iter().map(|(at, _)| at).collect(),
    }
}

fn notes(journal: &Journal, circumstances: &Circumstances) -> Vec<String> {
    let stay = journal.originals().iter().filter_map(|original| match original {
        Original::Sysctl { name, .. } if stays(name, circumstances) => Some(name),
        _ => None,
    });
    stay.map(|name| format!("{name} stays as it is: the pods of this node need it")).collect()
}

/// How the thing is now that a record tells of.
pub fn look<M: Machine>(machine: &mut M, original: &Original) -> Result<Now, Failure> {
    let mut now = Now::default();
    match original {
        Original::Directory { path } => now.names = machine.entries(path),
        Original::File { path, .. } | Original::HostsEntry { path, .. } => {
            now.file = facts::read(machine, path)?;
        }
        Original::Program { path, .. } => now.program = facts::digest(machine, path)?,
        Original::Sysctl { name, .. } => now.sysctl = facts::sysctl(machine, name),
        Original::Rules { at, .. } => now.rules = machine.rules(&[*at])?,
    }
    Ok(now)
}

/// The daemon would make the rules again. Its manifest is gone; kubelet, if there is one, ends it.
fn wait_for_end<M: Machine>(machine: &mut M, at: SocketAddr, listens: &[SocketAddr]) -> Result<(), Failure> {
    if until(machine, DAEMON_ENDS, PAUSE, |machine| !guard::is_at_work(machine, at, listens)) {
        return Ok(());
    }
    let at = at.to_string();
    let place = listens.first().map_or(at, ToString::to_string);
    Err(Failure::new(
        Kind::NotVerified,
        format!(
            "the daemon on {place} is still at work and would make the rules again; end it (kubelet, or `systemctl stop \
             lvscare`), then run this again"
        ),
    ))
}
