//! Programs of this node that could guard a virtual address, by what `/proc` tells of them.
//!
//! Every user can start a program under any name, with any words, on any files. So programs of users who could not guard
//! an address do not count. Only haproxy may run as a user of its own: of that, the files count
//! that belong to root.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files;
use crate::place;

/// What is known of a program, and where it is told of the addresses it guards.
const GUARDS: [(&str, &[&str]); 4] = [
    ("lvscare", &[]),
    ("keepalived", &["etc/keepalived/keepalived.conf"]),
    ("kube-vip", &[]),
    (UNPRIVILEGED, &["etc/haproxy/haproxy.cfg", "usr/local/etc/haproxy/haproxy.cfg"]),
];

/// A guard that may run as another user than root.
const UNPRIVILEGED: &str = "haproxy";

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
        let is_trusted = place::is_trusted(entry.metadata().ok()?.uid());
        let mut words = strings(&entry.path().join("cmdline"));
        let name = Path::new(words.first()?).file_name()?.to_str()?.to_owned();
        if name != "kube-proxy" && GUARDS.iter().all(|(guard, _)| *guard != name) {
            return None;
        }
        if !is_trusted && name != UNPRIVILEGED {
            return None;
        }
        let there = fs::read_link(entry.path().join("ns/net")).ok();
        if there.is_some() && there != here {
            return None;
        }
        let mut environment = strings(&entry.path().join("environ"));
        if !is_trusted {
            words.clear();
            environment.clear();
        }
        Some(Process { id, name, words, environment, root: entry.path().join("root") })
    };
    entries.flatten().filter_map(process).collect()
}

/// Words that each end with a zero byte.
fn strings(path: &Path) -> Vec<String> {
    let bytes = files::read(path).unwrap_or_default();
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
        let text = files::read_text_below(&process.root, Path::new(file));
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
        || files.iter().any(|file| {
            files::read_text_below(&process.root, Path::new(file)).is_ok_and(|text| mentions(&text, vip))
        })
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
    let inside = |neighbour: Option<char>| neighbour.is_some_and(|c| c.is_ascii_digit() || c == '.');
    text.match_indices(&vip).any(|(start, found)| {
        let (before, rest) = text.split_at(start);
        let after = rest.strip_prefix(found).unwrap_or_default();
        !inside(before.chars().next_back()) && !inside(after.chars().next())
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

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

    /// A pipe, a device without end, and a link out of the process's own root: nobody waits, and nothing is read.
    #[test]
    fn files_that_a_process_names_are_not_trusted() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::write(&outside, "10.103.97.2").unwrap();
        mknodat(CWD, root.path().join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        symlink(outside.path(), root.path().join("link")).unwrap();
        fs::write(root.path().join("file"), "10.103.97.2").unwrap();
        let told = |file: &str| Process {
            root: root.path().to_owned(),
            ..process(&format!("lvscare care --config {file}"), &[])
        };
        let finds = |process: Process| !guards(&[process], [10, 103, 97, 2].into()).is_empty();
        for file in ["/pipe", "/link", "/none", "/"] {
            assert!(!finds(told(file)), "{file}");
        }
        assert!(finds(told("/file")) && finds(told("../file")));
        let everything = Process { root: PathBuf::from("/"), ..told("/dev/zero") };
        assert!(!finds(everything));
    }

    /// Whoever is not root may say whatever he likes.
    #[test]
    fn programs_of_other_users_do_not_count() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let proc = tempfile::tempdir().unwrap();
        let lines =
            [("12", "lvscare\0care\0"), ("13", "haproxy\0-f\x0010.103.97.2\0"), ("14", "kube-proxy\0")];
        for (id, line) in lines {
            let directory = proc.path().join(id);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("cmdline"), line).unwrap();
            chown(&directory, Some(65534), None).unwrap();
        }
        let found = list(proc.path());
        assert_eq!(found.iter().map(|process| process.name.as_str()).collect::<Vec<_>>(), ["haproxy"]);
        assert!(found[0].words.is_empty() && found[0].environment.is_empty());
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
