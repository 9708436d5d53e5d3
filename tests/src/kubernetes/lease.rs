//! kubelet's signs of life, as etcd gets them: each renewal of its Lease with its time on this machine's clock.
//!
//! kubelet renews every ten seconds; after forty without a renewal the node is taken for dead.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::control_plane::ControlPlane;
use super::patiently;

/// Where Leases of nodes are in etcd.
const PREFIX: &str = "/registry/leases/kube-node-lease/";

/// The renewals since this was started.
pub struct Leases {
    watch: Child,
    seen: Arc<Mutex<Vec<Instant>>>,
}

impl Leases {
    /// Begins to watch.
    pub fn watch(cluster: &ControlPlane) -> Result<Self> {
        let mut command = cluster.etcdctl();
        command.args(["--write-out", "json", "watch", "--prefix", PREFIX]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut watch = cluster.net().enter(|| command.spawn())?;
        let lines = BufReader::new(watch.stdout.take().context("a pipe")?).lines();
        let seen: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let notes = seen.clone();
        // It ends with the program.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.contains("\"kv\"") {
                    notes.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                }
            }
        });
        Ok(Self { watch, seen })
    }

    fn seen(&self) -> Vec<Instant> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many there were until now.
    pub fn count(&self) -> usize {
        self.seen().len()
    }

    /// Waits for `more` renewals from now on.
    #[track_caller]
    pub fn wait(&self, more: usize, limit: Duration) {
        let wanted = self.count() + more;
        patiently(limit, "kubelet renews its Lease", || (self.count() >= wanted).then_some(()));
    }

    /// The longest time between two renewals since the last one before `begin`.
    #[track_caller]
    pub fn longest_gap(&self, begin: Instant) -> Duration {
        let seen = self.seen();
        let first = seen.iter().rposition(|at| *at <= begin).expect("a renewal before");
        let gaps = seen[first..].windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().expect("a renewal afterwards")
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}
