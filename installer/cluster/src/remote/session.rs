//! The agent on one host, from the controller's side: brought there, started as root, and asked one thing after the other.
//!
//! What the host says is certain. A link that is lost says nothing: what came of the request that was at work is
//! [unknown](Error::Unknown) until another session asks. So every request can be repeated: it does what is missing.
//! Dropping a session ends the link; the host is free again at the latest after
//! [`SILENCE`](node::agent::silence::SILENCE), and tasks go on.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use node::agent::lines::MAX_LINE;
use node::agent::name::{Nonce, RunId};
use node::agent::runs::{End, Run};
use node::agent::silence::HEARTBEAT;
use node::agent::task::Task;
use node::agent::wire::{
    Answer, Command, FileContent, Hello, PROTOCOL, Reply, TaskSignal, WriteFile, decode, encode,
};
use node::api::{Changed, Event, Failure, Kind, Outcome, Request};
use node::facts::machine::MachineFacts;
use node::paths;
use node::spec::secret::Secret;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::elevate::Elevation;
use super::probe::{Probe, probe};
use super::run::KILL_AFTER;
use super::script::{AGENT, STORE};
use super::transfer::{Sent, Source, take};
use super::{Error, SPEAK_LIMIT, last_words};
use crate::runner::Stop;
use crate::transport::{Exit, Input, Output, Piece, Transport};

/// Of what the agent complains, the last bytes are kept.
const MAX_COMPLAINTS: usize = 4096;

/// How long an agent may take to end when it has said good-bye.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A session with the agent on one host.
#[derive(Debug)]
pub struct Session<T> {
    transport: T,
    elevation: Elevation,
    probe: Probe,
    stop: Stop,
    lines: mpsc::Sender<Bytes>,
    replies: Replies,
}

impl<T: Transport> Session<T> {
    /// Asks the host what it is, brings `program` there if it is missing, and starts it as root. `program` is the very
    /// program that runs here. `password` is for `sudo`, if it asks; `tell` hears how many bytes of the program have
    /// arrived.
    ///
    /// When `stop` is asked, the request that is at work begins no new step and fails as `cancelled`.
    pub async fn open(
        transport: T,
        password: Option<&Secret>,
        program: &Source,
        stop: Stop,
        tell: impl FnMut(u64),
    ) -> Result<Self, Error> {
        let probe = probe(&transport).await?;
        check_machine(&probe)?;
        let elevation = Elevation::new(&probe, password)?;
        let path = Path::new(paths::PROGRAMS).join(program.sha256.to_string()).display().to_string();
        let (mut there, _) = take(&transport, &AGENT, &elevation, program, &path, 0o700, tell).await?;
        // The agent's first line is the same word once more.
        let spoken = timeout(SPEAK_LIMIT, there.next_word(STARTING)).await;
        let word = spoken.unwrap_or_else(|_| Err(silent(&there.complaints)))?;
        if !word.is_empty() {
            return Err(Error::Strange { what: STARTING, said: word });
        }
        let nonce: Result<Nonce, _> = there.nonce.parse();
        let nonce = nonce.map_err(|said| Error::Strange { what: STARTING, said })?;
        let ours = Hello { protocol: PROTOCOL, sha256: program.sha256, nonce };
        let (input, pending, output) = there.into_streams();
        let mut replies = Replies::new(pending, output);
        let line = timeout(SPEAK_LIMIT, replies.line()).await;
        let line = line.unwrap_or_else(|_| Err(silent(&replies.complaints)))?;
        let hello: Hello = decode(&line).map_err(|failure| garbled(&failure))?;
        hello.check(&ours)?;
        let (lines, to_send) = mpsc::channel(1);
        tokio::spawn(feed(input, to_send, HEARTBEAT));
        Ok(Self { transport, elevation, probe, stop, lines, replies })
    }

