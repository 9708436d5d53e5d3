//! Everything that looks: the doctor's facts, and those of a machine that is yet to become a node. A fact that cannot
//! be seen is absent.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lvscare::doctor::facts::{self as doctor, Scope};
use lvscare::doctor::subnet::Subnet;
use lvscare::kernel::address::InterfaceAddress;
use lvscare::model::Sysctl;
use lvscare::{preflight, yaml};
use serde::Deserialize;

use super::cluster::{self, Learned, Pass};
use super::former;
use super::kubelet::{self, Joined};
use super::reach::LIMIT;
use super::{read, refusal, text};
use crate::api::Failure;
use crate::desired::FORWARDING;
use crate::machine::{Closed, Machine};
use crate::paths;
use crate::render::hosts::{self, Foreign};
use crate::spec::version::KubernetesVersion;
use crate::spec::{Role, Spec};

/// Where the usual container runtimes answer.
pub const RUNTIMES: [&str; 4] = [
    "/run/containerd/containerd.sock",
    "/var/run/crio/crio.sock",
    "/var/run/cri-dockerd.sock",
    "/var/run/docker.sock",
];

/// What a machine is checked for, beside what it shall have.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The container runtime's socket, if told.
    pub cri_socket: Option<String>,
    /// The node's name, if it is not that of the host.
    pub node_name: Option<String>,
    /// Hashes of the authority of the cluster to join, if told.
    pub authorities: Vec<String>,
    /// With what that cluster can be asked how it was made.
    pub pass: Option<Pass>,
    /// The kubeadm that joins.
    pub kubeadm: Option<KubernetesVersion>,
    /// What the node is to become.
    pub role: Role,
    /// An archive with the image, which needs room.
    pub archive: Option<PathBuf>,
    /// Whether kubeadm comes next: then what it would refuse is an error.
    pub joins: bool,
    /// Whether it shall have a virtual server: a master is its own way to the apiserver.
    pub has_rules: bool,
}

/// What was seen.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts {
    /// What the doctor sees.
    pub doctor: doctor::Facts,
    /// Where the daemon will listen.
    pub listen: Option<std::net::SocketAddr>,
    /// What the cluster to join tells of itself.
    pub cluster: Learned,
    /// The kubeadm that joins.
    pub kubeadm: Option<KubernetesVersion>,
    /// Whether anybody said which addresses Kubernetes gives to Services.
    pub service_cidr_told: bool,
    /// How many masters there are.
    pub masters: usize,
    /// Whether the node is to become a master.
    pub is_master: bool,
    /// Whether kubeadm comes next.
    pub joins: bool,
    /// Whether it shall have a virtual server.
    pub has_rules: bool,
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
    /// Static pods of older lvscares.
    pub former: Vec<String>,
    /// Whether the kernel has IPVS, loaded or not; `None`: that cannot be told.
    pub ipvs: Option<bool>,
    /// Settings of `/etc/sysctl.conf`, which some systems make last of all, against ours.
    pub contradicted: Vec<String>,
    /// Whether swap is on.
    pub swap: bool,
    /// The file in which cloud-init is told to write the hosts file.
    pub cloud_hosts: Option<String>,
    /// The variable that leads kubeadm's questions to the virtual server through a proxy.
    pub proxy: Option<&'static str>,
    /// Whether the kernel's control groups are those of version 1.
    pub cgroup_v1: bool,
    /// The masters that are this very machine.
    pub own_masters: Vec<SocketAddr>,
    /// Where names are looked up, in order.
    pub name_sources: Option<String>,
    /// The firewalls that are active.
    pub firewalls: Vec<&'static str>,
    /// The programs that manage routes.
    pub managers: Vec<&'static str>,
    /// Whether `SELinux` enforces its policy.
    pub selinux: bool,
}

