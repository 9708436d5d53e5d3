//! Prepare, the stock kubeadm, wait, look.

use std::net::SocketAddr;
use std::time::Duration;

use super::job::{How, Job, only_name, own_address};
use super::session::Session;
use super::{kubeadm, prepare, reports};
use crate::api::{Changed, Event, Failure, JoinRequest, Joined, Kind, Outcome};
use crate::desired::DesiredNode;
use crate::facts::{self, kubelet, reach};
use crate::journal::Journal;
use crate::machine::{Machine, until};
use crate::paths;
use crate::spec::Part;
use crate::step::Step;

const PAUSE: Duration = Duration::from_millis(500);

/// Answers the request.
pub fn run<M: Machine>(
    machine: &mut M,
    request: &JoinRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    let joined = kubelet::joined(machine).is_some();
    if request.prepare.change.dry_run {
        return Ok(Outcome::Changed(preview(machine, request, joined)?));
    }
    let mut session = Session::open(machine, "node join", tell)?;
    let done = perform(&mut session, request, joined, tell);
    if done.is_err() {
        // They may have been written already. What is wrong is told by the failure.
        let _ = session.remove_secrets(tell);
    }
    session.close()?;
    Ok(Outcome::Changed(done?))
}

fn perform<M: Machine>(
    session: &mut Session<'_, M>,
    request: &JoinRequest,
    joined: bool,
    tell: &mut dyn FnMut(Event),
) -> Result<Changed, Failure> {
    if joined {
        // Whatever became of the run that wrote them.
        session.remove_secrets(tell)?;
        refuse_unfinished(&session.journal)?;
    }
    let job = job(session.machine, request, joined)?;
    let mut changed = prepare::perform(session, &job, tell)?;
    if let Some(join) = job.join.as_ref().filter(|_| !joined) {
        let words = kubeadm::words(&request.prepare.kubeadm, join);
        session.check_wanted()?;
        session.journal.set_joining(session.machine, true)?;
        let done = kubeadm::join(session.machine, &words);
        let is_there = kubelet::joined(session.machine).is_some();
        if done.is_ok() || !is_there {
            session.journal.set_joining(session.machine, false)?;
        }
        session.remove_secrets(tell)?;
        done?;
        if !is_there {
            return Err(Failure::new(
                Kind::NotVerified,
                format!(
                    "kubeadm says that it has joined, but there is no {}; look at what it said, then `kubeadm reset` and \
                     run this again",
                    paths::KUBELET
                ),
            ));
        }
        changed.changed = true;
        after(session, request, &job, tell)?;
    }
    changed.joined = Some(if joined { Joined::Already } else { Joined::Now });
    changed.guarded = is_guarded(session.machine, request, &job);
    if changed.guarded == Some(false) && session.machine.cancel().is_asked() {
        let text = "stopped, as was asked: this node has joined, and its static pod was not waited for; run it again to see \
                    whether it is up";
        return Err(Failure::new(Kind::Cancelled, text));
    }
    Ok(changed)
}

fn job<M: Machine>(machine: &mut M, request: &JoinRequest, joined: bool) -> Result<Job, Failure> {
    let how = if joined { How::Nothing } else { How::Joins };
    Job::new(machine, &request.prepare, request.prefer_local, how)
}

/// kubeadm writes kubelet's kubeconfig long before it is done, and on a master etcd may be half a member.
fn refuse_unfinished(journal: &Journal) -> Result<(), Failure> {
    if !journal.is_joining() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Kubeadm,
        format!(
            "a join of this node was begun, and kubeadm has never said that it was done, although there is a {}; run \
             `kubeadm reset`, then this again; if `kubectl get nodes` shows this node as it should be, `lvscare-installer \
             node prepare` takes it as it is",
            paths::KUBELET
        ),
    ))
}

fn preview<M: Machine>(machine: &mut M, request: &JoinRequest, joined: bool) -> Result<Changed, Failure> {
    if joined {
        refuse_unfinished(&Journal::of(machine)?)?;
    }
    let job = job(machine, request, joined)?;
    let mut changed = prepare::told(machine, &job)?;
    if let Some(join) = &job.join {
        let words = kubeadm::words(&request.prepare.kubeadm, join);
        let steps = [
            Step::Join { words, config: join.masked.clone() },
            Step::RemoveFile { path: paths::JOIN.into() },
        ];
        changed.steps.extend(reports(&steps));
        changed.changed = true;
    }
    Ok(changed)
}

/// What is different once the node has joined: the name on a master means itself.
fn after<M: Machine>(
    session: &mut Session<'_, M>,
    request: &JoinRequest,
    job: &Job,
    tell: &mut dyn FnMut(Event),
) -> Result<(), Failure> {
    if job.desired.rules {
        if job.manner.reach {
            for at in job.desired.services() {
                reach::through(session.machine, at, &job.spec.name)?;
            }
        }
        return Ok(());
    }
    let Some((name, master)) = job.desired.hosts.as_ref().filter(|_| job.is_plain_master) else {
        return Ok(());
    };
    let own = own_address(session.machine, &request.prepare.kubeadm, SocketAddr::new(*master, 0))?;
    let desired = DesiredNode::only_name(job.spec.config.clone(), name, own);
    prepare::within(session, &desired, &only_name(name, request.prepare.change), tell)?;
    // Pods of the host's network got a copy of /etc/hosts when they were made.
    let node = request.prepare.kubeadm.node_name.clone();
    let node = node.or_else(|| facts::text(session.machine, "/proc/sys/kernel/hostname"));
    let text = format!(
        "{name} means this node from now on; its kube-proxy, if it uses that name, learns of it when its pod is made anew: \
         kubectl -n kube-system delete pod --field-selector spec.nodeName={} -l k8s-app=kube-proxy",
        node.unwrap_or_default().trim()
    );
    tell(Event::Note { text });
    Ok(())
}

/// Waits for the daemon's pod, where there shall be one.
fn is_guarded<M: Machine>(machine: &mut M, request: &JoinRequest, job: &Job) -> Option<bool> {
    let skips_pod = job.is_plain_master || request.prepare.skip.contains(&Part::Pod);
    let listen = job.spec.config.listen.filter(|_| !skips_pod)?;
    Some(until(machine, request.wait, PAUSE, |machine| machine.daemon(listen).is_some()))
}
