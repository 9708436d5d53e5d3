//! `lvscare-installer kubeadm join`, and `node join`: prepare, the stock kubeadm, wait, look.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use installer::cli::Output;
use installer::cli::join::JoinArgs;
use installer::kubernetes::join::Rendered as Join;
use installer::node::action::Action;
use installer::node::paths::{self, Root};
use installer::node::prepare::{self, Manner};
use installer::node::session::Session;
use installer::node::wanted::{Part, Wanted};
use installer::wait::until;
use installer::{kubeadm, kubelet, reach};
use lvscare::client;
use lvscare::exit::{Exit, Failure};
use lvscare::kernel::route::Routes;

use super::prepare::{Job, render, tell};
use super::{holder, say};

const PAUSE: Duration = Duration::from_millis(500);

pub(crate) fn run(root: &Root, mut args: JoinArgs, command: &str) -> Result<Exit, Failure> {
    args.kubeadm.read_token()?;
    if let Some(endpoint) = args.endpoint {
        args.prepare.spec.vip = endpoint;
    }
    if args.prefer_local {
        args.prepare.spec.lvscare_arg.push("--prefer-local".to_owned());
    }
    // A master is its own way to the apiserver: neither rules nor a pod.
    let is_plain_master = args.kubeadm.control_plane && !args.prefer_local;
    if is_plain_master {
        args.prepare.skip.extend([Part::Modules, Part::Rules, Part::Pod]);
    }
    let joined = kubelet::joined(root).is_some();
    let join = if joined { None } else { Some(render(&args.prepare, &args.kubeadm)?) };
    let mut job = Job::new(&args.prepare, &args.kubeadm, join.as_ref(), true)?;
    if is_plain_master && let Some((_, address)) = &mut job.wanted.hosts {
        let master = first_that_answers(&job.spec)?;
        *address = if joined { own_address(&args, master)? } else { master.ip() };
    }
    if args.prepare.change.dry_run {
        return job.preview(root);
    }
    let mut session = Session::open(root, &holder(command))?;
    let done = within(root, &args, &job, join, &mut session);
    session.close()?;
    done
}

fn within(
    root: &Root,
    args: &JoinArgs,
    job: &Job<'_>,
    join: Option<Join>,
    session: &mut Session,
) -> Result<Exit, Failure> {
    let text = args.prepare.change.output == Output::Text;
    let (_, report) = job.perform(session, root)?;
    let how = match join {
        None => "this node has joined already",
        Some(join) => {
            kubeadm::join(&root.join(Path::new(paths::JOIN)), &join.flags, text)?;
            if kubelet::joined(root).is_none() {
                return Err(Failure::new(
                    Exit::NotVerified,
                    format!(
                        "kubeadm says that it has joined, but there is no {}; look at what it said, then `kubeadm \
                         reset` and run this again",
                        paths::KUBELET
                    ),
                ));
            }
            after(root, args, job, session)?;
            "joined"
        }
    };
    let guard = match job.spec.config.listen.filter(|_| !args.prepare.skip.contains(&Part::Pod)) {
        None => String::new(),
        Some(listen) if until(args.wait, PAUSE, || client::daemon(listen).is_some()) => {
            "; lvscare guards the rules".to_owned()
        }
        Some(_) => "; the rules are in place, but the static pod is not up yet: is its image on this node?"
            .to_owned(),
    };
    say(&if text { format!("{how}{guard}") } else { report })?;
    Ok(Exit::Success)
}

/// What is different once the node has joined: the secrets of it go, and the name on a master means itself.
fn after(root: &Root, args: &JoinArgs, job: &Job<'_>, session: &mut Session) -> Result<(), Failure> {
    let change = args.prepare.change;
    let mut notes = Vec::new();
    let secrets = Action::RemoveFile { path: PathBuf::from(paths::JOIN) };
    session.perform(&[secrets], &job.wanted, &mut |step| {
        tell(prepare::Event::Done(step), change, &mut notes);
    })?;
    if job.wanted.rules {
        let mut services =
            job.spec.config.services.iter().filter(|_| !args.prepare.skip.contains(&Part::Reach));
        return services.try_for_each(|service| reach::through(service.at, &job.spec.name));
    }
    let Some((name, master)) = &job.wanted.hosts else { return Ok(()) };
    let own = own_address(args, SocketAddr::new(*master, 0))?;
    let wanted = Wanted::only_name(job.spec.config.clone(), name, own);
    let manner = Manner { name, reach: false, checks: None, force: args.prepare.force };
    prepare::within(session, root, &wanted, manner, &mut |event| tell(event, change, &mut notes))?;
    if change.output == Output::Text {
        // Pods of the host's network got a copy of /etc/hosts when they were made.
        say(&format!(
            "  {name} means this node from now on; its kube-proxy, if it uses that name, learns of it when its pod is \
             made anew: kubectl -n kube-system delete pod --field-selector spec.nodeName=NAME -l k8s-app=kube-proxy"
        ))?;
    }
    Ok(())
}

/// A master to join by, where there is no virtual server.
fn first_that_answers(spec: &installer::spec::Spec) -> Result<SocketAddr, Failure> {
    let visits = reach::directly(&spec.masters, spec.vs, &spec.name)?;
    let silent = reach::some_answer(&visits, "")?;
    let answering = spec.masters.iter().find(|master| !silent.contains_key(*master));
    answering.copied().ok_or_else(|| Failure::new(Exit::Unreachable, "no apiserver answers"))
}

/// The address of this node's own apiserver.
fn own_address(args: &JoinArgs, master: SocketAddr) -> Result<IpAddr, Failure> {
    if let Some(told) = args.kubeadm.apiserver_advertise_address {
        return Ok(told);
    }
    let source = Routes::open()?.source_towards(master.ip())?;
    source.ok_or_else(|| {
        let help = "give --apiserver-advertise-address";
        Failure::new(Exit::Unreachable, format!("there is no way to {}; {help}", master.ip()))
    })
}
