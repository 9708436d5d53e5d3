//! One host at work: a connection, root's rights on it, and what is done there.
//!
//! - [`script`]: the texts that run there, all of them. [`probe`]: what is asked first.
//! - [`elevate`]: how one of them becomes root; a password is said to nobody but `sudo`, and only when it asks.
//! - [`run`]: what a person typed. [`transfer`]: files, which go on where they were cut.
//! - [`session`]: this program at the other end, as root, and all that it can be asked.

use std::time::Duration;

use node::api::Failure;

use crate::transport::{self, Exit, Kind};

pub mod elevate;
pub mod probe;
pub mod run;
pub mod script;
pub mod session;
pub mod transfer;

/// For a script to say its first word, and for `sudo` to ask.
const SPEAK_LIMIT: Duration = Duration::from_secs(20);

/// Why a host does not do what is asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Of the connection.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// Root's rights are not to be had.
    #[error("cannot become root there: {why}")]
    Elevation {
        /// What `sudo` said or wants, and the way out; fit for a terminal.
        why: String,
    },
    /// A script of ours ended too early.
    #[error("{what}: {exit}{said}")]
    Ended {
        /// What it was to do.
        what: &'static str,
        /// How it ended.
        exit: Exit,
        /// What it said, after a colon; fit for a terminal.
        said: String,
    },
    /// It says what no script of ours says.
    #[error("{what}: it answers {said:?}")]
    Strange {
        /// What it was to do.
        what: &'static str,
        /// What it said.
        said: String,
    },
    /// It is of another kind than this machine, so that this program does not run there.
    #[error(
        "this program is for Linux on {}; the host is {system} on {machine}: use one of that kind",
        std::env::consts::ARCH
    )]
    OtherMachine {
        /// Its system; fit for a terminal.
        system: String,
        /// Its architecture; fit for a terminal.
        machine: String,
    },
    /// The agent there says so. Its words are a stranger's.
    #[error(transparent)]
    Host(#[from] Failure),
    /// What was asked of the agent may be done, half done, or still at work.
    #[error("{why}; what came of it is not known, so ask again")]
    Unknown {
        /// How the session ended; fit for a terminal.
        why: String,
    },
    /// A file of this machine.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// By this a caller decides.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Transport(error) => error.kind(),
            Self::Elevation { .. } => Kind::Login,
            Self::Ended { exit: Exit::Lost, .. } | Self::Unknown { .. } => Kind::Unreachable,
            Self::Ended { .. } | Self::Strange { .. } | Self::OtherMachine { .. } | Self::Host(_) => {
                Kind::Failed
            }
            Self::File { .. } => Kind::Local,
        }
    }
}

/// A word that no profile prints by chance: 128 bits in hexadecimal digits.
fn nonce() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// The last line that a stranger wrote, fit for a terminal, after a colon; nothing if there is none.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    match text.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(line) => format!(": {}", transport::error::said(line)),
        None => String::new(),
    }
}
