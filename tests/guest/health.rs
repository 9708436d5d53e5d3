//! Who serves while apiservers fail in every way there is, and how soon: section 3 of the design on a real kernel.
//!
//! `-- --nocapture` shows the measured times.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use lvscare::health::Condition;
use lvscare::health::pool::Mode;
use tests::apiserver::Behaviour;
use tests::care::{Care, Eye, Film, LIMIT, URL, VIP, wait_table};
use tests::client::Connection;
use tests::lab::{Lab, Master};
use tests::netns::Namespace;
use tests::pki::Pki;
use tests::wait::eventually;

/// For tests that need many probes, not those of the defaults.
const QUICK: [&str; 8] = [
    "--interval",
    "400ms",
    "--fast-interval",
    "100ms",
    "--connect-timeout",
    "500ms",
    "--health-timeout",
    "800ms",
];

fn vip() -> SocketAddr {
    VIP.parse().unwrap()
}

fn addresses(lab: &Lab) -> Vec<SocketAddr> {
    lab.masters().iter().map(Master::address).collect()
}

/// Everybody serves again.
#[track_caller]
fn wait_all_serve(lab: &Lab) {
    wait_table(lab.node(), VIP, &addresses(lab), 1);
}

fn serves(eye: &Eye, server: SocketAddr) -> bool {
    eye.weight(vip(), server).is_some_and(|weight| weight > 0)
}

/// How many servers take new connections.
fn serving(table: Option<&BTreeMap<SocketAddr, u32>>) -> usize {
    table.map_or(0, |servers| servers.values().filter(|weight| **weight > 0).count())
}

/// Who answers nine requests in a row, each over a connection of its own; none may fail.
#[track_caller]
fn answering(lab: &Lab, place: &Namespace) -> BTreeSet<String> {
    (0..9).map(|_| lab.get(place, URL, LIMIT).expect("no client sees a failure").body).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// A connection through the virtual server that has ended up at a certain master.
#[track_caller]
fn connection_to(lab: &Lab, place: &Namespace, name: &str) -> Connection {
    eventually(LIMIT, "a connection to a certain master", || {
        let mut connection = lab.connect(place, vip(), LIMIT).unwrap();
        (connection.get("/", LIMIT).unwrap().body == name).then_some(connection)
    })
}

#[track_caller]
fn wait_reason(care: &Care, server: SocketAddr, words: &[&str]) -> String {
    let what = format!("{server} bad because of {words:?}");
    eventually(LIMIT, &what, || {
        care.reason(server).filter(|reason| words.iter().any(|word| reason.contains(word)))
    })
}

#[track_caller]
fn wait_mode(care: &Care, mode: Mode) {
    eventually(LIMIT, &format!("mode {mode:?}"), || (care.mode() == Some(mode)).then_some(()));
}

/// A way to lose one server, and what is to become of it.
struct Loss {
    name: &'static str,
    strike: fn(&Master),
    mend: fn(&Master),
    condition: Condition,
    /// What `status` says, in one of these words.
    reason: &'static [&'static str],
}

fn healthy(master: &Master) {
    master.control().set(Behaviour::Healthy);
}

const LOSSES: [Loss; 9] = [
    Loss {
        name: "killed",
        strike: Master::kill,
        mend: Master::start,
        condition: Condition::Dead,
        reason: &["connection refused"],
    },
    Loss {
        name: "resets every connection",
        strike: |master| master.control().set(Behaviour::Reset),
        mend: healthy,
        condition: Condition::Dead,
        reason: &["connection reset"],
    },
    Loss {
        name: "junk instead of TLS",
        // Those that exist already would go on working.
        strike: |master| {
            let control = master.control();
            control.set(Behaviour::CloseAfter(Duration::ZERO));
            eventually(LIMIT, "no connection", || (control.stats().open == 0).then_some(()));
            control.set(Behaviour::TlsGarbage);
        },
        mend: healthy,
        condition: Condition::Dead,
        reason: &["TLS: "],
    },
    Loss {
        name: "/healthz answers 500",
        strike: |master| master.control().set(Behaviour::Healthz(500)),
        mend: healthy,
        condition: Condition::Sick,
        reason: &["unhealthy (HTTP 500)"],
    },
    Loss {
        name: "hangs when connected",
        strike: |master| master.control().set(Behaviour::HangAccept),
        mend: healthy,
        condition: Condition::Dead,
        reason: &["no TLS handshake in time"],
    },
    Loss {
        name: "hangs when asked",
        strike: |master| master.control().set(Behaviour::HangAnswer),
        mend: healthy,
        condition: Condition::Dead,
        reason: &["no answer in time"],
    },
    Loss {
        name: "answers byte by byte",
        strike: |master| master.control().set(Behaviour::SlowLoris),
        mend: healthy,
        condition: Condition::Dead,
        reason: &["no answer in time"],
    },
    Loss {
        name: "stopped (SIGSTOP)",
        strike: Master::sigstop,
        mend: Master::sigcont,
        condition: Condition::Dead,
        reason: &["no TLS handshake in time"],
    },
    Loss {
        name: "cable pulled",
        strike: Master::link_down,
        mend: Master::link_up,
        condition: Condition::Dead,
        // The latter as soon as the neighbour does not answer either.
        reason: &["no connection in time", "host unreachable"],
    },
];

