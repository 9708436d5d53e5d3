//! The guest's kernel: Debian's own package, unpacked but never installed.
//!
//! A distribution's kernel is what nodes run; one built for the tests would prove less.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{debian, find, output};

/// The package that always depends on the newest kernel for virtual machines.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// What the names of the packages begin with that it depends on.
const PREFIX: &str = "linux-image-";

/// What the laboratory and the product ask for; `ip_vs*` stands for all that begin so. Dependencies come by themselves.
const MODULES: &[&str] = &[
    // the product
    "ip_vs*",
    "nf_conntrack*",
    "tcp_diag",
    "udp_diag",
    "netlink_diag",
    "nlmon",
    // links between the namespaces
    "bridge",
    "br_netfilter",
    "dummy",
    "macvlan",
    "veth",
    // roots of hosts
    "overlay",
    // their faults
    "sch_htb",
    "sch_ingress",
    "sch_netem",
    "sch_prio",
    "sch_tbf",
    "cls_u32",
    // firewalls that refuse, drop or translate
    "nft_chain_nat",
    "nft_ct",
    "nft_limit",
    "nft_masq",
    "nft_reject*",
];

/// An unpacked kernel package.
pub struct Kernel {
    /// The compressed image, for the boot loader.
    pub image: PathBuf,
    release: String,
    root: PathBuf,
}

impl Kernel {
    /// The kernel in `cache`, or the newest one that apt knows if there is none yet.
    pub fn fetch(cache: &Path) -> Result<Self> {
        fs::create_dir_all(cache)?;
        let kernel = |root: PathBuf| {
            let name = root.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let release = name.strip_prefix(PREFIX)?.to_owned();
            Some(Self { image: root.join(format!("boot/vmlinuz-{release}")), release, root })
        };
        let entries = fs::read_dir(cache)?.collect::<Result<Vec<_>, _>>()?;
        if let Some(found) = entries.into_iter().find_map(|entry| kernel(entry.path())) {
            return Ok(found);
        }
        let depends = output(Command::new("apt-cache").args(["depends", META_PACKAGE]))?;
        let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        let package =
            package.with_context(|| format!("apt knows no {META_PACKAGE}: run tests/install.sh"))?;
        let new = kernel(cache.join(package)).context("a kernel package with an odd name")?;
        eprintln!("vm: downloading {package}, kept in {}", cache.display());
        debian::unpack(&new.root, &[package.to_owned()], |tree| depmod(tree, &new.release))?;
        Ok(new)
    }

    /// The directory of the modules inside a file system.
    pub fn module_directory(&self) -> PathBuf {
        Path::new("lib/modules").join(&self.release)
    }

    /// All its modules, indexed, as the host has them.
    pub fn modules(&self) -> PathBuf {
        self.root.join(self.module_directory())
    }

    /// What it was built with.
    pub fn config(&self) -> PathBuf {
        self.root.join(format!("boot/config-{}", self.release))
    }

    /// Copies the modules that tests ask for below `target` and indexes them there.
    ///
    /// Only these are indexed: `modprobe` reads the whole index each time, and the emulated machine is slow.
    pub fn stage_modules(&self, target: &Path) -> Result<()> {
        self.stage(MODULES, target)
    }

    /// The same for the modules that match `patterns`.
    pub(super) fn stage(&self, patterns: &[&str], target: &Path) -> Result<()> {
        let (from, to) = (self.modules(), target.join(self.module_directory()));
        let index = fs::read_to_string(from.join("modules.dep"))?;
        for module in closure(patterns, &index)? {
            let copy = to.join(&module);
            fs::create_dir_all(copy.parent().context("a module at the root")?)?;
            fs::copy(from.join(&module), copy)?;
        }
        for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            fs::copy(from.join(name), to.join(name))?;
        }
        depmod(target, &self.release)
    }
}

fn depmod(root: &Path, release: &str) -> Result<()> {
    output(Command::new(find("depmod")?).arg("-b").arg(root).arg(release)).map(drop)
}

/// The files of the modules that match `patterns` and of all that they depend on, out of a `modules.dep`.
fn closure(patterns: &[&str], index: &str) -> Result<BTreeSet<String>> {
    let depends: BTreeMap<&str, Vec<&str>> = index
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(module, needs)| (module, needs.split_whitespace().collect()))
        .collect();
    ensure!(!depends.is_empty(), "the kernel's module index is empty");
    let mut wanted = BTreeSet::new();
    for pattern in patterns {
        let mut found = depends.iter().filter(|(module, _)| matches(pattern, stem(module))).peekable();
        ensure!(found.peek().is_some(), "this kernel has no module {pattern}");
        for (module, needs) in found {
            // modules.dep lists the dependencies of dependencies too.
            wanted.extend([*module].into_iter().chain(needs.iter().copied()).map(str::to_owned));
        }
    }
    Ok(wanted)
}

fn stem(module: &str) -> &str {
    let name = module.rsplit('/').next().unwrap_or(module);
    name.split('.').next().unwrap_or(name)
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("ip_vs*", "ip_vs") && matches("ip_vs*", "ip_vs_rr") && !matches("ip_vs*", "ipip"));
        assert!(matches("veth", "veth") && !matches("veth", "veth2"));
    }

    #[test]
    fn stems_lose_directory_and_compression() {
        assert_eq!(stem("kernel/net/ip_vs.ko.xz"), "ip_vs");
    }
}
