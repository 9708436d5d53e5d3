//! The data path: what each kind of route to the virtual address does to the clients of a node.
//!
//! lvscare makes one kind, and nothing else: no link, no address, no firewall rule. The first half of this file
//! builds the other kinds by hand and shows where each fails; it tests the kernel, not lvscare, and is the reason
//! why lvscare does what the second half shows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "libtest shows it when a test fails")]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tests::client::Connection;
use tests::daemon::{Daemon, LIMIT, TableReader, URL, VIP, run_once, table, vip};
use tests::lab::{Lab, Master, NODE};
use tests::netns::Namespace;
use tests::refusal::{assert_refused_at_once, assert_refused_late};
use tests::wait::eventually;

/// What works takes milliseconds, and a second more if a packet had to be sent again; what takes so long will never work.
const HANGS: Duration = Duration::from_secs(4);

/// The route that lvscare makes.
const OURS: &str = "route add local 10.103.97.2/32 dev lo table local src 10.0.0.10";

// What lvscare does not do, and why

#[test]
fn without_any_route_there_is_no_way() {
    let lab = Lab::new();
    balance(&lab);
    assert_eq!(dial(lab.node()).unwrap_err().kind(), ErrorKind::NetworkUnreachable);

    // A default route helps: IPVS takes the packet before it leaves.
    lab.node().ip("route add default via 10.0.0.1");
    assert_eq!(dial(lab.node()).unwrap().local_addr().unwrap().ip(), NODE);

    // But it also chooses the source address, and that may be one to which the masters have no way.
    lab.node().ip("route del default");
    elsewhere(&lab);
    assert_eq!(dial(lab.node()).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(waiting_clients(lab.node()), ["192.0.2.10"]);
}

#[test]
fn with_the_address_on_a_link_everything_hangs() {
    let lab = Lab::new();
    balance(&lab);
    lab.node().ip("link add lvscare type dummy\n\
                   link set lvscare up\n\
                   addr add 10.103.97.2/32 dev lvscare");
    assert_eq!(dial(lab.node()).unwrap_err().kind(), ErrorKind::TimedOut);
    // The kernel takes an address of its own as the source of packets to that address.
    assert_eq!(waiting_clients(lab.node()), ["10.103.97.2"]);
}

#[test]
fn with_a_route_through_a_link_only_remote_masters_and_local_clients_work() {
    let lab = Lab::with_node_as_master();
    balance(&lab);
    lab.node().ip("link add lvscare type dummy\n\
                   link set lvscare up\n\
                   route add 10.103.97.2/32 dev lvscare src 10.0.0.10");

    // The one master in four that is this node itself.
    let dials: Vec<_> = (0..8).map(|_| dial(lab.node())).collect();
    let hung = dials.iter().filter_map(|dial| dial.as_ref().err());
    assert_eq!(hung.map(io::Error::kind).collect::<Vec<_>>(), [ErrorKind::TimedOut; 2], "{dials:?}");

    // Every pod: its packets are forwarded, and IPVS does not look at those.
    assert_eq!(dial(lab.pod()).unwrap_err().kind(), ErrorKind::TimedOut);

    // Connections to a master that is gone: nothing would answer them.
    remove(&lab, lab.master(4));
    lab.node().sysctl("net.ipv4.vs.expire_nodest_conn", "1");
    let (mut stale, name) = connect(&lab, lab.node());
    lose(&lab, &name);
    assert_eq!(stale.get("/", HANGS).unwrap_err().kind(), ErrorKind::TimedOut);
}

// Why lvscare's route is not enough without the setting and without the deletion

#[test]
fn a_connection_to_a_removed_master_is_reset_only_if_expire_nodest_conn_is_set() {
    let lab = Lab::new();
    balance(&lab);
    lab.node().ip(OURS);
    let vanished = |setting| {
        lab.node().sysctl("net.ipv4.vs.expire_nodest_conn", setting);
        let (mut stale, name) = connect(&lab, lab.node());
        lose(&lab, &name);
        stale.get("/", HANGS).unwrap_err()
    };
    assert_eq!(vanished("0").kind(), ErrorKind::TimedOut);
    let error = vanished("1");
    assert!(is_reset(&error), "{error}");
}

#[test]
fn an_empty_virtual_server_refuses_late_a_deleted_one_at_once() {
    let lab = Lab::new();
    lab.node().ip(OURS);
    lab.node().check(&["ipvsadm", "-A", "-t", VIP, "-s", "rr"]);
    for place in [lab.node(), lab.pod()] {
        // IPVS answers with ICMP, which TCP does not heed while the client is still busy sending; the next attempt is
        // a second later.
        assert_refused_late(place);
    }
    lab.node().check(&["ipvsadm", "-D", "-t", VIP]);
    for place in [lab.node(), lab.pod()] {
        assert_refused_at_once(place);
    }
}

#[test]
fn weight_zero_keeps_open_connections_and_takes_no_new_ones() {
    let lab = Lab::new();
    balance(&lab);
    lab.node().ip(OURS);
    lab.node().sysctl("net.ipv4.vs.expire_nodest_conn", "1");
    for place in [lab.node(), lab.pod()] {
        let (mut open, name) = connect(&lab, place);
        let server = named(&lab, &name).address().to_string();
        let weight = |weight| {
            lab.node().check(&["ipvsadm", "-e", "-t", VIP, "-r", &server, "-m", "-w", weight]);
        };
        weight("0");
        let counts = count(&lab, place, 6);
        assert!(!counts.contains_key(&name) && counts.len() == 2, "{place:?}: {counts:?}");
        assert_eq!(open.get("/", LIMIT).unwrap().body, name);
        weight("1");
    }
}

// What lvscare does

#[test]
fn lvscare_serves_the_node_and_its_pods() {
    let lab = Lab::new();
    run_once(&lab, &[]);
    for place in [lab.node(), lab.pod()] {
        assert_eq!(count(&lab, place, 6), counts([("m1", 2), ("m2", 2), ("m3", 2)]), "{place:?}");
    }
    let source = dial(lab.node()).unwrap().local_addr().unwrap().ip();
    assert_eq!(source, NODE);
}

#[test]
fn lvscare_serves_a_node_that_is_itself_a_master() {
    let lab = Lab::with_node_as_master();
    run_once(&lab, &[]);
    for place in [lab.node(), lab.pod()] {
        let wanted = counts([("m1", 2), ("m2", 2), ("m3", 2), ("m4", 2)]);
        assert_eq!(count(&lab, place, 8), wanted, "{place:?}");
    }
}

#[test]
fn lvscare_frees_connections_to_a_master_that_vanished() {
    let lab = Lab::new();
    let _daemon = Daemon::judged(&lab, &[]);
    let mut of_host = connect_to(&lab, lab.node(), "m2");
    let mut of_pod = connect_to(&lab, lab.pod(), "m2");
    let vanished = lab.master(2);
    vanished.link_down();
    let reader = TableReader::open(lab.node());
    reader.time(LIMIT, "m2 out of the table", |reader| reader.weight(vip(), vanished.address()).is_none());

    // The node's own client sends nothing: it waits, as kubelet does for an event.
    let began = Instant::now();
    of_host.limit(LIMIT);
    let error = of_host.read(&mut [0]).unwrap_err();
    println!("freed after {:?}", began.elapsed());
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    // The pod's client learns of it when it sends.
    let error = of_pod.get("/", LIMIT).unwrap_err();
    assert!(is_reset(&error), "{error}");
}

#[test]
fn lvscare_lets_clients_be_refused_at_once_when_every_master_is_down() {
    let lab = Lab::new();
    let _daemon = Daemon::judged(&lab, &[]);
    lab.masters().iter().for_each(Master::kill);
    eventually(LIMIT, "no virtual server", || table(lab.node(), VIP).is_none().then_some(()));
    for place in [lab.node(), lab.pod()] {
        assert_refused_at_once(place);
    }
}

#[test]
fn lvscare_takes_the_source_address_towards_the_masters() {
    let lab = Lab::new();
    elsewhere(&lab);
    let source = || dial(lab.node()).unwrap().local_addr().unwrap().ip();
    run_once(&lab, &[]);
    assert_eq!(source(), NODE);

    // Unless it is told another.
    let told: IpAddr = [10, 0, 0, 11].into();
    lab.node().ip(&format!("addr add {told}/24 dev eth0"));
    let printed = run_once(&lab, &["--node-ip", &told.to_string()]);
    assert_eq!(printed, "set route local 10.103.97.2 dev lo src 10.0.0.11\n");
    assert_eq!(source(), told);
}

#[test]
fn lvscare_gives_a_server_the_share_of_its_weight() {
    let lab = Lab::new();
    let words = "lvscare care --run-once --scheduler wrr --rs 10.0.0.1:6443,weight=2 --rs 10.0.0.2:6443,10.0.0.3:6443";
    lab.node().check(&words.split(' ').collect::<Vec<_>>());
    let weights: BTreeMap<SocketAddr, u32> =
        lab.masters().iter().map(Master::address).zip([2, 1, 1]).collect();
    assert_eq!(table(lab.node(), VIP), Some(weights));
    assert_eq!(count(&lab, lab.node(), 8), counts([("m1", 4), ("m2", 2), ("m3", 2)]));
}

// Rules by hand

/// A virtual server for all masters, without any route.
fn balance(lab: &Lab) {
    let servers =
        lab.masters().iter().map(|master| format!("ipvsadm -a -t {VIP} -r {} -m", master.address()));
    let script: Vec<String> =
        ["set -e".to_owned(), format!("ipvsadm -A -t {VIP} -s rr")].into_iter().chain(servers).collect();
    lab.node().check(&["sh", "-c", &script.join("\n")]);
}

/// Deletes a server from it.
fn remove(lab: &Lab, master: &Master) {
    lab.node().check(&["ipvsadm", "-d", "-t", VIP, "-r", &master.address().to_string()]);
}

/// A second link of the node, and a default route through it: to elsewhere, from an address unknown to the masters.
fn elsewhere(lab: &Lab) {
    lab.node().ip("link add eth1 type dummy\n\
                   link set eth1 up\n\
                   addr add 192.0.2.10/24 dev eth1\n\
                   route add default via 192.0.2.1");
}

/// A master vanishes without a word, and its server is deleted.
fn lose(lab: &Lab, name: &str) {
    // Or the client's socket would outlive the laboratory by minutes, and keep the node's namespace and IPVS in use.
    lab.node().sysctl("net.ipv4.tcp_orphan_retries", "1");
    named(lab, name).link_down();
    remove(lab, named(lab, name));
}

/// The clients whose connections are not established, as IPVS sees them.
fn waiting_clients(place: &Namespace) -> Vec<String> {
    let list = place.check(&["ipvsadm", "-Lcn"]);
    let waiting = list.lines().filter(|line| line.contains("SYN_RECV"));
    // `TCP 00:59 SYN_RECV 10.0.0.10:40000 10.103.97.2:6443 10.0.0.1:6443`
    let clients = waiting.filter_map(|line| line.split_whitespace().nth(3)?.split(':').next());
    clients.map(str::to_owned).collect()
}

// Clients

/// A bare TCP connection to the virtual server.
fn dial(place: &Namespace) -> io::Result<TcpStream> {
    place.enter(|| TcpStream::connect_timeout(&vip(), HANGS))
}

/// A connection through the virtual server, and the name of the master at its other end.
fn connect(lab: &Lab, place: &Namespace) -> (Connection, String) {
    let mut connection = lab.connect(place, vip(), LIMIT).unwrap();
    let name = connection.get("/", LIMIT).unwrap().body;
    (connection, name)
}

/// A connection through the virtual server to this very master.
fn connect_to(lab: &Lab, place: &Namespace, wanted: &str) -> Connection {
    // Each has its turn.
    let mut attempts = (0..lab.masters().len()).map(|_| connect(lab, place));
    attempts.find(|(_, name)| name == wanted).unwrap().0
}

/// The second of two writes in a row may meet the socket when the reset has already been told.
fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

fn named<'a>(lab: &'a Lab, name: &str) -> &'a Master {
    lab.masters().iter().find(|master| master.name() == name).unwrap()
}

/// Who answers so many requests, each over a connection of its own; none may fail.
#[track_caller]
fn count(lab: &Lab, place: &Namespace, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        *counts.entry(lab.get(place, URL, LIMIT).unwrap().body).or_default() += 1;
    }
    counts
}

fn counts<const N: usize>(pairs: [(&str, usize); N]) -> BTreeMap<String, usize> {
    pairs.map(|(name, count)| (name.to_owned(), count)).into()
}
