//! A real etcd, as kubeadm's manifest runs it, in a root of its own as a container has it: health, a snapshot, and a restore by what
//! `restore-help` says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

use super::super::patiently;
use super::{machine, say};

const LIMIT: Duration = Duration::from_secs(120);

/// `root` has etcd and etcdctl. Nothing of this machine is touched.
pub fn is_saved_and_restored(programs: &Path, installer: &Path, root: &Path, work: &Path) -> Result<()> {
    let (kubeadm, installer) = (programs.join("kubeadm"), fs::canonicalize(installer)?);
    let (root, work) = (fs::canonicalize(root)?, fs::canonicalize(work)?);
    let proof = thread::spawn(move || within(&kubeadm, &installer, &root, &work));
    proof.join().map_err(|_| anyhow!("it panicked"))?
}

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Of this thread alone.
fn within(kubeadm: &Path, installer: &Path, root: &Path, work: &Path) -> Result<()> {
    let layer = machine::own_files(work)?;
    unshare(CloneFlags::CLONE_NEWNET)?;
    machine::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    machine::run(Command::new("ip").args(["address", "add", "10.0.0.1/32", "dev", "lo"]))?;
    let configuration = machine::configuration(&layer)?;
    for phase in [["certs", "all"], ["etcd", "local"]] {
        machine::run(
            Command::new(kubeadm).args(["init", "phase"]).args(phase).arg("--config").arg(&configuration),
        )?;
    }
    // As a container has it: its own root, in it the directories of the machine that the manifest names.
    let inside = layer.join("root");
    machine::bind(root, &inside)?;
    for shared in ["/var/lib/etcd", "/etc/kubernetes/pki/etcd"] {
        machine::bind(Path::new(shared), &inside.join(&shared[1..]))?;
    }
    let manifest: Value = serde_yaml::from_slice(&fs::read("/etc/kubernetes/manifests/etcd.yaml")?)?;
    let words = manifest["spec"]["containers"][0]["command"].as_array().context("no command")?;
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    let log = fs::File::create(work.join("etcd.log"))?;
    let mut command = Command::new("chroot");
    command.arg(&inside).args(&words).stdout(log.try_clone()?).stderr(log);
    let etcd = Running(command.spawn()?);
    let node = |words: &[&str]| machine::run(Command::new(installer).args(["node", "etcd"]).args(words));
    patiently(LIMIT, "etcd is well", || node(&["health"]).ok());
    say("etcd", &format!("health:\n{}", node(&["health"])?));

    let etcdctl = |words: &[&str]| {
        let own = ["--cacert=/etc/kubernetes/pki/etcd/ca.crt", "--cert=/etc/kubernetes/pki/etcd/server.crt"];
        let mut command = Command::new("chroot");
        command
            .arg(&inside)
            .arg("etcdctl")
            .args(own)
            .arg("--key=/etc/kubernetes/pki/etcd/server.key")
            .args(words);
        machine::run(command.env("ETCDCTL_API", "3"))
    };
    etcdctl(&["put", "who", "was here"])?;
    let file = layer.join("etcd.db");
    let file_name = file.to_str().context("an odd path")?;
    let saved = node(&["save", file_name])?;
    say("etcd", &format!("save:\n{saved}"));
    ensure!(fs::metadata(&file)?.permissions().mode() & 0o777 == 0o600, "others can read it");
    ensure!(fs::read_dir("/var/lib/etcd")?.count() == 1, "something is left beside the data");
    ensure!(!Path::new("/var/lib/lvscare-installer").exists(), "something is left of us");
    etcdctl(&["put", "who", "came later"])?;
    let again = refusal(node(&["save", file_name]))?;
    ensure!(again.contains("is there already; it is not replaced"), "{again}");

    // By the very words that it says, with etcd's program from its root instead of from an image.
    let help = node(&["restore-help", file_name])?;
    say("etcd", &format!("restore-help:\n{help}"));
    let line = help.lines().find(|line| line.contains("snapshot restore")).context("no command")?;
    let told: Vec<&str> = line.split(" etcdctl ").nth(1).context("no etcdctl")?.split_whitespace().collect();
    drop(etcd);
    let refused = refusal(node(&["health"]))?;
    ensure!(refused.contains("etcd does not run on this machine"), "{refused}");
    fs::copy(&file, inside.join("snapshot.db"))?;
    let member = PathBuf::from("/var/lib/etcd/member");
    fs::remove_dir_all(&member)?;
    let mut restore = Command::new("chroot");
    // A directory that is a mount point cannot be put aside, so that it is restored beside it and moved in.
    let words =
        told.iter().map(|word| word.replace("--data-dir=/var/lib/etcd", "--data-dir=/var/lib/etcd/new"));
    restore.arg(&inside).arg("etcdctl").args(words).env("ETCDCTL_API", "3");
    machine::run(&mut restore)?;
    fs::rename("/var/lib/etcd/new/member", &member)?;
    let _etcd = Running(command.spawn()?);
    patiently(LIMIT, "the restored etcd is well", || node(&["health"]).ok());
    let who = etcdctl(&["get", "who", "--print-value-only"])?;
    ensure!(who == "was here\n", "{who}");
    say("etcd", "what was saved was restored, and is well");
    Ok(())
}

fn refusal(said: Result<String>) -> Result<String> {
    said.map_or_else(|error| Ok(error.to_string()), |said| Err(anyhow!("it was not refused: {said}")))
}
