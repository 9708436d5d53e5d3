//! `lvscare-installer node`, killed before each call that changes something, and on a disk that is full at each write:
//! nothing is half-written, the next run finishes the job, and `undo` leads back from everywhere.
//!
//! strace does it to the program as it is: there is nothing in it for tests. The apiservers are not asked, which
//! changes nothing and costs time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use tests::prepared::{HOSTS, Node, POD};

/// Before each call that changes something: files, directories, names, and rules over netlink.
const KILLED: (&str, &[&str]) =
    ("signal=KILL", &["write", "rename", "unlink", "mkdir", "rmdir", "sendto", "fsync"]);

/// At each call that takes space.
const FULL: (&str, &[&str]) = ("error=ENOSPC", &["write", "rename", "mkdir", "fsync"]);

/// So many runs in a row that came to no harm, and there are no more calls of a kind.
const ENOUGH: usize = 4;

const PREPARE: [&str; 6] = ["node", "prepare", "--master", "10.0.0.1-10.0.0.3", "--skip", "reach"];
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
        node.is(&before);
        Self { node, before, prepared }
    }

    /// Runs the installer with something done to its `number`th call of this kind.
    fn injected(&self, words: &[&str], call: &str, harm: &str, number: usize) -> Output {
        let inject = format!("inject={call}:{harm}:when={number}");
        let trace = format!("trace={call}");
        let strace = ["/usr/bin/strace", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        self.node.lab.node().run(&[&strace[..], &["lvscare-installer"], words].concat())
    }

    /// Whatever happened, every file is the old one or the new one.
    #[track_caller]
    fn nothing_is_half_written(&self, where_: &str) {
        let hosts = fs::read_to_string("/etc/hosts").unwrap();
        let whole = hosts == HOSTS || self.prepared["/etc/hosts"].ends_with(&hosts);
        assert!(whole, "{where_}: {hosts}");
        let manifests = fs::read_dir("/etc/kubernetes/manifests").into_iter().flatten();
        for entry in manifests {
            let path = entry.unwrap().path();
            assert_eq!(path.to_str().unwrap(), POD, "{where_}");
            let text = fs::read_to_string(&path).unwrap();
            assert!(self.prepared[POD].ends_with(&text) && !text.is_empty(), "{where_}: {text}");
        }
    }
}

/// Does `harm` to every one of `calls` in turn while `words` run; after each one `check` is called, which leads back to
/// how the node was. Returns how many there were.
fn everywhere(
    ground: &Ground,
    words: &[&str],
    (harm, calls): (&str, &[&str]),
    mut check: impl FnMut(&Output, usize),
) -> usize {
    let mut points = 0;
    for call in calls {
        let mut unharmed = 0;
        for number in 1.. {
            if words == UNDO {
                ground.node.expect(0, &PREPARE);
            }
            let output = ground.injected(words, call, harm, number);
            if output.status.success() {
                ground.node.run(&UNDO);
                ground.node.is(&ground.before);
                // There was no such call any more, or it was one that may fail, such as telling of a step.
                unharmed += 1;
                if unharmed == ENOUGH {
                    break;
                }
                continue;
            }
            (points, unharmed) = (points + 1, 0);
            ground.nothing_is_half_written(&format!("{call} {number} of {words:?}"));
            check(&output, points);
            ground.node.is(&ground.before);
        }
    }
    points
}

#[test]
fn killed_anywhere_in_prepare() {
    let ground = Ground::new();
    let points = everywhere(&ground, &PREPARE, KILLED, |_, point| {
        // The job is finished, or taken back, whatever the administrator chooses.
        if point % 2 == 0 {
            ground.node.expect(0, &PREPARE);
            ground.node.is(&ground.prepared);
        }
        ground.node.expect(0, &UNDO);
    });
    println!("killed at {points} places of prepare");
    assert!(points > 30, "{points}");
}

#[test]
fn killed_anywhere_in_undo() {
    let ground = Ground::new();
    let points = everywhere(&ground, &UNDO, KILLED, |_, _| {
        ground.node.expect(0, &UNDO);
    });
    println!("killed at {points} places of undo");
    assert!(points > 30, "{points}");
}

#[test]
fn a_disk_that_is_full_at_any_write() {
    let ground = Ground::new();
    let points = everywhere(&ground, &PREPARE, FULL, |output, _| {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("lvscare-installer: cannot"), "{said}");
        ground.node.expect(0, &UNDO);
    });
    println!("full at {points} places of prepare");
    assert!(points > 20, "{points}");
}
