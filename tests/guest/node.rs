//! `lvscare-installer node`: a node is prepared, runs, and is as it was after `undo`.
//!
//! It works on this machine's own `/etc` and `/var`, so only ever in the guest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use nix::fcntl::{Flock, FlockArg};
use tests::daemon::{LIMIT, VIP, answering, names, table, wait_table};
use tests::prepared::{HOSTS, Node, POD, STATE};
use tests::wait::eventually;

#[test]
fn a_node_is_prepared_and_as_it_was_after_undo() {
    let node = Node::new();
    let before = node.snapshot();

    let text = node.prepare(10, &["--dry-run", "--detailed-exitcode", "--diff"]);
    assert!(text.contains("add virtual server 10.103.97.2:6443"), "{text}");
    assert!(text.contains("+10.103.97.2 apiserver.cluster.local"), "{text}");
    node.assert_unchanged(&before);

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
    for options in [&[][..], &["--skip", "checks"], &["--skip", "checks,reach"]] {
        let began = Instant::now();
        assert!(node.prepare(0, options).ends_with("nothing to do; this node is prepared\n"));
        println!("prepared again {options:?} in {:.1?}", began.elapsed());
    }
    node.prepare(0, &["--dry-run", "--detailed-exitcode"]);
    node.assert_unchanged(&prepared);

    println!("{}", node.expect(0, &["node", "status"]));
    println!("{}", node.expect(0, &["node", "undo", "--dry-run"]));
    node.assert_unchanged(&prepared);
    println!("{}", node.expect(0, &["node", "undo"]));
    node.assert_unchanged(&before);
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
    node.assert_unchanged(&before);
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
    node.assert_unchanged(&before);
    // For a node that is made ready before its masters are.
    node.prepare(0, &["--skip", "reach"]);
    wait_table(node.lab.node(), VIP, &node.lab.addresses(), 1);
    node.expect(0, &["node", "undo"]);
    node.assert_unchanged(&before);
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
    node.assert_unchanged(&before);
    let text = node.prepare(13, &["--skip", "rules,reach"]);
    assert!(text.contains("10.0.0.7 apiserver.cluster.local other"), "{text}");
    node.assert_unchanged(&before);

    node.prepare(0, &["--force"]);
    wait_table(node.lab.node(), VIP, &node.lab.addresses(), 1);
    let hosts = fs::read_to_string("/etc/hosts").unwrap();
    assert!(hosts.contains("10.0.0.7 other"), "{hosts}");
    node.expect(0, &["node", "undo"]);
    node.assert_unchanged(&before);
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
    fs::write("/etc/hosts", format!("10.0.0.1 m1\n{HOSTS}")).unwrap();
    let before = node.snapshot();
    // What is refused without a look at the node is in installer/tests/refusals.rs.
    for (exit, words, said) in [
        (
            3,
            ["--vip", "10.0.0.77", "--master", "10.0.0.1"],
            "--vip 10.0.0.77 lies in this node's own subnet 10.0.0.10/24, where the node would answer for it; choose an \
             address outside of every subnet",
        ),
        (
            3,
            ["--vip", "10.0.0.10", "--master", "10.0.0.1"],
            "--vip 10.0.0.10 is an address of an interface of this node; choose an unused one (an older lvscare in link \
             mode leaves it behind: `ip link delete lvscare`)",
        ),
        (
            3,
            ["--node-ip", "10.0.0.11", "--master", "10.0.0.1"],
            "--node-ip 10.0.0.11 is not an address of this node; it has 10.0.0.10, 10.244.0.1",
        ),
    ] {
        let text = node.expect(exit, &[&["node", "prepare"][..], &words].concat());
        assert_eq!(text, format!("lvscare-installer: {said}\n"));
        node.assert_unchanged(&before);
    }
    // The way back is never written over.
    fs::create_dir_all(STATE).unwrap();
    fs::write(format!("{STATE}/journal.json"), "{").unwrap();
    for words in [&["node", "prepare", "--master", "10.0.0.1"][..], &["node", "undo"], &["node", "status"]] {
        let text = node.expect(3, words);
        assert_eq!(
            text,
            format!(
                "lvscare-installer: cannot use {STATE}/journal.json: EOF while parsing an object at line 1 column 1; it is \
                 the only way back to how the node was: mend it, or move it away to give that up\n"
            )
        );
        assert_eq!(fs::read_to_string(format!("{STATE}/journal.json")).unwrap(), "{");
    }
    fs::remove_dir_all(STATE).unwrap();
    let text = node.expect(0, &["node", "prepare", "--dry-run", "--master", "m1"]);
    assert!(text.contains("add real server 10.0.0.1:6443"), "{text}");
    node.assert_unchanged(&before);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let node = Node::new();
    fs::create_dir_all("/etc/kubernetes/manifests").unwrap();
    fs::write("/etc/kubernetes/manifests/kube-vip.yaml", "  - image: ghcr.io/kube-vip/kube-vip:v0.8\n")
        .unwrap();
    fs::create_dir_all("/etc/cloud").unwrap();
    fs::write("/etc/cloud/cloud.cfg", "manage_etc_hosts: true\n").unwrap();
    fs::write("/etc/hosts", format!("10.0.0.7 apiserver.cluster.local\n{HOSTS}")).unwrap();
    node.lab.master(3).kill();
    let before = node.snapshot();
    let check = ["node", "check", "--master", "10.0.0.1-10.0.0.3", "--service-cidr", "10.96.0.0/22"];
    let text = node.expect(4, &check);
    println!("{text}");
    for found in [
        "error    container-runtime: no container runtime answers at",
        "error    hosts-entry: line 1 of /etc/hosts says what apiserver.cluster.local",
        "warning  foreign-manifest: /etc/kubernetes/manifests/kube-vip.yaml runs",
        "warning  cloud-init-hosts: cloud-init writes /etc/hosts anew at each boot",
        "warning  apiserver-unreachable: 10.0.0.3:6443 does not answer",
        "10.103.97.2:6443: 2 errors, 3 warnings, 2 notes; ",
    ] {
        assert!(text.contains(found), "{found}:\n{text}");
    }
    let report: serde_json::Value =
        serde_json::from_str(&node.expect(4, &[&check[..], &["-o", "json"]].concat())).unwrap();
    assert_eq!(
        (&report["healthy"], report["findings"][0]["severity"].as_str()),
        (&false.into(), Some("error"))
    );
    node.assert_unchanged(&before);

    // What is only a warning does not keep anybody from preparing the node.
    fs::write("/etc/hosts", HOSTS).unwrap();
    let text = node.prepare(0, &[]);
    assert!(text.contains("! foreign-manifest: ") && text.contains("! container-runtime: "), "{text}");
    node.expect(0, &["node", "undo"]);
    fs::remove_dir_all("/etc/cloud").unwrap();
}

