//! Everything that looks: the doctor's facts, and those of a machine that is yet to become a node. A fact that cannot
//! be seen is absent.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use lvscare::config::Config;
use lvscare::doctor::facts::{self as doctor, Scope};
use lvscare::exit::Failure;
use lvscare::files;
use lvscare::kernel::address;
use lvscare::preflight;
use rustix::fs::{IFlags, StatVfsMountFlags, ioctl_getflags, statvfs};

use super::asked::{Asked, Role};
use crate::hosts::{self, Foreign};
use crate::kubelet::{self, Joined};
use crate::masters::in_our_words;
use crate::node::facts as node;
use crate::node::paths::{self, Root};
use crate::reach::LIMIT;

/// Where the usual container runtimes answer.
const RUNTIMES: [&str; 4] = [
    "/run/containerd/containerd.sock",
    "/var/run/crio/crio.sock",
    "/var/run/cri-dockerd.sock",
    "/var/run/docker.sock",
];

/// What was seen.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts {
    /// What the doctor sees.
    pub doctor: doctor::Facts,
    /// Where the daemon will listen.
    pub listen: Option<std::net::SocketAddr>,
    /// How many masters there are.
    pub masters: usize,
    /// Whether the node is to become a master.
    pub is_master: bool,
    /// Whether kubeadm comes next.
    pub joins: bool,
    /// Why the addresses cannot be those of this node and its virtual server.
    pub impossible: Option<String>,
    /// Lines of others for the name of the virtual server; why the file cannot be edited, otherwise.
    pub hosts: Result<Vec<Foreign>, String>,
    /// Whether the hosts file is a mount point.
    pub hosts_mounted: bool,
    /// Whether we are root.
    pub root: bool,
    /// The kernel's release.
    pub kernel: String,
    /// The name that the node will have.
    pub node_name: String,
    /// Where nothing can be written.
    pub closed: Vec<(PathBuf, Closed)>,
    /// Bytes that are free where something will be written.
    pub free: Vec<(PathBuf, u64)>,
    /// The size of the image's archive.
    pub archive: u64,
    /// The cluster that this node has joined.
    pub joined: Option<Joined>,
    /// Hashes of the authority that were told.
    pub authorities: Vec<String>,
    /// The TCP ports that are listened on.
    pub listening: BTreeSet<u16>,
    /// The sockets of container runtimes, and whether somebody answers there.
    pub runtimes: Vec<(String, bool)>,
    /// containerd's configuration.
    pub containerd: Option<String>,
    /// Static pods of other guards.
    pub manifests: Vec<String>,
    /// Whether swap is on.
    pub swap: bool,
    /// The file in which cloud-init is told to write the hosts file.
    pub cloud_hosts: Option<String>,
    /// Where names are looked up, in order.
    pub name_sources: Option<String>,
    /// The firewalls that are active.
    pub firewalls: Vec<&'static str>,
    /// The programs that manage routes.
    pub managers: Vec<&'static str>,
    /// Whether `SELinux` enforces its policy.
    pub selinux: bool,
}

/// Why nothing can be written somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The file system is mounted read-only.
    ReadOnly,
    /// The file, or the directory, is immutable (`chattr +i`).
    Immutable,
}

