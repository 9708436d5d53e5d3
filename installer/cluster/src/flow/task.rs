//! What is done on one host.

use node::spec::secret::Secret;

use crate::remote::elevate::{Elevation, check};
use crate::remote::probe::{Probe, Sudo, probe};
use crate::remote::run::{Said, run};
use crate::remote::transfer::{Sent, Source, send};
use crate::remote::{self, Error};
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
}

/// What a host says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What it is, and how its user becomes root.
    Ping(Probe, Rights),
    /// How the command ended.
    Exec(Exit),
    /// What was sent.
    Copy(Sent),
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
    /// Does it. `password` is for `sudo`, if it asks; `tell` hears what a command says.
    pub async fn perform(
        &self,
        transport: &impl Transport,
        password: Option<&Secret>,
        tell: impl FnMut(Said),
    ) -> Result<Answer, Error> {
        match self {
            Self::Ping => {
                let found = probe(transport).await?;
                let rights = rights(transport, &found, password).await?;
                Ok(Answer::Ping(found, rights))
            }
            Self::Exec { command, as_root } => {
                let how = elevation(transport, *as_root, password).await?;
                run(transport, &how, command, tell).await.map(Answer::Exec)
            }
            Self::Copy { source, path, mode, as_root } => {
                let how = elevation(transport, *as_root, password).await?;
                send(transport, &how, source, path, *mode, |_| ()).await.map(Answer::Copy)
            }
        }
    }
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
