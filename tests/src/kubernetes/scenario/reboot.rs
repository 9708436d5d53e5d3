//! After a reboot the node is back by itself.

use std::time::Instant;

use super::super::patiently;
use super::{LIMIT, Laboratory, say, seconds};

/// No rule outlives a reboot: kubelet starts the static pod without any apiserver, and the pod makes the rules.
pub fn comes_back(lab: &Laboratory) {
    let began = Instant::now();
    let up = lab.worker.reboot();
    let renewals = lab.leases.count();
    patiently(LIMIT, "kubelet renews its Lease", || (lab.leases.count() > renewals).then_some(()));
    let alive = began.elapsed();
    lab.wait_table(&[1, 2, 3]);
    lab.wait_pod_ready();
    lab.kubelets_master();
    say(
        "reboot",
        &format!(
            "the machine answers after {}, kubelet renews its Lease after {}, the pod is ready after {}",
            seconds(up),
            seconds(alive),
            seconds(began.elapsed())
        ),
    );
}
