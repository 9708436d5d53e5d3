//! etcd on a master: how its members are, a snapshot of it, and how one is restored.
//!
//! The image of etcd has `etcdctl`, whoever runs the container; so it is run in the root of etcd's own process. That is the same
//! with containerd, CRI-O and docker, and needs no client of any of them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::api::etcd::{EtcdHealth, EtcdMember, EtcdSnapshot};
use crate::api::{Changed, Event, Failure, Kind, Outcome, StepReport};
use crate::facts;
use crate::facts::etcd::Etcd;
use crate::machine::{Machine, Program};
use crate::paths;
use crate::render;

/// How long a member may take to answer.
const ASKED: Duration = Duration::from_secs(20);

/// How long a snapshot may take. Databases have 8 GB at most.
const SAVE: Duration = Duration::from_secs(900);

/// Where images have their programs.
const PROGRAMS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// The name of a snapshot that is being taken, in etcd's own directory, which its container shares with the machine.
const UNFINISHED: &str = "lvscare-snapshot.db";

/// A running etcd.
struct Running {
    etcd: Etcd,
    process: u32,
}

impl Running {
    fn find<M: Machine>(machine: &M) -> Result<Self, Failure> {
        let etcd = Etcd::of(machine)?;
        let Some(process) = etcd.process(machine) else {
            let text = "etcd does not run on this machine; see `crictl ps -a`, and `journalctl -u kubelet`";
            return Err(Failure::new(Kind::Unreachable, text));
        };
        Ok(Self { etcd, process })
    }

    fn root(&self) -> String {
        format!("/proc/{}/root", self.process)
    }

    /// A program of the image; nothing where it has none of that name.
    fn program<M: Machine>(&self, machine: &M, name: &str) -> Option<String> {
        let inside = PROGRAMS.iter().map(|directory| format!("{directory}/{name}"));
        inside
            .into_iter()
            .find(|path| machine.place(Path::new(&format!("{}{path}", self.root()))).length.is_some())
    }

    /// Runs `etcdctl` against `endpoint`.
    fn ask<M: Machine>(
        &self,
        machine: &mut M,
        endpoint: &str,
        words: &[&str],
        limit: Duration,
    ) -> Result<String, String> {
        let program = self.program(machine, "etcdctl").ok_or("the image of etcd has no etcdctl")?;
        let mut all = vec![program, format!("--endpoints={endpoint}"), "--write-out=json".to_owned()];
        if endpoint.starts_with("https:") {
            // Of a server, and of a client as well, as kubeadm makes it.
            for (own, theirs) in
                [("--trusted-ca-file", "--cacert"), ("--cert-file", "--cert"), ("--key-file", "--key")]
            {
                all.extend(self.etcd.option(own).map(|value| format!("{theirs}={value}")));
            }
        }
        all.extend(words.iter().map(ToString::to_string));
        self.run(machine, &all, limit)
    }

    fn run<M: Machine>(&self, machine: &mut M, words: &[String], limit: Duration) -> Result<String, String> {
        // Before 3.4 it speaks another language unless it is told.
        let mut all = vec!["ETCDCTL_API=3".to_owned(), "chroot".to_owned(), self.root()];
        all.extend_from_slice(words);
        let program = Program { name: "env", words: all, limit: Some(limit), input: None };
        let finished = machine.run(&program).map_err(|error| error.to_string())?;
        // What it complains of are lines of a log; the last one says why.
        let complaint = || finished.complaint().lines().last().unwrap_or_default().to_owned();
        if finished.success { Ok(finished.stdout) } else { Err(complaint()) }
    }
}

#[derive(Deserialize)]
struct MemberList {
    members: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "ID")]
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    client_urls: Vec<String>,
    #[serde(default, rename = "isLearner")]
    is_learner: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answered {
    status: MemberStatus,
}

#[derive(Deserialize)]
struct MemberStatus {
    version: String,
    #[serde(default, rename = "dbSize")]
    database: u64,
    #[serde(default)]
    leader: u64,
}

