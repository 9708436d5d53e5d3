//! The steps by which a machine is changed. A plan is a list of them: it can be told instead of done.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lvscare::model::Change;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use similar::TextDiff;

/// One step. Its `Display` is what people see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields carry the names of what they hold")]
pub enum Step {
    /// Have the kernel load a module.
    LoadModule { name: String },
    /// Set a kernel setting; `before` is `None` while its module is not loaded.
    SetSysctl { name: String, before: Option<String>, after: String },
    /// Change the route or the IPVS table.
    Rule(Change),
    /// Make a directory, and those above it.
    MakeDirectory { path: PathBuf },
    /// Remove a directory, if nothing is in it.
    RemoveDirectory { path: PathBuf },
    /// Give a file its content. It may be a secret one, whose content is never shown.
    WriteFile { path: PathBuf, before: Option<Content>, after: Content, secret: bool },
    /// Change our entries in the hosts file, whatever else stands there by then.
    EditHosts { edit: HostsEdit, before: Option<Content>, after: Content },
    /// Remove a file.
    RemoveFile { path: PathBuf },
    /// Give a program, which may be long, the content of the file `from`; without `mode` also its owner and permissions.
    InstallProgram { from: PathBuf, path: PathBuf, mode: Option<u32> },
    /// Unpack a package, if it has this SHA-256.
    UnpackPackage { archive: PathBuf, sha256: Digest },
    /// Give the container runtime the images of an archive, these among them.
    ImportImages { archive: PathBuf, images: Vec<String> },
    /// Give a file its certificates made anew; `what` is different. The old file is kept.
    RenewCertificates { path: PathBuf, after: Content, what: String },
    /// Have kubelet make a static pod anew, which then reads its files.
    RestartPod { manifest: PathBuf },
    /// Restart kubelet, which then reads its files.
    RestartKubelet,
    /// Have kubeadm join; `config` is what it is told, without secrets.
    Join { words: Vec<String>, config: String },
}

/// A step, done or planned, as it may be shown: never with a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// A stable name of the kind of step, for programs.
    pub kind: String,
    /// What people see.
    pub text: String,
    /// What it changes in its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// A change of our entries in the hosts file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields carry the names of what they hold")]
pub enum HostsEdit {
    /// Have a name mean an address; `force` covers others' lines of that name.
    Set { name: String, address: IpAddr, force: bool },
    /// Take a name out.
    Unset { name: String },
}

impl HostsEdit {
    /// The name that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Set { name, .. } | Self::Unset { name } => name,
        }
    }
}

