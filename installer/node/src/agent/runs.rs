//! Runs of tasks, each in a directory of its own: `what.json`, `log`, `ended`, and `alive`, which its supervisor keeps
//! locked. So everybody can see what is at work, whoever started it, and a supervisor that was killed is told from one
//! that has come to its end.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::name::RunId;
use super::task::{CommandLine, Task};
use crate::machine::files;
use crate::step::Content;

/// As many are kept when another one begins, those that are at work beside.
pub const KEPT: usize = 10;

/// More than this of a log is not kept, in bytes.
pub const MAX_LOG: u64 = 64 << 20;

/// The end of a log that was longer.
const CUT: &[u8] = b"\n[the log was cut here: more than 64 MiB of what a task prints are not kept]\n";

/// What is kept of one that is cut, in bytes.
const KEPT_LOG: u64 = MAX_LOG - CUT.len() as u64;

/// How long a supervisor's word may be.
const MAX_WORD: u64 = 64;

/// The end of the year 9999, beyond which no date is written.
const LAST: u64 = 253_402_300_799;

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct What {
    /// Its name.
    pub id: RunId,
    /// What it does.
    pub task: Task,
    /// How that is done.
    pub line: CommandLine,
    /// Since when, in seconds since 1970.
    pub since: u64,
}

impl What {
    /// In a word or two.
    pub fn title(&self) -> String {
        self.line.words.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Since when, for people.
    pub fn began(&self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.since.min(LAST)))
    }
}

/// A run, and how it is with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// What is run.
    pub what: What,
    /// How it ended; `None`: it is at work.
    pub end: Option<End>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum End {
    /// The program ended by itself.
    Exited {
        /// With this code.
        code: i32,
    },
    /// A signal ended the program.
    Killed {
        /// This one.
        signal: i32,
    },
    /// The program could not be started.
    NotStarted {
        /// Why.
        why: String,
    },
    /// Its supervisor was killed: nobody knows how it ended, or whether it has.
    Lost,
}

impl End {
    /// Whether the program says that all is well.
    pub fn is_success(&self) -> bool {
        *self == Self::Exited { code: 0 }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "its program ended with {code}"),
            Self::Killed { signal } => write!(f, "signal {signal} ended its program"),
            Self::NotStarted { why } => f.write_str(why),
            Self::Lost => {
                f.write_str("its supervisor was killed, so nobody knows how it ended, or whether it has")
            }
        }
    }
}

/// The runs of a machine.
#[derive(Clone, Debug)]
pub struct Runs(PathBuf);

