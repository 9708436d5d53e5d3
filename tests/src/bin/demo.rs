//! The main job, told for somebody who never saw the project. `make demo` runs it on a real kernel.
//!
//! Every sentence it prints as a fact was checked just before; a fact that does not hold ends it with a panic.

#![allow(clippy::print_stdout, reason = "telling is its purpose")]
#![allow(clippy::expect_used, reason = "a demonstration that cannot go on ends by a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tests::daemon::{Daemon, LIMIT, TableReader, URL, VIP, arguments, table};
use tests::lab::{Lab, Master, NODE};
use tests::netns::Namespace;
use tests::wait::eventually;

/// Requests in each count; a multiple of three and of four servers.
const REQUESTS: usize = 12;

fn main() {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!();
    println!("lvscare: a Kubernetes node stays connected although its apiservers die");
    println!();
    println!("Kernel {}. Each machine below is a network namespace.", kernel.trim());
    println!();
    println!("     m1          m2          m3        each runs an HTTPS apiserver on port 6443");
    println!("  10.0.0.1    10.0.0.2    10.0.0.3");
    println!("      └───────────┼───────────┘");
    println!("           node {NODE}            runs lvscare; clients connect to {VIP}");
    println!("                  │");
    println!("           pod 10.244.0.2");

    let lab = Lab::new();
    let mut daemon = start(&lab);
    spread(&lab, &daemon);
    kill(&lab, &daemon);
    comes_back(&lab, &daemon);
    flush(&lab, &daemon);
    stop(&lab, &mut daemon);
    println!();
    println!("Everything printed above was measured or checked just now.");
}

fn start(lab: &Lab) -> Daemon {
    step("lvscare starts");
    let masters: Vec<SocketAddr> = lab.masters().iter().map(Master::address).collect();
    println!("  $ {}", arguments(VIP, &masters, &[]).join(" ").replace(" --rs", " \\\n        --rs"));
    let reader = TableReader::open(lab.node());
    let began = Instant::now();
    let mut daemon = Daemon::start(lab, &[]);
    reader.time(LIMIT, "three servers in the table", |reader| servers(reader).len() == 3);
    println!("  Route and rules are in the kernel after {}.", ms(began.elapsed()));
    daemon.wait_judged();
    show_status(lab);
    daemon
}

fn spread(lab: &Lab, daemon: &Daemon) {
    step("The kernel spreads connections over the apiservers");
    for (who, place) in [("from the node", lab.node()), ("from a pod", lab.pod())] {
        let counts = count(lab, place);
        assert_eq!(counts.len(), 3, "{who}: {counts:?}\n{}", daemon.log());
        tell_counts(who, &counts);
    }
    let control_plane = Lab::with_node_as_master();
    let _daemon = Daemon::judged(&control_plane, &[]);
    let counts = count(&control_plane, control_plane.node());
    assert_eq!(counts.len(), 4, "{counts:?}");
    tell_counts("from a node that is a master itself (m4)", &counts);
}

fn kill(lab: &Lab, daemon: &Daemon) {
    step("The apiserver of m2 is killed (kill -9) while four clients keep making new connections");
    let reader = TableReader::open(lab.node());
    let load = lab.load(lab.node(), URL, 4, LIMIT);
    std::thread::sleep(Duration::from_secs(1));
    let m2 = lab.master(2);
    let began = Instant::now();
    m2.kill();
    let killed = began.elapsed();
    reader.time(LIMIT, "m2 out of the table", |reader| !servers(reader).contains_key(&m2.address()));
    let out = began.elapsed();
    std::thread::sleep(Duration::from_secs(1));
    let report = load.stop();
    let failed = report.failures().len();
    println!("  Out of the table after {} (of which {} for the kill itself).", ms(out), ms(killed));
    println!(
        "  Clients: {} requests, {failed} failed, all of them within {}.",
        report.samples.len(),
        ms(report
            .failures()
            .iter()
            .map(|sample| sample.began.duration_since(began))
            .max()
            .unwrap_or_default())
    );
    let late = report.failures().iter().filter(|sample| sample.began > began + out).count();
    assert_eq!(late, 0, "requests failed after m2 was out\n{}", daemon.log());
    let counts = count(lab, lab.node());
    assert!(counts.len() == 2 && !counts.contains_key("m2"), "{counts:?}");
    tell_counts("now from the node", &counts);
    eventually(LIMIT, "m2 in the status", || daemon.condition(m2.address()));
    show_status(lab);
}

fn comes_back(lab: &Lab, daemon: &Daemon) {
    step("m2 comes back");
    let reader = TableReader::open(lab.node());
    let m2 = lab.master(2);
    m2.start();
    let took = reader.time(LIMIT, "m2 in the table", |reader| servers(reader).get(&m2.address()) == Some(&1));
    println!("  Back in the table {} after it answered.", ms(took));
    let counts = count(lab, lab.node());
    assert_eq!(counts.len(), 3, "{counts:?}\n{}", daemon.log());
    tell_counts("now from the node", &counts);
}

fn flush(lab: &Lab, daemon: &Daemon) {
    step("Somebody flushes the kernel's table (ipvsadm -C)");
    let reader = TableReader::open(lab.node());
    lab.node().check(&["ipvsadm", "-C"]);
    let began = Instant::now();
    reader.time(LIMIT, "the table restored", |reader| servers(reader).len() == 3);
    println!("  Everything is back after {}.", ms(began.elapsed()));
    let repairs = eventually(LIMIT, "the repair in the status", || {
        daemon.status()?.daemon.map(|daemon| daemon.repairs).filter(|&repairs| repairs > 0)
    });
    println!("  lvscare counts {repairs} repairs: the virtual server and its three real servers.");
}

fn stop(lab: &Lab, daemon: &mut Daemon) {
    step("lvscare is stopped (SIGTERM); the kernel goes on without it");
    let began = Instant::now();
    let status = daemon.terminate();
    assert!(status.success(), "{status}\n{}", daemon.log());
    println!("  It ended with exit code 0 after {}.", ms(began.elapsed()));
    assert_eq!(table(lab.node(), VIP).expect("the rules").len(), 3);
    let counts = count(lab, lab.node());
    assert_eq!(counts.len(), 3, "{counts:?}");
    tell_counts("without lvscare, from the node", &counts);
}

fn servers(reader: &TableReader) -> BTreeMap<SocketAddr, u32> {
    let service = reader.service(VIP.parse().expect("an address"));
    let destinations = service.map(|service| service.destinations).unwrap_or_default();
    destinations.into_iter().map(|(server, seen)| (server, seen.destination.weight)).collect()
}

/// Who answers [`REQUESTS`] requests, each over a connection of its own; none may fail.
fn count(lab: &Lab, place: &Namespace) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..REQUESTS {
        let answer = lab.get(place, URL, LIMIT).expect("an answer");
        *counts.entry(answer.body).or_default() += 1;
    }
    counts
}

fn tell_counts(who: &str, counts: &BTreeMap<String, usize>) {
    let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("  {REQUESTS} requests {who}: {}", counts.join(", "));
}

fn show_status(lab: &Lab) {
    println!("  $ lvscare status");
    for line in lab.node().check(&["lvscare", "status"]).lines() {
        println!("  {line}");
    }
}

fn step(title: &str) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NUMBER: AtomicUsize = AtomicUsize::new(1);
    println!();
    println!("{}. {title}", NUMBER.fetch_add(1, Ordering::Relaxed));
}

fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
