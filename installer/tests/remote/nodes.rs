//! `status`, `prepare`, `set-masters`, `undo` and `resume` through the agent. These hosts have no IPVS, so that rules are
//! left out here; with them, see `tests/guest`.

use std::sync::Arc;

use cluster::remote::session::Session;
use cluster::remote::transfer::Source;
use cluster::runner::Stop;
use cluster::transport::auth::Credentials;
use cluster::transport::host_keys::HostKeys;
use cluster::transport::keys;
use cluster::transport::policy::Policy;
use cluster::transport::ssh::{Ssh, Target};
use node::agent::task::{Kubeadm, Task};
use node::paths;

use super::*;

/// A preparation that needs neither IPVS nor an apiserver.
const PREPARE: [&str; 8] = [
    "prepare",
    "--master",
    "10.0.0.1-10.0.0.3",
    "--vip",
    "10.103.97.9",
    "--skip",
    "checks,modules,sysctl,rules,reach",
    "--diff",
];

/// Says a line, waits, and ends as it is told.
const KUBEADM: &str = r#"#!/bin/sh
if [ "$1" = version ]; then echo v1.34.1; exit; fi
echo "kubeadm $*"
until [ -s /root/ends ]; do sleep 0.05; done
echo "the last line"
exit "$(cat /root/ends)"
"#;

impl Cluster {
    /// Both hosts take the canary.
    fn of_two() -> Self {
        let cluster = Self::new();
        let second = cluster.hosts.last().unwrap();
        second.check(&[
            "sh",
            "-c",
            &format!("echo 'root:{}' | chpasswd -c SHA512", CANARY.replace('\'', "'\\''")),
        ]);
        cluster
    }

    fn all(&self, words: &[&str]) -> Seen {
        self.run(words[0], &[&words[1..], &["--node", FINE, "--node", WRONG]].concat())
    }

    fn state(&self) -> Vec<bool> {
        self.hosts.iter().map(|host| host.path(paths::STATE).exists()).collect()
    }

    fn read(&self, path: &str) -> Vec<String> {
        self.hosts.iter().map(|host| fs::read_to_string(host.path(path)).unwrap_or_default()).collect()
    }

    /// Starts a task on the first host, by a controller that goes away.
    fn start_task(&self, id: &str) {
        let fine = self.fine();
        fine.check(&["mkdir", "-p", "/usr/local/bin"]);
        fine.check(&["rm", "-f", "/root/ends"]);
        fs::write(fine.path("/usr/local/bin/kubeadm"), KUBEADM).unwrap();
        fine.check(&["chmod", "755", "/usr/local/bin/kubeadm"]);
        let keys = vec![keys::load(&self.lab.key(), None).unwrap()];
        let credentials = Credentials { user: "root".to_owned(), keys, ..Credentials::default() };
        let target = Target { at: fine.at(), credentials, policy: Policy::Strict };
        let host_keys = HostKeys { read: Vec::new(), write: self.lab.home().join(".ssh/known_hosts") };
        let program = Source::new(Path::new(env!("CARGO_BIN_EXE_lvscare-installer"))).unwrap();
        self.lab.run(async || {
            let ssh = Ssh::connect(&target, &Arc::new(host_keys), None).await.unwrap();
            let mut session = Session::open(&ssh, None, &program, Stop::new().1, |_| ()).await.unwrap();
            let task = Task::Kubeadm(Kubeadm::Reset { cri_socket: None });
            session.start(&id.parse().unwrap(), task).await.unwrap();
        });
    }

    fn end_task(&self, code: &str) {
        fs::write(self.fine().path("/root/ends"), code).unwrap();
    }
}

