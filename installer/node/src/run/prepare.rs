//! Makes a machine ready to join: rules first, so that the join has something to talk to, then what makes them last.

use std::net::SocketAddr;

use lvscare::doctor::facts::Scope;
use lvscare::doctor::{Finding, Severity};

use super::image::Importer;
use super::job::{How, Job, Manner};
use super::session::Session;
use super::{kubeadm, reports, status, undo};
use crate::api::{Changed, Event, Failure, Kind, Outcome, PrepareRequest};
use crate::check;
use crate::desired::DesiredNode;
use crate::facts::node::{self, Facts};
use crate::facts::{guard, host, kubelet, reach};
use crate::journal::{Journal, Original};
use crate::machine::Machine;
use crate::plan::prepare::{Plan, plan};
use crate::plan::undo::steps as undo_steps;
use crate::step::Step;

/// Findings that name the older guard.
const MENDED_BY_ADOPTION: [&str; 2] = ["foreign-manifest", "another-guard"];

/// Answers the request.
pub fn run<M: Machine>(
    machine: &mut M,
    request: &PrepareRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    request.kubeadm.check_alone()?;
    let join = if request.kubeadm.says_how() { How::IsLeft } else { How::Nothing };
    let job = Job::new(machine, request, false, join)?;
    if request.change.dry_run {
        return Ok(Outcome::Changed(told(machine, &job)?));
    }
    let mut session = Session::open(machine, "node prepare", tell)?;
    let done = perform(&mut session, &job, tell);
    // Whoever prepares a node that has joined takes it as it is.
    let done = done.and_then(|done| {
        if kubelet::joined(session.machine).is_some() {
            session.remove_secrets(tell)?;
            if session.journal.is_joining() {
                session.journal.set_joining(session.machine, false)?;
            }
        }
        Ok(done)
    });
    let status = status::look(session.machine, &session.journal);
    session.close()?;
    let mut changed = done?;
    if let Some(join) = &job.join {
        let words = kubeadm::words(&request.kubeadm, join);
        changed.join_command = Some(format!("kubeadm {}", words.join(" ")));
    }
    changed.status = Some(status?);
    Ok(Outcome::Changed(changed))
}

/// What would be done.
pub fn told<M: Machine>(machine: &mut M, job: &Job) -> Result<Changed, Failure> {
    let journal = Journal::of(machine)?;
    let preview = preview(machine, &journal, &job.desired, &job.manner, job.importer.as_ref())?;
    let mut steps = reports(preview.plan.all());
    let circumstances = undo::circumstances(machine, &journal);
    for original in outdated(&journal, &job.desired) {
        steps.extend(reports(&undo_steps(&original, &undo::look(machine, &original)?, &circumstances)?));
    }
    Ok(Changed {
        changed: !steps.is_empty(),
        planned: true,
        steps,
        notes: preview.notes,
        ..Changed::default()
    })
}

/// Does it.
pub fn perform<M: Machine>(
    session: &mut Session<'_, M>,
    job: &Job,
    tell: &mut dyn FnMut(Event),
) -> Result<Changed, Failure> {
    session.importer.clone_from(&job.importer);
    let mut changed = within(session, &job.desired, &job.manner, tell)?;
    retire(session, &job.desired, &mut |event| {
        match &event {
            Event::Done(step) => changed.steps.push(step.clone()),
            Event::Note { text } => changed.notes.push(text.clone()),
            Event::Reached { .. } => {}
        }
        tell(event);
    })?;
    changed.changed = !changed.steps.is_empty();
    Ok(changed)
}

/// What an earlier preparation made for a virtual server or a name that is another one now.
fn outdated(journal: &Journal, desired: &DesiredNode) -> Vec<Original> {
    let services = desired.services();
    let is_outdated = |original: &&Original| match original {
        Original::Rules { at, .. } => desired.rules && !services.contains(at),
        Original::HostsEntry { name, .. } => desired.hosts.as_ref().is_some_and(|(wanted, _)| wanted != name),
        _ => false,
    };
    journal.originals().iter().filter(is_outdated).cloned().collect()
}

/// Takes it back, unless a daemon still guards it: that one would make it again.
fn retire<M: Machine>(
    session: &mut Session<'_, M>,
    desired: &DesiredNode,
    tell: &mut dyn FnMut(Event),
) -> Result<(), Failure> {
    let circumstances = undo::circumstances(session.machine, &session.journal);
    for original in outdated(&session.journal, desired) {
        if let Original::Rules { at, guard, .. } = &original {
            let listens: Vec<_> = guard.iter().copied().chain(desired.config.listen).collect();
            if guard::is_at_work(session.machine, *at, &listens) {
                let text = format!(
                    "a daemon still guards the former virtual server {at}; it goes when this is run again after the \
                     static pod has started anew"
                );
                tell(Event::Note { text });
                continue;
            }
        }
        undo::take_back(session, &original, &circumstances, tell)?;
    }
    Ok(())
}

