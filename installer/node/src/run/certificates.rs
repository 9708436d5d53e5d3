//! The certificates of the cluster: looked at, renewed, with more names, and put back.
//!
//! `undo` takes back a preparation, and knows nothing of all this: years later it would put back certificates that are over.
//! What a renewal has replaced is kept beside ([`paths::FORMER`]) until the next one, and [`restore`] puts it back as long as
//! somebody would still accept it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::rand::SystemRandom;

use super::session::Session;
use super::{reports, restart};
use crate::api::certificates::{AddNamesRequest, RenewRequest, RestoreRequest};
use crate::api::{Change, Changed, Event, Failure, Kind, Outcome};
use crate::date::date;
use crate::facts;
use crate::journal::{Journal, Restart};
use crate::machine::Machine;
use crate::paths;
use crate::pki::certificate::AlternativeName;
use crate::pki::find::{Found, find};
use crate::pki::plan::{self, Wanted};
use crate::pki::table::{entries, seen, table};
use crate::spec::names;
use crate::step::Step;

/// Answers the request.
pub fn look<M: Machine>(machine: &M) -> Result<Outcome, Failure> {
    Ok(Outcome::Certificates(table(&find(machine)?, now(machine), &SystemRandom::new())))
}

/// Gives certificates a later end.
pub fn renew<M: Machine>(
    machine: &mut M,
    request: &RenewRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    let plan = |machine: &M| {
        let now = now(machine);
        if request.until <= now {
            let text = format!("{} is over by now, {}", date(request.until), date(now));
            return Err(Failure::usage(text));
        }
        let wanted = Wanted { now, until: request.until, files: &request.files };
        plan::renew(&find(machine)?, wanted, &SystemRandom::new())
    };
    change(machine, "node cert renew", request.change, request.wait, plan, tell)
}

/// Gives the apiserver's certificate more names.
pub fn add_names<M: Machine>(
    machine: &mut M,
    request: &AddNamesRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    let wanted = request.names.iter().map(|name| alternative_name(name)).collect::<Result<Vec<_>, _>>()?;
    let plan = |machine: &M| {
        let step = plan::add_names(&find(machine)?, &wanted, &SystemRandom::new())?;
        Ok(step.into_iter().collect())
    };
    change(machine, "node cert add-sans", request.change, request.wait, plan, tell)
}

/// Puts back what the last renewal has replaced.
pub fn restore<M: Machine>(
    machine: &mut M,
    request: RestoreRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    change(machine, "node cert restore", request.change, request.wait, former, tell)
}

fn now<M: Machine>(machine: &M) -> u64 {
    machine.unix_time().as_secs()
}

fn alternative_name(text: &str) -> Result<AlternativeName, Failure> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(AlternativeName::Ip(address));
    }
    names::check_name(text.strip_prefix("*.").unwrap_or(text))
        .map_err(|error| Failure::usage(error.to_string()))?;
    Ok(AlternativeName::Dns(text.to_owned()))
}

/// The steps back.
fn former<M: Machine>(machine: &M) -> Result<Vec<Step>, Failure> {
    let mut kept = Vec::new();
    walk(machine, Path::new(paths::FORMER), &mut kept);
    let mut before = Found::default();
    for mut file in find(machine)?.files {
        if let Some(content) = facts::read(machine, paths::former(&file.path))? {
            file.content = content;
            before.files.push(file);
        }
    }
    let (entries, _) = entries(&before);
    let now = now(machine);
    if let Some(over) = seen(&entries).iter().find(|seen| seen.certificate.not_after() < now) {
        let (file, end) = (over.entry.file.path.display(), date(over.certificate.not_after()));
        let text = format!(
            "{file} was over on {end} before it was renewed: with it nobody would be let in; nothing was changed"
        );
        return Err(Failure::new(Kind::Refused, text));
    }
    let step = |from: PathBuf| {
        let path = Path::new("/").join(from.strip_prefix(paths::FORMER).unwrap_or(&from));
        Step::InstallProgram { from, path, mode: None }
    };
    Ok(kept.into_iter().map(step).collect())
}

/// All files below a directory.
fn walk<M: Machine>(machine: &M, directory: &Path, files: &mut Vec<PathBuf>) {
    for name in machine.entries(directory).unwrap_or_default() {
        let path = directory.join(name);
        if machine.entries(&path).is_some() { walk(machine, &path, files) } else { files.push(path) }
    }
}

/// Plans, does it unless it is only to be told, and restarts whoever has read the old files.
fn change<M: Machine>(
    machine: &mut M,
    command: &str,
    asked: Change,
    wait: Duration,
    plan: impl Fn(&M) -> Result<Vec<Step>, Failure>,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    if asked.dry_run {
        let mut steps = plan(machine)?;
        steps.extend(restarts(machine, &Journal::of(machine)?, &steps).iter().map(restart::step));
        let (changed, steps) = (!steps.is_empty(), reports(&steps));
        return Ok(Outcome::Changed(Changed { changed, planned: true, steps, ..Changed::default() }));
    }
    let mut session = Session::open(machine, command, tell)?;
    let mut done = Vec::new();
    let outcome = perform(&mut session, &plan, wait, &mut |event| {
        if let Event::Done(step) = &event {
            done.push(step.clone());
        }
        tell(event);
    });
    session.close()?;
    outcome?;
    Ok(Outcome::Changed(Changed { changed: !done.is_empty(), steps: done, ..Changed::default() }))
}

fn perform<M: Machine>(
    session: &mut Session<'_, M>,
    plan: &impl Fn(&M) -> Result<Vec<Step>, Failure>,
    wait: Duration,
    tell: &mut dyn FnMut(Event),
) -> Result<(), Failure> {
    let steps = plan(session.machine)?;
    let restarts = restarts(session.machine, &session.journal, &steps);
    let goes_on = !session.journal.restarts().is_empty();
    session.journal.set_restarts(session.machine, restarts)?;
    if !goes_on && steps.iter().any(|step| matches!(step, Step::RenewCertificates { .. })) {
        forget_former(session.machine)?;
    }
    for step in &steps {
        session.check_wanted()?;
        session.apply(step)?;
        if let Step::InstallProgram { from, .. } = step {
            session.machine.remove(from).map_err(|error| Failure::io(step, &error))?;
        }
        tell(Event::Done(step.report()));
    }
    restart::all(session, wait, tell)
}

/// Only what the last renewal has replaced is kept.
fn forget_former<M: Machine>(machine: &mut M) -> Result<(), Failure> {
    let mut kept = Vec::new();
    walk(machine, Path::new(paths::FORMER), &mut kept);
    for path in kept {
        machine
            .remove(&path)
            .map_err(|error| Failure::io(format_args!("remove {}", path.display()), &error))?;
    }
    Ok(())
}

/// Who is to be restarted: who reads files that change, and who an earlier run has left.
fn restarts<M: Machine>(machine: &M, journal: &Journal, steps: &[Step]) -> Vec<Restart> {
    let changed: Vec<&Path> = steps
        .iter()
        .filter_map(|step| match step {
            Step::RenewCertificates { path, .. } | Step::InstallProgram { path, .. } => Some(path.as_path()),
            _ => None,
        })
        .collect();
    let mut all = restart::affected(machine, &changed);
    let left = journal.restarts().iter().filter(|left| !all.contains(left)).cloned();
    let left: Vec<_> = left.collect();
    all.extend(left);
    all
}
