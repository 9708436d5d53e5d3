//! The log of one run on many hosts: everything that happens, a JSON object a line, for whoever asks afterwards.
//!
//! It is for its owner alone, and bounded: so much of one run, and so many runs. What a program on a host prints is in it;
//! passwords and keys are not, since none of them is ever told to it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, process};

use lvscare::terminal::printable;
use node::date::instant;
use serde::Serialize;
use serde_json::{Value, json};

/// More than this of one run is not kept, in bytes.
const MAX_LOG: u64 = 64 << 20;

/// Room for how it ended, in bytes, whatever was printed before.
const RESERVED: u64 = 64 << 10;

/// As many runs are kept.
const MAX_RUNS: usize = 50;

/// As much of all runs is kept, in bytes.
const MAX_RUNS_BYTES: u64 = 256 << 20;

/// The log of one run. Where it cannot be written the run goes on, and its end says so.
#[derive(Debug)]
pub(crate) struct RunLog {
    file: Option<File>,
    path: PathBuf,
    room: u64,
    /// Why it is not whole.
    trouble: Option<String>,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    event: &'a str,
    #[serde(flatten)]
    more: &'a Value,
}

impl RunLog {
    /// Begins one of this command: in `directory`, else where logs of this user are.
    pub(crate) fn begin(directory: Option<PathBuf>, command: &str) -> Self {
        let begun = directory
            .or_else(usual)
            .ok_or_else(|| io::Error::other("HOME is not set"))
            .and_then(|directory| create(&directory, command, now()));
        let mut log = match begun {
            Ok((file, path)) => Self { file: Some(file), path, room: MAX_LOG, trouble: None },
            Err(error) => {
                Self { file: None, path: PathBuf::new(), room: 0, trouble: Some(error.to_string()) }
            }
        };
        let version = env!("CARGO_PKG_VERSION");
        log.write(None, "run", &json!({ "command": command, "version": version, "process": process::id() }));
        log
    }

