//! The process that watches over one run of a task, whatever becomes of whoever started it.
//!
//! Its standard input is the lock of the machine and its standard output the file that says that the run is alive; both
//! belong to the open file, so that they are held until this process ends. Its errors go to the run's log, beside what
//! the program prints.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd, pwrite};

use super::name::RunId;
use super::runs::{End, Runs, What};
use crate::api::{Failure, Kind};
use crate::facts::kubelet;
use crate::journal::Journal;
use crate::machine::{Machine, programs};

/// Programs that end at once are not waited for long,
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// and those that go on are looked at so often: a log grows beyond its bound for no longer.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Runs the task of a run to its end, and says how it ended.
pub fn supervise<M: Machine>(
    runs: &Runs,
    id: &RunId,
    machine: &mut M,
    lock: impl AsFd,
    alive: impl AsFd,
) -> Result<(), Failure> {
    // Nothing that happens to the session of whoever started us is for us.
    let _ = rustix::process::setsid();
    let failed = |what: &str, error: &io::Error| Failure::io(format_args!("{what} of the run {id}"), error);
    let run = runs.get(id).map_err(|error| failed("read what.json", &error))?;
    let Some(run) = run else {
        return Err(Failure::new(Kind::Invalid, format!("there is no run {id}")));
    };
    let reserved = runs.reserve_end(id).map_err(|error| failed("set room aside for the end", &error))?;
    let end = match start(runs, &run.what, lock.as_fd().try_clone_to_owned()) {
        Ok(mut child) => {
            say(&alive, &child.id().to_string());
            wait(&mut child, runs, id).map_or_else(|error| End::NotStarted { why: error.to_string() }, ended)
        }
        Err(error) => {
            let name = run.what.line.words.first().map_or("", String::as_str);
            say(&alive, "-");
            End::NotStarted { why: format!("cannot run {name}: {error}") }
        }
    };
    // kubeadm writes kubelet's kubeconfig long before it is done; only its own word says that it is.
    if run.what.task.joins() && (end.is_success() || kubelet::joined(machine).is_none()) {
        Journal::of(machine)?.end_join(machine)?;
    }
    for path in run.what.task.secrets() {
        let _ = fs::remove_file(path);
    }
    reserved.record(&end).map_err(|error| failed("record the end", &error))
}

/// From then on whoever started us need not wait any more.
fn say(alive: impl AsFd, word: &str) {
    let _ = pwrite(alive, format!("{word}\n").as_bytes(), 0);
}

fn start(runs: &Runs, what: &What, lock: io::Result<OwnedFd>) -> io::Result<Child> {
    let mut words = what.line.words.iter();
    let mut command = Command::new(words.next().ok_or(io::ErrorKind::InvalidInput)?);
    let log = runs.log(&what.id)?;
    command.args(words).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // A group of its own can be sent a signal, with all that it has started and without us.
    command.process_group(0);
    if let Some(directory) = &what.line.directory {
        command.current_dir(directory);
    }
    programs::withhold_secrets(&mut command);
    let lock = lock?;
    if what.task.keeps_lock() {
        fcntl_setfd(&lock, FdFlags::empty())?;
    }
    command.spawn()
}

/// Waits for its end, and keeps its log within its bound meanwhile.
fn wait(child: &mut Child, runs: &Runs, id: &RunId) -> io::Result<ExitStatus> {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let status = child.try_wait()?;
        // A log that cannot be cut is no reason to lose how the program ends.
        let _ = runs.bound_log(id);
        if let Some(status) = status {
            return Ok(status);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn ended(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited { code },
        (None, Some(signal)) => End::Killed { signal },
        (None, None) => End::Lost,
    }
}
