//! A cluster's life: it is made, hosts join, hosts leave. All hosts are asked before one of them is changed, and what is
//! wrong is told at once; the plan that is shown is the one that is carried out.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use lvscare::doctor::subnet::Subnet;
use node::api::certificates::RenewRequest;
use node::api::etcd::EtcdHealth;
use node::api::{ClusterNode, ClusterRequest, Outcome, Request};
use node::paths;
use node::spec::NodeSpec;
use node::spec::version::KubernetesVersion;

use super::ask::ask;
use super::execute::{Failed, Progress, execute};
use super::gather::{Gathered, gather};
use super::{Access, Error, meet};
use crate::inventory::{Inventory, Role};
use crate::kubeadm::{self, Variables};
use crate::plan::credentials::{CHANCE, Credentials};
use crate::plan::members::{self, Member};
use crate::plan::package::Package;
use crate::plan::{Plan, check, clean, etcd, join};
use crate::remote;
use crate::remote::session::Session;
use crate::remote::transfer::Source;
use crate::runner::Stop;
use crate::transport::Transport;

/// What is to become of a cluster.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// It is made, or what is missing of it.
    Init(Options),
    /// Hosts join one that is there.
    Join(Options),
    /// These hosts leave, by their places in the inventory.
    Clean {
        /// Which.
        leaving: Vec<usize>,
        /// Those that never come back, by their addresses, which the inventory has not.
        forgotten: Vec<IpAddr>,
        /// What was typed of the cluster.
        options: Options,
    },
}

/// What was typed of a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// What each node shall have; masters are taken from the inventory.
    pub spec: NodeSpec,
    /// The version of Kubernetes; without it, that of the first master's kubeadm.
    pub version: Option<KubernetesVersion>,
    /// Further names for apiservers' certificates.
    pub cert_sans: Vec<String>,
    /// Where images come from.
    pub image_repository: Option<String>,
    /// A template of kubeadm's documents of the whole cluster, instead of ours.
    pub template: Option<String>,
    /// How long certificates are to last.
    pub validity: Duration,
    /// What hosts are given before anything else.
    pub package: Option<PackageFile>,
    /// Checks of kubeadm that may fail.
    pub ignore_preflight_errors: Vec<String>,
    /// How long the daemon's pod may take.
    pub wait: Duration,
    /// Plan only.
    pub dry_run: bool,
    /// Who we are, for whoever finds a host locked.
    pub by: String,
    /// The name of this run.
    pub run: String,
}

/// A package on this machine.
#[derive(Clone, Debug)]
pub struct PackageFile {
    /// What was read of it.
    pub package: Package,
    /// The archive.
    pub file: Source,
}

/// Hears what is found, and decides.
pub trait Dialogue: Progress {
    /// What a person should know of a host.
    fn note(&mut self, host: usize, note: &str);
    /// What will be done; whether it shall be.
    fn confirm(&mut self, plan: &Plan) -> Consent;
}

/// Whether a plan shall be carried out.
#[derive(Clone, Copy, Debug)]
pub enum Consent {
    /// It shall.
    Given,
    /// It shall not.
    Refused,
    /// A person says so, if this is true.
    Asked(fn() -> bool),
}

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    /// Some hosts cannot be spoken with; nothing was changed.
    Unreachable(Vec<(usize, Option<remote::Error>)>),
    /// All that is wrong; nothing was changed.
    Refused(Vec<String>),
    /// There is nothing to do.
    Nothing,
    /// It was planned only.
    Planned,
    /// Nobody wants it; nothing was changed.
    Declined,
    /// Done, but for these.
    Done {
        /// Hosts on which something was not done, with the reason if they have one of their own.
        unfinished: Vec<(usize, Option<Failed>)>,
        /// Whether it was asked to stop.
        is_stopped: bool,
    },
}

