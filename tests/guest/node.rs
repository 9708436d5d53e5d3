//! `lvscare-installer node`: a node is prepared, runs, and is as it was after `undo`.
//!
//! It works on this machine's own `/etc` and `/var`, so only ever in the guest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lvscare::model::Sysctl;
use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;
use tests::care::{Eye, LIMIT, VIP, answering, names, table, wait_table};
use tests::lab::Lab;
use tests::process::Process;
use tests::wait::eventually;

const HOSTS: &str = "127.0.0.1\tlocalhost\n\n# ours\n10.0.0.9 registry.example # no final newline";
const POD: &str = "/etc/kubernetes/manifests/kube-lvscare.yaml";
const STATE: &str = "/var/lib/lvscare-installer";

/// A node before anybody prepared it. There is one `/etc` for all tests.
struct Node {
    lab: Lab,
    _alone: MutexGuard<'static, ()>,
}

impl Node {
    fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(Path::new(tests::vm::PLAN).exists(), "only in the guest: use `vm test --guest --test node`");
        for directory in [STATE, "/etc/kubernetes", "/etc/sysctl.d", "/etc/modules-load.d"] {
            let _ = fs::remove_dir_all(directory);
        }
        fs::create_dir_all("/var/lib").unwrap();
        fs::create_dir_all("/etc/sysctl.d").unwrap();
        fs::write("/etc/hosts", HOSTS).unwrap();
        fs::set_permissions("/etc/hosts", fs::Permissions::from_mode(0o644)).unwrap();
        let lab = Lab::new();
        fs::create_dir_all("/etc/kubernetes/pki").unwrap();
        fs::copy(lab.directory().join("ca.crt"), "/etc/kubernetes/pki/ca.crt").unwrap();
        // The module and its settings are the machine's, and stay.
        Eye::open(lab.node());
        lab.node().sysctl("net.ipv4.ip_forward", "0");
        Self { lab, _alone: alone }
    }

    fn run(&self, words: &[&str]) -> Output {
        self.lab.node().run(&[&["lvscare-installer"], words].concat())
    }

    /// Runs it for all masters; it must end with `exit`. Returns what it printed.
    #[track_caller]
    fn expect(&self, exit: i32, words: &[&str]) -> String {
        let output = self.run(words);
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{words:?}:\n{text}");
        text
    }

    #[track_caller]
    fn prepare(&self, exit: i32, options: &[&str]) -> String {
        self.expect(exit, &[&["node", "prepare", "--master", "10.0.0.1-10.0.0.3"], options].concat())
    }

    /// All that the installer could have changed.
    fn snapshot(&self) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        for top in ["/etc", "/var"] {
            walk(Path::new(top), &mut seen);
        }
        let settings = Sysctl::ALL.map(Sysctl::name).into_iter().chain(["net.ipv4.ip_forward"]);
        for name in settings {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            seen.insert(name.to_owned(), self.lab.node().enter(|| fs::read_to_string(&path).unwrap()));
        }
        let commands: [&[&str]; 2] = [&["ipvsadm", "-Sn"], &["ip", "-4", "route", "show", "table", "all"]];
        for command in commands {
            seen.insert(command.join(" "), self.lab.node().check(command));
        }
        seen
    }

    /// The node is as it was, and what is not is named.
    #[track_caller]
    fn is(&self, before: &BTreeMap<String, String>) {
        let now = self.snapshot();
        let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
        let differences: Vec<_> = names
            .into_iter()
            .filter(|name| before.get(*name) != now.get(*name))
            .map(|name| format!("{name}:\n  was {:?}\n  is  {:?}", before.get(name), now.get(name)))
            .collect();
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }

    /// The daemon as kubelet would start it from the manifest.
    fn start_pod(&self) -> Process {
        let pod: Value =
            serde_json::from_value(serde_yaml::from_slice(&fs::read(POD).unwrap()).unwrap()).unwrap();
        let args = pod["spec"]["containers"][0]["args"].as_array().unwrap();
        let mut words = vec!["lvscare"];
        words.extend(args.iter().map(|word| word.as_str().unwrap()));
        self.lab.node().spawn(&words)
    }
}

fn walk(path: &Path, seen: &mut BTreeMap<String, String>) {
    let meta = fs::symlink_metadata(path).unwrap();
    let bytes = if meta.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    let what = String::from_utf8_lossy(&bytes);
    seen.insert(
        path.display().to_string(),
        format!("{:o} {}:{} {what}", meta.mode(), meta.uid(), meta.gid()),
    );
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            walk(&entry.unwrap().path(), seen);
        }
    }
}

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
