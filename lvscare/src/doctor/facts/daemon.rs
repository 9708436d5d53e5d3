//! What the daemon says, twice: a counter that rises while nobody should touch anything tells of a fight.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::client::{self, Error};
use crate::status::Status;

/// The time between the two looks.
const BETWEEN: Duration = Duration::from_millis(300);

/// The same where there were repairs before: long enough for a pass of the daemon's guard, one a second.
const BETWEEN_AFTER_REPAIRS: Duration = Duration::from_millis(1100);

/// What came of asking the daemon.
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
#[derive(Clone, Debug, PartialEq)]
pub enum Daemon {
    /// It was not to be asked.
    NotAsked,
    /// Nobody listens there.
    Absent(SocketAddr),
    /// Somebody listens, and does not answer as lvscare does.
    Silent(SocketAddr, String),
    /// It answered.
    Seen {
        /// The first answer.
        first: Status,
        /// The answer a moment later, if there was one.
        later: Option<Status>,
    },
}

/// Asks once.
pub(super) async fn look(listen: Option<SocketAddr>, limit: Duration) -> Daemon {
    let Some(address) = listen else { return Daemon::NotAsked };
    match timeout(limit, client::fetch(address)).await {
        Ok(Ok(first)) => Daemon::Seen { first, later: None },
        Ok(Err(Error::Unreachable(error))) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Daemon::Absent(address)
        }
        Ok(Err(why)) => Daemon::Silent(address, why.to_string()),
        Err(_) => Daemon::Silent(address, format!("no answer in {:.1} s", limit.as_secs_f64())),
    }
}

/// What the daemon at `address` says, if it says so before `limit`.
pub(crate) async fn status(address: SocketAddr, limit: Duration) -> Option<Status> {
    match look(Some(address), limit).await {
        Daemon::Seen { first, .. } => Some(first),
        _ => None,
    }
}

/// Asks once more a moment later, if there was an answer.
pub(super) async fn look_again(
    first: &Daemon,
    listen: Option<SocketAddr>,
    limit: Duration,
) -> Option<Status> {
    let Daemon::Seen { first, .. } = first else { return None };
    let repaired = first.daemon.as_ref().is_some_and(|daemon| daemon.repairs > 0);
    sleep(if repaired { BETWEEN_AFTER_REPAIRS } else { BETWEEN }).await;
    match look(listen, limit).await {
        Daemon::Seen { first, .. } => Some(first),
        _ => None,
    }
}
