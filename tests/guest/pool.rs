//! Who serves when no server is good: proof of death empties the table, everything less leaves it full.
//!
//! `-- --nocapture` shows the measured times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use lvscare::health::Condition;
use lvscare::health::pool::Mode;
use tests::apiserver::Behaviour;
use tests::daemon::{
    Daemon, LIMIT, QUICK, TableReader, TableRecorder, URL, answering, names, vip, wait_all_serve,
};
use tests::lab::{Lab, Master};
use tests::pki::Pki;
use tests::refusal::assert_refused_at_once;
use tests::wait::eventually;

/// How many servers take new connections.
fn serving(table: Option<&BTreeMap<SocketAddr, u32>>) -> usize {
    table.map_or(0, |servers| servers.values().filter(|weight| **weight > 0).count())
}

fn healthy(master: &Master) {
    master.control().set(Behaviour::Healthy);
}

#[test]
fn when_every_server_is_certainly_dead_clients_are_refused_at_once() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &[]);
    let reader = TableReader::open(lab.node());

    lab.masters().iter().for_each(Master::kill);
    let took = reader.time(LIMIT, "no virtual server", |reader| reader.service(vip()).is_none());
    println!("all killed: virtual server deleted after {} ms", took.as_millis());
    for place in [lab.node(), lab.pod()] {
        // With an empty virtual server it takes a second.
        assert_refused_at_once(place);
    }
    daemon.wait_mode(Mode::Empty);
    let status = lab.node().check(&["lvscare", "status"]);
    assert!(status.contains("EVERY REAL SERVER IS DOWN: clients are refused at once"), "{status}");

    lab.master(3).start();
    let took = reader.time(LIMIT, "m3 back", |reader| reader.serves(vip(), lab.master(3).address()));
    println!("all killed, one returns: it serves after {} ms", took.as_millis());
    assert_eq!(answering(&lab, lab.node()), names(&["m3"]));
    daemon.wait_mode(Mode::Normal);
    let status = lab.node().check(&["lvscare", "status"]);
    assert!(!status.contains("EVERY REAL SERVER"), "{status}");
    lab.master(1).start();
    lab.master(2).start();
    wait_all_serve(&lab);
}

/// Something that happens to all masters together and proves nothing.
struct Plague {
    name: &'static str,
    strike: fn(&Master),
    mend: fn(&Master),
    mode: Mode,
    says: &'static str,
}

const UNHEALTHY: &str = "NO REAL SERVER IS HEALTHY: the last good ones go on serving";
const UNREADY: &str = "NO REAL SERVER IS READY: those that are healthy go on serving";

const PLAGUES: [Plague; 4] = [
    Plague {
        name: "all silent",
        strike: black_hole,
        mend: no_black_hole,
        mode: Mode::LastResort,
        says: UNHEALTHY,
    },
    Plague {
        name: "all /healthz 500",
        strike: |master| master.control().set(Behaviour::Healthz(500)),
        mend: healthy,
        mode: Mode::LastResort,
        says: UNHEALTHY,
    },
    Plague {
        name: "all /readyz 500",
        strike: |master| master.control().set(Behaviour::Readyz(500)),
        mend: healthy,
        mode: Mode::Unready,
        says: UNREADY,
    },
    // The first is certainly dead, the others say nothing.
    Plague {
        name: "one killed, two silent",
        strike: |master| if master.name() == "m1" { master.kill() } else { black_hole(master) },
        mend: |master| if master.name() == "m1" { master.start() } else { no_black_hole(master) },
        mode: Mode::LastResort,
        says: UNHEALTHY,
    },
];

/// Nothing the machine says reaches the node or its pods.
fn black_hole(master: &Master) {
    master.namespace().ip("route add blackhole 10.0.0.10\nroute replace blackhole 10.244.0.0/24");
}

fn no_black_hole(master: &Master) {
    master.namespace().ip("route del blackhole 10.0.0.10\nroute replace 10.244.0.0/24 via 10.0.0.10");
}

