//! The image that every pod stands on, made from a static program of this machine: no registry is asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::vm::{find, output};

/// Its name; containerd's configuration in `kubernetes/guest` has the same.
const NAME: &str = "localhost/pause:1";

const DOCKERFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kubernetes/pause/Dockerfile");

/// Makes the archive below `work`, unless it is there.
pub fn make(work: &Path) -> Result<PathBuf> {
    let archive = work.join("pause.oci.tar");
    if archive.exists() {
        return Ok(archive);
    }
    let scratch = tempfile::tempdir()?;
    let context = scratch.path().join("context");
    fs::create_dir(&context)?;
    fs::copy(find("busybox")?, context.join("busybox"))?;
    let buildah = |words: &[&str]| {
        let mut command = Command::new("buildah");
        command
            .arg("--root")
            .arg(scratch.path().join("root"))
            .arg("--runroot")
            .arg(scratch.path().join("run"));
        command.args(["--storage-driver", "vfs"]).args(words);
        output(command.current_dir(&context))
    };
    let isolation = ["build", "--quiet", "--isolation", "chroot", "--format", "oci", "--file", DOCKERFILE];
    buildah(&[&isolation[..], &["--tag", NAME, "."]].concat())?;
    let complete = scratch.path().join("pause.tar");
    buildah(&["push", "--quiet", NAME, &format!("oci-archive:{}:{NAME}", complete.display())])?;
    fs::copy(complete, &archive)?;
    Ok(archive)
}