    /// What the host said of itself at first, its clock among it.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Lets nobody else change the host until this session ends, and tells them that it is for `by`. Where somebody holds
    /// it, the failure is of the kind `locked`, and says who and since when.
    pub async fn lock(&mut self, by: &str) -> Result<(), Error> {
        self.ask_nothing(&Command::Lock { by: by.to_owned() }).await
    }

    /// What kind of machine it is.
    pub async fn facts(&mut self) -> Result<MachineFacts, Error> {
        match self.ask(&Command::Facts, Until::Answered, &mut |_| Ok(())).await? {
            Answer::Facts(facts) => Ok(*facts),
            _ => Err(other_answer()),
        }
    }

    /// Has it do what one machine can be asked to do; `tell` hears what happens on the way.
    pub async fn run(&mut self, request: Request, tell: &mut dyn FnMut(Event)) -> Result<Outcome, Error> {
        let command = Command::Run { request: Box::new(request) };
        let mut hear = |reply| {
            if let Reply::Event { event } = reply {
                tell(event);
            }
            Ok(())
        };
        match self.ask(&command, Until::Stopped, &mut hear).await? {
            Answer::Outcome { outcome } => Ok(*outcome),
            _ => Err(other_answer()),
        }
    }

    /// Gives a file its content, noted for the way back. `mode` is without a meaning for a secret, which is root's alone.
    pub async fn write_file(
        &mut self,
        path: PathBuf,
        content: FileContent,
        mode: u32,
    ) -> Result<Changed, Error> {
        self.change(&Command::WriteFile(WriteFile { path, content, mode })).await
    }

    /// Has no such file there, noted for the way back.
    pub async fn remove_file(&mut self, path: PathBuf) -> Result<Changed, Error> {
        self.change(&Command::RemoveFile { path }).await
    }

    /// Brings a file of any length, whatever of it is there already; it lies in [`received`] until
    /// [`bye`](Self::bye) forgets it. `tell` hears how many of its bytes are there.
    pub async fn send(&mut self, source: &Source, tell: impl FnMut(u64)) -> Result<Sent, Error> {
        let path = received(source);
        let path = path.display().to_string();
        take(&self.transport, &STORE, &self.elevation, source, &path, 0o600, tell).await.map(|(_, sent)| sent)
    }

    /// Gives a program the content of a file of this machine, noted for the way back.
    pub async fn install_program(
        &mut self,
        source: &Source,
        path: PathBuf,
        mode: u32,
        tell: impl FnMut(u64),
    ) -> Result<Changed, Error> {
        self.send(source, tell).await?;
        self.change(&Command::InstallProgram { sha256: source.sha256, path, mode }).await
    }

    /// Starts a task, which goes on whatever becomes of this session. To start it twice is to start it once.
    pub async fn start(&mut self, id: &RunId, task: Task) -> Result<(), Error> {
        self.ask_nothing(&Command::Start { id: id.clone(), task }).await
    }

    /// Follows a task to its end, from the byte `from` of its log on. `from` is always the first byte that was not told
    /// yet: with it, another session goes on where the link was lost, and no byte is told twice or never. Nobody who asks
    /// to stop ends it: the task goes on, and so does this.
    pub async fn attach(
        &mut self,
        id: &RunId,
        from: &mut u64,
        tell: &mut dyn FnMut(&[u8]),
    ) -> Result<End, Error> {
        self.follow(id, from, Until::Answered, tell).await
    }

    /// Starts a task and follows it to its end. Who insists on a stop ends it: by SIGTERM, and by SIGKILL after
    /// [`KILL_AFTER`]. One that must not be cut short is followed no more, and goes on.
    pub async fn perform(
        &mut self,
        id: &RunId,
        task: Task,
        tell: &mut dyn FnMut(&[u8]),
    ) -> Result<End, Error> {
        let can_end = task.can_be_ended();
        self.start(id, task).await?;
        let mut from = 0;
        let end = self.follow(id, &mut from, Until::Insisted, tell).await;
        if !can_end || !is_cancelled(&end) {
            return end;
        }
        // One that has ended in between says so when it is followed.
        let _ = self.signal(id, TaskSignal::Term).await;
        let end = self.follow(id, &mut from, Until::At(Instant::now() + KILL_AFTER), tell).await;
        if !is_cancelled(&end) {
            return end;
        }
        let _ = self.signal(id, TaskSignal::Kill).await;
        self.follow(id, &mut from, Until::Answered, tell).await
    }

