//! What is in a package: everything that can be known without unpacking it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::archive::Archive;
use super::images::{self, Image};
use super::names::Kind;
use super::program::{Arch, HEAD_BYTES};
use super::{Error, SUMS};
use crate::spec::version::KubernetesVersion;
use crate::step::Digest;

/// Files of the package that are read as text are no longer, in bytes.
const MAX_TEXT: usize = 16 << 20;

/// A package.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// Of the archive.
    pub sha256: Digest,
    /// The length of the archive in bytes.
    pub bytes: u64,
    /// The length of all files in it, in bytes.
    pub unpacked: u64,
    /// Its files, by their paths.
    pub files: BTreeMap<String, FileFacts>,
    /// Archives of images, and what is in them or why that cannot be told.
    pub images: BTreeMap<String, Result<Vec<Image>, String>>,
    /// What `SHA256SUMS` says, if it is there, and why a line of it says nothing.
    pub sums: Option<Result<BTreeMap<String, Digest>, String>>,
    /// The version of Kubernetes that `Metadata` names, if it is there.
    pub metadata: Option<String>,
}

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its length in bytes.
    pub size: u64,
    /// Of what it holds.
    pub sha256: Digest,
    /// Whether it can be run.
    pub executable: bool,
    /// For which processor, if it is a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
}

/// The metadata of a package of sealos 3, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "k8sVersion")]
    version: String,
}

impl Package {
    /// Every image in it.
    pub fn all_images(&self) -> impl Iterator<Item = &Image> {
        self.images.values().flatten().flatten()
    }

    /// Versions of Kubernetes that it says it is of, and who says so.
    pub fn versions(&self) -> Vec<(KubernetesVersion, String)> {
        let mut versions = Vec::new();
        if let Some(version) = self.metadata.as_ref().and_then(|text| text.parse().ok()) {
            versions.push((version, "Metadata".to_owned()));
        }
        for image in self.all_images() {
            let tag = image.name.rsplit_once("/kube-apiserver:").map(|(_, tag)| tag);
            if let Some(version) = tag.and_then(|tag| tag.parse().ok()) {
                versions.push((version, image.name.clone()));
            }
        }
        versions
    }
}

/// Reads all of an archive.
pub fn read(path: &Path) -> Result<Package, Error> {
    let file = open(path)?;
    let mut archive = Archive::new(Hashing::new(file))?;
    let (mut files, mut images) = (BTreeMap::<String, FileFacts>::new(), BTreeMap::new());
    let (mut sums, mut metadata) = (None, None);
    while let Some(entry) = archive.next_entry()? {
        let (size, executable) = match entry.kind {
            Kind::File { size, executable } => (size, executable),
            Kind::HardLink { target } => {
                if let Some(facts) = files.get(&target).cloned() {
                    files.insert(entry.path, facts);
                }
                continue;
            }
            Kind::Directory | Kind::Symlink { .. } => continue,
        };
        let is_text = [SUMS, "Metadata"].contains(&&*entry.path);
        let mut content = Content::new(&mut archive, if is_text { MAX_TEXT } else { HEAD_BYTES });
        if is_images(&entry.path) {
            let found = images::images(&mut content).map_err(|error| error.to_string());
            images.insert(entry.path.clone(), found);
        }
        let drained = io::copy(&mut content, &mut io::sink());
        let Content { hash, head, .. } = content;
        drained.map_err(|error| archive.wrong(error))?;
        match &*entry.path {
            SUMS => {
                sums = Some(parse_sums(&head));
                continue;
            }
            "Metadata" => metadata = serde_json::from_slice(&head).ok().map(|Metadata { version }| version),
            _ => {}
        }
        let is_program = entry.path.starts_with("bin/");
        let arch = if is_program { Arch::of_program(&head) } else { None };
        files.insert(entry.path, FileFacts { size, sha256: Digest::of(&hash.finish()), executable, arch });
    }
    let unpacked = archive.files();
    let (sha256, bytes) = archive.into_inner().finish();
    Ok(Package { sha256, bytes, unpacked, files, images, sums, metadata })
}

/// A regular file; opening anything else may wait for ever.
pub(crate) fn open(path: &Path) -> Result<File, Error> {
    if !path.metadata().map_err(Error::Read)?.is_file() {
        return Err(Error::Read(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    File::open(path).map_err(Error::Read)
}

/// Whether a file of a package is an archive of images.
pub fn is_images(path: &str) -> bool {
    let name = path.strip_prefix("images/").unwrap_or_default();
    [".tar", ".tar.gz", ".tgz", ".tar.zst"].iter().any(|end| name.ends_with(end))
}

/// Lines of `HASH  PATH`, as `sha256sum` writes them.
fn parse_sums(text: &[u8]) -> Result<BTreeMap<String, Digest>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut sums = BTreeMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let (hash, path) = line.split_once(' ').unwrap_or_default();
        let path = path.strip_prefix([' ', '*']).unwrap_or(path);
        let path = path.strip_prefix("./").unwrap_or(path);
        let wrong = || format!("line {} is not a hash, two blanks and a path", index + 1);
        let digest = hash.parse().map_err(|_| wrong())?;
        if path.is_empty() {
            return Err(wrong());
        }
        sums.insert(path.to_owned(), digest);
    }
    Ok(sums)
}

/// Hashes what is read through it.
pub(super) struct Hashing<R> {
    source: R,
    hash: Context,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, hash: Context::new(&SHA256), bytes: 0 }
    }

    /// The hash and the length of all that was read.
    pub(super) fn finish(self) -> (Digest, u64) {
        (Digest::of(&self.hash.finish()), self.bytes)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

/// The content of an entry: hashed, and its beginning kept.
struct Content<'a, R> {
    archive: &'a mut Archive<R>,
    hash: Context,
    head: Vec<u8>,
    keep: usize,
}

impl<'a, R> Content<'a, R> {
    fn new(archive: &'a mut Archive<R>, keep: usize) -> Self {
        Self { archive, hash: Context::new(&SHA256), head: Vec::new(), keep }
    }
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.archive.read(buffer)?;
        self.hash.update(&buffer[..count]);
        let kept = (self.keep - self.head.len()).min(count);
        self.head.extend_from_slice(&buffer[..kept]);
        Ok(count)
    }
}