#[test]
fn a_server_that_fails_leaves_and_comes_back_unnoticed() {
    let lab = Lab::new();
    let care = Care::judged(&lab, &[]);
    let eye = Eye::open(lab.node());
    let m2 = lab.master(2);
    let load = lab.load(lab.node(), URL, 3, Duration::from_secs(3));
    let mut outages = Vec::new();

    for Loss { name, strike, mend, condition, reason } in LOSSES {
        let began = Instant::now();
        strike(m2);
        eye.time(LIMIT, name, |eye| !serves(eye, m2.address()));
        let out = Instant::now();
        outages.push(began..=out);

        // A dead server is deleted at once, a sick one drained before.
        let left = eye.weight(vip(), m2.address());
        assert_eq!(left, (condition == Condition::Sick).then_some(0), "{name}");
        eye.time(LIMIT, name, |eye| eye.weight(vip(), m2.address()).is_none());
        wait_table(lab.node(), VIP, &[lab.master(1).address(), lab.master(3).address()], 1);
        care.wait_condition(m2.address(), condition);
        wait_reason(&care, m2.address(), reason);
        for place in [lab.node(), lab.pod()] {
            // Whose turn it is depends on the other clients, too.
            assert!(answering(&lab, place).is_subset(&names(&["m1", "m3"])), "{name}");
        }

        let mended = Instant::now();
        mend(m2);
        eye.time(LIMIT, name, |eye| serves(eye, m2.address()));
        let back = mended.elapsed();
        println!("{name:<24} out {:>5} ms, back {:>5} ms", (out - began).as_millis(), back.as_millis());
        wait_all_serve(&lab);
    }

    let report = load.stop();
    for failure in report.failures() {
        let explained = |outage: &std::ops::RangeInclusive<Instant>| {
            failure.began <= *outage.end() && failure.began + failure.took >= *outage.start()
        };
        assert!(outages.iter().any(explained), "{failure:?}\n{}", care.log());
    }
    println!("{} requests, {} failed", report.samples.len(), report.failures().len());
    assert!(report.samples.len() > 100, "{}", report.samples.len());
}

/// Two slow tests in one: both need more than a minute in the same laboratory.
#[test]
fn a_minute_of_closed_connections_and_a_closed_ear() {
    const CLOSING: Duration = Duration::from_secs(60);
    let lab = Lab::new();
    let care = Care::judged(&lab, &[]);
    let eye = Eye::open(lab.node());
    let (closing, normal, deaf) = (lab.master(1), lab.master(2), lab.master(3));

    closing.control().set(Behaviour::CloseAfter(Duration::from_secs(1)));
    deaf.control().set(Behaviour::Deaf);
    let began = Instant::now();
    let before = [closing, normal].map(|master| master.control().stats().healthz);

    // Its open connections work, the probe's among them, until that is renewed.
    let out = eye.time(Duration::from_secs(90), "a deaf server out", |eye| !serves(eye, deaf.address()));
    assert_eq!(eye.weight(vip(), deaf.address()), None);
    wait_reason(&care, deaf.address(), &["connection refused"]);
    deaf.control().set(Behaviour::Healthy);
    let back = eye.time(LIMIT, "a server that hears again", |eye| serves(eye, deaf.address()));
    println!("{:<24} out {:>5} ms, back {:>5} ms", "deaf", out.as_millis(), back.as_millis());

    // A connection that ends is a reason to look, not a failure, and not a reason to look all the time.
    thread::sleep(CLOSING.saturating_sub(began.elapsed()));
    let after = [closing, normal].map(|master| master.control().stats().healthz);
    let [closing_probes, normal_probes] = [after[0] - before[0], after[1] - before[1]];
    println!(
        "in {:.0?}: {closing_probes} probes of the server that closes, {normal_probes} of a normal one",
        began.elapsed()
    );
    assert!(closing_probes * 10 <= normal_probes * 22, "{closing_probes} against {normal_probes}");
    let log = care.log();
    let about = log.lines().filter(|line| line.contains(&closing.address().to_string()));
    let transitions: Vec<&str> = about.filter(|line| line.contains("real server is")).collect();
    assert_eq!(transitions, Vec::<&str>::new());
    let status = care.status().unwrap();
    let server = status.virtual_servers[0].real_servers.iter().find(|s| s.address == closing.address());
    let health = server.unwrap().health.clone().unwrap();
    assert_eq!(health.condition, Some(Condition::Alive));
    assert!(health.since_seconds > CLOSING.as_secs_f64(), "{health:?}");
}