    async fn follow(
        &mut self,
        id: &RunId,
        from: &mut u64,
        until: Until,
        tell: &mut dyn FnMut(&[u8]),
    ) -> Result<End, Error> {
        let command = Command::Attach { id: id.clone(), from: *from };
        let mut hear = |reply| match reply {
            Reply::Log { from: place, bytes } if place == *from => {
                tell(&bytes);
                *from += bytes.len() as u64;
                Ok(())
            }
            Reply::Log { from: place, .. } => {
                Err(Error::Strange { what: ASKING, said: format!("byte {place} of a log instead of {from}") })
            }
            _ => Ok(()),
        };
        match self.ask(&command, until, &mut hear).await? {
            Answer::Ended(end) => Ok(end),
            _ => Err(other_answer()),
        }
    }

    /// Sends a signal to a task's program, and to all that it has started.
    pub async fn signal(&mut self, id: &RunId, signal: TaskSignal) -> Result<(), Error> {
        self.ask_nothing(&Command::Signal { id: id.clone(), signal }).await
    }

    /// The tasks that the host knows of, the newest first.
    pub async fn tasks(&mut self) -> Result<Vec<Run>, Error> {
        match self.ask(&Command::Tasks, Until::Answered, &mut |_| Ok(())).await? {
            Answer::Tasks { runs } => Ok(runs),
            _ => Err(other_answer()),
        }
    }

    /// Ends the session, and the agent is gone from the host. With `forget` all that was kept there for later goes with
    /// it: files that were sent, logs of tasks. The journal, which is the way back, stays. The transport can be used on.
    pub async fn bye(mut self, forget: bool) -> Result<T, Error> {
        self.ask_nothing(&Command::Bye { forget }).await?;
        let Self { transport, mut replies, .. } = self;
        let ended = async { while replies.line().await.is_ok() {} };
        // Whether it has ended matters to nobody any more.
        let _ = timeout(END_LIMIT, ended).await;
        Ok(transport)
    }

    async fn change(&mut self, command: &Command) -> Result<Changed, Error> {
        match self.ask(command, Until::Stopped, &mut |_| Ok(())).await? {
            Answer::Outcome { outcome } => match *outcome {
                Outcome::Changed(changed) => Ok(changed),
                _ => Err(other_answer()),
            },
            _ => Err(other_answer()),
        }
    }

    async fn ask_nothing(&mut self, command: &Command) -> Result<(), Error> {
        match self.ask(command, Until::Answered, &mut |_| Ok(())).await? {
            Answer::Nothing => Ok(()),
            _ => Err(other_answer()),
        }
    }

    /// Asks, and waits for the answer. What is cancelled still answers.
    async fn ask(
        &mut self,
        command: &Command,
        until: Until,
        hear: &mut dyn FnMut(Reply) -> Result<(), Error>,
    ) -> Result<Answer, Error> {
        let mut is_cancelled = false;
        self.say(command).await?;
        loop {
            let line = tokio::select! {
                line = self.replies.line() => line?,
                () = until.over(&mut self.stop), if !is_cancelled => {
                    is_cancelled = true;
                    self.say(&Command::Cancel).await?;
                    continue;
                }
            };
            match decode(&line).map_err(|failure| garbled(&failure))? {
                Reply::Done { answer } => return Ok(answer),
                Reply::Failed { failure } => return Err(failure.into()),
                reply => hear(reply)?,
            }
        }
    }

    async fn say(&mut self, command: &Command) -> Result<(), Error> {
        let line = encode(command)?;
        if self.lines.send(line.into()).await.is_ok() {
            return Ok(());
        }
        // How it ended says more than that it does not read.
        loop {
            self.replies.line().await?;
        }
    }
}

