//! Masters that the daemon learns from the API through its own virtual server: they join, serve and leave; an answer
//! that is doubtful changes nothing; and a node that starts without the API knows whom it knew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvscare::discover::Source;
use lvscare::health::Condition;
use lvscare::status::Masters;
use nix::sys::signal::Signal;
use tests::daemon::{
    Daemon, QUICK, TableReader, TableRecorder, VIP, answering, connection_to, names, vip, wait_all_serve,
    wait_table,
};
use tests::lab::{Lab, Master};
use tests::masters::{kubeconfig, name};
use tests::wait::eventually;

/// The API is asked every half minute, and an answer has to be repeated before it takes a master away.
const LIMIT: Duration = Duration::from_secs(240);

/// A node for which one master is configured, and which learns the others.
struct Learner<'a> {
    lab: &'a Lab,
    kubeconfig: String,
    state: PathBuf,
    daemon: Option<Daemon>,
}

impl<'a> Learner<'a> {
    fn start(lab: &'a Lab) -> Self {
        let state = lab.directory().join("state");
        let mut learner = Self { lab, kubeconfig: kubeconfig(lab), state, daemon: None };
        learner.restart();
        learner
    }

    /// Ends the daemon, if there is one, in the worst way, and starts it again.
    fn restart(&mut self) {
        self.end();
        let state = self.state.display().to_string();
        let options = ["--kubeconfig", &self.kubeconfig, "--state-dir", &state];
        let configured = [self.lab.master(1).address()];
        self.daemon = Some(Daemon::start_for(self.lab, VIP, &configured, &[&QUICK[..], &options].concat()));
    }

    fn end(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.process().signal(Signal::SIGKILL);
            daemon.process().wait(LIMIT);
        }
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    fn file(&self) -> PathBuf {
        self.state.join("masters-10.103.97.2-6443.json")
    }

    fn masters(&self) -> Option<Masters> {
        self.daemon().status()?.virtual_servers.first()?.masters.clone()
    }

    #[track_caller]
    fn wait(&self, what: &str, wanted: impl Fn(&Masters) -> bool) -> Masters {
        eventually(LIMIT, what, || {
            let masters = self.masters()?;
            wanted(&masters).then_some(masters)
        })
    }

    #[track_caller]
    fn wait_problem(&self, part: &str) {
        self.wait(part, |masters| masters.problem.as_ref().is_some_and(|problem| problem.contains(part)));
        assert!(self.daemon().log().contains(part), "{part} is not in\n{}", self.daemon().log());
    }

    /// The servers that are known, in the table or not.
    fn known(&self) -> Vec<SocketAddr> {
        let status = eventually(LIMIT, "a status", || self.daemon().status());
        status.virtual_servers[0].real_servers.iter().map(|server| server.address).collect()
    }

    /// A sample of `/metrics` by its beginning.
    #[track_caller]
    fn metric(&self, beginning: &str) -> f64 {
        self.daemon().metric(beginning)
    }
}

/// How often the apiservers were asked anything but for their health.
fn asked(lab: &Lab) -> u64 {
    let running = lab.masters().iter().map(Master::control).filter(|control| control.answers());
    running.map(|control| control.stats().other).sum()
}

#[test]
fn masters_are_learned_serve_and_leave() {
    let lab = Lab::new();
    let all = lab.addresses();
    name(&lab, Some(&all));
    let learner = Learner::start(&lab);
    wait_all_serve(&lab);
    assert_eq!(answering(&lab, lab.node()), names(&["m1", "m2", "m3"]));
    let masters = learner.wait("an answer", |masters| masters.source == Source::Api);
    assert_eq!((masters.count, masters.problem), (3, None));
    assert!((learner.metric("lvscare_discovery_masters{") - 3.0).abs() < 0.1);
    assert!(learner.metric("lvscare_discovery_last_success_timestamp_seconds{") > 1e9);

    // A client is still with the one that is removed, and never idle for long.
    let leaving = lab.master(3).address();
    let mut connection = connection_to(&lab, lab.node(), "m3");
    name(&lab, Some(&all[..2]));
    let began = Instant::now();
    let reader = TableReader::open(lab.node());
    eventually(LIMIT, "the removed master drains", || {
        assert_eq!(connection.get("/", LIMIT).unwrap().body, "m3");
        sleep(Duration::from_millis(200));
        (reader.weight(vip(), leaving) == Some(0)).then_some(())
    });
    println!("removed by the API: weight 0 after {:?}", began.elapsed());
    assert_eq!(connection.get("/", LIMIT).unwrap().body, "m3");
    drop(connection);
    wait_table(lab.node(), VIP, &all[..2], 1);
    println!("and out after {:?}", began.elapsed());
    assert_eq!(answering(&lab, lab.node()), names(&["m1", "m2"]));
    eventually(LIMIT, "a status without it", || (learner.known() == all[..2]).then_some(()));
    let kept = fs::read_to_string(learner.file()).unwrap();
    assert!(kept.contains("10.0.0.2:6443") && !kept.contains("10.0.0.3:6443"), "{kept}");

    // And it comes back as it came.
    name(&lab, Some(&all));
    eventually(LIMIT, "its return", || reader.serves(vip(), leaving).then_some(()));
    learner.daemon().wait_condition(leaving, Condition::Alive);
}

