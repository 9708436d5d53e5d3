//! What was there before the first change: the way back.
//!
//! A record is on the disk before the thing it tells of is touched, and the first record of a thing stays: so
//! whatever happens in between, even a crash, undoing leads to the node as it was found.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lvscare::model::{Actual, Destination, Forwarding, Service, WantedService};
use serde::{Deserialize, Serialize};

use crate::api::{Failure, Kind};
use crate::machine::Machine;
use crate::paths;
use crate::step::{Content, Digest};

/// How something was before it was touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields carry the names of what they hold")]
pub enum Original {
    /// A directory that was not there.
    Directory { path: PathBuf },
    /// A file of which every byte is ours.
    File { path: PathBuf, before: Option<Content> },
    /// A program, which may be long: `kept` is what it was, and lies there under this name ([`paths::kept`]).
    Program { path: PathBuf, kept: Option<Digest> },
    /// A name in the hosts file, which belongs to others, too: what our entry said before, and whether there was a file.
    HostsEntry {
        path: PathBuf,
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<IpAddr>,
        #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
        existed: bool,
    },
    /// A kernel setting.
    Sysctl { name: String, before: String },
    /// A virtual server and the route to it, and where the daemon that guards them listens.
    Rules { at: SocketAddr, service: Option<FormerService>, route: Option<IpAddr>, guard: Option<SocketAddr> },
}

fn yes() -> bool {
    true
}

/// A virtual server that was there before us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerService {
    scheduler: String,
    flags: u32,
    /// Weights.
    servers: BTreeMap<SocketAddr, u32>,
}

impl FormerService {
    /// As something to be had again.
    pub fn wanted(&self) -> WantedService {
        let servers = self.servers.iter();
        WantedService {
            service: Service { scheduler: self.scheduler.clone(), flags: self.flags },
            destinations: servers.map(|(at, weight)| (*at, Destination::masqueraded(*weight))).collect(),
        }
    }
}

impl Original {
    /// The virtual server at `at` as the kernel has it. Only masqueraded real servers are remembered.
    pub fn rules(at: SocketAddr, guard: Option<SocketAddr>, actual: &Actual) -> Self {
        let service = actual.services.get(&at).map(|seen| FormerService {
            scheduler: seen.service.scheduler.clone(),
            flags: seen.service.flags,
            servers: seen
                .destinations
                .iter()
                .filter(|(_, seen)| seen.destination.forwarding == Forwarding::Masquerade)
                .map(|(server, seen)| (*server, seen.destination.weight))
                .collect(),
        });
        let route = actual.routes.get(&at.ip()).and_then(|route| route.source);
        Self::Rules { at, service, route, guard }
    }

    /// Whether both tell of the same thing.
    fn same_thing(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Directory { path } | Self::File { path, .. } | Self::Program { path, .. },
                Self::Directory { path: other }
                | Self::File { path: other, .. }
                | Self::Program { path: other, .. },
            ) => path == other,
            (Self::HostsEntry { path, name, .. }, Self::HostsEntry { path: file, name: other, .. }) => {
                (path, name) == (file, other)
            }
            (Self::Sysctl { name, .. }, Self::Sysctl { name: other, .. }) => name == other,
            (Self::Rules { at, .. }, Self::Rules { at: other, .. }) => at == other,
            _ => false,
        }
    }
}

/// What is restarted so that it reads its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// kubelet itself.
    Kubelet,
    /// A static pod, by its manifest.
    Pod(PathBuf),
}

/// The records of a machine.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    records: Records,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    /// Of this form of the file; a newer installer may have another.
    version: u32,
    originals: Vec<Original>,
    /// Whether kubeadm was told to join and has not yet said that it has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    joining: bool,
    /// What still runs with files that were renewed, in the order in which it is restarted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    restarts: Vec<Restart>,
    /// Of each file of ours the hashes of what we wrote, the newest last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    written: BTreeMap<PathBuf, Vec<String>>,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The form of the file. Version 1 had neither `joining` nor `written`.
const VERSION: u32 = 2;

/// The content that a file has, and the one that it is about to get.
const MAX_HASHES: usize = 2;

