//! The masters are learned from the real API, with kubelet's own credentials.

use std::time::Instant;

use super::{Laboratory, say, seconds};

/// kubelet's kubeconfig: it names the virtual server, and a certificate that kubelet renews.
const KUBECONFIG: &str = "--lvscare-arg=--kubeconfig=/etc/kubernetes/kubelet.conf";

/// One master is named, all are found.
pub fn from_one_master(lab: &Laboratory) {
    let began = Instant::now();
    lab.join("10.0.0.1", &["--import", "/opt/lvscare.oci.tar", KUBECONFIG]);
    let joined = began.elapsed();
    lab.wait_table(&[1, 2, 3]);
    let known = began.elapsed();
    lab.wait_pod_ready();
    say(
        "masters discovered",
        &format!("one is named, joined after {}, all three serve after {}", seconds(joined), seconds(known)),
    );
}
