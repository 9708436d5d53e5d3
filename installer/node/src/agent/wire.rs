//! What a controller and the agent on a machine say to each other: one JSON value a line, in both directions.
//!
//! The agent speaks first: the controller's nonce, so that whatever a shell printed before it can be told from it, and
//! [`Hello`]. There is nothing to negotiate: both are the same program, or they do not speak. Then each [`Command`] but
//! `cancel` gets any number of [`Reply::Event`] and [`Reply::Log`], and at last [`Reply::Done`] or [`Reply::Failed`].

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::lines::MAX_LINE;
use super::name::{Nonce, RunId};
use super::runs::{End, Run};
use super::task::Task;
use crate::api::{Event, Failure, Kind, Outcome, Request};
use crate::facts;
use crate::facts::machine::MachineFacts;
use crate::machine::Machine;
use crate::spec::secret::{Secret, revealed};
use crate::step::{Digest, base64};

/// Of the lines. It changes with every type that goes over them, though the hash alone would tell.
pub const PROTOCOL: u32 = 1;

/// Who the agent is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the agent.
    pub protocol: u32,
    /// Of the agent's own program.
    pub sha256: Digest,
    /// What the controller called this session.
    pub nonce: Nonce,
}

impl Hello {
    /// Of the program that we are.
    pub fn own<M: Machine>(machine: &M, nonce: Nonce) -> Result<Self, Failure> {
        let own = Path::new("/proc/self/exe");
        let sha256 = facts::digest(machine, own)?;
        let sha256 = sha256.ok_or_else(|| Failure::new(Kind::Failed, "/proc is not there"))?;
        Ok(Self { protocol: PROTOCOL, sha256, nonce })
    }

    /// Whether that is the very program that `ours` is.
    pub fn check(&self, ours: &Self) -> Result<(), Failure> {
        if self == ours {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "the agent is another program (protocol {}, SHA-256 {}) than this one (protocol {}, SHA-256 {}); both must be \
             the same",
            self.protocol, self.sha256, ours.protocol, ours.sha256
        )))
    }
}

/// What the controller wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Let nobody else change this machine until the session ends, and tell them who it is.
    Lock {
        /// Who it is: a run, an operator.
        by: String,
    },
    /// Say what kind of machine this is.
    Facts,
    /// Do what one machine can be asked to do.
    Run {
        /// What.
        request: Box<Request>,
    },
    /// Give a file its content.
    WriteFile(WriteFile),
    /// Have no such file.
    RemoveFile {
        /// The file.
        path: PathBuf,
    },
    /// Give a program its content, which lies in [`paths::RECEIVED`](crate::paths::RECEIVED).
    InstallProgram {
        /// What lies there.
        sha256: Digest,
        /// Where it belongs.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Start a task, which goes on whatever becomes of this session.
    Start {
        /// Its name, by which it is found again: to start it twice is to start it once.
        id: RunId,
        /// What it does.
        task: Task,
    },
    /// Say what a task printed, from this byte on, until it ends; then how it ended.
    Attach {
        /// Which task.
        id: RunId,
        /// The first byte of its log that is wanted.
        from: u64,
    },
    /// Send a signal to a task's program, and to all that it started.
    Signal {
        /// Which task.
        id: RunId,
        /// Which signal.
        signal: TaskSignal,
    },
    /// Say which tasks there are.
    Tasks,
    /// Begin nothing more of the request that is at work. The one command that is read meanwhile, and that has no reply
    /// of its own: the request's reply tells. A task goes on; who follows it lets go.
    Cancel,
    /// End the session. The agent's own program goes with it.
    Bye {
        /// Whether all else goes too that was kept for later: what was received, logs of tasks.
        forget: bool,
    },
}

/// A file and its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// Where.
    pub path: PathBuf,
    /// What it shall hold.
    pub content: FileContent,
    /// Its permissions; without a meaning for a secret, which is root's alone.
    pub mode: u32,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileContent {
    /// Which anybody may see.
    Plain(#[serde(with = "base64")] Vec<u8>),
    /// Which nobody may see: it is neither shown nor kept for the way back.
    Secret(Secret),
}

/// What can be sent to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskSignal {
    /// Please end.
    Term,
    /// End.
    Kill,
}

/// What the agent says to a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Something happened on the way.
    Event {
        /// What.
        event: Event,
    },
    /// A task printed something.
    Log {
        /// The place of the first byte in the log.
        from: u64,
        /// What it printed.
        #[serde(with = "base64")]
        bytes: Vec<u8>,
    },
    /// It was done.
    Done {
        /// What came of it.
        answer: Answer,
    },
    /// It was not, or not all of it.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// Nothing more is to be said.
    Nothing,
    /// Of a request.
    Outcome {
        /// How it ended.
        outcome: Box<Outcome>,
    },
    /// Of `facts`.
    Facts(Box<MachineFacts>),
    /// Of `attach`.
    Ended(End),
    /// Of `tasks`.
    Tasks {
        /// The newest first.
        runs: Vec<Run>,
    },
}

/// A value as a line, its secrets with it.
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let printed = revealed(|| serde_json::to_vec(value));
    let mut line = printed.map_err(|error| Failure::usage(format!("cannot be sent: {error}")))?;
    if line.len() > MAX_LINE {
        let text =
            format!("cannot be sent: it has {} bytes, of which {MAX_LINE} fit into a line", line.len());
        return Err(Failure::usage(text));
    }
    line.push(b'\n');
    Ok(line)
}

/// The value of a line.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(line).map_err(|error| {
        // A reason in words would quote the line, and that may hold a secret.
        let what = match error.classify() {
            Category::Data => "no message of ours",
            _ => "no JSON",
        };
        Failure::usage(format!("a line is not understood: {what}, from column {}", error.column()))
    })
}