impl Step {
    /// A stable name of the kind of step, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::LoadModule { .. } => "load-module",
            Self::SetSysctl { .. } => "set-sysctl",
            Self::Rule(_) => "rule",
            Self::MakeDirectory { .. } => "make-directory",
            Self::RemoveDirectory { .. } => "remove-directory",
            Self::WriteFile { .. } | Self::EditHosts { .. } => "write-file",
            Self::RemoveFile { .. } => "remove-file",
            Self::InstallProgram { .. } => "install-program",
            Self::UnpackPackage { .. } => "unpack-package",
            Self::ImportImages { .. } => "import-image",
            Self::RenewCertificates { .. } => "renew-certificates",
            Self::RestartPod { .. } => "restart-pod",
            Self::RestartKubelet => "restart-kubelet",
            Self::Join { .. } => "kubeadm-join",
        }
    }

    /// The real server that the step is about.
    pub fn server(&self) -> Option<SocketAddr> {
        match self {
            Self::Rule(
                Change::AddServer { server, .. }
                | Change::UpdateServer { server, .. }
                | Change::RemoveServer { server, .. },
            ) => Some(*server),
            _ => None,
        }
    }

    /// As it may be told to anybody.
    pub fn report(&self) -> StepReport {
        StepReport { kind: self.kind().to_owned(), text: self.to_string(), diff: self.diff() }
    }

    /// What is different afterwards, as a unified diff; nothing for steps that write no file, and for secrets.
    pub fn diff(&self) -> Option<String> {
        let (path, before, after) = match self {
            Self::WriteFile { path, before, after, secret: false } => (path.as_path(), before, after),
            Self::EditHosts { before, after, .. } => (Path::new(crate::paths::HOSTS), before, after),
            Self::Join { config, .. } => return Some(config.clone()),
            _ => return None,
        };
        let text = |content: &Content| String::from_utf8_lossy(&content.bytes).into_owned();
        let (old, new) = (before.as_ref().map(text).unwrap_or_default(), text(after));
        let from = if before.is_some() { path } else { Path::new("/dev/null") };
        let names = (from.display().to_string(), path.display().to_string());
        Some(TextDiff::from_lines(&old, &new).unified_diff().header(&names.0, &names.1).to_string())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |f: &mut fmt::Formatter<'_>, path: &Path, before: &Option<Content>, after: &Content| {
            let verb = if before.is_some() { "change" } else { "write" };
            write!(f, "{verb} {} (mode {:04o})", path.display(), after.mode)
        };
        match self {
            Self::LoadModule { name } => write!(f, "load module {name}"),
            Self::SetSysctl { name, before: Some(before), after } => {
                write!(f, "set {name} = {after} (was {before})")
            }
            Self::SetSysctl { name, before: None, after } => write!(f, "set {name} = {after}"),
            Self::Rule(change) => change.fmt(f),
            Self::MakeDirectory { path } => write!(f, "make directory {}", path.display()),
            Self::RemoveDirectory { path } => write!(f, "remove directory {}", path.display()),
            Self::WriteFile { path, before, after, .. } => write(f, path, before, after),
            Self::EditHosts { before, after, .. } => write(f, Path::new(crate::paths::HOSTS), before, after),
            Self::RemoveFile { path } => write!(f, "remove {}", path.display()),
            Self::InstallProgram { path, mode: Some(mode), .. } => {
                write!(f, "install {} (mode {mode:04o})", path.display())
            }
            Self::InstallProgram { path, mode: None, .. } => write!(f, "put back {}", path.display()),
            Self::UnpackPackage { archive, .. } => write!(f, "unpack {}", archive.display()),
            Self::ImportImages { archive, images } => {
                let what = if images.len() == 1 { "the image" } else { "the images" };
                write!(f, "import {what} of {}", archive.display())
            }
            Self::RenewCertificates { path, what, .. } => write!(f, "renew {}: {what}", path.display()),
            Self::RestartPod { manifest } => {
                let name = manifest.file_stem().unwrap_or_default().to_string_lossy();
                write!(f, "restart the static pod {name}")
            }
            Self::RestartKubelet => f.write_str("restart kubelet"),
            Self::Join { words, .. } => write!(f, "run kubeadm {}", words.join(" ")),
        }
    }
}

/// A file as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Every byte of it.
    #[serde(with = "base64")]
    pub bytes: Vec<u8>,
    /// Its permissions, such as `0o644`.
    pub mode: u32,
    /// Its owner's number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
}

impl Content {
    /// A file of root's.
    pub fn new(bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        Self { bytes: bytes.into(), mode, uid: 0, gid: 0 }
    }

    /// Of what it holds.
    pub fn digest(&self) -> Digest {
        Digest::of(&digest(&SHA256, &self.bytes))
    }
}

/// The SHA-256 of what a file holds. Its `Display` is in hexadecimal, as `sha256sum` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// As it was computed.
    pub fn of(digest: &ring::digest::Digest) -> Self {
        let mut bytes = [0; 32];
        for (byte, computed) in bytes.iter_mut().zip(digest.as_ref()) {
            *byte = *computed;
        }
        Self(bytes)
    }

    /// Every byte of it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a SHA-256 of 64 hexadecimal digits");
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Bytes within JSON.
pub(crate) mod base64 {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
