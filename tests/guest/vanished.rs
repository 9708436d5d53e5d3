//! Packets that nobody takes: a host that has vanished, a connection that was forgotten on the way; and, not to be taken
//! for one of them, a server that thinks.
//!
//! `-- --nocapture` shows the measured times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use lvscare::health::Condition;
use lvscare::kernel::sockets::unacknowledged;
use tests::apiserver::Behaviour;
use tests::daemon::{Daemon, LIMIT, TableReader, URL, vip};
use tests::lab::{Lab, Master};
use tests::wait::eventually;

/// Limits so long that something can be seen while they last.
const PATIENT: [&str; 3] = ["--interval=1s", "--health-timeout=8s", "--connect-timeout=8s"];

/// Lets this node's probes be asked a few times more.
fn probe(master: &Master, times: u64) {
    let asked = master.control().stats().questions();
    eventually(LIMIT, "probes", || (master.control().stats().questions() >= asked + times).then_some(()));
}

/// The server gets no more packets of the connections that exist now.
fn forget_connections(master: &Master) {
    let place = master.namespace();
    let listing = place.check(&["ss", "-Htn", "state", "established"]);
    place.check(&["nft", "add table ip forgotten"]);
    place.check(&["nft", "add chain ip forgotten input { type filter hook input priority 0; }"]);
    for port in listing.lines().filter_map(|line| line.rsplit_once(':').map(|(_, port)| port.trim())) {
        place.check(&["nft", &format!("add rule ip forgotten input tcp sport {port} drop")]);
    }
}

/// The daemon's connections to a server, in whatever state they are.
fn connections(lab: &Lab, server: &Master) -> usize {
    let address = server.address().to_string();
    lab.node().check(&["ss", "-Htn", "dst", &address]).lines().count()
}

/// What has happened to the second server takes it out of the table within one time limit, not one after the other:
/// while the old connection still waits, a new one is tried.
#[track_caller]
fn is_out_after_one_limit(strike: fn(&Master)) {
    let lab = Lab::new();
    let _daemon = Daemon::judged(&lab, &PATIENT);
    let reader = TableReader::open(lab.node());
    let gone = lab.master(2);
    eventually(LIMIT, "one connection", || (connections(&lab, gone) == 1).then_some(()));
    let began = Instant::now();
    strike(gone);
    eventually(LIMIT, "a new connection beside the old one", || (connections(&lab, gone) > 1).then_some(()));
    println!("a new connection is tried after {:>5} ms", began.elapsed().as_millis());
    reader.time(LIMIT, "out", |reader| !reader.serves(vip(), gone.address()));
    println!("and the server is out after {:>5} ms", began.elapsed().as_millis());
}

#[test]
fn the_kernel_tells_what_nobody_acknowledges() {
    let lab = Lab::new();
    let master = lab.master(2);
    let mut stream = lab.node().enter(|| TcpStream::connect(master.address()).unwrap());
    let local = stream.local_addr().unwrap();
    let bytes = || lab.node().enter(|| unacknowledged(local, master.address()).unwrap());
    assert_eq!(bytes(), 0);
    stream.write_all(b"heard").unwrap();
    eventually(LIMIT, "an acknowledgement", || (bytes() == 0).then_some(()));
    master.link_down();
    stream.write_all(b"unheard").unwrap();
    assert_eq!(bytes(), 7);
}

#[test]
fn a_vanished_host_is_out_after_one_limit() {
    is_out_after_one_limit(Master::link_down);
}

/// Between two questions the kernels keep watch, however far those are apart.
#[test]
fn a_vanished_host_is_out_long_before_it_is_asked_again() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &["--interval=5m"]);
    let reader = TableReader::open(lab.node());
    let gone = lab.master(2);
    gone.link_down();
    let out = reader.time(LIMIT, "out", |reader| !reader.serves(vip(), gone.address()));
    println!("a vanished host that is asked every five minutes is out after {:>5} ms", out.as_millis());
    reader.time(LIMIT, "removed", |reader| reader.weight(vip(), gone.address()).is_none());
    assert_eq!(daemon.condition(gone.address()), Some(Condition::Dead));
}

/// And little more where the kernel still acknowledges what its process does not read.
#[test]
fn a_stopped_process_is_out_after_little_more() {
    is_out_after_one_limit(Master::sigstop);
}

#[test]
fn a_forgotten_connection_is_replaced() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &PATIENT);
    let reader = TableReader::open(lab.node());
    let master = lab.master(2);
    probe(master, 3);
    forget_connections(master);
    let began = Instant::now();
    probe(master, 2);
    println!("a forgotten connection is replaced after {:>5} ms", began.elapsed().as_millis());
    assert!(reader.serves(vip(), master.address()));
    assert!(!daemon.log().contains("worse"), "{}", daemon.log());
}

/// An apiserver under load must not be loaded with connections on top of it.
#[test]
fn a_server_that_thinks_is_left_to_think() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &PATIENT);
    let master = lab.master(2);
    master.control().set(Behaviour::Delay(Duration::from_millis(700)));
    probe(master, 1);
    let before = master.control().stats().accepted;
    probe(master, 4);
    let more = master.control().stats().accepted - before;
    println!("a server that thinks got {more} more connections");
    // The probe through the virtual server may have come by, and one for an answer that was late.
    assert!(more <= 2, "{more}");
    assert_eq!(daemon.condition(master.address()), Some(Condition::Alive), "{}", daemon.log());
}

/// The path from this server is narrower than it says: small packets pass, large ones are lost.
fn lose_large_packets(master: &Master) {
    let place = master.namespace();
    place.check(&["nft", "add table ip narrow"]);
    place.check(&["nft", "add chain ip narrow output { type filter hook postrouting priority 0; }"]);
    place.check(&["nft", "add rule ip narrow output ip length > 700 drop"]);
}

/// Its held connections go on, clients that begin get nowhere. They are the witnesses.
#[test]
fn a_server_that_loses_large_packets_is_out_before_its_connection_is_renewed() {
    let lab = Lab::new();
    let daemon = Daemon::judged(&lab, &[]);
    let reader = TableReader::open(lab.node());
    let narrow = lab.master(2);
    probe(narrow, 2);
    let load = lab.load(lab.node(), URL, 3, Duration::from_secs(2));
    let began = Instant::now();
    lose_large_packets(narrow);
    reader.time(LIMIT, "out", |reader| !reader.serves(vip(), narrow.address()));
    println!("a server that loses large packets is out after {:>5} ms", began.elapsed().as_millis());
    // Whom nobody suspects is found out when the connection is renewed, minutes later.
    assert!(daemon.log().contains("a client gets no answer"), "{}", daemon.log());
    load.stop();
    daemon.wait_condition(narrow.address(), Condition::Dead);
    narrow.namespace().check(&["nft", "delete table ip narrow"]);
    daemon.wait_condition(narrow.address(), Condition::Alive);
}
