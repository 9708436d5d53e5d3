//! The guest machine: a kernel with IPVS for hosts that have none, or that should be left alone.
//!
//! ```text
//! cargo.rs    builds tests and programs as static executables
//! debian.rs   Debian's packages, unpacked
//! kernel.rs   its kernel and the modules we need
//! image.rs    packs all of them, and the host's own tools, into an archive (cpio.rs)
//! disk.rs     instead: a disk that outlives a reboot, and the archive that mounts it
//! qemu.rs     boots it and reads the verdict that bin/init.rs prints
//! ```

#![allow(clippy::print_stderr, reason = "what takes long says so")]

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

mod cargo;
mod cpio;
mod debian;
mod disk;
mod image;
mod kernel;
mod qemu;

pub use cargo::{Built, Request, build, target_directory};
pub use debian::Tree;
pub use disk::{format, pack_mount};
pub use image::pack;
pub use kernel::Kernel;
pub use qemu::{Clock, Machine, Verdict};

/// Where the guest finds its [`Plan`].
pub const PLAN: &str = "/etc/plan.json";

/// The line with which the guest's first process says that everything went well.
pub const SUCCESS: &str = "init: success";

/// The line with which it says that something did not.
pub const FAILURE: &str = "init: failure";

/// What the guest runs, one command after the other.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Plan {
    /// Each a program and its arguments.
    pub commands: Vec<Vec<String>>,
}

/// An executable and the name it goes by.
#[derive(Clone, Debug)]
pub struct Program {
    /// The name in the guest's `/bin`.
    pub name: String,
    /// Where the host has it.
    pub path: PathBuf,
}

/// Runs a command to its end and returns what it wrote; its complaints are in the error if it failed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}: run tests/install.sh"))?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Looks a tool up where administrators' tools live, even if the caller's PATH leaves those out.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut candidates = places.map(|place| place.join(name));
    candidates.find(|path| path.is_file()).with_context(|| format!("no {name} here: run tests/install.sh"))
}
