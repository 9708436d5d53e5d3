//! What a machine has, of what it shall have.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use lvscare::model::Actual;
use lvscare::preflight;

use super::{guard, installed, read, refusal, source_towards_any, sysctl};
use crate::api::Failure;
use crate::desired::DesiredNode;
use crate::journal::Journal;
use crate::machine::Machine;
use crate::paths;
use crate::spec::daemon::DaemonOptions;
use crate::step::Content;

/// What a machine has, of what it shall have.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The modules that are loaded, or part of the kernel.
    pub modules: BTreeSet<String>,
    /// The kernel settings that there are.
    pub sysctls: BTreeMap<String, String>,
    /// The files that there are.
    pub files: BTreeMap<PathBuf, Content>,
    /// Those of them that were ours and that somebody has changed since.
    pub edited: BTreeSet<PathBuf>,
    /// The directories that there are.
    pub directories: BTreeSet<PathBuf>,
    /// Route and rules.
    pub table: Actual,
    /// The source address of a route to the virtual server; `None`: there is no way to any real server.
    pub source: Option<IpAddr>,
    /// Whether a daemon is at work; then the rules are its business.
    pub guarded: bool,
    /// What our manifest tells it, if there is one.
    pub told: Option<DaemonOptions>,
    /// Whether the pod's image is on the node; `None`: that cannot be told.
    pub image: Option<bool>,
    /// The real servers that did not answer, and why. Empty when they were not asked.
    pub silent: BTreeMap<SocketAddr, String>,
}

/// Looks at everything that `desired` has an opinion on, but for the image.
pub fn gather<M: Machine>(
    machine: &mut M,
    journal: &Journal,
    desired: &DesiredNode,
) -> Result<Facts, Failure> {
    let mut facts = Facts { told: installed::told(machine), ..Facts::default() };
    let is_there = |path: &Path| machine.entries(path).is_some();
    let loaded = desired.modules.iter().filter(|module| is_there(&paths::module(module)));
    facts.modules.extend(loaded.cloned());
    for (name, _) in &desired.sysctls {
        if let Some(value) = sysctl(machine, name) {
            facts.sysctls.insert(name.clone(), value);
        }
    }
    let hosts = desired.hosts.iter().map(|_| paths::HOSTS);
    for path in desired.files.iter().map(|file| file.path).chain(hosts) {
        let path = Path::new(path);
        if let Some(content) = read(machine, path)? {
            if path != Path::new(paths::HOSTS) && journal.is_edited(path, &content) {
                facts.edited.insert(path.to_owned());
            }
            facts.files.insert(path.to_owned(), content);
        }
        facts.directories.extend(path.ancestors().skip(1).filter(|path| is_there(path)).map(Path::to_owned));
    }
    facts.directories.extend(desired.state().filter(|path| is_there(path)).map(Path::to_owned));
    if desired.rules {
        rules(machine, desired, &mut facts)?;
    }
    if let (Some(listen), Some(at)) = (desired.config.listen, desired.services().first()) {
        facts.guarded = guard::guards(machine, *at, listen);
    }
    Ok(facts)
}

fn rules<M: Machine>(machine: &mut M, desired: &DesiredNode, facts: &mut Facts) -> Result<(), Failure> {
    let own = machine.addresses()?;
    preflight::possible(&desired.config, &own).map_err(|why| refusal(&why))?;
    facts.source = match desired.config.node_ip {
        Some(node_ip) => Some(node_ip),
        None => source_towards_any(machine, desired.servers())?,
    };
    facts.table = machine.rules(&desired.services())?;
    Ok(())
}
