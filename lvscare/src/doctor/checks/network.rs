//! Do packets of this node find their way, there and back?

use std::net::IpAddr;

use super::listed;
use crate::doctor::Finding;
use crate::doctor::facts::Facts;
use crate::doctor::facts::cluster::KubeProxy;
use crate::doctor::facts::table::Table;
use crate::doctor::facts::visit::NO_CONNECTION;

const SOURCES: &str = "different-sources";
const FILTER: &str = "rp-filter";
const FORWARD: &str = "ip-forward";
const INVALID: &str = "firewall-drops-invalid";

/// The source address of every connection through the virtual server, if the route is there.
fn route_source(facts: &Facts) -> Option<IpAddr> {
    match &facts.table {
        Table::Seen { service, .. } => service.route_source,
        _ => None,
    }
}

/// The virtual address has one route, and so its connections have one source address for all apiservers.
pub fn sources(facts: &Facts) -> Vec<Finding> {
    let mut each: Vec<IpAddr> = Vec::new();
    for (_, source) in &facts.sources {
        if !each.contains(source) {
            each.push(*source);
        }
    }
    match each.as_slice() {
        [] => Vec::new(),
        [one] => vec![Finding::ok(SOURCES, format!("every apiserver is reached from {one}"))],
        _ => {
            let ways: Vec<String> =
                facts.sources.iter().map(|(server, source)| format!("{server} from {source}")).collect();
            let used =
                route_source(facts).map_or_else(|| "one of them".to_owned(), |source| source.to_string());
            vec![Finding::warning(
                SOURCES,
                format!(
                    "the apiservers are reached from different addresses of this node: {}",
                    listed(&ways)
                ),
                format!(
                    "connections through the virtual server have one source for all of them, {used}; apiservers that \
                     do not find back to it seem to hang"
                ),
                "choose the address that every apiserver can reach: lvscare care --node-ip ADDRESS",
            )]
        }
    }
}

/// Strict reverse path filtering drops an answer that comes in by another interface than the one that leads to
/// its sender. It can: the answer goes to the route's source address, the question went where the server is.
pub fn rp_filter(facts: &Facts) -> Vec<Finding> {
    if !facts.vip().is_ipv4() || facts.node.routes.is_empty() {
        return Vec::new();
    }
    let Some(source) = route_source(facts) else { return Vec::new() };
    let Some(home) = facts.node.link_towards(source) else { return Vec::new() };
    let strict = |link: &str| facts.node.strict.iter().any(|strict| strict == link);
    let astray: Vec<String> = facts
        .sources
        .iter()
        .filter(|(server, _)| facts.node.link_towards(server.ip()).is_some_and(|link| link != home))
        .map(|(server, _)| server.to_string())
        .collect();
    if astray.is_empty() || !strict(home) {
        return vec![Finding::ok(FILTER, "no apiserver's answer falls to reverse path filtering")];
    }
    vec![Finding::warning(
        FILTER,
        format!(
            "{home} has strict reverse path filtering (rp_filter=1), and {} {} reached by another interface",
            listed(&astray),
            if astray.len() == 1 { "is" } else { "are" }
        ),
        format!(
            "their answers to {source}, where they come in by {home}, are dropped by the kernel without a word"
        ),
        format!(
            "sysctl -w net.ipv4.conf.{home}.rp_filter=2, and the same in /etc/sysctl.d; or lvscare care --node-ip"
        ),
    )]
}

/// Pods reach the virtual server only through a node that forwards.
pub fn forwarding(facts: &Facts) -> Vec<Finding> {
    let setting = if facts.vip().is_ipv4() { "net.ipv4.ip_forward" } else { "net.ipv6.conf.all.forwarding" };
    match facts.node.forwards {
        None => Vec::new(),
        Some(true) => vec![Finding::ok(FORWARD, format!("{setting} is 1"))],
        Some(false) => vec![Finding::warning(
            FORWARD,
            format!("{setting} is 0"),
            "pods on this node do not reach the virtual server; programs of the node itself do",
            format!("sysctl -w {setting}=1 && echo '{setting} = 1' > /etc/sysctl.d/90-lvscare.conf"),
        )],
    }
}

/// Answers through an IPVS that hides from connection tracking belong to no connection that it knows, and many
/// firewalls drop such packets: kube-proxy what is forwarded to pods, firewalld what comes in.
///
/// Rules can be many, and an earlier one may let the answers in. So what counts is what happens: connections by
/// way of IPVS fail in silence, direct ones do not, and packets are taken for invalid meanwhile.
pub fn firewall(facts: &Facts) -> Vec<Finding> {
    match facts.node.tracked {
        None => return Vec::new(),
        Some(true) => {
            return vec![Finding::ok(
                INVALID,
                "connection tracking sees what goes through the virtual server",
            )];
        }
        Some(false) => {}
    }
    let fix = "show them to it: sysctl -w net.ipv4.vs.conntrack=1 && echo 'net.ipv4.vs.conntrack = 1' > \
               /etc/sysctl.d/90-lvscare.conf";
    let silent = |why: &String| why.starts_with(NO_CONNECTION);
    let suffers = facts.servers.iter().any(super::servers::is_fine)
        && facts.through.as_ref().is_some_and(|through| through.answer.as_ref().is_err_and(silent));
    let mut findings = Vec::new();
    if let Some(invalid) = facts.invalid.filter(|invalid| *invalid > 0 && suffers) {
        findings.push(Finding::error(
            INVALID,
            format!(
                "the virtual server is silent, its apiservers are not, and meanwhile {invalid} packets seemed to \
                 belong to no connection: a firewall drops them"
            ),
            "connection tracking does not see the connections of IPVS, so the apiservers' answers seem invalid to \
             rules such as `ct state invalid drop`, which firewalld has by default",
            fix,
        ));
    }
    // It leaves the rule out where it finds connection tracking liberal when it starts.
    let drops = |proxy: &&KubeProxy| proxy.mode == "iptables" && facts.node.liberal == Some(false);
    if let Some(proxy) = facts.kube_proxy.as_ref().filter(drops) {
        findings.push(Finding::warning(
            INVALID,
            format!(
                "kube-proxy in mode {} drops forwarded packets that seem to belong to no connection ({})",
                proxy.mode, proxy.origin
            ),
            "connection tracking does not see the connections of IPVS, so the apiservers' answers to pods seem \
             invalid: pods on this node cannot use the virtual server; programs of the node itself can",
            fix,
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(INVALID, "no firewall is seen to drop the apiservers' answers"));
    }
    findings
}
