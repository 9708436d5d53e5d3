//! Makes a node ready to join: rules first, so that the join has something to talk to, then what makes them last.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use lvscare::exit::{Exit, Failure};

use super::action::Action;
use super::facts::{self, Facts};
use super::paths::Root;
use super::plan::{Plan, plan};
use super::session::Session;
use super::wanted::Wanted;
use crate::reach;

/// How a node is prepared.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    /// What this run calls itself, for whoever finds it at work.
    pub holder: &'a str,
    /// The name by which clients call the virtual server.
    pub name: &'a str,
    /// Whether the apiservers are asked.
    pub reach: bool,
    /// Whether what is somebody else's is taken over.
    pub force: bool,
}

/// What is seen on the way.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields carry the names of what they hold")]
pub enum Event<'a> {
    /// A master does not answer and is left out for now.
    Silent { server: SocketAddr, why: &'a str },
    /// A step was done.
    Done(&'a Action),
    /// The apiservers answer through the virtual server.
    Reached(SocketAddr),
}

/// What would be done. Changes nothing.
pub fn preview(root: &Root, wanted: &Wanted, manner: Manner<'_>) -> Result<(Plan, Facts), Failure> {
    let facts = look(root, wanted, manner)?;
    Ok((plan(wanted, &facts, manner.force)?, facts))
}

/// Does it. Returns the steps that were done: none on a node that is as it should be.
pub fn prepare(
    root: &Root,
    wanted: &Wanted,
    manner: Manner<'_>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Plan, Failure> {
    let mut session = Session::open(root, manner.holder)?;
    let result = within(&mut session, root, wanted, manner, tell);
    // A run that was refused leaves nothing behind.
    session.close()?;
    result
}

fn within(
    session: &mut Session,
    root: &Root,
    wanted: &Wanted,
    manner: Manner<'_>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Plan, Failure> {
    let (plan, facts) = preview(root, wanted, manner)?;
    for (&server, why) in &facts.silent {
        tell(Event::Silent { server, why });
    }
    session.perform(&plan.data_path, wanted, &mut |step| tell(Event::Done(step)))?;
    if manner.reach {
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

fn look(root: &Root, wanted: &Wanted, manner: Manner<'_>) -> Result<Facts, Failure> {
    let mut facts = facts::gather(root, wanted)?;
    if manner.reach {
        for service in &wanted.config.services {
            let servers: BTreeSet<_> = service.servers.iter().map(|server| server.address).collect();
            let servers: Vec<_> = servers.into_iter().collect();
            facts.silent.extend(reach::directly(&servers, service.at, manner.name)?);
        }
    }
    Ok(facts)
}
