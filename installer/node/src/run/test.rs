//! Requests on a machine in memory: the order of the work, every failure at every change, and the way back.

use std::time::Duration;

use super::run;
use crate::api::{
    Change, Changed, CheckRequest, Event, Failure, JoinRequest, Kind, NodeStatus, Outcome, PrepareRequest,
    Request, SetHostRequest, SetMastersRequest, UndoRequest,
};
use crate::fake::{Fails, Fake};
use crate::spec::kubeadm::KubeadmSpec;
use crate::spec::masters::Masters;
use crate::spec::{NodeSpec, Role, Spec};

mod adopt;
mod cancel;
mod certificates;
mod cluster;
mod etcd;
mod failures;
mod join;
mod kubectl;
mod package;
mod parts;
mod prepare;
mod programs;
mod undo;
mod wire;

pub(crate) const VIP: &str = "10.103.97.2:6443";

pub(crate) fn asked() -> NodeSpec {
    let Masters(masters) = "10.0.0.1-10.0.0.3".parse().unwrap();
    NodeSpec {
        vip: VIP.parse().unwrap(),
        masters,
        name: "apiserver.cluster.local".to_owned(),
        node_ip: None,
        image: "docker.io/library/lvscare:0.1.0".to_owned(),
        service_cidrs: vec!["10.96.0.0/22".parse().unwrap()],
        pod_cidrs: Vec::new(),
        daemon_args: Vec::new(),
    }
}

pub(crate) fn spec() -> Spec {
    Spec::new(&asked(), |_| Ok(Vec::new())).unwrap()
}

fn prepare() -> PrepareRequest {
    PrepareRequest {
        spec: asked(),
        archive: None,
        skip: Vec::new(),
        kubeadm: KubeadmSpec::default(),
        change: Change::default(),
    }
}

const TOKEN: &str = "abcdef.0123456789abcdef";

fn credentials() -> KubeadmSpec {
    let token = TOKEN.parse().ok();
    KubeadmSpec { token, unsafe_skip_ca: true, ..KubeadmSpec::default() }
}

fn joining() -> JoinRequest {
    let prepare = PrepareRequest { kubeadm: credentials(), ..prepare() };
    JoinRequest { prepare, prefer_local: false, wait: Duration::from_secs(5) }
}

fn set_masters(text: &str) -> Request {
    let Masters(masters) = text.parse().unwrap();
    let (drain, wait) = (Duration::from_secs(30), Duration::from_secs(60));
    Request::SetMasters(SetMastersRequest { masters, drain, wait, change: Change::default() })
}

const UNDO: Request = Request::Undo(UndoRequest { change: Change { dry_run: false, force: false } });
const FORCED_UNDO: Request = Request::Undo(UndoRequest { change: Change { dry_run: false, force: true } });

/// Asks, and gives what was told on the way as well.
fn ask(machine: &mut Fake, request: &Request) -> (Result<Outcome, Failure>, Vec<String>) {
    let mut told = Vec::new();
    let outcome = run(request, machine, &mut |event| {
        told.push(match event {
            Event::Note { text } => format!("! {text}"),
            Event::Done(step) => step.text,
            Event::Reached { at } => format!("reached {at}"),
        });
    });
    (outcome, told)
}

#[track_caller]
fn changed(machine: &mut Fake, request: &Request) -> (Changed, Vec<String>) {
    match ask(machine, request) {
        (Ok(Outcome::Changed(changed)), told) => (changed, told),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(machine: &mut Fake, request: &Request, kind: Kind, why: &str) {
    let failure = ask(machine, request).0.unwrap_err();
    assert!(failure.kind == kind && failure.message.contains(why), "{failure:?}");
}

#[track_caller]
fn status(machine: &mut Fake) -> NodeStatus {
    match ask(machine, &Request::Status).0 {
        Ok(Outcome::Status(status)) => status,
        other => panic!("{other:?}"),
    }
}

fn prepared() -> Fake {
    let mut machine = Fake::bare();
    changed(&mut machine, &Request::Prepare(Box::new(prepare())));
    machine
}
