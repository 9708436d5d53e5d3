//! The life of lvscare on a node: it builds, guards, is stopped, killed and started again, and is cleaned away.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "libtest shows it when a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvscare::config::value::SCHEDULERS;
use lvscare::health::Condition;
use lvscare::status::Status;
use nix::sys::signal::Signal;
use tests::apiserver::Behaviour;
use tests::daemon::{
    Daemon, LIMIT, TableReader, URL, URL6, VIP, VIP6, lvscare, run_once, table, vip, wait_table,
};
use tests::lab::{Lab, Master, NODE6};
use tests::netns::Namespace;
use tests::wait::eventually;

/// Where the daemon answers.
const LISTEN: &str = "127.0.0.1:10261";

/// Long enough for several requests of each client.
const A_WHILE: Duration = Duration::from_millis(500);

// Once

#[test]
fn run_once_builds_everything_and_a_second_run_nothing() {
    let lab = Lab::new();
    let node = lab.node();
    assert_eq!(
        run_once(&lab, &[]),
        "add virtual server 10.103.97.2:6443 scheduler rr\n\
         add real server 10.0.0.1:6443 weight 1 to 10.103.97.2:6443\n\
         add real server 10.0.0.2:6443 weight 1 to 10.103.97.2:6443\n\
         add real server 10.0.0.3:6443 weight 1 to 10.103.97.2:6443\n\
         set net.ipv4.vs.expire_nodest_conn = 1\n\
         set net.ipv4.vs.conntrack = 1\n\
         set route local 10.103.97.2 dev lo src 10.0.0.10\n"
    );
    wait_table(node, VIP, &lab.addresses(), 1);
    let route = node.check(&["ip", "-d", "route", "show", "table", "local", "10.103.97.2"]);
    assert_eq!(words(&route), "local 10.103.97.2 dev lo proto 97 scope host src 10.0.0.10");
    let setting = node.enter(|| fs::read_to_string("/proc/sys/net/ipv4/vs/expire_nodest_conn")).unwrap();
    assert_eq!(setting, "1\n");
    for place in [node, lab.pod()] {
        assert_eq!(lab.get(place, URL, LIMIT).unwrap().status, 200);
    }

    let before = state(node);
    assert_eq!(run_once(&lab, &[]), "nothing to change; route and rules are in place\n");
    assert_eq!(state(node), before);
}

#[test]
fn clean_removes_ours_and_nothing_else() {
    let lab = Lab::new();
    let node = lab.node();
    node.ip("route add local 10.103.97.3/32 dev lo table local src 10.0.0.10\n\
             route add 198.51.100.0/24 via 10.0.0.1\n\
             route add 10.103.97.0/24 via 10.0.0.2");
    let script = format!(
        "set -e
         ipvsadm -A -u {VIP} -s wrr;          ipvsadm -a -u {VIP} -r 10.0.0.1:53 -m -w 7
         ipvsadm -A -t 10.103.97.2:443 -s lc;  ipvsadm -a -t 10.103.97.2:443 -r 10.0.0.1:6443 -m
         ipvsadm -A -t 10.103.97.3:6443 -s rr; ipvsadm -a -t 10.103.97.3:6443 -r 10.0.0.2:6443 -g
         ipvsadm -A -f 1 -s rr;                ipvsadm -a -f 1 -r 10.0.0.3 -m
         ipvsadm -A -t {VIP6} -s rr"
    );
    node.check(&["sh", "-c", &script]);
    run_once(&lab, &[]);
    // Two others have the address, and its route goes on leading to them.
    assert_eq!(say(node, &["clean"]), "remove virtual server 10.103.97.2:6443\n");
    let foreign = state(node);

    for clean in [&["clean"][..], &["care", "--clean"], &["care", "-C", "--vs", VIP]] {
        run_once(&lab, &[]);
        assert_ne!(state(node), foreign);
        assert_eq!(say(node, clean), "remove virtual server 10.103.97.2:6443\n");
        assert_eq!(state(node), foreign);
        assert_eq!(say(node, clean), "nothing to remove\n");
        assert_eq!(state(node), foreign);
    }
    node.check(&["sh", "-c", &format!("ipvsadm -D -t 10.103.97.2:443; ipvsadm -D -u {VIP}")]);
    run_once(&lab, &[]);
    assert_eq!(
        say(node, &["clean"]),
        "remove virtual server 10.103.97.2:6443\n\
         remove route local 10.103.97.2\n"
    );

    // The administrator's own route of the virtual address serves as well as ours, and stays the administrator's.
    node.ip("route add local 10.103.97.2/32 dev lo table local src 10.0.0.10");
    let foreign = state(node);
    assert!(!run_once(&lab, &[]).contains("route"));
    assert_eq!(say(node, &["clean"]), "remove virtual server 10.103.97.2:6443\n");
    assert_eq!(state(node), foreign);
}