/// When a request is cancelled.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// Never.
    Answered,
    /// When it is asked to stop.
    Stopped,
    /// When it is asked to stop for the second time.
    Insisted,
    /// Then.
    At(Instant),
}

impl Until {
    async fn over(self, stop: &mut Stop) {
        match self {
            Self::Answered => std::future::pending().await,
            Self::Stopped => stop.asked().await,
            Self::Insisted => stop.insisted().await,
            Self::At(time) => sleep_until(time).await,
        }
    }
}

fn is_cancelled(end: &Result<End, Error>) -> bool {
    matches!(end, Err(Error::Host(failure)) if failure.kind == Kind::Cancelled)
}

/// Where a host keeps a file that was sent.
pub fn received(source: &Source) -> PathBuf {
    Path::new(paths::RECEIVED).join(source.sha256.to_string())
}

const STARTING: &str = "starting the agent";
const ASKING: &str = "asking the agent";

/// The agent is this very program, so that it needs a machine of the same kind.
fn check_machine(probe: &Probe) -> Result<(), Error> {
    if (probe.system.as_str(), probe.machine.as_str()) == ("Linux", ARCH) {
        return Ok(());
    }
    let (system, machine) = (probe.system.clone(), probe.machine.clone());
    Err(Error::OtherMachine { system, machine })
}

fn garbled(failure: &Failure) -> Error {
    Error::Strange { what: ASKING, said: failure.message.clone() }
}

fn other_answer() -> Error {
    Error::Strange { what: ASKING, said: "the answer to another question".to_owned() }
}

fn silent(complaints: &[u8]) -> Error {
    let why = format!("nothing within {} s{}", SPEAK_LIMIT.as_secs(), last_words(complaints));
    Error::Strange { what: STARTING, said: why }
}

/// Hands lines on, and an empty one where there was none for a while: the agent knows by it that somebody is still here.
/// It ends with the session.
async fn feed(input: Input, mut lines: mpsc::Receiver<Bytes>, pause: Duration) {
    loop {
        let line = match timeout(pause, lines.recv()).await {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(_) => Bytes::from_static(b"\n"),
        };
        if input.write(line).await.is_err() {
            return;
        }
    }
}

/// What the agent says, line by line.
#[derive(Debug)]
struct Replies {
    output: Output,
    /// What has come of the next line, or of several.
    heard: BytesMut,
    /// So many bytes of it have no line's end.
    searched: usize,
    complaints: BytesMut,
}

impl Replies {
    fn new(pending: Bytes, output: Output) -> Self {
        Self { output, heard: pending.into(), searched: 0, complaints: BytesMut::new() }
    }

    /// The next line. It can be dropped while it waits, and asked for again.
    async fn line(&mut self) -> Result<BytesMut, Error> {
        loop {
            let fresh = self.heard.get(self.searched..).unwrap_or_default();
            if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
                let mut line = self.heard.split_to(self.searched + end + 1);
                line.truncate(line.len() - 1);
                self.searched = 0;
                return Ok(line);
            }
            self.searched = self.heard.len();
            if self.heard.len() > MAX_LINE {
                let said = format!("a line of more than {MAX_LINE} bytes");
                return Err(Error::Strange { what: ASKING, said });
            }
            match self.output.next().await {
                Piece::Stdout(bytes) => self.heard.extend_from_slice(&bytes),
                Piece::Stderr(bytes) => {
                    self.complaints.extend_from_slice(&bytes);
                    let old = self.complaints.len().saturating_sub(MAX_COMPLAINTS);
                    let _ = self.complaints.split_to(old);
                }
                Piece::Ended(exit) => {
                    let why = match exit {
                        Exit::Lost => "the link was lost".to_owned(),
                        exit => format!("the agent {exit}{}", last_words(&self.complaints)),
                    };
                    return Err(Error::Unknown { why });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