#[test]
fn doubtful_answers_change_nothing() {
    let lab = Lab::new();
    let all = lab.addresses();
    name(&lab, Some(&all));
    let learner = Learner::start(&lab);
    wait_all_serve(&lab);
    let recorder = TableRecorder::start(lab.node(), vip());

    name(&lab, Some(&[]));
    learner.wait_problem("it names no apiserver that is ready");
    assert!(learner.metric(r#"lvscare_discovery_failures_total{reason="useless""#) >= 1.0);
    name(&lab, None);
    learner.wait_problem("answered 404 when asked for the masters");
    assert!(learner.metric(r#"lvscare_discovery_failures_total{reason="bad-status""#) >= 1.0);
    let answered = learner.metric("lvscare_discovery_last_success_timestamp_seconds{");

    // Masters that nobody can reach, in three answers one after the other; two are enough to be believed.
    let nobody: Vec<SocketAddr> =
        (7..=9).map(|number| SocketAddr::from(([10, 0, 0, number], 6443))).collect();
    name(&lab, Some(&nobody));
    let before = asked(&lab);
    learner.wait("another answer", |masters| masters.count == 6 && masters.problem.is_none());
    assert!(learner.metric("lvscare_discovery_last_success_timestamp_seconds{") > answered);
    for &server in &nobody {
        learner.daemon().wait_condition(server, Condition::Dead);
    }
    eventually(LIMIT, "three answers", || (asked(&lab) >= before + 3).then_some(()));
    assert_eq!(answering(&lab, lab.node()), names(&["m1", "m2", "m3"]));
    let frames = recorder.stop();
    let all_serve = |frame: &tests::daemon::Frame| {
        let table = frame.1.as_ref().unwrap();
        all.iter().all(|server| table.get(server) == Some(&1))
    };
    assert!(frames.iter().all(all_serve), "{frames:?}\n{}", learner.daemon().log());
}

#[test]
fn a_start_without_the_api_goes_on_from_what_was_learned() {
    let lab = Lab::new();
    let all = lab.addresses();
    name(&lab, Some(&all));
    let mut learner = Learner::start(&lab);
    wait_all_serve(&lab);
    eventually(LIMIT, "the list on disk", || learner.file().exists().then_some(()));
    let good = fs::read(learner.file()).unwrap();

    // The power comes back to the node before it comes back to the masters.
    learner.end();
    lab.masters().iter().for_each(Master::kill);
    learner.restart();
    let masters = learner.wait("the list of the disk", |masters| masters.problem.is_some());
    assert_eq!((masters.source, masters.count), (Source::Disk, 3));
    assert_eq!(learner.known(), all);
    assert!(learner.metric("lvscare_discovery_last_success_timestamp_seconds{").abs() < 0.1);
    // Not the configured one comes back, but one that was learned.
    lab.master(3).start();
    wait_table(lab.node(), VIP, &all[2..], 1);
    assert_eq!(answering(&lab, lab.node()), names(&["m3"]));

    // Now what was learned is lost as well.
    for damaged in [&good[..good.len() / 2], b"\0\0\0\0"] {
        learner.end();
        lab.masters().iter().for_each(Master::kill);
        fs::write(learner.file(), damaged).unwrap();
        learner.restart();
        let masters = learner.wait("the configured ones", |masters| masters.problem.is_some());
        assert_eq!((masters.source, masters.count), (Source::Configured, 1));
        assert!(learner.daemon().log().contains("masters-10.103.97.2-6443.json is ignored: "));
        // Whoever served before the restart goes on while no configured one is alive.
        let known = learner.known();
        assert!(known == all[..1] || known == [all[0], all[2]], "{known:?}");
    }
    lab.masters().iter().for_each(Master::start);
    name(&lab, Some(&all));
    wait_all_serve(&lab);
    learner.wait("an answer", |masters| masters.source == Source::Api && masters.problem.is_none());
    eventually(LIMIT, "the list written anew", || (fs::read(learner.file()).ok()? == good).then_some(()));
}