/// Looks at everything.
pub fn gather<M: Machine>(
    machine: &mut M,
    spec: &Spec,
    asked: &Asked,
    scope: Scope,
) -> Result<Facts, Failure> {
    let joined = kubelet::joined(machine);
    // Who has joined needs no token any more.
    let cluster = match &asked.pass {
        Some(pass) if joined.is_none() && scope != (Scope::Before { visits: false }) => {
            cluster::learn(machine, &spec.masters, pass)
        }
        _ => Learned::NotAsked,
    };
    let mut doctor = machine.doctor(&doctor::Asked {
        vs: spec.vs,
        servers: spec.masters.clone(),
        listen: spec.config.listen,
        name: spec.name.clone(),
        service_cidrs: spec.service_cidrs.clone(),
        pod_cidrs: spec.pod_cidrs.clone(),
        kube_proxy_config: None,
        timeout: LIMIT,
        scope,
        authority: match (&joined, &cluster) {
            (None, Learned::Known(cluster)) => Some(cluster.authority.clone().into_bytes()),
            _ => joined.as_ref().and_then(|joined| joined.pem.clone()),
        },
    })?;
    if let Learned::Known(cluster) = &cluster {
        let told = |subnet: &Subnet| (*subnet, "its kubeadm-config".to_owned());
        doctor.cluster.services.extend(cluster.services.iter().map(told));
        doctor.cluster.pods.extend(cluster.pods.iter().map(told));
    }
    let own = machine.addresses().unwrap_or_default();
    let machine = &*machine;
    let line = |path: &str| text(machine, path).unwrap_or_default().trim().to_owned();
    let exists = |path: &str| machine.entries(Path::new(path)).is_some();
    let hosts = read(machine, paths::HOSTS)
        .map(|content| content.map(|content| content.bytes).unwrap_or_default())
        .map_err(|failure| failure.message)
        .and_then(|bytes| hosts::others(&bytes, &spec.name).map_err(|error| error.to_string()));
    Ok(Facts {
        doctor,
        listen: spec.config.listen,
        cluster,
        kubeadm: asked.kubeadm,
        service_cidr_told: !spec.service_cidrs.is_empty(),
        masters: spec.masters.len(),
        is_master: asked.role == Role::Master,
        joins: asked.joins,
        has_rules: asked.has_rules,
        impossible: preflight::possible(&spec.config, &own).err().map(|why| refusal(&why).message),
        hosts,
        hosts_mounted: text(machine, "/proc/self/mountinfo")
            .is_some_and(|text| is_mounted(&text, paths::HOSTS)),
        root: machine.is_root(),
        kernel: line(paths::RELEASE),
        node_name: asked.node_name.clone().unwrap_or_else(|| line("/proc/sys/kernel/hostname")),
        closed: closed(machine),
        free: ["/etc", "/var/lib"]
            .into_iter()
            .filter_map(|path| Some((PathBuf::from(path), machine.place(Path::new(path)).free?)))
            .collect(),
        archive: asked.archive.as_ref().and_then(|path| machine.place(path).length).unwrap_or_default(),
        joined,
        authorities: asked.authorities.clone(),
        listening: ["/proc/net/tcp", "/proc/net/tcp6"]
            .into_iter()
            .flat_map(|path| listening(&text(machine, path).unwrap_or_default()))
            .collect(),
        runtimes: runtimes(machine, asked.cri_socket.as_deref()),
        containerd: text(machine, "/etc/containerd/config.toml"),
        manifests: manifests(machine),
        former: former::guards(machine).into_iter().map(|(path, _)| path.display().to_string()).collect(),
        ipvs: ipvs(machine, &line(paths::RELEASE)),
        contradicted: contradicted(&text(machine, "/etc/sysctl.conf").unwrap_or_default()),
        swap: text(machine, "/proc/swaps").is_some_and(|text| text.lines().count() > 1),
        cloud_hosts: cloud_hosts(machine),
        proxy: proxy(machine, &spec.name),
        cgroup_v1: machine
            .entries(Path::new("/sys/fs/cgroup"))
            .is_some_and(|names| !names.is_empty() && !names.iter().any(|name| name == "cgroup.controllers")),
        own_masters: own_masters(&spec.masters, &own),
        name_sources: text(machine, "/etc/nsswitch.conf").and_then(|text| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix("hosts:"))?;
            Some(line.trim().to_owned())
        }),
        firewalls: active([
            ("firewalld", exists("/run/firewalld")),
            (
                "ufw",
                text(machine, "/etc/ufw/ufw.conf")
                    .is_some_and(|text| text.lines().any(|line| line == "ENABLED=yes")),
            ),
        ]),
        managers: active([
            ("NetworkManager", exists("/run/NetworkManager")),
            ("systemd-networkd", exists("/run/systemd/netif/links")),
        ]),
        selinux: text(machine, "/sys/fs/selinux/enforce").is_some_and(|text| text.trim() == "1"),
    })
}

