//! The product in the laboratory: `lvscare` on a node, what it says of itself, and what the kernel holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{ExitStatus, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lvscare::health::Condition;
use lvscare::health::pool::Mode;
use lvscare::kernel::ipvs::Table;
use lvscare::model::SeenService;
use lvscare::status::Reloads;
use lvscare::status::{Health, RealServer, Status};
use nix::sys::signal::Signal;

use crate::client::Connection;
use crate::configuration::ConfigFile;
use crate::lab::Lab;
use crate::netns::Namespace;
use crate::process::Process;
use crate::wait::eventually;
use crate::web;

/// The program, which must be in reach: `vm` puts it there.
const PROGRAM: &str = "lvscare";

/// The virtual server of every test.
pub const VIP: &str = "10.103.97.2:6443";
/// The same in IPv6.
pub const VIP6: &str = "[fd00:103::2]:6443";
/// What answers there.
pub const URL: &str = "https://10.103.97.2:6443/";
/// The same in IPv6.
pub const URL6: &str = "https://[fd00:103::2]:6443/";

/// Where the daemon listens unless it is told otherwise.
const LISTEN: &str = "127.0.0.1:10261";

/// The kernel's unit of processor time, `USER_HZ`, per second.
const TICKS: u64 = 100;

/// For anything that happens at all: the machine may be emulated, and shared. No test may take it for a measure.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Options for tests that need many probes, not those of the defaults. A healthy server must not seem silent because
/// this machine is busy.
pub const QUICK: [&str; 8] =
    ["--interval", "400ms", "--fast-interval", "100ms", "--connect-timeout", "4s", "--health-timeout", "5s"];

/// The address of [`VIP`].
pub fn vip() -> SocketAddr {
    VIP.parse().expect("an address")
}

/// A running `lvscare care`. Dropping it kills it; its rules stay, as they should.
pub struct Daemon {
    process: Process,
    node: Namespace,
}

impl Daemon {
    /// Starts the daemon on the laboratory's node for all masters, with these further options.
    #[track_caller]
    pub fn start(lab: &Lab, options: &[&str]) -> Self {
        Self::start_for(lab, VIP, &lab.addresses(), options)
    }

    /// Starts the daemon for a virtual server and real servers of one's choice.
    #[track_caller]
    pub fn start_for(lab: &Lab, vip: &str, servers: &[SocketAddr], options: &[&str]) -> Self {
        let arguments = arguments(vip, servers, options);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Self { process: lab.node().spawn(&arguments), node: lab.node().clone() }
    }

    /// Starts the daemon on the laboratory's node with a configuration file, and waits until every server has a
    /// verdict.
    #[track_caller]
    pub fn following(lab: &Lab, file: &ConfigFile, options: &[&str]) -> Self {
        let mut daemon = Self::launch(lab, file, options);
        daemon.wait_judged();
        daemon
    }

    /// The same without waiting.
    #[track_caller]
    pub fn launch(lab: &Lab, file: &ConfigFile, options: &[&str]) -> Self {
        let arguments = [&[PROGRAM, "care", "--config", file.path()], options].concat();
        Self { process: lab.node().spawn(&arguments), node: lab.node().clone() }
    }

    /// Starts the daemon and waits until every server has a verdict.
    #[track_caller]
    pub fn judged(lab: &Lab, options: &[&str]) -> Self {
        let mut daemon = Self::start(lab, options);
        daemon.wait_judged();
        daemon
    }

    /// Waits until every server has a verdict.
    #[track_caller]
    pub fn wait_judged(&mut self) {
        eventually(LIMIT, "a verdict on every server", || {
            assert!(self.process.ended().is_none(), "lvscare ended:\n{}", self.log());
            let status = self.status()?;
            let servers = status.virtual_servers.iter().flat_map(|service| &service.real_servers);
            let judged =
                |server: &RealServer| server.health.as_ref().is_none_or(|known| known.condition.is_some());
            servers.into_iter().all(judged).then_some(())
        });
    }

