//! Real Kubernetes around lvscare: `make test-kubernetes`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool for developers")]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use nix::unistd::Uid;
use tests::kubernetes::control_plane::ControlPlane;
use tests::kubernetes::disk::{Contents, Disk};
use tests::kubernetes::pause;
use tests::kubernetes::scenario::gone::Snapshot;
use tests::kubernetes::scenario::{
    Laboratory, alone, certificates, death, discovery, etcd, gone, join, kube_proxy, reboot, say, seconds,
};
use tests::vm::{self, Request, Tree};

/// Proves with real Kubernetes what lvscare promises. As root; needs no IPVS in this kernel.
#[derive(Parser)]
struct Cli {
    /// Where kubeadm, kubelet and the others are (`tests/kubernetes/build.sh`)
    #[arg(long, value_name = "DIRECTORY")]
    programs: PathBuf,
    /// The static lvscare-installer
    #[arg(long, value_name = "FILE")]
    installer: PathBuf,
    /// The image (`make image`)
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// Only this part, after a join; repeat it
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// When all is done or something has failed, keep everything running for so many seconds, to look around
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    hold: u64,
}

/// What is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Certificates that kubeadm takes for its own; needs no machine
    Certificates,
    /// etcd saved and restored; needs no machine
    Etcd,
    /// A join without our image, and the way back
    Bare,
    /// Apiservers that die
    Death,
    /// The same without lvscare
    Alone,
    /// kube-proxy in mode ipvs
    KubeProxy,
    /// A reboot
    Reboot,
    /// Masters learned from the API
    Discovery,
    /// The other way back
    Gone,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    ensure!(Uid::effective().is_root(), "network namespaces need root");
    let began = Instant::now();
    let target = vm::target_directory()?;
    let (cache, work) = (target.join("guest"), target.join("kubernetes"));
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work)?;
    println!("kubernetes: logs are in {}", work.display());

    if cli.only.is_empty() || cli.only.contains(&Part::Certificates) {
        certificates::are_kubeadms_own(&cli.programs, &cli.installer, &work)?;
    }
    let tree = Tree::fetch(&cache, "etcd", &["etcd-client", "etcd-server"])?;
    if cli.only.is_empty() || cli.only.contains(&Part::Etcd) {
        etcd::is_saved_and_restored(&cli.programs, &cli.installer, &tree.root, &work)?;
    }
    if !cli.only.is_empty() && cli.only.iter().all(|part| [Part::Certificates, Part::Etcd].contains(part)) {
        return Ok(());
    }
    let built = vm::build(&Request::default())?;
    let remote = built.programs.iter().find(|program| program.name == "remote");
    let pause = pause::make(&work)?;
    let contents = Contents {
        kubernetes: &cli.programs,
        installer: &cli.installer,
        image: &cli.image,
        pause: &pause,
        remote: &remote.context("cargo built no `remote`")?.path,
    };
    let disk = Disk::new(&cache, &work, &contents)?;
    say("disk", &seconds(began.elapsed()));
    let began_cluster = Instant::now();
    let cluster = ControlPlane::start(&cli.programs, &tree.root, &work)?;
    say("control plane", &seconds(began_cluster.elapsed()));
    let began_worker = Instant::now();
    let mut lab = Laboratory::new(cluster, &disk, &work)?;
    say("worker", &seconds(began_worker.elapsed()));

    let hold = Duration::from_secs(cli.hold);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| prove(&mut lab, &cli.only)));
    std::thread::sleep(hold);
    drop(lab);
    match result {
        Ok(result) => result?,
        // It was printed when it happened.
        Err(panic) => std::panic::resume_unwind(panic),
    }
    say("all of it", &seconds(began.elapsed()));
    Ok(())
}

fn prove(lab: &mut Laboratory, only: &[Part]) -> Result<()> {
    let wanted = |part| only.is_empty() || only.contains(&part);
    let fresh = Snapshot::of(lab);
    if wanted(Part::Bare) {
        join::without_image(lab);
        gone::undo_and_reset(lab, &fresh);
    }
    join::with_image(lab);
    if wanted(Part::Death) {
        death::follow_all(lab);
    }
    if wanted(Part::Alone) {
        alone::without_lvscare(lab);
    }
    if wanted(Part::KubeProxy) {
        kube_proxy::without_exclude_cidrs(lab)?;
    }
    if wanted(Part::Reboot) {
        reboot::comes_back(lab);
    }
    if wanted(Part::Gone) {
        gone::reset_and_undo(lab, &fresh);
    }
    if wanted(Part::Discovery) {
        discovery::from_one_master(lab);
        gone::undo_and_reset(lab, &fresh);
    }
    Ok(())
}
