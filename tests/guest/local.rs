//! A control-plane node that prefers its own apiserver.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use lvscare::health::Condition;
use tests::apiserver::Behaviour;
use tests::daemon::{Daemon, LIMIT, TableReader, URL, VIP, table};
use tests::lab::Lab;

/// Who answers so many requests; none may fail.
fn count(lab: &Lab, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        *counts.entry(lab.get(lab.node(), URL, LIMIT).unwrap().body).or_default() += 1;
    }
    counts
}

fn weights(lab: &Lab) -> Vec<Option<u32>> {
    let table = table(lab.node(), VIP).unwrap();
    lab.masters().iter().map(|master| table.get(&master.address()).copied()).collect()
}

#[test]
fn a_master_keeps_to_itself_while_it_can() {
    let lab = Lab::with_node_as_master();
    let drain = Duration::from_secs(10);
    let daemon = Daemon::judged(&lab, &["--prefer-local", "--drain-timeout", "10s"]);
    let reader = TableReader::open(lab.node());
    let at: SocketAddr = VIP.parse().unwrap();
    let own = lab.master(4);
    let other = lab.master(1).address();
    let only = |name: &str, requests| BTreeMap::from([(name.to_owned(), requests)]);

    assert_eq!(weights(&lab), [Some(0), Some(0), Some(0), Some(1)]);
    assert_eq!(count(&lab, 6), only("m4", 6));

    own.kill();
    let took = reader.time(LIMIT, "the others serve", |reader| reader.weight(at, other) == Some(1));
    println!("the others serve {} ms after the kill", took.as_millis());
    assert_eq!(weights(&lab), [Some(1), Some(1), Some(1), None]);
    assert_eq!(count(&lab, 6).len(), 3);

    // Whoever is connected elsewhere stays connected when the own one returns.
    let mut held = lab.connect(lab.node(), at, LIMIT).unwrap();
    let server = held.get("/", LIMIT).unwrap().body;
    own.start();
    reader.time(LIMIT, "the own one serves again", |reader| {
        reader.weight(at, own.address()) == Some(1) && reader.weight(at, other) == Some(0)
    });
    assert_eq!(count(&lab, 6), only("m4", 6));
    assert_eq!(held.get("/", LIMIT).unwrap().body, server);

    // It has stood by for longer than a server may drain. When it drains at last, that begins now.
    thread::sleep(drain);
    let standby = lab.masters().iter().find(|master| master.name() == server).unwrap();
    standby.control().set(Behaviour::Readyz(500));
    daemon.wait_condition(standby.address(), Condition::Draining);
    assert_eq!(held.get("/", LIMIT).unwrap().body, server, "{}", daemon.log());
    assert_eq!(reader.weight(at, standby.address()), Some(0));
    standby.control().set(Behaviour::Healthy);
    daemon.wait_condition(standby.address(), Condition::Alive);

    own.control().set(Behaviour::Readyz(500));
    reader.time(LIMIT, "the others serve", |reader| reader.weight(at, other) == Some(1));
    assert_eq!(count(&lab, 6).len(), 3, "{}", daemon.log());
}
