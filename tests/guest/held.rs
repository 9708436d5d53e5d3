//! Clients that hold a connection to a server which is lost are free, and connected again, without waiting for the
//! kernel, which would tell an idle one nothing for minutes. How soon is a matter of the benchmark.
//!
//! `-- --nocapture` shows the measured times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::cell::Cell;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::thread;
use std::time::Instant;

use tests::daemon::{Daemon, LIMIT, TableReader, connection_to, vip, wait_all_serve};
use tests::kubelet::{Kubelet, Session};
use tests::lab::{Lab, Master};
use tests::netns::Namespace;

/// A way to lose a master.
struct Loss {
    name: &'static str,
    strike: fn(&Master),
    mend: fn(&Master),
}

/// Its clients hear nothing more: only we can tell them.
const VANISHED: Loss = Loss { name: "vanished", strike: Master::link_down, mend: Master::link_up };

/// Its kernel tells its clients, perhaps before we know.
const KILLED: Loss = Loss { name: "killed", strike: Master::kill, mend: Master::start };

/// What a loss meant to a client.
struct Lost {
    removed: Instant,
    spoke: Instant,
    again: Session,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [freed, connected] = [self.again.freed, self.again.connected]
            .map(|then| then.saturating_duration_since(self.removed).as_millis());
        write!(f, "free {freed} ms after the removal, connected again after {connected} ms")
    }
}

/// Loses the master to which a new client in `place` is connected; what the client does when that is out of the
/// table is up to `then`.
#[track_caller]
fn lose(lab: &Lab, place: &Namespace, loss: &Loss, then: fn(&Kubelet)) -> Lost {
    let reader = TableReader::open(lab.node());
    let kubelet = Kubelet::start(place, &lab.client, vip());
    let server = kubelet.session(LIMIT).server;
    let master = lab.masters().iter().find(|master| master.name() == server).unwrap();

    (loss.strike)(master);
    let removed = removal(&reader, master);
    let spoke = Instant::now();
    then(&kubelet);
    let again = kubelet.session(LIMIT);
    assert_ne!(again.server, server);

    (loss.mend)(master);
    wait_all_serve(lab);
    Lost { removed, spoke, again }
}

/// Waits until a server is out, and says when it was last seen: no time since then is measured too short.
#[track_caller]
fn removal(reader: &TableReader, master: &Master) -> Instant {
    let seen = Cell::new(Instant::now());
    reader.time(LIMIT, "a lost server out", |reader| {
        let now = Instant::now();
        let out = reader.weight(vip(), master.address()).is_none();
        if !out {
            seen.set(now);
        }
        out
    });
    seen.get()
}

#[test]
fn kubelet_is_connected_again_at_once() {
    let lab = Lab::new();
    let _daemon = Daemon::judged(&lab, &[]);
    for loss in [VANISHED, KILLED] {
        // It waits for news, and would wait for minutes.
        let lost = lose(&lab, lab.node(), &loss, |_| ());
        println!("kubelet of a {} server: {lost}", loss.name);
    }
}

#[test]
fn a_pod_is_free_once_it_speaks() {
    let lab = Lab::new();
    let _daemon = Daemon::judged(&lab, &[]);
    let lost = lose(&lab, lab.pod(), &VANISHED, Kubelet::speak);
    println!("pod of a {} server: {lost}", VANISHED.name);
    assert!(lost.again.freed >= lost.spoke, "its sockets are out of reach: {lost}");

    // The server's own kernel reaches everybody.
    let lost = lose(&lab, lab.pod(), &KILLED, |_| ());
    println!("pod of a {} server: {lost}", KILLED.name);
}

#[test]
fn clients_of_a_vanished_server_are_freed() {
    let lab = Lab::new();
    let _daemon = Daemon::judged(&lab, &[]);
    let reader = TableReader::open(lab.node());
    let m2 = lab.master(2);

    // One waits for news, as kubelet does. The kernel would leave it waiting.
    let mut waiting = connection_to(&lab, lab.node(), "m2");
    let waiting = thread::spawn(move || {
        waiting.limit(2 * LIMIT);
        let error = waiting.read(&mut [0]).expect_err("nothing was said");
        (Instant::now(), error.kind())
    });
    let mut in_pod = connection_to(&lab, lab.pod(), "m2");
    let mut elsewhere = connection_to(&lab, lab.node(), "m1");

    m2.link_down();
    let out = reader.time(LIMIT, "m2 out", |reader| reader.weight(vip(), m2.address()).is_none());
    let removed = Instant::now();
    let (freed, kind) = waiting.join().unwrap();
    println!(
        "vanished: out {} ms, the node's idle client freed {} ms after ({kind:?})",
        out.as_millis(),
        freed.saturating_duration_since(removed).as_millis()
    );
    assert!(matches!(kind, ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset), "{kind:?}");

    // One in a pod is out of reach; its next word is answered with a reset.
    let asked = Instant::now();
    let error = in_pod.get("/", LIMIT).unwrap_err();
    println!("vanished: a client in a pod is reset {} ms after it asks", asked.elapsed().as_millis());
    // The latter when the reset overtakes the rest of the request.
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");

    assert_eq!(elsewhere.get("/", LIMIT).unwrap().body, "m1", "other connections are left alone");
}
