//! The laboratory itself: does traffic flow as `design.md` says, with rules made by the administrator's own tools?

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::io::ErrorKind;
use std::time::Duration;

use tests::daemon::LIMIT;
use tests::lab::{Lab, NODE, NODE6};
use tests::netns::Namespace;
use tests::wait::eventually;

const URL: &str = "https://10.103.97.2:6443/";
const URL6: &str = "https://[fd00:103::2]:6443/";

/// A virtual server for all masters, in both families, by hand.
fn balance(lab: &Lab) {
    lab.node().ip(&format!(
        "route add local 10.103.97.2/32 dev lo table local src {NODE}\n\
         route add local fd00:103::2/128 dev lo table local src {NODE6}"
    ));
    let node = lab.node();
    node.check(&["ipvsadm", "-A", "-t", "10.103.97.2:6443", "-s", "rr"]);
    node.check(&["ipvsadm", "-A", "-t", "[fd00:103::2]:6443", "-s", "rr"]);
    for master in lab.masters() {
        node.check(&["ipvsadm", "-a", "-t", "10.103.97.2:6443", "-r", &master.address().to_string(), "-m"]);
        node.check(&[
            "ipvsadm",
            "-a",
            "-t",
            "[fd00:103::2]:6443",
            "-r",
            &master.address6().to_string(),
            "-m",
        ]);
    }
}

/// Who answers six requests in a row, each on its own connection.
fn six(lab: &Lab, place: &Namespace, url: &str) -> Vec<String> {
    let mut names: Vec<String> = (0..6)
        .map(|_| {
            let answer = lab.get(place, url, LIMIT).unwrap();
            assert_eq!(answer.status, 200);
            answer.body
        })
        .collect();
    names.sort();
    names
}

#[test]
fn requests_spread_over_all_masters() {
    let lab = Lab::new();
    balance(&lab);
    for place in [lab.node(), lab.pod()] {
        for url in [URL, URL6] {
            assert_eq!(six(&lab, place, url), ["m1", "m1", "m2", "m2", "m3", "m3"], "{place:?} {url}");
        }
    }
}

#[test]
fn a_node_that_is_a_master_reaches_itself_too() {
    let lab = Lab::with_node_as_master();
    balance(&lab);
    let names = [six(&lab, lab.node(), URL), six(&lab, lab.node(), URL)].concat();
    assert_eq!(names.iter().filter(|name| *name == "m4").count(), 3);
}

#[test]
fn a_killed_server_refuses_and_comes_back() {
    let lab = Lab::new();
    balance(&lab);
    let load = lab.load(lab.node(), URL, 2, LIMIT);
    lab.master(2).kill();
    let refused = eventually(LIMIT, "a refusal", || lab.get(lab.node(), URL, LIMIT).err());
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    lab.master(2).start();
    let report = load.stop();
    assert!(report.answered_by().len() >= 2, "{report:?}");
    for failure in report.failures() {
        let kind = failure.outcome.as_ref().unwrap_err().kind();
        // Some were connected already, and are cut.
        let cut =
            [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof].contains(&kind);
        assert!(cut || kind == ErrorKind::ConnectionRefused, "{kind}");
    }
    assert_eq!(six(&lab, lab.node(), URL), ["m1", "m1", "m2", "m2", "m3", "m3"]);
}

#[test]
fn an_unplugged_or_stopped_master_is_silent() {
    let lab = Lab::new();
    let url = format!("https://{}/", lab.master(3).address());
    let short = Duration::from_millis(500);
    let get = |limit| lab.get(lab.node(), &url, limit);
    assert_eq!(get(LIMIT).unwrap().body, "m3");

    lab.master(3).link_down();
    assert_eq!(get(short).unwrap_err().kind(), ErrorKind::TimedOut);
    lab.master(3).link_up();
    eventually(LIMIT, "an answer after the cable is back", || get(LIMIT).ok());

    lab.master(3).sigstop();
    assert_eq!(get(short).unwrap_err().kind(), ErrorKind::TimedOut);
    lab.master(3).sigcont();
    assert_eq!(get(LIMIT).unwrap().body, "m3");
}

#[test]
fn the_node_has_no_default_route() {
    let lab = Lab::new();
    let error = lab.get(lab.node(), "https://192.0.2.1:6443/", LIMIT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
}
