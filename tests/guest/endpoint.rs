//! The daemon's own endpoint in hostile hands: whatever clients do, memory and files stay bounded, kubelet's question
//! is answered, and neither probes nor repairs wait.
//!
//! `-- --nocapture` shows the figures.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured figures are the point")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use lvscare::health::Condition;
use tests::apiserver::Behaviour;
use tests::daemon::{self, Daemon, QUICK, TableReader, vip};
use tests::lab::Lab;
use tests::netns::Namespace;
use tests::wait::eventually;
use tests::web;

/// The guest is twenty times slower than a node, may be busy with something else, and an attacker takes what he can
/// get of it.
const LIMIT: Duration = Duration::from_secs(240);

/// Beside an attack nothing stands still for longer; the attack does not end before that has been seen.
const IN_TIME: Duration = Duration::from_secs(60);

/// How long one client waits for the daemon.
const PATIENCE: Duration = Duration::from_secs(20);

/// The daemon may have needed so much more memory, in KiB, at the worst moment of all attacks.
const GROWTH: u64 = 8 << 10;

/// One way to be a nuisance: makes connections until it is told to stop, and counts them.
type Attack = fn(SocketAddr, &Flood);

/// Name, threads, how often it has to have happened, and what it is.
const ATTACKS: [(&str, usize, usize, Attack); 7] = [
    ("slow loris, 200 at a time", 1, 400, slow_loris),
    ("10,000 connections, 500 at a time", 1, 10_000, silent),
    ("headers of 1 MiB", 2, 50, huge_headers),
    ("headers without end", 2, 20, endless_headers),
    ("half requests", 2, 500, half_requests),
    ("bodies nobody asked for", 2, 50, unwanted_bodies),
    ("scrapes, half of them never read", 8, 500, scrapes),
];

/// An attack that goes on in the background.
#[derive(Default)]
struct Flood {
    stop: AtomicBool,
    count: AtomicUsize,
}

