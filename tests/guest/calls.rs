//! How often the daemon calls the kernel while nothing happens, as strace counts.
//!
//! `-- --nocapture` shows each call.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured figures are worth a look")]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::daemon::{Daemon, LIMIT, VIP, vip};
use tests::lab::Lab;
use tests::wait::eventually;

/// After this time nobody may still be waiting for a first answer.
const SETTLED: Duration = Duration::from_secs(15);

const WHILE: Duration = Duration::from_secs(60);

/// So many calls a second, with five apiservers: one question, its answer, a look at the table and at the drained servers,
/// and every ten seconds a look at all that surrounds the table.
const AT_MOST: f64 = 14.0;

/// How often it wakes up depends on how busy the machine is (see `endurance`); and where the time is to be read without a
/// call, on a real machine, it costs none.
const NOT_COUNTED: [&str; 4] = ["clock_gettime", "epoll_wait", "epoll_pwait", "write"];

/// Three masters, two of them under two addresses.
fn five_servers(lab: &Lab) -> Vec<SocketAddr> {
    let mut servers = lab.addresses();
    for number in [1, 2] {
        let address = format!("10.0.0.10{number}");
        lab.master(number).namespace().ip(&format!("addr add {address}/24 dev eth0"));
        servers.push(format!("{address}:6443").parse().unwrap());
    }
    servers
}

/// The calls of a process within a while, by name, and how many seconds that was.
fn calls(lab: &Lab, daemon: &mut Daemon) -> (BTreeMap<String, u32>, f64) {
    let file = lab.directory().join("trace").to_str().unwrap().to_owned();
    let id = daemon.process().id().to_string();
    let mut strace = lab.node().spawn(&["/usr/bin/strace", "-f", "-o", &file, "-p", &id]);
    eventually(LIMIT, "strace at work", || strace.log().contains("attached").then_some(()));
    let began = Instant::now();
    thread::sleep(WHILE);
    strace.signal(Signal::SIGINT);
    strace.wait(LIMIT);
    let time = began.elapsed().as_secs_f64();
    let mut calls = BTreeMap::new();
    for line in fs::read_to_string(file).unwrap().lines() {
        let name = line.split_whitespace().nth(1).and_then(|call| call.split_once('('));
        if let Some((name, _)) = name {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    (calls, time)
}

#[test]
fn an_idle_daemon_calls_the_kernel_seldom() {
    let lab = Lab::new();
    let mut daemon = Daemon::start_for(&lab, VIP, &five_servers(&lab), &[]);
    daemon.wait_judged();
    let clients: Vec<_> = (0..10).map(|_| lab.connect(lab.node(), vip(), LIMIT).unwrap()).collect();
    thread::sleep(SETTLED);
    let (calls, time) = calls(&lab, &mut daemon);
    let each_second = |count: u32| f64::from(count) / time;
    for (name, &count) in &calls {
        println!("{name:<16} {:>6.2} a second", each_second(count));
    }
    let counted = calls.iter().filter(|(name, _)| !NOT_COUNTED.contains(&name.as_str()));
    let total = each_second(counted.map(|(_, count)| count).sum());
    println!("{total:.2} a second, in {time:.0} s, with {} idle clients", clients.len());
    assert!(calls.contains_key("sendto") && total <= AT_MOST, "{total} a second: {calls:?}");
}
