//! A node joins through the virtual server, whether or not our image is there.

use std::time::Instant;

use super::{LIMIT, Laboratory, MASTERS_NAMED, say, seconds};

/// Nothing runs the daemon yet: the rules that were made before carry the join, and kubelet after it.
pub fn without_image(lab: &Laboratory) {
    let began = Instant::now();
    let said = lab.join(MASTERS_NAMED, &["--wait", "3s"]);
    let joined = began.elapsed();
    assert!(said.contains("This node has joined the cluster"), "{said}");
    assert!(said.contains("the static pod is not up yet"), "{said}");
    lab.leases.wait(2, LIMIT);
    lab.kubelets_master();
    let began = Instant::now();
    lab.worker.check(&["ctr", "--namespace", "k8s.io", "images", "import", "/opt/lvscare.oci.tar"]);
    lab.wait_pod_ready();
    say(
        "join without our image",
        &format!(
            "{}; the image comes later, and the pod is ready {} after it",
            seconds(joined),
            seconds(began.elapsed())
        ),
    );
}

/// The daemon comes up with kubelet, over rules that kubelet's connection already uses.
pub fn with_image(lab: &Laboratory) {
    let began = Instant::now();
    let said = lab.join(MASTERS_NAMED, &["--import", "/opt/lvscare.oci.tar"]);
    let joined = began.elapsed();
    assert!(said.contains("joined; lvscare guards the rules"), "{said}");
    lab.wait_pod_ready();
    let ready = began.elapsed();
    lab.leases.wait(1, LIMIT);
    lab.kubelets_master();
    lab.wait_table(&[1, 2, 3]);
    say("join with our image", &format!("{}; the pod is ready after {}", seconds(joined), seconds(ready)));
}