#[test]
fn a_server_that_is_not_ready_finishes_what_it_has() {
    let lab = Lab::new();
    let care = Care::judged(&lab, &["--drain-timeout", "5s"]);
    let eye = Eye::open(lab.node());
    let m2 = lab.master(2);
    let mut old = connection_to(&lab, lab.node(), "m2");

    let stop = || {
        m2.control().set(Behaviour::Readyz(500));
        let out = eye.time(LIMIT, "draining", |eye| eye.weight(vip(), m2.address()) == Some(0));
        care.wait_condition(m2.address(), Condition::Draining);
        wait_reason(&care, m2.address(), &["not ready (HTTP 500)"]);
        out
    };
    let come_back = || {
        m2.control().set(Behaviour::Healthy);
        eye.time(LIMIT, "ready again", |eye| serves(eye, m2.address()))
    };

    // An open connection goes on, new ones go elsewhere, and its end is the end of the draining.
    let out = stop();
    let drained = Instant::now();
    while drained.elapsed() < Duration::from_secs(2) {
        assert_eq!(old.get("/", LIMIT).unwrap().body, "m2");
        assert_eq!(eye.weight(vip(), m2.address()), Some(0));
        thread::sleep(Duration::from_millis(100));
    }
    for place in [lab.node(), lab.pod()] {
        assert_eq!(answering(&lab, place), names(&["m1", "m3"]));
    }
    drop(old);
    let gone = eye.time(LIMIT, "gone", |eye| eye.weight(vip(), m2.address()).is_none());
    let back = come_back();
    println!(
        "{:<24} out {:>5} ms, back {:>5} ms, deleted {} ms after its last connection",
        "/readyz answers 500",
        out.as_millis(),
        back.as_millis(),
        gone.as_millis()
    );
    assert!(drained.elapsed() < Duration::from_secs(5) + LIMIT);

    // One that does not end is cut after the drain time.
    wait_all_serve(&lab);
    let mut old = connection_to(&lab, lab.node(), "m2");
    stop();
    let drained = Instant::now();
    let error = eventually(LIMIT, "the cut", || old.get("/", LIMIT).err());
    let took = drained.elapsed();
    println!("{:<24} cut after {} ms ({error})", "a connection that stays", took.as_millis());
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(eye.weight(vip(), m2.address()), None);
    come_back();
    wait_all_serve(&lab);
}

#[test]
fn answers_are_judged_by_their_status_alone() {
    let lab = Lab::new();
    let care = Care::judged(&lab, &[&QUICK[..], &["--health-status", "418"]].concat());
    let set = |behaviours: [Behaviour; 3]| {
        for (master, behaviour) in lab.masters().iter().zip(behaviours) {
            master.control().set(behaviour);
        }
    };
    let three_probes = || {
        let probes = |master: &Master| master.control().stats().healthz;
        let before: Vec<u64> = lab.masters().iter().map(probes).collect();
        eventually(LIMIT, "three more probes of each", || {
            lab.masters().iter().zip(&before).all(|(m, before)| probes(m) >= before + 3).then_some(())
        });
    };

    // A server that does not tell us, or tells us what we were told to accept.
    set([Behaviour::Both(401), Behaviour::Both(403), Behaviour::Readyz(404)]);
    three_probes();
    set([Behaviour::Healthz(401), Behaviour::Healthz(403), Behaviour::Healthz(418)]);
    three_probes();
    set([Behaviour::Readyz(401), Behaviour::Readyz(403), Behaviour::Healthy]);
    three_probes();
    assert!(!care.log().contains("real server is"), "{}", care.log());
    wait_all_serve(&lab);

    // A redirection is not followed, an endless answer not read.
    let [m1, m2] = [lab.master(1), lab.master(2)];
    let memory = care.memory("VmHWM");
    let asked_elsewhere = m1.control().stats().other;
    set([Behaviour::Redirect, Behaviour::HugeBody, Behaviour::Healthy]);
    wait_reason(&care, m1.address(), &["unhealthy (HTTP 302)"]);
    wait_reason(&care, m2.address(), &["more than 65536 bytes in the answer"]);
    care.wait_condition(m1.address(), Condition::Sick);
    care.wait_condition(m2.address(), Condition::Dead);
    wait_table(lab.node(), VIP, &[lab.master(3).address()], 1);
    three_probes();
    assert_eq!(m1.control().stats().other, asked_elsewhere);
    let grown = care.memory("VmHWM") - memory;
    println!("a gigabyte of answer: {grown} KiB more memory");
    assert!(grown < 4096, "{grown} KiB");
    assert_eq!(care.condition(lab.master(3).address()), Some(Condition::Alive));

    set([Behaviour::Healthy; 3]);
    wait_all_serve(&lab);
}

