//! A program in the background that does not outlive its test.

use std::fs;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

use crate::wait::eventually;

/// A running program; dropping it kills it.
pub struct Process {
    child: Child,
    log: NamedTempFile,
}

impl Process {
    /// Starts `command` with its output in a file, so that no pipe can fill up and stop it.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let log = NamedTempFile::new()?;
        // Clones share the position in the file; opened twice, each stream would overwrite the other.
        let (out, err) = (log.as_file().try_clone()?, log.as_file().try_clone()?);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Ok(Self { child: command.spawn()?, log })
    }

    /// Its process id.
    pub fn id(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(self.id(), signal).expect("the process is ours and not yet waited for");
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process is ours")
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        eventually(limit, "the end of a process", || self.ended())
    }

    /// Everything it has written so far, both streams in one.
    pub fn log(&self) -> String {
        fs::read(self.log.path()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A failed test wants to know what its programs said; libtest shows this for failed tests only.
        let log = self.log();
        if std::thread::panicking() && !log.is_empty() {
            println!("--- process {} said:\n{log}", self.child.id());
        }
    }
}
