//! What is proved with real Kubernetes, one file each. All of it happens on one worker, in this order, because a machine
//! that boots costs more than anything that is done with it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::control_plane::ControlPlane;
use super::disk::Disk;
use super::lease::Leases;
use super::network::MASTERS;
use super::worker::{NAME, Worker};
use super::{VIP, patiently};

pub mod alone;
pub mod certificates;
pub mod death;
pub mod discovery;
pub mod etcd;
pub mod gone;
pub mod join;
pub mod kube_proxy;
pub mod machine;
pub mod reboot;

/// As the administrator names the masters.
const MASTERS_NAMED: &str = "10.0.0.1-10.0.0.3";

/// For what takes a busy emulated node some seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Everything. Dropping it ends everything.
pub struct Laboratory {
    /// The machine that joins.
    pub worker: Worker,
    /// Its signs of life.
    pub leases: Leases,
    /// What it joins.
    pub cluster: ControlPlane,
    invitation: (String, String),
}

impl Laboratory {
    /// Has the worker boot beside a control plane that is ready.
    pub fn new(cluster: ControlPlane, disk: &Disk, work: &Path) -> Result<Self> {
        let worker = Worker::boot(cluster.net(), disk, work)?;
        patiently(LIMIT, "containerd", || (worker.run(&["ctr", "version"]).code == Some(0)).then_some(()));
        worker.check(&["ctr", "--namespace", "k8s.io", "images", "import", "/opt/pause.oci.tar"]);
        let (leases, invitation) = (Leases::watch(&cluster)?, cluster.invitation()?);
        Ok(Self { worker, leases, cluster, invitation })
    }

    /// Our join, with the masters that are named and more options. Returns what it said.
    #[track_caller]
    pub fn join(&self, masters: &str, options: &[&str]) -> String {
        let (token, hash) = &self.invitation;
        let words = ["lvscare-installer", "kubeadm", "join", VIP, "--master", masters];
        let secrets = ["--token", token, "--discovery-token-ca-cert-hash", hash];
        self.worker.check(&[&words[..], &secrets, options].concat())
    }

    /// The static pod as the API shows it.
    pub fn pod(&self) -> Option<Value> {
        let pod = format!("pod/kube-lvscare-{NAME}");
        let words = ["get", &pod, "--namespace", "kube-system", "--output", "json"];
        let text = (1..=MASTERS).find_map(|number| self.cluster.kubectl(number, &words))?;
        serde_json::from_str(&text).ok()
    }

    /// Waits until kubelet says that the static pod is ready: its readiness probe is answered.
    #[track_caller]
    pub fn wait_pod_ready(&self) {
        patiently(LIMIT, "the static pod is ready", || {
            let conditions = self.pod()?["status"]["conditions"].as_array()?.clone();
            let ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
            conditions.iter().any(ready).then_some(())
        });
    }

    /// How often kubelet has started its container again, as a failed liveness probe makes it do. It counts the logs
    /// that it finds, those of an earlier life of the node as well.
    pub fn restarts(&self) -> Option<u64> {
        self.pod()?["status"]["containerStatuses"][0]["restartCount"].as_u64()
    }

    /// How often the daemon had to undo what others did to its rules.
    #[track_caller]
    pub fn repairs(&self) -> u64 {
        let status = self.worker.check(&["lvscare-installer", "node", "status", "--output", "json"]);
        let status: Value = serde_json::from_str(&status).expect("an answer for programs");
        status["rules"]["daemon"]["repairs"].as_u64().unwrap_or_else(|| panic!("no daemon: {status}"))
    }

    /// Waits until exactly these masters are in the kernel's table, and serve; returns how long that took.
    #[track_caller]
    pub fn wait_table(&self, numbers: &[u8]) -> Duration {
        let began = Instant::now();
        let wanted: Vec<String> = numbers.iter().map(|number| format!("10.0.0.{number}:6443")).collect();
        let what = format!("{wanted:?} serve");
        patiently(LIMIT, &what, || {
            let table = self.worker.table();
            let serving: Vec<&String> =
                table.iter().filter(|(_, weight)| **weight > 0).map(|(server, _)| server).collect();
            (serving == wanted.iter().collect::<Vec<_>>()).then_some(())
        });
        began.elapsed()
    }

    /// The number of the master that kubelet is connected to.
    #[track_caller]
    pub fn kubelets_master(&self) -> u8 {
        patiently(LIMIT, "kubelet is connected to a master", || {
            let connections = self.worker.kubelet_connections();
            let has = |clients: Vec<String>| clients.iter().any(|client| connections.contains(client));
            self.cluster.masters.iter().find(|master| has(master.clients())).map(|master| master.number)
        })
    }
}

/// One line for each thing that is proved.
#[allow(clippy::print_stdout, reason = "what a developer waits for")]
pub fn say(what: &str, measured: &str) {
    println!("kubernetes: {what}: {measured}");
}

/// Seconds as people read them.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
