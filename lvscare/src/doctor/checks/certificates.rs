//! Do the apiservers' certificates fit what clients call, and the time?

use super::listed;
use crate::doctor::Finding;
use crate::doctor::facts::Facts;
use crate::doctor::facts::certificate::Certificate;

const NAMES: &str = "vip-not-in-certificate";
const EXPIRED: &str = "certificate-expired";
const SOON: &str = "certificate-expires-soon";
const SKEW: &str = "clock-skew";

const DAY: u64 = 86_400;

/// Time to renew a certificate without haste.
const SOON_DAYS: u64 = 30;

const RENEW: &str = "there, as root: kubeadm certs renew apiserver, then restart the apiserver: move \
                     kube-apiserver.yaml out of /etc/kubernetes/manifests and back after 20 s";

/// The real servers whose certificate is like that.
fn those(facts: &Facts, is: impl Fn(&Certificate) -> bool) -> Vec<String> {
    let shown = facts.servers.iter().filter(|visit| visit.certificate.as_ref().is_some_and(&is));
    shown.map(|visit| visit.address.to_string()).collect()
}

/// Clients verify the name or address that they called.
pub fn names(facts: &Facts) -> Vec<Finding> {
    let (vip, name) = (facts.vip(), &facts.name);
    let fix = format!(
        "add {vip} and {name} to apiServer.certSANs of the kubeadm configuration; then there, as root: \
         mv /etc/kubernetes/pki/apiserver.crt /etc/kubernetes/pki/apiserver.key /root/ && \
         kubeadm init phase certs apiserver --config FILE, and restart the apiserver"
    );
    let mut findings = Vec::new();
    let neither = those(facts, |shown| !shown.has_vip && !shown.has_name);
    if !neither.is_empty() {
        findings.push(Finding::error(
            NAMES,
            format!("the certificate of {} is neither for {vip} nor for {name}", listed(&neither)),
            "clients that verify it, as kubelet and kubeadm do, refuse to talk to the virtual server",
            fix.clone(),
        ));
    }
    let not_vip = those(facts, |shown| !shown.has_vip && shown.has_name);
    if !not_vip.is_empty() {
        findings.push(Finding::warning(
            NAMES,
            format!("the certificate of {} is for {name} but not for {vip}", listed(&not_vip)),
            "clients that call the virtual server by its address refuse it; those that use the name do not",
            fix.clone(),
        ));
    }
    let not_name = those(facts, |shown| shown.has_vip && !shown.has_name);
    if !not_name.is_empty() && facts.hosts.as_ref().is_some_and(|entries| !entries.is_empty()) {
        findings.push(Finding::warning(
            NAMES,
            format!("the certificate of {} is for {vip} but not for {name}", listed(&not_name)),
            "clients that call the virtual server by the name that /etc/hosts has for it refuse it",
            fix,
        ));
    }
    if findings.is_empty() && !those(facts, |_| true).is_empty() {
        findings.push(Finding::ok(NAMES, format!("every certificate seen is for {vip}")));
    }
    findings
}

/// A certificate outside of its validity is refused; whose clock is wrong then is another question.
pub fn dates(facts: &Facts) -> Vec<Finding> {
    let now = facts.now;
    let mut findings = Vec::new();
    let early = those(facts, |shown| shown.not_before.is_some_and(|start| start > now));
    if !early.is_empty() {
        findings.push(Finding::error(
            SKEW,
            format!("the certificate of {} is not valid yet: this node's clock says {}", listed(&early), date(now)),
            "clients on this node refuse a certificate of the future; mostly it is this node's clock that is late",
            "chronyc makestep, or timedatectl set-ntp true",
        ));
    }
    let mut first_end = None;
    for visit in &facts.servers {
        let Some(end) = visit.certificate.as_ref().and_then(|shown| shown.not_after) else { continue };
        let server = visit.address;
        first_end = Some(first_end.map_or(end, |first: u64| first.min(end)));
        if end < now {
            findings.push(Finding::error(
                EXPIRED,
                format!("the certificate of {server} expired on {}", date(end)),
                "every client that verifies it refuses to talk to this apiserver",
                RENEW,
            ));
        } else if end < now + SOON_DAYS * DAY {
            let days = (end - now) / DAY;
            let left = match days {
                0 => "within a day".to_owned(),
                1 => "in 1 day".to_owned(),
                days => format!("in {days} days"),
            };
            findings.push(Finding::warning(
                SOON,
                format!("the certificate of {server} expires {left}, on {}", date(end)),
                "from then on every client that verifies it refuses to talk to this apiserver",
                RENEW,
            ));
        }
    }
    match first_end {
        Some(end) if findings.is_empty() => {
            vec![Finding::ok(
                EXPIRED,
                format!("every certificate seen is valid, the first one until {}", date(end)),
            )]
        }
        _ => findings,
    }
}

fn date(at: u64) -> String {
    // Later than this the formatting library has no dates; nobody is interested in hours either.
    const LAST: u64 = 253_402_300_799;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at.min(LAST));
    httpdate::fmt_http_date(time)
}
