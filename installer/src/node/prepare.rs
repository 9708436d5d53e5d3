//! Makes a node ready to join: rules first, so that the join has something to talk to, then what makes them last.

use std::net::SocketAddr;

use lvscare::doctor::facts::Scope;
use lvscare::doctor::{Finding, Severity};
use lvscare::exit::{Exit, Failure};

use super::action::Action;
use super::facts::{self, Facts};
use super::paths::Root;
use super::plan::{Plan, plan};
use super::session::Session;
use super::wanted::Wanted;
use crate::check::{self, Asked};
use crate::reach;

/// How a node is prepared.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    /// The name by which clients call the virtual server.
    pub name: &'a str,
    /// Whether the apiservers are asked.
    pub reach: bool,
    /// What the node is checked for before anything is done; `None`: it is not.
    pub checks: Option<&'a Asked>,
    /// Whether what is somebody else's is taken over.
    pub force: bool,
}

/// What is seen on the way.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Something that a person should know.
    Note(&'a str),
    /// A step was done.
    Done(&'a Action),
    /// The apiservers answer through the virtual server.
    Reached(SocketAddr),
}

/// What would be done.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// The steps.
    pub plan: Plan,
    /// What a person should know.
    pub notes: Vec<String>,
    facts: Facts,
}

/// What would be done. Changes nothing.
pub fn preview(root: &Root, wanted: &Wanted, manner: Manner<'_>) -> Result<Preview, Failure> {
    let (facts, notes) = look(root, wanted, manner)?;
    Ok(Preview { plan: plan(wanted, &facts, manner.force)?, notes, facts })
}

/// Does it. Returns the steps that were done: none on a node that is as it should be.
pub fn within(
    session: &mut Session,
    root: &Root,
    wanted: &Wanted,
    manner: Manner<'_>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Plan, Failure> {
    let Preview { plan, notes, facts } = preview(root, wanted, manner)?;
    for note in &notes {
        tell(Event::Note(note));
    }
    session.perform(&plan.data_path, wanted, &mut |step| tell(Event::Done(step)))?;
    if manner.reach && wanted.rules {
        for at in wanted.services() {
            reach::through(at, manner.name)?;
            tell(Event::Reached(at));
        }
    }
    session.perform(&plan.node, wanted, &mut |step| tell(Event::Done(step)))?;
    verify(root, wanted, &facts, manner, &plan)?;
    Ok(plan)
}

/// Looks again: what was to be done must be done, unless a daemon has taken over the rules.
fn verify(
    root: &Root,
    wanted: &Wanted,
    before: &Facts,
    manner: Manner<'_>,
    done: &Plan,
) -> Result<(), Failure> {
    if done.is_empty() {
        return Ok(());
    }
    let mut facts = facts::gather(root, wanted)?;
    facts.silent.clone_from(&before.silent);
    let left = plan(wanted, &facts, manner.force)?;
    let left: Vec<_> = left
        .all()
        .filter(|step| !matches!(step, Action::ImportImage { .. }))
        .filter(|step| !(facts.guarded && matches!(step, Action::Rule(_))))
        .map(ToString::to_string)
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::NotVerified,
        format!("not as it should be after the change, somebody else is at work here: {}", left.join("; ")),
    ))
}

fn look(root: &Root, wanted: &Wanted, manner: Manner<'_>) -> Result<(Facts, Vec<String>), Failure> {
    let mut facts = facts::gather(root, wanted)?;
    let mut notes = Vec::new();
    let visits = match (manner.checks, wanted.config.services.first()) {
        (Some(asked), _) => {
            let scope = Scope::Before { visits: manner.reach };
            let checked = check::facts::gather(root, asked, &wanted.config, scope)?;
            let report = check::before(&checked);
            check::refuse(&report)?;
            let warnings = report.findings.iter().filter(|found| found.severity == Severity::Warning);
            notes.extend(warnings.map(warning));
            checked.doctor.servers
        }
        (None, Some(service)) if manner.reach => {
            let servers: Vec<_> = service.servers.iter().map(|server| server.address).collect();
            reach::directly(&servers, service.at, manner.name)?
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