#[test]
fn every_scheduler_of_the_kernel_can_be_used() {
    let lab = Lab::new();
    // Left to itself the kernel loads a scheduler while it holds the lock of IPVS. These two then wait for every
    // namespace that is being deleted, which waits for that lock: both for ever (`ip_vs_lblc_init()` registers with
    // namespaces; seen with Linux 6.1). Other tests delete namespaces all the time.
    lab.node().run(&["modprobe", "-a", "ip_vs_lblc", "ip_vs_lblcr"]);
    run_once(&lab, &[]);
    let mut missing = Vec::new();
    for scheduler in SCHEDULERS {
        let before = state(lab.node());
        let output = lvscare(
            lab.node(),
            &[
                "care",
                "--run-once",
                "--rs",
                "10.0.0.1:6443,10.0.0.2:6443,10.0.0.3:6443",
                "--scheduler",
                scheduler,
            ],
        );
        if output.status.success() {
            let rules = lab.node().check(&["ipvsadm", "-Sn"]);
            let service = rules.lines().next().unwrap().split(" -b ").next();
            assert_eq!(service, Some(format!("-A -t {VIP} -s {scheduler}").as_str()));
            assert_eq!(table(lab.node(), VIP).unwrap().len(), 3, "{scheduler}");
            assert_eq!(lab.get(lab.node(), URL, LIMIT).unwrap().status, 200, "{scheduler}");
        } else {
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(15), "{error}");
            assert!(error.contains(&format!("no IPVS scheduler `{scheduler}`")), "{error}");
            assert_eq!(state(lab.node()), before);
            missing.push(scheduler);
        }
    }
    println!("this kernel lacks {missing:?}");
    // The youngest of them, which distributions have yet to discover.
    assert!(missing.is_empty() || missing == ["twos"], "{missing:?}");
}

// What it says

#[test]
fn status_tells_what_the_daemon_knows_and_without_one_what_the_kernel_has() {
    let lab = Lab::new();
    let node = lab.node();
    assert_eq!(
        say(node, &["status"]),
        "virtual server 10.103.97.2:6443: not in the kernel's table, no local route\n\
         no lvscare answers; this is what the kernel has\n"
    );
    let nothing: Status = serde_json::from_str(&say(node, &["status", "-o", "json"])).unwrap();
    assert!(nothing.daemon.is_none() && nothing.virtual_servers[0].real_servers.is_empty());

    let mut daemon = Daemon::judged(&lab, &[]);
    let text = say(node, &["status"]);
    let mut lines = text.lines();
    let headline = "virtual server 10.103.97.2:6443 (rr), local route with source 10.0.0.10";
    assert_eq!(lines.next(), Some(headline));
    assert!(lines.next().unwrap().starts_with("guarded by lvscare "), "{text}");
    // Unless the first probe through the virtual server has not ended yet.
    let asked = lines.next().filter(|line| line.starts_with("asked through itself "));
    assert!(asked.is_none_or(|line| line.contains(" ago: ok, ") && lines.next() == Some("")), "{text}");
    assert!(lines.next().unwrap().starts_with("REAL SERVER"), "{text}");
    for master in lab.masters() {
        let row: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!((row[0], row[1], row[3]), (&*master.address().to_string(), "alive", "1"), "{text}");
        assert_eq!(row.last(), Some(&"ok"), "{text}");
    }
    assert_eq!(lines.next(), None);

    let known: Status = serde_json::from_str(&say(node, &["status", "--output", "json"])).unwrap();
    assert!(known.daemon.is_some_and(|daemon| daemon.problems.is_empty() && daemon.repairs == 0));
    let [service] = &known.virtual_servers[..] else { panic!("one virtual server") };
    assert_eq!((service.scheduler.as_deref(), service.address.to_string()), (Some("rr"), VIP.to_owned()));
    for server in &service.real_servers {
        assert_eq!(server.health.as_ref().unwrap().condition, Some(Condition::Alive));
    }

    daemon.terminate();
    let text = say(node, &["status"]);
    let (head, servers) = text.split_once("\n\n").unwrap();
    assert_eq!(head, format!("{headline}\nno lvscare answers; this is what the kernel has"));
    for (master, line) in lab.masters().iter().zip(servers.lines().skip(1)) {
        let known: Vec<&str> = line.split_whitespace().filter(|word| *word != "-").collect();
        // The last column counts the probes through the virtual server itself.
        assert_eq!(known[..3], [&*master.address().to_string(), "1", "0"], "{text}");
    }
    let bare: Status = serde_json::from_str(&say(node, &["status", "-o", "json"])).unwrap();
    assert!(bare.daemon.is_none());
    assert_eq!(bare.virtual_servers[0].real_servers.len(), 3);
}

