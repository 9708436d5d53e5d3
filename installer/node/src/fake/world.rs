//! What others do meanwhile: kubelet and its pod, the masters, the programs of the machine.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lvscare::certificate::pem_key_hash;
use lvscare::doctor::facts::visit::{Answer, NO_CONNECTION, Visit};
use lvscare::kernel::Kernel as _;
use lvscare::model::SeenService;
use lvscare::question::{self, Question, Reply};
use lvscare::status::Status;
use serde_json::json;

use super::{Fake, Kubeadm};
use crate::facts::installed;
use crate::machine::{Finished, Machine as _};
use crate::package::archive::Archive;
use crate::package::{self};
use crate::paths;
use crate::step::{Content, Digest};

/// A daemon that kubelet has started.
#[derive(Clone, Debug)]
pub struct Pod {
    pub(super) listen: Option<SocketAddr>,
    pub(super) guarded: BTreeMap<SocketAddr, SeenService>,
    pub(super) ends_at: Duration,
}

/// What the masters tell of their cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Its authority's certificate, in PEM.
    pub authority: String,
    /// Where `cluster-info` says that the API is.
    pub server: String,
    /// The `ClusterConfiguration`, in YAML.
    pub configuration: String,
    /// The token that is known.
    pub token: String,
    /// Who was asked for what, and whether the server had to prove itself.
    pub asked: Vec<(SocketAddr, &'static str, bool)>,
}

impl Fake {
    pub(super) fn tell(&mut self, question: &Question<'_>) -> Result<Reply, question::Error> {
        let refused = || question::Error::Connection(io::ErrorKind::ConnectionRefused.into());
        let is_silent = self.silent.contains(&question.server);
        let cluster = self.cluster.as_mut().filter(|_| !is_silent).ok_or_else(refused)?;
        cluster.asked.push((question.server, question.path, question.trust.is_some()));
        let data = match question.trust {
            Some(trust) if pem_key_hash(trust.authority) != pem_key_hash(cluster.authority.as_bytes()) => {
                return Err(refused());
            }
            Some(trust) if trust.token != Some(&cluster.token) => {
                return Ok(Reply { status: 401, body: Vec::new() });
            }
            Some(_) => json!({ "ClusterConfiguration": cluster.configuration }),
            None => {
                let authority = STANDARD.encode(&cluster.authority);
                let shown = json!({ "server": cluster.server, "certificate-authority-data": authority });
                json!({ "kubeconfig": json!({ "clusters": [{ "cluster": shown }] }).to_string() })
            }
        };
        Ok(Reply { status: 200, body: json!({ "data": data }).to_string().into_bytes() })
    }

    pub(super) fn status(&mut self, at: SocketAddr) -> Option<Status> {
        Some(Status::of_kernel(&self.kernel.read(&[at]).ok()?, [&at]))
    }

    /// What kubelet and the daemon do in the meantime.
    pub(super) fn tick(&mut self) {
        let Some(ending) = self.kubelet else { return };
        let now = self.clock.get();
        self.run_others(ending, now);
        if let Some(told) = installed::told(self) {
            let listen = told.config().ok().and_then(|config| config.listen);
            let guarded = match &self.pod {
                Some(pod) => pod.guarded.clone(),
                None => self.kernel.state.services.clone(),
            };
            self.pod = Some(Pod { listen, guarded, ends_at: now + ending });
        }
        match &self.pod {
            Some(pod) if now < pod.ends_at => {
                for (at, service) in &pod.guarded {
                    self.kernel.state.services.entry(*at).or_insert_with(|| service.clone());
                }
            }
            _ => self.pod = None,
        }
    }

    /// Static pods that are none of ours. What has no manifest any more ends after a while.
    fn run_others(&mut self, ending: Duration, now: Duration) {
        let ours = Path::new(paths::POD);
        let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_manifest =
            |path: &&PathBuf| path.parent() == Some(Path::new(paths::MANIFESTS)) && **path != ours;
        for manifest in self.files.keys().filter(is_manifest) {
            if self.others.insert(manifest.clone(), now + ending).is_none() {
                self.lives.push(format!("{} begins", name(manifest)));
            }
        }
        let ended: Vec<_> =
            self.others.iter().filter(|(_, end)| **end < now).map(|(path, _)| path.clone()).collect();
        for manifest in ended {
            self.others.remove(&manifest);
            self.lives.push(format!("{} ends", name(&manifest)));
        }
    }

    /// The static pod that names this port in its manifest, which is there as long as it runs.
    pub(super) fn answers_at(&self, port: u16) -> Option<u16> {
        let port = format!("port: {port}\n");
        let says = |path: &&PathBuf| {
            let moved = Path::new(paths::MOVED).join(path.file_name().unwrap_or_default());
            let manifest = self.files.get(*path).or_else(|| self.files.get(&moved));
            manifest.is_some_and(|content| String::from_utf8_lossy(&content.bytes).contains(&port))
        };
        self.others.keys().find(says).map(|_| 200)
    }