#[test]
fn nodes_are_prepared_told_of_other_masters_and_as_before() {
    let cluster = Cluster::of_two();
    let before = cluster.read("/etc/hosts");
    let status = |state: &str, more: &str| {
        format!(
            "HOST      ROLE  STATE         VIRTUAL SERVER  IN SERVICE  GUARD  POD\n\
             10.9.1.1  node  {state}{more}\n10.9.1.2  node  {state}{more}\n"
        )
    };
    let seen = cluster.all(&["status"]);
    let bare = status("not prepared", "  -               -           -      -");
    assert_eq!((seen.code, seen.out), (Some(0), bare + "2 hosts: 2 not prepared\n"), "{}", seen.err);
    assert_eq!(cluster.state(), [false, false], "who only looks leaves nothing");

    // What would be done is told, and nothing is.
    let planned = cluster.all(&[&PREPARE[..], &["--dry-run", "--detailed-exitcode"]].concat());
    assert_eq!(planned.code, Some(10), "{}{}", planned.out, planned.err);
    assert!(planned.out.contains("10.9.1.2  would do:\n"), "{}", planned.out);
    assert!(planned.out.contains("+10.103.97.9 apiserver.cluster.local"), "{}", planned.out);
    assert_eq!((cluster.state(), cluster.read("/etc/hosts")), (vec![false, false], before.clone()));
    // Then exactly that is done.
    let done = cluster.all(&PREPARE);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert_eq!(
        done.out,
        planned.out.replace("10.9.1.1  would do:\n", "").replace("10.9.1.2  would do:\n", "")
    );
    assert!(
        cluster.read("/etc/hosts").iter().all(|text| text.contains("10.103.97.9 apiserver.cluster.local"))
    );
    assert!(cluster.read(paths::POD).iter().all(|text| text.contains("10.0.0.3:6443")));
    let again = cluster.all(&PREPARE);
    let nothing = "nothing to do; this node is prepared";
    assert_eq!((again.code, again.out), (Some(0), format!("10.9.1.1  {nothing}\n10.9.1.2  {nothing}\n")));

    // One that somebody has changed is different, and that has a code of its own.
    fs::remove_file(cluster.fine().path(paths::POD)).unwrap();
    let seen = cluster.all(&["status"]);
    assert_eq!(seen.code, Some(12), "{}", seen.out);
    let gone = format!("! 10.9.1.1: {} is gone\n2 hosts: 1 different, 1 ok\n", paths::POD);
    assert!(seen.out.ends_with(&gone), "{}", seen.out);
    let document: serde_json::Value =
        serde_json::from_str(&cluster.all(&["status", "-o", "json"]).out).unwrap();
    let host = &document["hosts"][1];
    assert_eq!((host["outcome"].as_str(), host["status"]["prepared"].as_bool()), (Some("done"), Some(true)));
    assert_eq!(document["hosts"][0]["failure"]["kind"], "not-verified");

    let undone = cluster.all(&["undo", "--force"]);
    assert_eq!(undone.code, Some(0), "{}{}", undone.out, undone.err);
    assert_eq!((cluster.read("/etc/hosts"), cluster.state()), (before, vec![false, false]));
}

#[test]
fn masters_are_named_and_not_touched() {
    let cluster = Cluster::of_two();
    let seen = cluster.run("prepare", &[&["--master", FINE], &PREPARE[3..], &["--node", WRONG]].concat());
    assert_eq!(seen.code, Some(0), "{}{}", seen.out, seen.err);
    assert_eq!(cluster.state(), [false, true]);
    assert!(cluster.read(paths::POD)[1].contains("10.9.1.1:6443"));
    for (words, why) in [
        (["set-masters", "--node", WRONG], "there is no master; name every apiserver with --master"),
        (["prepare", "--master", FINE], "masters are named, and not touched; name the nodes with --node"),
    ] {
        let seen = cluster.run(words[0], &words[1..]);
        assert_eq!((seen.code, seen.out.as_str()), (Some(2), ""));
        assert!(seen.err.contains(why), "{}", seen.err);
    }
    // Without an apiserver that answers nothing changes, and each host says so: one reason, one code.
    let seen = cluster.run("set-masters", &["--master", "10.0.0.9", "--node", WRONG, "-o", "json"]);
    let document: serde_json::Value = serde_json::from_str(&seen.out).unwrap();
    let host = &document["hosts"][0];
    assert_eq!(
        (host["outcome"].as_str(), seen.code),
        (Some("failed"), document["exit"].as_i64().map(|code| i32::try_from(code).unwrap())),
        "{}",
        seen.out
    );
    assert_ne!(seen.code, Some(0));
}

