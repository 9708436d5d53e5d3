//! What kind of machine this is, for whoever drives many of them.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{host, kubelet, text};
use crate::api::Failure;
use crate::journal::Journal;
use crate::machine::{Machine, Program};
use crate::paths;
use crate::step::Digest;

/// How long a program may take to say its version, or its state.
const ASKED: Duration = Duration::from_secs(15);

/// Programs whose versions matter, and how each is asked for it.
const PROGRAMS: [(&str, &[&str]); 4] = [
    ("kubeadm", &["version", "--output", "short"]),
    ("kubelet", &["--version"]),
    ("kubectl", &["version", "--client"]),
    ("containerd", &["--version"]),
];

/// Units whose states matter.
const UNITS: [&str; 4] = ["kubelet", "containerd", "crio", "docker"];

/// Where kubeadm leaves etcd on a master.
const ETCD: &str = "/etc/kubernetes/manifests/etcd.yaml";

/// What kind of machine this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// The release of its kernel.
    pub kernel: String,
    /// Its architecture, as Rust calls it: `x86_64`, `aarch64`.
    pub arch: String,
    /// Its name.
    pub name: String,
    /// What it takes the time for, in milliseconds since 1970. It lay between the command and the reply.
    pub clock: u64,
    /// The addresses of its interfaces.
    pub addresses: Vec<IpAddr>,
    /// The hash of the authority of the cluster that it has joined; empty when that cannot be read.
    pub joined: Option<String>,
    /// Whether a join was begun of which kubeadm has not said that it was done.
    pub is_joining: bool,
    /// Whether etcd's manifest is there.
    pub has_etcd: bool,
    /// What programs say of their versions, in their own words; those that are there.
    pub versions: BTreeMap<String, String>,
    /// What systemd says of units: `active`, `inactive`, `unknown`; empty without systemd.
    pub units: BTreeMap<String, String>,
    /// The sockets of container runtimes at which somebody answers.
    pub cri_sockets: Vec<String>,
    /// Bytes that are free where the installer keeps its things; absent when that cannot be told.
    pub free: Option<u64>,
    /// Whether there is something to undo.
    pub is_prepared: bool,
    /// The packages that lie there unpacked, each by the SHA-256 of its archive.
    pub packages: Vec<Digest>,
}

/// Looks.
pub fn gather<M: Machine>(machine: &mut M) -> Result<MachineFacts, Failure> {
    let trimmed = |text: Option<String>| text.unwrap_or_default().trim().to_owned();
    let journal = Journal::of(machine)?;
    let mut versions = BTreeMap::new();
    for (name, words) in PROGRAMS {
        if let Ok(finished) = machine.run(&Program::asked(name, words, ASKED))
            && finished.success
        {
            let first: String =
                finished.stdout.lines().next().unwrap_or_default().chars().take(200).collect();
            versions.insert(name.to_owned(), first);
        }
    }
    let mut words = vec!["is-active"];
    words.extend(UNITS);
    // It fails unless all of them are active, and says a line for each.
    let states = machine.run(&Program::asked("systemctl", &words, ASKED)).ok();
    let states = states.map(|finished| finished.stdout).unwrap_or_default();
    let units = UNITS.into_iter().zip(states.lines());
    let sockets = host::RUNTIMES.into_iter().filter(|socket| machine.answers(Path::new(socket)));
    let state = [paths::STATE, "/var/lib", "/"].into_iter().map(Path::new);
    let state = state.into_iter().find(|path| machine.entries(path).is_some());
    Ok(MachineFacts {
        kernel: trimmed(text(machine, paths::RELEASE)),
        arch: ARCH.to_owned(),
        name: trimmed(text(machine, "/proc/sys/kernel/hostname")),
        joined: kubelet::joined(machine).map(|joined| joined.authority.unwrap_or_default()),
        is_joining: journal.is_joining(),
        has_etcd: machine.place(Path::new(ETCD)).length.is_some(),
        versions,
        units: units.map(|(unit, state)| (unit.to_owned(), state.chars().take(32).collect())).collect(),
        cri_sockets: sockets.map(str::to_owned).collect(),
        free: state.and_then(|path| machine.place(path).free),
        is_prepared: !journal.is_empty(),
        packages: machine
            .entries(Path::new(paths::PACKAGES))
            .into_iter()
            .flatten()
            .filter_map(|name| name.parse().ok())
            .collect(),
        addresses: machine.addresses()?.into_iter().map(|own| own.address).collect(),
        clock: u64::try_from(machine.unix_time().as_millis()).unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn a_bare_machine_says_what_it_has() {
        let mut machine = Fake::bare();
        machine.has_file(ETCD, "");
        let facts = gather(&mut machine).unwrap();
        assert_eq!((facts.kernel.as_str(), facts.name.as_str()), ("6.1.0", "worker-1"));
        assert_eq!(facts.addresses, [IpAddr::from([10, 0, 0, 10])]);
        assert_eq!(facts.versions, BTreeMap::from([("kubeadm".to_owned(), "v1.34.1".to_owned())]));
        assert_eq!(facts.cri_sockets, ["/run/containerd/containerd.sock"]);
        assert!(facts.has_etcd && facts.joined.is_none() && !facts.is_prepared && facts.free.is_some());
        assert_eq!(u128::from(facts.clock), machine.unix_time().as_millis());
    }
}
