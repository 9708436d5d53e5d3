//! The configuration file: followed however it is replaced, refused when it is wrong; and the commands around it.
//!
//! `-- --nocapture` shows the measured times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant, SystemTime};

use lvscare::status::Reloads;
use lvscare::status::Status;
use nix::sys::signal::Signal;
use tests::configuration::{ConfigFile, masters, virtual_server};
use tests::daemon::{Daemon, LIMIT, TableReader, URL, VIP, lvscare, table, vip, wait_table};
use tests::lab::Lab;
use tests::netns::Namespace;
use tests::wait::eventually;

/// A writer rests for less than the second that the file has to.
const PAUSE: Duration = Duration::from_millis(300);

/// As kubelet writes a `ConfigMap`: files are links through `..data`, which is a link to a directory.
struct Volume(PathBuf);

impl Volume {
    fn new(path: PathBuf, text: &str) -> Self {
        fs::create_dir(&path).unwrap();
        let volume = Self(path);
        volume.swap("..2026_1", text);
        symlink("..data/lvscare.yaml", volume.file()).unwrap();
        volume
    }

    fn file(&self) -> PathBuf {
        self.0.join("lvscare.yaml")
    }

    fn swap(&self, version: &str, text: &str) {
        let data = self.0.join("..data");
        let old = fs::read_link(&data).ok();
        fs::create_dir(self.0.join(version)).unwrap();
        fs::write(self.0.join(version).join("lvscare.yaml"), text).unwrap();
        symlink(version, self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), data).unwrap();
        if let Some(old) = old {
            fs::remove_dir_all(self.0.join(old)).unwrap();
        }
    }
}

/// Writes piece by piece; returns its longest rest, which is another one on a busy machine.
fn dribble(path: &Path, text: &str) -> Duration {
    let mut file = File::create(path).unwrap();
    let (first, rest) = text.split_at(text.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    let rests = [first, second, third].map(|piece| {
        let began = Instant::now();
        file.write_all(piece.as_bytes()).unwrap();
        sleep(PAUSE);
        began.elapsed()
    });
    rests.into_iter().max().unwrap()
}

/// Keeps a file from coming to rest until the result is dropped: what it says stays the same.
fn restless(path: &Path) -> Sender<()> {
    let (end, ended) = channel();
    let path = path.to_owned();
    spawn(move || {
        while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            File::open(&path).and_then(|file| file.set_modified(SystemTime::now())).unwrap();
        }
    });
    end
}

/// What `lvscare status` says of the configuration.
fn reloads(node: &Namespace) -> Reloads {
    let json = node.check(&["lvscare", "status", "-o", "json"]);
    serde_json::from_str::<Status>(&json).unwrap().daemon.unwrap().configuration
}

// Following

#[test]
fn the_file_is_followed_however_it_is_replaced() {
    let lab = Lab::new();
    let [m1, m2, m3] = lab.addresses()[..] else { panic!("three masters") };
    let volume = Volume::new(lab.directory().join("volume"), &masters(&[m1, m2, m3]));
    let path = volume.file();
    let file = ConfigFile::at(&path);
    let daemon = Daemon::following(&lab, &file, &["--log", "info,lvscare::checker=debug"]);
    let reader = TableReader::open(lab.node());
    assert!(reader.only(vip(), &[m1, m2, m3]));
    let first = reloads(lab.node());
    assert_eq!(first, Reloads { generation: 1, hash: first.hash.clone(), failures: 0, problem: None });

    let load = lab.load(lab.node(), URL, 1, LIMIT);
    // Whoever writes in pieces has rested for so long that it was right to read what was there.
    let interrupted = Cell::new(false);
    let follows = |how: &str, generation: u64, servers: &[SocketAddr], change: &dyn Fn(&str)| {
        change(&masters(servers));
        let began = Instant::now();
        let now = daemon.wait_reloads(how, |now| now.generation == generation);
        let in_force = began.elapsed();
        // Who comes back is judged first.
        reader.time(LIMIT, how, |reader| reader.only(vip(), servers));
        let right = began.elapsed().as_millis();
        println!("{how:<17} in force after {:>5} ms, all serve after {right:>5} ms", in_force.as_millis());
        assert!(now.failures == 0 || interrupted.get(), "{how}: {now:?}");
        assert_eq!(now.problem.as_deref(), None, "{how}");
        now.hash
    };
    let two = follows("a swapped volume", 2, &[m1, m2], &|text| volume.swap("..2026_2", text));
    let all = follows("swapped once more", 3, &[m1, m2, m3], &|text| volume.swap("..2026_3", text));
    let same = follows("renamed over", 4, &[m1, m2], &|text| file.replace(text));
    assert_eq!((all, same), (first.hash, two.clone()), "equal configurations have equal names");
    let pieces = follows("written in pieces", 5, &[m2, m3], &|text| {
        interrupted.set(dribble(&path, text) >= Duration::from_millis(900));
    });
    assert_ne!(pieces, two);
    follows("written in place", 6, &[m1, m2, m3], &|text| file.write(text));

    let report = load.stop();
    assert!(report.failures().is_empty(), "{:?}", report.failures());
    assert_eq!(report.answered_by().len(), 3);
    assert_eq!(reloads(lab.node()).generation, 6);
}

