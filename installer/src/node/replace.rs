//! Other masters for a prepared node, without a gap: new ones first, then what makes them last, and those that are no
//! master any more only when their connections have ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvscare::client;
use lvscare::config::{Config, ServiceConfig};
use lvscare::exit::{Exit, Failure};
use lvscare::model::{Change, Destination, SeenDestination};

use super::action::Action;
use super::facts::{self, Facts};
use super::journal::{Journal, Original};
use super::paths::{self, Root};
use super::prepare::{Event, left_out};
use super::session::Session;
use super::wanted::{Part, Rendered, Wanted};
use crate::files::Content;
use crate::{pod, reach, spec};

/// A connection may just be opening, and the kernel does not count it yet.
const SETTLE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// Beyond its own limit, the daemon needs time to look.
const MARGIN: Duration = Duration::from_secs(10);

/// What a node was prepared with.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The manifest, if there is one.
    pub manifest: Option<Content>,
    /// What the daemon is told.
    pub arguments: Vec<String>,
    /// What that means; of a node without manifest, only where the virtual server is.
    pub config: Config,
}

/// How masters are replaced.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How long connections to those that leave may go on.
    pub drain: Duration,
    /// How long a daemon may take to start again.
    pub wait: Duration,
}

/// The steps, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// New masters serve.
    pub add: Vec<Action>,
    /// The manifest names them.
    pub write: Vec<Action>,
    /// Others get no new connections.
    pub drain: Vec<Action>,
    /// And are gone.
    pub remove: Vec<Action>,
}

impl Steps {
    /// Every step.
    pub fn all(&self) -> impl Iterator<Item = &Action> {
        self.add.iter().chain(&self.write).chain(&self.drain).chain(&self.remove)
    }
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

impl Prepared {
    /// Looks at the manifest; without one the journal knows where the virtual server is.
    pub fn of(root: &Root, journal: &Journal) -> Result<Self, Failure> {
        let manifest = facts::read(root, paths::POD)?;
        let arguments = if let Some(content) = &manifest {
            pod::read(&String::from_utf8_lossy(&content.bytes))?.arguments
        } else {
            let at = journal.originals().iter().find_map(|original| match original {
                Original::Rules { at, .. } => Some(*at),
                _ => None,
            });
            let at = at.ok_or_else(|| {
                let help = "use `lvscare-installer node prepare`";
                Failure::new(Exit::Invalid, format!("this node is not prepared; {help}"))
            })?;
            vec!["care".to_owned(), format!("--vs={at}"), format!("--rs={}", placeholder(at))]
        };
        Ok(Self { config: spec::understood(&arguments)?, manifest, arguments })
    }

    /// The virtual server.
    pub fn service(&self) -> Result<&ServiceConfig, Failure> {
        let none = || Failure::new(Exit::Invalid, "the static pod names no virtual server");
        self.config.services.first().ok_or_else(none)
    }

    /// What the daemon is told when `masters` are the masters, each with the weight that it has.
    pub fn arguments_for(&self, masters: &[SocketAddr]) -> Result<Vec<String>, Failure> {
        let servers = &self.service()?.servers;
        let mut words = Vec::new();
        let mut place = None;
        let mut old = self.arguments.iter();
        while let Some(word) = old.next() {
            let is_value_next = word == "--rs";
            if is_value_next || word.starts_with("--rs=") {
                place = place.or(Some(words.len()));
                if is_value_next {
                    old.next();
                }
            } else {
                words.push(word.clone());
            }
        }
        let told = masters.iter().map(|master| {
            let weight =
                servers.iter().find(|server| server.address == *master).map_or(1, |server| server.weight);
            if weight == 1 { format!("--rs={master}") } else { format!("--rs={master},weight={weight}") }
        });
        let place = place.unwrap_or(words.len());
        words.splice(place..place, told);
        Ok(words)
    }
}

/// Some master; it is replaced before anybody hears of it.
fn placeholder(at: SocketAddr) -> SocketAddr {
    let ip = if at.is_ipv4() { [192, 0, 2, 1].into() } else { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into() };
    SocketAddr::new(ip, at.port())
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

/// The manifest, if it is to change. Its permissions stay as they are.
fn manifest(wanted: &Wanted, facts: &Facts) -> Vec<Action> {
    let write = |file: &super::wanted::WantedFile| {
        let before = facts.files.get(Path::new(file.path))?;
        let after = Content { bytes: file.bytes.clone(), ..before.clone() };
        let path = PathBuf::from(file.path);
        (*before != after).then(|| Action::WriteFile {
            path,
            before: Some(before.clone()),
            after,
            secret: false,
        })
    };
    wanted.files.iter().filter_map(write).collect()
}

type Rules = (Vec<Action>, Vec<Action>, Vec<Action>);

/// What changes in the table when nobody guards it. Pure.
fn rules(
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
            None => add.push(Action::Rule(Change::AddServer { at, server, destination })),
            Some(seen) if seen.destination != destination => {
                add.push(Action::Rule(Change::UpdateServer { at, server, destination }));
            }
            Some(_) => {}
        }
    }
    for (&server, seen) in present.iter().filter(|(server, _)| !wanted.contains_key(server)) {
        // Of a dead one the connections are freed at once.
        if seen.destination.weight > 0 && !is_dead(&server) {
            let destination = Destination { weight: 0, ..seen.destination };
            drain.push(Action::Rule(Change::UpdateServer { at, server, destination }));
        }
        remove.push(Action::Rule(Change::RemoveServer { at, server }));
    }
    (add, drain, remove)
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
    let begin = Instant::now();
    let is_new = || is_told(wanted, |server| server.health.is_some());
    while !is_new() {
        if begin.elapsed() > manner.wait {
            return Err(Failure::new(
                Exit::NotVerified,
                format!(
                    "the manifest names the new masters, but after {:?} the daemon still has others: is kubelet at \
                     work, and the image on this node? It goes on once the pod has started again",
                    manner.wait
                ),
            ));
        }
        sleep(PAUSE);
    }
    let begin = Instant::now();
    let limit = wanted.config.drain_timeout + MARGIN;
    while !is_told(wanted, |_| true) {
        if begin.elapsed() > limit {
            return Err(Failure::new(
                Exit::NotVerified,
                format!(
                    "after {limit:?} the daemon still has other masters in the table; see `lvscare status`"
                ),
            ));
        }
        sleep(PAUSE);
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

#[cfg(test)]
mod tests;
