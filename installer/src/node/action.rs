//! The steps by which a node is changed. A plan is a list of them: it can be printed instead of done.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lvscare::model::Change;
use serde::ser::{Serialize, SerializeMap, Serializer};
use similar::TextDiff;

use crate::files::Content;

/// One step. Its `Display` is what people see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields carry the names of what they hold")]
pub enum Action {
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
    /// Remove a file.
    RemoveFile { path: PathBuf },
    /// Give the container runtime an image.
    ImportImage { archive: PathBuf },
}

impl Action {
    /// A stable name of the kind of step, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::LoadModule { .. } => "load-module",
            Self::SetSysctl { .. } => "set-sysctl",
            Self::Rule(_) => "rule",
            Self::MakeDirectory { .. } => "make-directory",
            Self::RemoveDirectory { .. } => "remove-directory",
            Self::WriteFile { .. } => "write-file",
            Self::RemoveFile { .. } => "remove-file",
            Self::ImportImage { .. } => "import-image",
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

    /// What is different afterwards, as a unified diff; nothing for steps that write no file, and for secrets.
    pub fn diff(&self) -> Option<String> {
        let Self::WriteFile { path, before, after, secret: false } = self else { return None };
        let text = |content: &Content| String::from_utf8_lossy(&content.bytes).into_owned();
        let (old, new) = (before.as_ref().map(text).unwrap_or_default(), text(after));
        let from = if before.is_some() { path.as_path() } else { Path::new("/dev/null") };
        let names = (from.display().to_string(), path.display().to_string());
        Some(TextDiff::from_lines(&old, &new).unified_diff().header(&names.0, &names.1).to_string())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoadModule { name } => write!(f, "load module {name}"),
            Self::SetSysctl { name, before: Some(before), after } => {
                write!(f, "set {name} = {after} (was {before})")
            }
            Self::SetSysctl { name, before: None, after } => write!(f, "set {name} = {after}"),
            Self::Rule(change) => change.fmt(f),
            Self::MakeDirectory { path } => write!(f, "make directory {}", path.display()),
            Self::RemoveDirectory { path } => write!(f, "remove directory {}", path.display()),
            Self::WriteFile { path, before, after, .. } => {
                let verb = if before.is_some() { "change" } else { "write" };
                write!(f, "{verb} {} (mode {:04o})", path.display(), after.mode)
            }
            Self::RemoveFile { path } => write!(f, "remove {}", path.display()),
            Self::ImportImage { archive } => write!(f, "import the image of {}", archive.display()),
        }
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind())?;
        map.serialize_entry("text", &self.to_string())?;
        if let Some(diff) = self.diff() {
            map.serialize_entry("diff", &diff)?;
        }
        map.end()
    }
}
