//! Who looks after the virtual server, and who else has a hand in it?

use std::net::SocketAddr;
use std::time::Duration;

use super::listed;
use crate::config::value::brief;
use crate::doctor::Finding;
use crate::doctor::facts::Facts;
use crate::doctor::facts::daemon::Daemon;
use crate::doctor::facts::table::Table;
use crate::health::pool::Mode;
use crate::model::RouteOwner;
use crate::status::{Status, VirtualServer};

const DAEMON: &str = "daemon";
const PROXY: &str = "kube-proxy-ipvs";
const OTHERS: &str = "another-guard";
const LEFT: &str = "left-behind";
const FOREIGN: &str = "foreign-virtual-server";
const DRAINED: &str = "drained";

/// Seconds. Who drains a master for an upgrade is done with it the same day.
const FORGOTTEN: f64 = 86_400.0;

/// The daemon runs, and is content.
pub fn daemon(facts: &Facts) -> Vec<Finding> {
    let vs = facts.vs;
    match &facts.daemon {
        Daemon::NotAsked => Vec::new(),
        Daemon::Absent(listen) => {
            let there = matches!(&facts.table, Table::Seen { service, .. } if service.scheduler.is_some());
            let seen = format!("no lvscare answers on {listen}");
            let fix = "start it: as a static pod in /etc/kubernetes/manifests or as a service (lvscare care ..); \
                       one that listens elsewhere is asked with --listen";
            vec![if there {
                Finding::warning(
                    DAEMON,
                    format!("{seen}; the kernel still has {vs}"),
                    "traffic goes on, but a dead apiserver stays in the table and damage is not repaired",
                    fix,
                )
            } else {
                Finding::error(
                    DAEMON,
                    format!("{seen}, and the kernel has no {vs}"),
                    "nothing leads from this node to the apiservers",
                    fix,
                )
            }]
        }
        Daemon::Silent(listen, why) => vec![Finding::error(
            DAEMON,
            format!("something listens on {listen} and does not answer as lvscare does: {why}"),
            "a daemon that hangs neither checks nor repairs; if it is another program, lvscare cannot tell its status",
            format!("see who it is: ss -ltnp 'sport = :{}'; restart lvscare", listen.port()),
        )],
        Daemon::Seen { first, .. } => content(facts, first),
    }
}

fn content(facts: &Facts, status: &Status) -> Vec<Finding> {
    let vs = facts.vs;
    let Some(service) = facts.guarded() else {
        let guarded: Vec<String> =
            status.virtual_servers.iter().map(|service| service.address.to_string()).collect();
        return vec![Finding::error(
            DAEMON,
            format!("the daemon does not guard {vs}; it guards {}", listed(&guarded)),
            "nobody checks the apiservers behind the virtual server asked about",
            format!(
                "ask about the other: lvscare doctor --vs {}",
                guarded.first().map_or("..", String::as_str)
            ),
        )];
    };
    let problems = status.daemon.iter().flat_map(|daemon| &daemon.problems);
    let mut findings: Vec<Finding> = problems
        .map(|problem| {
            Finding::error(
                DAEMON,
                format!("the daemon says: {problem}"),
                "the kernel is not as it should be, and the daemon cannot mend that alone",
                "see lvscare status, and its log: crictl logs, or journalctl -u lvscare",
            )
        })
        .collect();
    let mode = match service.mode {
        None | Some(Mode::Normal) => None,
        Some(Mode::Unready) => Some("no apiserver is ready; those that are healthy go on serving"),
        Some(Mode::LastResort) => Some("no apiserver is healthy; the last good ones go on serving"),
        Some(Mode::Empty) => Some("every apiserver is down; clients are refused at once"),
    };
    if let Some(mode) = mode {
        findings.push(Finding::error(
            DAEMON,
            format!("the daemon says: {mode}"),
            "clients on this node get no good answer from the cluster",
            "mend the apiservers; lvscare status says what is wrong with each. Where they were replaced, the list is old: \
             name the new ones, with --rs or below realServers in the file",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(DAEMON, format!("lvscare guards {vs} and has no problem")));
    }
    findings.extend(drained(service));
    findings
}

/// Whom an administrator has drained, and perhaps forgotten.
fn drained(service: &VirtualServer) -> impl Iterator<Item = Finding> + '_ {
    let drained =
        service.real_servers.iter().filter_map(|server| Some((server.address, server.drained_seconds?)));
    drained.filter(|(_, age)| *age > FORGOTTEN).map(|(server, age)| {
        let age = brief(Duration::try_from_secs_f64(age).unwrap_or(Duration::MAX));
        Finding::note(
            DRAINED,
            format!("an administrator drained {server} {age} ago"),
            "one apiserver fewer serves this node until that is undone",
            format!("when the work on it is done: lvscare undrain {server}"),
        )
    })
}

