//! Debian's packages, unpacked but never installed on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::output;

/// Nobody reads in the guest, and it starts sooner with less.
const UNWANTED: &[&str] =
    &["usr/share/bash-completion", "usr/share/doc", "usr/share/lintian", "usr/share/locale", "usr/share/man"];

/// Packages with all that they depend on, in one tree that needs nothing from outside.
pub struct Tree {
    /// Where it is, named as if this were `/`.
    pub root: PathBuf,
}

impl Tree {
    /// The tree of `packages` in `cache`, or a new one from where apt finds packages. It is found again by `name`.
    pub fn fetch(cache: &Path, name: &str, packages: &[impl AsRef<str>]) -> Result<Self> {
        fs::create_dir_all(cache)?;
        let packages: Vec<String> = packages.iter().map(|package| package.as_ref().to_owned()).collect();
        let root = cache.join(name);
        if !root.exists() {
            eprintln!(
                "vm: downloading {} and what they depend on, kept in {}",
                packages.join(", "),
                root.display()
            );
            unpack(&root, &closure(&packages)?, |tree| {
                let unwanted = UNWANTED.iter().map(|path| tree.join(path)).filter(|path| path.exists());
                unwanted.into_iter().try_for_each(fs::remove_dir_all).map_err(Into::into)
            })?;
        }
        Ok(Self { root })
    }
}

/// The names of `packages` and of all that they depend on: what apt would install where nothing is.
fn closure(packages: &[String]) -> Result<Vec<String>> {
    let nothing = ["-o", "Dir::State::status=/dev/null", "-o", "APT::Install-Recommends=false"];
    let plan = output(Command::new("apt-get").args(nothing).args(["--simulate", "install"]).args(packages))?;
    let names = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    let names: Vec<String> = names.map(str::to_owned).collect();
    ensure!(!names.is_empty(), "apt knows nothing of {}: run tests/install.sh", packages.join(", "));
    Ok(names)
}

/// Downloads and unpacks `packages`, and moves them to `root` when they are complete and `finish` is done with them:
/// half a job leaves nothing where it would be found.
pub(super) fn unpack(
    root: &Path,
    packages: &[String],
    finish: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let work = tempfile::tempdir_in(root.parent().context("a tree without a place")?)?;
    // Root's downloads are handed to the user `_apt`, who may not write here; so root stays root.
    let unboxed = ["-o", "APT::Sandbox::User=root", "download"];
    output(Command::new("apt-get").args(unboxed).args(packages).current_dir(&work))?;
    let archives = fs::read_dir(&work)?.collect::<Result<Vec<_>, _>>()?;
    ensure!(!archives.is_empty(), "apt downloaded nothing");
    let tree = work.path().join("tree");
    for archive in archives {
        output(Command::new("dpkg").arg("-x").args([&archive.path(), &tree]))?;
    }
    finish(&tree)?;
    match fs::rename(&tree, root) {
        // Somebody else was quicker.
        Err(_) if root.exists() => Ok(()),
        result => result.with_context(|| format!("{}", root.display())),
    }
}
