//! What else on the system may get in the way, now or after the next boot.

use lvscare::doctor::Finding;

use crate::facts::host::Facts;

/// kubelet does not start where swap is on, unless it is told to.
pub fn swap(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "swap";
    if !facts.swap {
        return vec![Finding::ok(ID, "swap is off")];
    }
    vec![Finding::warning(
        ID,
        "swap is on",
        "kubelet refuses to start unless failSwapOn is false",
        "swapoff -a, and take it out of /etc/fstab",
    )]
}

/// Does the line in /etc/hosts stay, and is it looked at?
pub fn names(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(file) = &facts.cloud_hosts {
        findings.push(Finding::warning(
            "cloud-init-hosts",
            format!("cloud-init writes /etc/hosts anew at each boot (manage_etc_hosts in {file})"),
            "our line is lost at the next boot, and the node then does not find its apiservers",
            "set manage_etc_hosts: false there",
        ));
    }
    if let Some(order) = &facts.name_sources
        && order.split_whitespace().next() != Some("files")
    {
        findings.push(Finding::warning(
            "nsswitch-hosts",
            format!("names are not looked up in /etc/hosts first (/etc/nsswitch.conf: hosts: {order})"),
            "the name of the virtual server may mean something else, or take long to be found",
            "put files first: hosts: files dns",
        ));
    }
    if findings.is_empty() {
        findings
            .push(Finding::ok("nsswitch-hosts", "a line in /etc/hosts stays there, and is looked at first"));
    }
    findings
}

/// kubeadm asks whom its environment says. The proxy's address may hold a password and is not shown.
pub fn proxy(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "proxy";
    let name = &facts.doctor.name;
    let Some(variable) = facts.proxy.filter(|_| facts.joins) else {
        return vec![Finding::ok(ID, format!("no proxy stands between kubeadm and {name}"))];
    };
    vec![Finding::warning(
        ID,
        format!("{variable} is set, and NO_PROXY does not spare {name}"),
        "kubeadm asks the apiservers through that proxy, which does not know the virtual server of this node",
        format!("add it: export NO_PROXY=\"${{NO_PROXY:+$NO_PROXY,}}{name},{}\"", facts.doctor.vip()),
    )]
}

/// Programs that keep the system as they think it should be.
pub fn keepers(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for firewall in &facts.firewalls {
        findings.push(Finding::warning(
            "firewall",
            format!("{firewall} is active"),
            "it must let in what the masters and other nodes send: kubelet's port 10250 and the pod network",
            format!("open 10250/tcp and what the network plugin needs, or stop {firewall}"),
        ));
    }
    for manager in &facts.managers {
        findings.push(Finding::note(
            "route-manager",
            format!("{manager} manages the network"),
            "it may remove routes that it did not make when links change; lvscare puts its route back at once",
            "nothing to do while the daemon runs",
        ));
    }
    if facts.selinux {
        findings.push(Finding::note(
            "selinux",
            "SELinux enforces its policy",
            "the files that are written get the label of those they replace; a policy of your own may know others",
            "nothing to do with a distribution's own policy; else: ausearch -m avc -ts recent",
        ));
    }
    findings
}

/// Settings that are made after ours.
pub fn settings(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "sysctl-contradicted";
    let finding = |line: &String| {
        Finding::warning(
            ID,
            format!("/etc/sysctl.conf says `{line}`"),
            "some systems read it last of all, and what the virtual server needs is off after the next boot",
            "take that line out",
        )
    };
    facts.contradicted.iter().map(finding).collect()
}
