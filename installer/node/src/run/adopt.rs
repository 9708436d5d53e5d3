//! Takes a node over from an older lvscare, and no client notices: its rules stay, our pod starts beside it, and only when
//! our daemon answers does its manifest go. Undo puts that back.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::job::{How, Job};
use super::session::Session;
use super::{prepare, reports, status};
use crate::api::{AdoptRequest, Changed, Event, Failure, Kind, Outcome, PrepareRequest};
use crate::facts::{self, former, kubelet};
use crate::machine::{Machine, until};
use crate::paths;
use crate::render::former::FormerGuard;
use crate::render::hosts;
use crate::spec::kubeadm::KubeadmSpec;
use crate::spec::masters::Master;
use crate::spec::{NodeSpec, names};
use crate::step::Step;

const PAUSE: Duration = Duration::from_millis(200);

/// The usual name of the virtual server, where neither kubelet nor the hosts file has another.
const USUAL_NAME: &str = "apiserver.cluster.local";

/// An older guard, as it is taken over.
struct Adoption {
    /// Its manifests; of one virtual server there may be more than one.
    manifests: Vec<PathBuf>,
    /// What is to be had instead.
    job: Job,
    /// What a person should know.
    notes: Vec<String>,
}

/// Answers the request.
pub fn run<M: Machine>(
    machine: &mut M,
    request: &AdoptRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    if request.change.dry_run {
        let changed = match look(machine, request)? {
            None => Changed { planned: true, ..Changed::default() },
            Some(adoption) => preview(machine, adoption)?,
        };
        return Ok(Outcome::Changed(changed));
    }
    let mut session = Session::open(machine, "node adopt", tell)?;
    let done = look(session.machine, request).and_then(|adoption| match adoption {
        None => Ok(Changed::default()),
        Some(adoption) => perform(&mut session, &adoption, request.wait, tell),
    });
    session.close()?;
    Ok(Outcome::Changed(done?))
}

fn preview<M: Machine>(machine: &mut M, adoption: Adoption) -> Result<Changed, Failure> {
    let mut changed = prepare::told(machine, &adoption.job)?;
    changed.steps.extend(reports(&leaving(&adoption)));
    changed.notes.splice(0..0, adoption.notes);
    changed.changed = true;
    Ok(changed)
}

fn perform<M: Machine>(
    session: &mut Session<'_, M>,
    adoption: &Adoption,
    wait: Duration,
    tell: &mut dyn FnMut(Event),
) -> Result<Changed, Failure> {
    for text in &adoption.notes {
        tell(Event::Note { text: text.clone() });
    }
    let mut changed = prepare::perform(session, &adoption.job, tell)?;
    changed.notes.splice(0..0, adoption.notes.clone());
    // Until ours is at work, the older one stays.
    if let Some(listen) = adoption.job.spec.config.listen
        && kubelet::joined(session.machine).is_some()
    {
        if !until(session.machine, wait, PAUSE, |machine| machine.daemon(listen).is_some()) {
            return Err(Failure::new(
                Kind::NotVerified,
                format!(
                    "our static pod has not started within {wait:?}: is kubelet at work, and the image on this node? The \
                     older lvscare guards as before; run this again once the pod is up, or take it back with \
                     `lvscare-installer node undo`"
                ),
            ));
        }
        changed.guarded = Some(true);
    }
    let leaving = leaving(adoption);
    session.perform(&leaving, &adoption.job.desired, tell)?;
    changed.steps.extend(reports(&leaving));
    changed.changed = !changed.steps.is_empty();
    changed.status = Some(status::look(session.machine, &session.journal)?);
    Ok(changed)
}

/// The manifests that go. One in our own place has been replaced already.
fn leaving(adoption: &Adoption) -> Vec<Step> {
    let others = adoption.manifests.iter().filter(|path| *path != Path::new(paths::POD));
    others.map(|path| Step::RemoveFile { path: path.clone() }).collect()
}

