//! `lvscare-installer node check`: is this a node that can be prepared and joined? All that is wrong, at once.
//!
//! ```text
//!   the doctor's facts ─┐
//!                       ├──► Facts ──[`addresses`, `cluster`, `host`, `kubernetes`, `system`], pure──► the doctor's Report
//!   the machine's ──────┘
//! ```
//!
//! What `lvscare doctor` knows to judge is judged by it. Here is what matters before lvscare is on the node: an error
//! refuses the node, a warning is for people to decide.

use lvscare::doctor::checks::{addresses as vip, certificates, guards, kernel, network, servers};
use lvscare::doctor::{Finding, Report, Severity};

use crate::api::{Failure, Kind};
use crate::facts::host::Facts;

pub mod addresses;
pub mod cluster;
pub mod host;
pub mod kubernetes;
pub mod system;

#[cfg(test)]
mod tests;

/// A check: nothing, when it lacks its facts.
pub type Check = fn(&Facts) -> Vec<Finding>;

/// What must be well, and what should be, before a node is prepared.
pub const BEFORE: [Check; 32] = [
    host::permission,
    host::kernel,
    |facts| for_rules(facts, host::ipvs),
    host::host_name,
    host::writable,
    host::space,
    host::hosts_mount,
    kubernetes::cluster,
    cluster::told,
    kubernetes::ports,
    kubernetes::runtime,
    kubernetes::cgroups,
    kubernetes::manifests,
    addresses::in_use,
    addresses::own_masters,
    |facts| vip::service_cidr(&facts.doctor),
    addresses::service_cidr,
    |facts| vip::pod_cidr(&facts.doctor),
    |facts| certificates::names(&facts.doctor),
    |facts| certificates::dates(&facts.doctor),
    |facts| servers::clocks(&facts.doctor),
    |facts| soften(guards::kube_proxy(&facts.doctor)),
    |facts| guards::others(&facts.doctor),
    |facts| for_rules(facts, |facts| network::sources(&facts.doctor)),
    |facts| for_rules(facts, |facts| network::rp_filter(&facts.doctor)),
    addresses::default_route,
    addresses::count,
    system::swap,
    system::names,
    system::proxy,
    system::keepers,
    system::settings,
];

/// What `prepare` refuses on its own, each with an exit code of its own.
const PREPARES: [Check; 5] = [
    addresses::possible,
    addresses::hosts,
    addresses::reachable,
    |facts| for_rules(facts, |facts| kernel::parts(&facts.doctor)),
    |facts| for_rules(facts, |facts| as_note(network::forwarding(&facts.doctor))),
];

/// Everything about a node that is to be prepared and joined.
pub fn all(facts: &Facts) -> Report {
    report(facts, BEFORE.iter().chain(&PREPARES))
}

/// What `prepare` looks at first.
pub fn before(facts: &Facts) -> Report {
    report(facts, BEFORE.iter())
}

fn report<'a>(facts: &Facts, checks: impl Iterator<Item = &'a Check>) -> Report {
    Report::new(facts.doctor.vs, checks.flat_map(|check| check(facts)))
}

/// What only matters where there shall be a virtual server.
fn for_rules(facts: &Facts, check: Check) -> Vec<Finding> {
    if facts.has_rules { check(facts) } else { Vec::new() }
}

/// The node can be prepared all the same.
fn soften(findings: Vec<Finding>) -> Vec<Finding> {
    let soften = |finding: Finding| Finding { severity: finding.severity.min(Severity::Warning), ..finding };
    findings.into_iter().map(soften).collect()
}

/// Preparing the node mends it.
fn as_note(findings: Vec<Finding>) -> Vec<Finding> {
    let note = |finding: Finding| match finding.severity {
        Severity::Ok => finding,
        _ => Finding {
            severity: Severity::Note,
            fix: Some("nothing to do: lvscare-installer node prepare sets it".to_owned()),
            ..finding
        },
    };
    findings.into_iter().map(note).collect()
}

/// The refusal of a node with errors.
pub fn refuse(report: &Report) -> Result<(), Failure> {
    let errors: Vec<_> =
        report.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    if errors.is_empty() {
        return Ok(());
    }
    let foreign = errors.iter().any(|finding| finding.id == kubernetes::CLUSTER);
    let lines = errors.iter().map(|finding| {
        let fix = finding.fix.as_deref().unwrap_or_default();
        format!("\n  {}: {}\n    fix: {fix}", finding.id, finding.seen)
    });
    Err(Failure::new(
        if foreign { Kind::Foreign } else { Kind::Refused },
        format!(
            "the checks refuse this node; nothing was changed:{}\nlvscare-installer node check says more; --skip \
             checks goes on in spite of them",
            lines.collect::<String>()
        ),
    ))
}
