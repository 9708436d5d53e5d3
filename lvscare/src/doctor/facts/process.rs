//! Programs of this node that could guard a virtual address, by what `/proc` tells of them.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::place;

/// What is known of a program, and where it is told of the addresses it guards.
const GUARDS: [(&str, &[&str]); 4] = [
    ("lvscare", &[]),
    ("keepalived", &["etc/keepalived/keepalived.conf"]),
    ("kube-vip", &[]),
    ("haproxy", &["etc/haproxy/haproxy.cfg", "usr/local/etc/haproxy/haproxy.cfg"]),
];

/// The address that lvscare guards unless it is told another.
const DEFAULT: &str = "10.103.97.2:6443";

/// A running program in this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: u32,
    /// The name of its file, without a path.
    pub(super) name: String,
    /// Its command line.
    pub(super) words: Vec<String>,
    /// Its environment, as far as it can be read.
    pub(super) environment: Vec<String>,
    /// Its own root of the file system.
    pub(super) root: PathBuf,
}

/// A program that guards the virtual address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Its name.
    pub name: String,
    /// Its process id.
    pub id: u32,
    /// Which process it is, and the pod or the service that it belongs to.
    pub place: String,
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.place)
    }
}

/// Every lvscare besides this process that guards one of `services`, each with the first that it guards.
pub fn lvscares(services: &[SocketAddr]) -> Vec<(SocketAddr, Guard)> {
    let mut processes = list(Path::new("/proc"));
    processes.retain(|process| process.name == "lvscare" && process.id != std::process::id());
    let guarded = |process: &Process| {
        services.iter().find_map(|at| Some((*at, guards(std::slice::from_ref(process), at.ip()).pop()?)))
    };
    processes.iter().filter_map(guarded).collect()
}

/// The programs that matter here, of this network namespace, from the `/proc` at `proc`.
pub(super) fn list(proc: &Path) -> Vec<Process> {
    let here = fs::read_link(proc.join("self/ns/net")).ok();
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let process = |entry: fs::DirEntry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let words = strings(&entry.path().join("cmdline"));
        let name = Path::new(words.first()?).file_name()?.to_str()?.to_owned();
        if name != "kube-proxy" && GUARDS.iter().all(|(guard, _)| *guard != name) {
            return None;
        }
        let there = fs::read_link(entry.path().join("ns/net")).ok();
        if there.is_some() && there != here {
            return None;
        }
        let environment = strings(&entry.path().join("environ"));
        Some(Process { id, name, words, environment, root: entry.path().join("root") })
    };
    entries.flatten().filter_map(process).collect()
}

/// Words that each end with a zero byte.
fn strings(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Those of `processes` that guard `vip`.
pub(super) fn guards(processes: &[Process], vip: IpAddr) -> Vec<Guard> {
    let guards = processes.iter().filter(|process| match process.name.as_str() {
        "lvscare" => is_lvscare_for(process, vip),
        _ => is_told(process, vip),
    });
    let place = |process: &Process| {
        let proc = process.root.parent().unwrap_or(&process.root);
        place::describe(process.id, proc)
    };
    guards
        .map(|process| Guard { name: process.name.clone(), id: process.id, place: place(process) })
        .collect()
}

fn is_lvscare_for(process: &Process, vip: IpAddr) -> bool {
    let words = || process.words.iter().map(String::as_str);
    let ends = ["--run-once", "--clean", "-C"];
    if !words().any(|word| word == "care") || words().any(|word| ends.contains(&word)) {
        return false;
    }
    if let Some(file) = value(words(), "--config").or_else(|| variable(process, "LVSCARE_CONFIG")) {
        let text = fs::read_to_string(process.root.join(file.trim_start_matches('/')));
        return text.is_ok_and(|text| mentions(&text, vip));
    }
    let vs = value(words(), "--vs").or_else(|| variable(process, "LVSCARE_VS")).unwrap_or(DEFAULT);
    vs.parse::<SocketAddr>().is_ok_and(|vs| vs.ip() == vip)
}

/// Whether another guard was told of `vip` in any way.
fn is_told(process: &Process, vip: IpAddr) -> bool {
    let Some((_, files)) = GUARDS.iter().find(|(name, _)| *name == process.name) else { return false };
    let said = || process.words.iter().chain(&process.environment);
    said().any(|word| mentions(word, vip))
        || files
            .iter()
            .any(|file| fs::read_to_string(process.root.join(file)).is_ok_and(|text| mentions(&text, vip)))
}

fn value<'a>(words: impl Iterator<Item = &'a str>, flag: &str) -> Option<&'a str> {
    let mut words = words.skip_while(|word| !word.starts_with(flag));
    match words.next()?.strip_prefix(flag)? {
        "" => words.next(),
        rest => rest.strip_prefix('='),
    }
}

