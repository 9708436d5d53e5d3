//! lvscare is stopped, killed and started again, and nobody notices.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "libtest shows it when a test fails")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvscare::health::Condition;
use nix::sys::signal::Signal;
use tests::apiserver::Behaviour;
use tests::daemon::{Daemon, LIMIT, TableReader, TableRecorder, URL, VIP, connection_to, vip, wait_table};
use tests::lab::{Lab, Master};
use tests::load::Report;
use tests::wait::eventually;

/// How often it is ended, one way or the other.
const RESTARTS: usize = 100;

#[test]
fn a_hundred_restarts_fail_no_request_and_readmit_nobody() {
    let lab = Lab::new();
    let mut daemon = Daemon::judged(&lab, &[]);
    lab.master(3).kill();
    wait_table(lab.node(), VIP, &lab.addresses()[..2], 1);
    let recorder = TableRecorder::start(lab.node(), vip());
    let load = lab.load(lab.node(), URL, 2, LIMIT);

    let began = Instant::now();
    // Any seed would do; a fixed one can be tried again.
    let mut random = fastrand::Rng::with_seed(100);
    let (mut first_pass, mut unborn) = (Duration::ZERO, 0);
    for restart in 0..RESTARTS {
        let signal = if random.bool() { Signal::SIGKILL } else { Signal::SIGTERM };
        daemon.process().signal(signal);
        daemon.process().wait(LIMIT);
        let started = Instant::now();
        daemon = Daemon::start(&lab, &[]);
        match restart % 10 {
            // Until it has looked at everybody.
            0 => daemon.wait_judged(),
            1..7 => {
                eventually(LIMIT, "the first pass", || has_passed(&daemon).then_some(()));
                first_pass = started.elapsed();
            }
            // It is to die somewhere in its first pass, or before that has even begun.
            _ => {
                sleep(first_pass.mul_f64(random.f64()));
                unborn += usize::from(!has_passed(&daemon));
            }
        }
    }
    println!("{RESTARTS} restarts in {:.0?}, {unborn} before a first pass", began.elapsed());
    daemon.wait_judged();

    assert_shows(recorder, &weights(&lab, [Some(1), Some(1), None]), &daemon);
    let report = load.stop();
    assert_good(&report, &daemon);
    assert_eq!(report.answered_by().into_keys().collect::<Vec<_>>(), ["m1", "m2"]);
    assert!(unborn > 0, "nobody died young");
}

/// Whether it has compared the table with what should be there.
fn has_passed(daemon: &Daemon) -> bool {
    daemon.log().contains("the virtual server is ready")
}

#[test]
fn a_restart_adopts_what_the_kernel_has() {
    let lab = Lab::new();
    let options = [
        "--scheduler",
        "wrr",
        "--rs",
        "10.0.0.1:6443,weight=2",
        "--rs",
        "10.0.0.2:6443,10.0.0.3:6443,weight=3",
    ];
    let start = || Daemon::start_for(&lab, VIP, &[], &options);
    let [_, dead, draining] = lab.masters() else { panic!("three masters") };
    let reader = TableReader::open(lab.node());
    let wait_weights = |wanted: &Weights| {
        reader.time(LIMIT, "certain weights", |reader| reader.weights(vip()).as_ref() == Some(wanted));
    };

    let mut daemon = start();
    daemon.wait_judged();
    let all = weights(&lab, [Some(2), Some(1), Some(3)]);
    assert_eq!(reader.weights(vip()).as_ref(), Some(&all));
    // One server is down, one is leaving: an open connection keeps it in the table, with weight 0.
    let mut open = connection_to(&lab, lab.node(), draining.name());
    dead.kill();
    draining.control().set(Behaviour::Readyz(500));
    let adopted = weights(&lab, [Some(2), None, Some(0)]);
    wait_weights(&adopted);
    daemon.wait_condition(dead.address(), Condition::Dead);

    let load = lab.load(lab.node(), URL, 1, LIMIT);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let recorder = TableRecorder::start(lab.node(), vip());
        daemon.process().signal(signal);
        daemon.process().wait(LIMIT);
        daemon = start();
        daemon.wait_judged();
        daemon.wait_condition(draining.address(), Condition::Draining);
        assert_shows(recorder, &adopted, &daemon);
        // The table was watched closely, but not without gaps.
        assert!(!daemon.log().contains("add ") && !daemon.log().contains("update "), "{}", daemon.log());
    }
    assert_eq!(open.get("/", LIMIT).unwrap().body, draining.name());
    let report = load.stop();
    assert_good(&report, &daemon);
    assert_eq!(report.answered_by().into_keys().collect::<Vec<_>>(), ["m1"]);

    // And they come back as they should.
    dead.start();
    draining.control().set(Behaviour::Healthy);
    wait_weights(&all);
}

type Weights = BTreeMap<SocketAddr, u32>;

/// These weights for the masters in turn; `None` is out.
fn weights(lab: &Lab, weights: [Option<u32>; 3]) -> Weights {
    let pairs = lab.masters().iter().map(Master::address).zip(weights);
    pairs.filter_map(|(server, weight)| Some((server, weight?))).collect()
}

/// The table was the same all the time.
#[track_caller]
fn assert_shows(recorder: TableRecorder, wanted: &Weights, daemon: &Daemon) {
    let seen: Vec<_> = recorder.stop().into_iter().map(|(_, table)| table).collect();
    assert_eq!(seen, [Some(wanted.clone())], "{}", daemon.log());
}

#[track_caller]
fn assert_good(report: &Report, daemon: &Daemon) {
    assert!(report.samples.len() > 10, "{} requests are no load", report.samples.len());
    assert!(report.failures().is_empty(), "{:?}\n{}", report.failures(), daemon.log());
    println!("{} requests, longest gap {:?}", report.samples.len(), report.longest_gap());
}