    /// What the daemon says, if it answers.
    pub fn status(&self) -> Option<Status> {
        serde_json::from_str(&page(&self.node, "/status").ok()?).ok()
    }

    /// What the daemon takes a server for.
    pub fn condition(&self, server: SocketAddr) -> Option<Condition> {
        self.health(server)?.condition
    }

    /// What the latest probe of a server saw.
    pub fn reason(&self, server: SocketAddr) -> Option<String> {
        Some(self.health(server)?.last_probe?.result)
    }

    /// Who serves, and why.
    pub fn mode(&self) -> Option<Mode> {
        self.status()?.virtual_servers.first()?.mode
    }

    /// How many foreign changes it has undone.
    pub fn repairs(&self) -> Option<u64> {
        Some(self.status()?.daemon?.repairs)
    }

    /// Whether it calls itself ready, which is much cheaper to ask than its status.
    pub fn ready(&self) -> bool {
        let listen: SocketAddr = LISTEN.parse().expect("an address");
        web::get(&self.node, listen, "/readyz", LIMIT).is_ok_and(|body| body == "ok\n")
    }

    /// What Prometheus would get to see.
    #[track_caller]
    pub fn metrics(&self) -> String {
        metrics(&self.node)
    }

    /// The first sample that Prometheus would get to see with such a beginning.
    #[track_caller]
    pub fn metric(&self, beginning: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find(|line| line.starts_with(beginning));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value.unwrap_or_else(|| panic!("no {beginning} in\n{text}")).parse().expect("a number")
    }

    /// What became of its configuration.
    pub fn reloads(&self) -> Option<Reloads> {
        Some(self.status()?.daemon?.configuration)
    }

    /// Waits until its configuration is as wanted.
    #[track_caller]
    pub fn wait_reloads(&self, what: &str, wanted: impl Fn(&Reloads) -> bool) -> Reloads {
        eventually(LIMIT, what, || self.reloads().filter(&wanted))
    }

    fn health(&self, server: SocketAddr) -> Option<Health> {
        let status = self.status()?;
        let mut servers = status.virtual_servers.into_iter().flat_map(|service| service.real_servers);
        servers.find(|known| known.address == server)?.health
    }

    /// Waits until the daemon takes a server for that.
    #[track_caller]
    pub fn wait_condition(&self, server: SocketAddr, wanted: Condition) {
        let what = format!("{server} taken for {wanted}");
        eventually(LIMIT, &what, || (self.condition(server) == Some(wanted)).then_some(()));
    }

    /// Waits until the latest probe of a server saw one of these.
    #[track_caller]
    pub fn wait_reason(&self, server: SocketAddr, words: &[&str]) {
        let what = format!("{server} bad because of {words:?}");
        let seen = |reason: &String| words.iter().any(|word| reason.contains(word));
        eventually(LIMIT, &what, || self.reason(server).filter(seen));
    }

    /// Waits until these serve.
    #[track_caller]
    pub fn wait_mode(&self, mode: Mode) {
        eventually(LIMIT, &format!("mode {mode:?}"), || (self.mode() == Some(mode)).then_some(()));
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The processor time it has used.
    pub fn cpu_time(&self) -> Duration {
        let stat = self.proc("stat");
        // The second word is the program's name in parentheses; user and system time are words 14 and 15.
        let words = stat.rsplit(')').next().expect("its name").split_whitespace();
        let ticks: u64 = words.skip(11).take(2).map(|word| word.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(ticks * 1000 / TICKS)
    }

    /// A number of `/proc/PID/status` or `smaps_rollup` by its name, such as `VmRSS`, in KiB, or `Threads`.
    pub fn memory(&self, name: &str) -> u64 {
        let text = self.proc("status") + &self.proc("smaps_rollup");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no {name} in:\n{text}"))
    }

    /// How many files it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("it runs").count()
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).expect("it runs")
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it as kubelet does, and waits.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.process.signal(Signal::SIGTERM);
        self.process.wait(LIMIT)
    }
}

