//! A command on another machine: its streams, and how it ended.
//!
//! - [`Transport`]: the seam. [`ssh`]: the real one.
//! - [`auth`], [`keys`]: who we are. [`known_hosts`], [`policy`] (both pure), [`host_keys`]: who they are.
//! - [`error`]: why it failed, in kinds by which a caller decides.
//!
//! Commands are constant texts: whatever varies goes through their input, so that no text of a shell is made of data.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::fs::OFlags;
use tokio::sync::mpsc;

pub mod auth;
pub mod error;
pub mod host_keys;
pub mod keys;
pub mod known_hosts;
pub mod policy;
pub mod ssh;

pub use error::{Error, Kind};

/// Pieces that wait for whoever reads or writes them; more would only take memory.
const QUEUE: usize = 16;

/// More than this of one stream is never kept in memory, in bytes.
const MAX_CAPTURE: usize = 1 << 20;

/// Runs commands on one machine.
pub trait Transport {
    /// Starts a command there.
    fn exec(&self, command: &'static str) -> impl Future<Output = Result<Process, Error>>;
}

impl<T: Transport> Transport for &T {
    fn exec(&self, command: &'static str) -> impl Future<Output = Result<Process, Error>> {
        T::exec(self, command)
    }
}

/// A command that runs on another machine. Whoever drops it ends its streams, not the command.
#[derive(Debug)]
pub struct Process {
    /// What it reads.
    pub input: Input,
    /// What it writes, and how it ends. It must be read, or everything on the same connection stops.
    pub output: Output,
}

/// The standard input of a command; dropping it is the end of the file.
#[derive(Debug)]
pub struct Input(mpsc::Sender<Bytes>);

/// The command does not read any more, because it has ended or the link is lost. [`Output`] tells which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the command does not read any more")]
pub struct Closed;

impl Input {
    /// Hands over some bytes; waits while the command does not read.
    pub async fn write(&self, bytes: impl Into<Bytes>) -> Result<(), Closed> {
        self.0.send(bytes.into()).await.map_err(|_| Closed)
    }
}

/// What a command writes, in the order in which it came.
#[derive(Debug)]
pub struct Output(mpsc::Receiver<Piece>);

impl Output {
    /// The next piece; [`Piece::Ended`] is the last.
    pub async fn next(&mut self) -> Piece {
        self.0.recv().await.unwrap_or(Piece::Ended(Exit::Lost))
    }
}

/// A piece of what a command says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Of its standard output.
    Stdout(Bytes),
    /// Of its standard error.
    Stderr(Bytes),
    /// It ended.
    Ended(Exit),
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(u32),
    /// By this signal, such as `KILL`.
    Signal(String),
    /// The link was lost before it was known. The command may go on.
    Lost,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with code {code}"),
            Self::Signal(name) => write!(f, "killed by SIG{name}"),
            Self::Lost => f.write_str("the link was lost; whether it went on is not known"),
        }
    }
}

/// What a command said in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The first MiB of its standard output.
    pub stdout: Bytes,
    /// The first MiB of its standard error.
    pub stderr: Bytes,
    /// How it ended.
    pub exit: Exit,
}

impl Process {
    /// Gives it `input` and waits for its end, `limit` at most.
    pub async fn finish(self, input: impl Into<Bytes>, limit: Duration) -> Result<Finished, Error> {
        let Self { input: stdin, mut output } = self;
        let input = input.into();
        let feed = async move {
            if !input.is_empty() {
                // A command that does not read to the end says so by how it ends.
                let _ = stdin.write(input).await;
            }
        };
        let read = async {
            let (mut stdout, mut stderr) = (BytesMut::new(), BytesMut::new());
            loop {
                match output.next().await {
                    Piece::Stdout(bytes) => keep(&mut stdout, &bytes),
                    Piece::Stderr(bytes) => keep(&mut stderr, &bytes),
                    Piece::Ended(exit) => {
                        return Finished { stdout: stdout.freeze(), stderr: stderr.freeze(), exit };
                    }
                }
            }
        };
        let both = async { tokio::join!(feed, read).1 };
        tokio::time::timeout(limit, both).await.map_err(|_| Error::Silent { limit })
    }
}

#[cfg(test)]
impl Process {
    /// One that is played: what it reads, and what it says.
    pub(crate) fn played() -> (Self, mpsc::Receiver<Bytes>, mpsc::Sender<Piece>) {
        let ((input, read), (said, output)) = (mpsc::channel(QUEUE), mpsc::channel(QUEUE));
        (Self { input: Input(input), output: Output(output) }, read, said)
    }
}

/// Opens a regular file of this machine, through links as its owner has made them; waits for nobody.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

fn keep(kept: &mut BytesMut, bytes: &[u8]) {
    let room = MAX_CAPTURE.saturating_sub(kept.len()).min(bytes.len());
    kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
}
