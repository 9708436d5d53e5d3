//! Every scheduler that lvscare accepts serves every client in every state that lvscare makes, and the others do not.
//!
//! `sh` and `mh` choose by the client's address, so clients come from enough addresses to meet every real server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use lvscare::config::value::SCHEDULERS;
use socket2::{Domain, Socket, Type};
use tests::apiserver::Behaviour;
use tests::client::Connection;
use tests::daemon::{Daemon, LIMIT, TableReader, VIP, vip, wait_all_serve};
use tests::lab::{Lab, Master, NODE};
use tests::wait::eventually;

/// Two rounds of them make new connections in each state.
const CLIENTS: u8 = 40;

/// Nobody is dead because this machine is busy, and nobody has drained before the test has looked.
const PATIENT: [&str; 8] =
    ["--interval", "500ms", "--connect-timeout", "10s", "--health-timeout", "20s", "--drain-timeout", "10m"];

/// The kernel refuses after a second what no real server takes.
const CONNECT: Duration = Duration::from_secs(10);

/// A laboratory whose pod has an address for each client, and a kernel that need not load a scheduler on demand: see
/// `lblc` in the test `life`.
fn laboratory(build: fn() -> Lab) -> Lab {
    let lab = build();
    lab.node().run(&["modprobe", "-a", "ip_vs_lblc", "ip_vs_lblcr"]);
    let addresses: Vec<String> = clients().map(|client| format!("addr add {client}/32 dev eth0")).collect();
    lab.pod().ip(&addresses.join("\n"));
    lab
}

/// The schedulers that this kernel has: all but perhaps the youngest, which distributions have yet to discover.
fn there(lab: &Lab) -> impl Iterator<Item = &'static str> + '_ {
    let is_there = |scheduler: &str| {
        let module = format!("ip_vs_{scheduler}");
        lab.node().run(&["modprobe", &module]).status.success()
    };
    SCHEDULERS.into_iter().filter(move |scheduler| *scheduler != "twos" || is_there(scheduler))
}

fn clients() -> impl Iterator<Item = Ipv4Addr> + Send {
    (0..CLIENTS).map(|client| Ipv4Addr::new(10, 244, 0, 100 + client))
}

fn connect(from: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&vip().into(), CONNECT)?;
    Ok(socket.into())
}

/// The clients that get no new connection.
fn refused(lab: &Lab) -> BTreeMap<Ipv4Addr, String> {
    lab.pod().enter(|| {
        let tries = clients().chain(clients());
        tries.filter_map(|client| Some((client, connect(client).err()?.to_string()))).collect()
    })
}

#[track_caller]
fn assert_serves(lab: &Lab, daemon: &Daemon, state: &str) {
    let refused = refused(lab);
    let rules = lab.node().check(&["ipvsadm", "-Ln"]);
    assert!(refused.is_empty(), "{state}: {refused:?}\n{rules}\n{}", daemon.log());
}

/// A real server that drains at weight 0, because a client holds a connection to it.
struct Draining<'a> {
    master: &'a Master,
    held: Connection,
}

impl<'a> Draining<'a> {
    /// The next one.
    fn start(lab: &'a Lab, reader: &TableReader) -> Self {
        let mut held = lab.connect(lab.node(), vip(), LIMIT).unwrap();
        let name = held.get("/", LIMIT).unwrap().body;
        let master = lab.masters().iter().find(|master| master.name() == name).unwrap();
        master.control().set(Behaviour::Readyz(500));
        reader.time(LIMIT, "a real server at weight 0", |reader| {
            reader.weight(vip(), master.address()) == Some(0)
        });
        Self { master, held }
    }

    /// It drains still.
    fn check(&mut self, reader: &TableReader) {
        assert_eq!(reader.weight(vip(), self.master.address()), Some(0), "it went before its client");
        let answer = self.held.get("/", LIMIT).unwrap();
        assert_eq!(answer.body, self.master.name(), "the held connection goes on");
    }
}

#[test]
fn every_scheduler_serves_while_servers_drain_and_when_they_are_gone() {
    let lab = laboratory(Lab::new);
    let reader = TableReader::open(lab.node());
    for scheduler in there(&lab) {
        let daemon = Daemon::judged(&lab, &[&["--scheduler", scheduler][..], &PATIENT].concat());
        wait_all_serve(&lab);
        let state = |what: &str| format!("{scheduler}, {what}");
        assert_serves(&lab, &daemon, &state("all serve"));
        let mut first = Draining::start(&lab, &reader);
        assert_serves(&lab, &daemon, &state("one drains"));
        let mut second = Draining::start(&lab, &reader);
        assert_serves(&lab, &daemon, &state("all but one drain"));
        first.check(&reader);
        second.check(&reader);
        for draining in [&first, &second] {
            draining.master.kill();
        }
        reader.time(LIMIT, "one left", |reader| reader.weights(vip()).is_some_and(|all| all.len() == 1));
        assert_serves(&lab, &daemon, &state("one left"));
        for draining in [&first, &second] {
            draining.master.start();
        }
        drop(daemon);
    }
}

