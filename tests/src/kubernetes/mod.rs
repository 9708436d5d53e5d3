//! Real Kubernetes around the product: kubeadm, kubelet, kube-apiserver and kube-proxy as users have them.
//!
//! ```text
//! network, names   namespaces, bridges, who is called what
//! master, control_plane, daemon
//!                  etcd and three kube-apiservers on this machine, and the ways to lose one
//! disk, pause      what the worker is made of
//! worker, remote   an emulated machine that joins, and how it is told what to do
//! lease, reach     what is measured: kubelet's signs of life, and whether the virtual server can be reached
//! scenario         what is proved
//! ```
//!
//! `make test-kubernetes` builds the programs (`tests/kubernetes/build.sh`) and runs all of it in about ten minutes.

use std::time::Duration;

use crate::wait::asked_every;

pub mod control_plane;
pub mod daemon;
pub mod disk;
pub mod lease;
pub mod master;
pub mod names;
pub mod network;
pub mod pause;
pub mod reach;
pub mod remote;
pub mod scenario;
pub mod worker;

/// The virtual server.
pub const VIP: &str = "10.103.97.2:6443";

/// Between two questions to a machine that is busy enough.
const PAUSE: Duration = Duration::from_millis(250);

/// Calls `probe` until it answers, and returns the answer. Panics when `limit` has passed without one.
#[track_caller]
pub fn patiently<T>(limit: Duration, what: &str, probe: impl FnMut() -> Option<T>) -> T {
    asked_every(PAUSE, limit, what, probe)
}
