//! `lvscare-installer node`: a node is prepared, runs, and is as it was after `undo`.
//!
//! It works on this machine's own `/etc` and `/var`, so only ever in the guest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use nix::fcntl::{Flock, FlockArg};
use tests::care::{LIMIT, VIP, answering, names, table, wait_table};
use tests::prepared::{HOSTS, Node, POD, STATE};
use tests::wait::eventually;

#[test]
fn a_node_is_prepared_and_as_it_was_after_undo() {
    let node = Node::new();
    let before = node.snapshot();

    let text = node.prepare(10, &["--dry-run", "--detailed-exitcode", "--diff"]);
    assert!(text.contains("add virtual server 10.103.97.2:6443"), "{text}");
    assert!(text.contains("+10.103.97.2 apiserver.cluster.local"), "{text}");
    node.is(&before);

    let text = node.prepare(0, &[]);
    println!("{text}");
    assert!(text.contains("the apiservers answer through 10.103.97.2:6443"), "{text}");
    wait_table(node.lab.node(), VIP, &node.lab.addresses(), 1);
    assert_eq!(answering(&node.lab, node.lab.node()), names(&["m1", "m2", "m3"]));
    assert_eq!(answering(&node.lab, node.lab.pod()), names(&["m1", "m2", "m3"]));
    assert_eq!(fs::metadata(POD).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir("/etc/kubernetes/manifests").unwrap().count(), 1);
    assert!(fs::read_to_string("/etc/hosts").unwrap().contains("10.103.97.2 apiserver.cluster.local"));

    let prepared = node.snapshot();
    let began = Instant::now();
    assert!(node.prepare(0, &[]).ends_with("nothing to do; this node is prepared\n"));
    println!("prepared again in {:.1?}", began.elapsed());
    node.prepare(0, &["--dry-run", "--detailed-exitcode"]);
    node.is(&prepared);

    println!("{}", node.expect(0, &["node", "status"]));
    println!("{}", node.expect(0, &["node", "undo", "--dry-run"]));
    node.is(&prepared);
    println!("{}", node.expect(0, &["node", "undo"]));
    node.is(&before);
    assert_eq!(node.expect(0, &["node", "undo"]), "nothing to undo; nothing was changed on this node\n");
}

#[test]
fn the_pod_takes_over_and_undo_waits_for_its_end() {
    let node = Node::new();
    let before = node.snapshot();
    node.prepare(0, &[]);
    let pod = node.start_pod();
    eventually(LIMIT, "the daemon", || node.expect(0, &["node", "status"]).contains("alive").then_some(()));
    node.lab.master(2).kill();
    wait_table(node.lab.node(), VIP, &[node.lab.addresses()[0], node.lab.addresses()[2]], 1);
    // The rules are the daemon's business now.
    let text = node.prepare(0, &[]);
    assert!(text.contains("10.0.0.2:6443 does not answer"), "{text}");
    assert_eq!(table(node.lab.node(), VIP).unwrap().len(), 2);

    // As kubelet does once the manifest is gone.
    let undo = node.lab.node().spawn(&["lvscare-installer", "node", "undo"]);
    eventually(LIMIT, "the end of the manifest", || (!Path::new(POD).exists()).then_some(()));
    drop(pod);
    let mut undo = undo;
    assert!(undo.wait(LIMIT).success(), "{}", undo.log());
    node.is(&before);
}

#[test]
fn a_dead_master_is_left_out_and_with_none_alive_nothing_is_done() {
    let node = Node::new();
    node.lab.master(3).kill();
    let text = node.prepare(0, &[]);
    assert!(text.contains("! 10.0.0.3:6443 does not answer"), "{text}");
    wait_table(node.lab.node(), VIP, &node.lab.addresses()[..2], 1);
    node.expect(0, &["node", "undo"]);

    let before = node.snapshot();
    for number in [1, 2] {
        node.lab.master(number).kill();
    }
    let text = node.prepare(7, &[]);
    assert!(
        text.contains("no apiserver answers") && text.contains("10.0.0.2:6443: connection refused"),
        "{text}"
    );
    node.is(&before);
    // For a node that is made ready before its masters are.
    node.prepare(0, &["--skip", "reach"]);
    wait_table(node.lab.node(), VIP, &node.lab.addresses(), 1);
    node.expect(0, &["node", "undo"]);
    node.is(&before);
}