/// What Prometheus would get to see of the daemon in `place`.
#[track_caller]
pub fn metrics(place: &Namespace) -> String {
    page(place, "/metrics").expect("it runs")
}

/// One page of the endpoint of the daemon in `place`, however long that takes: other clients are less patient on a busy
/// machine.
fn page(place: &Namespace, path: &str) -> io::Result<String> {
    place.enter(|| {
        let mut stream = TcpStream::connect(LISTEN)?;
        stream.set_read_timeout(Some(LIMIT))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
            _ => Err(io::Error::other(answer)),
        }
    })
}

/// The command line of `lvscare care`.
pub fn arguments(vip: &str, servers: &[SocketAddr], options: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = [PROGRAM, "care", "--vs", vip].map(str::to_owned).to_vec();
    words.extend(servers.iter().flat_map(|server| ["--rs".to_owned(), server.to_string()]));
    words.extend(options.iter().map(|&option| option.to_owned()));
    words
}

/// Runs `lvscare care --run-once` on the laboratory's node for all masters, with these further options. It must
/// succeed; returns what it printed.
#[track_caller]
pub fn run_once(lab: &Lab, options: &[&str]) -> String {
    let arguments = arguments(VIP, &lab.addresses(), &[&["--run-once"], options].concat());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    lab.node().check(&arguments)
}

/// Runs `lvscare` with these arguments to its end.
#[track_caller]
pub fn lvscare(place: &Namespace, words: &[&str]) -> Output {
    place.run(&[&[PROGRAM], words].concat())
}

/// The real servers of a virtual server with their weights, as `ipvsadm` sees them; `None`: there is no such
/// virtual server. An independent witness, and slow: see [`TableReader`] for measurements.
#[track_caller]
pub fn table(place: &Namespace, vip: &str) -> Option<BTreeMap<SocketAddr, u32>> {
    let rules = place.check(&["ipvsadm", "-Sn"]);
    let service = format!("-A -t {vip} ");
    rules.lines().find(|line| line.starts_with(&service))?;
    let destination = format!("-a -t {vip} -r ");
    let servers = rules.lines().filter_map(|line| {
        let mut words = line.strip_prefix(&destination)?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        let weight = words.skip_while(|word| *word != "-w").nth(1)?.parse().ok()?;
        Some((address, weight))
    });
    Some(servers.collect())
}

/// Waits until the table holds exactly these servers, all with this weight.
#[track_caller]
pub fn wait_table(place: &Namespace, vip: &str, servers: &[SocketAddr], weight: u32) {
    let wanted: BTreeMap<SocketAddr, u32> = servers.iter().map(|&server| (server, weight)).collect();
    let what = format!("{vip} with {servers:?}");
    let reader = TableReader::open(place);
    let at = vip.parse().expect("an address");
    eventually(LIMIT, &what, || {
        let seen = place.enter(|| reader.service(at))?;
        let weights = seen.destinations.iter().map(|(&server, seen)| (server, seen.destination.weight));
        // The library is part of the product; the last word is somebody else's.
        (weights.eq(wanted.clone()) && table(place, vip).as_ref() == Some(&wanted)).then_some(())
    });
}

/// Waits until every master serves.
#[track_caller]
pub fn wait_all_serve(lab: &Lab) {
    wait_table(lab.node(), VIP, &lab.addresses(), 1);
}

/// Who answers nine requests in a row, each over a connection of its own; none may fail.
#[track_caller]
pub fn answering(lab: &Lab, place: &Namespace) -> BTreeSet<String> {
    (0..9).map(|_| lab.get(place, URL, LIMIT).expect("no client sees a failure").body).collect()
}