#[test]
fn the_endpoint_tells_alive_and_ready_apart() {
    let lab = Lab::new();
    // It will take two long probes to judge this one.
    lab.master(3).control().set(Behaviour::HangAccept);
    let mut daemon = Daemon::start(&lab, &["--health-timeout", "8s"]);
    let ask = |path| http(lab.node(), "GET", path);
    eventually(LIMIT, "an answer", || ask("/livez"));
    assert_eq!(ask("/livez").unwrap(), (200, "ok\n".into()));
    let waiting = Some((503, "10.0.0.3:6443 has no verdict yet\n".to_owned()));
    eventually(LIMIT, "only one server without a verdict", || (ask("/readyz") == waiting).then_some(()));
    let (code, body) = ask("/status").unwrap();
    assert_eq!(code, 200);
    assert_eq!(serde_json::from_str::<Status>(&body).unwrap().virtual_servers.len(), 1);

    daemon.wait_judged();
    assert_eq!(ask("/readyz").unwrap(), (200, "ok\n".into()));
    // Dead apiservers are no reason to restart lvscare.
    lab.masters().iter().for_each(Master::kill);
    eventually(LIMIT, "no virtual server", || table(lab.node(), VIP).is_none().then_some(()));
    assert_eq!(ask("/livez").unwrap(), (200, "ok\n".into()));
    assert_eq!(ask("/readyz").unwrap(), (200, "ok\n".into()));

    assert_eq!(http(lab.node(), "HEAD", "/livez").unwrap(), (200, String::new()));
    assert_eq!(http(lab.node(), "POST", "/livez").unwrap(), (405, "only GET\n".into()));
    assert_eq!(ask("/elsewhere").unwrap(), (404, "there are /metrics, /livez, /readyz and /status\n".into()));
}

#[test]
fn a_taken_address_does_not_keep_it_from_guarding() {
    let lab = Lab::new();
    let taken = lab.node().enter(|| TcpListener::bind(LISTEN)).unwrap();
    let daemon = Daemon::start(&lab, &[]);
    wait_table(lab.node(), VIP, &lab.addresses(), 1);
    eventually(LIMIT, "a complaint", || {
        daemon.log().contains(&format!("cannot serve on {LISTEN}")).then_some(())
    });
    lab.node().check(&["ipvsadm", "-C"]);
    wait_table(lab.node(), VIP, &lab.addresses(), 1);
    lab.master(2).kill();
    wait_table(lab.node(), VIP, &[lab.master(1).address(), lab.master(3).address()], 1);
    drop(taken);
    daemon.wait_condition(lab.master(2).address(), Condition::Dead);
}

#[test]
fn it_stays_small() {
    let lab = Lab::new();
    let reader = TableReader::open(lab.node());
    let began = Instant::now();
    let mut daemon = Daemon::start(&lab, &[]);
    reader.time(LIMIT, "three servers", |reader| {
        reader.weights(vip()).is_some_and(|servers| servers.len() == 3)
    });
    let usable = began.elapsed();
    daemon.wait_judged();
    let judged = began.elapsed();
    let load = lab.load(lab.node(), URL, 1, LIMIT);
    sleep(A_WHILE);
    load.stop();

    let status = fs::read_to_string(format!("/proc/{}/status", daemon.process().id())).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let (threads, memory) = (field("Threads:"), field("VmRSS:"));
    println!(
        "usable after {usable:?}, all judged after {judged:?}, {threads} thread(s), {memory} KiB resident"
    );
    assert_eq!(threads, 1);
    assert!(memory < 16 << 10, "{memory} KiB");
}

#[test]
fn the_command_line_of_older_lvscare_works() {
    let lab = Lab::new();
    let old =
        "--health-path /healthz --health-schem https --interval 5 --mode route --iface lvscare --logger DEBG";
    let daemon = Daemon::judged(&lab, &old.split(' ').collect::<Vec<_>>());
    wait_table(lab.node(), VIP, &lab.addresses(), 1);
    for flag in ["--mode", "--iface"] {
        assert!(
            daemon.log().contains(&format!("{flag} has no meaning any more and is ignored")),
            "{}",
            daemon.log()
        );
    }
    lab.master(1).kill();
    wait_table(lab.node(), VIP, &[lab.master(2).address(), lab.master(3).address()], 1);
}

// Start and stop

