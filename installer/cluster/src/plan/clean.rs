//! Hosts leave: pods first, then what kubeadm made, then what we made; at last the cluster forgets them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use node::api::etcd::EtcdHealth;
use node::api::{Change, ClusterNode, ClusterRequest, Request, UndoRequest};
use node::spec::masters::Master;

use super::join::{self, reset, set_masters_request};
use super::members::Member;
use super::{OnFailure, Order, Plan, Step, etcd};
use crate::inventory::Role;

/// How long pods may take to end.
const DRAIN: Duration = Duration::from_secs(120);

/// What is to be left.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// All hosts that leave, by their place in the inventory.
    pub leaving: Vec<usize>,
    /// Those that never come back and are spoken with no more.
    pub forgotten: Vec<IpAddr>,
    /// The name by which clients call the virtual server.
    pub name: String,
    /// The masters that stay.
    pub masters: Vec<Master>,
    /// How long a daemon may take to start again.
    pub wait: Duration,
    /// Where etcd is saved before a master leaves.
    pub snapshot: PathBuf,
}

/// The phases; or why a cluster would be lost. `health` is what etcd says of itself on a master that stays; without one, nobody
/// has to forget anybody.
pub fn plan(
    members: &[Member],
    nodes: &[ClusterNode],
    health: Option<&EtcdHealth>,
    wanted: &Wanted,
) -> Result<Plan, String> {
    let leaves = |member: &&Member| wanted.leaving.contains(&member.host);
    let of = |role| move |member: &&Member| member.role == role;
    let staying = members.iter().find(|member| member.is_working_master() && !leaves(member));
    let masters: Vec<_> = members.iter().filter(of(Role::Master)).filter(leaves).collect();
    let mut plan = Plan::default();
    // The first of them was the first to come, and what others need longest.
    let last_first = masters.iter().rev().map(|member| member.address);
    let all_leaving: Vec<IpAddr> = wanted.forgotten.iter().copied().chain(last_first).collect();
    if let (Some(_), Some(health)) = (staying, health) {
        etcd::shrinks(health, &all_leaving)?;
    }
    let forgotten_nodes: Vec<_> = wanted
        .forgotten
        .iter()
        .filter_map(|address| nodes.iter().find(|node| node.addresses.contains(address)))
        .collect();
    let is_member = |address: &IpAddr| {
        health.is_some_and(|health| health.members.iter().any(|member| member.is_at(*address)))
    };
    let forgotten_masters: Vec<_> = wanted.forgotten.iter().filter(|address| is_member(address)).collect();
    let masters_go = !masters.is_empty()
        || !forgotten_masters.is_empty()
        || forgotten_nodes.iter().any(|node| node.is_master);
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
        if masters_go {
            // Before they are gone, or nodes would knock at closed doors.
            let told =
                members.iter().filter(of(Role::Node)).filter(|member| !leaves(member) && member.has_joined());
            let told = told.map(|member| {
                (member.host, vec![Step::Run(set_masters_request(wanted.masters.clone(), wanted.wait))])
            });
            plan.add("masters that stay, told to nodes", Order::Parallel, OnFailure::StopAll, told);
        }
        if !forgotten_masters.is_empty() {
            let mut steps = vec![join::save(&wanted.snapshot)];
            let removed = forgotten_masters.iter().map(|address| Request::EtcdRemove { address: **address });
            steps.extend(removed.map(Step::Run));
            plan.add("etcd forgets them", Order::Serial, OnFailure::StopAll, [(staying.host, steps)]);
        }
    }
    let nodes_leave = members.iter().filter(of(Role::Node)).filter(leaves);
    let work = nodes_leave.map(|member| (member.host, leave(member)));
    plan.add("nodes leave", Order::Parallel, OnFailure::LeaveHost, work);
    let mut work = Vec::new();
    for (index, member) in masters.iter().rev().enumerate() {
        let mut steps = Vec::new();
        if let Some(staying) = staying {
            // A member counts until it is removed, and one that is reset first would leave two of three with no third.
            let is_saved = index > 0 || !forgotten_masters.is_empty();
            let mut before = if is_saved { Vec::new() } else { vec![join::save(&wanted.snapshot)] };
            before.push(Step::Run(Request::EtcdRemove { address: member.address }));
            work.push((staying.host, before));
            // Its own apiserver has no etcd any more, and kubeadm asks one.
            if member.facts.joined.is_some() {
                steps.push(Step::Try(join::set_host_request(&wanted.name, staying)));
            }
        }
        steps.extend(leave(member));
        let place = steps.iter().position(|step| matches!(step, Step::Task(_))).map_or(0, |place| place + 1);
        steps.insert(place, Step::Try(Request::UnsetHost { name: wanted.name.clone() }));
        work.push((member.host, steps));
    }
    plan.add("masters leave", Order::Serial, OnFailure::StopAll, work);
    if let Some(staying) = staying {
        let gone = members.iter().filter(leaves).filter_map(|member| member.node(nodes));
        let gone = gone
            .chain(forgotten_nodes)
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
