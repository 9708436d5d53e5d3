//! What becomes of one server that fails, in every way there is, and how soon.
//!
//! `-- --nocapture` shows the measured times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::thread;
use std::time::{Duration, Instant};

use lvscare::health::Condition;
use tests::apiserver::Behaviour;
use tests::daemon::{
    Daemon, LIMIT, QUICK, TableReader, URL, VIP, answering, connection_to, names, vip, wait_all_serve,
    wait_table,
};
use tests::lab::{Lab, Master};
use tests::wait::eventually;

/// A way to lose one server, and what is to become of it.
struct Loss {
    name: &'static str,
    strike: fn(&Master),
    mend: fn(&Master),
    condition: Condition,
    /// What `status` says, in one of these words.
    reason: &'static [&'static str],
}

fn healthy(master: &Master) {
    master.control().set(Behaviour::Healthy);
}

const LOSSES: [Loss; 9] = [
    Loss {
        name: "killed",
        strike: Master::kill,
        mend: Master::start,
        condition: Condition::Dead,
        reason: &["connection refused"],
    },
    Loss {
        name: "resets every connection",
        strike: |master| master.control().set(Behaviour::Reset),
        mend: healthy,
        condition: Condition::Dead,
        reason: &["connection reset"],
    },
    Loss {
        name: "junk instead of TLS",
        // Those that exist already would go on working.
        strike: |master| {
            let control = master.control();
            let none_open = || (control.stats().open == 0).then_some(());
            // So would one that slips in before the junk: once more, then.
            eventually(LIMIT, "junk alone", || {
                control.set(Behaviour::CloseAfter(Duration::ZERO));
                eventually(LIMIT, "no connection", none_open);
                control.set(Behaviour::TlsGarbage);
                none_open()
            });
        },
        mend: healthy,
        condition: Condition::Dead,
        reason: &["TLS: "],
    },
    Loss {
        name: "/healthz answers 500",
        strike: |master| master.control().set(Behaviour::Healthz(500)),
        mend: healthy,
        condition: Condition::Sick,
        reason: &["unhealthy (HTTP 500)"],
    },
    Loss {
        name: "hangs when connected",
        strike: |master| master.control().set(Behaviour::HangAccept),
        mend: healthy,
        condition: Condition::Dead,
        reason: &["no TLS handshake in time"],
    },
    Loss {
        name: "hangs when asked",
        strike: |master| master.control().set(Behaviour::HangAnswer),
        mend: healthy,
        condition: Condition::Dead,
        reason: &["no answer in time"],
    },
    Loss {
        name: "answers byte by byte",
        strike: |master| master.control().set(Behaviour::SlowLoris),
        mend: healthy,
        condition: Condition::Dead,
        reason: &["no answer in time"],
    },
    Loss {
        name: "stopped (SIGSTOP)",
        strike: Master::sigstop,
        mend: Master::sigcont,
        condition: Condition::Dead,
        reason: &["no TLS handshake in time"],
    },
    Loss {
        name: "cable pulled",
        strike: Master::link_down,
        mend: Master::link_up,
        condition: Condition::Dead,
        // The latter as soon as the neighbour does not answer either.
        reason: &["no connection in time", "host unreachable"],
    },
];

#[test]
fn a_server_that_fails_leaves_and_comes_back_unnoticed() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &[]);
    let reader = TableReader::open(lab.node());
    let m2 = lab.master(2);
    let load = lab.load(lab.node(), URL, 3, LIMIT);
    let mut outages = Vec::new();

    for Loss { name, strike, mend, condition, reason } in LOSSES {
        let began = Instant::now();
        strike(m2);
        reader.time(LIMIT, name, |reader| !reader.serves(vip(), m2.address()));
        let out = Instant::now();
        outages.push(began..=out);

        // A dead server is deleted once others have answered, or it has refused; a sick one is drained before.
        reader.time(LIMIT, name, |reader| reader.weight(vip(), m2.address()).is_none());
        wait_table(lab.node(), VIP, &[lab.master(1).address(), lab.master(3).address()], 1);
        daemon.wait_condition(m2.address(), condition);
        daemon.wait_reason(m2.address(), reason);
        for place in [lab.node(), lab.pod()] {
            // Whose turn it is depends on the other clients, too.
            assert!(answering(&lab, place).is_subset(&names(&["m1", "m3"])), "{name}");
        }

        let mended = Instant::now();
        mend(m2);
        reader.time(LIMIT, name, |reader| reader.serves(vip(), m2.address()));
        let back = mended.elapsed();
        println!("{name:<24} out {:>5} ms, back {:>5} ms", (out - began).as_millis(), back.as_millis());
        wait_all_serve(&lab);
    }

    let report = load.stop();
    for failure in report.failures() {
        let explained = |outage: &std::ops::RangeInclusive<Instant>| {
            failure.began <= *outage.end() && failure.began + failure.took >= *outage.start()
        };
        assert!(outages.iter().any(explained), "{failure:?}\n{}", daemon.log());
    }
    println!("{} requests, {} failed", report.samples.len(), report.failures().len());
    assert!(report.samples.len() > 100, "{}", report.samples.len());
}

