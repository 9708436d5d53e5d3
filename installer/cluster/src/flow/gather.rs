//! Every host of a cluster at once: spoken with, held, and asked what it is. Nothing is changed by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use node::facts::machine::MachineFacts;

use super::{Access, Error, Way};
use crate::inventory::{Inventory, Role};
use crate::plan::members::Member;
use crate::remote;
use crate::remote::session::Session;
use crate::remote::transfer::Source;
use crate::runner::{self, Ended, Stop};
use crate::transport::ssh::Ssh;

/// Hosts that are spoken with.
#[derive(Debug)]
pub struct Gathered {
    /// A session for each, at its place in the inventory; none where it failed.
    pub sessions: Vec<Option<Session<Ssh>>>,
    /// What each said of itself.
    pub members: Vec<Member>,
    /// The time here before the first was asked and after the last one had answered, in milliseconds since 1970.
    pub asked: (u64, u64),
    /// What a person should know of a host.
    pub notes: Vec<(usize, String)>,
    /// Those that failed, and why; those that were not asked any more, without a reason.
    pub failed: Vec<(usize, Option<remote::Error>)>,
    /// The way to them, which must last as long as they do.
    pub way: Way,
}

/// Speaks with all of them. With `lock`, nobody else changes them until their sessions end, and is told that it is for
/// `lock`.
pub async fn gather(
    inventory: &Inventory,
    access: Access,
    program: &Source,
    lock: Option<&str>,
    stop: &Stop,
) -> Result<Gathered, Error> {
    let way = Way::open(access, inventory, &mut stop.clone()).await?;
    let begin = now();
    let jobs = inventory.hosts.iter().map(|host| {
        let (at, way) = (host.at, way.clone());
        let (program, stop, lock) = (program.clone(), stop.clone(), lock.map(str::to_owned));
        async move {
            let ssh = way.connect(at).await?;
            let notes: Vec<String> = ssh.notes().iter().map(ToString::to_string).collect();
            let mut session = Session::open(ssh, way.password(), &program, stop, |_| ()).await?;
            if let Some(by) = lock {
                session.lock(&by).await?;
            }
            let facts = session.facts().await?;
            Ok::<_, remote::Error>((session, facts, notes))
        }
    });
    let mut gathered = Gathered {
        sessions: inventory.hosts.iter().map(|_| None).collect(),
        members: Vec::new(),
        asked: (begin, begin),
        notes: Vec::new(),
        failed: Vec::new(),
        way: way.clone(),
    };
    runner::run(jobs, stop.clone(), Duration::ZERO, |event| {
        let runner::Event::Ended(host, ended) = event else { return };
        match ended {
            Ended::Done(Ok((session, facts, notes))) => {
                gathered.notes.extend(notes.into_iter().map(|note| (host, note)));
                gathered.members.extend(member(inventory, host, facts));
                if let Some(place) = gathered.sessions.get_mut(host) {
                    *place = Some(session);
                }
            }
            Ended::Done(Err(error)) => gathered.failed.push((host, Some(error))),
            Ended::NotBegun | Ended::Left => gathered.failed.push((host, None)),
        }
    })
    .await;
    gathered.asked.1 = now();
    gathered.members.sort_by_key(|member| member.host);
    Ok(gathered)
}

fn member(inventory: &Inventory, place: usize, facts: MachineFacts) -> Option<Member> {
    let host = inventory.hosts.get(place)?;
    let (name, address) = (host.name(), host.at.ip());
    Some(Member { host: place, name, address, role: host.role.unwrap_or(Role::Node), facts })
}

impl Gathered {
    /// Ends all sessions. With `forget`, nothing is left on the hosts but what was asked for.
    pub async fn end(sessions: Vec<Option<Session<Ssh>>>, way: Way, forget: bool) {
        for session in sessions.into_iter().flatten() {
            // Whoever does not say good-bye is gone all the same.
            if let Ok(ssh) = session.bye(forget).await {
                ssh.close().await;
            }
        }
        way.close().await;
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