/// These names, to be compared with who answers.
pub fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// A connection through the virtual server that has ended up at a certain master.
#[track_caller]
pub fn connection_to(lab: &Lab, place: &Namespace, name: &str) -> Connection {
    eventually(LIMIT, "a connection to a certain master", || {
        let mut connection = lab.connect(place, vip(), LIMIT).expect("the virtual server accepts");
        let answer = connection.get("/", LIMIT).expect("an answer");
        (answer.body == name).then_some(connection)
    })
}

/// Connections from the node and from a pod, with the names of the servers that they are connected to.
#[track_caller]
pub fn connections(lab: &Lab, each: usize) -> Vec<(String, Connection)> {
    let places = [lab.node(), lab.pod()];
    let open = places.into_iter().flat_map(|place| (0..each).map(move |_| place));
    open.map(|place| {
        let mut connection = lab.connect(place, vip(), LIMIT).expect("every server is fine");
        (connection.get("/", LIMIT).expect("every server is fine").body, connection)
    })
    .collect()
}

/// A look at the kernel's table that costs microseconds.
pub struct TableReader(std::sync::Mutex<Table>);

impl TableReader {
    /// Opens it in a namespace, where it stays.
    #[track_caller]
    pub fn open(place: &Namespace) -> Self {
        Self(std::sync::Mutex::new(place.enter(|| Table::open().expect("a kernel with IPVS"))))
    }

    /// The virtual server, if it exists.
    pub fn service(&self, at: SocketAddr) -> Option<SeenService> {
        self.0.lock().expect("nobody panics with it").read(at).ok().flatten()
    }

    /// The weight of a real server, if it is there.
    pub fn weight(&self, at: SocketAddr, server: SocketAddr) -> Option<u32> {
        Some(self.service(at)?.destinations.get(&server)?.destination.weight)
    }

    /// Whether a real server takes new connections.
    pub fn serves(&self, at: SocketAddr, server: SocketAddr) -> bool {
        self.weight(at, server).is_some_and(|weight| weight > 0)
    }

    /// The real servers with their weights, if the virtual server exists.
    pub fn weights(&self, at: SocketAddr) -> Option<BTreeMap<SocketAddr, u32>> {
        let destinations = self.service(at)?.destinations;
        Some(destinations.into_iter().map(|(server, seen)| (server, seen.destination.weight)).collect())
    }

    /// Whether exactly these real servers take new connections.
    pub fn only(&self, at: SocketAddr, servers: &[SocketAddr]) -> bool {
        let seen = self.weights(at).unwrap_or_default();
        let serving = seen.into_iter().filter(|(_, weight)| *weight > 0).map(|(server, _)| server);
        serving.eq(servers.iter().copied())
    }

    /// Looks without pause until `wanted` holds, and says how long that took.
    #[track_caller]
    pub fn time(&self, limit: Duration, what: &str, wanted: impl Fn(&Self) -> bool) -> Duration {
        let began = Instant::now();
        while !wanted(self) {
            assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
        began.elapsed()
    }
}

/// What the table holds between two looks, and since when.
pub type Frame = (Instant, Option<BTreeMap<SocketAddr, u32>>);

/// A table that is looked at all the time, so that nothing which lasts longer than a millisecond is missed.
pub struct TableRecorder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Frame>>,
}

impl TableRecorder {
    /// Starts to look at the virtual server `at`.
    #[track_caller]
    pub fn start(place: &Namespace, at: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (reader, stopped) = (TableReader::open(place), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut frames = vec![(Instant::now(), reader.weights(at))];
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
                let seen = reader.weights(at);
                if frames.last().is_none_or(|(_, before)| *before != seen) {
                    frames.push((Instant::now(), seen));
                }
            }
            frames
        });
        Self { stop, thread }
    }

    /// Every state that differed from the one before.
    pub fn stop(self) -> Vec<Frame> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("looking does not panic")
    }
}
