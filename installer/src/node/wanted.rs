//! What a node shall have. Pure: everything follows from what was asked for.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use lvscare::config::Config;

use super::paths;

/// Only root may read what kubelet runs, and what holds secrets.
const PRIVATE: u32 = 0o600;
/// As other programs' files in the same directories.
const PUBLIC: u32 = 0o644;

/// What a node shall have.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The virtual server and its real servers, as the daemon will understand them.
    pub config: Config,
    /// Modules, at once and at boot.
    pub modules: Vec<String>,
    /// Kernel settings, at once and at boot.
    pub sysctls: Vec<(String, String)>,
    /// Whether route and rules are made.
    pub rules: bool,
    /// Files that are ours as a whole.
    pub files: Vec<WantedFile>,
    /// A name that shall mean an address.
    pub hosts: Option<(String, IpAddr)>,
    /// The image that the static pod runs.
    pub image: Option<String>,
    /// An archive with it.
    pub archive: Option<PathBuf>,
}

/// A file that is ours as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedFile {
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
    /// The static pod, and the image it runs.
    pub pod: Option<(Vec<u8>, String)>,
    /// An archive with that image.
    pub archive: Option<PathBuf>,
    /// The `JoinConfiguration`.
    pub join: Option<Vec<u8>>,
}

/// A part of the preparation that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// Looking whether the node is fit
    Checks,
    /// Loading kernel modules
    Modules,
    /// Kernel settings
    Sysctl,
    /// The route and the IPVS rules
    Rules,
    /// Asking the apiservers whether they answer
    Reach,
    /// The entry in /etc/hosts
    Hosts,
    /// The static pod
    Pod,
}

impl Wanted {
    /// All parts but those to `skip`.
    pub fn new(config: Config, name: &str, rendered: Rendered, skip: &[Part]) -> Self {
        let has = |part| !skip.contains(&part);
        let mut wanted = Self {
            modules: if has(Part::Modules) { modules(&config) } else { Vec::new() },
            sysctls: if has(Part::Sysctl) { sysctls(has(Part::Rules)) } else { Vec::new() },
            rules: has(Part::Rules),
            files: Vec::new(),
            hosts: vip(&config).filter(|_| has(Part::Hosts)).map(|vip| (name.to_owned(), vip)),
            image: None,
            archive: rendered.archive.filter(|_| has(Part::Pod)),
            config,
        };
        if !wanted.modules.is_empty() {
            let text = commented("Modules of lvscare's virtual server.", &wanted.modules);
            wanted.files.push(WantedFile { path: paths::MODULES, bytes: text, mode: PUBLIC, secret: false });
        }
        if !wanted.sysctls.is_empty() {
            let lines: Vec<_> =
                wanted.sysctls.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            let text = commented("Settings of lvscare's virtual server.", &lines);
            wanted.files.push(WantedFile { path: paths::SYSCTLS, bytes: text, mode: PUBLIC, secret: false });
        }
        if let Some((bytes, image)) = rendered.pod.filter(|_| has(Part::Pod)) {
            wanted.image = Some(image);
            wanted.files.push(WantedFile { path: paths::POD, bytes, mode: PRIVATE, secret: false });
        }
        if let Some(bytes) = rendered.join {
            wanted.files.push(WantedFile { path: paths::JOIN, bytes, mode: PRIVATE, secret: true });
        }
        wanted
    }

    /// No opinion on anything.
    pub fn nothing(config: Config) -> Self {
        Self::new(config, "", Rendered::default(), Part::value_variants())
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

/// What the daemon cannot set, since `/proc/sys` is read-only in its pod, and what pods need.
fn sysctls(rules: bool) -> Vec<(String, String)> {
    let ours = if rules { lvscare::kernel::sysctl::needed() } else { Vec::new() };
    let ours = ours.into_iter().map(|sysctl| (sysctl.name().to_owned(), sysctl.wanted().to_string()));
    std::iter::once(("net.ipv4.ip_forward".to_owned(), "1".to_owned())).chain(ours).collect()
}

fn commented(comment: &str, lines: &[String]) -> Vec<u8> {
    format!("# {comment} Written by lvscare-installer.\n{}\n", lines.join("\n")).into_bytes()
}