impl Flood {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn counted(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

fn listen() -> SocketAddr {
    "127.0.0.1:10261".parse().unwrap()
}

/// A client's connection, which a busy daemon may refuse.
fn connect(to: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

/// A letter of a request now and then, which never ends. Whoever is thrown out comes again.
fn slow_loris(to: SocketAddr, flood: &Flood) {
    let mut streams: Vec<Option<TcpStream>> = (0..200).map(|_| None).collect();
    while flood.goes_on() {
        for place in &mut streams {
            if place.as_mut().is_some_and(|stream| stream.write_all(b"a").is_ok()) {
                continue;
            }
            *place = connect(to).filter(|mut stream| stream.write_all(b"GET /livez HTTP/1.1\r\nX: ").is_ok());
            flood.count();
        }
        sleep(Duration::from_millis(100));
    }
}

/// Connections that say nothing.
fn silent(to: SocketAddr, flood: &Flood) {
    while flood.goes_on() {
        let _wave: Vec<TcpStream> = (0..500).filter_map(|_| connect(to).inspect(|_| flood.count())).collect();
    }
}

fn huge_headers(to: SocketAddr, flood: &Flood) {
    headers(to, flood, 1 << 20);
}

fn endless_headers(to: SocketAddr, flood: &Flood) {
    headers(to, flood, usize::MAX);
}

/// Sends a header of that length, or as much of it as the daemon takes.
fn headers(to: SocketAddr, flood: &Flood, length: usize) {
    let filler = [b'a'; 4096];
    while flood.goes_on() {
        let Some(mut stream) = connect(to) else { continue };
        let mut sent = 0;
        let mut more = stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").is_ok();
        while more && sent < length && flood.goes_on() {
            more = stream.write_all(&filler).is_ok();
            sent += filler.len();
        }
        assert!(!flood.goes_on() || !more || sent < 1 << 26, "the daemon takes headers without end");
        flood.count();
    }
}

/// Requests that break off, politely and less so.
fn half_requests(to: SocketAddr, flood: &Flood) {
    for part in
        ["", "G", "GET /metr", "GET /metrics HTTP/1.1\r\nHost: x\r\n", "\r\n\r\n", "\0\0\0\0"].iter().cycle()
    {
        if !flood.goes_on() {
            return;
        }
        let Some(mut stream) = connect(to) else { continue };
        let _ = stream.write_all(part.as_bytes());
        if flood.counted().is_multiple_of(2) {
            let _ = stream.shutdown(Shutdown::Write);
        }
        flood.count();
    }
}

/// A megabyte to be stored, please.
fn unwanted_bodies(to: SocketAddr, flood: &Flood) {
    while flood.goes_on() {
        let Some(mut stream) = connect(to) else { continue };
        let _ = stream.write_all(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
        let _ = stream.write_all(&vec![0; 1 << 20]);
        flood.count();
    }
}

/// A Prometheus without a pause, and one that hangs up.
fn scrapes(to: SocketAddr, flood: &Flood) {
    while flood.goes_on() {
        let Some(mut stream) = connect(to) else { continue };
        let asked = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").is_ok();
        if asked && flood.counted().is_multiple_of(2) {
            let _ = stream.read_to_end(&mut Vec::new());
        }
        flood.count();
    }
}

/// What the daemon says of itself while it is attacked, at worst.
#[derive(Debug, Default)]
struct Worst {
    /// The time since a probe of a server that is asked every 400 ms.
    probe: Duration,
    /// The time since the kernel was compared with what should be there, which is done every second.
    pass: Duration,
}

impl Worst {
    fn look(&mut self, daemon: &Daemon) {
        let status = eventually(LIMIT, "a status in spite of the attack", || daemon.status());
        let seconds = |value: f64| Duration::try_from_secs_f64(value).unwrap();
        let servers = status.virtual_servers.iter().flat_map(|service| &service.real_servers);
        let probes = servers.filter_map(|server| server.health.as_ref()?.last_probe.as_ref());
        let oldest = probes.map(|probe| seconds(probe.ago_seconds)).max().unwrap();
        self.probe = self.probe.max(oldest);
        self.pass = self.pass.max(seconds(status.daemon.unwrap().last_pass_seconds));
    }
}

/// kubelet's question: whether one of three comes through, as it is content with, and how many of all did.
fn ask_livez(node: &Namespace) -> (usize, usize) {
    let mut good = 0;
    for attempt in 1..=30 {
        let answer = web::get(node, listen(), "/livez", PATIENCE);
        good += usize::from(answer.as_ref().is_ok_and(|body| body == "ok\n"));
        assert!(3 * good + 2 >= attempt, "/livez: {good} of {attempt}, then {answer:?}");
    }
    (good, 30)
}

fn start(lab: &Lab, threads: usize, attack: Attack) -> (Arc<Flood>, Vec<JoinHandle<()>>) {
    let flood = Arc::new(Flood::default());
    let thread = |_| {
        let flood = flood.clone();
        lab.node().thread(move || attack(listen(), &flood))
    };
    let threads = (0..threads).map(thread).collect();
    (flood, threads)
}

#[test]
fn attacks_cost_bounded_memory_and_delay_nothing() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &QUICK);
    let reader = TableReader::open(lab.node());
    let [killed, sick] = [lab.master(3), lab.master(2)];
    // What the first answers take once is no matter of attacks.
    assert_eq!(ask_livez(lab.node()), (30, 30));
    let scraped = web::get(lab.node(), listen(), "/metrics", PATIENCE);
    assert!(scraped.is_ok_and(|text| text.contains("lvscare_")));
    let calm = (daemon.memory("VmRSS"), daemon.memory("VmHWM"), daemon.descriptors());
    println!("calm: RSS {} KiB, at most {} KiB, {} files", calm.0, calm.1, calm.2);

    for (name, threads, times, attack) in ATTACKS {
        let (began, used) = (Instant::now(), daemon.cpu_time());
        let (flood, attackers) = start(&lab, threads, attack);
        eventually(LIMIT, name, || (flood.counted() > times / 10).then_some(()));
        let mut worst = Worst::default();
        worst.look(&daemon);

        // The end of its connection gives one away; the other has to be asked.
        killed.kill();
        let out = reader.time(IN_TIME, name, |reader| !reader.serves(vip(), killed.address()));
        sick.control().set(Behaviour::Healthz(500));
        let drained = reader.time(IN_TIME, name, |reader| !reader.serves(vip(), sick.address()));
        worst.look(&daemon);
        killed.start();
        sick.control().set(Behaviour::Healthy);
        let both =
            |reader: &TableReader| [killed, sick].iter().all(|master| reader.serves(vip(), master.address()));
        let back = reader.time(IN_TIME, name, both);
        worst.look(&daemon);
        // And the rules are guarded.
        lab.node().check(&["ipvsadm", "-d", "-t", daemon::VIP, "-r", &sick.address().to_string()]);
        let repaired = reader.time(IN_TIME, name, |reader| reader.serves(vip(), sick.address()));
        let (good, all) = ask_livez(lab.node());

        eventually(LIMIT, name, || (flood.counted() >= times).then_some(()));
        worst.look(&daemon);
        let most = daemon.descriptors();
        flood.stop.store(true, Ordering::Relaxed);
        for attacker in attackers {
            attacker.join().unwrap();
        }
        println!(
            "{name}: {} in {:.0?}, {:?} of processor time; killed one out after {out:?}, sick one after {drained:?}, \
             both back after {back:?}, a repair after {repaired:?}; last probe at most {:?} ago, last pass {:?}; \
             /livez {good} of {all}; RSS {} KiB, at most {} KiB; {most} files",
            flood.counted(),
            began.elapsed(),
            daemon.cpu_time().saturating_sub(used),
            worst.probe,
            worst.pass,
            daemon.memory("VmRSS"),
            daemon.memory("VmHWM"),
        );
        assert!(worst.probe < IN_TIME && worst.pass < IN_TIME, "{name}: {worst:?}");
        assert!(daemon.memory("VmHWM") < calm.1 + GROWTH, "{name}: {} KiB", daemon.memory("VmHWM"));
        // 32 clients, a listener's worth of others; not 500.
        assert!(most < calm.2 + 50, "{name}: {most} files");
        for server in lab.addresses() {
            daemon.wait_condition(server, Condition::Alive);
        }
        eventually(LIMIT, "files as before", || (daemon.descriptors() <= calm.2 + 2).then_some(()));
    }
    let status = daemon.status().unwrap();
    assert_eq!(status.daemon.unwrap().problems, Vec::<String>::new());
    println!("calm again: RSS {} KiB, {} files", daemon.memory("VmRSS"), daemon.descriptors());
    assert_eq!(daemon.memory("Threads"), 1);
}

/// A client that never ends its request is thrown out in time.
#[test]
fn patience_has_an_end() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &[]);
    let calm = daemon.descriptors();
    lab.node().enter(|| {
        let mut streams: Vec<TcpStream> = (0..10).map(|_| connect(listen()).unwrap()).collect();
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&b"GET /livez HTTP/1.1\r\nX: "[..number]).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
        }
        let began = Instant::now();
        for stream in &mut streams {
            match stream.read_to_end(&mut Vec::new()) {
                Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
                _ => {}
            }
        }
        println!("ten unfinished requests ended after {:?}", began.elapsed());
    });
    eventually(LIMIT, "files as before", || (daemon.descriptors() <= calm).then_some(()));
}