#[test]
fn what_is_not_valid_is_refused_and_the_old_state_stays() {
    let lab = Lab::new();
    let whole = masters(&lab.addresses());
    let file = ConfigFile::new(&lab, &whole);
    let daemon = Daemon::following(&lab, &file, &[]);
    let before = table(lab.node(), VIP);
    let hash = reloads(lab.node()).hash;
    let load = lab.load(lab.node(), URL, 1, LIMIT);

    let half = &whole[..whole.len() - 5];
    let wrongs: [(&str, &dyn Fn(), &str); 5] = [
        ("left half-written", &|| file.write(half), "line 3"),
        ("empty", &|| file.replace(""), "it is empty"),
        ("misspelt", &|| file.replace(&format!("{whole}healht: {{}}\n")), "did you mean `health`?"),
        (
            "impossible on this node",
            &|| file.replace(&whole.replace(VIP, "10.0.0.99:6443")),
            "lies in this node's own subnet",
        ),
        ("deleted", &|| fs::remove_file(file.path()).unwrap(), "No such file"),
    ];
    for (failures, (what, change, why)) in (1..).zip(wrongs) {
        change();
        let now = daemon.wait_reloads(what, |now| now.failures == failures);
        assert_eq!((now.generation, &now.hash), (1, &hash), "{what}");
        assert!(now.problem.as_ref().is_some_and(|problem| problem.contains(why)), "{what}: {now:?}");
        let text = lab.node().check(&["lvscare", "status"]);
        assert!(text.contains("problem: the new configuration is refused: "), "{what}: {text}");
        assert!(text.contains(why), "{what}: {text}");
        let log = daemon.log();
        let refusal = |line: &&str| line.contains("is refused, the old one stays in force");
        assert!(log.lines().rfind(refusal).is_some_and(|line| line.contains(why)), "{what}: {log}");
        assert_eq!(table(lab.node(), VIP), before, "{what}");
    }

    // Restored as it was: nothing is new, and nothing is wrong any more.
    file.replace(&whole);
    let now = daemon.wait_reloads("restored", |now| now.problem.is_none());
    assert_eq!(now, Reloads { generation: 1, hash, failures: 5, problem: None });
    assert!(!lab.node().check(&["lvscare", "status"]).contains("problem"));
    file.replace(&masters(&lab.addresses()[..2]));
    daemon.wait_reloads("followed again", |now| now.generation == 2);

    let report = load.stop();
    assert!(report.failures().is_empty(), "{:?}", report.failures());
    // Neither did anything happen to the table that had to be repaired.
    assert_eq!(daemon.repairs(), Some(0));
}

#[test]
fn a_signal_has_it_read_at_once() {
    let lab = Lab::new();
    let file = ConfigFile::new(&lab, &masters(&lab.addresses()));
    let mut daemon = Daemon::following(&lab, &file, &[]);
    let reader = TableReader::open(lab.node());

    // Without a change it does nothing.
    let before = daemon.reloads().unwrap();
    daemon.process().signal(Signal::SIGHUP);
    eventually(LIMIT, "read again", || daemon.log().contains("it says the same").then_some(()));
    assert_eq!(daemon.reloads().unwrap(), before);

    // Without a signal nobody would read it now.
    let _restless = restless(Path::new(file.path()));
    for round in 1..=3 {
        let servers = &lab.addresses()[..=round % 2];
        file.replace(&masters(servers));
        daemon.process().signal(Signal::SIGHUP);
        let took = reader.time(LIMIT, "read again", |reader| reader.only(vip(), servers));
        println!("a signal has it read after {} ms", took.as_millis());
    }
}