fn own_masters(masters: &[SocketAddr], own: &[InterfaceAddress]) -> Vec<SocketAddr> {
    let is_own = |master: &&SocketAddr| own.iter().any(|interface| interface.address == master.ip());
    masters.iter().filter(is_own).copied().collect()
}

/// kubeadm, as every program in Go, looks at these: <https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config>.
fn proxy<M: Machine>(machine: &M, name: &str) -> Option<&'static str> {
    let said = |variable: &str| machine.variable(variable).filter(|text| !text.trim().is_empty());
    let variable = ["HTTPS_PROXY", "https_proxy"].into_iter().find(|variable| said(variable).is_some())?;
    let spared = said("NO_PROXY").or_else(|| said("no_proxy")).unwrap_or_default();
    (!spares(&spared, name)).then_some(variable)
}

/// `example.com` means that name and all below it, `.example.com` and `*.example.com` only those below, `*` everything.
fn spares(list: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    list.split(',').any(|entry| {
        let entry = entry.trim().to_ascii_lowercase();
        let entry = entry.split(':').next().unwrap_or_default();
        match entry.strip_prefix("*.").or_else(|| entry.strip_prefix('.')) {
            Some(above) => name.strip_suffix(above).is_some_and(|rest| rest.ends_with('.')),
            None if entry.is_empty() => false,
            None => {
                entry == "*"
                    || name == entry
                    || name.strip_suffix(entry).is_some_and(|rest| rest.ends_with('.'))
            }
        }
    })
}