/// kube-proxy in mode `ipvs` deletes virtual servers that it does not know.
pub fn kube_proxy(facts: &Facts) -> Vec<Finding> {
    let vip = facts.vip();
    let length = if vip.is_ipv4() { 32 } else { 128 };
    let text = format!("excludeCIDRs: [\"{vip}/{length}\"]");
    let fix = format!(
        "kubectl -n kube-system edit configmap kube-proxy: below `ipvs:` put {text}; then kubectl -n kube-system \
         rollout restart daemonset kube-proxy"
    );
    let why = "kube-proxy deletes virtual servers outside of excludeCIDRs when it starts and whenever Services \
               change; lvscare brings them back within a second, and connections made meanwhile are refused";
    if let Some(proxy) = &facts.kube_proxy {
        let origin = &proxy.origin;
        return vec![match proxy.mode.as_str() {
            "ipvs" if proxy.excluded.iter().any(|subnet| subnet.holds(vip)) => {
                Finding::ok(PROXY, format!("kube-proxy runs in mode ipvs and leaves {vip} alone ({origin})"))
            }
            "ipvs" => Finding::error(
                PROXY,
                format!("kube-proxy runs in mode ipvs, and its excludeCIDRs do not hold {vip} ({origin})"),
                why,
                fix,
            ),
            "nftables" => Finding::note(
                PROXY,
                format!("kube-proxy runs in mode nftables ({origin})"),
                "it empties the whole IPVS table each time it starts, and cannot be told not to; lvscare brings the \
                 virtual server back within a second",
                "nothing to do while the daemon runs",
            ),
            mode => Finding::ok(
                PROXY,
                format!("kube-proxy runs in mode {mode}, which leaves IPVS alone ({origin})"),
            ),
        }];
    }
    let link = facts.node.links.iter().any(|link| link == "kube-ipvs0");
    // What the daemon guards besides is its own.
    let ours = match &facts.daemon {
        Daemon::Seen { first, .. } => first.virtual_servers.as_slice(),
        _ => &[],
    };
    let is_ours = |at: &SocketAddr| at.ip() == vip || ours.iter().any(|service| service.address == *at);
    let services = facts.node.services.iter().filter(|at| !is_ours(at));
    let foreign: Vec<String> = services.map(ToString::to_string).collect();
    let seen = match (link, foreign.first()) {
        (true, _) => "the interface kube-ipvs0 is here: kube-proxy runs, or ran, in mode ipvs".to_owned(),
        (false, Some(first)) => format!(
            "the IPVS table holds {} of others, such as {first}: perhaps kube-proxy runs in mode ipvs",
            if foreign.len() == 1 {
                "a virtual server".into()
            } else {
                format!("{} virtual servers", foreign.len())
            }
        ),
        (false, None) => {
            return vec![Finding::ok(PROXY, "no trace of kube-proxy in mode ipvs")];
        }
    };
    let daemon_knows: &str = "; its configuration cannot be seen here (--kube-proxy-config FILE)";
    vec![Finding::warning(PROXY, seen + daemon_knows, why, fix)]
}