#[test]
fn every_scheduler_serves_while_others_stand_by() {
    let lab = laboratory(Lab::with_node_as_master);
    let reader = TableReader::open(lab.node());
    let own = lab.master(4);
    let others = &lab.addresses()[..3];
    for scheduler in there(&lab) {
        let daemon =
            Daemon::judged(&lab, &[&["--scheduler", scheduler, "--prefer-local"][..], &PATIENT].concat());
        let stand_by = || reader.only(vip(), &[own.address()]) && reader.weights(vip()).unwrap().len() == 4;
        eventually(LIMIT, "three stand by", || stand_by().then_some(()));
        assert_serves(&lab, &daemon, &format!("{scheduler}, never served"));
        // Those that have served before keep their places in the table of `mh`.
        own.kill();
        eventually(LIMIT, "three serve", || reader.only(vip(), others).then_some(()));
        assert_serves(&lab, &daemon, &format!("{scheduler}, the own one is gone"));
        own.start();
        eventually(LIMIT, "three stand by again", || stand_by().then_some(()));
        assert_serves(&lab, &daemon, &format!("{scheduler}, served before"));
        drop(daemon);
    }
}

/// A virtual server by hand, with these settings, whose first real server has weight 0; the others have 1.
fn by_hand(lab: &Lab, settings: &[&str]) {
    let node = lab.node();
    node.run(&["ipvsadm", "-D", "-t", VIP]);
    node.ip(&format!("route replace local {}/32 dev lo table local src {NODE}", vip().ip()));
    node.check(&[&["ipvsadm", "-A", "-t", VIP, "-s"], settings].concat());
    for (master, weight) in lab.masters().iter().zip(["0", "1", "1"]) {
        let server = master.address().to_string();
        // `mh` gives places to those that have had a weight.
        node.check(&["ipvsadm", "-a", "-t", VIP, "-r", &server, "-m", "-w", "1"]);
        node.check(&["ipvsadm", "-e", "-t", VIP, "-r", &server, "-m", "-w", weight]);
    }
}

/// Why some are not accepted and others get a flag; the day this fails, a kernel has learnt something.
#[test]
fn without_a_fallback_the_kernel_refuses_clients() {
    let lab = laboratory(Lab::new);
    for scheduler in ["sh", "mh"] {
        by_hand(&lab, &[scheduler]);
        let some = refused(&lab).len();
        assert!(some > 0 && some < usize::from(CLIENTS), "{scheduler}: {some}");
        let fallback = format!("{scheduler}-fallback");
        by_hand(&lab, &[scheduler, "-b", &fallback]);
        assert_eq!(refused(&lab), BTreeMap::new(), "{fallback}");
    }
    // Destination hashing: all clients go to one, here the one whose turn it is.
    let all_refused = lab.masters().iter().any(|drained| {
        by_hand(&lab, &["dh"]);
        for master in lab.masters() {
            let weight = if master.address() == drained.address() { "0" } else { "1" };
            let server = master.address().to_string();
            lab.node().check(&["ipvsadm", "-e", "-t", VIP, "-r", &server, "-m", "-w", weight]);
        }
        refused(&lab).len() == usize::from(CLIENTS)
    });
    assert!(all_refused, "dh");
    // Overflow: with weight 1 two servers take two connections each.
    by_hand(&lab, &["ovf"]);
    let held: Vec<_> = lab.pod().enter(|| clients().take(8).map(connect).collect());
    let served = held.iter().filter(|held| held.is_ok()).count();
    assert_eq!(served, 4, "ovf: {held:?}");
}

/// What ipvsadm prints after `-b`.
fn flags(lab: &Lab) -> Option<String> {
    let rules = lab.node().check(&["ipvsadm", "-Sn"]);
    let service = rules.lines().find(|line| line.starts_with("-A"))?;
    Some(service.split_once(" -b ").map_or("", |(_, flags)| flags.trim()).to_owned())
}

#[test]
fn the_fallback_is_repaired_and_the_port_is_left_alone() {
    let lab = laboratory(Lab::new);
    let set = |words: &[&str]| _ = lab.node().check(&[&["ipvsadm", "-E", "-t", VIP], words].concat());
    let daemon = Daemon::judged(&lab, &["--scheduler", "mh"]);
    assert_eq!(flags(&lab).as_deref(), Some("mh-fallback"));
    // An administrator takes the fallback, and has the port count.
    set(&["-s", "mh", "-b", "mh-port"]);
    eventually(LIMIT, "the fallback again", || {
        (flags(&lab).as_deref() == Some("mh-fallback,mh-port")).then_some(())
    });
    assert_eq!(daemon.repairs(), Some(1), "{}", daemon.log());
    drop(daemon);
    // It goes with the scheduler that needed it; persistence is never ours.
    set(&["-s", "mh", "-b", "mh-fallback", "-p", "300"]);
    let _daemon = Daemon::judged(&lab, &["--scheduler", "rr"]);
    eventually(LIMIT, "no flags", || (flags(&lab).as_deref() == Some("")).then_some(()));
    let rules = lab.node().check(&["ipvsadm", "-Sn"]);
    assert!(!rules.contains(" -p "), "{rules}");
}
