//! Certificates that kubeadm has made and we have renewed are its own ones: it finds them, and makes none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Result, anyhow, ensure};

use super::{machine, say};

/// Both phases of kubeadm, renewed, and both again. Nothing of this machine is touched: `/etc` and `/var/lib` are others.
pub fn are_kubeadms_own(programs: &Path, installer: &Path, work: &Path) -> Result<()> {
    let (kubeadm, installer, work) =
        (programs.join("kubeadm"), fs::canonicalize(installer)?, fs::canonicalize(work)?);
    let proof = thread::spawn(move || within(&kubeadm, &installer, &work));
    proof.join().map_err(|_| anyhow!("it panicked"))?
}

/// Of this thread alone.
fn within(kubeadm: &Path, installer: &Path, work: &Path) -> Result<()> {
    let layer = machine::own_files(work)?;
    let configuration = machine::configuration(&layer)?;
    let phase = |phase: &str| {
        let words = ["init", "phase", phase, "all", "--config"];
        machine::run(Command::new(kubeadm).args(words).arg(&configuration))
    };
    let renew = || machine::run(Command::new(installer).args(["node", "cert", "renew"]));

    // A cluster of two years, and one that is just being made: its kubeconfigs get an authority that is renewed already.
    for (order, renewed) in
        [(&["certs", "kubeconfig", ""][..], 14), (&["certs", "", "kubeconfig", ""], 10 + 4)]
    {
        let _ = fs::remove_dir_all("/etc/kubernetes");
        let mut said = String::new();
        for step in order {
            said += &if step.is_empty() { renew()? } else { phase(step)? };
        }
        let lines: Vec<_> = said.lines().filter(|line| line.starts_with("  renew ")).collect();
        say("certificates", &format!("renewed:\n{}", lines.join("\n")));
        ensure!(lines.len() == renewed, "{said}");

        let before = files(Path::new("/etc/kubernetes"))?;
        let again = phase("certs")? + &phase("kubeconfig")?;
        let existing =
            again.lines().filter(|line| line.contains("sing existing") || line.contains("the existing"));
        ensure!(existing.count() == 15, "kubeadm makes something anew:\n{again}");
        ensure!(files(Path::new("/etc/kubernetes"))? == before, "kubeadm has changed something");
        say("certificates", &format!("kubeadm finds all 15, and changes none of {} files", before.len()));
    }

    let table = machine::run(
        Command::new(kubeadm).args(["certs", "check-expiration", "--config"]).arg(&configuration),
    )?;
    say("certificates", &format!("kubeadm certs check-expiration:\n{table}"));
    let rows = |left: &str| table.lines().filter(|line| line.contains(left)).count();
    ensure!((rows(" 99y "), rows(" 100y ")) == (10, 3), "{table}");
    let check = machine::run(Command::new(installer).args(["node", "cert", "check"]))?;
    say("certificates", &format!("lvscare-installer node cert check:\n{check}"));
    Ok(())
}

fn files(directory: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            all.append(&mut files(&path)?);
        } else {
            all.insert(path.clone(), fs::read(&path)?);
        }
    }
    Ok(all)
}