/// Asks every member how it is.
pub fn health<M: Machine>(machine: &mut M) -> Result<Outcome, Failure> {
    let running = Running::find(machine)?;
    let members = members(machine, &running).map_err(|why| {
        Failure::new(
            Kind::Unreachable,
            format!("etcd does not say who its members are: {why}; has it lost its majority?"),
        )
    })?;
    let members = members.into_iter().map(|listed| look(machine, &running, listed)).collect();
    Ok(Outcome::EtcdHealth(EtcdHealth { members }))
}

/// Has the others decide without a member, wherever that one is. It is gone from the cluster, not from its machine.
pub fn remove<M: Machine>(
    machine: &mut M,
    address: IpAddr,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    let own = machine.addresses()?;
    if own.iter().any(|own| own.address == address) {
        let text = format!("{address} is this machine; have its member removed on another master");
        return Err(Failure::usage(text));
    }
    let running = Running::find(machine)?;
    let failed = |why: String| {
        Failure::new(
            Kind::Unreachable,
            format!("etcd keeps the member at {address}: {why}; has it lost its majority?"),
        )
    };
    let known = members(machine, &running).map_err(failed)?;
    let Some((id, name)) = known
        .into_iter()
        .map(|listed| (listed.id, listed.member()))
        .find_map(|(id, member)| member.is_at(address).then_some((id, member.name)))
    else {
        return Ok(Outcome::Changed(Changed::default()));
    };
    let endpoint = running.etcd.endpoint().to_owned();
    running.ask(machine, &endpoint, &["member", "remove", &format!("{id:x}")], ASKED).map_err(failed)?;
    let name = if name.is_empty() { String::new() } else { format!(" {name}") };
    let text = format!("etcd knows the member{name} at {address} no more");
    let step = StepReport { kind: "remove-etcd-member".to_owned(), text, diff: None };
    tell(Event::Done(step.clone()));
    Ok(Outcome::Changed(Changed { changed: true, steps: vec![step], ..Changed::default() }))
}

fn members<M: Machine>(machine: &mut M, running: &Running) -> Result<Vec<Listed>, String> {
    let endpoint = running.etcd.endpoint().to_owned();
    let text = running.ask(machine, &endpoint, &["member", "list"], ASKED)?;
    let list: MemberList = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(list.members)
}

impl Listed {
    fn member(self) -> EtcdMember {
        EtcdMember {
            name: self.name,
            peer_urls: self.peer_urls,
            client_urls: self.client_urls,
            is_learner: self.is_learner,
            ..EtcdMember::default()
        }
    }
}

fn look<M: Machine>(machine: &mut M, running: &Running, listed: Listed) -> EtcdMember {
    let id = listed.id;
    let mut member = listed.member();
    let Some(endpoint) = member.client_urls.first().cloned() else {
        member.trouble = Some("it was announced and has not begun".to_owned());
        return member;
    };
    let answer = running.ask(machine, &endpoint, &["endpoint", "status"], ASKED);
    let answered = answer.and_then(|text| {
        let all: Vec<Answered> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        all.into_iter().next().ok_or_else(|| "it says nothing".to_owned())
    });
    match answered {
        Ok(Answered { status }) => {
            member.is_leader = status.leader == id;
            member.trouble = (status.leader == 0).then(|| "it knows no leader".to_owned());
            (member.version, member.database) = (Some(status.version), Some(status.database));
        }
        Err(why) => member.trouble = Some(why),
    }
    if member.trouble.is_none() && !member.is_learner {
        // It has to ask the others.
        member.trouble = running.ask(machine, &endpoint, &["endpoint", "health"], ASKED).err();
    }
    member
}

#[derive(Deserialize)]
struct SnapshotStatus {
    hash: u64,
    revision: u64,
    #[serde(rename = "totalKey")]
    keys: u64,
}

