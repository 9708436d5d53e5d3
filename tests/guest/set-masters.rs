//! `lvscare-installer node set-masters`: other masters, and no client notices.
//!
//! It works on this machine's own `/etc` and `/var`, so only ever in the guest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use tests::daemon::{
    Frame, LIMIT, TableRecorder, URL, VIP, answering, connection_to, names, table, vip, wait_table,
};
use tests::prepared::{Node, POD};
use tests::wait::eventually;

/// A prepared node that knows the first two masters.
fn prepared(options: &[&str]) -> Node {
    let node = Node::new();
    node.expect(0, &[&["node", "prepare", "--master", "10.0.0.1,10.0.0.2"], options].concat());
    node
}

fn set<'a>(masters: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    [&["node", "set-masters", "--master", masters], options].concat()
}

/// Who takes new connections in a frame.
fn serving((_, table): &Frame) -> Vec<SocketAddr> {
    let serving = table.iter().flatten().filter(|(_, weight)| **weight > 0);
    serving.map(|(&server, _)| server).collect()
}

#[test]
fn without_a_daemon_the_installer_adds_writes_and_drains() {
    let node = prepared(&["--lvscare-arg=--interval=5s", "--node-ip", "10.0.0.10", "--image", "lvscare:9"]);
    let [m1, m2, m3] = node.lab.addresses()[..] else { panic!("three masters") };
    let before = node.snapshot();
    let text = node.expect(10, &set("10.0.0.2,10.0.0.3", &["--dry-run", "--diff", "--detailed-exitcode"]));
    println!("{text}");
    let steps = [
        "add real server 10.0.0.3:6443",
        "change /etc/kubernetes/manifests/kube-lvscare.yaml",
        "weight 0",
        "remove real server 10.0.0.1:6443",
    ];
    let places: Vec<_> = steps.iter().map(|step| text.find(step).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
    node.assert_unchanged(&before);

    let mut connection = connection_to(&node.lab, node.lab.pod(), "m1");
    let load = node.lab.load(node.lab.node(), URL, 2, LIMIT);
    let recorder = TableRecorder::start(node.lab.node(), vip());
    let words = set("10.0.0.2,10.0.0.3", &[]);
    let mut run = node.lab.node().spawn(&[&["lvscare-installer"][..], &words].concat());
    eventually(LIMIT, "m1 drained", || (table(node.lab.node(), VIP)?.get(&m1) == Some(&0)).then_some(()));
    assert_eq!(connection.get("/", LIMIT).unwrap().body, "m1", "it may finish");
    drop(connection);
    assert!(run.wait(LIMIT).success(), "{}", run.log());
    let (report, recorder) = (load.stop(), recorder.stop());
    println!("{}\n{} requests, the longest gap {:?}", run.log(), report.samples.len(), report.longest_gap());
    assert!(report.failures().is_empty(), "{:?}", report.failures());
    assert!(recorder.iter().all(|frame| serving(frame).len() >= 2), "never fewer than before: {recorder:?}");
    wait_table(node.lab.node(), VIP, &[m2, m3], 1);

    // All else is as it was prepared.
    let pod = fs::read_to_string(POD).unwrap();
    for kept in
        ["--interval=5s", "--node-ip=10.0.0.10", "lvscare:9", "--rs=10.0.0.2:6443", "--rs=10.0.0.3:6443"]
    {
        assert!(pod.contains(kept), "{kept}: {pod}");
    }
    assert!(!pod.contains("--rs=10.0.0.1"), "{pod}");
    let after = node.snapshot();
    assert_eq!(node.expect(0, &set("10.0.0.2,10.0.0.3", &[])), "nothing to do; these are the masters\n");
    node.assert_unchanged(&after);
    node.expect(0, &["node", "undo"]);
}

#[test]
fn with_a_daemon_its_pod_is_told_and_takes_over() {
    let node = prepared(&[]);
    let [m1, m2, m3] = node.lab.addresses()[..] else { panic!("three masters") };
    let mut pod = node.start_pod();
    eventually(LIMIT, "the daemon", || node.expect(0, &["node", "status"]).contains("alive").then_some(()));
    let mut connection = connection_to(&node.lab, node.lab.pod(), "m1");
    let load = node.lab.load(node.lab.node(), URL, 2, LIMIT);
    let recorder = TableRecorder::start(node.lab.node(), vip());
    let old = fs::read_to_string(POD).unwrap();
    let words = [&["lvscare-installer"][..], &set("10.0.0.3", &[])].concat();
    let mut run = node.lab.node().spawn(&words);
    // As kubelet does when the manifest is another one.
    eventually(LIMIT, "the new manifest", || (fs::read_to_string(POD).ok()? != old).then_some(()));
    pod.signal(nix::sys::signal::Signal::SIGTERM);
    pod.wait(LIMIT);
    let pod = node.start_pod();
    eventually(LIMIT, "m1 drained", || (table(node.lab.node(), VIP)?.get(&m1) == Some(&0)).then_some(()));
    assert_eq!(connection.get("/", LIMIT).unwrap().body, "m1", "it may finish");
    assert_eq!(run.ended(), None, "m1 is not gone yet");
    drop(connection);
    assert!(run.wait(Duration::from_secs(60)).success(), "{}", run.log());
    let (report, recorder) = (load.stop(), recorder.stop());
    println!("{}\n{} requests, the longest gap {:?}", run.log(), report.samples.len(), report.longest_gap());
    assert!(report.failures().is_empty(), "{:?}", report.failures());
    assert!(recorder.iter().all(|frame| !serving(frame).is_empty()), "{recorder:?}");
    assert_eq!(answering(&node.lab, node.lab.node()), names(&["m3"]));
    assert_eq!(node.expect(0, &set("10.0.0.3", &[])), "nothing to do; these are the masters\n");

    // Without kubelet nobody starts the pod anew; that is said, and nothing else is done.
    let text = node.expect(12, &set("10.0.0.1-10.0.0.3", &["--wait", "1s"]));
    assert!(text.contains("is kubelet at work, and the image on this node?"), "{text}");
    wait_table(node.lab.node(), VIP, &[m3], 1);
    drop(pod);
    node.expect(0, &set("10.0.0.1-10.0.0.3", &[]));
    wait_table(node.lab.node(), VIP, &[m1, m2, m3], 1);
    node.expect(0, &["node", "undo"]);
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_changed() {
    let node = Node::new();
    let unprepared = node.snapshot();
    assert_eq!(
        node.expect(3, &set("10.0.0.1", &[])),
        "lvscare-installer: this node is not prepared; use `lvscare-installer node prepare`\n"
    );
    node.assert_unchanged(&unprepared);
    node.expect(0, &["node", "prepare", "--master", "10.0.0.1,10.0.0.2"]);
    let before = node.snapshot();
    node.lab.master(3).kill();
    assert_eq!(
        node.expect(7, &set("10.0.0.3", &[])),
        "lvscare-installer: no apiserver answers (10.0.0.3:6443: connection refused); nothing was changed; mend that \
         first\n"
    );
    node.assert_unchanged(&before);
    // One that does not answer is in the manifest, and in the table once it does.
    let text = node.expect(0, &set("10.0.0.1,10.0.0.3", &["--drain-timeout", "0s"]));
    assert!(text.starts_with("! 10.0.0.3:6443 does not answer and is left out until it does"), "{text}");
    wait_table(node.lab.node(), VIP, &node.lab.addresses()[..1], 1);
    node.expect(0, &set("10.0.0.1,10.0.0.2", &[]));
    node.assert_unchanged(&before);

    // A pod that somebody has changed by hand stays as it is.
    let pod =
        fs::read_to_string(POD).unwrap().replace("hostNetwork: true", "hostNetwork: true\n  hostPID: true");
    fs::write(POD, &pod).unwrap();
    let text = node.expect(13, &set("10.0.0.1", &[]));
    assert!(text.contains("hostPID"), "{text}");
    assert_eq!(fs::read_to_string(POD).unwrap(), pod);
    let text = node.expect(13, &["node", "undo"]);
    assert!(text.contains("somebody has changed what was written here") && text.contains(POD), "{text}");
    node.expect(0, &["node", "undo", "--force"]);
    node.assert_unchanged(&unprepared);

    // Of a node without the pod, the rules are changed alone.
    node.expect(0, &["node", "prepare", "--master", "10.0.0.1,10.0.0.2", "--skip", "pod"]);
    node.expect(0, &set("10.0.0.2", &["--drain-timeout", "0s"]));
    wait_table(node.lab.node(), VIP, &node.lab.addresses()[1..2], 1);
    node.expect(0, &["node", "undo"]);
    node.assert_unchanged(&unprepared);
}
