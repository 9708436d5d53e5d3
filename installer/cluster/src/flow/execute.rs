//! A plan, carried out: phase by phase, and on each host step by step. What one host does, another one never waits for
//! within a phase.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use node::agent::name::RunId;
use node::agent::runs::End;
use node::agent::task::{Kubeadm, Phase as KubeadmPhase, Task};
use node::agent::wire::FileContent;
use node::api::{ClusterRequest, Event, Kind as HostKind, Outcome, Request};
use node::paths;
use node::render::init::{Init, version_alone};
use node::spec::secret::Secret;
use tokio::time::{Instant, sleep};

use crate::plan::credentials::Credentials;
use crate::plan::etcd;
use crate::plan::{Admission, Configuration, OnFailure, Order, Phase, Plan, Step};
use crate::remote::Error;
use crate::remote::session::Session;
use crate::remote::transfer::Source;
use crate::runner::{self, Ended, Stop};
use crate::transport::{Kind, Transport};

/// How long those who join may take, all together.
const TOKEN_LIVES: Duration = Duration::from_secs(2 * 60 * 60);

/// What runs on hosts may take so long to end when it is told to: SIGKILL comes after ten seconds.
pub(super) const GRACE: Duration = Duration::from_secs(15);

/// How long etcd is left alone before it is asked again.
const ETCD_PAUSE: Duration = Duration::from_secs(1);

/// Of what a program printed, this much is told when it fails.
const LAST_WORDS: usize = 2000;

/// What a plan needs of a host: a session with the agent there.
pub trait Host {
    /// Has it do what one machine can be asked to do.
    fn run(
        &mut self,
        request: Request,
        tell: &mut dyn FnMut(Event),
    ) -> impl Future<Output = Result<Outcome, Error>>;
    /// Runs a task to its end.
    fn task(
        &mut self,
        id: &RunId,
        task: Task,
        tell: &mut dyn FnMut(&[u8]),
    ) -> impl Future<Output = Result<End, Error>>;
    /// Gives a file of root's alone its content.
    fn write_secret(&mut self, path: PathBuf, text: Secret) -> impl Future<Output = Result<(), Error>>;
    /// Brings a file there.
    fn send(&mut self, file: &Source) -> impl Future<Output = Result<(), Error>>;
    /// The hash of the authority of the cluster that it belongs to.
    fn authority(&mut self) -> impl Future<Output = Result<Option<String>, Error>>;
}

impl<T: Transport> Host for Session<T> {
    async fn run(&mut self, request: Request, tell: &mut dyn FnMut(Event)) -> Result<Outcome, Error> {
        Session::run(self, request, tell).await
    }

    async fn task(&mut self, id: &RunId, task: Task, tell: &mut dyn FnMut(&[u8])) -> Result<End, Error> {
        self.perform(id, task, tell).await
    }

    async fn write_secret(&mut self, path: PathBuf, text: Secret) -> Result<(), Error> {
        self.write_file(path, FileContent::Secret(text), 0o600).await.map(drop)
    }

    async fn send(&mut self, file: &Source) -> Result<(), Error> {
        Session::send(self, file, |_| ()).await.map(drop)
    }

    async fn authority(&mut self) -> Result<Option<String>, Error> {
        Ok(self.facts().await?.joined)
    }
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What was to be done.
    pub step: String,
    /// Why it was not, with the way out.
    pub why: String,
    /// By this a caller decides.
    pub kind: Kind,
}

/// Hears what happens. A host is meant by its place in the inventory.
pub trait Progress {
    /// A phase begins.
    fn phase(&mut self, phase: &Phase);
    /// A step begins.
    fn step(&mut self, host: usize, step: &Step);
    /// Something happened on the way.
    fn event(&mut self, host: usize, event: &Event);
    /// A program there prints something.
    fn printed(&mut self, host: usize, bytes: &[u8]);
    /// A step failed, and whether it goes on all the same.
    fn failed(&mut self, host: usize, failed: &Failed, goes_on: bool);
    /// A host is left in the midst of a phase, and nobody knows how it ends.
    fn left(&mut self, host: usize);
    /// It was asked to stop; so many hosts are still at work.
    fn stopping(&mut self, running: usize);
    /// It was asked once more; what runs on so many hosts is ended, if it may be.
    fn ending(&mut self, running: usize);
}

/// How a plan ended.
#[derive(Debug)]
pub struct Done<H> {
    /// Hosts that are still spoken with.
    pub hosts: Vec<Option<H>>,
    /// Those on which something was to be done and was not, with the reason if there is one of their own.
    pub unfinished: Vec<(usize, Option<Failed>)>,
    /// Whether it was asked to stop.
    pub is_stopped: bool,
}