/// Does it, and returns when all hosts are let go.
pub fn run<D: Dialogue + 'static>(
    purpose: &Purpose,
    inventory: &Inventory,
    access: Access,
    program: &Source,
    dialogue: &Rc<RefCell<D>>,
) -> Result<Ended, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut stop = Stop::by_signals()?;
        let options = purpose.options();
        let lock = Some(options.by.as_str()).filter(|_| !options.dry_run);
        let gathered = gather(inventory, access, program, lock, &stop).await?;
        for (host, note) in &gathered.notes {
            dialogue.borrow_mut().note(*host, note);
        }
        let Gathered { mut sessions, members, asked, failed, way, .. } = gathered;
        if !failed.is_empty() {
            Gathered::end(sessions, way, false).await;
            return Ok(Ended::Unreachable(failed));
        }
        let credentials = Credentials::new(&chance()?).map_err(std::io::Error::other)?;
        let planned = plan(purpose, &members, asked, &mut sessions, credentials.token.id(), &stop).await;
        let plan = match planned {
            Ok(Planned { plan, notes }) => {
                for (host, note) in &notes {
                    dialogue.borrow_mut().note(*host, note);
                }
                plan
            }
            Err(wrong) => {
                Gathered::end(sessions, way, false).await;
                return Ok(Ended::Refused(wrong));
            }
        };
        let ended = if plan.is_empty() {
            Some(Ended::Nothing)
        } else {
            let consent = dialogue.borrow_mut().confirm(&plan);
            let is_given = match consent {
                Consent::Given => true,
                Consent::Refused => false,
                Consent::Asked(question) => meet::answer(question, &mut stop).await?.unwrap_or(false),
            };
            let declined = if options.dry_run { Ended::Planned } else { Ended::Declined };
            (!is_given).then_some(declined)
        };
        if let Some(ended) = ended {
            Gathered::end(sessions, way, false).await;
            return Ok(ended);
        }
        let package = options.package.as_ref().map(|package| &package.file);
        let done = execute(&plan, sessions, credentials, package, &options.run, &stop, dialogue).await;
        // Logs of what failed stay on the host.
        let is_whole = done.unfinished.is_empty() && !done.is_stopped;
        Gathered::end(done.hosts, way, is_whole).await;
        Ok(Ended::Done { unfinished: done.unfinished, is_stopped: done.is_stopped })
    })
}

impl Purpose {
    fn options(&self) -> &Options {
        match self {
            Self::Init(options) | Self::Join(options) | Self::Clean { options, .. } => options,
        }
    }
}

/// What will be done, and what people should know before.
struct Planned {
    plan: Plan,
    /// Of a host.
    notes: Vec<(usize, String)>,
}