fn active(programs: [(&'static str, bool); 2]) -> Vec<&'static str> {
    programs.into_iter().filter_map(|(name, active)| active.then_some(name)).collect()
}

/// The places that are written to; of a directory that is not there yet, the one above it.
fn places<M: Machine>(machine: &M) -> BTreeSet<PathBuf> {
    let is_there = |path: &&Path| {
        let place = machine.place(path);
        place.is_directory || place.length.is_some()
    };
    let there = |path: &str| Path::new(path).ancestors().find(is_there).unwrap_or(Path::new("/")).to_owned();
    let directories = ["/etc", "/etc/modules-load.d", "/etc/sysctl.d", paths::MANIFESTS, paths::STATE];
    directories.map(there).into_iter().chain([there(paths::HOSTS)]).collect()
}

fn closed<M: Machine>(machine: &M) -> Vec<(PathBuf, Closed)> {
    let mut found: Vec<(PathBuf, Closed)> = Vec::new();
    let closed = |path: PathBuf| Some((machine.place(&path).closed?, path));
    for (why, path) in places(machine).into_iter().filter_map(closed) {
        // What is wrong with a directory need not be said of all that is in it.
        if !found.iter().any(|(above, same)| *same == why && path.starts_with(above)) {
            found.push((path, why));
        }
    }
    // Modules' settings are written there.
    if let Some(why) = machine.place(Path::new("/proc/sys")).closed {
        found.push(("/proc/sys".into(), why));
    }
    found
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

fn runtimes<M: Machine>(machine: &M, told: Option<&str>) -> Vec<(String, bool)> {
    let sockets: Vec<&str> = match told {
        Some(socket) => vec![socket.strip_prefix("unix://").unwrap_or(socket)],
        None => RUNTIMES.to_vec(),
    };
    sockets.into_iter().map(|socket| (socket.to_owned(), machine.answers(Path::new(socket)))).collect()
}

/// Other manifests that run a guard of a virtual address, in YAML or JSON. kubelet leaves names with a dot before alone.
fn manifests<M: Machine>(machine: &M) -> Vec<String> {
    let directory = Path::new(paths::MANIFESTS);
    let names = machine.entries(directory).unwrap_or_default();
    let paths = names.iter().filter(|name| !name.starts_with('.')).map(|name| directory.join(name));
    let is_guard = |path: &PathBuf| {
        let text = text(machine, path).unwrap_or_default();
        let guards = ["lvscare", "kube-vip", "keepalived"];
        text.split([',', '\n', '{'])
            .filter_map(image)
            .any(|image| guards.iter().any(|guard| image.contains(guard)))
    };
    let ours = |path: &PathBuf| {
        path == Path::new(paths::POD) || former::guards(machine).iter().any(|(former, _)| former == path)
    };
    let others = paths.filter(|path| !ours(path)).filter(is_guard);
    others.map(|path| path.display().to_string()).collect()
}

/// What follows `image:`, with or without quotes.
fn image(part: &str) -> Option<&str> {
    let (name, value) = part.trim().trim_start_matches("- ").split_once(':')?;
    (name.trim().trim_matches('"') == "image").then_some(value)
}

/// Modules that are not loaded yet stand in the lists of the kernel's release (`depmod(8)`).
fn ipvs<M: Machine>(machine: &M, release: &str) -> Option<bool> {
    if machine.entries(&paths::module("ip_vs")).is_some() {
        return Some(true);
    }
    let directory = ["/lib/modules", "/usr/lib/modules"].into_iter().map(|top| Path::new(top).join(release));
    let mut lists = directory.flat_map(|directory| {
        ["modules.dep", "modules.builtin"].map(|name| text(machine, directory.join(name)))
    });
    let lists: Vec<String> = lists.by_ref().flatten().collect();
    (!lists.is_empty()).then(|| lists.iter().any(|text| text.contains("/ip_vs.ko")))
}

/// Lines that say 0 of what must be 1.
fn contradicted(text: &str) -> Vec<String> {
    let ours = Sysctl::ALL.into_iter().filter(|sysctl| sysctl.wanted() == 1).map(Sysctl::name);
    let ours: Vec<_> = FORWARDING.into_iter().chain(ours).collect();
    let is_against = |line: &&str| {
        let Some((name, value)) = line.split_once('=') else { return false };
        let name = name.trim().trim_start_matches('-').replace('/', ".");
        ours.contains(&name.as_str()) && value.trim() == "0"
    };
    text.lines().map(str::trim).filter(is_against).map(str::to_owned).collect()
}

/// What cloud-init is told, as far as it matters here.
#[derive(Deserialize)]
struct CloudConfig {
    manage_etc_hosts: Option<serde_yaml::Value>,
}

impl CloudConfig {
    /// cloud-init takes `true`, and `template`, which is the same; `localhost` touches one line that is not ours.
    fn rewrites(&self) -> Option<bool> {
        let said = self.manage_etc_hosts.as_ref()?;
        let word = said.as_str().map(str::to_ascii_lowercase);
        Some(
            said.as_bool() == Some(true)
                || matches!(word.as_deref(), Some("true" | "yes" | "on" | "1" | "template")),
        )
    }
}

/// The file in which cloud-init is told to keep the hosts file; the last one that says something counts: the system's
/// own, then what the cloud gave this machine.
fn cloud_hosts<M: Machine>(machine: &M) -> Option<String> {
    let directory = Path::new("/etc/cloud/cloud.cfg.d");
    let names = machine.entries(directory).unwrap_or_default();
    let files = names
        .iter()
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "cfg"))
        .map(|name| directory.join(name));
    let given = ["vendor-cloud-config.txt", "cloud-config.txt", "user-data.txt"];
    let given = given.map(|name| Path::new("/var/lib/cloud/instance").join(name));
    let said = |path: PathBuf| {
        let config: CloudConfig = yaml::parse(text(machine, &path)?.as_bytes()).ok()?;
        Some((path.display().to_string(), config.rewrites()?))
    };
    let all = std::iter::once(PathBuf::from("/etc/cloud/cloud.cfg")).chain(files).chain(given);
    all.filter_map(said).last().and_then(|(path, on)| on.then_some(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn ports_are_read_as_the_kernel_writes_them() {
        let text = "  sl  local_address rem_address   st tx_queue\n   \
                       0: 0100007F:280A 00000000:0000 0A 00000000:00000000\n   \
                       1: 0100007F:1F90 0100007F:E0D2 01 00000000:00000000\n";
        assert_eq!(listening(text), [10250]);
    }

    #[test]
    fn a_proxy_is_left_out_as_go_does_it() {
        for (list, spared) in [
            ("", false),
            ("*", true),
            ("localhost, apiserver.cluster.local", true),
            ("APISERVER.cluster.local:6443", true),
            ("cluster.local", true),
            (".cluster.local,10.0.0.0/8", true),
            ("*.cluster.local", true),
            (".apiserver.cluster.local", false),
            ("ter.local,10.103.97.2,,", false),
        ] {
            assert_eq!(spares(list, "apiserver.cluster.local"), spared, "{list}");
        }
        let mut machine = Fake::bare();
        let mut proxied = |name: &str, value: &str| {
            machine.variables.insert(name.into(), value.into());
            proxy(&machine, "apiserver.cluster.local")
        };
        assert_eq!(proxied("https_proxy", " "), None);
        assert_eq!(proxied("https_proxy", "http://user:secret@proxy:3128"), Some("https_proxy"));
        assert_eq!(proxied("no_proxy", ".cluster.local"), None);
    }

    #[test]
    fn a_mount_is_known_by_its_place() {
        let text = "36 35 98:0 / / rw - ext4 /dev/root rw\n37 36 98:0 /x /etc/hosts rw - ext4 /dev/root rw\n";
        assert!(is_mounted(text, "/etc/hosts"));
        assert!(!is_mounted(text, "/etc"));
    }

    #[test]
    fn cloud_init_is_understood_as_it_understands_itself() {
        const SYSTEM: &str = "/etc/cloud/cloud.cfg";
        for (text, rewrites) in [
            ("manage_etc_hosts: true", true),
            ("manage_etc_hosts : true # always", true),
            ("manage_etc_hosts: template", true),
            ("manage_etc_hosts: 'true'", true),
            ("manage_etc_hosts: false", false),
            ("manage_etc_hosts: False # x", false),
            ("manage_etc_hosts: \"false\"", false),
            ("manage_etc_hosts: 'no'", false),
            ("manage_etc_hosts: localhost", false),
            ("users: [default]", false),
            ("a: [", false),
        ] {
            let mut machine = Fake::bare();
            machine.has_file(SYSTEM, text);
            assert_eq!(cloud_hosts(&machine).is_some(), rewrites, "{text}");
        }
        let mut machine = Fake::bare();
        machine.has_file(SYSTEM, "manage_etc_hosts: true\n");
        assert_eq!(cloud_hosts(&machine).as_deref(), Some(SYSTEM));
        machine.has_file("/etc/cloud/cloud.cfg.d/90.cfg", "manage_etc_hosts: false\n");
        assert_eq!(cloud_hosts(&machine), None);
        let given = "/var/lib/cloud/instance/cloud-config.txt";
        machine.has_file(given, "#cloud-config\nmanage_etc_hosts: true\n");
        assert_eq!(cloud_hosts(&machine).as_deref(), Some(given));
    }

    #[test]
    fn other_guards_are_found_in_every_form() {
        let mut machine = Fake::bare();
        let file = |name: &str| format!("{}/{name}", paths::MANIFESTS);
        machine.has_file(paths::POD, "image: lvscare:1\n");
        machine.has_file(&file("etcd.yaml"), "  - image: registry/etcd:3\n");
        machine.has_file(&file(".kube-vip.yaml.swp"), "  - image: kube-vip:1\n");
        assert_eq!(manifests(&machine), [""; 0]);
        machine.has_file(&file("a.json"), "{\"spec\":{\"containers\":[{\"image\":\"ghcr.io/kube-vip:1\"}]}}");
        machine.has_file(&file("kube-sealyun-lvscare.yaml"), "  - image: fanux/lvscare:latest\n");
        assert_eq!(manifests(&machine), [file("a.json"), file("kube-sealyun-lvscare.yaml")]);
    }

    #[test]
    fn what_is_set_last_of_all_is_seen() {
        let text = "# net.ipv4.ip_forward = 0\nnet.ipv4.ip_forward=0\nnet/ipv4/vs/conntrack = 0\nvm.swappiness = 0\n";
        assert_eq!(contradicted(text), ["net.ipv4.ip_forward=0", "net/ipv4/vs/conntrack = 0"]);
        assert_eq!(contradicted("net.ipv4.ip_forward = 1\n"), [""; 0]);
    }

    #[test]
    fn a_place_that_is_closed_is_named_once() {
        let mut machine = Fake::bare();
        machine.has_file(paths::HOSTS, "");
        assert_eq!(closed(&machine), []);
        machine.read_only = Some("/etc".into());
        assert_eq!(closed(&machine), [("/etc".into(), Closed::ReadOnly)]);
        machine.sockets.clear();
        assert!(runtimes(&machine, None).iter().all(|(_, answers)| !answers));
        machine.sockets.insert("/run/cri/x.sock".into());
        assert_eq!(
            runtimes(&machine, Some("unix:///run/cri/x.sock")),
            [("/run/cri/x.sock".to_owned(), true)]
        );
    }
}