/// Looks at everything. Changes nothing: not even a module is loaded, unless `scope` says so.
pub fn gather(root: &Root, asked: &Asked, config: &Config, scope: Scope) -> Result<Facts, Failure> {
    let joined = kubelet::joined(root);
    let doctor = doctor::gather(&doctor::Asked {
        vs: asked.vs,
        servers: asked.masters.clone(),
        listen: asked.listen,
        name: asked.name.clone(),
        service_cidrs: asked.service_cidrs.clone(),
        pod_cidrs: asked.pod_cidrs.clone(),
        kube_proxy_config: None,
        timeout: LIMIT,
        scope,
        authority: joined.as_ref().and_then(|joined| joined.pem.clone()),
    })?;
    let text = |path: &str| fs::read_to_string(root.join(Path::new(path))).ok();
    let line = |path: &str| text(path).unwrap_or_default().trim().to_owned();
    let exists = |path: &str| root.join(Path::new(path)).exists();
    let hosts = node::read(root, paths::HOSTS)
        .map(|content| content.map(|content| content.bytes).unwrap_or_default())
        .map_err(|failure| failure.message)
        .and_then(|bytes| hosts::others(&bytes, &asked.name).map_err(|error| error.to_string()));
    let refusal = address::list().ok().and_then(|own| preflight::check(config, &own).err());
    Ok(Facts {
        doctor,
        listen: asked.listen,
        masters: asked.masters.len(),
        is_master: asked.role == Role::Master,
        joins: asked.joins,
        impossible: refusal.map(|refusal| in_our_words(&refusal).message),
        hosts,
        hosts_mounted: text("/proc/self/mountinfo").is_some_and(|text| is_mounted(&text, paths::HOSTS)),
        root: rustix::process::geteuid().is_root(),
        kernel: line("/proc/sys/kernel/osrelease"),
        node_name: asked.node_name.clone().unwrap_or_else(|| line("/proc/sys/kernel/hostname")),
        closed: closed(root),
        free: free(root),
        archive: asked.archive.as_ref().and_then(|path| fs::metadata(path).ok()).map_or(0, |meta| meta.len()),
        joined,
        authorities: asked.authorities.clone(),
        listening: ["/proc/net/tcp", "/proc/net/tcp6"]
            .into_iter()
            .flat_map(|path| listening(&text(path).unwrap_or_default()))
            .collect(),
        runtimes: runtimes(root, asked.cri_socket.as_deref()),
        containerd: text("/etc/containerd/config.toml"),
        manifests: manifests(root),
        swap: text("/proc/swaps").is_some_and(|text| text.lines().count() > 1),
        cloud_hosts: cloud_hosts(root),
        name_sources: text("/etc/nsswitch.conf").and_then(|text| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix("hosts:"))?;
            Some(line.trim().to_owned())
        }),
        firewalls: active([
            ("firewalld", exists("/run/firewalld")),
            (
                "ufw",
                text("/etc/ufw/ufw.conf").is_some_and(|text| text.lines().any(|line| line == "ENABLED=yes")),
            ),
        ]),
        managers: active([
            ("NetworkManager", exists("/run/NetworkManager")),
            ("systemd-networkd", exists("/run/systemd/netif/links")),
        ]),
        selinux: text("/sys/fs/selinux/enforce").is_some_and(|text| text.trim() == "1"),
    })
}

fn active(programs: [(&'static str, bool); 2]) -> Vec<&'static str> {
    programs.into_iter().filter_map(|(name, active)| active.then_some(name)).collect()
}

/// The places that are written to; of a directory that is not there yet, the one above it.
fn places(root: &Root) -> BTreeSet<PathBuf> {
    let there = |path: &str| {
        let above = Path::new(path).ancestors().find(|path| root.join(path).exists());
        above.unwrap_or(Path::new("/")).to_owned()
    };
    ["/etc", "/etc/modules-load.d", "/etc/sysctl.d", paths::HOSTS, paths::MANIFESTS, paths::STATE]
        .map(there)
        .into()
}

fn closed(root: &Root) -> Vec<(PathBuf, Closed)> {
    let closed = |path: PathBuf| {
        let at = root.join(&path);
        if statvfs(&at).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY)) {
            return Some((path, Closed::ReadOnly));
        }
        let flags = ioctl_getflags(File::open(&at).ok()?).ok()?;
        flags.contains(IFlags::IMMUTABLE).then_some((path, Closed::Immutable))
    };
    let mut found: Vec<(PathBuf, Closed)> = Vec::new();
    for (path, why) in places(root).into_iter().filter_map(closed) {
        // What is wrong with a directory need not be said of all that is in it.
        if !found.iter().any(|(above, same)| *same == why && path.starts_with(above)) {
            found.push((path, why));
        }
    }
    found
}

fn free(root: &Root) -> Vec<(PathBuf, u64)> {
    let free = |path: &str| {
        let stat = statvfs(root.join(Path::new(path))).ok()?;
        // File systems in memory without a limit say that they have no blocks at all.
        (stat.f_blocks > 0).then(|| (PathBuf::from(path), stat.f_bavail * stat.f_frsize))
    };
    ["/etc", "/var/lib"].into_iter().filter_map(free).collect()
}

/// `36 35 98:0 /mnt1 /etc/hosts rw ..`: the fifth word is the mount point.
fn is_mounted(text: &str, path: &str) -> bool {
    text.lines().any(|line| line.split(' ').nth(4) == Some(path))
}

/// `0: 0100007F:1F90 00000000:0000 0A ..`: `0A` listens.
fn listening(text: &str) -> Vec<u16> {
    let port = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (_, port) = words.next()?.rsplit_once(':')?;
        (words.nth(1)? == "0A").then(|| u16::from_str_radix(port, 16).ok())?
    };
    text.lines().skip(1).filter_map(port).collect()
}

