//! The daemon: builds every part, joins them, and waits for a signal.
//!
//! One thread does everything. The parts talk through two boards: the checkers write verdicts on one, the
//! applier what it left in the kernel on the other; everybody reads the latest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::applier::Applier;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::health::checker::{Board, Checker};
use crate::health::probe::Settings;
use crate::health::{Condition, Entry, Verdict};
use crate::kernel::watch::Watch;
use crate::kernel::{Error, Linux, sockets};
use crate::model::Actual;
use crate::server::{self, View};

/// So many resync times without a pass mean that the loop is stuck.
const STUCK_AFTER_PASSES: u32 = 10;

/// But at least this long, for a node under heavy load.
const STUCK_AFTER: Duration = Duration::from_secs(15);

/// Guards the rules until SIGTERM or SIGINT, and leaves them in place then.
pub fn run(config: Config, settings: Settings, kernel: Linux) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
    runtime.block_on(guard(Arc::new(config), Arc::new(settings), kernel))
}

async fn guard(config: Arc<Config>, settings: Arc<Settings>, kernel: Linux) -> Result<(), Failure> {
    let start = Instant::now();
    let cannot = |what: &str, error: std::io::Error| Failure::new(Exit::Failed, format!("{what}: {error}"));
    // From here on a signal is not lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| cannot("SIGTERM", error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| cannot("SIGINT", error))?;
    let watch = Watch::open().map_err(|error| cannot("subscribe to route events", error))?;

    let mut guard = Applier::new(kernel, config.clone());
    let board = presume(&config, &guard.read()?, start);
    let (first, errors) = guard.pass(&board, Instant::now())?;
    for error in errors {
        match error {
            Error::NotPermitted
            | Error::NoScheduler(_)
            | Error::HangingScheduler(_)
            | Error::ForeignSource(_) => return Err(error.into()),
            other => warn!("{other}"),
        }
    }
    info!(took = ?start.elapsed(), "the virtual server is ready");

    // The first listing loads kernel modules; better now than when a client waits for it.
    if let Err(error) = sockets::warm_up() {
        warn!("{error}");
    }

    let board = watch::Sender::new(board);
    let applied = watch::Sender::new(first);
    let mut tasks = JoinSet::new();
    if config.probe.ca_file.is_none() && settings.is_tls() {
        info!("certificates of the real servers are not verified; give --ca-file to verify them");
    }
    for index in 0..board.borrow().len() {
        tasks.spawn(Checker::new(index, config.policy, settings.clone(), board.clone()).run());
    }
    if let Some(address) = config.listen {
        let view = View {
            board: board.subscribe(),
            applied: applied.subscribe(),
            start,
            stuck_after: (config.resync * STUCK_AFTER_PASSES).max(STUCK_AFTER),
        };
        tasks.spawn(server::run(address, view));
    }
    tasks.spawn(guard.run(board.subscribe(), Some(watch), applied));

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("stopping; route and rules stay in place, traffic goes on");
    Ok(())
}

/// What the table says about every server before any probe has: one that takes traffic is presumed alive, one
/// at weight 0 sick, one that is not there dead. A table without any of our servers says nothing; then all are
/// presumed alive, so that a join need not wait.
fn presume(config: &Config, actual: &Actual, now: Instant) -> Board {
    let mut board = Board::new();
    for service in &config.services {
        let weight = |address| {
            let seen = actual.services.get(&service.at)?.destinations.get(&address)?;
            Some(seen.destination.weight)
        };
        let fresh = service.servers.iter().all(|server| weight(server.address).is_none());
        for server in &service.servers {
            let condition = match weight(server.address) {
                None if !fresh => Condition::Dead,
                Some(0) => Condition::Sick,
                _ => Condition::Alive,
            };
            board.push(Entry {
                service: service.at,
                server: server.address,
                verdict: Verdict::presumed(condition, now),
                last_probe: None,
            });
        }
    }
    board
}
