//! Which files hold certificates. They are looked for, not listed: so no version of Kubernetes needs a list here.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::api::certificates::Unreadable;
use crate::api::{Failure, Kind};
use crate::machine::Machine;
use crate::paths;
use crate::step::Content;

/// How deep the directory is looked into. kubeadm's has one directory in it.
const MAX_DEPTH: usize = 4;

/// More files than that are of somebody who means no good.
const MAX_FILES: usize = 500;

/// Longer files are no certificates.
const MAX_BYTES: usize = super::pem::MAX_BYTES;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Certificates, their key beside it.
    Certificate,
    /// A kubeconfig of the cluster.
    Kubeconfig,
    /// Somebody's own kubeconfig, which may be about other clusters as well.
    Copy,
    /// kubelet's own certificate and key. kubelet renews it, as long as it is not over.
    Kubelet,
}

/// A file. It may hold a key, which is for nobody's log.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// What it holds.
    pub content: Content,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored").field("path", &self.path).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// All that there is.
#[derive(Clone, Default)]
pub struct Found {
    /// The files, authorities and certificates first.
    pub files: Vec<Stored>,
    /// The keys, by the certificate that each lies beside.
    pub keys: BTreeMap<PathBuf, Content>,
    /// What cannot be read.
    pub unreadable: Vec<Unreadable>,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Found");
        all.field("files", &self.files).field("unreadable", &self.unreadable).finish_non_exhaustive()
    }
}

/// Looks at all of them.
pub fn find<M: Machine>(machine: &M) -> Result<Found, Failure> {
    let mut found = Found::default();
    let mut paths = Vec::new();
    walk(machine, Path::new(paths::PKI), 0, &mut paths)?;
    for path in paths {
        if take(machine, &mut found, &path, FileKind::Certificate)? {
            let beside = path.with_extension("key");
            if let Some(key) = read(machine, &mut found, &beside)? {
                found.keys.insert(path, key);
            }
        }
    }
    let directory = Path::new(paths::KUBERNETES);
    for name in machine.entries(directory).unwrap_or_default() {
        let path = directory.join(name);
        if path.extension().is_some_and(|end| end == "conf") {
            take(machine, &mut found, &path, FileKind::Kubeconfig)?;
        }
    }
    take(machine, &mut found, Path::new(paths::ROOTS_KUBECONFIG), FileKind::Copy)?;
    take(machine, &mut found, Path::new(paths::KUBELET_CLIENT), FileKind::Kubelet)?;
    Ok(found)
}

fn walk<M: Machine>(
    machine: &M,
    directory: &Path,
    depth: usize,
    all: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    let Some(names) = machine.entries(directory) else { return Ok(()) };
    let (files, others): (Vec<_>, Vec<_>) =
        names.into_iter().map(|name| directory.join(name)).partition(|path| is_certificate(path));
    all.extend(files);
    if all.len() > MAX_FILES {
        let text = format!("there are more than {MAX_FILES} certificates in {}", paths::PKI);
        return Err(Failure::new(Kind::Invalid, text));
    }
    for path in others.iter().filter(|_| depth < MAX_DEPTH) {
        walk(machine, path, depth + 1, all)?;
    }
    Ok(())
}

fn is_certificate(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "crt")
}

/// Takes a file in, if it is there. Returns whether it is.
fn take<M: Machine>(machine: &M, found: &mut Found, path: &Path, kind: FileKind) -> Result<bool, Failure> {
    let Some(content) = read(machine, found, path)? else { return Ok(false) };
    found.files.push(Stored { path: path.to_owned(), kind, content });
    Ok(true)
}

fn read<M: Machine>(machine: &M, found: &mut Found, path: &Path) -> Result<Option<Content>, Failure> {
    let why = match machine.read(path) {
        Ok(Some(content)) if content.bytes.len() > MAX_BYTES => {
            format!("it is longer than {MAX_BYTES} bytes")
        }
        Ok(content) => return Ok(content),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Failure::io(format_args!("read {}", path.display()), &error));
        }
        Err(error) => error.to_string(),
    };
    found.unreadable.push(Unreadable { file: path.to_owned(), why });
    Ok(None)
}