fn variable<'a>(process: &'a Process, name: &str) -> Option<&'a str> {
    process.environment.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// Whether an address stands in a text as itself, not as part of a longer one.
fn mentions(text: &str, vip: IpAddr) -> bool {
    let vip = vip.to_string();
    let inside =
        |byte: Option<&u8>, also: u8| byte.is_some_and(|byte| byte.is_ascii_digit() || *byte == also);
    text.match_indices(&vip).any(|(at, _)| {
        let (before, after) = (&text.as_bytes()[..at], &text.as_bytes()[at + vip.len()..]);
        !inside(before.last(), b'.') && !inside(after.first(), b'.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(line: &str, environment: &[&str]) -> Process {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Process {
            id: 7,
            name: words[0].clone(),
            words,
            environment: environment.iter().map(|&word| word.to_owned()).collect(),
            root: PathBuf::from("/nowhere"),
        }
    }

    fn guards_it(line: &str, environment: &[&str]) -> bool {
        !guards(&[process(line, environment)], [10, 103, 97, 2].into()).is_empty()
    }

    #[test]
    fn lvscare_guards_what_it_is_told_or_the_default() {
        assert!(guards_it("lvscare care --rs 10.0.0.1:6443", &[]));
        assert!(guards_it("lvscare care --vs=10.103.97.2:6443", &[]));
        assert!(guards_it("lvscare care", &["LVSCARE_VS=10.103.97.2:443"]));
        assert!(!guards_it("lvscare care --vs 10.103.97.3:6443", &[]));
        assert!(!guards_it("lvscare care --run-once", &[]));
        assert!(!guards_it("lvscare status", &[]));
        assert!(!guards_it("lvscare care --config /etc/lvscare.yaml", &[]));
    }

    #[test]
    fn others_guard_what_they_mention() {
        assert!(guards_it("kube-vip manager", &["address=10.103.97.2"]));
        assert!(!guards_it("kube-vip manager", &["address=10.103.97.20"]));
        assert!(!guards_it("kube-vip manager", &["address=110.103.97.2"]));
        assert!(!guards_it("haproxy -f /etc/haproxy/haproxy.cfg", &[]));
        assert!(!guards_it("kubelet --server https://10.103.97.2:6443", &[]));
    }

    #[test]
    fn a_guard_is_told_by_its_file() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/keepalived")).unwrap();
        fs::write(root.path().join("etc/keepalived/keepalived.conf"), "virtual_ipaddress { 10.103.97.2/32 }")
            .unwrap();
        let keepalived = Process { root: root.path().to_owned(), ..process("keepalived -n", &[]) };
        let found = guards(&[keepalived], [10, 103, 97, 2].into());
        assert_eq!(found, [Guard { name: "keepalived".into(), id: 7, place: "process 7".into() }]);
    }

    #[test]
    fn processes_are_listed() {
        let proc = tempfile::tempdir().unwrap();
        for (id, line) in [("12", "/usr/bin/lvscare\0care\0"), ("13", "sh\0"), ("14", "")] {
            fs::create_dir(proc.path().join(id)).unwrap();
            fs::write(proc.path().join(id).join("cmdline"), line).unwrap();
        }
        let found = list(proc.path());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id, found[0].name.as_str(), found[0].words.len()), (12, "lvscare", 2));
    }
}