#[test]
fn a_server_that_is_not_ready_finishes_what_it_has() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &["--drain-timeout", "10m"]);
    let reader = TableReader::open(lab.node());
    let m2 = lab.master(2);
    let mut old = connection_to(&lab, lab.node(), "m2");

    // An open connection goes on, new ones go elsewhere, and its end is the end of the draining.
    let out = drain(&daemon, &reader, m2);
    let drained = Instant::now();
    while drained.elapsed() < Duration::from_secs(2) {
        assert_eq!(old.get("/", LIMIT).unwrap().body, "m2");
        assert_eq!(reader.weight(vip(), m2.address()), Some(0));
        thread::sleep(Duration::from_millis(100));
    }
    for place in [lab.node(), lab.pod()] {
        assert_eq!(answering(&lab, place), names(&["m1", "m3"]));
    }
    drop(old);
    let gone = reader.time(LIMIT, "gone", |reader| reader.weight(vip(), m2.address()).is_none());
    let back = come_back(&reader, m2);
    println!(
        "{:<24} out {:>5} ms, back {:>5} ms, deleted {} ms after its last connection",
        "/readyz answers 500",
        out.as_millis(),
        back.as_millis(),
        gone.as_millis()
    );
    wait_all_serve(&lab);
}

#[test]
fn a_connection_that_does_not_end_is_cut_after_the_drain_time() {
    const DRAIN: Duration = Duration::from_secs(5);
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &["--drain-timeout", &format!("{}s", DRAIN.as_secs())]);
    let reader = TableReader::open(lab.node());
    let m2 = lab.master(2);
    let mut old = connection_to(&lab, lab.node(), "m2");
    // From before the draining begins, so that it is never measured too short.
    let began = Instant::now();
    drain(&daemon, &reader, m2);
    let error = eventually(LIMIT, "the cut", || old.get("/", LIMIT).err());
    let took = began.elapsed();
    println!("{:<24} cut after {} ms ({error})", "a connection that stays", took.as_millis());
    assert!(took >= DRAIN, "{took:?}");
    assert_eq!(reader.weight(vip(), m2.address()), None);
    come_back(&reader, m2);
    wait_all_serve(&lab);
}

/// Lets a server say that it is not ready, until everybody knows; returns how long it took new connections.
#[track_caller]
fn drain(daemon: &Daemon, reader: &TableReader, server: &Master) -> Duration {
    server.control().set(Behaviour::Readyz(500));
    let out = reader.time(LIMIT, "draining", |reader| reader.weight(vip(), server.address()) == Some(0));
    daemon.wait_reason(server.address(), &["not ready (HTTP 500)"]);
    daemon.wait_condition(server.address(), Condition::Draining);
    out
}

/// Lets it say that it is; returns how long that took to be believed.
#[track_caller]
fn come_back(reader: &TableReader, server: &Master) -> Duration {
    healthy(server);
    reader.time(LIMIT, "ready again", |reader| reader.serves(vip(), server.address()))
}

#[test]
fn answers_are_judged_by_their_status_alone() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &[&QUICK[..], &["--health-status", "418"]].concat());
    let set = |behaviours: [Behaviour; 3]| {
        for (master, behaviour) in lab.masters().iter().zip(behaviours) {
            master.control().set(behaviour);
        }
    };
    let three_probes = || {
        let probes = |master: &Master| master.control().stats().questions();
        let before: Vec<u64> = lab.masters().iter().map(probes).collect();
        eventually(LIMIT, "three more probes of each, of two questions at most", || {
            lab.masters().iter().zip(&before).all(|(m, before)| probes(m) >= before + 6).then_some(())
        });
    };

    // A server that does not tell us, or tells us what we were told to accept.
    set([Behaviour::Healthz(401), Behaviour::Healthz(403), Behaviour::Healthz(418)]);
    three_probes();
    set([Behaviour::Readyz(404), Behaviour::Healthy, Behaviour::Readyz(404)]);
    three_probes();
    set([Behaviour::Readyz(401), Behaviour::Readyz(403), Behaviour::Healthy]);
    three_probes();
    assert!(!daemon.log().contains("real server is"), "{}", daemon.log());
    wait_all_serve(&lab);

    // A redirection is not followed, an endless answer not read.
    let [m1, m2] = [lab.master(1), lab.master(2)];
    let memory = daemon.memory("VmHWM");
    let asked_elsewhere = m1.control().stats().other;
    set([Behaviour::Redirect, Behaviour::HugeBody, Behaviour::Healthy]);
    daemon.wait_reason(m1.address(), &["unhealthy (HTTP 302)"]);
    daemon.wait_reason(m2.address(), &["more than 1048576 bytes in the answer"]);
    daemon.wait_condition(m1.address(), Condition::Sick);
    daemon.wait_condition(m2.address(), Condition::Dead);
    wait_table(lab.node(), VIP, &[lab.master(3).address()], 1);
    three_probes();
    assert_eq!(m1.control().stats().other, asked_elsewhere);
    let grown = daemon.memory("VmHWM") - memory;
    println!("a gigabyte of answer: {grown} KiB more memory");
    assert!(grown < 4096, "{grown} KiB");
    assert_eq!(daemon.condition(lab.master(3).address()), Some(Condition::Alive));

    set([Behaviour::Healthy; 3]);
    wait_all_serve(&lab);
}

#[test]
fn a_slow_server_does_not_delay_the_verdict_on_another() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &["--health-timeout", "30s"]);
    let reader = TableReader::open(lab.node());
    let (slow, m2) = (lab.master(1), lab.master(2));
    let asked = || slow.control().stats().questions();
    let ended = || daemon.metric(r#"lvscare_probe_duration_seconds_count{real_server="10.0.0.1:6443""#);
    slow.control().set(Behaviour::Delay(Duration::from_secs(20)));
    let before = asked();
    eventually(LIMIT, "a slow probe", || (asked() > before).then_some(()));
    let during = ended();
    m2.kill();
    let out = reader.time(LIMIT, "m2 out", |reader| !reader.serves(vip(), m2.address()));
    println!("a killed server is out after {out:.0?} beside a slow one");
    assert!(ended() <= during, "the slow answer is still awaited");
    assert_eq!(daemon.condition(slow.address()), Some(Condition::Alive));
}