/// Carries it out. `hosts` stand at their places in the inventory; `package` is the one of the plan, `run` the name of this run.
pub async fn execute<H: Host + 'static, P: Progress + 'static>(
    plan: &Plan,
    mut hosts: Vec<Option<H>>,
    credentials: Credentials,
    package: Option<&Source>,
    run: &str,
    stop: &Stop,
    progress: &Rc<RefCell<P>>,
) -> Done<H> {
    let credentials = Rc::new(RefCell::new(credentials));
    let mut failures: Vec<(usize, Failed)> = Vec::new();
    let mut out: BTreeSet<usize> = BTreeSet::new();
    let mut ends = false;
    for (number, phase) in plan.phases.iter().enumerate() {
        if ends || stop.is_asked() {
            out.extend(phase.work.iter().map(|(host, _)| *host));
            continue;
        }
        progress.borrow_mut().phase(phase);
        // A host may come several times, and its tasks are told apart by the place.
        let work = phase.work.iter().enumerate();
        let groups: Vec<Vec<(usize, &Work)>> = match phase.order {
            Order::Parallel => vec![work.collect()],
            Order::Serial => work.map(|work| vec![work]).collect(),
        };
        let mut skips = false;
        // A host may come again in the same phase: what it has done is done.
        let mut have_done = BTreeSet::new();
        for group in groups {
            if skips || ends || stop.is_asked() {
                out.extend(group.iter().map(|(_, (host, _))| *host).filter(|host| !have_done.contains(host)));
                continue;
            }
            let mut jobs = Vec::new();
            let mut at_work = Vec::new();
            for (place, (host, steps)) in group {
                // One that failed before is not asked again, or others would build on what is not there.
                let Some(session) =
                    hosts.get_mut(*host).filter(|_| !out.contains(host)).and_then(Option::take)
                else {
                    out.insert(*host);
                    continue;
                };
                at_work.push(*host);
                let job = OnHost {
                    host: *host,
                    session,
                    id: format!("{run}-{number}-{place}"),
                    credentials: Rc::clone(&credentials),
                    package: package.cloned(),
                    progress: Rc::clone(progress),
                };
                jobs.push(job.perform(steps.clone()));
            }
            let mut ended = Vec::new();
            runner::run(jobs, stop.clone(), GRACE, |event| match event {
                runner::Event::Ended(index, end) => ended.push((index, end)),
                runner::Event::Ending { running } => progress.borrow_mut().ending(running),
                runner::Event::Stopping { running } => progress.borrow_mut().stopping(running),
            })
            .await;
            for (index, end) in ended {
                let Some(host) = at_work.get(index).copied() else { continue };
                match end {
                    Ended::Done((session, Ok(()))) => {
                        give_back(&mut hosts, host, session);
                        have_done.insert(host);
                    }
                    Ended::Done((session, Err(failed))) => {
                        progress.borrow_mut().failed(host, &failed, false);
                        if failed.kind != Kind::Unreachable {
                            give_back(&mut hosts, host, session);
                        }
                        out.insert(host);
                        failures.push((host, failed));
                        match phase.on_failure {
                            OnFailure::StopAll => ends = true,
                            OnFailure::StopPhase => skips = true,
                            OnFailure::LeaveHost => {}
                        }
                    }
                    Ended::NotBegun => {
                        out.insert(host);
                    }
                    Ended::Left => {
                        progress.borrow_mut().left(host);
                        out.insert(host);
                    }
                }
            }
        }
    }
    let reason =
        |host: usize| failures.iter().find(|(failed, _)| *failed == host).map(|(_, why)| why.clone());
    let unfinished = out.into_iter().map(|host| (host, reason(host))).collect();
    Done { hosts, unfinished, is_stopped: stop.is_asked() }
}

fn give_back<H>(hosts: &mut [Option<H>], host: usize, session: H) {
    if let Some(place) = hosts.get_mut(host) {
        *place = Some(session);
    }
}

/// A host by its place in the inventory, and what is done there.
type Work = (usize, Vec<Step>);

/// One host at one phase.
struct OnHost<H, P> {
    host: usize,
    session: H,
    id: String,
    credentials: Rc<RefCell<Credentials>>,
    package: Option<Source>,
    progress: Rc<RefCell<P>>,
}

impl<H: Host, P: Progress> OnHost<H, P> {
    /// Does its steps in their order, until one fails.
    async fn perform(mut self, steps: Vec<Step>) -> (H, Result<(), Failed>) {
        for (number, step) in steps.into_iter().enumerate() {
            self.progress.borrow_mut().step(self.host, &step);
            let title = step.title();
            let goes_on = matches!(step, Step::Try(_));
            let failed = match self.step(step, number).await {
                Ok(()) => continue,
                Err(Why::Remote(error)) => Failed { step: title, why: error.to_string(), kind: error.kind() },
                Err(Why::Program(why)) => Failed { step: title, why, kind: Kind::Failed },
            };
            if !goes_on || failed.kind == Kind::Unreachable {
                return (self.session, Err(failed));
            }
            self.progress.borrow_mut().failed(self.host, &failed, true);
        }
        (self.session, Ok(()))
    }

