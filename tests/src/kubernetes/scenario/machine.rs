//! A machine for kubeadm's phases that needs no emulator: this one, with files of its own for one thread.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

const CONFIGURATION: &str = "\
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 10.0.0.1}
nodeRegistration: {name: m1}
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
kubernetesVersion: v1.20.2
controlPlaneEndpoint: apiserver.cluster.local:6443
apiServer: {certSANs: [127.0.0.1, apiserver.cluster.local, 10.103.97.2]}
networking: {podSubnet: 100.64.0.0/10, serviceSubnet: 10.96.0.0/22}
";

/// Gives this thread, and what it starts, an `/etc` and a `/var/lib` of its own. Returns a directory for other files.
pub fn own_files(work: &Path) -> Result<PathBuf> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let layer = work.join("etc");
    fs::create_dir_all(&layer)?;
    mount(Some("tmpfs"), &layer, Some("tmpfs"), MsFlags::empty(), none)?;
    let (upper, scratch) = (layer.join("upper"), layer.join("work"));
    fs::create_dir(&upper)?;
    fs::create_dir(&scratch)?;
    let options = format!("lowerdir=/etc,upperdir={},workdir={}", upper.display(), scratch.display());
    mount(Some("overlay"), "/etc", Some("overlay"), MsFlags::empty(), Some(&*options))?;
    mount(Some("tmpfs"), "/var/lib", Some("tmpfs"), MsFlags::empty(), none)?;
    Ok(layer)
}

/// Has what lies at `from` be at `to` as well.
pub fn bind(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(from)?;
    fs::create_dir_all(to)?;
    let none: Option<&str> = None;
    Ok(mount(Some(from), to, none, MsFlags::MS_BIND, none)?)
}

/// How kubeadm is told to make the first master.
pub fn configuration(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("kubeadm.yaml");
    fs::write(&path, CONFIGURATION)?;
    Ok(path)
}

/// Runs it to its end; returns what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}
