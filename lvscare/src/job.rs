//! What the daemon is to do: a configuration that is possible on this node, with all that was read for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::config::raw::{ConfigArgs, File};
use crate::exit::Failure;
use crate::health::probe::Settings;
use crate::kernel::address;
use crate::preflight;

/// What became of the configuration since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloads {
    /// How many configurations have been in force, the first included.
    pub generation: u64,
    /// A short name of the one in force: equal for equal configurations.
    pub hash: String,
    /// How many were refused.
    pub failures: u64,
    /// Why the latest was refused; `None` if it was not.
    pub problem: Option<String>,
}

/// One configuration, ready to be worked on.
#[derive(Debug)]
pub struct Job {
    /// What was asked for.
    pub config: Config,
    /// How the servers of each virtual server are asked.
    pub settings: BTreeMap<SocketAddr, Arc<Settings>>,
}

impl Job {
    /// Reads file, authorities and credentials, and checks everything against this node.
    pub fn load(args: &ConfigArgs) -> Result<Self, Failure> {
        let config = Config::load(args)?;
        let settings = config
            .services
            .iter()
            .map(|service| Ok((service.at, Arc::new(Settings::new(&service.probe)?))))
            .collect::<Result<_, Failure>>()?;
        preflight::check(&config, &address::list()?)?;
        Ok(Self { config, settings })
    }

    /// See [`Reloads::hash`].
    pub fn hash(&self) -> String {
        let text = serde_json::to_vec(&File::from(&self.config)).unwrap_or_default();
        format!("{:08x}", crc32fast::hash(&text))
    }
}
