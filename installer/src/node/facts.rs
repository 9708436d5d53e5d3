//! What a node has. Only looks: not even a module is loaded by asking.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use lvscare::exit::{Exit, Failure};
use lvscare::kernel::{Kernel, Linux, address};
use lvscare::model::Actual;
use lvscare::{client, preflight};

use super::paths::{self, Root};
use super::wanted::Wanted;
use crate::files::{self, Content};
use crate::image;
use crate::masters::in_our_words;

/// What a node has, of what it shall have.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The modules that are loaded, or part of the kernel.
    pub modules: BTreeSet<String>,
    /// The kernel settings that there are.
    pub sysctls: BTreeMap<String, String>,
    /// The files that there are.
    pub files: BTreeMap<PathBuf, Content>,
    /// The directories that there are.
    pub directories: BTreeSet<PathBuf>,
    /// Route and rules.
    pub table: Actual,
    /// The source address of a route to the virtual server; `None`: there is no way to any real server.
    pub source: Option<IpAddr>,
    /// Whether a daemon is at work; then the rules are its business.
    pub guarded: bool,
    /// Whether the pod's image is on the node; `None`: that cannot be told.
    pub image: Option<bool>,
    /// The real servers that did not answer, and why. Empty when they were not asked.
    pub silent: BTreeMap<SocketAddr, String>,
}

/// Looks at everything that `wanted` has an opinion on.
pub fn gather(root: &Root, wanted: &Wanted) -> Result<Facts, Failure> {
    let mut facts = Facts::default();
    for module in &wanted.modules {
        if is_loaded(root, module) {
            facts.modules.insert(module.clone());
        }
    }
    for (name, _) in &wanted.sysctls {
        if let Some(value) = sysctl(root, name) {
            facts.sysctls.insert(name.clone(), value);
        }
    }
    let hosts = wanted.hosts.iter().map(|_| paths::HOSTS);
    for path in wanted.files.iter().map(|file| file.path).chain(hosts) {
        if let Some(content) = read(root, path)? {
            facts.files.insert(path.into(), content);
        }
        let directories = Path::new(path).ancestors().skip(1);
        facts.directories.extend(directories.filter(|path| root.join(path).is_dir()).map(Path::to_owned));
    }
    facts.directories.extend(wanted.state().filter(|path| root.join(path).is_dir()).map(Path::to_owned));
    facts.image = wanted.image.as_deref().and_then(image::is_present);
    if wanted.rules {
        rules(root, wanted, &mut facts)?;
    }
    Ok(facts)
}

/// A module is there when it is loaded or built in; some built-in ones have no directory, and loading them again
/// does no harm.
pub fn is_loaded(root: &Root, module: &str) -> bool {
    root.join(Path::new("/sys/module")).join(module).is_dir()
}

/// The value of a kernel setting.
pub fn sysctl(root: &Root, name: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(&sysctl_path(name))).ok()?;
    Some(text.trim().to_owned())
}

/// The file of a kernel setting.
pub fn sysctl_path(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name.replace('.', "/"))
}

/// Reads a file of the node.
pub fn read(root: &Root, path: &str) -> Result<Option<Content>, Failure> {
    files::read(&root.join(Path::new(path)))
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot read {path}: {error}")))
}

fn rules(root: &Root, wanted: &Wanted, facts: &mut Facts) -> Result<(), Failure> {
    preflight::check(&wanted.config, &address::list()?)
        .map_err(|refusal| Failure { exit: Exit::Invalid, ..in_our_words(&refusal) })?;
    facts.guarded = wanted.config.listen.and_then(client::daemon).is_some();
    let mut route = lvscare::kernel::route::Routes::open()?;
    facts.source = match wanted.config.node_ip {
        Some(node_ip) => Some(node_ip),
        None => source(&mut route, wanted)?,
    };
    // Opening the table would load the module.
    if is_loaded(root, "ip_vs") {
        facts.table = Linux::open()?.read(&wanted.services())?;
    }
    Ok(())
}

fn source(routes: &mut lvscare::kernel::route::Routes, wanted: &Wanted) -> Result<Option<IpAddr>, Failure> {
    for service in &wanted.config.services {
        for server in service.hosts() {
            if let Some(source) = routes.source_towards(server)? {
                return Ok(Some(source));
            }
        }
    }
    Ok(None)
}
