//! Do the apiservers answer, directly and through the virtual server, and what time do they have?

use super::listed;
use crate::doctor::Finding;
use crate::doctor::facts::Facts;
use crate::doctor::facts::visit::Visit;

const DIRECT: &str = "apiserver-unreachable";
const THROUGH: &str = "vip-unreachable";
const SKEW: &str = "clock-skew";

/// More than this and short-lived tokens and fresh certificates begin to fail.
const MOST_SKEW: u64 = 60;

/// What is wrong with an answer; `None`: nothing.
fn trouble(visit: &Visit) -> Option<String> {
    match &visit.answer {
        Ok(answer) if answer.is_alive() => None,
        Ok(answer) => Some(format!("answers /healthz with HTTP {}", answer.status)),
        Err(why) => Some(format!("does not answer: {why}")),
    }
}

/// Whether it answered, and well.
pub(super) fn is_fine(visit: &Visit) -> bool {
    trouble(visit).is_none()
}

/// Each apiserver must answer this node.
pub fn reachable(facts: &Facts) -> Vec<Finding> {
    if facts.servers.is_empty() {
        return vec![Finding::error(
            DIRECT,
            format!("no real server of {} is known", facts.vs),
            "neither a daemon nor the kernel's table names an apiserver",
            "name them: lvscare doctor --rs 10.0.0.1:6443,10.0.0.2:6443,10.0.0.3:6443",
        )];
    }
    let mut findings: Vec<Finding> = facts
        .servers
        .iter()
        .filter_map(|visit| {
            let server = visit.address;
            let fix = match &visit.answer {
                Ok(_) => format!("look there: curl -k 'https://{server}/healthz?verbose', crictl logs of kube-apiserver"),
                Err(_) => format!(
                    "look whether it runs there (crictl ps --name kube-apiserver), and whether a firewall or a \
                     route is in the way: curl -kv https://{server}/healthz"
                ),
            };
            Some(Finding::error(
                DIRECT,
                format!("{server} {}", trouble(visit)?),
                "one apiserver fewer serves this node, and with the last one the cluster is out of reach",
                fix,
            ))
        })
        .collect();
    if findings.is_empty() {
        let all: Vec<String> = facts.servers.iter().map(|visit| visit.address.to_string()).collect();
        findings.push(Finding::ok(DIRECT, format!("{} answer this node directly", listed(&all))));
    }
    findings
}

/// And so must the virtual server, as every client on this node sees it.
pub fn through_the_vip(facts: &Facts) -> Vec<Finding> {
    let Some(through) = &facts.through else { return Vec::new() };
    let Some(trouble) = trouble(through) else {
        return vec![Finding::ok(THROUGH, format!("{} answers, too", facts.vs))];
    };
    let alive = facts.servers.iter().filter(|visit| self::trouble(visit).is_none()).count();
    let (why, fix) = if alive == 0 {
        (
            "no client on this node reaches the cluster, since no apiserver answers",
            "mend the apiservers first; where they were replaced, this list is old: name the new ones to the daemon, with \
             --rs or below realServers in its file, and try them before: lvscare doctor --rs .."
                .to_owned(),
        )
    } else {
        (
            "no client on this node reaches the cluster, although an apiserver answers directly",
            format!(
                "make the rules: lvscare care --run-once --vs {} --rs .., and see: lvscare status",
                facts.vs
            ),
        )
    };
    vec![Finding::error(THROUGH, format!("{} {trouble}", facts.vs), why, fix)]
}

/// Everybody must have the same time.
pub fn clocks(facts: &Facts) -> Vec<Finding> {
    let told: Vec<(String, i64)> = facts
        .servers
        .iter()
        .filter_map(|visit| Some((visit.address.to_string(), visit.answer.as_ref().ok()?.ahead?)))
        .collect();
    if told.is_empty() {
        return Vec::new();
    }
    let far: Vec<&(String, i64)> =
        told.iter().filter(|(_, ahead)| ahead.unsigned_abs() > MOST_SKEW).collect();
    if far.is_empty() {
        return vec![Finding::ok(SKEW, "this node's clock agrees with the apiservers'")];
    }
    let described: Vec<String> = far
        .iter()
        .map(|(server, ahead)| {
            let way = if *ahead > 0 { "ahead of" } else { "behind" };
            format!("the clock of {server} is {} s {way} this node's", ahead.unsigned_abs())
        })
        .collect();
    // Where all others agree among themselves, it is our clock that is wrong.
    let (first, last) =
        (far.iter().map(|(_, ahead)| *ahead).min(), far.iter().map(|(_, ahead)| *ahead).max());
    let together = first.zip(last).is_some_and(|(first, last)| last.abs_diff(first) <= MOST_SKEW);
    let whose = if far.len() == told.len() && together && told.len() > 1 { "on this node" } else { "there" };
    vec![Finding::error(
        SKEW,
        listed(&described),
        "tokens and certificates are refused as expired or not valid yet",
        format!("{whose}: chronyc makestep, or timedatectl set-ntp true"),
    )]
}
