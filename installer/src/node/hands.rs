//! The one place where a node is changed.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Command, Stdio};

use lvscare::exit::{Exit, Failure};
use lvscare::kernel::{Error, Kernel, Linux};
use lvscare::model::Actual;

use super::action::Action;
use super::facts;
use super::journal::Original;
use super::paths::{self, Root};
use super::wanted::Wanted;
use crate::{files, image};

/// Does steps on the node below `root`.
#[derive(Debug)]
pub struct Hands {
    root: Root,
    kernel: Option<Linux>,
}

impl Hands {
    /// Nothing is opened before it is needed.
    pub fn new(root: Root) -> Self {
        Self { root, kernel: None }
    }

    /// How the thing that `action` is about to change is now; nothing for what cannot or need not be undone.
    pub fn original(&mut self, action: &Action, wanted: &Wanted) -> Result<Option<Original>, Failure> {
        Ok(match action {
            Action::LoadModule { .. } | Action::ImportImage { .. } | Action::RemoveDirectory { .. } => None,
            Action::MakeDirectory { path } => Some(Original::Directory { path: path.clone() }),
            Action::WriteFile { path, .. } | Action::RemoveFile { path } => {
                let before = facts::read(&self.root, &path.to_string_lossy())?;
                match &wanted.hosts {
                    Some((name, _)) if path == Path::new(paths::HOSTS) && before.is_some() => {
                        Some(Original::HostsEntry { path: path.clone(), name: name.clone() })
                    }
                    _ => Some(Original::File { path: path.clone(), before }),
                }
            }
            // Asked now: what a module brings is not there before it is loaded.
            Action::SetSysctl { name, .. } => {
                let before = facts::sysctl(&self.root, name);
                before.map(|before| Original::Sysctl { name: name.clone(), before })
            }
            Action::Rule(_) => match wanted.services().first() {
                Some(&at) => Some(Original::rules(at, wanted.config.listen, &self.read_rules(at)?)),
                None => None,
            },
        })
    }

    /// What the kernel has at a virtual server.
    pub fn read_rules(&mut self, at: SocketAddr) -> Result<Actual, Failure> {
        Ok(self.kernel()?.read(&[at])?)
    }

    /// Does one step. Whatever went wrong, the thing is as before or as it shall be.
    pub fn perform(&mut self, action: &Action) -> Result<(), Failure> {
        let failed = |error: &io::Error| Failure::new(Exit::Failed, format!("cannot {action}: {error}"));
        match action {
            Action::LoadModule { name } => load(&self.root, name),
            Action::SetSysctl { name, after, .. } => {
                fs::write(self.root.join(&facts::sysctl_path(name)), after).map_err(|error| failed(&error))
            }
            Action::Rule(change) => match self.kernel()?.apply(change) {
                // The daemon, or another hand, was faster; what is there is verified at the end.
                Err(Error::Raced(_)) | Ok(()) => Ok(()),
                Err(error) => Err(error.into()),
            },
            Action::MakeDirectory { path } => {
                let path = self.root.join(path);
                let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
                made.map_err(|error| failed(&error))
            }
            Action::RemoveDirectory { path } => match fs::remove_dir(self.root.join(path)) {
                Err(error) if !is_fine(&error) => Err(failed(&error)),
                _ => Ok(()),
            },
            Action::WriteFile { path, after, .. } => {
                let (path, staging) = (self.root.join(path), self.root.join(paths::staging(path)));
                files::write(&path, &staging, after).map_err(|error| failed(&error))
            }
            Action::RemoveFile { path } => {
                files::remove(&self.root.join(path)).map_err(|error| failed(&error))
            }
            Action::ImportImage { archive } => image::import(archive),
        }
    }

    fn kernel(&mut self) -> Result<&mut Linux, Failure> {
        if self.kernel.is_none() {
            self.kernel = Some(Linux::open()?);
        }
        self.kernel.as_mut().ok_or_else(|| Failure::new(Exit::Failed, "the kernel cannot be asked"))
    }
}

/// A directory that others use meanwhile stays.
fn is_fine(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty)
}

/// Asking for IPVS makes Linux 5.15 and later load it; otherwise the host's own `modprobe` does.
fn load(root: &Root, name: &str) -> Result<(), Failure> {
    if name == "ip_vs" && Linux::open().is_ok() {
        return Ok(());
    }
    if facts::is_loaded(root, name) {
        return Ok(());
    }
    let lacking = |why: String| {
        let help = "install the kernel's modules, or use a kernel that has them";
        Failure::new(Exit::KernelLacksPart, format!("cannot load the module {name}: {why}; {help}"))
    };
    let output = Command::new("modprobe").arg("--").arg(name).stdin(Stdio::null()).output();
    let output = output.map_err(|error| lacking(format!("modprobe: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(lacking(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
