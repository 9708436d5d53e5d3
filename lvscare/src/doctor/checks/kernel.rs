//! Has the kernel what lvscare needs?

use crate::doctor::Finding;
use crate::doctor::facts::Facts;
use crate::doctor::facts::daemon::Daemon;
use crate::doctor::facts::table::Table;

const PARTS: &str = "kernel-parts";

/// IPVS itself, its setting, and the means to cut idle connections.
pub fn parts(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &facts.table {
        Table::NotLoaded => {}
        Table::NoIpvs => findings.push(Finding::error(
            PARTS,
            "this kernel has no IPVS and could not load it",
            "without it there is no virtual server",
            "on the host: modprobe ip_vs && echo ip_vs > /etc/modules-load.d/lvscare.conf; some systems have it in \
             a package of its own (kernel-modules, linux-modules-extra)",
        )),
        Table::NotPermitted => findings.push(Finding::note(
            PARTS,
            "the kernel does not show its table: CAP_NET_ADMIN is missing",
            "several checks were left out",
            "run lvscare doctor as root",
        )),
        Table::Failed(why) => findings.push(Finding::error(
            PARTS,
            format!("the kernel's table cannot be read: {why}"),
            "the daemon cannot read it either",
            "look at the kernel's log: dmesg | tail",
        )),
        Table::Seen { expire_nodest, .. } => {
            let guarded = matches!(facts.daemon, Daemon::Seen { .. }) && facts.guarded().is_some();
            if guarded && expire_nodest.is_some_and(|value| value != 1) {
                findings.push(Finding::warning(
                    PARTS,
                    "net.ipv4.vs.expire_nodest_conn is 0 although the daemon runs",
                    "connections to a dead apiserver hang for up to 15 minutes instead of being reset",
                    "find who sets it (grep -r expire_nodest_conn /etc/sysctl.d); until then: sysctl -w \
                     net.ipv4.vs.expire_nodest_conn=1",
                ));
            }
        }
    }
    if facts.node.cuts == Some(false) {
        findings.push(Finding::warning(
            PARTS,
            "this kernel cannot cut connections from outside (INET_DIAG_DESTROY, module tcp_diag)",
            "idle clients of a dead apiserver learn of it only when they next send",
            "on the host: modprobe tcp_diag; if that does not help, the kernel was built without it",
        ));
    }
    if let Some(mode) = facts.node.reuse_mode.filter(|mode| *mode != 0) {
        findings.push(Finding::note(
            PARTS,
            format!("net.ipv4.vs.conn_reuse_mode is {mode} on a kernel before 5.9"),
            "a client whose port is used again waits a second for its connection",
            "sysctl -w net.ipv4.vs.conn_reuse_mode=0 && echo 'net.ipv4.vs.conn_reuse_mode = 0' > \
             /etc/sysctl.d/90-lvscare.conf",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(PARTS, "the kernel has IPVS and can cut connections to dead apiservers"));
    }
    findings
}
