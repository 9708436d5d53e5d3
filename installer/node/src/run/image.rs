//! The image on the node: a client of the container runtime imports it; kubelet would have to pull it.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use crate::api::{Failure, Kind};
use crate::machine::{Machine, Program};
use crate::spec::image::full_name;

/// How long a runtime may take to list its images.
const LIST: Duration = Duration::from_secs(15);
/// How long it may take to unpack one.
const IMPORT: Duration = Duration::from_secs(1800);

/// Clients of container runtimes: the end of the runtime's socket, the client, what comes before every command, the
/// commands that list and that import. A client that answers has the right runtime.
const CLIENTS: [Client; 4] = [
    Client {
        socket: "containerd.sock",
        name: "ctr",
        at: Some("--address"),
        before: &["--namespace", "k8s.io"],
        list: &["images", "list", "--quiet"],
        import: &["images", "import"],
    },
    Client {
        socket: "containerd.sock",
        name: "nerdctl",
        at: Some("--address"),
        before: &["--namespace", "k8s.io"],
        list: &["images", "--format", "{{.Repository}}:{{.Tag}}"],
        import: &["load", "--input"],
    },
    // CRI-O and podman have one store.
    Client {
        socket: "crio.sock",
        name: "podman",
        at: None,
        before: &[],
        list: &["images", "--format", "{{.Repository}}:{{.Tag}}"],
        import: &["load", "--input"],
    },
    Client {
        socket: "docker",
        name: "docker",
        at: None,
        before: &[],
        list: &["images", "--format", "{{.Repository}}:{{.Tag}}"],
        import: &["load", "--input"],
    },
];

#[derive(Clone, Copy, Debug)]
struct Client {
    socket: &'static str,
    name: &'static str,
    at: Option<&'static str>,
    before: &'static [&'static str],
    list: &'static [&'static str],
    import: &'static [&'static str],
}

/// A way to give the node an image.
#[derive(Clone, Debug)]
pub struct Importer {
    client: Client,
    socket: String,
}

impl Importer {
    /// Looks for one among the sockets of container runtimes at which somebody answers.
    pub fn find<M: Machine>(machine: &mut M, sockets: &[&str]) -> Option<Self> {
        let sockets = sockets.iter().map(|socket| socket.strip_prefix("unix://").unwrap_or(socket));
        let answering: Vec<_> = sockets.filter(|socket| machine.answers(Path::new(socket))).collect();
        for socket in answering {
            for client in CLIENTS.into_iter().filter(|client| socket.contains(client.socket)) {
                let importer = Self { client, socket: socket.to_owned() };
                if importer.images(machine).is_some() {
                    return Some(importer);
                }
            }
        }
        None
    }

    /// Whether the image is there; `None` when the runtime does not say.
    pub fn has<M: Machine>(&self, machine: &mut M, image: &str) -> Option<bool> {
        Some(self.lacks(machine, &[image.to_owned()])?.is_empty())
    }

    /// Those that are not there, by their whole names; `None` when the runtime does not say.
    pub fn lacks<M: Machine>(&self, machine: &mut M, images: &[String]) -> Option<Vec<String>> {
        let list = self.images(machine)?;
        let there: HashSet<_> = list.lines().map(|line| full_name(line.trim())).collect();
        Some(images.iter().map(|image| full_name(image)).filter(|image| !there.contains(image)).collect())
    }

    /// Imports the archive, which must hold the images.
    pub fn import<M: Machine>(
        &self,
        machine: &mut M,
        archive: &Path,
        images: &[String],
    ) -> Result<(), Failure> {
        let failed = |why: &str| {
            let (client, archive) = (self.client.name, archive.display());
            Failure::new(Kind::Image, format!("cannot import {archive}: {client}: {why}"))
        };
        let finished =
            machine.run(&self.import_program(archive)).map_err(|error| failed(&error.to_string()))?;
        if !finished.success {
            return Err(failed(finished.complaint()));
        }
        match self.lacks(machine, images).unwrap_or_default().first() {
            Some(image) => {
                Err(failed(&format!("it holds no image {image}; say with --image which one it holds")))
            }
            None => Ok(()),
        }
    }

    /// What imports the archive.
    pub fn import_program(&self, archive: &Path) -> Program {
        let archive = archive.to_string_lossy();
        let words: Vec<&str> = self.client.import.iter().copied().chain([&*archive]).collect();
        self.program(&words, IMPORT)
    }

    fn images<M: Machine>(&self, machine: &mut M) -> Option<String> {
        let finished = machine.run(&self.program(self.client.list, LIST)).ok()?;
        finished.success.then_some(finished.stdout)
    }

    fn program(&self, words: &[&str], limit: Duration) -> Program {
        let at = self.client.at.into_iter().flat_map(|option| [option, self.socket.as_str()]);
        let words: Vec<&str> =
            at.chain(self.client.before.iter().copied()).chain(words.iter().copied()).collect();
        Program::asked(self.client.name, &words, limit)
    }
}
