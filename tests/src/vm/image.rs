//! Packs the guest's whole world into one archive: our programs, the host's tools, the kernel's modules.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::{Built, Kernel, PLAN, Plan, Program, Tree, find, output};

/// Programs of the host that tests call by name. Each brings the libraries it is linked with.
///
/// `kmod` is what the kernel calls to load a module; of two that want the same module, busybox's own lets the second
/// go on before it is ready. `sh` is the host's because busybox's prefers its own poorer `ip` to the one in the PATH.
const TOOLS: &[&str] = &["bash", "ip", "ipvsadm", "kmod", "nft", "nice", "sh", "ss", "tc"];

/// A static program that stands for all other small ones.
pub(super) const BUSYBOX: &str = "/bin/busybox";

/// Where the kernel looks for its module loader.
const MODPROBE: &str = "/sbin/modprobe";

const FILES: &[(&str, &str)] = &[
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
    ("/etc/group", "root:x:0:\nnogroup:x:65534:\n"),
];

const DIRECTORIES: &[&str] = &["/dev", "/proc", "/root", "/run", "/sys", "/tmp"];

pub(super) type Writer = Archive<BufWriter<File>>;

/// Writes the archive to `out`.
pub fn pack(
    out: File,
    kernel: &Kernel,
    built: &Built,
    extra: &[Program],
    packages: Option<&Tree>,
    plan: &Plan,
) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(out));
    for directory in DIRECTORIES {
        archive.directory(directory)?;
    }
    for (path, content) in FILES {
        archive.file(path, 0o644, content.as_bytes())?;
    }
    archive.file(PLAN, 0o644, &serde_json::to_vec(plan)?)?;
    let mut commands = BTreeSet::new();
    for program in built.tests.iter().chain(&built.programs).chain(extra) {
        let path = if program.name == "init" { "/init".to_owned() } else { format!("/bin/{}", program.name) };
        copy(&mut archive, &path, &program.path)?;
        commands.insert(program.name.as_str());
    }
    tools(&mut archive, extra)?;
    commands.extend(TOOLS.iter().chain(&["busybox", "modprobe"]));
    busybox(&mut archive, &commands)?;
    modules(&mut archive, kernel)?;
    // Last, so that in doubt these win: they are complete among themselves.
    packages.map_or(Ok(()), |packages| tree(&mut archive, &packages.root))?;
    archive.finish()?;
    Ok(())
}

/// The host's tools and, at the paths where their loader will look, the libraries of all that need some.
fn tools(archive: &mut Writer, extra: &[Program]) -> Result<()> {
    let mut needed = BTreeSet::new();
    for name in TOOLS {
        let path = find(name)?;
        copy(archive, &format!("/bin/{name}"), &path)?;
        needed.extend(libraries(&path)?);
    }
    for program in extra {
        needed.extend(libraries(&program.path)?);
    }
    needed.iter().try_for_each(|library| copy(archive, library, Path::new(library)))
}

fn busybox(archive: &mut Writer, taken: &BTreeSet<&str>) -> Result<()> {
    let path = find("busybox")?;
    copy(archive, BUSYBOX, &path)?;
    for applet in output(Command::new(&path).arg("--list"))?.lines() {
        if !taken.contains(applet) {
            archive.symlink(&format!("/bin/{applet}"), BUSYBOX)?;
        }
    }
    Ok(archive.symlink(MODPROBE, "/bin/kmod")?)
}

fn modules(archive: &mut Writer, kernel: &Kernel) -> Result<()> {
    let staged = tempfile::tempdir()?;
    kernel.stage_modules(staged.path())?;
    tree(archive, staged.path())
}

/// Everything below `root`, which becomes `/`.
pub(super) fn tree(archive: &mut Writer, root: &Path) -> Result<()> {
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory)? {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            let inside = path.strip_prefix(root)?.to_str().context("a file with an odd name")?;
            if kind.is_dir() {
                archive.directory(inside)?;
                left.push(path);
            } else if kind.is_symlink() {
                archive
                    .symlink(inside, fs::read_link(&path)?.to_str().context("a link with an odd name")?)?;
            } else {
                copy(archive, inside, &path)?;
            }
        }
    }
    Ok(())
}

pub(super) fn copy(archive: &mut Writer, to: &str, from: &Path) -> Result<()> {
    let permissions = fs::metadata(from).with_context(|| format!("{}", from.display()))?.permissions();
    archive.file(to, permissions.mode() & 0o777, &fs::read(from)?)?;
    Ok(())
}

/// What the loader would map. A static executable has none, and `ldd` fails on it.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let listing = Command::new("ldd").arg(program).output().context("cannot run ldd")?;
    let text = String::from_utf8(listing.stdout)?;
    // `libc.so.6 => /lib/libc.so.6 (0x..)`, or `/lib64/ld-linux.so.2 (0x..)` for the loader itself
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(str::to_owned).collect())
}
