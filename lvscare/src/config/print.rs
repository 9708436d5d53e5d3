//! A configuration as a file that says all of it, defaults included, and can be read back.

use super::raw::{File, Guard, Health, Operation, VirtualServer};
use super::value::{Listen, NodeAddress, RealServers, Time, VirtualAddress};
use super::{Config, ServiceConfig};

impl From<&Config> for File {
    fn from(config: &Config) -> Self {
        Self {
            virtual_servers: config.services.iter().map(VirtualServer::from).collect(),
            health: Health::default(),
            guard: Guard {
                node_ip: config.node_ip.map(NodeAddress),
                prefer_local: Some(config.prefer_local),
                resync: Some(Time(config.resync)),
                drain_timeout: Some(Time(config.drain_timeout)),
            },
            operation: Operation {
                listen: Some(Listen(config.listen)),
                state_dir: Some(config.state_dir.clone().unwrap_or_else(|| "none".into())),
                log: None,
                log_format: None,
            },
        }
    }
}

impl From<&ServiceConfig> for VirtualServer {
    fn from(service: &ServiceConfig) -> Self {
        let ServiceConfig { at, scheduler, servers, kubeconfig, policy, probe } = service;
        let (cert_file, key_file) = probe.identity.clone().unzip();
        Self {
            address: VirtualAddress(*at),
            real_servers: servers.iter().map(|server| RealServers(vec![*server])).collect(),
            scheduler: Some(scheduler.clone()),
            kubeconfig: kubeconfig.clone(),
            health: Health {
                interval: Some(Time(policy.interval)),
                fast_interval: Some(Time(policy.fast_interval)),
                fall: Some(policy.fall),
                rise: Some(policy.rise),
                connect_timeout: Some(Time(probe.connect_timeout)),
                timeout: Some(Time(probe.timeout)),
                scheme: Some(probe.scheme),
                path: Some(probe.health_path.clone()),
                ready_path: Some(probe.ready_path.clone().unwrap_or_else(|| "none".into())),
                status: probe.accepted.iter().copied().collect(),
                ca_file: probe.ca_file.clone(),
                tls_server_name: Some(probe.server_name.clone()),
                cert_file,
                key_file,
                token_file: probe.token_file.clone(),
                insecure_skip_verify: None,
            },
        }
    }
}