#[test]
fn who_holds_a_host_is_told_and_nothing_is_done_there() {
    let cluster = Cluster::of_two();
    let script = "mkdir -p /var/lib/lvscare-installer && cd /var/lib/lvscare-installer && \
        echo 'process 7, `lvscare-installer node join`, since noon' >lock && \
        exec flock lock sh -c 'touch /root/held; until test -e /root/go; do sleep 0.05; done'";
    let mut holder = cluster.start("exec", &["--host", FINE, "--", script]);
    let held = cluster.fine().path("/root/held");
    eventually(LIMIT, "a lock", || held.exists().then_some(()));
    let seen = cluster.all(&PREPARE);
    assert_eq!(seen.code, Some(9), "{}{}", seen.out, seen.err);
    let why = "! 10.9.1.1: another run is at work on this node: process 7, `lvscare-installer node join`, since noon";
    assert!(seen.err.starts_with(why), "{}", seen.err);
    assert!(cluster.read(paths::POD)[0].is_empty() && !cluster.read(paths::POD)[1].is_empty());
    // Whoever only looks is not kept from it.
    assert_eq!(cluster.all(&["status"]).code, Some(0));
    cluster.fine().check(&["touch", "/root/go"]);
    assert!(holder.wait(LIMIT).success());
    assert_eq!(cluster.all(&PREPARE).code, Some(0));
}

#[test]
fn what_is_at_work_is_found_and_followed_to_its_end() {
    let cluster = Cluster::of_two();
    cluster.start_task("reset-1");
    // Nobody else may change the host meanwhile.
    let seen = cluster.all(&PREPARE);
    assert_eq!(seen.code, Some(9), "{}{}", seen.out, seen.err);
    assert!(seen.err.contains("the task reset-1"), "{}", seen.err);
    assert!(
        seen.err.ends_with("! `lvscare-installer resume` follows what is at work on a host\n"),
        "{}",
        seen.err
    );
    let mut follower = cluster.start("resume", &["--node", FINE, "--node", WRONG]);
    eventually(LIMIT, "the log", || follower.log().contains("kubeadm reset --force").then_some(()));
    cluster.end_task("0");
    assert!(follower.wait(LIMIT).success(), "{}", follower.log());
    let log = without_log(&follower.log());
    let (first, rest) = log.split_once('\n').unwrap();
    assert!(first.starts_with("10.9.1.1  following `kubeadm reset` (reset-1), at work since "), "{first}");
    assert_eq!(
        rest,
        "10.9.1.1  kubeadm reset --force\n10.9.1.1  the last line\n\
         10.9.1.1  `kubeadm reset` (reset-1): its program ended with 0\n\
         10.9.1.2  nothing is at work, and nothing was\n"
    );
    // What has ended is told as such; what ends badly is a failure.
    let seen = cluster.run("resume", &["--node", FINE]);
    assert!(
        seen.out.starts_with("10.9.1.1  nothing is at work; `kubeadm reset` (reset-1), begun "),
        "{}",
        seen.out
    );
    cluster.start_task("reset-2");
    let mut follower = cluster.start("resume", &["--node", FINE]);
    eventually(LIMIT, "the log", || follower.log().contains("kubeadm reset --force").then_some(()));
    cluster.end_task("3");
    assert_eq!(follower.wait(LIMIT).code(), Some(1), "{}", follower.log());
    let end = "! 10.9.1.1: `kubeadm reset`: its program ended with 3\ndone on 0 of 1 hosts\n";
    assert!(without_log(&follower.log()).ends_with(end), "{}", follower.log());
    let seen = cluster.run("resume", &["--node", FINE, "-o", "json"]);
    assert!(seen.code == Some(0) && seen.out.contains("\"code\": 3"), "{}", seen.out);
}

#[test]
fn a_watch_goes_on_until_it_is_asked_to_stop() {
    let cluster = Cluster::of_two();
    let words = ["--node", FINE, "--node", WRONG, "--watch", "100ms", "-o", "json"];
    let mut watch = cluster.start("status", &words);
    let lines = |text: &str| text.lines().filter(|line| line.contains(r#""outcome":"seen""#)).count();
    eventually(LIMIT, "three rounds", || (lines(&watch.log()) > 2).then_some(()));
    watch.signal(SIGINT);
    assert_eq!(watch.wait(LIMIT).code(), Some(130), "{}", watch.log());
    assert_eq!(cluster.state(), [false, false]);
}
