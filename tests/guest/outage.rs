//! Trouble of this node itself, which must not be taken for trouble of the servers: an uplink that is away for a moment,
//! no descriptors.
//!
//! `-- --nocapture` shows the measured times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use lvscare::health::Condition;
use tests::daemon::{self, Daemon, LIMIT, TableReader, TableRecorder, VIP, connections, vip, wait_all_serve};
use tests::lab::{Lab, Master};
use tests::wait::eventually;
use tests::web;

/// A switch port resets, a bond fails over: TCP survives that, and so must its connections.
#[test]
fn an_uplink_that_comes_back_cuts_nobody() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &[]);
    for seconds in [2, 3, 5, 8] {
        let mut open = connections(&lab, 9);
        let recorder = TableRecorder::start(lab.node(), vip());
        lab.net().ip("link set node down");
        thread::sleep(Duration::from_secs(seconds));
        lab.net().ip("link set node up");
        let began = Instant::now();
        for (server, connection) in &mut open {
            let answer = connection.get("/", 2 * LIMIT);
            let answer =
                answer.unwrap_or_else(|error| panic!("{seconds} s: {server}: {error}\n{}", daemon.log()));
            assert_eq!(answer.body, *server, "the same connection");
        }
        println!(
            "uplink away for {seconds} s: {} connections go on, after {:.1?}",
            open.len(),
            began.elapsed()
        );
        wait_all_serve(&lab);
        for (time, table) in recorder.stop() {
            let servers = table.unwrap_or_default();
            let whole = lab.addresses().iter().all(|server| servers.contains_key(server));
            assert!(whole, "{seconds} s, {:?} ago: {servers:?}\n{}", time.elapsed(), daemon.log());
        }
    }
    assert!(!daemon.log().contains(" connections of this node"), "{}", daemon.log());
}

/// A switch that forgets to forward: no link is lost, every neighbour stays known, and the packets of all connections
/// are. However long that lasts, nobody is cut, not even when it ends while the servers are being dialled in doubt.
#[test]
fn a_switch_that_forwards_nothing_for_a_while_cuts_nobody() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &[]);
    for millis in [1200, 1600, 1800, 2000, 2100, 2200, 2300, 2500, 3000, 5000] {
        let mut open = connections(&lab, 9);
        let recorder = TableRecorder::start(lab.node(), vip());
        lab.net().ip("link set node nomaster");
        thread::sleep(Duration::from_millis(millis));
        lab.net().ip("link set node master br0");
        for (server, connection) in &mut open {
            let answer = connection.get("/", 2 * LIMIT);
            let answer =
                answer.unwrap_or_else(|error| panic!("{millis} ms: {server}: {error}\n{}", daemon.log()));
            assert_eq!(answer.body, *server, "the same connection");
        }
        wait_all_serve(&lab);
        for (time, table) in recorder.stop() {
            let servers = table.unwrap_or_default();
            let whole = lab.addresses().iter().all(|server| servers.contains_key(server));
            assert!(whole, "{millis} ms, {:?} ago: {servers:?}\n{}", time.elapsed(), daemon.log());
        }
    }
    assert!(!daemon.log().contains(" connections of this node"), "{}", daemon.log());
}

/// Two of three behind one dead switch: the third is witness enough.
#[test]
fn two_of_three_that_vanish_leave() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &[]);
    let reader = TableReader::open(lab.node());
    let gone = [lab.master(1).address(), lab.master(2).address()];
    lab.net().ip("link set m1 down\nlink set m2 down");
    let weightless = reader
        .time(LIMIT, "no new connections", |reader| gone.iter().all(|&server| !reader.serves(vip(), server)));
    let removed = reader
        .time(LIMIT, "both out", |reader| gone.iter().all(|&server| reader.weight(vip(), server).is_none()));
    println!("two of three vanished: weight 0 after {weightless:.1?}, out {removed:.1?} later");
    assert_eq!(daemon.condition(lab.master(3).address()), Some(Condition::Alive), "{}", daemon.log());
    lab.net().ip("link set m1 up\nlink set m2 up");
    wait_all_serve(&lab);
}

/// This node's own apiserver answers whatever becomes of the network.
#[test]
fn this_node_is_no_witness() {
    let lab = Lab::with_node_as_master();
    let daemon = Daemon::judged(&lab, &[]);
    let reader = TableReader::open(lab.node());
    let others = [1, 2, 3].map(|number| lab.master(number).address());
    lab.net().ip("link set node down");
    for server in others {
        daemon.wait_condition(server, Condition::Dead);
    }
    thread::sleep(Duration::from_secs(5));
    let weights = reader.weights(vip()).unwrap();
    assert_eq!(others.map(|server| weights.get(&server).copied()), [Some(0); 3], "{}", daemon.log());
    assert_eq!(weights.get(&lab.master(4).address()), Some(&1));
    lab.net().ip("link set node up");
    wait_all_serve(&lab);
}

/// The masters' servers under so many further addresses each.
fn more_addresses(lab: &Lab, each: u8) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for (index, master) in (0..).zip(lab.masters()) {
        let addresses = (0..each).map(|number| format!("10.0.0.{}", 100 + index * each + number));
        let addresses: Vec<String> = addresses.collect();
        let script: Vec<String> =
            addresses.iter().map(|address| format!("addr add {address}/24 dev eth0")).collect();
        master.namespace().ip(&script.join("\n"));
        servers
            .extend(addresses.iter().map(|address| format!("{address}:6443").parse::<SocketAddr>().unwrap()));
    }
    servers
}

/// Descriptors are this node's to lack. Nobody is dead for want of them, and the endpoint goes on.
#[test]
fn few_descriptors_kill_nobody() {
    for limit in [16, 32] {
        let lab = Lab::new();
        let servers = more_addresses(&lab, 10);
        let arguments = daemon::arguments(VIP, &servers, &["--interval", "500ms"]);
        let script = format!("ulimit -n {limit}; exec {}", arguments.join(" "));
        let process = lab.node().spawn(&["sh", "-c", &script]);
        let get = |path: &str| web::get(lab.node(), "127.0.0.1:10261".parse().unwrap(), path, LIMIT);
        let status = || lab.node().run(&["lvscare", "status"]);
        let told = "this node cannot ask";
        eventually(LIMIT, "what is wrong", || {
            String::from_utf8_lossy(&status().stdout).contains(told).then_some(())
        });
        // Every checker has had its turn several times.
        thread::sleep(Duration::from_secs(5));

        let log = || process.log();
        assert!(!log().contains("real server is worse"), "{limit}: {}", log());
        let weights = TableReader::open(lab.node()).weights(vip()).unwrap();
        assert_eq!(weights, servers.iter().map(|&server| (server, 1)).collect(), "{limit}: {}", log());
        for _ in 0..20 {
            assert_eq!(get("/livez").unwrap(), "ok\n", "{limit}: {}", log());
        }
        let metrics = daemon::metrics(lab.node());
        assert!(metrics.contains("reason=\"local\""), "{limit}: {metrics}");
        assert!(metrics.contains("lvscare_problems 1"), "{limit}: {metrics}");
        assert_eq!(log().matches(told).count(), 1, "{limit}: once for all: {}", log());

        // The guard goes on: what is really gone leaves, what is changed is repaired.
        lab.node().check(&["ipvsadm", "-C"]);
        let reader = TableReader::open(lab.node());
        reader.time(LIMIT, "repair", |reader| {
            reader.weights(vip()).is_some_and(|weights| weights.len() == servers.len())
        });
        lab.masters().iter().for_each(Master::kill);
    }
}
