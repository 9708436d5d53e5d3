//! What is done on one host.

use std::time::Duration;

use node::agent::runs::{End, Run, What};
use node::api::{Event, NodeStatus, Outcome, Request};
use node::spec::secret::Secret;
use tokio::time::sleep;

use crate::remote::elevate::{Elevation, check};
use crate::remote::probe::{Probe, Sudo, probe};
use crate::remote::run::{Said, run};
use crate::remote::session::{Session, received};
use crate::remote::transfer::{Sent, Source, send};
use crate::remote::{self, Error};
use crate::runner::Stop;
use crate::transport::{Exit, Transport};

/// What is done.
#[derive(Clone, Debug)]
pub enum Task {
    /// It is asked what it is.
    Ping,
    /// A command is run by its `/bin/sh`.
    Exec {
        /// The text.
        command: String,
        /// Whether as root.
        as_root: bool,
    },
    /// A file is sent.
    Copy {
        /// The file, as it was read before.
        source: Source,
        /// Its path there.
        path: String,
        /// Its mode there.
        mode: u32,
        /// Whether as root.
        as_root: bool,
    },
    /// The agent there does what one machine can be asked to do.
    Ask(Box<Ask>),
    /// What is at work there is followed to its end.
    Resume {
        /// The program that runs here.
        program: Source,
    },
}

/// What the agent on a host is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The program that runs here.
    pub program: Source,
    /// What.
    pub request: Request,
    /// An archive with the image, of this machine; the request has its place there.
    pub archive: Option<Source>,
    /// It is asked again and again, with such a pause, until it is asked to stop.
    pub every: Option<Duration>,
    /// Who asks, for whoever finds the host locked.
    pub by: String,
}

/// What happens on a host on the way.
#[derive(Debug)]
pub enum Told {
    /// A command says something.
    Said(Said),
    /// The agent has done something.
    Happened(Event),
    /// So many bytes of a file are there.
    Sent {
        /// Of all,
        done: u64,
        /// which are so many.
        all: u64,
    },
    /// How it is with a node, where it is asked again and again.
    Seen(Box<NodeStatus>),
}

/// What a host says to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// What it is, and how its user becomes root.
    Ping(Probe, Rights),
    /// How the command ended.
    Exec(Exit),
    /// What was sent.
    Copy(Sent),
    /// What came of a request.
    Node(Box<Outcome>),
    /// What was at work, and how it ended; else the newest that has ended, if there is one.
    Resumed {
        /// Those that were followed.
        followed: Vec<(What, End)>,
        /// The newest.
        newest: Option<Box<Run>>,
    },
}

/// How a user becomes root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// They are.
    Root,
    /// By `sudo`, which asks nothing.
    Free,
    /// By `sudo`, which takes the password.
    Password,
    /// By `sudo` perhaps: it asks for a password, and none was given.
    Asks,
    /// Not; why is fit for a terminal.
    None(String),
}

impl Task {
    /// Whether what it runs on a host is ended by who insists on a stop. What others have begun is not ours to end.
    pub(super) fn can_be_ended(&self) -> bool {
        matches!(self, Self::Exec { .. })
    }

    /// Does it. `password` is for `sudo`, if it asks; `tell` hears what a command says.
    pub async fn perform(
        &self,
        transport: &impl Transport,
        password: Option<&Secret>,
        stop: &mut Stop,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Answer, Error> {
        match self {
            Self::Ping => {
                let found = probe(transport).await?;
                let rights = rights(transport, &found, password).await?;
                Ok(Answer::Ping(found, rights))
            }
            Self::Exec { command, as_root } => {
                let how = elevation(transport, *as_root, password).await?;
                run(transport, &how, command, stop, |said| tell(Told::Said(said))).await.map(Answer::Exec)
            }
            Self::Copy { source, path, mode, as_root } => {
                let how = elevation(transport, *as_root, password).await?;
                let sent = |done| tell(Told::Sent { done, all: source.size });
                send(transport, &how, source, path, *mode, sent).await.map(Answer::Copy)
            }
            Self::Ask(ask) => {
                let mut session = open(transport, password, &ask.program, stop, tell).await?;
                let answer = ask.perform(&mut session, stop, tell).await;
                close(session, answer, ask.archive.is_some()).await
            }
            Self::Resume { program } => {
                let mut session = open(transport, password, program, stop, tell).await?;
                let answer = resume(&mut session, tell).await;
                close(session, answer, false).await
            }
        }
    }
}

async fn open<'a, T: Transport>(
    transport: &'a T,
    password: Option<&Secret>,
    program: &Source,
    stop: &Stop,
    tell: &mut dyn FnMut(Told),
) -> Result<Session<&'a T>, Error> {
    let sent = |done| tell(Told::Sent { done, all: program.size });
    Session::open(transport, password, program, stop.clone(), sent).await
}

