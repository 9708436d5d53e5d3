//! The contrast: the same rules without anybody who guards them.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::master::Death;
use super::super::patiently;
use super::{LIMIT, Laboratory, say, seconds};

const POD: &str = "/etc/kubernetes/manifests/kube-lvscare.yaml";
const AWAY: &str = "/root/kube-lvscare.yaml";

/// Else this laboratory would not show what lvscare is good for.
const AT_LEAST: Duration = Duration::from_secs(20);

/// As [`super::death`] has it, with the static pod taken away.
pub fn without_lvscare(lab: &mut Laboratory) {
    lab.worker.check(&["mv", POD, AWAY]);
    patiently(LIMIT, "the daemon ends", || {
        let listening = lab.worker.check(&["ss", "-Hltn", "sport", "=", ":10261"]);
        listening.trim().is_empty().then_some(())
    });
    lab.leases.wait(1, LIMIT);
    let lost = lab.kubelets_master();
    sleep(Duration::from_secs(9));
    let (began, renewals) = (Instant::now(), lab.leases.count());
    lab.cluster.masters[usize::from(lost) - 1].strike(Death::LinkDown);
    patiently(LIMIT, "kubelet renews its Lease", || (lab.leases.count() > renewals).then_some(()));
    let gap = lab.leases.longest_gap(began);
    lab.cluster.masters[usize::from(lost) - 1].repair(Death::LinkDown);
    lab.worker.check(&["mv", AWAY, POD]);
    lab.wait_pod_ready();
    lab.wait_table(&[1, 2, 3]);
    say("link down without lvscare", &format!("longest gap between Lease renewals {}", seconds(gap)));
    assert!(gap >= AT_LEAST, "kubelet needs no help here: {gap:?}");
}
