//! What the daemon costs, and that the thousandth failure costs no more than the first.
//!
//! `-- --nocapture` shows the figures.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured figures are worth a look")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use lvscare::config::Policy;
use lvscare::health::{Condition, cadence};
use tests::apiserver::Behaviour;
use tests::daemon::{Daemon, LIMIT, TableReader, TableRecorder, vip};
use tests::lab::{Lab, Master};
use tests::wait::eventually;

/// So many changes of condition are wanted, as far as the time allows.
const TRANSITIONS: usize = 1000;
const TIME: Duration = Duration::from_secs(60);

/// Those before are warming up; so many more are waited for, however long that takes.
const WARM: usize = 100;

/// So often a second an idle daemon may wake up: three servers are asked every few seconds, the kernel is compared
/// every second.
const WAKES: u64 = 20;

/// A pace at which connections are renewed every minute or so.
const PACE: Duration = Duration::from_secs(1);

/// What must not grow.
#[derive(Debug)]
struct Costs {
    descriptors: usize,
    resident: u64,
    threads: u64,
}

impl Costs {
    fn of(daemon: &Daemon) -> Self {
        Self {
            descriptors: daemon.descriptors(),
            // `VmRSS` is an estimate: a thread counts up to 64 pages of each kind for itself.
            resident: daemon.memory("Rss"),
            threads: daemon.memory("Threads"),
        }
    }

    /// Whether no more than a tenth lies between these and others.
    fn are_about(&self, other: &Self) -> bool {
        let near = |this: u64, that: u64| this.abs_diff(that) * 10 <= that;
        near(self.descriptors as u64, other.descriptors as u64)
            && near(self.resident, other.resident)
            && self.threads == other.threads
    }
}

/// How often it has waited for something and was woken.
fn wakes(daemon: &Daemon) -> u64 {
    daemon.memory("voluntary_ctxt_switches")
}

#[test]
fn failures_leave_nothing_behind() {
    const FAST: [&str; 8] = ["--interval", "100ms", "--fast-interval", "20ms", "--fall", "1", "--rise", "1"];
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &FAST);
    let reader = TableReader::open(lab.node());
    let serves = |master: &Master| reader.serves(vip(), master.address());

    let began = Instant::now();
    let mut warm = None;
    let mut seen = 0;
    for cycle in 0.. {
        if seen >= WARM && warm.is_none() {
            warm = Some(Costs::of(&daemon));
        }
        if seen >= TRANSITIONS || (seen >= 2 * WARM && began.elapsed() > TIME) {
            break;
        }
        // Two fail in different ways, the third merely closes its connections.
        let ways =
            [Behaviour::Reset, Behaviour::Healthz(500), Behaviour::CloseAfter(Duration::from_millis(500))];
        let (mut failing, mut others) = (Vec::new(), Vec::new());
        for (number, master) in lab.masters().iter().enumerate() {
            let way = ways[(number + cycle) % ways.len()];
            master.control().set(way);
            if matches!(way, Behaviour::CloseAfter(_)) { others.push(master) } else { failing.push(master) }
        }
        reader.time(LIMIT, "two out", |_| !failing.iter().any(|master| serves(master)));
        failing.iter().chain(&others).for_each(|master| master.control().set(Behaviour::Healthy));
        reader.time(LIMIT, "all back", |_| lab.masters().iter().all(serves));
        // Two, out and back. The log does not tell of each: it keeps back what it has often said.
        seen += 4;
    }

    let (warm, end) = (warm.expect("time for a warm start"), Costs::of(&daemon));
    println!("{seen} transitions in {:.0?}: from {warm:?} to {end:?}", began.elapsed());
    assert!(end.descriptors.abs_diff(warm.descriptors) <= 3, "{warm:?}, {end:?}");
    assert!(end.resident < warm.resident + 512, "{warm:?}, {end:?}");
    assert_eq!((warm.threads, end.threads), (1, 1));
}

