//! A program at a terminal of its own, and somebody who types.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::eventually;

/// A running program; dropping it kills it.
pub struct AtTerminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl AtTerminal {
    /// Starts `command` with all its streams at the terminal.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let terminal = openpty(None, None)?;
        let slave = File::from(terminal.slave);
        command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
        let child = command.spawn()?;
        // Whoever has it open keeps the terminal from its end.
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let keyboard = File::from(terminal.master);
        let (mut output, screen) = (keyboard.try_clone()?, Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&screen);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // When nobody has the other end it is an error.
            while let Ok(length @ 1..) = output.read(&mut piece) {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.extend_from_slice(piece.get(..length).unwrap_or_default());
            }
        });
        Ok(Self { child, keyboard, screen })
    }

    /// All that was written so far, with plain line ends; what was typed is echoed.
    pub fn screen(&self) -> String {
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&screen).replace("\r\n", "\n")
    }

    /// Waits until this is on the screen.
    #[track_caller]
    pub fn expect(&self, text: &str, limit: Duration) {
        eventually(limit, &format!("{text:?}"), || self.screen().contains(text).then_some(()));
    }

    /// Types it.
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("a terminal takes what is typed");
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().cast_signed());
        kill(id, signal).expect("the process is ours and not yet waited for");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        eventually(limit, "the end of a process", || self.child.try_wait().expect("the process is ours"))
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("--- on the screen of process {}:\n{}", self.child.id(), self.screen());
        }
    }
}