#[test]
fn a_read_only_etc_is_named_and_nothing_is_done_by_half() {
    let node = Node::new();
    let before = node.snapshot();
    let host = node.lab.node();
    host.check(&["mount", "--bind", "/etc", "/etc"]);
    host.check(&["mount", "-o", "remount,bind,ro", "/etc"]);
    let refused = node.prepare(4, &[]);
    node.assert_unchanged(&before);
    assert_eq!(refused.matches("not-writable").count(), 1, "{refused}");
    // In spite of that: the rules are there, and the way back is known.
    let text = node.prepare(1, &["--skip", "checks"]);
    let table = table(host, VIP);
    let undone = node.run(&["node", "undo"]);
    host.check(&["umount", "/etc"]);
    println!("{refused}{text}");
    assert!(
        refused
            .contains("not-writable: /etc is on a file system that is mounted read-only\n    fix: findmnt"),
        "{refused}"
    );
    assert!(
        text.ends_with("make directory /etc/modules-load.d: Read-only file system (os error 30)\n"),
        "{text}"
    );
    assert_eq!(table.unwrap().len(), 3);
    assert!(undone.status.success(), "{undone:?}");
    node.assert_unchanged(&before);
}

#[test]
fn a_hosts_file_that_is_mounted_is_written_in_place() {
    let node = Node::new();
    fs::write("/run/hosts", HOSTS).unwrap();
    node.lab.node().check(&["mount", "--bind", "/run/hosts", "/etc/hosts"]);
    let before = node.snapshot();
    let text = node.prepare(0, &[]);
    let hosts = fs::read_to_string("/run/hosts").unwrap();
    node.expect(0, &["node", "undo"]);
    node.assert_unchanged(&before);
    node.lab.node().check(&["umount", "/etc/hosts"]);
    assert!(text.contains("! hosts-mounted: /etc/hosts is a mount of its own, as in a container"), "{text}");
    assert!(hosts.starts_with(HOSTS) && hosts.contains("10.103.97.2 apiserver.cluster.local"), "{hosts}");
}

#[test]
fn the_pod_alone_is_rendered_written_and_removed() {
    let node = Node::new();
    let before = node.snapshot();
    let masters = ["--master", "10.0.0.1-10.0.0.3"];
    let rendered = node.expect(0, &[&["pod", "render"][..], &masters].concat());
    node.assert_unchanged(&before);
    let write = [&["pod", "write"][..], &masters].concat();
    let text = node.expect(10, &[&write[..], &["--dry-run", "--detailed-exitcode"]].concat());
    assert!(text.contains("write /etc/kubernetes/manifests/kube-lvscare.yaml (mode 0600)"), "{text}");
    node.assert_unchanged(&before);
    node.expect(0, &write);
    assert_eq!(fs::read_to_string(POD).unwrap(), rendered);
    assert_eq!(table(node.lab.node(), VIP), None);
    assert_eq!(node.expect(0, &write), "nothing to do; the manifest is so already\n");
    assert_eq!(node.expect(0, &["pod", "remove"]), format!("  remove {POD}\n"));
    assert_eq!(node.expect(0, &["pod", "remove"]), "nothing to do; the manifest is so already\n");
    node.expect(0, &["node", "undo"]);
    node.assert_unchanged(&before);

    // One that somebody else has put there comes back.
    fs::create_dir_all("/etc/kubernetes/manifests").unwrap();
    fs::write(POD, &rendered).unwrap();
    let before = node.snapshot();
    node.expect(0, &["pod", "remove"]);
    assert!(!Path::new(POD).exists());
    node.expect(0, &["node", "undo"]);
    node.assert_unchanged(&before);
    fs::write(POD, "kind: Pod\n").unwrap();
    let text = node.expect(13, &["pod", "remove"]);
    assert!(text.contains("not as this installer writes it"), "{text}");
}