struct Preview {
    plan: Plan,
    notes: Vec<String>,
    facts: Facts,
}

fn preview<M: Machine>(
    machine: &mut M,
    journal: &Journal,
    desired: &DesiredNode,
    manner: &Manner,
    importer: Option<&Importer>,
) -> Result<Preview, Failure> {
    let (mut facts, mut notes) = look(machine, journal, desired, manner)?;
    if let (Some(importer), Some(image)) = (importer, &desired.image) {
        facts.image = importer.has(machine, image);
        if facts.image == Some(false) && desired.archive.is_none() {
            notes.push(format!(
                "the image {image} is not on this node; kubelet will have to pull it, or bring it with --import"
            ));
        }
    }
    notes.extend(lost_options(desired, &facts));
    Ok(Preview { plan: plan(desired, &facts, manner.force)?, notes, facts })
}

/// Options that the pod had and has no more, which may have been forgotten.
pub fn lost_options(desired: &DesiredNode, facts: &Facts) -> Option<String> {
    let (told, daemon) = (facts.told.as_ref()?, desired.daemon.as_ref()?);
    let lost = daemon.lacks(told);
    (!lost.is_empty()).then(|| {
        format!(
            "the static pod was told {}, and is so no more; to keep it, say it again with --lvscare-arg",
            lost.join(" ")
        )
    })
}

/// Does it. The steps of the answer are those that were done: none on a node that is as it should be.
pub fn within<M: Machine>(
    session: &mut Session<'_, M>,
    desired: &DesiredNode,
    manner: &Manner,
    tell: &mut dyn FnMut(Event),
) -> Result<Changed, Failure> {
    let importer = session.importer.clone();
    let Preview { plan, notes, facts } =
        preview(session.machine, &session.journal, desired, manner, importer.as_ref())?;
    for text in &notes {
        tell(Event::Note { text: text.clone() });
    }
    session.perform(&plan.data_path, desired, tell)?;
    if manner.reach && desired.rules {
        for at in desired.services() {
            reach::through(session.machine, at, &manner.name)?;
            tell(Event::Reached { at });
        }
    }
    session.perform(&plan.node, desired, tell)?;
    verify(session, desired, &facts, manner, &plan)?;
    let steps = reports(plan.all());
    Ok(Changed { changed: !steps.is_empty(), steps, notes, ..Changed::default() })
}

/// Looks again: what was to be done must be done, unless a daemon has taken over the rules.
fn verify<M: Machine>(
    session: &mut Session<'_, M>,
    desired: &DesiredNode,
    before: &Facts,
    manner: &Manner,
    done: &Plan,
) -> Result<(), Failure> {
    if done.is_empty() {
        return Ok(());
    }
    let mut facts = node::gather(session.machine, &session.journal, desired)?;
    facts.silent.clone_from(&before.silent);
    let left = plan(desired, &facts, manner.force)?;
    let left: Vec<_> = left
        .all()
        .filter(|step| !matches!(step, Step::ImportImages { .. }))
        .filter(|step| !((facts.guarded || desired.adopts) && matches!(step, Step::Rule(_))))
        .map(ToString::to_string)
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::NotVerified,
        format!("not as it should be after the change, somebody else is at work here: {}", left.join("; ")),
    ))
}

fn look<M: Machine>(
    machine: &mut M,
    journal: &Journal,
    desired: &DesiredNode,
    manner: &Manner,
) -> Result<(Facts, Vec<String>), Failure> {
    let mut facts = node::gather(machine, journal, desired)?;
    let mut notes = Vec::new();
    let visits = match (&manner.checks, desired.config.services.first()) {
        (Some((spec, asked)), _) => {
            let checked = host::gather(machine, spec, asked, Scope::Before { visits: manner.reach })?;
            let report = check::before(&checked);
            check::refuse(&report)?;
            let warnings = report.findings.iter().filter(|found| found.severity == Severity::Warning);
            let warnings =
                warnings.filter(|found| !(desired.adopts && MENDED_BY_ADOPTION.contains(&found.id.as_ref())));
            notes.extend(warnings.map(warning));
            checked.doctor.servers
        }
        (None, Some(service)) if manner.reach => {
            let servers: Vec<_> = service.servers.iter().map(|server| server.address).collect();
            reach::directly(machine, &servers, service.at, &manner.name)?
        }
        _ => Vec::new(),
    };
    if manner.reach {
        facts.silent = reach::some_answer(&visits, ", or leave the question out with --skip reach")?;
    }
    notes.extend(facts.silent.iter().map(|(server, why)| left_out(*server, why)));
    Ok((facts, notes))
}

fn warning(finding: &Finding) -> String {
    format!("{}: {}; fix: {}", finding.id, finding.seen, finding.fix.as_deref().unwrap_or("none"))
}

/// What is said of a master that does not answer.
pub fn left_out(server: SocketAddr, why: &str) -> String {
    format!("{server} does not answer and is left out until it does: {why}")
}
