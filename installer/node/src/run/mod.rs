//! The order of the work, one file per request.
//!
//! - [`check`], [`status`]: only look. [`prepare`]: on the way to a join. [`join`]: all the way.
//! - [`adopt`]: from an older lvscare. [`set_masters`]: other masters, without a gap. [`undo`]: the way back. [`part`]: hosts entry and pod alone.
//! - [`job`]: what a preparation comes to. [`session`]: what each change has in common.
//! - [`certificates`]: those of the cluster, and later ends for them. [`restart`]: kubelet and static pods.
//! - [`mod@kubectl`]: what a master asks of its cluster. [`mod@etcd`]: how it is, a snapshot of it, and how one is restored.
//! - [`image`], [`kubeadm`]: programs of the node. [`package`]: new ones, and images. [`mod@file`]: single files and programs,
//!   as a controller wants them.

use crate::api::{Event, Failure, Kind, Outcome, Request, StepReport};
use crate::machine::Machine;
use crate::step::Step;

pub mod adopt;
pub mod certificates;
pub mod check;
pub mod etcd;
pub mod file;
pub mod image;
pub mod job;
pub mod join;
pub mod kubeadm;
pub mod kubectl;
pub mod package;
pub mod part;
pub mod prepare;
pub mod restart;
pub mod session;
pub mod set_masters;
pub mod status;
pub mod undo;

#[cfg(test)]
pub(crate) mod test;

/// Does what is asked of a machine, and tells of it on the way.
pub fn run<M: Machine>(
    request: &Request,
    machine: &mut M,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    let done = match request {
        Request::Check(request) => check::run(machine, request),
        Request::Prepare(request) => prepare::run(machine, request, tell),
        Request::Join(request) => join::run(machine, request, tell),
        Request::Adopt(request) => adopt::run(machine, request, tell),
        Request::SetMasters(request) => set_masters::run(machine, request, tell),
        Request::Status => status::run(machine),
        Request::Undo(request) => undo::run(machine, *request, tell),
        Request::SetHost(request) => part::set_host(machine, request, tell),
        Request::UnsetHost { name } => part::unset_host(machine, name, tell),
        Request::ListHosts => part::list_hosts(machine),
        Request::RenderPod(spec) => part::render_pod(machine, spec),
        Request::WritePod { spec, change } => part::write_pod(machine, spec, *change, tell),
        Request::Cluster(request) => kubectl::run(machine, request, tell),
        Request::RemovePod { change } => part::remove_pod(machine, *change, tell),
        Request::Certificates => certificates::look(machine),
        Request::Renew(request) => certificates::renew(machine, request, tell),
        Request::AddNames(request) => certificates::add_names(machine, request, tell),
        Request::Restore(request) => certificates::restore(machine, *request, tell),
        Request::InstallPackage(request) => package::run(machine, request, tell),
        Request::EtcdHealth => etcd::health(machine),
        Request::EtcdSave { file } => etcd::save(machine, file),
        Request::EtcdRemove { address } => etcd::remove(machine, *address, tell),
        Request::EtcdRestoreHelp { file } => etcd::restore_help(machine, file.as_deref()),
    };
    done.map_err(|failure| match failure.kind {
        // A wait that was given up is no proof of anything.
        Kind::NotVerified if machine.cancel().is_asked() => Failure::new(
            Kind::Cancelled,
            format!("stopped, as was asked, while waiting: {}", failure.message),
        ),
        kind if kind != Kind::Cancelled && machine.cancel().ends_programs() => {
            Failure::new(Kind::Cancelled, format!("stopped, as was asked: {}", failure.message))
        }
        _ => failure,
    })
}

fn reports<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<StepReport> {
    steps.into_iter().map(Step::report).collect()
}
