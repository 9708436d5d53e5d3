//! Many virtual servers: what they cost, and that the cost grows with their number and no faster.
//!
//! `-- --nocapture` shows the measured figures.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured figures are the point")]

use std::fmt::{self, Write as _};
use std::fs;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvscare::kernel::{Kernel, Linux};
use tests::configuration::{ConfigFile, virtual_server};
use tests::daemon::Daemon;
use tests::lab::Lab;
use tests::wait::{asked_every, eventually};
use tests::web::Web;

/// Ten real servers: one cheap service on so many ports.
const PORTS: std::ops::RangeInclusive<u16> = 8001..=8010;

/// Between two questions to one server. The guest is ten to twenty times slower than a node.
const INTERVAL: Duration = Duration::from_secs(10);

/// Processor time is measured for so long: each server is asked about once.
const WINDOW: Duration = Duration::from_secs(10);

/// The best of so many windows tells, whatever else this machine is busy with.
const WINDOWS: usize = 2;

/// For a slow guest with thousands of connections to open, and a busy machine.
const LIMIT: Duration = Duration::from_secs(240);

/// What so many virtual servers cost.
struct Cost {
    services: u16,
    built: Duration,
    judged: Duration,
    starting: Duration,
    per_minute: Duration,
    reading: Duration,
    status: Duration,
    memory: u64,
    requests: u64,
    pause: Duration,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} x 10: table whole after {:?}, all judged after {:?} ({:?} of processor time), then {:?} per minute; \
             one reading of the kernel {:?}, one status {:?}; {} KiB; {} requests in {WINDOWS} times {WINDOW:?}, longest pause {:?}",
            self.services,
            self.built,
            self.judged,
            self.starting,
            self.per_minute,
            self.reading,
            self.status,
            self.memory,
            self.requests,
            self.pause
        )
    }
}

fn at(number: u16) -> String {
    format!("10.103.{}.{}:80", 100 + number / 100, 1 + number % 100)
}

fn measure(services: u16) -> Cost {
    let lab = Lab::new();
    let place = lab.master(1);
    let web = Web::start(place.namespace(), PORTS, "/healthz", "web");
    let servers: Vec<SocketAddr> = PORTS.map(|port| SocketAddr::new(place.address().ip(), port)).collect();
    let mut text = "virtualServers:\n".to_owned();
    (0..services).for_each(|number| text += &virtual_server(&at(number), &servers));
    // All of them are one thread of this test, which may be kept waiting.
    let limits = "timeout: 30s, connectTimeout: 30s";
    writeln!(text, "health: {{scheme: http, readyPath: none, interval: {}s, {limits}}}", INTERVAL.as_secs())
        .unwrap();
    let file = ConfigFile::new(&lab, &text);

    let began = Instant::now();
    let daemon = Daemon::launch(&lab, &file, &[]);
    // There is no such file before the daemon has had the kernel load its module.
    let listing =
        || lab.node().enter(|| fs::read_to_string("/proc/thread-self/net/ip_vs")).unwrap_or_default();
    let rows = || listing().matches("  -> 0A000001:").count();
    eventually(LIMIT, "the whole table", || (rows() == usize::from(services) * 10).then_some(()));
    let built = began.elapsed();
    eventually(LIMIT, "all judged", || daemon.ready().then_some(()));
    let judged = began.elapsed();
    let starting = daemon.cpu_time();

    // What the start has put off is done.
    sleep(Duration::from_secs(2));
    web.seen();
    let windows = (0..WINDOWS).map(|_| {
        let before = daemon.cpu_time();
        sleep(WINDOW);
        daemon.cpu_time().saturating_sub(before)
    });
    let used = windows.min().unwrap();
    let seen = web.seen();

    // Every pass begins with this.
    let addresses: Vec<SocketAddr> = (0..services).map(|number| at(number).parse().unwrap()).collect();
    let reading = lab.node().enter(|| {
        let mut kernel = Linux::open().unwrap();
        let read = |_| {
            let began = Instant::now();
            assert_eq!(kernel.read(&addresses).unwrap().routes.len(), addresses.len());
            began.elapsed()
        };
        // Somebody else is often busy.
        (0..3).map(read).min().unwrap()
    });

    let asked = Instant::now();
    daemon.status().unwrap();
    let answered = asked.elapsed();
    // Nobody is forgotten: from here on everybody is asked once more.
    let status = asked_every(Duration::from_secs(1), LIMIT, "a probe of everybody", || {
        let since = asked.elapsed().as_secs_f64();
        let status = daemon.status()?;
        assert_eq!(status.virtual_servers.len(), usize::from(services));
        let mut servers = status.virtual_servers.iter().flat_map(|service| &service.real_servers);
        // What the probe saw is no matter of the number: all servers are one thread of this test.
        let fresh = servers.all(|server| {
            let probe = server.health.as_ref().and_then(|health| health.last_probe.as_ref()).unwrap();
            probe.ago_seconds < since
        });
        fresh.then_some(status)
    });
    let known = status.daemon.unwrap();
    assert_eq!((known.repairs, &known.problems[..]), (0, &[][..]));
    Cost {
        services,
        built,
        judged,
        starting,
        per_minute: used.mul_f64(60.0 / WINDOW.as_secs_f64()),
        reading,
        status: answered,
        memory: daemon.memory("VmRSS"),
        requests: seen.requests,
        pause: seen.longest_pause,
    }
}

#[test]
fn four_times_the_virtual_servers_cost_four_times_as_much() {
    let [few, many] = [50, 200].map(|services| {
        let cost = measure(services);
        println!("{cost}");
        cost
    });
    let growth = |few: Duration, many: Duration| many.as_secs_f64() / few.as_secs_f64();
    let steady = growth(few.per_minute, many.per_minute);
    // A start is too short to be judged by on a busy machine.
    let start = growth(few.starting, many.starting);
    println!(
        "four times the virtual servers: {steady:.1} times the processor time, {start:.1} times at the start"
    );
    // Each looking at each would be sixteen times.
    assert!(steady <= 4.0 * 2.0, "{steady:.1}");
    // Debug build. Most of it is what 2,000 first questions at once leave behind in the heap.
    assert!(many.memory < 96 << 10, "{} KiB", many.memory);
}