/// Looks for an older guard; `None` where ours has taken over already.
fn look<M: Machine>(machine: &mut M, request: &AdoptRequest) -> Result<Option<Adoption>, Failure> {
    let found = former::guards(machine);
    if found.is_empty() {
        if facts::installed::told(machine).is_some() {
            return Ok(None);
        }
        return Err(Failure::new(
            Kind::Invalid,
            format!(
                "no static pod in {} runs an older lvscare (`lvscare care --vs .. --rs ..`); use `lvscare-installer node \
                 prepare`",
                paths::MANIFESTS
            ),
        ));
    }
    let mut guards: Vec<(PathBuf, FormerGuard)> = Vec::new();
    for (path, guard) in found {
        let guard = guard.map_err(|why| {
            Failure::new(
                Kind::Foreign,
                format!("cannot take over {}: {why}; nothing was changed", path.display()),
            )
        })?;
        guards.push((path, guard));
    }
    let manifests = guards.iter().map(|(path, _)| path.clone()).collect();
    let guard = one(guards)?;
    let mut notes = Vec::new();
    if !guard.dropped.is_empty() {
        notes.push(format!(
            "the older lvscare was told {}, which is left behind; what still matters is said with --lvscare-arg",
            guard.dropped.join(", ")
        ));
    }
    let mut job = Job::new(machine, &prepare_request(machine, request, &guard)?, false, How::Nothing)?;
    job.desired.adopts = true;
    refuse_without_image(machine, &job)?;
    Ok(Some(Adoption { manifests, job, notes }))
}

/// Two manifests may say the same, as when one was renamed.
fn one(guards: Vec<(PathBuf, FormerGuard)>) -> Result<FormerGuard, Failure> {
    let mut guards = guards.into_iter();
    let Some((path, guard)) = guards.next() else {
        return Err(Failure::new(Kind::Invalid, "there is no older lvscare"));
    };
    for (other, differs) in guards {
        if (guard.vip, &guard.masters) != (differs.vip, &differs.masters) {
            return Err(Failure::new(
                Kind::Foreign,
                format!(
                    "{} and {} run two older lvscares that were told of different virtual servers or masters; nothing was \
                     changed; move away the one that is out of date",
                    path.display(),
                    other.display()
                ),
            ));
        }
    }
    Ok(guard)
}

fn prepare_request<M: Machine>(
    machine: &M,
    request: &AdoptRequest,
    guard: &FormerGuard,
) -> Result<PrepareRequest, Failure> {
    let name = match &request.name {
        Some(name) => name.clone(),
        None => name_of(machine, guard.vip.ip())?,
    };
    let spec = NodeSpec {
        vip: guard.vip,
        masters: guard.masters.iter().copied().map(Master::At).collect(),
        name,
        node_ip: request.node_ip.or(guard.node_ip),
        image: request.image.clone(),
        service_cidrs: Vec::new(),
        pod_cidrs: Vec::new(),
        daemon_args: guard.options.iter().chain(&request.daemon_args).cloned().collect(),
    };
    Ok(PrepareRequest {
        spec,
        archive: request.archive.clone(),
        skip: Vec::new(),
        kubeadm: KubeadmSpec::default(),
        change: request.change,
    })
}

/// By the name that kubelet uses, else by one that means the address here.
fn name_of<M: Machine>(machine: &M, vip: IpAddr) -> Result<String, Failure> {
    let is_name = |name: &String| names::check_resolvable(name).is_ok();
    if let Some(name) = kubelet::server_name(machine).filter(is_name) {
        return Ok(name);
    }
    let bytes = facts::read(machine, paths::HOSTS)?.map(|content| content.bytes).unwrap_or_default();
    let name = hosts::names_of(&bytes, vip)?.into_iter().find(is_name);
    Ok(name.unwrap_or_else(|| USUAL_NAME.to_owned()))
}

/// Without its image our pod would not start, and the older one is gone by then.
fn refuse_without_image<M: Machine>(machine: &mut M, job: &Job) -> Result<(), Failure> {
    let (Some(importer), Some(image)) = (&job.importer, &job.desired.image) else { return Ok(()) };
    if job.desired.archive.is_some() || importer.has(machine, image) != Some(false) {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Image,
        format!(
            "the image {image} is not on this node, and the older lvscare guards until ours has started; nothing was \
             changed; bring it with --import FILE, or name one that is here with --image"
        ),
    ))
}
