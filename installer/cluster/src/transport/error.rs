//! Why a machine cannot be worked with.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::known_hosts::HostName;
use super::policy::Untrusted;

/// By this a caller decides, and a program ends with a code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It does not let us in.
    Login,
    /// It is not, or may not be, the machine that was meant.
    HostKey,
    /// There is no way to it, or not any more.
    Unreachable,
    /// A file of this machine is not as it must be.
    Local,
    /// It lets us in, and does not do what is asked.
    Failed,
}

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection.
    #[error("cannot reach {at}: {why}")]
    Unreachable {
        /// Where it should be.
        at: SocketAddr,
        /// What the system, the server or the library says; fit for a terminal.
        why: String,
    },
    /// A connection, and the wrong machine at its end, or one that is not known.
    #[error("{host} is not trusted: {why}")]
    HostKey {
        /// As `known_hosts` calls it.
        host: HostName,
        /// Why not.
        #[source]
        why: Untrusted,
    },
    /// The right machine, and it refuses us.
    #[error("{at} does not let {user} in: {why}")]
    Login {
        /// Where it is.
        at: SocketAddr,
        /// As whom.
        user: String,
        /// What was tried and what it takes; fit for a terminal.
        why: String,
    },
    /// A private key that is not good.
    #[error("the key {}: {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the way out.
        why: String,
    },
    /// A private key whose passphrase is needed.
    #[error("the key {} is encrypted; its passphrase is needed", path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// A file of this machine.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// One more command, and it refuses.
    #[error("it starts no command: {why}")]
    Refused {
        /// What it says; fit for a terminal.
        why: String,
    },
    /// Nothing for too long.
    #[error("no answer within {} s", limit.as_secs())]
    Silent {
        /// How long.
        limit: Duration,
    },
    /// The link ended.
    #[error("the link was lost")]
    Lost,
}

impl Error {
    /// By this a caller decides.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Login { .. } => Kind::Login,
            Self::HostKey { .. } => Kind::HostKey,
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Lost => Kind::Unreachable,
            Self::Key { .. } | Self::Encrypted { .. } | Self::File { .. } => Kind::Local,
            Self::Refused { .. } => Kind::Failed,
        }
    }
}

/// The words of a stranger: fit for a terminal, and not many of them.
pub(crate) fn said(text: &str) -> String {
    const MOST: usize = 200;
    lvscare::terminal::printable(&text.chars().take(MOST).collect::<String>())
}

/// What a program of a stranger printed last: its lines, each fit for a terminal and set in.
pub(crate) fn lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> =
        text.lines().map(|line| format!("    {}", lvscare::terminal::printable(line))).collect();
    lines.join("\n")
}