/// Two guards of one virtual address fight, or hide each other's mistakes.
pub fn others(facts: &Facts) -> Vec<Finding> {
    let vip = facts.vip();
    let mut findings = Vec::new();
    if facts.node.addresses.iter().any(|own| own.address == vip)
        || matches!(&facts.table, Table::Seen { route: Some(RouteOwner::Interface), .. })
    {
        findings.push(Finding::error(
            OTHERS,
            format!("{vip} is an address of an interface of this node"),
            "connections to it get it as their source, too, and hang; keepalived, kube-vip, kube-proxy or an older \
             lvscare in link mode put it there",
            format!("see where: ip address show to {vip}; then ip address del {vip} dev THERE"),
        ));
    }
    let is_lvscare = |name: &str| name == "lvscare";
    let own = facts.guards.iter().filter(|guard| is_lvscare(&guard.name)).count();
    let foreign = facts.guards.iter().any(|guard| !is_lvscare(&guard.name));
    if foreign || own > 1 {
        let all: Vec<String> = facts.guards.iter().map(ToString::to_string).collect();
        findings.push(Finding::warning(
            OTHERS,
            format!("more than one program looks after {vip}: {}", listed(&all)),
            "each undoes what the other does, at the latest when they are told of different apiservers",
            "stop all but one; lvscare runs as a static pod or as a service, not as both",
        ));
    }
    if let Some(repairs) = rising(&facts.daemon) {
        findings.push(Finding::warning(
            OTHERS,
            format!("the daemon repaired foreign changes while it was watched ({repairs} since it started)"),
            "another program damages the virtual server again and again; connections made meanwhile are refused",
            "the daemon's log names the damage: crictl logs, or journalctl -u lvscare; suspects: kube-proxy in mode \
             ipvs, keepalived, another lvscare",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(OTHERS, format!("no other program is seen to guard {vip}")));
    }
    findings
}

/// Nobody looks after what a lvscare made that is gone or was told otherwise.
pub fn left_behind(facts: &Facts) -> Vec<Finding> {
    let Table::Seen { .. } = &facts.table else { return Vec::new() };
    let left = &facts.node.left_behind;
    if left.is_empty() {
        return vec![Finding::ok(LEFT, "nothing of an earlier lvscare is left without a guard")];
    }
    let findings = left.iter().map(|left| {
        Finding::warning(
            LEFT,
            format!("{left} was made by lvscare, and nobody guards it"),
            "clients of this address are sent to whoever was alive when its daemon ended; it was told of another \
             address since, or removed",
            format!("remove it: lvscare clean --vs {} (lvscare status --all shows everything)", left.target()),
        )
    });
    findings.collect()
}

/// A virtual server that an administrator or another program made would be taken over.
pub fn foreign(facts: &Facts) -> Vec<Finding> {
    let Table::Seen { of_others, service, .. } = &facts.table else { return Vec::new() };
    match of_others {
        Some(what) if facts.guarded().is_none() => vec![Finding::warning(
            FOREIGN,
            format!("{} is there and not known to be lvscare's: {what}", facts.vs),
            "lvscare care takes it over: scheduler, flags and weights become its own, and real servers that it is not \
             told of leave",
            "note down what is to be kept (ipvsadm -Sn) and remove it, or choose another --vs; care --run-once \
             replaces it only with --force",
        )],
        _ if service.scheduler.is_some() => {
            vec![Finding::ok(FOREIGN, format!("{} is no virtual server of somebody else", facts.vs))]
        }
        _ => Vec::new(),
    }
}

/// How many repairs there were, if there were more at the second look.
fn rising(daemon: &Daemon) -> Option<u64> {
    let Daemon::Seen { first, later: Some(later) } = daemon else { return None };
    let (first, later) = (first.daemon.as_ref()?, later.daemon.as_ref()?);
    // A restart in between starts from nothing.
    (later.repairs > first.repairs).then_some(later.repairs)
}
