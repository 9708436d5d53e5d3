//! What is done on hosts: a task, many machines, and whoever watches.
//!
//! - [`meet`]: those that nobody knows.
//! - [`task`]: what is done on one of them.
//! - [`lifecycle`]: a cluster is made, hosts join and leave. [`gather`]: all hosts, spoken with and held. [`execute`]: a plan,
//!   carried out.
//! - [`run`]: on all of them, through one bastion if there is one; `crate::runner` says how many at once and when it ends.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use node::spec::secret::Secret;

use crate::inventory::Inventory;
use crate::remote;
use crate::runner::{self, Ended, Stop};
use crate::transport;
use crate::transport::auth::Credentials;
use crate::transport::host_keys::HostKeys;
use crate::transport::policy::Policy;
use crate::transport::ssh::{Ssh, Target};

pub mod ask;
pub mod execute;
pub mod gather;
pub mod lifecycle;
pub mod meet;
pub mod task;

pub use meet::{Question, Unknown};
pub use task::{Answer, Ask, Rights, Task, Told};

/// How hosts are reached: who we are, and whom we trust.
#[derive(Debug)]
pub struct Access {
    /// With what we log in, everywhere but for the user.
    pub credentials: Credentials,
    /// What is done with a host that is not known.
    pub policy: Policy,
    /// The keys of those that are.
    pub host_keys: HostKeys,
    /// What a person is asked of those that are not, before all else; without it the policy decides.
    pub question: Option<Question>,
}

/// What came of a task on one host.
pub type Outcome = Ended<Result<Answer, remote::Error>>;

/// Hears what happens. A host is meant by its place in the inventory.
pub trait Watch {
    /// It is begun there.
    fn begun(&mut self, host: usize);
    /// What a person should know of a host, or of a file that was read for it.
    fn note(&mut self, host: usize, note: &str);
    /// Something happened there.
    fn told(&mut self, host: usize, told: Told);
    /// Nothing more comes from there.
    fn ended(&mut self, host: usize, outcome: Outcome);
    /// It was asked to stop; so many hosts are still at work. `can_end`: who insists ends what runs there.
    fn stopping(&mut self, running: usize, can_end: bool);
    /// It was asked once more; what runs on so many hosts is ended.
    fn ending(&mut self, running: usize);
}

/// Why nothing was done anywhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the hosts.
    #[error("the bastion: {0}")]
    Bastion(#[from] crate::transport::Error),
    /// A person does not know the hosts either.
    #[error("no host was asked: the keys that they show are not accepted")]
    NotAccepted,
    /// A key that was accepted cannot be recorded.
    #[error("no host was asked: {0}")]
    Record(transport::Error),
    /// It was asked to stop.
    #[error("stopped, as was asked; no host was asked")]
    Stopped,
    /// This machine has not what a run needs.
    #[error("cannot begin: {0}")]
    System(#[from] io::Error),
}

/// Does a task on all hosts, and returns when each of them has ended, or was given up.
pub fn run<W: Watch + 'static>(
    task: Task,
    inventory: &Inventory,
    access: Access,
    watch: &Rc<RefCell<W>>,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut stop = Stop::by_signals()?;
        let way = Way::open(access, inventory, &mut stop).await?;
        let grace = if task.can_be_ended() { execute::GRACE } else { Duration::ZERO };
        let task = Rc::new(task);
        let work = |index: usize, at| {
            let (task, watch) = (Rc::clone(&task), Rc::clone(watch));
            let (way, mut stop) = (way.clone(), stop.clone());
            async move {
                watch.borrow_mut().begun(index);
                let ssh = way.connect(at).await?;
                for note in ssh.notes() {
                    watch.borrow_mut().note(index, note);
                }
                let password = way.password();
                let mut tell = |told| watch.borrow_mut().told(index, told);
                let answer = task.perform(&ssh, password, &mut stop, &mut tell).await;
                ssh.close().await;
                answer
            }
        };
        let hosts = inventory.hosts.iter().map(|host| host.at).enumerate();
        let jobs = hosts.map(|(index, at)| work(index, at));
        runner::run(jobs, stop.clone(), grace, |event| match event {
            runner::Event::Ending { running } => watch.borrow_mut().ending(running),
            runner::Event::Ended(host, outcome) => watch.borrow_mut().ended(host, outcome),
            runner::Event::Stopping { running } => watch.borrow_mut().stopping(running, !grace.is_zero()),
        })
        .await;
        way.close().await;
        Ok(())
    })
}

/// How the hosts of one inventory are reached: with what, and through whom.
#[derive(Clone, Debug)]
pub struct Way {
    credentials: Credentials,
    policy: Policy,
    host_keys: Arc<HostKeys>,
    bastion: Option<Arc<Ssh>>,
    question: Option<Question>,
}

impl Way {
    /// Connects to the bastion, if there is one, unless it is asked to stop before; and has a person look at hosts that
    /// nobody knows.
    async fn open(access: Access, inventory: &Inventory, stop: &mut Stop) -> Result<Self, Error> {
        let credentials = Credentials { user: inventory.user.clone(), ..access.credentials };
        let (policy, host_keys) = (access.policy, Arc::new(access.host_keys));
        let mut way = Self { credentials, policy, host_keys, bastion: None, question: access.question };
        if let Some(bastion) = &inventory.bastion {
            way.meet(std::iter::once(bastion.at), stop).await?;
            let target = way.target(bastion.at, &bastion.user);
            way.bastion = tokio::select! {
                connected = Ssh::connect(&target, &way.host_keys, None) => Some(Arc::new(connected?)),
                () = stop.asked() => None,
            };
        }
        way.meet(inventory.hosts.iter().map(|host| host.at), stop).await?;
        Ok(way)
    }

    fn target(&self, at: SocketAddr, user: &str) -> Target {
        let credentials = Credentials { user: user.to_owned(), ..self.credentials.clone() };
        Target { at, credentials, policy: self.policy.clone() }
    }

    /// Logs in to one of the hosts.
    async fn connect(&self, at: SocketAddr) -> Result<Ssh, transport::Error> {
        let target = self.target(at, &self.credentials.user);
        Ssh::connect(&target, &self.host_keys, self.bastion.as_ref()).await
    }

    /// For `sudo`, if it asks.
    fn password(&self) -> Option<&Secret> {
        self.credentials.password.as_ref()
    }

    /// Ends what leads to the hosts, and with it every connection to them.
    async fn close(self) {
        if let Some(bastion) = self.bastion {
            bastion.close().await;
        }
    }
}
