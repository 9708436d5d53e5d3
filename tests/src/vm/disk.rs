//! A guest with a disk: what is changed there is still there after a reboot.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::cpio::Archive;
use super::image::{BUSYBOX, Writer, copy, tree};
use super::{Kernel, find, output};

/// What stands between this kernel and its disk; ext4 is built in.
const MODULES: &[&str] = &["virtio_pci", "virtio_blk"];

/// Mounts the disk and hands over to systemd there.
const INIT: &[u8] = include_bytes!("mount.sh");

/// Makes a disk of `size`, as `mke2fs` writes sizes, with everything below `root`. It takes no more than is in it.
pub fn format(disk: &Path, root: &Path, size: &str) -> Result<()> {
    // A file from before would keep its old size.
    let _ = fs::remove_file(disk);
    let mut command = Command::new(find("mke2fs")?);
    command.args(["-q", "-t", "ext4", "-L", "root", "-d"]).arg(root).arg(disk).arg(size);
    output(&mut command).map(drop)
}

/// Writes the archive that mounts such a disk to `out`.
pub fn pack_mount(out: File, kernel: &Kernel) -> Result<()> {
    let mut archive: Writer = Archive::new(BufWriter::new(out));
    archive.file("/init", 0o755, INIT)?;
    copy(&mut archive, BUSYBOX, &find("busybox")?)?;
    let staged = tempfile::tempdir()?;
    kernel.stage(MODULES, staged.path())?;
    tree(&mut archive, staged.path())?;
    archive.finish()?;
    Ok(())
}