#[test]
fn what_is_somebody_elses_is_refused_or_taken_over_and_given_back() {
    let node = Node::new();
    fs::write("/etc/hosts", "127.0.0.1 localhost\n10.0.0.7 apiserver.cluster.local other\n").unwrap();
    let rule = ["ipvsadm", "-A", "-t", VIP, "-s", "wrr"];
    node.lab.node().check(&rule);
    node.lab.node().check(&["ipvsadm", "-a", "-t", VIP, "-r", "10.9.9.9:6443", "-m", "-w", "7"]);
    let before = node.snapshot();
    let text = node.prepare(13, &[]);
    assert!(text.contains("10.9.9.9:6443") && text.contains("--force"), "{text}");
    node.is(&before);
    let text = node.prepare(13, &["--skip", "rules,reach"]);
    assert!(text.contains("10.0.0.7 apiserver.cluster.local other"), "{text}");
    node.is(&before);

    node.prepare(0, &["--force"]);
    wait_table(node.lab.node(), VIP, &node.lab.addresses(), 1);
    let hosts = fs::read_to_string("/etc/hosts").unwrap();
    assert!(hosts.contains("10.0.0.7 other"), "{hosts}");
    node.expect(0, &["node", "undo"]);
    node.is(&before);
}

#[test]
fn others_may_edit_the_hosts_file_meanwhile() {
    let node = Node::new();
    node.prepare(0, &[]);
    let hosts = fs::read_to_string("/etc/hosts").unwrap();
    fs::write("/etc/hosts", format!("10.0.0.8 mirror.example\n{hosts}")).unwrap();
    node.expect(0, &["node", "undo"]);
    assert_eq!(fs::read_to_string("/etc/hosts").unwrap(), format!("10.0.0.8 mirror.example\n{HOSTS}"));
}

#[test]
fn a_second_run_is_told_who_is_at_work() {
    let node = Node::new();
    fs::create_dir_all(STATE).unwrap();
    fs::write(format!("{STATE}/lock"), "process 4711, `lvscare-installer node prepare`").unwrap();
    let file = fs::File::open(format!("{STATE}/lock")).unwrap();
    let _held = Flock::lock(file, FlockArg::LockExclusive).unwrap();
    let text = node.prepare(9, &[]);
    assert!(text.contains("process 4711, `lvscare-installer node prepare`"), "{text}");
}

#[test]
fn bad_input_is_refused_before_anything_is_changed() {
    let node = Node::new();
    let before = node.snapshot();
    let prepare = ["node", "prepare"];
    let good = ["--master", "10.0.0.1"];
    let cases: [(i32, &[&str], &str); 11] = [
        (2, &[], "--master"),
        (2, &["--master", "192.168.0.300"], "192.168.0.300"),
        (2, &["--master", "10.0.0.9-10.0.0.2"], "10.0.0.9-10.0.0.2"),
        (2, &["--master", "10.0.0.1", "--master", "10.0.0.1"], "10.0.0.1"),
        (2, &["--master", "10.0.0.1:0"], "port 0"),
        (3, &["--vip", "127.0.0.1", "--master", "10.0.0.1"], "loopback"),
        (3, &["--vip", "10.0.0.77", "--master", "10.0.0.1"], "own subnet"),
        (3, &["--apiserver", "10.0.0.1", "--master", "10.0.0.1"], "10.0.0.1"),
        (2, &["--image", "lvscare:latest", "--master", "10.0.0.1"], "latest"),
        (2, &["--lvscare-arg=--fall=0", "--master", "10.0.0.1"], "fall"),
        (2, &["--skip", "nothing", "--master", "10.0.0.1"], "nothing"),
    ];
    for (exit, words, said) in cases {
        let text = node.expect(exit, &[&prepare[..], words].concat());
        assert!(text.contains(said), "{words:?}: {text}");
        println!("{words:?}\n  {}", text.trim_end());
    }
    let text = node.expect(8, &[&prepare[..], &good, &["--import", "/nowhere.tar"]].concat());
    assert!(text.contains("/nowhere.tar"), "{text}");
    node.is(&before);
}