/// What will be done, or all that is in the way of it.
async fn plan<T: Transport + 'static>(
    purpose: &Purpose,
    members: &[Member],
    asked: (u64, u64),
    sessions: &mut [Option<Session<T>>],
    token_id: &str,
    stop: &Stop,
) -> Result<Planned, Vec<String>> {
    let options = purpose.options();
    let nodes = nodes(members, sessions).await.map_err(|why| vec![why])?;
    if let Purpose::Clean { leaving, forgotten, .. } = purpose {
        return leave(options, members, &nodes, leaving, forgotten, sessions).await.map_err(|why| vec![why]);
    }
    let package = options.package.as_ref().map(|file| &file.package);
    let wanted = check::Wanted { version: options.version, package: package.cloned(), asked };
    let mut wrong = check::check(members, &wanted);
    let working = members.iter().find(|member| member.is_working_master());
    if matches!(purpose, Purpose::Join(_)) && working.is_none() {
        wrong.push(
            "none of the masters that were named works; name one of the cluster with --master, or make one with \
             `lvscare-installer init`"
                .to_owned(),
        );
    }
    if !members.iter().any(|member| member.role == Role::Master) {
        wrong.push("there is no master; name at least one with --master".to_owned());
    }
    let is_new = |member: &&Member| member.role == Role::Master && !member.has_joined();
    if members.iter().any(|member| is_new(&member)) {
        let unnamed = members::unnamed(members, &nodes).into_iter();
        wrong.extend(unnamed.map(|node| {
            format!(
                "{node} is a node of the cluster and has to learn of the new masters; name it with --node"
            )
        }));
    }
    let mut known_to_etcd = Vec::new();
    if let Some(working) = working
        && members.iter().any(|member| is_new(&member))
    {
        match health(working, sessions).await {
            Ok(health) => {
                let is_known = |address: &IpAddr| health.members.iter().any(|member| member.is_at(*address));
                known_to_etcd.extend(members.iter().filter(is_new).map(|it| it.address).filter(is_known));
                wrong.extend(etcd::grows(&health, &known_to_etcd).err());
            }
            Err(why) => wrong.push(why),
        }
    }
    let spec = NodeSpec { masters: members::masters(members, &nodes), ..options.spec.clone() };
    let (unfit, warnings) = checks(members, &nodes, &spec, package, sessions, stop).await;
    wrong.extend(unfit);
    let version = options
        .version
        .or(package.map(|package| package.version))
        .or_else(|| version_of(working.or(members.first())?));
    let Some(version) = version.filter(|version| version.is_exact()) else {
        wrong.push(
            "which version of Kubernetes is not known; say it with --version, such as v1.34.1".to_owned(),
        );
        return Err(wrong);
    };
    let cluster = documents(options, members, version).unwrap_or_else(|why| {
        wrong.push(why);
        String::new()
    });
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let wanted = join::Wanted {
        version,
        spec,
        cluster,
        port: members::APISERVER,
        ignore_preflight_errors: options.ignore_preflight_errors.clone(),
        until: RenewRequest::end(Duration::from_millis(asked.1), options.validity),
        wait: options.wait,
        token_id: token_id.to_owned(),
        snapshot: snapshot(options),
        known_to_etcd,
        package: package.cloned(),
    };
    Ok(Planned { plan: join::plan(members, &wanted), notes: warnings })
}

/// What will be done so that hosts leave, or why a cluster would be lost.
async fn leave<T: Transport>(
    options: &Options,
    members: &[Member],
    nodes: &[ClusterNode],
    leaving: &[usize],
    forgotten: &[IpAddr],
    sessions: &mut [Option<Session<T>>],
) -> Result<Planned, String> {
    let leaves = |member: &&Member| leaving.contains(&member.host);
    let staying = members.iter().find(|member| member.is_working_master() && !leaves(member));
    if staying.is_none() && !forgotten.is_empty() {
        let text = "none of the masters that were named works and stays, so that nobody can forget a host; name one \
                    with --master";
        return Err(text.to_owned());
    }
    let some_leave =
        !forgotten.is_empty() || members.iter().filter(leaves).any(|member| member.role == Role::Master);
    let is_forgotten = |node: &ClusterNode| node.addresses.iter().any(|address| forgotten.contains(address));
    let known: Vec<_> = nodes.iter().filter(|node| !is_forgotten(node)).cloned().collect();
    let mut told = Vec::new();
    let health = match staying {
        Some(staying) if some_leave => {
            let unnamed = members::unnamed(members, &known).into_iter();
            told.extend(unnamed.map(|node| {
                (staying.host, format!("{node} was not named, and keeps masters that leave in its list"))
            }));
            Some(health(staying, sessions).await?)
        }
        _ => None,
    };
    let wanted = clean::Wanted {
        leaving: leaving.to_vec(),
        forgotten: forgotten.to_vec(),
        name: options.spec.name.clone(),
        masters: members::staying(members, &known, leaving),
        wait: options.wait,
        snapshot: snapshot(options),
    };
    let plan = clean::plan(members, nodes, health.as_ref(), &wanted)?;
    Ok(Planned { plan, notes: told })
}

