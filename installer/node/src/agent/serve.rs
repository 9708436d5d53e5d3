//! One session with a controller: one command after the other.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::link::Link;
use super::name::{Nonce, RunId};
use super::runs::{KEPT, Runs, What};
use super::task::{CommandLine, Task};
use super::wire::{Answer, Command, FileContent, Hello, Reply, TaskSignal, WriteFile, encode};
use crate::api::{Failure, Kind, Outcome, Request};
use crate::facts::{host, machine as facts};
use crate::journal::Journal;
use crate::machine::{Machine, Supervised, files};
use crate::paths;
use crate::run::image::Importer;
use crate::run::{file, run};
use crate::step::{Content, Digest};

/// How long a controller may read nothing. One that is stopped for longer finds its tasks, and its host, as they are.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a log is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// What is sent of a log at once, in bytes.
const CHUNK: u64 = 64 << 10;

/// The longest of what a controller says of itself, in characters.
const MAX_NOTE: usize = 100;

/// Where an agent keeps what it does not keep in memory.
#[derive(Clone, Debug)]
pub struct Places {
    /// Runs of tasks.
    pub runs: Runs,
    /// Files that were received.
    pub received: PathBuf,
    /// How long a controller may read nothing.
    pub patience: Duration,
}

impl Default for Places {
    fn default() -> Self {
        Self { runs: Runs::new(paths::RUNS), received: paths::RECEIVED.into(), patience: PATIENCE }
    }
}

/// Speaks with a controller until it ends the session, or is gone. A failure is one of the link; what a command came to
/// is told over it.
pub fn serve<M: Machine>(
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    machine: &mut M,
    nonce: Nonce,
    places: &Places,
) -> Result<(), Failure> {
    let hello = Hello::own(machine, nonce)?;
    let opened = Link::open(input, output, machine.cancel().clone(), places.patience);
    let mut link = opened.map_err(|error| Failure::io("start a thread", &error))?;
    link.write(format!("{}\n", hello.nonce).into_bytes());
    link.write(encode(&hello)?);
    let mut session = Session { machine, link: &mut link, sha256: hello.sha256, places, holder: None };
    let ended = session.run();
    if session.holder.is_some() {
        // What is in its directory is left for the next one.
        let _ = session.machine.unlock(false);
    }
    ended
}

struct Session<'a, M> {
    machine: &'a mut M,
    link: &'a mut Link,
    /// Of this very program.
    sha256: Digest,
    places: &'a Places,
    /// Who has locked the machine, if this session has.
    holder: Option<String>,
}