impl Runs {
    /// Those in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    fn directory(&self, id: &RunId) -> PathBuf {
        self.0.join(id.as_str())
    }

    fn file(&self, id: &RunId, name: &str) -> PathBuf {
        self.directory(id).join(name)
    }

    /// Begins a run that nobody has begun before. It counts as being at work as long as somebody, in whatever process,
    /// has the file open that is returned.
    pub fn create(&self, what: &What) -> io::Result<File> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.0)?;
        // No name of a run begins with a dot. What a crash has left there is nobody's.
        let staged = self.0.join(".new");
        files::remove_all(&staged)?;
        builder.recursive(false).create(&staged)?;
        let made = (|| {
            let alive = new_file(&staged.join("alive"))?;
            flock(&alive, FlockOperation::NonBlockingLockExclusive)?;
            new_file(&staged.join("log"))?;
            files::write(
                &staged.join("what.json"),
                &staged,
                &Content::new(serde_json::to_vec(what)?, 0o600),
            )?;
            fs::rename(&staged, self.directory(&what.id))?;
            files::sync_directory(Some(&self.0))?;
            Ok(alive)
        })();
        if made.is_err() {
            let _ = files::remove_all(&staged);
        }
        made
    }

    /// Forgets a run of which nothing came.
    pub fn remove(&self, id: &RunId) -> io::Result<()> {
        files::remove_all(&self.directory(id))
    }

    /// A run, if there is one of that name.
    pub fn get(&self, id: &RunId) -> io::Result<Option<Run>> {
        let Some(content) = files::read(&self.file(id, "what.json"))? else { return Ok(None) };
        let what = serde_json::from_slice(&content.bytes)?;
        Ok(Some(Run { what, end: self.end(id)? }))
    }

    /// All of them, the newest first. What cannot be read is none.
    pub fn list(&self) -> io::Result<Vec<Run>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()?.parse().ok());
        let mut runs: Vec<Run> = names.filter_map(|id: RunId| self.get(&id).ok().flatten()).collect();
        runs.sort_by(|a, b| (b.what.since, &b.what.id).cmp(&(a.what.since, &a.what.id)));
        Ok(runs)
    }

    /// The run that is at work, if one is.
    pub fn at_work(&self) -> io::Result<Option<What>> {
        Ok(self.list()?.into_iter().find(|run| run.end.is_none()).map(|run| run.what))
    }

    /// Removes all but the newest, and those that are at work.
    pub fn prune(&self, kept: usize) -> io::Result<()> {
        let ended = self.list()?.into_iter().filter(|run| run.end.is_some()).skip(kept);
        for run in ended {
            self.remove(&run.what.id)?;
        }
        // The last one takes the directory with it.
        let _ = fs::remove_dir(&self.0);
        Ok(())
    }

    fn end(&self, id: &RunId) -> io::Result<Option<End>> {
        if let Some(end) = self.recorded(id)? {
            return Ok(Some(end));
        }
        if self.is_alive(id) {
            return Ok(None);
        }
        // It may have come to its end between these two looks.
        Ok(Some(self.recorded(id)?.unwrap_or(End::Lost)))
    }

    /// A record that is not whole is none.
    fn recorded(&self, id: &RunId) -> io::Result<Option<End>> {
        let content = files::read(&self.file(id, "ended"))?;
        Ok(content.and_then(|content| serde_json::from_slice(&content.bytes).ok()))
    }

    /// A shared lock says nothing to others who ask at the same time.
    fn is_alive(&self, id: &RunId) -> bool {
        let alive = File::open(self.file(id, "alive"));
        alive.is_ok_and(|alive| flock(&alive, FlockOperation::NonBlockingLockShared).is_err())
    }

    /// What its supervisor has said of it: the process group of its program, or `-` when there is none.
    pub fn word(&self, id: &RunId) -> io::Result<String> {
        let mut word = String::new();
        File::open(self.file(id, "alive"))?.take(MAX_WORD).read_to_string(&mut word)?;
        // A line that is not whole says nothing.
        Ok(if word.ends_with('\n') { word.trim_end().to_owned() } else { String::new() })
    }

    /// The log, to be added to.
    pub fn log(&self, id: &RunId) -> io::Result<File> {
        OpenOptions::new().append(true).open(self.file(id, "log"))
    }

    /// A piece of the log, from this byte on; empty at its end.
    pub fn read_log(&self, id: &RunId, from: u64, longest: u64) -> io::Result<Vec<u8>> {
        let mut log = File::open(self.file(id, "log"))?;
        let mut bytes = Vec::new();
        // What lies beyond may be cut off the next moment.
        let end = match log.metadata()?.len() {
            length if length <= KEPT_LOG => length,
            _ if is_cut(&log)? => MAX_LOG,
            _ => KEPT_LOG,
        };
        // Not every file system takes any number for a place.
        if from >= end {
            return Ok(bytes);
        }
        log.seek(SeekFrom::Start(from))?;
        log.take(longest.min(end - from)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Cuts a log that has become too long. Whoever writes it adds to its end, wherever that is, and notices nothing: a
    /// pipe with somebody at its end would stop or kill programs that outlive him.
    pub fn bound_log(&self, id: &RunId) -> io::Result<()> {
        let log = OpenOptions::new().write(true).open(self.file(id, "log"))?;
        if log.metadata()?.len() <= KEPT_LOG {
            return Ok(());
        }
        rustix::io::pwrite(&log, CUT, KEPT_LOG)?;
        log.set_len(MAX_LOG)
    }

    /// Sets room aside for the end, so that a full disk cannot hide it.
    pub fn reserve_end(&self, id: &RunId) -> io::Result<Reserved> {
        let waiting = self.file(id, ".ended");
        let file = new_file(&waiting)?;
        rustix::io::pwrite(&file, &[b' '; MAX_END], 0)?;
        file.sync_all()?;
        Ok(Reserved { file, waiting, ended: self.file(id, "ended") })
    }
}

fn is_cut(log: &File) -> io::Result<bool> {
    let mut end = [0; CUT.len()];
    let length = rustix::io::pread(log, &mut end, KEPT_LOG)?;
    Ok(end.get(..length) == Some(CUT))
}

/// No record of an end is longer, in bytes.
const MAX_END: usize = 4096;

/// Room for the end of a run.
#[derive(Debug)]
pub struct Reserved {
    file: File,
    waiting: PathBuf,
    ended: PathBuf,
}

impl Reserved {
    /// Says how it ended. From then on it has.
    pub fn record(self, end: &End) -> io::Result<()> {
        let end = match end {
            End::NotStarted { why } => End::NotStarted { why: why.chars().take(500).collect() },
            end => end.clone(),
        };
        // JSON may be followed by spaces.
        let mut bytes = serde_json::to_vec(&end)?;
        bytes.resize(MAX_END.max(bytes.len()), b' ');
        rustix::io::pwrite(&self.file, &bytes, 0)?;
        self.file.sync_all()?;
        fs::rename(&self.waiting, &self.ended)?;
        files::sync_directory(self.ended.parent())
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::task::Systemctl;
    use super::*;

    fn what(id: &str, since: u64) -> What {
        let task = Task::Systemctl(Systemctl::DaemonReload);
        What { id: id.parse().unwrap(), line: task.command_line().unwrap(), task, since }
    }

    #[test]
    fn a_run_is_at_work_then_ended_and_never_ended_well_when_nobody_said_so() {
        let directory = tempfile::tempdir().unwrap();
        let runs = Runs::new(directory.path().join("run"));
        assert_eq!((runs.list().unwrap(), runs.at_work().unwrap()), (Vec::new(), None));
        let what = what("one", 7);
        let alive = runs.create(&what).unwrap();
        let end = || runs.get(&what.id).unwrap().unwrap().end;
        assert_eq!((end(), runs.at_work().unwrap()), (None, Some(what.clone())));
        let reserved = runs.reserve_end(&what.id).unwrap();
        assert_eq!(end(), None, "what is set aside is no end");
        reserved.record(&End::Exited { code: 3 }).unwrap();
        assert_eq!(
            end(),
            Some(End::Exited { code: 3 }),
            "it has ended, though its supervisor is still there"
        );
        drop(alive);
        assert_eq!(runs.at_work().unwrap(), None);

        // Whoever keeps the file open keeps it alive; then it is lost.
        let other = self::what("two", 8);
        let alive = runs.create(&other).unwrap();
        let another = alive.try_clone().unwrap();
        drop(alive);
        assert_eq!(runs.get(&other.id).unwrap().unwrap().end, None);
        drop(another);
        assert_eq!(runs.get(&other.id).unwrap().unwrap().end, Some(End::Lost));
        // Nor is a record that was cut short an end.
        fs::write(directory.path().join("run/two/ended"), r#"{"end":"exited","co"#).unwrap();
        assert_eq!(runs.get(&other.id).unwrap().unwrap().end, Some(End::Lost));
        assert!(runs.create(&other).is_err(), "there is one of that name");
        let began = |since| self::what("x", since).began();
        assert_eq!((began(0).len(), began(u64::MAX).len()), (29, 29), "whatever a file says");
        assert!(runs.get(&"three".parse().unwrap()).unwrap().is_none());
    }

    #[test]
    fn the_newest_are_kept_and_those_at_work() {
        let directory = tempfile::tempdir().unwrap();
        let runs = Runs::new(directory.path().join("run"));
        let at_work = runs.create(&what("oldest", 1)).unwrap();
        for since in 2..20 {
            drop(runs.create(&what(&format!("run-{since}"), since)).unwrap());
        }
        runs.prune(3).unwrap();
        let names = || -> Vec<String> {
            runs.list().unwrap().into_iter().map(|run| run.what.id.to_string()).collect()
        };
        assert_eq!(names(), ["run-19", "run-18", "run-17", "oldest"]);
        drop(at_work);
        runs.prune(0).unwrap();
        assert!(names().is_empty() && !directory.path().join("run").exists());
    }

    #[test]
    fn a_log_is_read_from_anywhere() {
        let directory = tempfile::tempdir().unwrap();
        let runs = Runs::new(directory.path());
        let what = what("one", 7);
        let _alive = runs.create(&what).unwrap();
        runs.log(&what.id).unwrap().write_all(b"one\ntwo\n").unwrap();
        let read = |from, longest| runs.read_log(&what.id, from, longest).unwrap();
        assert_eq!((read(0, 100), read(4, 2), read(8, 9)), (b"one\ntwo\n".into(), b"tw".into(), Vec::new()));
        assert!(read(u64::MAX / 2, 9).is_empty());
    }

    #[test]
    fn a_log_is_cut_and_says_so_and_nobody_reads_what_may_vanish() {
        let directory = tempfile::tempdir().unwrap();
        let runs = Runs::new(directory.path());
        let what = what("one", 7);
        let _alive = runs.create(&what).unwrap();
        let mut log = runs.log(&what.id).unwrap();
        let length = || log_length(directory.path());
        let read = |from| runs.read_log(&what.id, from, 1 << 10).unwrap();
        log.write_all(b"first").unwrap();
        runs.bound_log(&what.id).unwrap();
        assert_eq!(length(), 5, "a short one stays as it is");
        log.set_len(KEPT_LOG - 3).unwrap();
        log.write_all(b"abcdef").unwrap();
        assert_eq!(read(KEPT_LOG - 3), b"abc", "what may be cut is not read yet");
        runs.bound_log(&what.id).unwrap();
        assert_eq!((length(), read(KEPT_LOG - 3)), (MAX_LOG, [b"abc", CUT].concat()));
        // It goes on and on.
        for _ in 0..3 {
            log.write_all(&vec![b'x'; 1 << 20]).unwrap();
            assert!(read(MAX_LOG).is_empty());
            runs.bound_log(&what.id).unwrap();
            assert_eq!((length(), read(KEPT_LOG)), (MAX_LOG, CUT.to_vec()));
        }
        assert_eq!(runs.read_log(&what.id, 0, 5).unwrap(), b"first");
    }

    fn log_length(directory: &Path) -> u64 {
        fs::metadata(directory.join("one/log")).unwrap().len()
    }
}
