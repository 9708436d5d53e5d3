//! What a node shall have. Pure: everything follows from what was asked for.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use lvscare::config::Config;
use lvscare::model::Sysctl;

use crate::paths;
use crate::spec::Part;
use crate::spec::daemon::DaemonOptions;

/// Only root may read what kubelet runs, and what holds secrets.
const PRIVATE: u32 = 0o600;
/// As other programs' files in the same directories.
const PUBLIC: u32 = 0o644;

/// What a node shall have.
#[derive(Clone, Debug)]
pub struct DesiredNode {
    /// The virtual server and its real servers, as the daemon will understand them.
    pub config: Config,
    /// Modules, at once and at boot.
    pub modules: Vec<String>,
    /// Kernel settings, at once and at boot.
    pub sysctls: Vec<(String, String)>,
    /// Whether route and rules are made.
    pub rules: bool,
    /// Files that are ours as a whole.
    pub files: Vec<DesiredFile>,
    /// A name that shall mean an address.
    pub hosts: Option<(String, IpAddr)>,
    /// Whether an older lvscare is at work that is replaced: the table is its business meanwhile, and others' lines of
    /// that name, which it needed, are covered.
    pub adopts: bool,
    /// The image that the static pod runs.
    pub image: Option<String>,
    /// What that pod is told.
    pub daemon: Option<DaemonOptions>,
    /// An archive with the image.
    pub archive: Option<PathBuf>,
}

/// A file that is ours as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredFile {
    /// Where, on the node.
    pub path: &'static str,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
    /// Whether its content must not be shown.
    pub secret: bool,
}

/// What kubelet runs, and how kubeadm joins: rendered elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The static pod.
    pub pod: Option<RenderedPod>,
    /// An archive with that image.
    pub archive: Option<PathBuf>,
    /// The `JoinConfiguration`.
    pub join: Option<Vec<u8>>,
    /// The kernel's release: which settings matter depends on it.
    pub release: String,
}

/// The static pod.
#[derive(Clone, Debug)]
pub struct RenderedPod {
    /// Its manifest.
    pub manifest: Vec<u8>,
    /// The image it runs.
    pub image: String,
    /// What it is told.
    pub daemon: DaemonOptions,
}

impl DesiredNode {
    /// All parts but those to `skip`.
    pub fn new(config: Config, name: &str, rendered: Rendered, skip: &[Part]) -> Self {
        let has = |part| !skip.contains(&part);
        let mut desired = Self {
            modules: if has(Part::Modules) { modules(&config) } else { Vec::new() },
            sysctls: if has(Part::Sysctl) {
                sysctls(&config, &rendered.release, has(Part::Rules))
            } else {
                Vec::new()
            },
            rules: has(Part::Rules),
            files: Vec::new(),
            hosts: vip(&config).filter(|_| has(Part::Hosts)).map(|vip| (name.to_owned(), vip)),
            adopts: false,
            image: None,
            daemon: None,
            archive: rendered.archive.filter(|_| has(Part::Pod)),
            config,
        };
        if !desired.modules.is_empty() {
            let text = commented("Modules of lvscare's virtual server.", &desired.modules);
            desired.files.push(DesiredFile {
                path: paths::MODULES,
                bytes: text,
                mode: PUBLIC,
                secret: false,
            });
        }
        if !desired.sysctls.is_empty() {
            let lines: Vec<_> =
                desired.sysctls.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            let text = commented("Settings of lvscare's virtual server.", &lines);
            desired.files.push(DesiredFile {
                path: paths::SYSCTLS,
                bytes: text,
                mode: PUBLIC,
                secret: false,
            });
        }
        if let Some(RenderedPod { manifest: bytes, image, daemon }) = rendered.pod.filter(|_| has(Part::Pod))
        {
            (desired.image, desired.daemon) = (Some(image), Some(daemon));
            desired.files.push(DesiredFile { path: paths::POD, bytes, mode: PRIVATE, secret: false });
        }
        if let Some(bytes) = rendered.join {
            desired.files.push(DesiredFile { path: paths::JOIN, bytes, mode: PRIVATE, secret: true });
        }
        desired
    }

    /// No opinion on anything.
    pub fn nothing(config: Config) -> Self {
        Self::new(config, "", Rendered::default(), &Part::ALL.map(|(part, _, _)| part))
    }

    /// Nothing but that `name` means `address`.
    pub fn only_name(config: Config, name: &str, address: IpAddr) -> Self {
        Self { hosts: Some((name.to_owned(), address)), ..Self::nothing(config) }
    }

    /// Where the daemon will keep the masters that it learns from the API.
    pub fn state(&self) -> Option<&Path> {
        let learns = self.config.services.iter().any(|service| service.kubeconfig.is_some());
        // Without a pod nobody writes there.
        self.config.state_dir.as_deref().filter(|_| learns && self.image.is_some())
    }

    /// The real servers of all of them.
    pub fn servers(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.config.services.iter().flat_map(|service| &service.servers).map(|server| server.address)
    }

    /// The virtual servers.
    pub fn services(&self) -> Vec<SocketAddr> {
        self.config.services.iter().map(|service| service.at).collect()
    }
}

fn vip(config: &Config) -> Option<IpAddr> {
    config.services.first().map(|service| service.at.ip())
}

/// What IPVS needs; the daemon in its pod may not load modules.
fn modules(config: &Config) -> Vec<String> {
    let schedulers = config.services.iter().map(|service| format!("ip_vs_{}", service.scheduler));
    let mut modules = vec!["ip_vs".to_owned(), "nf_conntrack".to_owned()];
    modules.extend(schedulers);
    modules.dedup();
    modules
}

/// What pods need, of each family in which packets are forwarded to real servers.
pub const FORWARDING: [&str; 2] = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];

/// What the daemon cannot set, since `/proc/sys` is read-only in its pod, and what pods need.
fn sysctls(config: &Config, release: &str, rules: bool) -> Vec<(String, String)> {
    let is_v6 = config.services.iter().any(|service| service.at.is_ipv6());
    let forwarding = FORWARDING.into_iter().take(if is_v6 { 2 } else { 1 });
    let forwarding = forwarding.map(|name| (name.to_owned(), "1".to_owned()));
    let ours = if rules { Sysctl::for_release(release) } else { Vec::new() };
    let ours = ours.into_iter().map(|sysctl| (sysctl.name().to_owned(), sysctl.wanted().to_string()));
    forwarding.chain(ours).collect()
}

fn commented(comment: &str, lines: &[String]) -> Vec<u8> {
    format!("# {comment} Written by lvscare-installer.\n{}\n", lines.join("\n")).into_bytes()
}
