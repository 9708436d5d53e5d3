//! From facts to findings. Pure: no clock, no files, no network.

use super::Finding;
use super::facts::Facts;

pub mod addresses;
pub mod certificates;
pub mod guards;
pub mod kernel;
pub mod network;
pub mod servers;

#[cfg(test)]
mod tests;

/// A check: nothing, when it lacks its facts.
pub type Check = fn(&Facts) -> Vec<Finding>;

/// Every check, in the order in which a person would ask.
pub const ALL: [Check; 18] = [
    guards::daemon,
    kernel::parts,
    servers::reachable,
    servers::through_the_vip,
    network::firewall,
    certificates::names,
    certificates::dates,
    servers::clocks,
    addresses::service_cidr,
    addresses::pod_cidr,
    addresses::hosts_entry,
    guards::kube_proxy,
    guards::others,
    guards::left_behind,
    guards::foreign,
    network::sources,
    network::rp_filter,
    network::forwarding,
];

/// Words in a list: `a`, `a and b`, `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