impl<M: Machine> Session<'_, M> {
    fn run(&mut self) -> Result<(), Failure> {
        while let Some(command) = self.link.receive() {
            let command = match command {
                Ok(command) => command,
                Err(failure) => {
                    self.link.end(&Reply::Failed { failure: failure.clone() });
                    return Err(failure);
                }
            };
            let is_last = matches!(command, Command::Bye { .. });
            let done = self.answer(command);
            let ends = is_last && done.is_ok();
            self.link.end(&match done {
                Ok(answer) => Reply::Done { answer },
                Err(failure) => Reply::Failed { failure },
            });
            if ends {
                break;
            }
        }
        Ok(())
    }

    fn answer(&mut self, command: Command) -> Result<Answer, Failure> {
        match command {
            Command::Lock { by } => self.lock(&by),
            Command::Facts => Ok(Answer::Facts(Box::new(facts::gather(self.machine)?))),
            Command::Run { request } => self.request(&request),
            Command::WriteFile(WriteFile { path, content, mode }) => {
                let (content, secret) = match content {
                    FileContent::Plain(bytes) => (Content::new(bytes, mode & 0o755), false),
                    FileContent::Secret(text) => (Content::new(text.reveal(), 0o600), true),
                };
                self.change(|machine, tell| file::write(machine, &path, &content, secret, tell))
            }
            Command::RemoveFile { path } => self.change(|machine, tell| file::remove(machine, &path, tell)),
            Command::InstallProgram { sha256, path, mode } => {
                let from = self.places.received.join(sha256.to_string());
                self.change(|machine, tell| file::install(machine, &from, &sha256, &path, mode, tell))
            }
            Command::Start { id, task } => self.start(&id, task),
            Command::Attach { id, from } => self.attach(&id, from),
            Command::Signal { id, signal } => self.signal(&id, signal),
            Command::Tasks => {
                Ok(Answer::Tasks { runs: self.places.runs.list().map_err(|error| runs(&error))? })
            }
            // Of `cancel` the reader has seen to it.
            Command::Cancel => Ok(Answer::Nothing),
            Command::Bye { forget: false } => self.leave(),
            Command::Bye { forget: true } => self.forget(),
        }
    }

    fn lock(&mut self, by: &str) -> Result<Answer, Failure> {
        let by: String = by.chars().filter(|letter| !letter.is_control()).take(MAX_NOTE).collect();
        let holder = format!("agent, for {by}");
        if self.machine.lock(&holder)? {
            self.holder = Some(holder);
        }
        Ok(Answer::Nothing)
    }

    fn request(&mut self, request: &Request) -> Result<Answer, Failure> {
        if request.changes() {
            return self.change(|machine, tell| run(request, machine, tell));
        }
        let link = &mut *self.link;
        let outcome = run(request, self.machine, &mut |event| link.send(&Reply::Event { event }))?;
        Ok(Answer::Outcome { outcome: Box::new(outcome) })
    }

    /// Whoever holds the lock may be a task that this very session has started.
    fn change(
        &mut self,
        change: impl FnOnce(&mut M, &mut dyn FnMut(crate::api::Event)) -> Result<Outcome, Failure>,
    ) -> Result<Answer, Failure> {
        self.refuse_beside_task()?;
        let link = &mut *self.link;
        let outcome = change(self.machine, &mut |event| link.send(&Reply::Event { event }))?;
        Ok(Answer::Outcome { outcome: Box::new(outcome) })
    }

    fn refuse_beside_task(&self) -> Result<(), Failure> {
        let at_work = self.places.runs.at_work().map_err(|error| runs(&error))?;
        let Some(what) = at_work else { return Ok(()) };
        let text = format!(
            "the task {} (`{}`) is at work on this node, since {}; attach to it, or wait",
            what.id,
            what.title(),
            what.began()
        );
        Err(Failure::new(Kind::Locked, text))
    }

    fn start(&mut self, id: &RunId, task: Task) -> Result<Answer, Failure> {
        let known = self.places.runs.get(id).map_err(|error| runs(&error))?;
        if let Some(known) = known {
            // Whoever lost the link before the reply came asks again.
            if known.what.task == task {
                return Ok(Answer::Nothing);
            }
            return Err(Failure::usage(format!("the run {id} is another one, `{}`", known.what.title())));
        }
        self.refuse_beside_task()?;
        let took_lock = self.machine.lock(&format!("agent, at the task {id}"))?;
        let started = self.start_locked(id, task);
        if took_lock {
            // The supervisor goes on holding it.
            let _ = self.machine.unlock(false);
        }
        started.map(|()| Answer::Nothing)
    }

    fn start_locked(&mut self, id: &RunId, task: Task) -> Result<(), Failure> {
        let line = self.command_line(&task)?;
        let kept = &self.places.runs;
        kept.prune(KEPT - 1).map_err(|error| runs(&error))?;
        let since = self.machine.unix_time().as_secs();
        let what = What { id: id.clone(), task, line, since };
        let joins = what.task.joins();
        if joins {
            Journal::of(self.machine)?.set_joining(self.machine, true)?;
        }
        let alive = kept.create(&what).map_err(|error| runs(&error))?;
        let started = kept.log(id).and_then(|log| {
            let run = Supervised { id: id.as_str(), alive: &alive, log: &log };
            self.machine.supervise(&run, &|| kept.word(id).is_ok_and(|word| !word.is_empty()))
        });
        started.map_err(|error| {
            let said = kept.read_log(id, 0, 1000).unwrap_or_default();
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            let _ = kept.remove(id);
            if joins {
                let _ = Journal::of(self.machine).and_then(|mut journal| journal.end_join(self.machine));
            }
            Failure::io(format_args!("start the task {id} ({said})"), &error)
        })
    }

    fn command_line(&mut self, task: &Task) -> Result<CommandLine, Failure> {
        if let Task::ImportImage { archive } = task {
            let archive = self.received(archive)?;
            let Some(importer) = Importer::find(self.machine, &host::RUNTIMES) else {
                let text =
                    "no client of a container runtime can import an image (ctr, nerdctl, podman or docker)";
                return Err(Failure::new(Kind::Image, text));
            };
            let program = importer.import_program(&archive);
            let words = std::iter::once(program.name.to_owned()).chain(program.words);
            return Ok(CommandLine { words: words.collect(), directory: None });
        }
        let line = task.command_line().unwrap_or_default();
        if let (Task::Hook { .. }, Some(script)) = (task, line.words.last())
            && self.machine.place(Path::new(script)).length.is_none()
        {
            return Err(Failure::usage(format!("{script} is not there; unpack its package first")));
        }
        Ok(line)
    }

    fn received(&self, sha256: &Digest) -> Result<PathBuf, Failure> {
        let path = self.places.received.join(sha256.to_string());
        if path.is_file() {
            Ok(path)
        } else {
            Err(Failure::usage(format!("{sha256} was not received; send it first")))
        }
    }

    fn attach(&mut self, id: &RunId, mut from: u64) -> Result<Answer, Failure> {
        let kept = &self.places.runs;
        loop {
            // Asked before the log is read to its end: then nothing more can come.
            let Some(run) = kept.get(id).map_err(|error| runs(&error))? else {
                return Err(Failure::usage(format!("there is no run {id} on this node")));
            };
            loop {
                if self.machine.cancel().is_asked() {
                    let text = format!("the run {id} is followed no more; it goes on");
                    return Err(Failure::new(Kind::Cancelled, text));
                }
                let bytes = kept.read_log(id, from, CHUNK).map_err(|error| runs(&error))?;
                if bytes.is_empty() {
                    break;
                }
                let length = bytes.len() as u64;
                self.link.send(&Reply::Log { from, bytes });
                from += length;
            }
            if let Some(end) = run.end {
                if let Some(holder) = &self.holder {
                    let _ = self.machine.note(holder);
                }
                return Ok(Answer::Ended(end));
            }
            self.machine.sleep(PAUSE);
        }
    }

    fn signal(&mut self, id: &RunId, signal: TaskSignal) -> Result<Answer, Failure> {
        let kept = &self.places.runs;
        let Some(run) = kept.get(id).map_err(|error| runs(&error))? else {
            return Err(Failure::usage(format!("there is no run {id} on this node")));
        };
        if let Some(end) = run.end {
            return Err(Failure::new(Kind::Failed, format!("the run {id} has ended: {end}")));
        }
        // While its supervisor is there, the number of its group is nobody else's.
        let word = kept.word(id).map_err(|error| runs(&error))?;
        let group = word.parse().ok().and_then(Pid::from_raw).ok_or_else(|| {
            Failure::new(Kind::Failed, format!("the program of the run {id} has not been started"))
        })?;
        let signal = match signal {
            TaskSignal::Term => Signal::TERM,
            TaskSignal::Kill => Signal::KILL,
        };
        kill_process_group(group, signal)
            .map_err(|error| Failure::io(format_args!("signal the run {id}"), &error.into()))?;
        Ok(Answer::Nothing)
    }

    /// Leaves nothing of what was kept for later. The journal is not of that kind: it is the way back.
    fn forget(&mut self) -> Result<Answer, Failure> {
        self.refuse_beside_task()?;
        self.machine.lock("agent")?;
        self.places.runs.prune(0).map_err(|error| tidy(&error))?;
        files::remove_all(&self.places.received).map_err(|error| tidy(&error))?;
        self.machine.remove_packages().map_err(|error| tidy(&error))?;
        self.remove_program()?;
        self.unlock()?;
        Ok(Answer::Nothing)
    }

    /// Leaves what others may need; where nothing was changed, there is nothing.
    fn leave(&mut self) -> Result<Answer, Failure> {
        self.remove_program()?;
        // Whoever holds the machine tidies up behind himself.
        if self.machine.lock("agent").is_ok() {
            self.unlock()?;
        }
        Ok(Answer::Nothing)
    }

    fn remove_program(&mut self) -> Result<(), Failure> {
        let programs = Path::new(paths::PROGRAMS);
        self.machine.remove(&programs.join(self.sha256.to_string())).map_err(|error| tidy(&error))?;
        if self.machine.entries(programs).is_some() {
            self.machine.remove_directory(programs).map_err(|error| tidy(&error))?;
        }
        Ok(())
    }

    /// Lets others in, and removes the directory if there is nothing in it but the lock.
    fn unlock(&mut self) -> Result<(), Failure> {
        self.holder = None;
        let is_empty = self.machine.entries(Path::new(paths::STATE)).is_none_or(|names| names == ["lock"]);
        self.machine.unlock(is_empty).map_err(|error| tidy(&error))?;
        if is_empty {
            self.machine.remove_directory(Path::new(paths::STATE)).map_err(|error| tidy(&error))?;
        }
        Ok(())
    }
}

fn tidy(error: &io::Error) -> Failure {
    Failure::io(format_args!("tidy up {}", paths::STATE), error)
}

fn runs(error: &io::Error) -> Failure {
    Failure::io(format_args!("use {}", paths::RUNS), error)
}
