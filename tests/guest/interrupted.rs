//! `lvscare-installer node`, killed before each call that changes something, and on a disk that is full at each write:
//! nothing is half-written, the next run finishes the job, and `undo` leads back from everywhere.
//!
//! strace does it to the program as it is: there is nothing in it for tests. Apiservers and checks are left out of
//! `prepare`: they change nothing and cost time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use lvscare::certificate;
use tests::daemon::LIMIT;
use tests::prepared::{HOSTS, Node, POD, STATE};
use tests::stub::{Kubeadm, TOKEN};
use tests::wait::eventually;

/// Before each call that changes something: files, directories, names, and rules over netlink.
const KILLED: (&str, &[&str]) =
    ("signal=KILL", &["write", "rename", "unlink", "mkdir", "rmdir", "sendto", "fsync"]);

/// At each call that takes space.
const FULL: (&str, &[&str]) = ("error=ENOSPC", &["write", "rename", "mkdir", "fsync"]);

/// So many runs in a row that came to no harm, and there are no more calls of a kind.
const ENOUGH: usize = 4;

const PREPARE: [&str; 6] = ["node", "prepare", "--master", "10.0.0.1-10.0.0.3", "--skip", "checks,reach"];
const UNDO: [&str; 2] = ["node", "undo"];

struct Ground {
    node: Node,
    before: BTreeMap<String, String>,
    prepared: BTreeMap<String, String>,
}

impl Ground {
    fn new() -> Self {
        let node = Node::new();
        let before = node.snapshot();
        node.expect(0, &PREPARE);
        let prepared = node.snapshot();
        node.expect(0, &UNDO);
        node.assert_unchanged(&before);
        Self { node, before, prepared }
    }

    /// Whatever happened, every file is the old one or the new one.
    #[track_caller]
    fn nothing_is_half_written(&self, point: usize) {
        let hosts = fs::read_to_string("/etc/hosts").unwrap();
        let whole = hosts == HOSTS || self.prepared["/etc/hosts"].ends_with(&hosts);
        assert!(whole, "{point}: {hosts}");
        let manifests = fs::read_dir("/etc/kubernetes/manifests").into_iter().flatten();
        for entry in manifests {
            let path = entry.unwrap().path();
            assert_eq!(path.to_str().unwrap(), POD, "{point}");
            let text = fs::read_to_string(&path).unwrap();
            assert!(self.prepared[POD].ends_with(&text) && !text.is_empty(), "{point}: {text}");
        }
    }
}