/// Whatever came of it is the answer; that it could not be tidied up is not.
async fn close<T: Transport>(
    session: Session<T>,
    answer: Result<Answer, Error>,
    forget: bool,
) -> Result<Answer, Error> {
    if !matches!(answer, Err(Error::Unknown { .. })) {
        let _ = session.bye(forget).await;
    }
    answer
}

impl Ask {
    async fn perform<T: Transport>(
        &self,
        session: &mut Session<T>,
        stop: &mut Stop,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Answer, Error> {
        if self.request.changes() {
            // From the first byte of an archive on.
            session.lock(&self.by).await?;
        }
        if let Some(archive) = &self.archive {
            session.send(archive, |done| tell(Told::Sent { done, all: archive.size })).await?;
        }
        loop {
            let happened = &mut |event| tell(Told::Happened(event));
            let outcome = session.run(self.request_there(), happened).await?;
            let Some(pause) = self.every else { return Ok(Answer::Node(Box::new(outcome))) };
            if let Outcome::Status(status) = &outcome {
                tell(Told::Seen(Box::new(status.clone())));
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.asked() => return Ok(Answer::Node(Box::new(outcome))),
            }
        }
    }

    /// The request, with the archive as it lies there.
    fn request_there(&self) -> Request {
        let mut request = self.request.clone();
        if let (Request::Prepare(prepare), Some(archive)) = (&mut request, &self.archive) {
            prepare.archive = Some(received(archive));
        }
        request
    }
}

/// Follows everything that is at work, from the first byte of its log on.
async fn resume<T: Transport>(session: &mut Session<T>, tell: &mut dyn FnMut(Told)) -> Result<Answer, Error> {
    let runs = session.tasks().await?;
    let newest = runs.first().cloned().map(Box::new);
    let mut followed = Vec::new();
    for what in runs.into_iter().filter(|run| run.end.is_none()).map(|run| run.what) {
        let text = format!("following `{}` ({}), at work since {}\n", what.title(), what.id, what.began());
        tell(Told::Said(Said::Out(text.into())));
        let said = &mut |bytes: &[u8]| tell(Told::Said(Said::Out(bytes.to_vec().into())));
        let end = session.attach(&what.id, &mut 0, said).await?;
        followed.push((what, end));
    }
    Ok(Answer::Resumed { followed, newest })
}

async fn elevation(
    transport: &impl Transport,
    as_root: bool,
    password: Option<&Secret>,
) -> Result<Elevation, Error> {
    if !as_root {
        return Ok(Elevation::NotNeeded);
    }
    Elevation::new(&probe(transport).await?, password)
}

/// A user without them is no failure here; a link that is lost is one.
async fn rights(
    transport: &impl Transport,
    found: &Probe,
    password: Option<&Secret>,
) -> Result<Rights, Error> {
    match (found.is_root, found.sudo, password) {
        (true, ..) => return Ok(Rights::Root),
        (_, Sudo::Free, _) => return Ok(Rights::Free),
        (_, Sudo::Missing, _) => return Ok(Rights::None("sudo is not installed".to_owned())),
        (_, Sudo::Asks, None) => return Ok(Rights::Asks),
        (_, Sudo::Asks, Some(_)) => {}
    }
    let checked = match Elevation::new(found, password) {
        Ok(how) => check(transport, &how).await,
        Err(error) => Err(error),
    };
    match checked {
        Ok(()) => Ok(Rights::Password),
        Err(remote::Error::Elevation { why }) => Ok(Rights::None(why)),
        Err(error) => Err(error),
    }
}