#[test]
fn without_proof_the_last_servers_stay() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &QUICK);
    let reader = TableReader::open(lab.node());

    for Plague { name, strike, mend, mode, says } in PLAGUES {
        let recorder = TableRecorder::start(lab.node(), vip());
        let began = Instant::now();
        lab.masters().iter().for_each(strike);
        daemon.wait_mode(mode);
        let noticed = began.elapsed();
        let status = lab.node().check(&["lvscare", "status"]);
        assert!(status.contains(says), "{name}: {status}");
        // Long enough for several probes of each.
        thread::sleep(Duration::from_secs(2));
        assert_eq!(daemon.mode(), Some(mode), "{name}");
        // They fell to one blow, so they stay together.
        let hopeful = if name.starts_with("one killed") { 2 } else { 3 };
        let table = reader.weights(vip());
        assert_eq!(serving(table.as_ref()), hopeful, "{name}: {table:?}\n{}", daemon.log());

        let mended = Instant::now();
        lab.masters().iter().for_each(mend);
        daemon.wait_mode(Mode::Normal);
        wait_all_serve(&lab);
        let back = mended.elapsed();
        let frames = recorder.stop();
        let fewest = frames.iter().map(|(_, table)| serving(table.as_ref())).min().unwrap();
        println!("{name}: noticed after {noticed:.0?}, all back after {back:.0?}, never fewer than {fewest}");
        assert!(fewest > 0, "{name}: {frames:?}\n{}", daemon.log());
        assert_eq!(answering(&lab, lab.node()), names(&["m1", "m2", "m3"]), "{name}");
    }
}

#[test]
fn certificates_are_verified_when_there_is_an_authority() {
    let lab = Lab::new();
    let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let mut daemon = Daemon::judged(&lab, &["--ca-file", &text(lab.pki.ca())]);
    for server in lab.addresses() {
        assert_eq!(daemon.condition(server), Some(Condition::Alive));
    }
    assert!(!daemon.log().contains("not verified"), "{}", daemon.log());
    daemon.terminate();

    // With a stranger's authority nobody can be trusted, and nobody is proved dead.
    let directory = lab.directory().join("stranger");
    fs::create_dir(&directory).unwrap();
    let stranger = Pki::new(&directory).unwrap();
    let recorder = TableRecorder::start(lab.node(), vip());
    let daemon = Daemon::judged(&lab, &["--ca-file", &text(stranger.ca())]);
    for server in lab.addresses() {
        daemon.wait_condition(server, Condition::Dead);
        daemon.wait_reason(server, &["TLS: "]);
    }
    daemon.wait_mode(Mode::LastResort);
    let status = lab.node().check(&["lvscare", "status"]);
    assert!(status.contains(UNHEALTHY), "{status}");
    let fewest = recorder.stop().iter().map(|(_, table)| serving(table.as_ref())).min().unwrap();
    println!("a stranger's authority: never fewer than {fewest} servers");
    assert!(fewest > 0, "{}", daemon.log());
    lab.get(lab.node(), URL, LIMIT).unwrap();
}

#[test]
fn a_node_that_was_cut_off_recovers_by_itself() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &QUICK);
    let reader = TableReader::open(lab.node());

    lab.net().ip("link set node down");
    daemon.wait_mode(Mode::LastResort);
    // Long enough for the neighbours to be given up: silence then looks like "host unreachable", which says
    // nothing about the servers.
    thread::sleep(Duration::from_secs(5));
    assert_eq!(daemon.mode(), Some(Mode::LastResort), "{}", daemon.log());
    assert_eq!(serving(reader.weights(vip()).as_ref()), 3, "{}", daemon.log());

    lab.net().ip("link set node up");
    let mended = Instant::now();
    // A first attempt may still be told that there is no way: the kernel has given up the neighbours just now.
    eventually(LIMIT, "an answer", || lab.get(lab.node(), URL, LIMIT).ok());
    println!("a node cut off for 5 s: served {} ms after", mended.elapsed().as_millis());
    daemon.wait_mode(Mode::Normal);
    wait_all_serve(&lab);
    assert_eq!(answering(&lab, lab.node()), names(&["m1", "m2", "m3"]));
}
