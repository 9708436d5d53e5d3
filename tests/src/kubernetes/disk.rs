//! The worker's disk: Debian with systemd, containerd and Kubernetes' own programs, as an administrator prepares a node
//! that is to join. Nothing of lvscare is installed; installer and image lie in `/opt`.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::vm::{self, Kernel, Tree, output};

/// What a node has, and what kubeadm, kubelet and kube-proxy call.
const PACKAGES: &[&str] = &[
    "bash",
    "base-files",
    "conntrack",
    "containerd",
    "coreutils",
    "ethtool",
    "findutils",
    "grep",
    "iproute2",
    "ipset",
    "iptables",
    "ipvsadm",
    "kmod",
    "libc-bin",
    "mawk",
    "mount",
    "procps",
    "runc",
    "sed",
    "socat",
    "systemd",
    "util-linux",
];

/// Directories that are links into `/usr`.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// What the package's scripts would choose.
const IPTABLES: [&str; 6] =
    ["iptables", "iptables-restore", "iptables-save", "ip6tables", "ip6tables-restore", "ip6tables-save"];

/// Settings, units and the stand-in for crictl.
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kubernetes/guest/.");

/// kubelet evicts pods from a disk that is nearly full. What is not written takes no place.
const SIZE: &str = "8G";

/// What is on the disk beside Debian.
pub struct Contents<'a> {
    /// Kubernetes' programs.
    pub kubernetes: &'a Path,
    /// Our installer.
    pub installer: &'a Path,
    /// Our image.
    pub image: &'a Path,
    /// The image that every pod stands on.
    pub pause: &'a Path,
    /// The laboratory's hand.
    pub remote: &'a Path,
}

/// A machine that has never run.
pub struct Disk {
    /// Its disk.
    pub disk: PathBuf,
    /// Its kernel.
    pub kernel: PathBuf,
    /// What mounts the disk.
    pub mount: PathBuf,
}

impl Disk {
    /// Makes one below `work`; Debian's packages are kept in `cache`.
    pub fn new(cache: &Path, work: &Path, contents: &Contents<'_>) -> Result<Self> {
        let kernel = Kernel::fetch(cache)?;
        let tree = Tree::fetch(cache, "worker", PACKAGES)?;
        let root = work.join("worker");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root)?;
        debian(&tree.root, &root)?;
        fs::create_dir_all(root.join("usr/lib/modules"))?;
        copy(&kernel.modules(), &root.join("usr/lib/modules"))?;
        fs::create_dir_all(root.join("boot"))?;
        // kubeadm looks into it.
        copy(&kernel.config(), &root.join("boot"))?;
        copy(Path::new(FILES), &root)?;
        for program in ["kubeadm", "kubelet", "kube-proxy"] {
            copy(&contents.kubernetes.join(program), &root.join("usr/bin"))?;
        }
        copy(contents.remote, &root.join("usr/local/bin/remote"))?;
        copy(contents.installer, &root.join("usr/local/bin/lvscare-installer"))?;
        copy(contents.image, &root.join("opt/lvscare.oci.tar"))?;
        copy(contents.pause, &root.join("opt/pause.oci.tar"))?;
        let (disk, mount) = (work.join("worker.img"), work.join("mount.cpio"));
        vm::format(&disk, &root, SIZE)?;
        fs::remove_dir_all(&root)?;
        vm::pack_mount(File::create(&mount)?, &kernel)?;
        Ok(Self { disk, kernel: kernel.image, mount })
    }
}

/// Debian's packages were unpacked, not installed: what its installation would have done and matters here.
fn debian(tree: &Path, root: &Path) -> Result<()> {
    for top in ["etc", "usr", "var"] {
        copy(&tree.join(top), root)?;
    }
    for top in MERGED {
        let (old, new) = (tree.join(top), root.join("usr").join(top));
        if old.is_dir() {
            fs::create_dir_all(&new)?;
            copy(&old.join("."), &new)?;
        }
        symlink(Path::new("usr").join(top), root.join(top))?;
    }
    for top in ["dev", "mnt", "opt", "proc", "root", "run", "sys", "tmp"] {
        fs::create_dir_all(root.join(top))?;
    }
    symlink("bash", root.join("usr/bin/sh"))?;
    for name in IPTABLES {
        symlink("xtables-nft-multi", root.join("usr/sbin").join(name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    // Both are in one file system as a rule, and nothing is changed here, only replaced.
    output(Command::new("cp").args(["-a", "--reflink=auto", "--remove-destination"]).arg(from).arg(to))
        .map(drop)
}