#[test]
fn an_idle_daemon_costs_next_to_nothing() {
    const WHILE: Duration = Duration::from_secs(20);
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &[]);
    let probes = || lab.masters().iter().map(|m| m.control().stats().questions()).sum::<u64>();
    let (used, asked, woken, began) = (daemon.cpu_time(), probes(), wakes(&daemon), Instant::now());
    thread::sleep(WHILE);
    let (used, asked, time) = (daemon.cpu_time().saturating_sub(used), probes() - asked, began.elapsed());
    let woken = wakes(&daemon) - woken;
    let per_minute = used.mul_f64(60.0 / time.as_secs_f64());
    println!(
        "idle: RSS {} KiB, PSS {} KiB, at most {} KiB; {} files, {} thread; {} ms of processor a minute, \
         with {asked} probes in {time:.0?}, woken {woken} times",
        daemon.memory("VmRSS"),
        daemon.memory("Pss"),
        daemon.memory("VmHWM"),
        daemon.descriptors(),
        daemon.memory("Threads"),
        per_minute.as_millis()
    );
    assert_eq!(daemon.memory("Threads"), 1);
    assert!(daemon.memory("VmRSS") < 16 << 10);
    // What the processor needs for it is a matter of the benchmark.
    assert!(woken < WAKES * (time.as_secs() + 1), "{woken} times in {time:?}");
}

#[test]
fn a_minute_of_closed_connections_and_a_closed_ear() {
    closed_connections_and_a_closed_ear(Duration::from_secs(60));
}

#[test]
#[ignore = "takes ten minutes; run by make test-long"]
fn ten_minutes_of_closed_connections_and_a_closed_ear() {
    closed_connections_and_a_closed_ear(Duration::from_secs(600));
}

/// Two slow tests in one: both need more than a minute in the same laboratory.
fn closed_connections_and_a_closed_ear(time: Duration) {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &["--interval", &format!("{}s", PACE.as_secs())]);
    let reader = TableReader::open(lab.node());
    let (closing, normal, deaf) = (lab.master(1), lab.master(2), lab.master(3));

    closing.control().set(Behaviour::CloseAfter(Duration::from_secs(1)));
    deaf.control().set(Behaviour::Deaf);
    let (recorder, began) = (TableRecorder::start(lab.node(), vip()), Instant::now());
    let before = [closing, normal].map(|master| master.control().stats().questions());

    // Its open connections work, the probe's among them, until that is renewed.
    let policy = Policy { interval: PACE, fast_interval: PACE, fall: 1, rise: 1 };
    let renewed = cadence::renewal(&policy, 1.0);
    let out =
        reader.time(renewed + LIMIT, "a deaf server out", |reader| !reader.serves(vip(), deaf.address()));
    reader.time(LIMIT, "it removed", |reader| reader.weight(vip(), deaf.address()).is_none());
    daemon.wait_reason(deaf.address(), &["connection refused"]);
    deaf.control().set(Behaviour::Healthy);
    let back = reader.time(LIMIT, "a server that hears again", |reader| reader.serves(vip(), deaf.address()));
    println!("{:<24} out {:>5} ms, back {:>5} ms", "deaf", out.as_millis(), back.as_millis());
    // By now it has met everything that it will meet.
    let warm = Costs::of(&daemon);

    // A connection that ends is a reason to look, not a failure, and not a reason to look all the time.
    thread::sleep(time.saturating_sub(began.elapsed()));
    let after = [closing, normal].map(|master| master.control().stats().questions());
    let [closing_probes, normal_probes] = [after[0] - before[0], after[1] - before[1]];
    println!(
        "in {:.0?}: {closing_probes} probes of the server that closes, {normal_probes} of a normal one",
        began.elapsed()
    );
    // Twice an interval, and some: pauses are longer and shorter.
    assert!(closing_probes * 10 <= normal_probes * 22, "{closing_probes} against {normal_probes}");
    let stays = |table: &BTreeMap<SocketAddr, u32>| table.get(&closing.address()) == Some(&1);
    let frames = recorder.stop();
    assert!(frames.iter().all(|(_, table)| table.as_ref().is_some_and(stays)), "{frames:?}");
    let log = daemon.log();
    let about = log.lines().filter(|line| line.contains(&closing.address().to_string()));
    let transitions: Vec<&str> = about.filter(|line| line.contains("real server is")).collect();
    assert_eq!(transitions, Vec::<&str>::new());
    let status = daemon.status().unwrap();
    let server = status.virtual_servers[0].real_servers.iter().find(|s| s.address == closing.address());
    let health = server.unwrap().health.clone().unwrap();
    assert_eq!(health.condition, Some(Condition::Alive));
    assert!(health.since_seconds > time.as_secs_f64(), "{health:?}");

    // A connection that was closed this moment may not be replaced yet.
    println!("from {warm:?} to {:?}", Costs::of(&daemon));
    let what = format!("costs of about {warm:?}");
    eventually(LIMIT, &what, || Costs::of(&daemon).are_about(&warm).then_some(()));
}
