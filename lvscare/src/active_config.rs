//! What the daemon is to do: a configuration that is possible on this node, with all that was read for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config::Config;
use crate::config::raw::{ConfigArgs, File};
use crate::config::value::RealServer;
use crate::drain::{Drained, file};
use crate::exit::Failure;
use crate::kernel::address;
use crate::preflight;
use crate::probe::{Settings, SettingsError};

/// One configuration, ready to be worked on.
#[derive(Clone, Debug)]
pub struct ActiveConfig {
    /// What was asked for.
    pub config: Config,
    /// How the servers of each virtual server are asked.
    pub settings: BTreeMap<SocketAddr, Arc<Settings>>,
    /// Whom an administrator has taken out of service.
    pub drained: Drained,
}

impl ActiveConfig {
    /// Reads file, authorities and credentials, and checks everything against this node.
    pub fn load(args: &ConfigArgs) -> Result<Self, Failure> {
        let config = Config::load(args)?;
        let settings = config
            .services
            .iter()
            .map(|service| Ok((service.at, Arc::new(Settings::new(&service.probe)?))))
            .collect::<Result<_, SettingsError>>()
            .map_err(|error| Failure::usage(error.to_string()))?;
        preflight::check(&config, &address::list()?)?;
        Ok(Self { config, settings, drained: Drained::default() })
    }

    /// The same with whom the file in the state directory says that an administrator has drained.
    #[must_use]
    pub fn follow_drained(&self) -> Self {
        let directory = self.config.state_dir.as_deref();
        let drained = directory.map(|directory| file::follow(directory, &self.drained));
        Self { drained: drained.unwrap_or_default(), ..self.clone() }
    }

    /// The same with the settings of `before` where they say the same: whoever asks by them goes on.
    #[must_use]
    pub fn keep_settings(mut self, before: &Self) -> Self {
        for (at, settings) in &mut self.settings {
            if let Some(old) = before.settings.get(at).filter(|old| old.config() == settings.config()) {
                *settings = old.clone();
            }
        }
        self
    }

    /// The same with other real servers, for virtual servers whose masters are learned. A server that is configured
    /// keeps its weight.
    #[must_use]
    pub fn with_servers(&self, found: &BTreeMap<SocketAddr, Vec<SocketAddr>>) -> Self {
        let mut config = self.config.clone();
        let virtual_addresses: BTreeSet<IpAddr> =
            config.services.iter().map(|service| service.at.ip()).collect();
        for service in &mut config.services {
            let Some(found) = found.get(&service.at) else { continue };
            let learned = found.iter().filter(|address| !virtual_addresses.contains(&address.ip()));
            let weight = |address| {
                let configured = service.servers.iter().find(|server| server.address == address);
                configured.map_or(1, |server| server.weight)
            };
            let servers: Vec<RealServer> =
                learned.map(|&address| RealServer { address, weight: weight(address) }).collect();
            if !servers.is_empty() {
                service.servers = servers;
            }
        }
        Self { config, settings: self.settings.clone(), drained: self.drained.clone() }
    }

    /// See [`Reloads::hash`].
    pub fn hash(&self) -> String {
        let text = serde_json::to_vec(&File::from(&self.config)).unwrap_or_default();
        format!("{:08x}", crc32fast::hash(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    /// Another virtual server's address leads back to this node.
    #[test]
    fn no_virtual_address_is_learned() {
        let mut config = config("--rs 10.0.0.1:6443").unwrap();
        let mut other = config.services[0].clone();
        other.at = "10.103.97.3:6443".parse().unwrap();
        config.services.push(other);
        let active = ActiveConfig { config, settings: BTreeMap::new(), drained: Drained::default() };
        let at = active.config.services[0].at;
        let learned =
            ["10.0.0.2:6443", "10.103.97.2:443", "10.103.97.3:443"].map(|server| server.parse().unwrap());
        let active = active.with_servers(&BTreeMap::from([(at, learned.to_vec())]));
        let servers: Vec<_> = active.config.services[0].servers.iter().map(|server| server.address).collect();
        assert_eq!(servers, learned[..1]);
    }
}
