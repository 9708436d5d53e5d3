//! Probes and clients never collide after NAT, however few source ports the node has.
//!
//! Both end at the same real server from the same address; with the same source port they would be one
//! connection to IPVS. A tiny range of client ports makes that likely, and every answer that went astray would
//! be a failed request or a failed probe.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tests::apiserver::Behaviour;
use tests::daemon::{Daemon, LIMIT, URL};
use tests::lab::Lab;

/// So many requests have to be answered: most ports have then been used.
const ENOUGH: u64 = 50;

const RANGE: std::ops::RangeInclusive<u16> = 50_000..=50_063;

#[test]
fn probes_use_ports_that_no_client_can_have() {
    let lab = Lab::new();
    lab.node().sysctl("net.ipv4.ip_local_port_range", &format!("{} {}", RANGE.start(), RANGE.end()));
    // So that clients get a port again before a minute is over.
    lab.node().sysctl("net.ipv4.tcp_tw_reuse", "1");
    for master in lab.masters() {
        // So that probes need new connections again and again.
        master.control().set(Behaviour::CloseAfter(Duration::from_secs(2)));
    }
    let daemon = Daemon::judged(&lab, &["--interval", "500ms"]);

    let load = lab.load(lab.node(), URL, 4, LIMIT);
    let mut probe_ports = Vec::new();
    let began = Instant::now();
    let answered = || lab.masters().iter().map(|master| master.control().stats().other).sum::<u64>();
    let before = answered();
    while began.elapsed() < Duration::from_secs(5) || answered() < before + ENOUGH {
        assert!(began.elapsed() < LIMIT, "too few requests: {} of {ENOUGH}", answered() - before);
        sleep(Duration::from_millis(250));
        let sockets = lab.node().check(&["ss", "-Htn", "dport", "=", ":6443"]);
        let direct = sockets.lines().filter_map(|line| {
            let mut words = line.split_whitespace().skip(3);
            let (local, remote): (SocketAddr, SocketAddr) =
                (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            lab.masters().iter().any(|master| master.address() == remote).then_some(local.port())
        });
        probe_ports.extend(direct);
    }
    let report = load.stop();

    assert!(!probe_ports.is_empty());
    let stray: Vec<&u16> = probe_ports.iter().filter(|port| RANGE.contains(port)).collect();
    assert!(stray.is_empty(), "probes from client ports: {stray:?}");

    let log = daemon.log();
    assert!(!log.contains("real server is worse"), "{log}");
    let errors: Vec<_> =
        report.failures().into_iter().filter_map(|sample| sample.outcome.as_ref().err()).collect();
    let astray: Vec<_> = errors
        .iter()
        // No port left is what a tiny range means; a connection cut after two seconds is what we asked for.
        .filter(|error| !matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::UnexpectedEof))
        .collect();
    assert!(astray.is_empty(), "{astray:?}");
    println!("{} requests, {} probe connections seen", report.samples.len(), probe_ports.len());
}