/// Takes a snapshot, and looks whether it is whole.
pub fn save<M: Machine>(machine: &mut M, file: &Path) -> Result<Outcome, Failure> {
    let failed =
        |why: String| Failure::new(Kind::Failed, format!("cannot save etcd to {}: {why}", file.display()));
    if !file.is_absolute() {
        return Err(Failure::usage(format!("{} is no absolute path", file.display())));
    }
    let place = machine.place(file);
    if place.length.is_some() || place.is_directory {
        return Err(Failure::usage(format!(
            "{} is there already; it is not replaced; give another name",
            file.display()
        )));
    }
    let running = Running::find(machine)?;
    let took_lock = machine.lock("node etcd save")?;
    let unfinished = running.etcd.directory().join(UNFINISHED);
    let done = save_locked(machine, &running, &unfinished, file).and_then(|saved| {
        machine.remove(&unfinished).map_err(|error| error.to_string())?;
        Ok(saved)
    });
    if done.is_err() {
        // Neither half of one, nor one that nobody has said is whole.
        for left in [file, &unfinished, &with_end(&unfinished, ".part")] {
            let _ = machine.remove(left);
        }
    }
    if took_lock {
        let is_empty = machine.entries(Path::new(paths::STATE)).is_none_or(|names| names == ["lock"]);
        let _ = machine.unlock(is_empty);
        if is_empty {
            let _ = machine.remove_directory(Path::new(paths::STATE));
        }
    }
    done.map(Outcome::EtcdSnapshot).map_err(failed)
}

fn save_locked<M: Machine>(
    machine: &mut M,
    running: &Running,
    unfinished: &Path,
    file: &Path,
) -> Result<EtcdSnapshot, String> {
    let text = |error: std::io::Error| error.to_string();
    let name = unfinished.to_string_lossy().into_owned();
    let endpoint = running.etcd.endpoint().to_owned();
    // One that was cut short.
    machine.remove(unfinished).map_err(text)?;
    running.ask(machine, &endpoint, &["snapshot", "save", &name], SAVE)?;
    // Since etcd 3.6 it is another program that looks.
    let program = running.program(machine, "etcdutl").or_else(|| running.program(machine, "etcdctl"));
    let program = program.ok_or("the image of etcd has no etcdctl")?;
    let words = [program, "--write-out=json".to_owned(), "snapshot".to_owned(), "status".to_owned(), name];
    let status = running.run(machine, &words, SAVE)?;
    let status: SnapshotStatus = serde_json::from_str(&status)
        .map_err(|error| format!("etcd cannot read its own snapshot: {error}"))?;
    let digest = |machine: &M, path: &Path| {
        let digest = facts::digest(machine, path).map_err(|failure| failure.message)?;
        digest.ok_or_else(|| format!("{} is not there", path.display()))
    };
    let taken = digest(machine, unfinished)?;
    machine.copy(unfinished, file, Some(0o600)).map_err(text)?;
    let sha256 = digest(machine, file)?;
    if sha256 != taken {
        return Err("what was written is not what was taken".to_owned());
    }
    let bytes = machine.place(file).length.unwrap_or_default();
    let SnapshotStatus { hash, revision, keys } = status;
    Ok(EtcdSnapshot { file: file.to_owned(), bytes, sha256: sha256.to_string(), hash, revision, keys })
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Says how a snapshot is restored on these masters, step by step.
pub fn restore_help<M: Machine>(machine: &mut M, snapshot: Option<&Path>) -> Result<Outcome, Failure> {
    let etcd = Etcd::of(machine)?;
    let known = Running::find(machine).ok().and_then(|running| members(machine, &running).ok());
    let peers = known.as_ref().map(|members| {
        let peers = members.iter().filter(|member| !member.name.is_empty());
        peers.flat_map(|member| member.peer_urls.iter().map(|url| format!("{}={url}", member.name))).collect()
    });
    let runtime = ["containerd", "crio", "docker"].into_iter().find(|runtime| {
        let socket = match *runtime {
            "docker" => "/var/run/docker.sock",
            "crio" => "/var/run/crio/crio.sock",
            _ => "/run/containerd/containerd.sock",
        };
        machine.answers(Path::new(socket))
    });
    let guide = render::etcd::Guide { etcd: &etcd.words, image: &etcd.image, peers, runtime, snapshot };
    Ok(Outcome::Guide { text: guide.text() })
}