#[test]
fn a_slow_server_does_not_delay_the_verdict_on_another() {
    let lab = Lab::new();
    let care = Care::judged(&lab, &["--health-timeout", "6s"]);
    let eye = Eye::open(lab.node());
    let (slow, m2) = (lab.master(1), lab.master(2));
    let time_to_lose_m2 = || {
        let began = Instant::now();
        m2.kill();
        eye.time(LIMIT, "m2 out", |eye| !serves(eye, m2.address()));
        let took = began.elapsed();
        m2.start();
        wait_all_serve(&lab);
        took
    };
    let alone = time_to_lose_m2();
    slow.control().set(Behaviour::Delay(Duration::from_millis(1500)));
    // From now on some probe of it is under way most of the time.
    let asked = slow.control().stats().healthz;
    eventually(LIMIT, "a slow probe", || (slow.control().stats().healthz > asked).then_some(()));
    let beside = time_to_lose_m2();
    println!("a killed server is out after {alone:.0?} alone, {beside:.0?} beside a slow one");
    assert!(beside < Duration::from_secs(1), "{beside:?}");
    assert_eq!(care.condition(slow.address()), Some(Condition::Alive));
}

#[test]
fn when_every_server_is_certainly_dead_clients_are_refused_at_once() {
    let lab = Lab::new();
    let care = Care::judged(&lab, &[]);
    let eye = Eye::open(lab.node());

    lab.masters().iter().for_each(Master::kill);
    let took = eye.time(LIMIT, "no virtual server", |eye| eye.service(vip()).is_none());
    println!("all killed: virtual server deleted after {} ms", took.as_millis());
    for place in [lab.node(), lab.pod()] {
        let began = Instant::now();
        let error = lab.get(place, URL, LIMIT).unwrap_err();
        let refused = began.elapsed();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // With an empty virtual server it takes a second.
        assert!(refused < Duration::from_millis(500), "{refused:?}");
    }
    wait_mode(&care, Mode::Empty);
    let status = lab.node().check(&["lvscare", "status"]);
    assert!(status.contains("EVERY REAL SERVER IS DOWN: clients are refused at once"), "{status}");

    lab.master(3).start();
    let took = eye.time(LIMIT, "m3 back", |eye| serves(eye, lab.master(3).address()));
    println!("all killed, one returns: it serves after {} ms", took.as_millis());
    assert_eq!(answering(&lab, lab.node()), names(&["m3"]));
    wait_mode(&care, Mode::Normal);
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
    let care = Care::judged(&lab, &QUICK);
    let eye = Eye::open(lab.node());

    for Plague { name, strike, mend, mode, says } in PLAGUES {
        let film = Film::start(lab.node(), vip());
        let began = Instant::now();
        lab.masters().iter().for_each(strike);
        wait_mode(&care, mode);
        let noticed = began.elapsed();
        let status = lab.node().check(&["lvscare", "status"]);
        assert!(status.contains(says), "{name}: {status}");
        // Long enough for several probes of each.
        thread::sleep(Duration::from_secs(2));
        assert_eq!(care.mode(), Some(mode), "{name}");
        // They fell to one blow, so they stay together.
        let hopeful = if name.starts_with("one killed") { 2 } else { 3 };
        let table = eye.weights(vip());
        assert_eq!(serving(table.as_ref()), hopeful, "{name}: {table:?}\n{}", care.log());

        let mended = Instant::now();
        lab.masters().iter().for_each(mend);
        wait_mode(&care, Mode::Normal);
        wait_all_serve(&lab);
        let back = mended.elapsed();
        let frames = film.stop();
        let fewest = frames.iter().map(|(_, table)| serving(table.as_ref())).min().unwrap();
        println!("{name}: noticed after {noticed:.0?}, all back after {back:.0?}, never fewer than {fewest}");
        assert!(fewest > 0, "{name}: {frames:?}\n{}", care.log());
        assert_eq!(answering(&lab, lab.node()), names(&["m1", "m2", "m3"]), "{name}");
    }
}

