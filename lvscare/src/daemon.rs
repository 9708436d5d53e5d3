//! The daemon: builds every part, joins them, follows its configuration, and waits for a signal.
//!
//! One thread does everything. The parts talk through channels of which everybody reads the latest: the daemon sends
//! the active configuration through one, the checkers verdicts through another, the applier what it left in the kernel
//! through a third.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::active_config::ActiveConfig;
use crate::applier::{Applied, Applier};
use crate::checker::checkers::Checkers;
use crate::checker::self_probe::{self, Answers};
use crate::checker::suspects;
use crate::config::raw::ConfigArgs;
use crate::config::value::Scheme;
use crate::discover::{Discoveries, Found};
use crate::drain;
use crate::exit::{Exit, Failure};
use crate::kernel::watch::Watch;
use crate::kernel::{Kernel, Linux, sockets};
use crate::metrics::Metrics;
use crate::notify::Supervisor;
use crate::reload::Watched;
use crate::rivals;
use crate::runtime;
use crate::server::{self, View, stuck_after};
use crate::status::Reloads;
use crate::timer;

/// Guards the rules until SIGTERM or SIGINT, and leaves them in place then. `args` is where `active` came from, to be
/// read again on SIGHUP and when `file`, if there is one, changes. Beside another lvscare that guards the same address it
/// works only if `forced`.
pub(crate) fn run(
    args: ConfigArgs,
    active: ActiveConfig,
    file: Option<Watched>,
    kernel: Linux,
    forced: bool,
) -> Result<(), Failure> {
    raise_file_limit();
    let runtime =
        runtime::build().map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
    runtime.block_on(run_until_signal(args, Arc::new(active), file, kernel, forced))
}

/// Each real server takes a connection. The usual soft limit of 1024 is for programs that use `select(2)`.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        warn!(%error, "the number of open files stays limited to {:?}", limit.current);
    }
}

async fn run_until_signal(
    args: ConfigArgs,
    active: Arc<ActiveConfig>,
    mut file: Option<Watched>,
    mut kernel: Linux,
    forced: bool,
) -> Result<(), Failure> {
    let start = Instant::now();
    // From here on a signal is not lost.
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let watch = Watch::open()
        .map_err(|error| Failure::new(Exit::Failed, format!("subscribe to route events: {error}")))?;
    // Read only once it is watched: no change is missed.
    let directory = active.config.state_dir.clone();
    let mut drains = directory.as_deref().map(|directory| Watched::new(drain::file::path(directory)));
    let active = Arc::new(active.follow_drained());

    let services = active.config.addresses();
    let listener = match active.config.listen {
        Some(address) => tokio::select! {
            listener = rivals::take_endpoint(address, &services, forced) => listener?,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        },
        None => None,
    };
    tell_left_behind(&mut kernel, &services);

    let metrics = Metrics::new()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot count anything: {error}")))?;
    let mut discoveries = Discoveries::new(metrics.clone());
    discoveries.set(&active.config);
    let base = active;
    let found = discoveries.found();
    let active = Arc::new(base.with_servers(&servers(&found)));
    let mut applier = Applier::new(kernel, active.clone(), metrics.clone());
    let mut checkers = Checkers::new(metrics.clone());
    checkers.set(&active, &applier.read()?, start);
    let health_table = checkers.health_table();
    let first = applier.pass(&health_table.borrow(), Instant::now())?;
    let supervisor = Arc::new(Supervisor::from_env());
    supervisor.ready();
    info!(took = ?start.elapsed(), "the virtual server is ready");

    rivals::tell(&services);
    // The first listing loads kernel modules; better now than when a client waits for it.
    if let Err(error) = sockets::warm_up() {
        warn!("{error}");
    }
    for service in &active.config.services {
        if service.probe.ca_file.is_none() && service.probe.scheme == Scheme::Https {
            info!(virtual_server = %service.at, "certificates of the real servers are not verified; give --ca-file to verify them");
        }
    }

    let reloads = Reloads { generation: 1, hash: base.hash(), ..Reloads::default() };
    let masters = watch::Sender::new(found);
    discoveries.start(&health_table);
    let mut daemon = Daemon {
        args,
        base,
        discoveries,
        masters,
        checkers,
        active: watch::Sender::new(active),
        reloads: watch::Sender::new(reloads),
        applied: watch::Sender::new(first),
    };
    let answers = watch::Sender::new(Answers::new());
    let mut tasks = JoinSet::new();
    let active = daemon.active.borrow().clone();
    if let Some(address) = active.config.listen {
        let view = View {
            active: daemon.active.subscribe(),
            health_table: health_table.clone(),
            answers: answers.subscribe(),
            masters: daemon.masters.subscribe(),
            metrics: metrics.clone(),
            applied: daemon.applied.subscribe(),
            reloads: daemon.reloads.subscribe(),
            start,
        };
        tasks.spawn(server::run(address, listener, view));
    }
    let kernel = daemon.applied.subscribe();
    let connections = move |service| Some(kernel.borrow().actual.services.get(&service)?.traffic.connections);
    tasks.spawn(suspects::run(daemon.active.subscribe(), connections));
    tasks.spawn(self_probe::run(daemon.active.subscribe(), answers, metrics));
    tasks.spawn(heartbeat(supervisor.clone(), daemon.active.subscribe(), daemon.applied.subscribe()));
    tasks.spawn(applier.run(daemon.active.subscribe(), health_table, Some(watch), daemon.applied.clone()));

    loop {
        // Cancel-safety: signals and changes of the file are not lost by waiting for something else.
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => daemon.reload(),
            () = changed(&mut file) => daemon.reload(),
            () = replaced(&mut drains) => daemon.drain(directory.as_deref()),
            () = daemon.discoveries.news() => daemon.learn(),
        }
    }
    supervisor.stopping();
    info!("stopping; route and rules stay in place, traffic goes on");
    Ok(())
}

