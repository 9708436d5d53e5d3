//! Network namespaces, by name as the `ip` program keeps them.
//!
//! A thread can move into one and stay; programs started from such a thread are born inside. So nothing here needs
//! `ip netns exec`, whose mounts cost more time than the programs it runs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, setns};

use crate::process::Process;

/// A handle on a namespace; creating and deleting are `ip netns` commands.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// The namespace of that name.
    pub fn new(name: String) -> Self {
        Self { name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls `body` inside. Sockets opened there stay there, wherever they are used later.
    #[track_caller]
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let result = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.move_in();
                body()
            });
            inside.join()
        });
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Starts a thread that lives inside.
    pub fn thread<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let namespace = self.clone();
        thread::spawn(move || {
            namespace.move_in();
            body()
        })
    }

    /// Runs a program to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.enter(|| command(arguments).output()).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// Runs a program that must succeed, and returns what it printed.
    #[track_caller]
    pub fn check(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {arguments:?}: {}: {errors}", self.name, output.status);
        String::from_utf8(output.stdout).expect("text")
    }

    /// Starts a program in the background.
    #[track_caller]
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        let process = self.enter(|| Process::spawn(&mut command(arguments)));
        process.unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// Runs several `ip` commands, one a line, in one process.
    #[track_caller]
    pub fn ip(&self, script: &str) {
        self.enter(|| ip(script)).expect("every line is right");
    }

    /// Writes a setting below `net.`; the kernel shows each thread those of its own namespace.
    #[track_caller]
    pub fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        self.enter(|| fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    fn move_in(&self) {
        let path = format!("/run/netns/{}", self.name);
        let moved = File::open(&path)
            .map_err(|error| error.to_string())
            .and_then(|file| setns(file, CloneFlags::CLONE_NEWNET).map_err(|errno| errno.to_string()));
        moved.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// Runs several `ip` commands, one a line, in the namespace of the calling thread.
pub fn ip(script: &str) -> io::Result<()> {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn()?;
    // The pipe is dropped, and so closed, at the end of this statement.
    child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(script.as_bytes())?;
    match child.wait()? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("ip: {status} in:\n{script}"))),
    }
}

fn command(arguments: &[&str]) -> Command {
    let (program, arguments) = arguments.split_first().expect("a program");
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
