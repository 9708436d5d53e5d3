//! kube-proxy in mode ipvs without `excludeCIDRs` deletes our virtual server, again and again.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::super::patiently;
use super::{LIMIT, Laboratory, say, seconds};

/// The node may be cut off for so long.
const CUT_OFF: Duration = Duration::from_secs(2);

/// kube-proxy looks at everything so often.
const SYNC: &str = "10s";

/// Long enough for several of its rounds.
const WATCHED: Duration = Duration::from_secs(50);

/// The virtual server of the service `kubernetes`: whoever sees it has seen kube-proxy at work.
const SERVICE: &str = "10.96.0.1:443";

const CONFIGURATION: &str = "/root/kube-proxy.yaml";
const KUBECONFIG: &str = "/root/kube-proxy.conf";

/// Real kube-proxy, with the configuration that everybody has.
pub fn without_exclude_cidrs(lab: &Laboratory) -> Result<()> {
    let configuration = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": { "kubeconfig": KUBECONFIG },
        "clusterCIDR": "10.244.0.0/16",
        "hostnameOverride": super::super::worker::NAME,
        "ipvs": { "syncPeriod": SYNC },
        "mode": "ipvs",
    });
    lab.worker.write(CONFIGURATION, &configuration.to_string());
    lab.worker.write(KUBECONFIG, &lab.cluster.kubeconfig("system:kube-proxy")?);
    let watched = lab.worker.reach(WATCHED);
    let unit = ["systemd-run", "--unit", "kube-proxy", "kube-proxy", "--config", CONFIGURATION];
    lab.worker.check(&unit);
    patiently(LIMIT, "kube-proxy makes its first virtual server", || {
        lab.worker.check(&["ipvsadm", "-Sn"]).contains(SERVICE).then_some(())
    });
    let reach = watched.join().ok().flatten();
    let reach = reach.unwrap_or_else(|| panic!("nobody watched"));
    let repairs = lab.repairs();
    say(
        "kube-proxy in mode ipvs without excludeCIDRs",
        &format!(
            "{repairs} repairs, {} of {} connections failed, the longest gap between two that were made {}",
            reach.failed,
            reach.good + reach.failed,
            seconds(reach.longest_gap)
        ),
    );
    assert!(repairs >= 2, "kube-proxy did nothing to us");
    assert!(reach.longest_gap <= CUT_OFF, "{reach:?}");
    lab.leases.wait(1, LIMIT);
    lab.worker.check(&["systemctl", "stop", "kube-proxy"]);
    // The node is searched for leftovers later.
    lab.worker.check(&["rm", CONFIGURATION, KUBECONFIG]);
    Ok(())
}