    pub(super) fn etcdctl(&mut self, words: &[String]) -> Finished {
        let line = words.join(" ");
        if let Some((_, name)) = line.split_once("snapshot save ") {
            self.has_file(name, "a snapshot");
        }
        self.calls.push(words.to_vec());
        match self.etcdctl.iter().find(|(part, _)| line.contains(part)).map(|(_, answer)| answer.clone()) {
            Some(Ok(stdout)) => Finished { success: true, stdout, ..Finished::default() },
            Some(Err(stderr)) => Finished { stderr, ..Finished::default() },
            None => Finished { how: "exit status: 1".to_owned(), ..Finished::default() },
        }
    }

    pub(super) fn systemctl(&mut self, words: &[String]) -> Finished {
        self.lives.push(words.join(" "));
        Finished { success: true, ..Finished::default() }
    }

    pub(super) fn visited(&mut self, address: SocketAddr) -> Visit {
        let services = &self.kernel.state.services;
        let answers = match services.get(&address) {
            Some(service) => {
                self.kernel.state.routes.contains_key(&address.ip())
                    && service.destinations.keys().any(|server| !self.silent.contains(server))
            }
            None => !self.silent.contains(&address),
        };
        let answer = if answers {
            Ok(Answer { status: 200, ahead: Some(0) })
        } else {
            Err(format!("{NO_CONNECTION} in 3 s"))
        };
        Visit { address, certificate: None, answer }
    }

    pub(super) fn kubeadm(&mut self, words: &[String]) -> io::Result<Finished> {
        if self.kubeadm == Kubeadm::Absent {
            return Err(io::ErrorKind::NotFound.into());
        }
        if words.first().is_some_and(|word| word == "version") {
            return Ok(Finished {
                success: true,
                stdout: format!("{}\n", self.version),
                ..Finished::default()
            });
        }
        self.try_change(Path::new(paths::KUBELET))?;
        self.calls.push(words.to_vec());
        if !matches!(self.kubeadm, Kubeadm::Refuses | Kubeadm::Lies) {
            self.has_file(paths::KUBELET, "apiVersion: v1\nclusters: []\n");
        }
        match self.kubeadm {
            Kubeadm::JoinsUnwanted => self.cancel.ask(),
            Kubeadm::IsEnded => while self.cancel.ask_again() < 2 {},
            _ => {}
        }
        let success = matches!(self.kubeadm, Kubeadm::Joins | Kubeadm::JoinsUnwanted | Kubeadm::Lies);
        let how = match self.kubeadm {
            Kubeadm::IsEnded => "signal: 15 (SIGTERM)",
            _ if success => "exit status: 0",
            _ => "exit status: 1",
        };
        Ok(Finished { success, how: how.to_owned(), ..Finished::default() })
    }

    /// As the real one does it: by the same reader, and all or nothing.
    pub(super) fn unpack_files(&mut self, archive: &Path, sha256: &Digest) -> Result<(), package::Error> {
        let top = paths::package(sha256);
        let write = |source| package::Error::Write { path: top.clone(), source };
        let content = self.read(archive).and_then(|content| content.ok_or(io::ErrorKind::NotFound.into()));
        let content = content.map_err(package::Error::Read)?;
        if content.digest() != *sha256 {
            return Err(package::Error::Other { wanted: *sha256, found: content.digest() });
        }
        self.try_change(&top).map_err(write)?;
        let mut archive = Archive::new(content.bytes.as_slice())?;
        let mut files = Vec::new();
        while let Some(entry) = archive.next_entry()? {
            if let package::names::Kind::File { executable, .. } = entry.kind {
                let mut bytes = Vec::new();
                io::Read::read_to_end(&mut archive, &mut bytes).map_err(package::Error::Read)?;
                files.push((
                    top.join(entry.path),
                    Content::new(bytes, if executable { 0o755 } else { 0o644 }),
                ));
            }
        }
        for (path, content) in files {
            self.directories.extend(path.ancestors().skip(1).map(Path::to_owned));
            self.files.insert(path, content);
        }
        Ok(())
    }

    pub(super) fn ctr(&mut self, words: &[String]) -> io::Result<Finished> {
        let imports = words.iter().any(|word| word == "import");
        if imports && self.images.is_some() {
            self.try_change(Path::new("/var/lib/containerd"))?;
        }
        let Some(images) = &mut self.images else { return Err(io::ErrorKind::NotFound.into()) };
        if imports {
            let archive = words.last().and_then(|path| self.files.get(Path::new(path)));
            match archive.map(|archive| package::images::images(archive.bytes.as_slice())) {
                Some(Ok(found)) => images.extend(found.into_iter().map(|image| image.name)),
                _ => drop(images.insert(self.archived.clone())),
            }
        }
        let stdout = images.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        Ok(Finished { success: true, stdout, ..Finished::default() })
    }
}
