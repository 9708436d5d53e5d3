//! `lvscare drain` and `lvscare undrain`: writes down what is wanted, and waits until the daemon has done it.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cli::UndrainArgs;
use crate::client;
use crate::config::value::brief;
use crate::drain::{Drained, Whom, file};
use crate::exit::{Exit, Failure};
use crate::status::{RealServer, Status};

mod choice;

use choice::{find, forsaken, outcome};

/// The daemon looks once a second.
const PATIENCE: Duration = Duration::from_secs(15);

/// Between two questions to the daemon.
const PAUSE: Duration = Duration::from_millis(100);

/// What both commands are told.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Whom it is about.
    whom: Whom,
    /// The virtual server to look at where no daemon answers.
    vs: SocketAddr,
    /// Where the daemon listens; `None`: it is not asked.
    listen: Option<SocketAddr>,
    /// The state directory.
    directory: PathBuf,
}

impl TryFrom<UndrainArgs> for Request {
    type Error = Failure;

    fn try_from(args: UndrainArgs) -> Result<Self, Failure> {
        let UndrainArgs { address, target, listen, state_dir } = args;
        if state_dir == Path::new("none") {
            return Err(Failure::usage(
                "--state-dir none: a drained real server could not be remembered; give a directory",
            ));
        }
        Ok(Self { whom: address, vs: target.vs, listen: listen.0, directory: state_dir })
    }
}

/// Takes real servers out of service. The last one that serves is refused unless `force`. Tells `say`, line by line,
/// what happens.
pub(super) fn drain(
    request: &Request,
    force: bool,
    mut say: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let status = client::status(request.listen, request.vs)?;
    let servers = find(request.whom, &status).map_err(Failure::usage)?;
    let now = now();
    let decided = file::change(&request.directory, |drained| decide(&status, drained, &servers, force, now));
    for line in decided.map_err(|error| unwritten(&request.directory, &error))?? {
        say(&line)?;
    }
    wait(request, &status, &servers, true, say)
}

/// Lets them serve again.
pub(super) fn undrain(
    request: &Request,
    mut say: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| unwritten(&request.directory, &error);
    // One that is configured no more can be forgotten as well.
    let forgotten = file::change(&request.directory, |drained| {
        let forgotten = request.whom.among(drained.since.keys());
        drained.since.retain(|server, _| !forgotten.contains(server));
        forgotten
    })
    .map_err(failed)?;
    let status = client::status(request.listen, request.vs)?;
    if forgotten.is_empty() {
        find(request.whom, &status).map_err(Failure::usage)?;
        return say(&format!("{} is not drained; nothing to do", request.whom));
    }
    for server in &forgotten {
        say(&format!("{server} is not drained any more"))?;
    }
    wait(request, &status, &forgotten, false, say)
}

/// Adds `servers` to those that are `drained`, and says so.
fn decide(
    status: &Status,
    drained: &mut Drained,
    servers: &BTreeSet<SocketAddr>,
    force: bool,
    now: u64,
) -> Result<Vec<String>, Failure> {
    let news: BTreeSet<SocketAddr> = servers.iter().copied().filter(|server| !drained.has(*server)).collect();
    if !force
        && !news.is_empty()
        && let Some(service) = forsaken(status, drained, servers)
    {
        let all: Vec<String> = news.iter().map(ToString::to_string).collect();
        return Err(Failure::usage(format!(
            "{} would leave {} without a real server that is alive; wait for another one (lvscare status), or \
             insist with --force: it then goes on serving as long as nobody else can",
            all.join(", "),
            service.address
        )));
    }
    let mut lines = Vec::new();
    for server in servers {
        lines.push(match drained.since.get(server) {
            Some(since) => {
                let age = brief(Duration::from_secs(now.saturating_sub(*since)));
                format!("{server} is drained already, for {age}")
            }
            None => format!("{server} is drained until `lvscare undrain {server}`"),
        });
        drained.since.entry(*server).or_insert(now);
    }
    Ok(lines)
}

/// Waits until the daemon has made a pass with what is wanted, and says what came of it.
fn wait(
    request: &Request,
    before: &Status,
    servers: &BTreeSet<SocketAddr>,
    wanted: bool,
    mut say: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(listen) = request.listen.filter(|_| before.daemon.is_some()) else {
        return say("no lvscare answers; it heeds this when it starts");
    };
    let began = Instant::now();
    let mut heeded: Option<Instant> = None;
    while began.elapsed() < PATIENCE {
        if let Some(status) = client::daemon(listen) {
            let all = concerned(&status, servers);
            if all.iter().all(|(_, server)| server.drained_seconds.is_some() == wanted) {
                let heeded = *heeded.get_or_insert_with(Instant::now);
                let passed = status.daemon.as_ref().map_or(f64::MAX, |daemon| daemon.last_pass_seconds);
                if passed < heeded.elapsed().as_secs_f64() {
                    return all.iter().try_for_each(|(at, server)| say(&outcome(*at, server)));
                }
            }
        }
        sleep(PAUSE);
    }
    Err(Failure::new(
        Exit::Failed,
        format!(
            "the daemon on {listen} has not heeded {} for {}; it must be given this directory (--state-dir), and a pod \
             must have it mounted",
            file::path(&request.directory).display(),
            brief(PATIENCE)
        ),
    ))
}

fn concerned<'a>(status: &'a Status, servers: &BTreeSet<SocketAddr>) -> Vec<(SocketAddr, &'a RealServer)> {
    let services = status.virtual_servers.iter();
    let all =
        services.flat_map(|service| service.real_servers.iter().map(move |server| (service.address, server)));
    all.filter(|(_, server)| servers.contains(&server.address)).collect()
}

fn unwritten(directory: &Path, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "; run it as root",
        io::ErrorKind::ReadOnlyFilesystem => "; name another place, for the daemon as well: --state-dir",
        _ => "",
    };
    Failure::new(Exit::Failed, format!("{}: {error}{hint}", file::path(directory).display()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
