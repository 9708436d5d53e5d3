//! Hosts leave: pods first, then what kubeadm made, then what we made; at last the cluster forgets them.

use std::time::Duration;

use node::api::{Change, ClusterNode, ClusterRequest, Request, UndoRequest};
use node::spec::masters::Master;

use super::join::{reset, set_masters_request};
use super::members::Member;
use super::{OnFailure, Order, Plan, Step};
use crate::inventory::Role;

/// How long pods may take to end.
const DRAIN: Duration = Duration::from_secs(120);

/// What is to be left.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// All hosts that leave, by their place in the inventory.
    pub leaving: Vec<usize>,
    /// The name by which clients call the virtual server.
    pub name: String,
    /// The masters that stay.
    pub masters: Vec<Master>,
    /// How long a daemon may take to start again.
    pub wait: Duration,
}

/// The phases; or why a cluster would be lost. Without a master that stays, nobody has to forget anybody.
pub fn plan(members: &[Member], nodes: &[ClusterNode], wanted: &Wanted) -> Result<Plan, String> {
    let leaves = |member: &&Member| wanted.leaving.contains(&member.host);
    let of = |role| move |member: &&Member| member.role == role;
    let staying = members.iter().find(|member| member.is_working_master() && !leaves(member));
    let masters: Vec<_> = members.iter().filter(of(Role::Master)).filter(leaves).collect();
    let mut plan = Plan::default();
    if let Some(guard) = quorum(members, &masters, staying.is_some()) {
        return Err(guard);
    }
    if let Some(staying) = staying {
        let drains = members.iter().filter(leaves).filter_map(|member| member.node(nodes));
        let drains = drains.map(|node| {
            let (node, limit) = (node.name.clone(), DRAIN);
            Step::Try(Request::Cluster(ClusterRequest::Drain { node, limit }))
        });
        plan.add(
            "pods go elsewhere",
            Order::Serial,
            OnFailure::LeaveHost,
            [(staying.host, drains.collect())],
        );
        if !masters.is_empty() {
            // Before they are gone, or nodes would knock at closed doors.
            let told =
                members.iter().filter(of(Role::Node)).filter(|member| !leaves(member) && member.has_joined());
            let told = told.map(|member| {
                (member.host, vec![Step::Run(set_masters_request(wanted.masters.clone(), wanted.wait))])
            });
            plan.add("masters that stay, told to nodes", Order::Parallel, OnFailure::StopAll, told);
        }
    }
    let nodes_leave = members.iter().filter(of(Role::Node)).filter(leaves);
    let work = nodes_leave.map(|member| (member.host, leave(member)));
    plan.add("nodes leave", Order::Parallel, OnFailure::LeaveHost, work);
    // The first of them was the first to come, and what others need longest.
    let work = masters.iter().rev().map(|member| {
        let mut steps = leave(member);
        steps.insert(1.min(steps.len()), Step::Try(Request::UnsetHost { name: wanted.name.clone() }));
        (member.host, steps)
    });
    plan.add("masters leave", Order::Serial, OnFailure::StopAll, work);
    if let Some(staying) = staying {
        let gone = members.iter().filter(leaves).filter_map(|member| member.node(nodes));
        let gone = gone
            .map(|node| Step::Run(Request::Cluster(ClusterRequest::DeleteNode { node: node.name.clone() })));
        plan.add(
            "the cluster forgets them",
            Order::Serial,
            OnFailure::LeaveHost,
            [(staying.host, gone.collect())],
        );
    }
    Ok(plan)
}

/// etcd decides by a majority of its members, and one that is reset counts until it is removed.
fn quorum(members: &[Member], leaving: &[&Member], any_stays: bool) -> Option<String> {
    let working = members.iter().filter(|member| member.is_working_master()).count();
    let leaves = leaving.iter().filter(|member| member.is_working_master()).count();
    if leaves == 0 || !any_stays {
        return None;
    }
    let all = members.iter().filter(|member| member.role == Role::Master).count();
    let stays = working - leaves;
    (stays * 2 <= all - leaving.len()).then(|| {
        format!(
            "of {all} masters {working} work; without {leaves} of them etcd has no majority, and the cluster would stand \
             still; mend the others first"
        )
    })
}

fn leave(member: &Member) -> Vec<Step> {
    let change = Change::default();
    let mut steps = Vec::new();
    if member.facts.joined.is_some() || member.facts.has_etcd || member.facts.is_joining {
        steps.push(reset(member));
    }
    if member.facts.is_prepared {
        steps.push(Step::Run(Request::Undo(UndoRequest { change })));
    }
    steps
}
