//! `lvscare drain`: a master taken out by hand, remembered, and brought back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::net::SocketAddr;
use std::process::Output;

use lvscare::health::pool::Mode;
use tests::daemon::{
    self, Daemon, LIMIT, QUICK, TableReader, answering, connection_to, names, vip, wait_all_serve,
};
use tests::lab::Lab;

/// A laboratory and the state directory of its daemon.
struct Place {
    lab: Lab,
    state: String,
}

impl Place {
    fn new() -> Self {
        let lab = Lab::new();
        let state = lab.directory().join("state").to_str().unwrap().to_owned();
        Self { lab, state }
    }

    fn daemon(&self) -> Daemon {
        Daemon::judged(&self.lab, &[&["--state-dir", &self.state][..], &QUICK].concat())
    }

    /// The address of master `number`.
    fn master(&self, number: usize) -> SocketAddr {
        self.lab.master(number).address()
    }

    fn lvscare(&self, words: &[&str]) -> Output {
        daemon::lvscare(self.lab.node(), &[words, &["--state-dir", &self.state]].concat())
    }

    /// Runs a command that must succeed, and returns what it said.
    #[track_caller]
    fn check(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.lvscare(words);
        assert!(status.success(), "{words:?}: {status}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// Runs one that must be refused, and returns why.
    #[track_caller]
    fn refused(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.lvscare(words);
        assert_eq!(status.code(), Some(2), "{words:?}: {}", String::from_utf8_lossy(&stdout));
        String::from_utf8(stderr).unwrap()
    }
}

#[test]
fn one_is_taken_out_and_comes_back() {
    let place = Place::new();
    let lab = &place.lab;
    let reader = TableReader::open(lab.node());
    let mut daemon = place.daemon();
    let m2 = place.master(2);
    let mut held = connection_to(lab, lab.node(), "m2");

    // The command returns when it is so.
    let said = place.check(&["drain", "10.0.0.2"]);
    assert!(said.starts_with("10.0.0.2:6443 is drained until `lvscare undrain 10.0.0.2:6443`\n"), "{said}");
    assert!(said.contains("gets no new connections from 10.103.97.2:6443"), "{said}");
    assert_eq!(reader.weight(vip(), m2), Some(0));
    assert_eq!(answering(lab, lab.node()), names(&["m1", "m3"]));
    assert_eq!(held.get("/", LIMIT).unwrap().body, "m2", "what is open may finish");

    let status = lab.node().check(&["lvscare", "status"]);
    assert!(status.contains("drained by an administrator") && status.contains("lvscare undrain"), "{status}");
    let drained = |server: &str| {
        format!("lvscare_real_server_drained{{real_server=\"{server}\",virtual_server=\"10.103.97.2:6443\"}}")
    };
    let metrics = daemon.metrics();
    for line in [drained("10.0.0.1:6443") + " 0", drained("10.0.0.2:6443") + " 1"] {
        assert!(metrics.contains(&line), "{line}:\n{metrics}");
    }

    // Twice is once.
    assert!(place.check(&["drain", "10.0.0.2:6443"]).contains("is drained already"));
    let why = place.refused(&["drain", "10.0.0.9"]);
    assert!(
        why.contains("no real server here; there are 10.0.0.1:6443, 10.0.0.2:6443, 10.0.0.3:6443"),
        "{why}"
    );

    // It ends with its last connection, and a restart does not bring it back.
    drop(held);
    reader.time(LIMIT, "m2 out", |reader| reader.weight(vip(), m2).is_none());
    daemon.terminate();
    let mut daemon = place.daemon();
    assert_eq!(answering(lab, lab.node()), names(&["m1", "m3"]));
    assert!(!daemon.log().contains("add real server 10.0.0.2:6443"), "{}", daemon.log());

    // The last one stays, unless somebody insists; and then it serves as long as nobody else can.
    place.check(&["drain", "10.0.0.1"]);
    let why = place.refused(&["drain", "10.0.0.3"]);
    assert!(why.contains("without a real server that is alive") && why.contains("--force"), "{why}");
    assert_eq!(answering(lab, lab.node()), names(&["m3"]));
    lab.master(3).kill();
    reader.time(LIMIT, "the drained ones serve", |reader| reader.only(vip(), &[place.master(1), m2]));
    daemon.wait_mode(Mode::Unready);
    assert_eq!(answering(lab, lab.node()), names(&["m1", "m2"]));
    lab.master(3).start();
    reader.time(LIMIT, "m3 alone", |reader| reader.only(vip(), &[place.master(3)]));
    let said = place.check(&["drain", "10.0.0.3", "--force"]);
    assert!(said.contains("10.0.0.3:6443 goes on serving"), "{said}");

    for master in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        let said = place.check(&["undrain", master]);
        assert!(said.contains("is not drained any more"), "{said}");
    }
    wait_all_serve(lab);
    assert!(place.check(&["undrain", "10.0.0.1"]).contains("is not drained; nothing to do"));
    let why = place.refused(&["undrain", "10.0.0.9"]);
    assert!(why.contains("no real server here"), "{why}");
    assert!(daemon.terminate().success());
}

#[test]
fn without_a_daemon_it_is_for_when_one_starts() {
    let place = Place::new();
    let lab = &place.lab;
    daemon::run_once(lab, &["--state-dir", &place.state]);
    let said = place.check(&["drain", "10.0.0.1"]);
    assert!(said.ends_with("no lvscare answers; it heeds this when it starts\n"), "{said}");
    let reader = TableReader::open(lab.node());
    assert_eq!(reader.weight(vip(), place.master(1)), Some(1));
    let _daemon = place.daemon();
    reader.time(LIMIT, "m1 out", |reader| reader.only(vip(), &[place.master(2), place.master(3)]));
    assert_eq!(answering(lab, lab.node()), names(&["m2", "m3"]));

    // One that looks elsewhere is told of.
    let elsewhere = lab.directory().join("elsewhere").to_str().unwrap().to_owned();
    let output = daemon::lvscare(lab.node(), &["drain", "10.0.0.2", "--state-dir", &elsewhere]);
    let why = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.contains("has not heeded") && why.contains("--state-dir"), "{why}");
}
