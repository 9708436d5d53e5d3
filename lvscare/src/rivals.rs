//! Another lvscare on this node: two that guard one address undo each other's work.
//!
//! One is found by its endpoint or among the processes. Everybody may start a program that answers there or is called
//! lvscare, so what they say is bounded, and only who runs as root, as this user, or as a service of systemd counts:
//! nobody else could guard anything, and nobody else may keep this node from being guarded.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::doctor::facts::{self, process};
use crate::exit::{Exit, Failure};
use crate::status::Status;

mod listener;
#[cfg(test)]
mod tests;

/// A pod or a service that is replaced ends before this.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the endpoint is tried meanwhile.
const PAUSE: Duration = Duration::from_millis(250);

/// A daemon answers in milliseconds.
const LIMIT: Duration = Duration::from_secs(2);

/// The longest text of somebody else that is shown.
const MAX_NAME_CHARS: usize = 200;

/// Another lvscare at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// A virtual server that it guards.
    at: SocketAddr,
    /// Which process it is, and where.
    place: String,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lvscare ({}) guards {}", self.place, self.at)
    }
}

/// Those that guard one of `services`, besides this one: the processes that can be seen, else the one that answers on
/// `listen`.
pub(crate) fn find(services: &[SocketAddr], listen: Option<SocketAddr>) -> Result<Vec<Peer>, Failure> {
    let processes = processes(services);
    match listen {
        Some(listen) if processes.is_empty() => {
            let answered = facts::status_of(listen, LIMIT)?;
            Ok(answered.and_then(|status| answering(&status, listen, services)).into_iter().collect())
        }
        _ => Ok(processes),
    }
}

/// Refuses to do what `peers` would undo.
pub(crate) fn refuse(peers: &[Peer]) -> Result<(), Failure> {
    let Some(peer) = peers.first() else { return Ok(()) };
    Err(Failure::new(
        Exit::Locked,
        format!("{peer} and would undo this; stop it first, or go on all the same with --force"),
    ))
}

fn processes(services: &[SocketAddr]) -> Vec<Peer> {
    let guards = process::lvscares(services).into_iter();
    guards.map(|(at, guard)| Peer { at, place: guard.place }).collect()
}

/// The one whose answer this is, if it counts.
fn answering(status: &Status, listen: SocketAddr, services: &[SocketAddr]) -> Option<Peer> {
    let daemon = status.daemon.as_ref()?;
    let mut guarded = status.virtual_servers.iter().map(|service| service.address);
    let at = guarded.find(|at| services.contains(at))?;
    listener::is_trusted(listen)
        .then(|| Peer { at, place: format!("{}; answers on {listen}", printable(&daemon.process)) })
}

/// What somebody else says, in a form that does nothing to a terminal.
fn printable(text: &str) -> String {
    let text: String =
        text.chars().filter(|character| !character.is_control()).take(MAX_NAME_CHARS).collect();
    if text.is_empty() { "an older one".to_owned() } else { text }
}

/// Takes the endpoint, by which one of two that guard the same address is chosen. While another one has it that guards
/// one of `services`, this waits for a while and then refuses, unless it is `forced`. `None`: it cannot be had for
/// another reason, which is none not to guard.
pub(crate) async fn take_endpoint(
    listen: SocketAddr,
    services: &[SocketAddr],
    forced: bool,
) -> Result<Option<TcpListener>, Failure> {
    let began = Instant::now();
    let mut told = false;
    loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(_) => return Ok(None),
        }
        let answered = facts::daemon::status(listen, LIMIT).await;
        let Some(peer) = answered.and_then(|status| answering(&status, listen, services)) else {
            // Unless it has ended between the two looks.
            return Ok(TcpListener::bind(listen).await.ok());
        };
        if forced {
            warn!("another {peer} as well; each will undo what the other does");
            return Ok(None);
        }
        if began.elapsed() >= PATIENCE {
            return Err(Failure::new(
                Exit::Locked,
                format!(
                    "another {peer} as well; two would undo each other's work, so run the service or the static pod, \
                     not both, or go on all the same with --force"
                ),
            ));
        }
        if !told {
            told = true;
            info!("another {peer} as well; waiting {} s for it to end", PATIENCE.as_secs());
        }
        sleep(PAUSE).await;
    }
}

/// Says who else is at work here, as far as that can be seen.
pub(crate) fn tell(services: &[SocketAddr]) {
    for peer in processes(services) {
        warn!("another {peer} as well; each undoes what the other does, so stop one of them");
    }
}
