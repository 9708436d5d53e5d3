//! Is this configuration possible on this node? Pure: the node's addresses are passed in.

use std::net::IpAddr;

use crate::config::Config;
use crate::exit::Failure;
use crate::kernel::address::InterfaceAddress;

/// Why it is not. What follows the option that gave the value, which differs between programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The virtual address is taken.
    #[error(
        "{0} is an address of an interface of this node; choose an unused one (an older lvscare in link mode leaves it \
         behind: `ip link delete lvscare`)"
    )]
    Taken(IpAddr),
    /// The virtual address lies where the node would answer for it.
    #[error(
        "{vip} lies in this node's own subnet {}/{}, where the node would answer for it; choose an address outside of \
         every subnet",
        own.address,
        own.prefix
    )]
    InOwnSubnet {
        /// The virtual address.
        vip: IpAddr,
        /// The address whose subnet it is.
        own: InterfaceAddress,
    },
    /// The node has no such address.
    #[error(
        "{node_ip} is not an address of this node; it has {}",
        if own.is_empty() { "none of that family" } else { own }
    )]
    NotOwn {
        /// The address that was given.
        node_ip: IpAddr,
        /// Those that the node has, of the same family.
        own: String,
    },
}

/// Refuses virtual addresses that are somebody's already, and a node address that is nobody's.
pub fn possible(config: &Config, addresses: &[InterfaceAddress]) -> Result<(), Impossible> {
    for service in &config.services {
        let vip = service.at.ip();
        if addresses.iter().any(|own| own.address == vip) {
            return Err(Impossible::Taken(vip));
        }
        if let Some(own) = addresses.iter().find(|own| own.prefix > 0 && own.shares_subnet_with(vip)) {
            return Err(Impossible::InOwnSubnet { vip, own: *own });
        }
    }
    match config.node_ip {
        Some(node_ip) if addresses.iter().all(|own| own.address != node_ip) => {
            let own: Vec<String> = addresses
                .iter()
                .filter(|own| !own.address.is_loopback() && own.address.is_ipv4() == node_ip.is_ipv4())
                .map(|own| own.address.to_string())
                .collect();
            Err(Impossible::NotOwn { node_ip, own: own.join(", ") })
        }
        _ => Ok(()),
    }
}

/// The same in the words of the daemon's command line.
pub fn check(config: &Config, addresses: &[InterfaceAddress]) -> Result<(), Failure> {
    possible(config, addresses).map_err(|why| {
        let option = if matches!(why, Impossible::NotOwn { .. }) { "--node-ip" } else { "--vs" };
        Failure::usage(format!("{option} {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    fn verdict(options: &str, addresses: &[(&str, u8)]) -> Result<(), String> {
        let addresses: Vec<_> = addresses
            .iter()
            .map(|(address, prefix)| InterfaceAddress { address: address.parse().unwrap(), prefix: *prefix })
            .collect();
        check(&config(options).unwrap(), &addresses).map_err(|failure| failure.message)
    }

    const NODE: [(&str, u8); 2] = [("127.0.0.1", 8), ("10.0.0.10", 24)];

    #[test]
    fn free_address_is_fine() {
        assert_eq!(verdict("--rs 10.0.0.1:6443", &NODE), Ok(()));
        assert_eq!(verdict("--rs 10.0.0.1:6443 --node-ip 10.0.0.10", &NODE), Ok(()));
    }

    #[test]
    fn taken_address_is_refused() {
        let refusal = verdict("--vs 10.0.0.10:6443 --rs 10.0.0.1:6443", &NODE).unwrap_err();
        assert!(refusal.starts_with("--vs 10.0.0.10 is an address of an interface"), "{refusal}");
        let refusal = verdict("--vs 10.0.0.99:6443 --rs 10.0.0.1:6443", &NODE).unwrap_err();
        assert!(
            refusal.starts_with("--vs 10.0.0.99 lies in this node's own subnet 10.0.0.10/24"),
            "{refusal}"
        );
    }

    #[test]
    fn foreign_node_address_is_refused() {
        let refusal = verdict("--rs 10.0.0.1:6443 --node-ip 10.0.0.11", &NODE).unwrap_err();
        assert_eq!(refusal, "--node-ip 10.0.0.11 is not an address of this node; it has 10.0.0.10");
    }
}