    async fn step(&mut self, step: Step, number: usize) -> Result<(), Why> {
        match step {
            Step::Run(request) | Step::Try(request) => self.run(request).await,
            Step::Task(task) => self.task(task, number).await,
            Step::SendPackage { sha256, .. } => {
                let package = self.package.as_ref().filter(|package| package.sha256 == sha256);
                let package =
                    package.ok_or_else(|| Why::Program(format!("the package {sha256} is not at hand")))?;
                Ok(self.session.send(package).await?)
            }
            Step::ConfigureInit(configuration) => {
                let text = self.init(&configuration)?;
                Ok(self.session.write_secret(paths::INIT.into(), text).await?)
            }
            Step::AwaitEtcd(limit) => self.await_etcd(limit).await,
            Step::LearnAuthority => {
                let authority = self.session.authority().await?;
                let authority = authority.and_then(|hash| hash.parse().ok());
                let authority =
                    authority.ok_or_else(|| Why::Program("its authority cannot be read".to_owned()))?;
                self.credentials.borrow_mut().authority = Some(authority);
                Ok(())
            }
            Step::Admit(admission) => self.admit(&admission, number).await,
            Step::PrepareJoin(mut request) => {
                self.credentials.borrow().fill(&mut request.kubeadm);
                self.run(Request::Prepare(request)).await
            }
        }
    }

    async fn run(&mut self, request: Request) -> Result<(), Why> {
        let (host, progress) = (self.host, Rc::clone(&self.progress));
        let mut tell = |event: Event| progress.borrow_mut().event(host, &event);
        let outcome = self.session.run(request, &mut tell).await?;
        match outcome {
            Outcome::Changed(changed) if changed.guarded == Some(false) => Err(Why::Program(
                "the node has joined, but the daemon's pod does not run: is its image there, or can it be pulled? `crictl \
                 ps -a` and kubelet's log on the node tell; the rules stay as they are"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// A member that has just begun needs a moment, and elections as well.
    async fn await_etcd(&mut self, limit: Duration) -> Result<(), Why> {
        let until = Instant::now() + limit;
        loop {
            let why = match self.session.run(Request::EtcdHealth, &mut |_| ()).await {
                Ok(Outcome::EtcdHealth(health)) => match etcd::grows(&health, &[]) {
                    Ok(()) => return Ok(()),
                    Err(why) => why,
                },
                Err(Error::Host(failure)) if failure.kind == HostKind::Unreachable => failure.message,
                Err(error) => return Err(error.into()),
                Ok(_) => "it answers another question".to_owned(),
            };
            if Instant::now() >= until {
                return Err(Why::Program(why));
            }
            sleep(ETCD_PAUSE).await;
        }
    }

    async fn task(&mut self, task: Task, number: usize) -> Result<(), Why> {
        let id: RunId = format!("{}-{number}", self.id).parse().map_err(Why::Program)?;
        let (host, progress) = (self.host, Rc::clone(&self.progress));
        let mut last: Vec<u8> = Vec::new();
        let mut tell = |bytes: &[u8]| {
            progress.borrow_mut().printed(host, bytes);
            last.extend_from_slice(bytes);
            let old = last.len().saturating_sub(LAST_WORDS);
            last.drain(..old);
        };
        let end = self.session.task(&id, task, &mut tell).await?;
        if end.is_success() {
            return Ok(());
        }
        if last.is_empty() {
            return Err(Why::Program(format!("{end}, and it printed nothing")));
        }
        Err(Why::Program(format!(
            "{end}; the whole of what it printed is in {}/{id}/log on the host, and it ends so:\n{}",
            paths::RUNS,
            crate::transport::error::lines(&last)
        )))
    }

    fn init(&self, configuration: &Configuration) -> Result<Secret, Error> {
        let credentials = self.credentials.borrow();
        let key = Some(&credentials.certificate_key).filter(|_| configuration.has_other_masters);
        let init = Init {
            advertise_address: configuration.address,
            bind_port: configuration.port,
            node_name: None,
            cri_socket: None,
            ignore_preflight_errors: &configuration.ignore_preflight_errors,
            token: Some(&credentials.token),
            certificate_key: key,
        };
        Ok(init.render(configuration.version, &configuration.cluster)?)
    }

    /// kubeadm encrypts the certificates with the key of a file, so that no argument shows it.
    async fn admit(&mut self, admission: &Admission, number: usize) -> Result<(), Why> {
        let credentials = self.credentials.borrow().clone();
        let token = ClusterRequest::AddToken { token: credentials.token.clone(), lives: TOKEN_LIVES };
        self.run(Request::Cluster(token)).await?;
        if !admission.has_masters {
            return Ok(());
        }
        let init = Init {
            advertise_address: admission.address,
            bind_port: admission.port,
            node_name: None,
            cri_socket: None,
            ignore_preflight_errors: &[],
            token: None,
            certificate_key: Some(&credentials.certificate_key),
        };
        let text = init.render(admission.version, &version_alone(admission.version)).map_err(Error::from)?;
        self.session.write_secret(paths::INIT.into(), text).await?;
        let phase = Kubeadm::Phase { phase: KubeadmPhase::InitUploadCerts, version: admission.version };
        self.task(Task::Kubeadm(phase), number).await
    }
}

/// Why a step failed.
enum Why {
    /// The host says so, or says nothing.
    Remote(Error),
    /// What was done did not do what it was to do.
    Program(String),
}

impl From<Error> for Why {
    fn from(error: Error) -> Self {
        Self::Remote(error)
    }
}

#[cfg(test)]
mod tests;
