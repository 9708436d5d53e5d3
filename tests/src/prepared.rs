//! A node for the installer: `/etc` and `/var` of the guest, and the laboratory's network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lvscare::model::Sysctl;
use serde_json::Value;

use crate::daemon::TableReader;
use crate::lab::Lab;
use crate::process::Process;

/// A hosts file as an administrator leaves it.
pub const HOSTS: &str = "127.0.0.1\tlocalhost\n\n# ours\n10.0.0.9 registry.example # no final newline";
/// The static pod's manifest.
pub const POD: &str = "/etc/kubernetes/manifests/kube-lvscare.yaml";
/// What the installer knows between its runs.
pub const STATE: &str = "/var/lib/lvscare-installer";

/// A node before anybody prepared it. There is one `/etc` for all tests.
pub struct Node {
    /// The network around it.
    pub lab: Lab,
    _alone: MutexGuard<'static, ()>,
}

impl Node {
    /// Makes everything as on a fresh machine, whatever the test before has left.
    #[expect(clippy::new_without_default, reason = "building machines is not a default")]
    pub fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(Path::new(crate::vm::PLAN).exists(), "only in the guest: use `vm test --guest --test node`");
        for directory in [STATE, "/etc/kubernetes", "/etc/sysctl.d", "/etc/modules-load.d"] {
            let _ = fs::remove_dir_all(directory);
        }
        fs::create_dir_all("/var/lib").expect("a healthy guest");
        fs::create_dir_all("/etc/sysctl.d").expect("a healthy guest");
        fs::write("/etc/hosts", HOSTS).expect("a healthy guest");
        fs::set_permissions("/etc/hosts", fs::Permissions::from_mode(0o644)).expect("a healthy guest");
        let lab = Lab::new();
        fs::create_dir_all("/etc/kubernetes/pki").expect("a healthy guest");
        fs::copy(lab.directory().join("ca.crt"), "/etc/kubernetes/pki/ca.crt").expect("a healthy guest");
        // The module and its settings are the machine's, and stay.
        TableReader::open(lab.node());
        lab.node().sysctl("net.ipv4.ip_forward", "0");
        Self { lab, _alone: alone }
    }

    /// Runs the installer.
    pub fn run(&self, words: &[&str]) -> Output {
        self.lab.node().run(&[&["lvscare-installer"], words].concat())
    }

    /// Runs it for all masters; it must end with `exit`. Returns what it printed.
    #[track_caller]
    pub fn expect(&self, exit: i32, words: &[&str]) -> String {
        let output = self.run(words);
        let text = String::from_utf8(output.stdout).expect("a healthy guest")
            + &String::from_utf8(output.stderr).expect("a healthy guest");
        assert_eq!(output.status.code(), Some(exit), "{words:?}:\n{text}");
        text
    }

    /// `node prepare` for all masters.
    #[track_caller]
    pub fn prepare(&self, exit: i32, options: &[&str]) -> String {
        self.expect(exit, &[&["node", "prepare", "--master", "10.0.0.1-10.0.0.3"], options].concat())
    }

    /// All that the installer could have changed.
    pub fn snapshot(&self) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        for top in ["/etc", "/var"] {
            walk(Path::new(top), &mut seen);
        }
        let settings = Sysctl::ALL.map(Sysctl::name).into_iter().chain(["net.ipv4.ip_forward"]);
        for name in settings {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            seen.insert(
                name.to_owned(),
                self.lab.node().enter(|| fs::read_to_string(&path).expect("a healthy guest")),
            );
        }
        let commands: [&[&str]; 2] = [&["ipvsadm", "-Sn"], &["ip", "-4", "route", "show", "table", "all"]];
        for command in commands {
            seen.insert(command.join(" "), self.lab.node().check(command));
        }
        seen
    }

    /// The node is as it was, and what is not is named.
    #[track_caller]
    pub fn assert_unchanged(&self, before: &BTreeMap<String, String>) {
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
    pub fn start_pod(&self) -> Process {
        let pod: Value = serde_json::from_value(
            serde_yaml::from_slice(&fs::read(POD).expect("a healthy guest")).expect("a healthy guest"),
        )
        .expect("a healthy guest");
        let args = pod["spec"]["containers"][0]["args"].as_array().expect("a healthy guest");
        let mut words = vec!["lvscare"];
        words.extend(args.iter().map(|word| word.as_str().expect("a healthy guest")));
        self.lab.node().spawn(&words)
    }
}

fn walk(path: &Path, seen: &mut BTreeMap<String, String>) {
    let meta = fs::symlink_metadata(path).expect("a healthy guest");
    // Who was at work last is told there.
    let bytes = if meta.is_file() && !path.ends_with("lock") {
        fs::read(path).expect("a healthy guest")
    } else {
        Vec::new()
    };
    let what = String::from_utf8_lossy(&bytes);
    seen.insert(
        path.display().to_string(),
        format!("{:o} {}:{} {what}", meta.mode(), meta.uid(), meta.gid()),
    );
    if meta.is_dir() {
        for entry in fs::read_dir(path).expect("a healthy guest") {
            walk(&entry.expect("a healthy guest").path(), seen);
        }
    }
}
