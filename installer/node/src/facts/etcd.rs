//! etcd as kubeadm runs it on a master: what its manifest says, and its process.

use std::path::Path;

use lvscare::yaml;

use crate::api::{Failure, Kind};
use crate::facts;
use crate::machine::Machine;
use crate::paths;
use crate::render::manifest::Pod;

/// What etcd is told by its manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Etcd {
    /// Its image.
    pub image: String,
    /// Its command, word by word.
    pub words: Vec<String>,
}

impl Etcd {
    /// As the manifest on this machine says.
    pub fn of<M: Machine>(machine: &M) -> Result<Self, Failure> {
        let Some(text) = facts::read(machine, paths::ETCD)? else {
            let text = format!("there is no {}: etcd is no static pod of this machine", paths::ETCD);
            return Err(Failure::new(Kind::Refused, text));
        };
        let invalid = |why: &str| Failure::new(Kind::Invalid, format!("cannot use {}: {why}", paths::ETCD));
        let pod: Pod = yaml::parse(&text.bytes).map_err(|error| invalid(&error.to_string()))?;
        let container =
            pod.spec.containers.into_iter().next().ok_or_else(|| invalid("it has no container"))?;
        let words = container.command.into_iter().chain(container.args).collect();
        Ok(Self { image: container.image, words })
    }

    /// The value of an option, such as `--data-dir`.
    pub fn option(&self, name: &str) -> Option<&str> {
        let value =
            |word: &'_ str| word.strip_prefix(name)?.strip_prefix('=').map(|value| word.len() - value.len());
        self.words.iter().find_map(|word| value(word).map(|at| &word[at..]))
    }

    /// Where clients on this machine find it.
    pub fn endpoint(&self) -> &str {
        let urls: Vec<&str> = self.option("--listen-client-urls").unwrap_or_default().split(',').collect();
        let local = urls.iter().find(|url| url.contains("//127.0.0.1:") || url.contains("//[::1]:"));
        local.or(urls.first()).filter(|url| !url.is_empty()).copied().unwrap_or("https://127.0.0.1:2379")
    }

    /// Where its data is.
    pub fn directory(&self) -> &Path {
        Path::new(self.option("--data-dir").unwrap_or("/var/lib/etcd"))
    }

    /// Its process. Any user can start a program under any name, with any words; and whoever it is that is found, programs of
    /// his are run as root. So only root's own counts, by what the kernel says of it.
    pub fn process<M: Machine>(&self, machine: &M) -> Option<u32> {
        let is_it = |id: &u32| {
            let text = |file: &str| facts::text(machine, format!("/proc/{id}/{file}")).unwrap_or_default();
            let line = text("cmdline");
            let words: Vec<&str> = line.split_terminator('\0').collect();
            let name = words.first().and_then(|word| word.rsplit('/').next());
            let has_all = self.words.iter().skip(1).all(|word| words.contains(&word.as_str()));
            name == Some("etcd") && has_all && is_roots(&text("status"))
        };
        let ids = machine.entries(Path::new("/proc"))?.into_iter().filter_map(|name| name.parse().ok());
        ids.into_iter().find(is_it)
    }
}

/// Whether real, effective, saved and file system's user are root (`proc_pid_status(5)`).
fn is_roots(status: &str) -> bool {
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    users.is_some_and(|users| {
        let users: Vec<&str> = users.split_whitespace().collect();
        users == ["0"; 4]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    const MANIFEST: &str = "spec:\n  containers:\n  - image: k8s.gcr.io/etcd:3.4.13-0\n    command: [etcd, --data-dir=/var/lib/etcd, \
                            '--listen-client-urls=https://10.0.0.1:2379,https://127.0.0.1:2379', --name=m1]\n";

    #[test]
    fn the_manifest_says_where_it_is() {
        let mut machine = Fake::bare();
        assert!(Etcd::of(&machine).unwrap_err().message.contains("etcd is no static pod of this machine"));
        machine.has_file(paths::ETCD, MANIFEST);
        let etcd = Etcd::of(&machine).unwrap();
        assert_eq!(
            (etcd.option("--name"), etcd.option("--nam"), etcd.option("--other")),
            (Some("m1"), None, None)
        );
        assert_eq!(
            (etcd.endpoint(), etcd.directory()),
            ("https://127.0.0.1:2379", Path::new("/var/lib/etcd"))
        );
        assert_eq!(Etcd::default().endpoint(), "https://127.0.0.1:2379");
        machine.has_file(paths::ETCD, "spec: 7");
        assert_eq!(Etcd::of(&machine).unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn only_roots_etcd_is_etcd() {
        let mut machine = Fake::bare();
        machine.has_file(paths::ETCD, MANIFEST);
        let etcd = Etcd::of(&machine).unwrap();
        let right = format!("{}\0", etcd.words.join("\0"));
        for (id, words, users) in [
            (7, &*right, "1000\t1000\t1000\t1000"),
            // A program that is setuid is started by anybody.
            (8, &*right, "1000\t0\t0\t0"),
            (9, "etcd\0--data-dir=/tmp\0", "0\t0\t0\t0"),
            (10, "etcdctl\0--data-dir=/var/lib/etcd\0", "0\t0\t0\t0"),
            (11, "", "0\t0\t0\t0"),
        ] {
            machine.has_file(&format!("/proc/{id}/cmdline"), words);
            machine.has_file(&format!("/proc/{id}/status"), &format!("Name:\tetcd\nUid:\t{users}\n"));
        }
        assert_eq!(etcd.process(&machine), None);
        machine.has_file("/proc/12/cmdline", &format!("/usr/local/bin/{right}"));
        machine.has_file("/proc/12/status", "Name:\tetcd\nUid:\t0\t0\t0\t0\n");
        assert_eq!(etcd.process(&machine), Some(12));
    }
}