impl Journal {
    /// Reads the journal of a machine, an empty one if there is none. A damaged one is an error and stays: it is the
    /// only way back.
    pub fn of<M: Machine>(machine: &M) -> Result<Self, Failure> {
        let help = "it is the only way back to how the node was: mend it, or move it away to give that up";
        let unusable = |why: String| {
            Failure::new(Kind::Invalid, format!("cannot use {}: {why}; {help}", paths::JOURNAL))
        };
        match machine.read(Path::new(paths::JOURNAL)) {
            Ok(content) => Self::parse(content.as_ref().map(|content| &content.bytes[..])).map_err(unusable),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Failure::new(
                Kind::NotPermitted,
                format!("cannot read {}: {error}; run as root", paths::JOURNAL),
            )),
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    fn parse(bytes: Option<&[u8]>) -> Result<Self, String> {
        let Some(bytes) = bytes else { return Ok(Self::default()) };
        // The version first: what a newer one says is not for us to judge.
        let Versioned { version } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if !(1..=VERSION).contains(&version) {
            return Err(format!("it is of form {version}, this installer knows {VERSION}"));
        }
        let records = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        Ok(Self { records })
    }

    /// How things were, the first that was touched first.
    pub fn originals(&self) -> &[Original] {
        &self.records.originals
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.records.originals.is_empty() && !self.records.joining && self.records.restarts.is_empty()
    }

    /// The virtual servers that were made here, and where the daemon that guards each listens, the newest last.
    pub fn services(&self) -> Vec<(SocketAddr, Option<SocketAddr>)> {
        let services = self.originals().iter().filter_map(|original| match original {
            Original::Rules { at, guard, .. } => Some((*at, *guard)),
            _ => None,
        });
        services.collect()
    }

    /// Whether a join was begun of which kubeadm has not said that it was done.
    pub fn is_joining(&self) -> bool {
        self.records.joining
    }

    /// What still runs with files that were renewed.
    pub fn restarts(&self) -> &[Restart] {
        &self.records.restarts
    }

    /// Notes what runs with files that are about to be renewed, or what of it still does.
    pub fn set_restarts<M: Machine>(
        &mut self,
        machine: &mut M,
        restarts: Vec<Restart>,
    ) -> Result<(), Failure> {
        if self.records.restarts == restarts {
            return Ok(());
        }
        self.records.restarts = restarts;
        self.save(machine)
    }

    /// Whether somebody else has changed a file of ours since. Of what an older installer wrote, that is not known.
    pub fn is_edited(&self, path: &Path, now: &Content) -> bool {
        self.is_other(path, &now.digest())
    }

    /// As [`is_edited`](Self::is_edited), of a file of any length.
    pub fn is_other(&self, path: &Path, now: &Digest) -> bool {
        let is_original = |original: &Original| match original {
            Original::File { path: known, before: Some(before) } => known == path && before.digest() == *now,
            Original::Program { path: known, kept } => known == path && kept.as_ref() == Some(now),
            _ => false,
        };
        // What we meant to write may never have been written.
        let hashes = self.records.written.get(path);
        hashes.is_some_and(|hashes| !hashes.contains(&hash(now))) && !self.originals().iter().any(is_original)
    }

    /// Whether it is known how the program was.
    pub fn knows_program(&self, path: &Path) -> bool {
        let is_it =
            |original: &Original| matches!(original, Original::Program { path: known, .. } if known == path);
        self.originals().iter().any(is_it)
    }

    /// The programs that are kept.
    pub fn kept(&self) -> BTreeSet<Digest> {
        let kept = self.originals().iter().filter_map(|original| match original {
            Original::Program { kept, .. } => *kept,
            _ => None,
        });
        kept.collect()
    }

    /// Notes how something was, unless that is known from an earlier run.
    pub fn remember<M: Machine>(&mut self, machine: &mut M, original: Original) -> Result<(), Failure> {
        if self.records.originals.iter().any(|known| known.same_thing(&original)) {
            return Ok(());
        }
        self.records.originals.push(original);
        self.save(machine)
    }

    /// Notes what a file of ours is about to hold.
    pub fn remember_written<M: Machine>(
        &mut self,
        machine: &mut M,
        path: &Path,
        after: &Digest,
    ) -> Result<(), Failure> {
        let hashes = self.records.written.entry(path.to_owned()).or_default();
        let hash = hash(after);
        if hashes.last() == Some(&hash) {
            return Ok(());
        }
        hashes.push(hash);
        if hashes.len() > MAX_HASHES {
            hashes.remove(0);
        }
        self.save(machine)
    }

    /// Of two contents that a file may have while it is written, keeps the one that it has.
    pub fn settle<M: Machine>(&mut self, machine: &mut M) -> Result<(), Failure> {
        let mut settled = false;
        for (path, hashes) in &mut self.records.written {
            if hashes.len() > 1
                && let Ok(Some(now)) = machine.digest(path)
                && hashes.contains(&hash(&now))
            {
                *hashes = vec![hash(&now)];
                settled = true;
            }
        }
        if settled { self.save(machine) } else { Ok(()) }
    }

    /// Whether a file holds what we wrote, or held it before somebody else changed it.
    pub fn has_written(&self, path: &Path) -> bool {
        self.records.written.contains_key(path)
    }

    /// Notes that a file is about to be no more.
    pub fn forget_written<M: Machine>(&mut self, machine: &mut M, path: &Path) -> Result<(), Failure> {
        if self.records.written.remove(path).is_none() {
            return Ok(());
        }
        self.save(machine)
    }

    /// Notes that kubeadm is about to join, or that it has.
    pub fn set_joining<M: Machine>(&mut self, machine: &mut M, joining: bool) -> Result<(), Failure> {
        self.records.joining = joining;
        self.save(machine)
    }

    /// Notes that no join is at work any more. Of a journal that has nothing left to tell, nothing stays.
    pub fn end_join<M: Machine>(&mut self, machine: &mut M) -> Result<(), Failure> {
        self.set_joining(machine, false)?;
        if !self.is_empty() {
            return Ok(());
        }
        let path = Path::new(paths::JOURNAL);
        machine.remove(path).map_err(|error| Failure::io(format_args!("remove {}", path.display()), &error))
    }

    /// Strikes out what is as it was.
    pub fn forget<M: Machine>(&mut self, machine: &mut M, original: &Original) -> Result<(), Failure> {
        self.records.originals.retain(|known| known != original);
        if let Original::File { path, .. } | Original::Program { path, .. } = original {
            self.records.written.remove(path);
        }
        self.save(machine)
    }

    fn save<M: Machine>(&mut self, machine: &mut M) -> Result<(), Failure> {
        let failed = |error: &io::Error| Failure::io(format_args!("write {}", paths::JOURNAL), error);
        self.records.version = VERSION;
        let mut bytes = serde_json::to_vec_pretty(&self.records).map_err(|error| failed(&error.into()))?;
        bytes.push(b'\n');
        machine.write(Path::new(paths::JOURNAL), &Content::new(bytes, 0o600)).map_err(|error| failed(&error))
    }
}

fn hash(digest: &Digest) -> String {
    format!("sha256:{}", STANDARD.encode(digest.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn sysctl(value: &str) -> Original {
        Original::Sysctl { name: "net.ipv4.ip_forward".into(), before: value.into() }
    }

    #[test]
    fn the_first_record_of_a_thing_stays() {
        let mut machine = Fake::bare();
        machine.make_directory(Path::new(paths::STATE), 0o700).unwrap();
        let mut journal = Journal::of(&machine).unwrap();
        journal.remember(&mut machine, sysctl("0")).unwrap();
        journal.remember(&mut machine, sysctl("1")).unwrap();
        let before = Some(Content::new(vec![0, 255], 0o600));
        let pod = Original::File { path: "/pod.yaml".into(), before };
        journal.remember(&mut machine, pod.clone()).unwrap();

        let mut journal = Journal::of(&machine).unwrap();
        assert_eq!(journal.originals(), [sysctl("0"), pod.clone()]);
        journal.forget(&mut machine, &sysctl("0")).unwrap();
        assert_eq!(Journal::of(&machine).unwrap().originals(), [pod]);
    }

    #[test]
    fn what_others_changed_is_told_from_what_we_wrote() {
        let mut machine = Fake::bare();
        machine.make_directory(Path::new(paths::STATE), 0o700).unwrap();
        let mut journal = Journal::of(&machine).unwrap();
        let path = Path::new(paths::POD);
        let content = |text: &str| Content::new(text, 0o600);
        assert!(!journal.is_edited(path, &content("theirs")), "nothing is known of it");
        for text in ["one", "two", "three"] {
            journal.remember_written(&mut machine, path, &content(text).digest()).unwrap();
        }
        let journal = Journal::of(&machine).unwrap();
        // A run that is cut short leaves the one before the last.
        let edited = ["one", "two", "three", "theirs"].map(|text| journal.is_edited(path, &content(text)));
        assert_eq!(edited, [true, false, false, true]);
    }

    #[test]
    fn the_first_form_is_read_and_a_damaged_or_newer_one_is_not() {
        let first = r#"{"version": 1, "originals": [
            {"kind": "hosts-entry", "path": "/etc/hosts", "name": "apiserver.cluster.local"},
            {"kind": "sysctl", "name": "net.ipv4.ip_forward", "before": "0"}]}"#;
        let entry = Original::HostsEntry {
            path: paths::HOSTS.into(),
            name: "apiserver.cluster.local".into(),
            before: None,
            existed: true,
        };
        assert_eq!(Journal::parse(Some(first.as_bytes())).unwrap().originals(), [entry, sysctl("0")]);
        for (text, why) in [
            ("{", "EOF while parsing"),
            (r#"{"version": 3, "originals": [], "news": 1}"#, "it is of form 3, this installer knows 2"),
            (r#"{"version": 1, "originals": [], "more": 1}"#, "unknown field"),
        ] {
            let refusal = Journal::parse(Some(text.as_bytes())).unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
        }
    }
}