fn runtimes(root: &Root, told: Option<&str>) -> Vec<(String, bool)> {
    let sockets: Vec<&str> = match told {
        Some(socket) => vec![socket.strip_prefix("unix://").unwrap_or(socket)],
        None => RUNTIMES.to_vec(),
    };
    let answers = |socket: &str| UnixStream::connect(root.join(Path::new(socket))).is_ok();
    sockets.into_iter().map(|socket| (socket.to_owned(), answers(socket))).collect()
}

/// Other manifests that run a guard of a virtual address.
fn manifests(root: &Root) -> Vec<String> {
    let directory = Path::new(paths::MANIFESTS);
    let entries = fs::read_dir(root.join(directory)).into_iter().flatten().flatten();
    let paths = entries.map(|entry| directory.join(entry.file_name()));
    let is_guard = |path: &PathBuf| {
        let text = files::read_text(&root.join(path)).unwrap_or_default();
        let image =
            |line: &str| line.trim().trim_start_matches("- ").strip_prefix("image:").map(str::to_owned);
        let guards = ["lvscare", "kube-vip", "keepalived"];
        text.lines().filter_map(image).any(|image| guards.iter().any(|guard| image.contains(guard)))
    };
    let others = paths.filter(|path| path != Path::new(paths::POD)).filter(is_guard);
    let mut others: Vec<_> = others.map(|path| path.display().to_string()).collect();
    others.sort();
    others
}

/// The file in which cloud-init is told to keep the hosts file; the last one that says something counts.
fn cloud_hosts(root: &Root) -> Option<String> {
    let directory = Path::new("/etc/cloud/cloud.cfg.d");
    let entries = fs::read_dir(root.join(directory)).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| directory.join(entry.file_name())).collect();
    files.sort();
    files.insert(0, "/etc/cloud/cloud.cfg".into());
    let said = |path: &PathBuf| {
        let text = files::read_text(&root.join(path)).ok()?;
        let value = text.lines().find_map(|line| line.trim().strip_prefix("manage_etc_hosts:"))?;
        Some((path.display().to_string(), !matches!(value.trim(), "false" | "False" | "no" | "off")))
    };
    files.iter().filter_map(said).next_back().and_then(|(path, on)| on.then_some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_the_kernel_writes_them() {
        let text = "  sl  local_address rem_address   st tx_queue\n   \
                       0: 0100007F:280A 00000000:0000 0A 00000000:00000000\n   \
                       1: 0100007F:1F90 0100007F:E0D2 01 00000000:00000000\n";
        assert_eq!(listening(text), [10250]);
    }

    #[test]
    fn a_mount_is_known_by_its_place() {
        let text = "36 35 98:0 / / rw - ext4 /dev/root rw\n37 36 98:0 /x /etc/hosts rw - ext4 /dev/root rw\n";
        assert!(is_mounted(text, "/etc/hosts"));
        assert!(!is_mounted(text, "/etc"));
    }

    #[test]
    fn a_machine_in_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        let write = |path: &str, text: &str| {
            let path = root.join(Path::new(path));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("/etc/cloud/cloud.cfg", "manage_etc_hosts: true\n");
        assert_eq!(cloud_hosts(&root).as_deref(), Some("/etc/cloud/cloud.cfg"));
        write("/etc/cloud/cloud.cfg.d/90.cfg", "manage_etc_hosts: false\n");
        assert_eq!(cloud_hosts(&root), None);

        write(paths::POD, "image: lvscare:1\n");
        write("/etc/kubernetes/manifests/etcd.yaml", "  - image: registry/etcd:3\n");
        assert_eq!(manifests(&root), [""; 0]);
        write("/etc/kubernetes/manifests/kube-sealyun-lvscare.yaml", "  - image: fanux/lvscare:latest\n");
        assert_eq!(manifests(&root), ["/etc/kubernetes/manifests/kube-sealyun-lvscare.yaml"]);

        assert!(runtimes(&root, None).iter().all(|(_, answers)| !answers));
        fs::create_dir_all(root.join(Path::new("/run/cri"))).unwrap();
        let _listener =
            std::os::unix::net::UnixListener::bind(root.join(Path::new("/run/cri/x.sock"))).unwrap();
        assert_eq!(runtimes(&root, Some("unix:///run/cri/x.sock")), [("/run/cri/x.sock".to_owned(), true)]);
        assert!(places(&root).contains(Path::new("/etc/kubernetes/manifests")));
    }
}