#[test]
fn flags_go_before_the_file() {
    let lab = Lab::new();
    let [m1, m2, m3] = lab.addresses()[..] else { panic!("three masters") };
    let other = "10.103.97.3:6443";
    let file = ConfigFile::new(&lab, &(masters(&[m1, m3]) + &virtual_server(other, &[m1])));
    let flags = ["--vs", VIP, "--rs", &m2.to_string(), "--drain-timeout", "7s"];
    let daemon = Daemon::following(&lab, &file, &flags);
    wait_table(lab.node(), VIP, &[m2], 1);
    wait_table(lab.node(), other, &[m1], 1);

    file.replace(&(masters(&[m1, m2, m3]) + "guard: {drainTimeout: 20s}\n"));
    eventually(LIMIT, "the other one removed", || table(lab.node(), other).is_none().then_some(()));
    wait_table(lab.node(), VIP, &[m2], 1);
    let printed = [&["lvscare", "config", "print", "--config", file.path()], &flags[..]].concat();
    assert!(lab.node().check(&printed).contains("drainTimeout: 7s"));
    drop(daemon);
}

// Commands

#[test]
fn a_configuration_can_be_checked_printed_and_described() {
    let lab = Lab::new();
    let node = lab.node();
    let file = ConfigFile::new(&lab, &(masters(&lab.addresses()) + "health: {interval: 3s}\n"));
    let config = |words: &[&str]| lvscare(node, &[&["config"], words].concat());
    let check = |file: &ConfigFile| {
        let output = config(&["check", "--config", file.path()]);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };
    let valid = "the configuration is valid: virtual servers: 1, real servers: 3\n";
    assert_eq!(check(&file), (Some(0), valid.to_owned()));
    let (code, why) = check(&ConfigFile::at(Path::new("/nowhere.yaml")));
    assert_eq!((code, why.lines().count()), (Some(2), 1), "{why}");
    assert!(why.starts_with("lvscare: /nowhere.yaml: No such file"), "{why}");
    let wrong = ConfigFile::at(&lab.directory().join("wrong.yaml"));
    wrong.write(&masters(&lab.addresses()).replace("10.0.0.2", "10.0.0.256"));
    let (code, why) = check(&wrong);
    assert_eq!(code, Some(2));
    assert!(why.contains("wrong.yaml: virtualServers[0].realServers[1]"), "{why}");

    // What is printed says all, can be read back, and means the same.
    let print = |file: &ConfigFile| node.check(&["lvscare", "config", "print", "--config", file.path()]);
    let text = print(&file);
    assert!(text.contains("interval: 3s") && text.contains("path: /healthz"), "{text}");
    let printed = ConfigFile::at(&lab.directory().join("printed.yaml"));
    printed.write(&text);
    assert_eq!(print(&printed), text);
    let built = node.check(&["lvscare", "care", "--run-once", "--config", file.path()]);
    assert!(built.starts_with(&format!("add virtual server {VIP} scheduler rr\n")), "{built}");
    let again = node.check(&["lvscare", "care", "--run-once", "--config", printed.path()]);
    assert_eq!(again, "nothing to change; route and rules are in place\n");

    let schema = config(&["schema"]).stdout;
    let schema: serde_json::Value = serde_json::from_slice(&schema).unwrap();
    assert!(schema["properties"]["virtualServers"].is_object(), "{schema}");
}

#[test]
fn clean_removes_all_of_a_file() {
    let lab = Lab::new();
    let state = || lab.node().check(&["sh", "-c", "ipvsadm -Sn; ip route show table local"]);
    let foreign = "10.200.0.1:80";
    lab.node().check(&["ipvsadm", "-A", "-t", foreign, "-s", "rr"]);
    let before = state();
    let two = masters(&lab.addresses()) + &virtual_server("10.103.97.3:5000", &lab.addresses());
    let file = ConfigFile::new(&lab, &two);
    lab.node().check(&["lvscare", "care", "--run-once", "--config", file.path()]);
    assert_ne!(state(), before);
    let said = lab.node().check(&["lvscare", "clean", "--config", file.path()]);
    assert_eq!(said.lines().count(), 4, "{said}");
    assert_eq!(state(), before);
    assert_eq!(lab.node().check(&["lvscare", "clean", "--config", file.path()]), "nothing to remove\n");
}