/// Says once what an earlier lvscare has made and this one is not told of: nobody would miss it otherwise.
fn tell_left_behind(kernel: &mut Linux, services: &[SocketAddr]) {
    match kernel.survey() {
        Ok(survey) => {
            for left in survey.left_behind(services) {
                warn!(
                    "{left} was made by lvscare and is not in this configuration; if nobody else guards it, remove it: \
                     lvscare clean --vs {}",
                    left.target()
                );
            }
        }
        // Whoever may not look may do nothing else either, and is told so.
        Err(error) => debug!("cannot look for what an earlier lvscare left: {error}"),
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("cannot listen for signals: {error}")))
}

async fn changed(file: &mut Option<Watched>) {
    match file {
        Some(file) => file.changed().await,
        None => std::future::pending().await,
    }
}

/// Tells the supervisor that all goes well, as long as passes succeed: where they do not, a restart may help.
async fn heartbeat(
    supervisor: Arc<Supervisor>,
    active: watch::Receiver<Arc<ActiveConfig>>,
    applied: watch::Receiver<Applied>,
) {
    let Some(pause) = supervisor.heartbeat() else { return };
    loop {
        timer::sleep(pause).await;
        if applied.borrow().time.elapsed() < stuck_after(active.borrow().config.resync) {
            supervisor.alive();
        }
    }
}

async fn replaced(file: &mut Option<Watched>) {
    match file {
        Some(file) => file.replaced().await,
        None => std::future::pending().await,
    }
}

/// What is needed to take over another configuration.
struct Daemon {
    args: ConfigArgs,
    /// What was configured; the active one has the masters that were learned.
    base: Arc<ActiveConfig>,
    discoveries: Discoveries,
    masters: watch::Sender<BTreeMap<SocketAddr, Found>>,
    checkers: Checkers,
    active: watch::Sender<Arc<ActiveConfig>>,
    reloads: watch::Sender<Reloads>,
    applied: watch::Sender<Applied>,
}

impl Daemon {
    /// Reads the configuration again. One that is not valid is refused, and the old one stays in force.
    fn reload(&mut self) {
        let active = match ActiveConfig::load(&self.args) {
            Ok(active) => {
                ActiveConfig { drained: self.base.drained.clone(), ..active.keep_settings(&self.base) }
            }
            Err(failure) => {
                warn!("the new configuration is refused, the old one stays in force: {failure}");
                self.reloads.send_modify(|reloads| {
                    reloads.failures += 1;
                    reloads.problem = Some(failure.message);
                });
                return;
            }
        };
        let hash = active.hash();
        let news = active.config != self.base.config;
        self.reloads.send_modify(|reloads| {
            reloads.problem = None;
            reloads.generation += u64::from(news);
            reloads.hash.clone_from(&hash);
        });
        if !news {
            info!("the configuration was read again; it says the same");
            return;
        }
        info!(%hash, "a new configuration is in force");
        if active.config.listen != self.base.config.listen {
            warn!("another `listen` address takes effect at the next start");
        }
        self.base = Arc::new(active);
        self.discoveries.set(&self.base.config);
        self.discoveries.start(&self.checkers.health_table());
        self.learn();
    }

    /// Takes over whom an administrator has drained.
    fn drain(&mut self, directory: Option<&Path>) {
        let Some(directory) = directory else { return };
        let before = &self.base.drained;
        let drained = drain::file::follow(directory, before);
        for server in drained.since.keys().filter(|server| !before.has(**server)) {
            info!(%server, "drained by an administrator: no new connections, open ones may finish");
        }
        for server in before.since.keys().filter(|server| !drained.has(**server)) {
            info!(%server, "not drained any more");
        }
        self.base = Arc::new(ActiveConfig { drained, ..ActiveConfig::clone(&self.base) });
        self.learn();
    }

    /// Takes over what is configured and what was found.
    fn learn(&mut self) {
        let found = self.discoveries.found();
        let active = Arc::new(self.base.with_servers(&servers(&found)));
        self.masters.send_replace(found);
        let before = self.active.borrow().clone();
        if active.config == before.config && active.drained == before.drained {
            return;
        }
        self.checkers.set(&active, &self.applied.borrow().actual, Instant::now());
        self.active.send_replace(active);
    }
}

fn servers(found: &BTreeMap<SocketAddr, Found>) -> BTreeMap<SocketAddr, Vec<SocketAddr>> {
    found.iter().map(|(&at, found)| (at, found.servers.clone())).collect()
}