/// Runs the installer with something done to its `number`th call of this kind.
fn injected(node: &Node, words: &[&str], call: &str, harm: &str, number: usize) -> Output {
    let inject = format!("inject={call}:{harm}:when={number}");
    let trace = format!("trace={call}");
    let strace = ["/usr/bin/strace", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    node.lab.node().run(&[&strace[..], &["lvscare-installer"], words].concat())
}

/// Calls `begin`, then does `harm` to every one of `calls` in turn while `words` run; after each one `check` is called, which leads back to
/// how the node was. Returns how many there were.
fn everywhere(
    ground: &Ground,
    begin: impl Fn(&Node),
    words: &[&str],
    (harm, calls): (&str, &[&str]),
    mut check: impl FnMut(&Output, usize),
) -> usize {
    let mut points = 0;
    for call in calls {
        let mut unharmed = 0;
        for number in 1.. {
            begin(&ground.node);
            let output = injected(&ground.node, words, call, harm, number);
            if output.status.success() {
                ground.node.run(&UNDO);
                ground.node.assert_unchanged(&ground.before);
                // There was no such call any more, or it was one that may fail, such as telling of a step.
                unharmed += 1;
                if unharmed == ENOUGH {
                    break;
                }
                continue;
            }
            (points, unharmed) = (points + 1, 0);
            check(&output, points);
            ground.node.assert_unchanged(&ground.before);
        }
    }
    points
}

fn prepare(node: &Node) {
    node.expect(0, &PREPARE);
}

#[test]
fn killed_anywhere_in_set_masters() {
    // The first master goes; nobody uses it.
    const SET: [&str; 6] = ["node", "set-masters", "--master", "10.0.0.2-10.0.0.3", "--drain-timeout", "0s"];
    let ground = Ground::new();
    let old = &ground.prepared;
    prepare(&ground.node);
    ground.node.expect(0, &SET);
    let set = ground.node.snapshot();
    ground.node.expect(0, &UNDO);
    let points = everywhere(&ground, prepare, &SET, KILLED, |_, point| {
        // Each of both files was seen whole; there is always a master that serves.
        let text = fs::read_to_string(POD).unwrap();
        assert!(old[POD].ends_with(&text) || set[POD].ends_with(&text), "{text}");
        let table = tests::daemon::table(ground.node.lab.node(), tests::daemon::VIP).unwrap();
        assert!(table.values().filter(|weight| **weight > 0).count() >= 2, "{table:?}");
        if point % 2 == 0 {
            ground.node.expect(0, &SET);
            ground.node.assert_unchanged(&set);
        }
        ground.node.expect(0, &UNDO);
    });
    println!("killed at {points} places of set-masters");
    assert!(points > 10, "{points}");
}

#[test]
fn killed_anywhere_while_a_mounted_hosts_file_is_written() {
    const SET: [&str; 4] = ["hosts", "set", "apiserver.cluster.local", "10.103.97.2"];
    const UNSET: [&str; 3] = ["hosts", "unset", "apiserver.cluster.local"];
    let node = Node::new();
    fs::write("/run/hosts", HOSTS).unwrap();
    node.lab.node().check(&["mount", "--bind", "/run/hosts", "/etc/hosts"]);
    let before = node.snapshot();
    let mut points = 0;
    for call in KILLED.1 {
        let mut unharmed = 0;
        for number in 1.. {
            let output = injected(&node, &SET, call, KILLED.0, number);
            node.expect(0, &UNSET);
            node.assert_unchanged(&before);
            (points, unharmed) =
                if output.status.success() { (points, unharmed + 1) } else { (points + 1, 0) };
            if unharmed == ENOUGH {
                break;
            }
        }
    }
    node.lab.node().check(&["umount", "/etc/hosts"]);
    println!("killed at {points} places of a write in place");
    assert!(points > 5, "{points}");
}

#[test]
fn killed_anywhere_in_prepare() {
    let ground = Ground::new();
    let points = everywhere(
        &ground,
        |_| {},
        &PREPARE,
        KILLED,
        |_, point| {
            ground.nothing_is_half_written(point);
            // The job is finished, or taken back, whatever the administrator chooses.
            if point % 2 == 0 {
                ground.node.expect(0, &PREPARE);
                ground.node.assert_unchanged(&ground.prepared);
            }
            ground.node.expect(0, &UNDO);
        },
    );
    println!("killed at {points} places of prepare");
    assert!(points > 30, "{points}");
}

#[test]
fn killed_anywhere_in_undo() {
    let ground = Ground::new();
    let points = everywhere(&ground, prepare, &UNDO, KILLED, |_, point| {
        ground.nothing_is_half_written(point);
        ground.node.expect(0, &UNDO);
    });
    println!("killed at {points} places of undo");
    assert!(points > 30, "{points}");
}

/// What the stub of kubeadm leaves, and what a reset takes away.
fn reset(node: &Node) {
    let _ = fs::remove_file("/etc/kubernetes/kubelet.conf");
    let _ = fs::remove_dir_all("/etc/kubernetes/pki");
    node.expect(0, &UNDO);
    let _ = fs::remove_dir("/etc/kubernetes");
}

#[test]
fn killed_anywhere_in_join() {
    // The installer alone: what it has started goes on. `wait4` is where it waits for kubeadm.
    const CALLS: [&str; 4] = ["rename", "unlink", "sendto", "wait4"];
    let node = Node::new();
    let authority = node.lab.directory().join("ca.crt");
    let hash = certificate::pem_key_hash(&fs::read(&authority).unwrap()).unwrap();
    let kubeadm = Kubeadm::install(node.lab.directory(), &authority);
    fs::remove_dir_all("/etc/kubernetes").unwrap();
    let before = node.snapshot();
    let join = [&["lvscare-installer", "node", "join"], &PREPARE[2..], &["--token", TOKEN]].concat();
    let join = [&join[..], &["--discovery-token-ca-cert-hash", &hash, "--wait", "0s"]].concat();
    let run = |words: &[&str]| {
        let words = kubeadm.around("v1.34.1", "", words);
        node.lab.node().run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert!(run(&join).status.success());
    let joined = node.snapshot();
    assert!(joined.iter().all(|(path, what)| !path.starts_with(STATE) || !what.contains(TOKEN)));
    reset(&node);
    node.assert_unchanged(&before);
    let (mut points, mut unknown) = (0, 0);
    for call in CALLS {
        let mut unharmed = 0;
        for number in (1..).step_by(5) {
            let (trace, inject) =
                (format!("trace={call}"), format!("inject={call}:signal=KILL:when={number}"));
            let strace = ["/usr/bin/strace", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            if run(&[&strace[..], &join].concat()).status.success() {
                unharmed += 1;
            } else {
                (points, unharmed) = (points + 1, 0);
                // While kubeadm is at work nobody else may be.
                let again = eventually(LIMIT, "the end of kubeadm", || {
                    let again = run(&join);
                    (again.status.code() != Some(9)).then_some(again)
                });
                if !again.status.success() {
                    let said = String::from_utf8_lossy(&again.stderr);
                    assert!(said.contains("a join of this node was begun"), "{call} {number}: {said}");
                    unknown += 1;
                    reset(&node);
                    assert!(run(&join).status.success());
                }
            }
            node.assert_unchanged(&joined);
            reset(&node);
            node.assert_unchanged(&before);
            if unharmed == 2 {
                break;
            }
        }
    }
    println!("killed at {points} places of join, {unknown} of them while kubeadm joined or right after");
    assert!(points > 10 && unknown > 0, "{points} {unknown}");
}

#[test]
fn a_disk_that_is_full_at_any_write() {
    let ground = Ground::new();
    let points = everywhere(
        &ground,
        |_| {},
        &PREPARE,
        FULL,
        |output, point| {
            ground.nothing_is_half_written(point);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("lvscare-installer: cannot"), "{said}");
            ground.node.expect(0, &UNDO);
        },
    );
    println!("full at {points} places of prepare");
    assert!(points > 20, "{points}");
}