#[test]
fn a_signal_ends_it_soon_and_leaves_the_rules() {
    let lab = Lab::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::judged(&lab, &[]);
        let before = state(lab.node());
        let began = Instant::now();
        daemon.process().signal(signal);
        let status = daemon.process().wait(LIMIT);
        println!("{signal}: ended after {:?}", began.elapsed());
        assert_eq!(status.code(), Some(0), "{signal}: {}", daemon.log());
        assert!(
            daemon.log().trim_end().ends_with("stopping; route and rules stay in place, traffic goes on")
        );
        assert_eq!(state(lab.node()), before);
        assert_eq!(lab.get(lab.node(), URL, LIMIT).unwrap().status, 200);
    }
}

#[test]
fn a_first_start_adds_every_server_at_once() {
    let lab = Lab::new();
    // Nobody answers, and yet a join must not wait for a verdict.
    lab.masters().iter().for_each(|master| master.control().set(Behaviour::HangAccept));
    let reader = TableReader::open(lab.node());
    let daemon = Daemon::start(&lab, &["--health-timeout", "30s", "--connect-timeout", "30s"]);
    reader.time(LIMIT, "three servers", |reader| {
        lab.addresses().into_iter().all(|server| reader.weight(vip(), server) == Some(1))
    });
    let verdicts = daemon.status().map_or(0, |status| {
        let servers = status.virtual_servers.iter().flat_map(|service| &service.real_servers);
        servers
            .filter(|server| server.health.as_ref().is_some_and(|health| health.condition.is_some()))
            .count()
    });
    assert_eq!(verdicts, 0);
}

// IPv6

#[test]
fn ipv6_works_the_same_way() {
    let lab = Lab::new();
    let (node, servers) = (lab.node(), lab.masters().iter().map(Master::address6).collect::<Vec<_>>());
    let list = servers.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",");
    let once = ["care", "--run-once", "--vs", VIP6, "--rs", &list];
    let empty = state(node);

    let built = say(node, &once);
    assert!(built.contains("set route local fd00:103::2 dev lo src fd00:10::10\n"), "{built}");
    wait_table(node, VIP6, &servers, 1);
    assert_eq!(say(node, &once), "nothing to change; route and rules are in place\n");
    for place in [node, lab.pod()] {
        let answers: BTreeSet<String> = (0..3).map(|_| lab.get(place, URL6, LIMIT).unwrap().body).collect();
        assert_eq!(answers.len(), 3, "{place:?}: {answers:?}");
    }
    let source = node.enter(|| TcpStream::connect(VIP6).unwrap().local_addr().unwrap().ip());
    assert_eq!(source, NODE6);
    let cleaned = say(node, &["clean", "--vs", VIP6]);
    assert_eq!(cleaned, format!("remove virtual server {VIP6}\nremove route local fd00:103::2\n"));
    assert_eq!(state(node), empty);
    assert_eq!(say(node, &["clean", "--vs", VIP6]), "nothing to remove\n");

    let mut daemon = Daemon::start_for(&lab, VIP6, &servers, &[]);
    daemon.wait_judged();
    wait_table(node, VIP6, &servers, 1);
    lab.master(2).kill();
    wait_table(node, VIP6, &[servers[0], servers[2]], 1);
    daemon.wait_condition(servers[1], Condition::Dead);
    assert_ne!(lab.get(node, URL6, LIMIT).unwrap().body, "m2");
    node.check(&["ip", "-6", "route", "del", "local", "fd00:103::2", "table", "local"]);
    eventually(LIMIT, "the route repaired", || state(node).contains("fd00:103::2").then_some(()));
    lab.master(2).start();
    wait_table(node, VIP6, &servers, 1);
    lab.masters().iter().for_each(Master::kill);
    eventually(LIMIT, "no virtual server", || table(node, VIP6).is_none().then_some(()));
    let refused = lab.get(node, URL6, LIMIT).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

// Seen from outside

/// The rules and routes of a namespace, as the administrator's own tools show them.
fn state(place: &Namespace) -> String {
    let script = "set -e; ipvsadm -Sn; ip -d route show table all; ip -d -6 route show table all";
    let all = place.check(&["sh", "-c", script]);
    // What the kernel does for links and neighbours takes its time.
    all.lines()
        .filter(|line| !line.contains("fe80:") && !line.contains("ff00:"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What `lvscare` prints; it must succeed.
#[track_caller]
fn say(place: &Namespace, arguments: &[&str]) -> String {
    place.check(&[&["lvscare"], arguments].concat())
}

/// One blank between words: how programs align their tables is not what is tested.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Status and body of an answer of the daemon, if it answers.
fn http(place: &Namespace, method: &str, path: &str) -> Option<(u16, String)> {
    place.enter(|| {
        let mut stream = TcpStream::connect(LISTEN).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    })
}
