//! Who else is, or was, at work on this node: another lvscare, one that is gone, an administrator.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::collections::BTreeMap;
use std::process::Output;

use tests::daemon::{Daemon, LIMIT, URL, VIP, lvscare, run_once, table, wait_all_serve, wait_table};
use tests::lab::Lab;
use tests::wait::eventually;

/// An image registry, say.
const OTHER: &str = "10.103.97.3:5000";

/// What a command said, in whatever way, and its exit code.
fn said(output: &Output) -> (Option<i32>, String) {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output.status.code(), out + &err)
}

fn say(lab: &Lab, words: &[&str]) -> (Option<i32>, String) {
    said(&lvscare(lab.node(), words))
}

/// The severity of each finding of `lvscare doctor` by its name, and all of its text.
fn findings(lab: &Lab) -> (BTreeMap<String, String>, String) {
    let (_, text) = say(lab, &["doctor", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let name = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (findings.map(|finding| (name(&finding["id"]), name(&finding["severity"]))).collect(), text)
}

// Two daemons

/// A service and a static pod, say: with the same list or another one, the second stays away and says why.
#[test]
fn a_second_daemon_of_one_address_is_refused() {
    let lab = Lab::new();
    let first = Daemon::judged(&lab, &[]);
    let one = [lab.master(1).address()];
    for servers in [&lab.addresses()[..], &one] {
        let mut second = Daemon::start_for(&lab, VIP, servers, &[]);
        assert_eq!(second.process().wait(3 * LIMIT).code(), Some(9), "{}", second.log());
        let log = second.log();
        assert!(log.contains("another lvscare (process "), "{log}");
        assert!(log.contains("guards 10.103.97.2:6443 as well; two would undo each other's work"), "{log}");
        assert!(log.contains("--force"), "{log}");
    }
    wait_all_serve(&lab);
    assert_eq!(first.repairs(), Some(0), "{}", first.log());
}

/// A pod that is replaced may begin before its predecessor has ended.
#[test]
fn a_successor_waits_for_its_predecessor() {
    let lab = Lab::new();
    let mut first = Daemon::judged(&lab, &[]);
    let mut second = Daemon::start(&lab, &[]);
    eventually(LIMIT, "that it waits", || second.log().contains("for it to end").then_some(()));
    first.terminate();
    second.wait_judged();
    assert_eq!(lab.get(lab.node(), URL, LIMIT).unwrap().status, 200);
}

#[test]
fn a_second_daemon_that_is_told_to_works_and_says_so() {
    let lab = Lab::new();
    let first = Daemon::judged(&lab, &[]);
    let forced = Daemon::start(&lab, &["--force"]);
    eventually(LIMIT, "a warning", || {
        forced.log().contains("as well; each will undo what the other does").then_some(())
    });
    // Nor can one that listens elsewhere be missed where processes can be seen.
    let elsewhere = Daemon::start(&lab, &["--listen", "127.0.0.1:10262"]);
    eventually(LIMIT, "a warning", || elsewhere.log().contains("so stop one of them").then_some(()));
    let (findings, text) = findings(&lab);
    assert_eq!(findings.get("another-guard").map(String::as_str), Some("warning"), "{text}");
    wait_all_serve(&lab);
    drop((first, forced, elsewhere));
}

#[test]
fn commands_do_not_work_against_a_daemon() {
    let lab = Lab::new();
    let mut daemon = Daemon::judged(&lab, &[]);
    let other = ["care", "--run-once", "--rs", "10.0.0.1:6443"];
    for words in [&["clean"][..], &["clean", "--all"], &["care", "--clean"], &other] {
        let (code, text) = say(&lab, words);
        assert_eq!(code, Some(9), "{words:?}: {text}");
        assert!(text.contains("lvscare (process ") && text.contains("guards 10.103.97.2:6443"), "{text}");
        assert!(text.contains("stop it first, or go on all the same with --force"), "{text}");
    }
    wait_all_serve(&lab);
    // It has nothing against what is so anyway, or concerns somebody else.
    assert_eq!(run_once(&lab, &[]), "nothing to change; route and rules are in place\n");
    assert_eq!(say(&lab, &["clean", "--vs", OTHER]), (Some(0), "nothing to remove\n".into()));

    let (code, text) = say(&lab, &["clean", "--force"]);
    assert!(code == Some(0) && text.contains("remove virtual server 10.103.97.2:6443"), "{text}");
    wait_all_serve(&lab);
    daemon.terminate();
    let (code, text) = say(&lab, &["clean"]);
    assert!(code == Some(0) && text.contains("remove route local 10.103.97.2"), "{text}");
}

// One that is gone

#[test]
fn what_is_forgotten_is_found_and_removed() {
    let lab = Lab::new();
    let node = lab.node();
    let nothing = (Some(0), "nothing on this node was made by lvscare\n".to_owned());
    assert_eq!(say(&lab, &["status", "--all"]), nothing);
    let foreign = "ipvsadm -A -t 10.200.0.1:80 -s rr; ip route add local 10.200.0.1/32 dev lo table local";
    node.check(&["sh", "-c", foreign]);
    let state = || node.check(&["sh", "-c", "ipvsadm -Sn; ip route show table local"]);
    let before = state();
    assert_eq!(say(&lab, &["status", "--all"]), nothing);

    run_once(&lab, &[]);
    assert_eq!(say(&lab, &["care", "--run-once", "--vs", OTHER, "--rs", "10.0.0.1:5000"]).0, Some(0));
    let (_, text) = say(&lab, &["status", "--all"]);
    for at in [VIP, OTHER] {
        assert!(
            text.contains(&format!("virtual server {at} (rr), local route with source 10.0.0.10")),
            "{text}"
        );
    }
    assert!(!text.contains("10.200.0.1"), "{text}");

    // Its successor was told of one of them only.
    let mut daemon = Daemon::judged(&lab, &[]);
    let remedy = format!("lvscare clean --vs {OTHER}");
    assert!(
        daemon.log().contains(&format!("virtual server {OTHER} was made by lvscare")),
        "{}",
        daemon.log()
    );
    assert!(daemon.log().contains(&remedy), "{}", daemon.log());
    let (_, text) = say(&lab, &["status", "--all"]);
    assert!(text.contains(&format!("no lvscare guards it; `{remedy}` removes it")), "{text}");
    let (findings, text) = findings(&lab);
    assert_eq!(findings.get("left-behind").map(String::as_str), Some("warning"), "{text}");
    assert!(text.contains(&remedy), "{text}");
    daemon.terminate();

    // An address whose servers are all down has a route and no virtual server.
    node.check(&["ipvsadm", "-D", "-t", OTHER]);
    let (_, text) = say(&lab, &["status", "--all"]);
    assert!(text.contains("local route 10.103.97.3 of lvscare, without a virtual server"), "{text}");
    let removals = [
        "remove virtual server 10.103.97.2:6443\n",
        "remove route local 10.103.97.2\n",
        "remove route local 10.103.97.3\n",
    ];
    let would = removals.map(|removal| format!("would {removal}")).concat();
    assert_eq!(say(&lab, &["clean", "--all", "--dry-run"]), (Some(0), would));
    assert_eq!(say(&lab, &["clean", "--all"]), (Some(0), removals.concat()));
    assert_eq!(state(), before);
    assert_eq!(say(&lab, &["clean", "--all"]), (Some(0), "nothing to remove\n".into()));
    assert_eq!(say(&lab, &["status", "--all"]), nothing);
}

// An administrator

#[test]
fn what_an_administrator_has_made_is_not_replaced_by_the_way() {
    let lab = Lab::new();
    let node = lab.node();
    let script = format!(
        "ipvsadm -A -t {VIP} -s wlc -p 300; ipvsadm -a -t {VIP} -r 10.0.0.1:6443 -m -w 7
         ipvsadm -a -t {VIP} -r 10.0.0.99:6443 -m"
    );
    node.check(&["sh", "-c", &script]);
    let theirs =
        "scheduler wlc, persistent, real servers 10.0.0.1:6443 (weight 7) and 10.0.0.99:6443 (weight 1)";
    let before = node.check(&["ipvsadm", "-Sn"]);

    let (findings, text) = findings(&lab);
    assert_eq!(findings.get("foreign-virtual-server").map(String::as_str), Some("warning"), "{text}");
    assert!(text.contains(theirs), "{text}");
    let once = ["care", "--run-once", "--rs", "10.0.0.1:6443,10.0.0.2:6443,10.0.0.3:6443"];
    let (code, text) = say(&lab, &once);
    assert_eq!(code, Some(13), "{text}");
    assert!(text.contains(theirs) && text.contains("--force"), "{text}");
    assert_eq!(node.check(&["ipvsadm", "-Sn"]), before);

    let (code, text) = say(&lab, &[&once[..], &["--force"]].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with(&format!("replace what was at {VIP}: {theirs}\n")), "{text}");
    wait_table(node, VIP, &lab.addresses(), 1);
    assert!(table(node, VIP).is_some());
    assert!(!node.check(&["ipvsadm", "-Sn"]).contains("-p 300"));
}