/// What hosts that are to join find on themselves: what is in the way of it, and what people should know of which.
async fn checks<T: Transport + 'static>(
    members: &[Member],
    nodes: &[ClusterNode],
    spec: &NodeSpec,
    package: Option<&Package>,
    sessions: &mut [Option<Session<T>>],
    stop: &Stop,
) -> (Vec<String>, Vec<(usize, String)>) {
    let working: Vec<_> = members.iter().filter(|member| member.is_working_master()).cloned().collect();
    let working = if working.is_empty() { Vec::new() } else { members::masters(&working, nodes) };
    let requests = check::requests(members, spec, &working).into_iter();
    let questions = requests.map(|(host, request)| (host, Request::Check(request))).collect();
    let (mut unfit, mut known) = (Vec::new(), Vec::new());
    for (host, answer) in ask(sessions, questions, stop).await {
        let name =
            members.iter().find(|member| member.host == host).map_or("?", |member| member.name.as_str());
        match answer {
            Some(Ok(Outcome::Checked(report))) => {
                let (errors, warnings) = check::sort(&report, package);
                unfit.extend(errors.into_iter().map(|error| format!("{name}: {error}")));
                known.extend(warnings.into_iter().map(|warning| (host, warning)));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => unfit.push(format!("{name}: {error}")),
            None => unfit.push(format!("{name}: it was not asked any more")),
        }
    }
    (unfit, known)
}

/// Where etcd is saved, on the master that is asked.
fn snapshot(options: &Options) -> PathBuf {
    Path::new(paths::STATE).join(format!("etcd-{}.db", options.run))
}

/// How etcd's members are, as a working master says.
async fn health<T: Transport>(
    master: &Member,
    sessions: &mut [Option<Session<T>>],
) -> Result<EtcdHealth, String> {
    let Some(session) = sessions.get_mut(master.host).and_then(Option::as_mut) else {
        return Err(format!("{}: it was not asked any more", master.name));
    };
    match session.run(Request::EtcdHealth, &mut |_| ()).await {
        Ok(Outcome::EtcdHealth(health)) => Ok(health),
        Ok(_) => Err(format!("{}: it answers another question", master.name)),
        Err(error) => Err(format!("{}: {error}", master.name)),
    }
}

/// The nodes of the cluster, as one of its masters knows them; none while there is no cluster.
async fn nodes<T: Transport>(
    members: &[Member],
    sessions: &mut [Option<Session<T>>],
) -> Result<Vec<ClusterNode>, String> {
    let mut why = None;
    for master in members.iter().filter(|member| member.is_working_master()) {
        let Some(session) = sessions.get_mut(master.host).and_then(Option::as_mut) else { continue };
        match session.run(Request::Cluster(ClusterRequest::Nodes), &mut |_| ()).await {
            Ok(Outcome::Nodes { nodes }) => return Ok(nodes),
            Ok(_) => {}
            Err(error) => why = Some(format!("{}: {error}", master.name)),
        }
    }
    // Masters of which none answers are a broken cluster, and no reason to make another one.
    why.map_or(Ok(Vec::new()), Err)
}

fn version_of(member: &Member) -> Option<KubernetesVersion> {
    member.facts.versions.get("kubeadm")?.trim().parse().ok()
}

/// What kubeadm is told of the whole cluster.
fn documents(options: &Options, members: &[Member], version: KubernetesVersion) -> Result<String, String> {
    let cidrs = |cidrs: &[Subnet]| cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let masters = members.iter().filter(|member| member.role == Role::Master);
    let variables = Variables {
        version,
        vip: options.spec.vip.ip(),
        masters: masters.map(|member| member.address).collect(),
        apiserver: options.spec.name.clone(),
        cert_sans: options.cert_sans.clone(),
        pod_cidr: cidrs(&options.spec.pod_cidrs),
        service_cidr: cidrs(&options.spec.service_cidrs),
        repository: options.image_repository.clone().unwrap_or_default(),
        network: String::new(),
    };
    let own = options.template.as_deref();
    let text = variables.render(own.unwrap_or(&kubeadm::template(version)));
    let text = text.map_err(|error| format!("--kubeadm-config: {error}"))?;
    let endpoint = format!("{}:{}", options.spec.name, options.spec.vip.port());
    kubeadm::check(&text, &endpoint).map_err(|why| format!("--kubeadm-config: {why}"))?;
    Ok(text)
}

fn chance() -> std::io::Result<[u8; CHANCE]> {
    let mut bytes = [0; CHANCE];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut bytes)
        .map_err(|_| std::io::Error::other("the kernel gives no random bytes"))?;
    Ok(bytes)
}
