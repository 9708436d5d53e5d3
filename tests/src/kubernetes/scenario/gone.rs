//! The way back: `node undo` and `kubeadm reset` leave nothing.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Laboratory, say, seconds};

/// What a node looks like to those who search for leftovers.
pub struct Snapshot(BTreeMap<&'static str, String>);

impl Snapshot {
    /// Looks.
    #[track_caller]
    pub fn of(lab: &Laboratory) -> Self {
        let looks: [(&str, &[&str]); 5] = [
            // containerd's own state changes with everything that it does.
            (
                "files",
                &[
                    "find",
                    "/etc",
                    "/opt",
                    "/root",
                    "/usr/local",
                    "/var/lib",
                    "-path",
                    "/var/lib/containerd",
                    "-prune",
                    "-o",
                    "-printf",
                    "%y %m %p %l\n",
                ],
            ),
            ("hosts", &["cat", "/etc/hosts"]),
            ("rules", &["ipvsadm", "-Sn"]),
            ("routes", &["ip", "-4", "route", "show", "table", "all"]),
            (
                "settings",
                &["sysctl", "net.ipv4.ip_forward", "net.ipv4.vs.expire_nodest_conn", "net.ipv4.vs.conntrack"],
            ),
        ];
        Self(looks.map(|(name, words)| (name, sorted(&lab.worker.run(words).stdout))).into())
    }
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Our own way back first, while kubelet still runs the daemon.
pub fn undo_and_reset(lab: &Laboratory, before: &Snapshot) {
    let began = Instant::now();
    lab.worker.check(&["lvscare-installer", "node", "undo", "--force"]);
    lab.worker.check(&["kubeadm", "reset", "--force"]);
    gone(lab, before);
    say("node undo, then kubeadm reset", &format!("nothing is left after {}", seconds(began.elapsed())));
}

/// kubeadm's way back first, which takes the manifest from under us.
pub fn reset_and_undo(lab: &Laboratory, before: &Snapshot) {
    let began = Instant::now();
    lab.worker.check(&["kubeadm", "reset", "--force"]);
    lab.worker.check(&["lvscare-installer", "node", "undo"]);
    gone(lab, before);
    say("kubeadm reset, then node undo", &format!("nothing is left after {}", seconds(began.elapsed())));
}

#[track_caller]
fn gone(lab: &Laboratory, Snapshot(before): &Snapshot) {
    let Snapshot(after) = Snapshot::of(lab);
    for (name, was) in before {
        let is = &after[name];
        let only = |these: &str, those: &str| -> Vec<String> {
            these
                .lines()
                .filter(|line| !those.lines().any(|other| other == *line))
                .map(str::to_owned)
                .collect()
        };
        let (more, less) = (only(is, was), only(was, is));
        let more: Vec<_> = more.iter().filter(|line| !is_kubeadms(line)).collect();
        assert!(more.is_empty() && less.is_empty(), "{name}: more {more:#?}, less {less:#?}");
    }
    let containers = lab.worker.check(&["ctr", "--namespace", "k8s.io", "containers", "list", "--quiet"]);
    assert_eq!(containers, "", "containers are left");
    assert_eq!(lab.worker.run(&["lvscare-installer", "node", "status", "-o", "json"]).code, Some(0));
}

/// Directories that kubeadm and kubelet make and leave, lvscare or not.
fn is_kubeadms(line: &str) -> bool {
    let path = line.split_whitespace().nth(2).unwrap_or_default();
    line.starts_with("d ")
        && ["/etc/kubernetes", "/var/lib/kubelet"].iter().any(|place| path.starts_with(place))
}