    /// None at all.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { file: None, path: PathBuf::new(), room: 0, trouble: None }
    }

    /// Something happened, on that host if there is one.
    pub(crate) fn write(&mut self, host: Option<&str>, event: &str, more: &Value) {
        self.add(host, event, more, RESERVED);
    }

    /// It is over. Says where the log is.
    pub(crate) fn end(&mut self, exit: u8) -> String {
        if let (Some(file), Some(trouble)) = (&self.file, &self.trouble) {
            // What a full disk has left of a line is no line, and nothing is added to it.
            let is_line = file.metadata().is_ok_and(|metadata| metadata.len() == MAX_LOG - self.room);
            let more = json!({ "why": trouble });
            if is_line {
                self.add(None, "incomplete", &more, 0);
            }
        }
        self.add(None, "end", &json!({ "exit": exit }), 0);
        let path = printable(&self.path.display().to_string());
        match &self.trouble {
            None => format!("log: {path}"),
            Some(why) if self.path.as_os_str().is_empty() => {
                format!("no log was written: {}", printable(why))
            }
            Some(why) => format!("log: {path}, and it is not whole: {}", printable(why)),
        }
    }

    fn add(&mut self, host: Option<&str>, event: &str, more: &Value, reserved: u64) {
        let (Some(file), true) = (&mut self.file, self.trouble.is_none() || reserved == 0) else { return };
        let line = Line { time: instant(now()), host, event, more };
        let Ok(mut bytes) = serde_json::to_vec(&line) else { return };
        bytes.push(b'\n');
        let length = bytes.len() as u64;
        if length + reserved > self.room {
            self.trouble
                .get_or_insert_with(|| format!("more than {} MiB of one run are not kept", MAX_LOG >> 20));
            return;
        }
        match file.write_all(&bytes) {
            Ok(()) => self.room -= length,
            Err(error) => {
                self.trouble.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

/// Of root with those of the machine, of anybody else among what the XDG Base Directory Specification calls state.
fn usual() -> Option<PathBuf> {
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        return Some("/var/log/lvscare".into());
    }
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    state.map(|state| state.join("lvscare"))
}

/// Makes room for a log, and makes it.
fn create(directory: &Path, command: &str, now: Duration) -> io::Result<(File, PathBuf)> {
    let told = |error: io::Error| io::Error::other(format!("{}: {error}", directory.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(told)?;
    prune(directory, MAX_RUNS - 1, MAX_RUNS_BYTES - MAX_LOG).map_err(told)?;
    let time: String = instant(now).chars().filter(|char| !matches!(char, '-' | ':')).collect();
    let path = directory.join(format!("{time}-{command}-{}{ENDING}", process::id()));
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path).map_err(told)?;
    Ok((file, path))
}

const ENDING: &str = ".jsonl";

/// Removes the oldest logs until no more are left than that, and other files never.
fn prune(directory: &Path, most: usize, most_bytes: u64) -> io::Result<()> {
    let is_log = |name: &str| {
        let (day, rest) = name.split_at_checked(8).unwrap_or_default();
        day.bytes().all(|byte| byte.is_ascii_digit()) && rest.starts_with('T') && rest.ends_with(ENDING)
    };
    let mut logs = Vec::new();
    for entry in fs::read_dir(directory)?.flatten() {
        if let Some(name) = entry.file_name().to_str().filter(|name| is_log(name)) {
            let length = entry.metadata().map_or(0, |metadata| metadata.len());
            logs.push((name.to_owned(), length));
        }
    }
    // Their names begin with the time.
    logs.sort_by(|one, other| other.cmp(one));
    let mut bytes = 0_u64;
    for (place, (name, length)) in logs.iter().enumerate() {
        bytes = bytes.saturating_add(*length);
        if place >= most || bytes > most_bytes {
            // One that cannot be removed keeps nobody from his work.
            let _ = fs::remove_file(directory.join(name));
        }
    }
    Ok(())
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn lines(path: &Path) -> Vec<Value> {
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn it_is_its_owners_and_every_line_has_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("new/log");
        let mut log = RunLog::begin(Some(place.clone()), "ping");
        log.write(Some("10.0.0.1"), "said", &json!({ "text": "\x1b[2J\nx" }));
        let told = log.end(7);
        let path = log.path.clone();
        assert_eq!(told, format!("log: {}", path.display()));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&place), mode(&path)), (0o700, 0o600));
        let lines = lines(&path);
        let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["run", "said", "end"]);
        assert!(lines.iter().all(|line| line["time"].as_str().unwrap().ends_with('Z')), "{lines:?}");
        assert_eq!((&lines[1]["host"], &lines[2]["exit"]), (&json!("10.0.0.1"), &json!(7)));
    }

    #[test]
    fn it_is_bounded_and_says_so_and_how_it_ended() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = RunLog::begin(Some(directory.path().to_owned()), "exec");
        let text = "x".repeat(1 << 20);
        for _ in 0..100 {
            log.write(None, "said", &json!({ "text": text }));
        }
        let told = log.end(0);
        assert!(told.ends_with("it is not whole: more than 64 MiB of one run are not kept"), "{told}");
        assert!(fs::metadata(&log.path).unwrap().len() <= MAX_LOG);
        let lines = lines(&log.path);
        let last: Vec<_> = lines[lines.len() - 2..].iter().map(|line| line["event"].clone()).collect();
        assert_eq!((last, lines.len()), (vec![json!("incomplete"), json!("end")], 1 + 63 + 2));
    }

    #[test]
    fn where_it_cannot_be_written_the_run_goes_on() {
        let mut log = RunLog::begin(Some("/proc/nowhere".into()), "exec");
        log.write(None, "said", &json!({}));
        let told = log.end(0);
        assert!(told.starts_with("no log was written: /proc/nowhere: "), "{told}");
        // A disk that is full.
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut log = RunLog { file: Some(full), path: "/x".into(), room: MAX_LOG, trouble: None };
        log.write(None, "said", &json!({}));
        let told = log.end(0);
        assert!(told.starts_with("log: /x, and it is not whole: No space left on device"), "{told}");
    }

    #[test]
    fn the_newest_are_kept_and_nothing_else_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let file =
            |name: &str, length: usize| fs::write(directory.path().join(name), vec![b'x'; length]).unwrap();
        for second in 0..10 {
            file(&format!("20260101T00000{second}.000Z-ping-1.jsonl"), 100);
        }
        for other in ["notes.txt", "x.jsonl", "20260101.jsonl", "T.jsonl"] {
            file(other, 1000);
        }
        let names = || {
            let entries = fs::read_dir(directory.path()).unwrap().flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
            names.retain(|name| name.starts_with("20260101T"));
            names.sort();
            names
        };
        prune(directory.path(), 6, 10_000).unwrap();
        assert_eq!((names().len(), names()[0].as_str()), (6, "20260101T000004.000Z-ping-1.jsonl"));
        prune(directory.path(), 6, 350).unwrap();
        assert_eq!(names().len(), 3);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3 + 4);
    }
}