#[test]
fn clients_of_a_vanished_server_are_freed() {
    let lab = Lab::new();
    let _care = Care::judged(&lab, &[]);
    let eye = Eye::open(lab.node());
    let m2 = lab.master(2);

    // One waits for news, as kubelet does. The kernel would leave it waiting.
    let mut waiting = connection_to(&lab, lab.node(), "m2");
    let waiting = thread::spawn(move || {
        waiting.limit(Duration::from_secs(60));
        let error = waiting.read(&mut [0]).expect_err("nothing was said");
        (Instant::now(), error.kind())
    });
    let mut in_pod = connection_to(&lab, lab.pod(), "m2");
    let mut elsewhere = connection_to(&lab, lab.node(), "m1");

    m2.link_down();
    let out = eye.time(LIMIT, "m2 out", |eye| !serves(eye, m2.address()));
    let removed = Instant::now();
    let (freed, kind) = waiting.join().unwrap();
    println!(
        "vanished: out {} ms, the node's idle client freed {} ms after ({kind:?})",
        out.as_millis(),
        freed.saturating_duration_since(removed).as_millis()
    );
    assert!(matches!(kind, ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset), "{kind:?}");
    assert!(freed < removed + Duration::from_secs(1), "{:?}", freed - removed);

    // One in a pod is out of reach; its next word is answered with a reset.
    let asked = Instant::now();
    let error = in_pod.get("/", LIMIT).unwrap_err();
    println!("vanished: a client in a pod is reset {} ms after it asks", asked.elapsed().as_millis());
    // The latter when the reset overtakes the rest of the request.
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");

    assert_eq!(elsewhere.get("/", LIMIT).unwrap().body, "m1", "other connections are left alone");
}

#[test]
fn certificates_are_verified_when_there_is_an_authority() {
    let lab = Lab::new();
    let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let mut care = Care::judged(&lab, &["--ca-file", &text(lab.pki.ca())]);
    for server in addresses(&lab) {
        assert_eq!(care.condition(server), Some(Condition::Alive));
    }
    assert!(!care.log().contains("not verified"), "{}", care.log());
    care.terminate();

    // With a stranger's authority nobody can be trusted, and nobody is proved dead.
    let directory = lab.directory().join("stranger");
    fs::create_dir(&directory).unwrap();
    let stranger = Pki::new(&directory).unwrap();
    let film = Film::start(lab.node(), vip());
    let care = Care::judged(&lab, &["--ca-file", &text(stranger.ca())]);
    for server in addresses(&lab) {
        care.wait_condition(server, Condition::Dead);
        wait_reason(&care, server, &["TLS: "]);
    }
    wait_mode(&care, Mode::LastResort);
    let status = lab.node().check(&["lvscare", "status"]);
    assert!(status.contains(UNHEALTHY), "{status}");
    let fewest = film.stop().iter().map(|(_, table)| serving(table.as_ref())).min().unwrap();
    println!("a stranger's authority: never fewer than {fewest} servers");
    assert!(fewest > 0, "{}", care.log());
    lab.get(lab.node(), URL, LIMIT).unwrap();
}

#[test]
fn a_node_that_was_cut_off_recovers_by_itself() {
    let lab = Lab::new();
    let care = Care::judged(&lab, &QUICK);
    let eye = Eye::open(lab.node());

    lab.net().ip("link set node down");
    wait_mode(&care, Mode::LastResort);
    // Long enough for the neighbours to be given up: silence then looks like "host unreachable", which says
    // nothing about the servers.
    thread::sleep(Duration::from_secs(5));
    assert_eq!(care.mode(), Some(Mode::LastResort), "{}", care.log());
    assert_eq!(serving(eye.weights(vip()).as_ref()), 3, "{}", care.log());

    lab.net().ip("link set node up");
    let mended = Instant::now();
    lab.get(lab.node(), URL, LIMIT).unwrap();
    println!("a node cut off for 5 s: served {} ms after", mended.elapsed().as_millis());
    wait_mode(&care, Mode::Normal);
    wait_all_serve(&lab);
    assert_eq!(answering(&lab, lab.node()), names(&["m1", "m2", "m3"]));
}
