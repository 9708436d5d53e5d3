//! The machine itself.

use lvscare::doctor::Finding;

use crate::facts::host::Facts;
use crate::machine::Closed;
use crate::spec::names::check_name;

/// The first kernel that the tests of lvscare know to work.
const OLDEST: (u32, u32) = (4, 19);

/// All that is written is a few kilobytes; this is for the file system's own needs.
const ROOM: u64 = 1 << 20;

/// How much bigger than its archive an image is once unpacked.
const UNPACKED: u64 = 3;

/// Changing routes and rules is root's.
pub fn permission(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "permission";
    if facts.root {
        return vec![Finding::ok(ID, "this is root")];
    }
    vec![Finding::error(
        ID,
        "this is not root",
        "routes, rules and the files of a node are root's to change; what root may see was left out",
        "sudo lvscare-installer ..",
    )]
}

/// Old kernels lack parts and fixes.
pub fn kernel(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "kernel-version";
    let mut parts = facts.kernel.split(['.', '-']).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else { return Vec::new() };
    if (major, minor) >= OLDEST {
        return vec![Finding::ok(ID, format!("the kernel is Linux {}", facts.kernel))];
    }
    vec![Finding::warning(
        ID,
        format!("the kernel is Linux {}", facts.kernel),
        format!("before {}.{} IPVS was never tried with lvscare", OLDEST.0, OLDEST.1),
        "use a newer kernel",
    )]
}

/// The API server refuses other names of nodes.
pub fn host_name(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "host-name";
    let Err(why) = check_name(&facts.node_name) else {
        return vec![Finding::ok(ID, format!("{} is a name for a node", facts.node_name))];
    };
    vec![Finding::error(
        ID,
        why.to_string(),
        "kubelet registers the node by this name, and the API accepts only DNS names in lower case",
        "hostnamectl set-hostname NAME, or join with --node-name",
    )]
}

/// Where nothing can be written, nothing can be prepared.
pub fn writable(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "not-writable";
    let finding = |(path, closed): &(std::path::PathBuf, Closed)| {
        let path = path.display();
        let (seen, fix) = match closed {
            Closed::ReadOnly => (
                format!("{path} is on a file system that is mounted read-only"),
                format!("findmnt --target {path}, and mount -o remount,rw what it names"),
            ),
            Closed::Immutable => (format!("{path} is immutable"), format!("chattr -i {path}")),
            Closed::AppendOnly => (format!("{path} can only be added to"), format!("chattr -a {path}")),
        };
        Finding::error(ID, seen, "the preparation could not be completed", fix)
    };
    let findings: Vec<_> = facts.closed.iter().map(finding).collect();
    if findings.is_empty() {
        return vec![Finding::ok(ID, "what the preparation writes can be written")];
    }
    findings
}

/// Room for our files, and for the image.
pub fn space(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "disk-full";
    let mut findings = Vec::new();
    for (path, free) in &facts.free {
        let image = if path.ends_with("lib") { facts.archive * UNPACKED } else { 0 };
        let wanted = ROOM + image;
        if *free < wanted {
            findings.push(Finding::error(
                ID,
                format!(
                    "the file system of {} has {} KiB left and {} KiB are needed",
                    path.display(),
                    free >> 10,
                    wanted >> 10
                ),
                "a preparation that runs out of space stops half way",
                format!("make room: df -h {0}; du -xh {0} | sort -h | tail", path.display()),
            ));
        }
    }
    if findings.is_empty() && !facts.free.is_empty() {
        findings.push(Finding::ok(ID, "there is room for what the preparation writes"));
    }
    findings
}

/// Containers have it mounted into them.
pub fn hosts_mount(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "hosts-mounted";
    if !facts.hosts_mounted {
        return Vec::new();
    }
    vec![Finding::warning(
        ID,
        "/etc/hosts is a mount of its own, as in a container",
        "it cannot be replaced at once and is written in place, with a copy beside it meanwhile; and whoever mounts \
         it may write it anew",
        "prepare the host instead of a container; nothing to do if this is meant",
    )]
}

/// Asking the kernel itself would have it load IPVS.
pub fn ipvs(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "kernel-parts";
    if facts.ipvs != Some(false) {
        return Vec::new();
    }
    vec![Finding::error(
        ID,
        format!("the kernel has no module ip_vs (/lib/modules/{})", facts.kernel),
        "without it there is no virtual server",
        "some systems have it in a package of its own (kernel-modules, linux-modules-extra)",
    )]
}
