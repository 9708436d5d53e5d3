//! Other masters for a prepared node, without a gap: new ones first, then what makes them last, and those that are no
//! master any more only when their connections have ended.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvscare::client;
use lvscare::exit::{Exit, Failure};

use super::action::Action;
use super::facts;
use super::paths::Root;
use super::prepare::{Event, left_out};
use super::prepared::Prepared;
use super::session::Session;
use super::wanted::{Part, Rendered, Wanted};
use crate::wait::until;
use crate::{pod, reach, spec};

pub mod plan;

pub use plan::Steps;
use plan::{manifest, rules};

/// A connection may just be opening, and the kernel does not count it yet.
const SETTLE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// Beyond its own limit, the daemon needs time to look.
const MARGIN: Duration = Duration::from_secs(10);

/// How masters are replaced.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How long connections to those that leave may go on.
    pub drain: Duration,
    /// How long a daemon may take to start again.
    pub wait: Duration,
}

/// A set of masters that can take the place of the present one.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// The steps.
    pub steps: Steps,
    /// What a person should know.
    pub notes: Vec<String>,
    wanted: Wanted,
    guarded: bool,
}

/// Looks, and plans. Changes nothing.
pub fn look(
    root: &Root,
    prepared: &Prepared,
    masters: &[SocketAddr],
    name: &str,
) -> Result<Replacement, Failure> {
    let arguments = prepared.arguments_for(masters)?;
    let config = spec::understood(&arguments)?;
    let at = prepared.service()?.at;
    let pod = match &prepared.manifest {
        None => None,
        Some(content) => {
            let text = String::from_utf8_lossy(&content.bytes);
            Some((pod::with_arguments(&text, &arguments)?.into_bytes(), pod::read(&text)?.image))
        }
    };
    let rendered = Rendered { pod, ..Rendered::default() };
    let skip = [Part::Modules, Part::Sysctl, Part::Hosts];
    let wanted = Wanted::new(config, name, rendered, &skip);
    let facts = facts::gather(root, &wanted)?;
    if facts.guarded && prepared.manifest.is_none() {
        return Err(Failure::new(
            Exit::Foreign,
            "a daemon guards the virtual server, and it is not our static pod; tell it of the masters where it is \
             configured (--rs)",
        ));
    }
    let silent = reach::some_answer(&reach::directly(masters, at, name)?, "")?;
    let present = facts.table.services.get(&at).map(|seen| seen.destinations.clone()).unwrap_or_default();
    let leaving: Vec<_> = present.keys().copied().filter(|server| !masters.contains(server)).collect();
    let gone = reach::silent(&reach::directly(&leaving, at, name)?);
    let notes = silent.iter().map(|(server, why)| left_out(*server, why)).collect();
    let (add, drain, remove) = if facts.guarded || !facts.table.services.contains_key(&at) {
        // The daemon adds and drains on its own; and where there are no rules, none are asked for here.
        Default::default()
    } else {
        let dead = |server: &SocketAddr| gone.contains_key(server);
        rules(at, &wanted.config, &present, |server| !silent.contains_key(server), dead)
    };
    let write = manifest(&wanted, &facts);
    Ok(Replacement { steps: Steps { add, write, drain, remove }, notes, wanted, guarded: facts.guarded })
}

/// Does it.
pub fn replace(
    session: &mut Session,
    replacement: &Replacement,
    manner: Manner,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
    let Replacement { steps, notes, wanted, guarded } = replacement;
    for note in notes {
        tell(Event::Note(note));
    }
    session.perform(&steps.add, wanted, &mut |step| tell(Event::Done(step)))?;
    session.perform(&steps.write, wanted, &mut |step| tell(Event::Done(step)))?;
    if *guarded {
        return taken_over(wanted, manner);
    }
    session.perform(&steps.drain, wanted, &mut |step| tell(Event::Done(step)))?;
    if !steps.drain.is_empty() {
        wait_for_drained(session, wanted, &steps.drain, manner.drain)?;
    }
    session.perform(&steps.remove, wanted, &mut |step| tell(Event::Done(step)))
}

/// Until those that leave have no connection any more, or for so long.
fn wait_for_drained(
    session: &mut Session,
    wanted: &Wanted,
    drained: &[Action],
    limit: Duration,
) -> Result<(), Failure> {
    let servers: Vec<_> = drained.iter().filter_map(Action::server).collect();
    let begin = Instant::now();
    loop {
        let mut active = 0;
        for at in wanted.services() {
            let actual = session.read_rules(at)?;
            let seen = actual.services.get(&at).into_iter().flat_map(|seen| &seen.destinations);
            active +=
                seen.filter(|(server, _)| servers.contains(server)).map(|(_, seen)| seen.active).sum::<u32>();
        }
        let age = begin.elapsed();
        if (active == 0 && age >= SETTLE.min(limit)) || age >= limit {
            return Ok(());
        }
        sleep(PAUSE);
    }
}

/// Waits until the daemon of the new manifest has taken over, and those that leave are gone.
fn taken_over(wanted: &Wanted, manner: Manner) -> Result<(), Failure> {
    let unlike = |why: String| Err(Failure::new(Exit::NotVerified, why));
    if !until(manner.wait, PAUSE, || is_told(wanted, |server| server.health.is_some())) {
        return unlike(format!(
            "the manifest names the new masters, but after {:?} the daemon still has others: is kubelet at work, and \
             the image on this node? It goes on once the pod has started again",
            manner.wait
        ));
    }
    let limit = wanted.config.drain_timeout + MARGIN;
    if !until(limit, PAUSE, || is_told(wanted, |_| true)) {
        return unlike(format!(
            "after {limit:?} the daemon still has other masters in the table; see `lvscare status`"
        ));
    }
    Ok(())
}

/// Whether a daemon says of each virtual server that those of its real servers that count are the wanted ones.
fn is_told(wanted: &Wanted, counts: impl Fn(&lvscare::status::RealServer) -> bool) -> bool {
    let Some(status) = wanted.config.listen.and_then(client::daemon) else { return false };
    wanted.config.services.iter().all(|service| {
        let told = status.virtual_servers.iter().find(|told| told.address == service.at);
        told.is_some_and(|told| {
            let servers: Vec<_> = told.real_servers.iter().filter(|server| counts(server)).collect();
            servers.len() == service.servers.len() && servers.iter().all(|server| service.has(server.address))
        })
    })
}
