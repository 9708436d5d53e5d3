//! Where a process belongs: to a pod, to a systemd service, to a container; and whether its user is trusted.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::OnceLock;

use rustix::process::geteuid;

/// A longer list of control groups is none that a process here has.
const MAX_CGROUP_BYTES: u64 = 64 << 10;

/// kubelet keeps the logs of pods here, in directories called `NAMESPACE_NAME_UID`.
const PODS: &str = "/var/log/pods";

/// systemd gives these to services with `DynamicUser=`, and nobody else has them (systemd, `docs/UIDS-GIDS.md`).
const DYNAMIC_USERS: RangeInclusive<u32> = 61184..=65519;

/// Whether what belongs to this user may be lvscare: root's, this user's, or a service's of systemd. Everybody else may
/// call a program as he likes, and could not guard anything.
pub(crate) fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw() || DYNAMIC_USERS.contains(&uid)
}

/// This process, for people: `process 712, service lvscare.service`.
pub(crate) fn own() -> &'static str {
    static OWN: OnceLock<String> = OnceLock::new();
    OWN.get_or_init(|| describe(std::process::id(), Path::new("/proc/self")))
}

/// The process `id`, of which `proc` tells: `/proc/ID`.
pub(crate) fn describe(id: u32, proc: &Path) -> String {
    let mut text = format!("process {id}");
    let mut groups = String::new();
    let read = File::open(proc.join("cgroup"))
        .and_then(|file| file.take(MAX_CGROUP_BYTES).read_to_string(&mut groups));
    if read.is_ok()
        && let Some(place) = place(&groups, id, |uid| pod_name(Path::new(PODS), uid))
    {
        let _ = write!(text, ", {place}");
    }
    text
}

/// What the control groups of a process tell (cgroups(7): `0::/system.slice/lvscare.service`).
fn place(groups: &str, id: u32, pod_name: impl Fn(&str) -> Option<String>) -> Option<String> {
    let paths = || groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    if let Some(uid) = paths().find_map(pod) {
        return Some(pod_name(&uid).map_or_else(|| format!("pod {uid}"), |name| format!("pod {name}")));
    }
    let service = |path: &str| path.rsplit('/').find(|part| part.ends_with(".service")).map(str::to_owned);
    if let Some(service) = paths().find_map(service).filter(|name| is_plain(name)) {
        return Some(format!("service {service}"));
    }
    // Whoever is the first of all processes, and in no group that it could see, is in a container.
    (id == 1 && paths().all(|path| path == "/")).then(|| "a container".to_owned())
}

/// The UID of the pod that a control group belongs to: `kubepods/burstable/podUID/..`, or
/// `kubepods-burstable-podUID.slice/..` with underscores in the place of dashes.
fn pod(path: &str) -> Option<String> {
    let (_, below) = path.split_once("kubepods")?;
    below.split('/').find_map(|part| {
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let (before, uid) = part.rsplit_once("pod")?;
        let uid = uid.replace('_', "-");
        let whole = before.is_empty() || before.ends_with('-');
        (whole && uid.len() >= 32 && is_plain(&uid)).then_some(uid)
    })
}

/// `NAMESPACE/NAME` of a pod by its UID.
fn pod_name(pods: &Path, uid: &str) -> Option<String> {
    let entries = fs::read_dir(pods).ok()?;
    entries.flatten().find_map(|entry| {
        let name = entry.file_name();
        let name = name.to_str()?.strip_suffix(uid)?.strip_suffix('_')?;
        is_plain(name).then(|| name.replacen('_', "/", 1))
    })
}

/// Names go to a terminal: only what units and pods are called by.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@:".contains(&byte);
    name.len() <= 255 && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        const UID: &str = "5c8a1cbbf8bb8f3bd2b5e4d7d3b4ab8b";
        let systemd = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod";
        for (groups, id, wanted) in [
            (
                "0::/system.slice/lvscare.service\n".to_owned(),
                712,
                Some("service lvscare.service".to_owned()),
            ),
            (
                "12:pids:/system.slice/lvscare.service\n0::/\n".into(),
                712,
                Some("service lvscare.service".into()),
            ),
            (format!("0::/kubepods/burstable/pod{UID}/0123\n"), 712, Some(format!("pod {UID}"))),
            (format!("0::/../../kubepods/besteffort/pod{UID}/0123\n"), 1, Some(format!("pod {UID}"))),
            (
                format!("0::/{systemd}0a1b2c3d_0a1b_2c3d_4e5f_0a1b2c3d4e5f.slice/cri-containerd-01.scope\n"),
                712,
                Some("pod 0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f".into()),
            ),
            ("0::/\n".into(), 1, Some("a container".into())),
            ("0::/\n".into(), 712, None),
            ("0::/user.slice/user-0.slice/session-3.scope\n".into(), 712, None),
            // Whoever may make control groups may call them anything.
            ("0::/user.slice/\x1b[2J.service\n".into(), 712, None),
            (String::new(), 1, Some("a container".into())),
        ] {
            assert_eq!(place(&groups, id, |_| None), wanted, "{groups:?}");
        }
        let named = place(&format!("0::/kubepods/pod{UID}/1\n"), 7, |uid| Some(format!("kube-system/{uid}")));
        assert_eq!(named, Some(format!("pod kube-system/{UID}")));
    }

    #[test]
    fn a_pod_has_a_name() {
        let pods = tempfile::tempdir().unwrap();
        for name in ["kube-system_kube-lvscare-node1_0a1b", "default_other_0a1c", "nonsense"] {
            fs::create_dir(pods.path().join(name)).unwrap();
        }
        assert_eq!(pod_name(pods.path(), "0a1b").as_deref(), Some("kube-system/kube-lvscare-node1"));
        assert_eq!(pod_name(pods.path(), "0a1d"), None);
        assert_eq!(pod_name(&pods.path().join("none"), "0a1b"), None);
    }

    #[test]
    fn whom_to_trust() {
        assert!([0, 61184, 65519, geteuid().as_raw()].into_iter().all(is_trusted));
        assert!(![1000, 65534].into_iter().any(|uid| uid != geteuid().as_raw() && is_trusted(uid)));
    }

    #[test]
    fn this_process_has_a_place() {
        assert!(own().starts_with(&format!("process {}", std::process::id())), "{}", own());
    }
}
