//! Is a daemon at work that guards a virtual server?

use std::net::SocketAddr;
use std::time::Duration;

use lvscare::doctor::facts::{Asked, Facts, Scope};

use crate::machine::Machine;

/// Nobody is asked over the network.
const LIMIT: Duration = Duration::from_secs(1);

/// Where it listens it answers; one that listens nowhere is seen among the processes, as far as they can be seen.
pub fn is_at_work<M: Machine>(machine: &mut M, at: SocketAddr, listens: &[SocketAddr]) -> bool {
    listens.iter().any(|&listen| guards(machine, at, listen)) || is_running(machine, at)
}

/// Whether a daemon answers there that has this virtual server.
pub fn guards<M: Machine>(machine: &mut M, at: SocketAddr, listen: SocketAddr) -> bool {
    let status = machine.daemon(listen);
    status.is_some_and(|status| status.virtual_servers.iter().any(|server| server.address == at))
}

fn is_running<M: Machine>(machine: &mut M, at: SocketAddr) -> bool {
    let asked = Asked {
        vs: at,
        servers: Vec::new(),
        listen: None,
        name: String::new(),
        service_cidrs: Vec::new(),
        pod_cidrs: Vec::new(),
        kube_proxy_config: None,
        timeout: LIMIT,
        scope: Scope::Before { visits: false },
        authority: None,
    };
    let facts = machine.doctor(&asked);
    facts.is_ok_and(|facts| runs(&facts))
}

/// Whether a daemon is among the processes that were seen, be it that it answers or not.
pub fn runs(facts: &Facts) -> bool {
    facts.guards.iter().any(|guard| guard.name == "lvscare")
}
