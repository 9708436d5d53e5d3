//! Programs of the machine: bounded in time and in what they may say.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process_group};

use super::Cancel;
use crate::spec::secret::Secret;

/// More than that of what a program says is nobody's concern.
const MAX_SAID: u64 = 1 << 20;

/// What is still to be read when a program has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Variables in which a secret may have come to us: no program needs them.
const SECRETS: [&str; 1] = ["LVSCARE_JOIN_TOKEN"];

const PAUSE: Duration = Duration::from_millis(10);

/// Between two looks at a program that may take minutes.
const LONG_PAUSE: Duration = Duration::from_millis(100);

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name, looked up in `PATH`.
    pub name: &'static str,
    /// Its arguments.
    pub words: Vec<String>,
    /// How long it may take; `None`: as long as it wants, and what it says is for people, not for us.
    pub limit: Option<Duration>,
    /// What it reads; where nobody else sees it, unlike an argument.
    pub input: Option<Secret>,
}

impl Program {
    /// One that is asked something.
    pub fn asked(name: &'static str, words: &[&str], limit: Duration) -> Self {
        let words = words.iter().map(ToString::to_string).collect();
        Self { name, words, limit: Some(limit), input: None }
    }
}

/// How a program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Whether it says that all is well.
    pub success: bool,
    /// How it ended, in words.
    pub how: String,
    /// What it said.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Finished {
    /// Why it failed, in its own words or else by how it ended.
    pub fn complaint(&self) -> &str {
        match self.stderr.trim() {
            "" => &self.how,
            said => said,
        }
    }
}

/// Where programs speak that speak to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// To our own output and errors.
    Both,
    /// To our own errors only: our output is a document.
    Errors,
}

/// A run of a task, as its supervisor gets it.
#[derive(Clone, Copy, Debug)]
pub struct Supervised<'a> {
    /// Its name.
    pub id: &'a str,
    /// The file that says that it is alive, which becomes the supervisor's standard output.
    pub alive: &'a File,
    /// Its log, to which the supervisor's errors go.
    pub log: &'a File,
}

/// That systemd runs this machine (`sd_booted(3)`).
const SYSTEMD: &str = "/run/systemd/system";

/// How long a supervisor may take to begin, on a machine that is busy.
const BEGINS: Duration = Duration::from_secs(60);

/// Starts this very program as the supervisor of a run, with the lock as its standard input. Where systemd is, in a scope of
/// its own: logind may end all that belongs to a session when the session ends (`KillUserProcesses=`, `logind.conf(5)`).
pub(super) fn supervise(
    run: &Supervised<'_>,
    lock: &dyn Fn() -> io::Result<OwnedFd>,
    is_begun: &dyn Fn() -> bool,
) -> io::Result<()> {
    let words = ["agent", "--supervise", run.id];
    if Path::new(SYSTEMD).exists() {
        let mut command = Command::new("systemd-run");
        command.args(["--scope", "--quiet", "--slice=system.slice", "--"]);
        // A systemd that cannot do so is no reason not to run it; its complaint is in the log.
        if let Ok(own) = env::current_exe()
            && begin(command.arg(own).args(words), run, lock()?, is_begun).is_ok()
        {
            return Ok(());
        }
    }
    begin(Command::new("/proc/self/exe").args(words), run, lock()?, is_begun)
}

fn begin(
    command: &mut Command,
    run: &Supervised<'_>,
    lock: OwnedFd,
    is_begun: &dyn Fn() -> bool,
) -> io::Result<()> {
    withhold_secrets(command);
    command.stdin(lock).stdout(run.alive.try_clone()?).stderr(run.log.try_clone()?);
    let mut child = command.spawn()?;
    let begin = Instant::now();
    loop {
        let status = child.try_wait()?;
        if is_begun() {
            return Ok(());
        }
        if let Some(status) = status {
            return Err(io::Error::other(format!("its supervisor ended with {status}; see the log")));
        }
        if begin.elapsed() > BEGINS {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its supervisor does not begin"));
        }
        thread::sleep(PAUSE);
    }
}

/// Runs it, in a group of its own, so that a terminal's Ctrl-C does not end it beside us; `cancel` does. A program without a
/// limit keeps `lock` open: should we end first, the machine stays locked until it ends.
pub(super) fn run(
    program: &Program,
    terminal: Terminal,
    lock: Option<BorrowedFd<'_>>,
    cancel: &Cancel,
) -> io::Result<Finished> {
    let mut command = Command::new(program.name);
    command.args(&program.words).stdin(Stdio::null()).process_group(0);
    withhold_secrets(&mut command);
    if let Some(limit) = program.limit {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if program.input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn()?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), program.input.clone()) {
            // One that does not read it ends in its own way, and says so.
            thread::spawn(move || pipe.write_all(input.reveal().as_bytes()));
        }
        return bounded(child, limit, cancel);
    }
    if terminal == Terminal::Errors {
        command.stdout(io::stderr());
    }
    if let Some(lock) = lock {
        fcntl_setfd(lock, FdFlags::empty())?;
    }
    let child = command.spawn();
    if let Some(lock) = lock {
        fcntl_setfd(lock, FdFlags::CLOEXEC)?;
    }
    let status = wait(&mut child?, None, cancel)?;
    Ok(Finished { success: status.success(), how: status.to_string(), ..Finished::default() })
}

/// What came to us as a secret is for nobody else.
pub fn withhold_secrets(command: &mut Command) {
    for variable in SECRETS {
        command.env_remove(variable);
    }
}

fn bounded(mut child: Child, limit: Duration, cancel: &Cancel) -> io::Result<Finished> {
    let out = child.stdout.take().map(listen);
    let err = child.stderr.take().map(listen);
    let status = wait(&mut child, Some(limit), cancel)?;
    // A child of its own may keep the other end open.
    let said = |words: Option<mpsc::Receiver<String>>| {
        words.and_then(|words| words.recv_timeout(LAST_WORDS).ok()).unwrap_or_default()
    };
    Ok(Finished { success: status.success(), how: status.to_string(), stdout: said(out), stderr: said(err) })
}

/// Waits for its end. What takes too long is ended with all that it has started, and so is what nobody wants any more.
fn wait(child: &mut Child, limit: Option<Duration>, cancel: &Cancel) -> io::Result<ExitStatus> {
    let (begin, mut sent) = (Instant::now(), None);
    let pause = if limit.is_some() { PAUSE } else { LONG_PAUSE };
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let signal = unwanted(cancel.times());
        if signal != sent {
            sent = signal;
            send(child, signal);
        }
        if let Some(limit) = limit.filter(|limit| begin.elapsed() > *limit) {
            send(child, Some(Signal::KILL));
            child.wait()?;
            let why = format!("no answer in {} s", limit.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        thread::sleep(pause);
    }
}

/// What a program gets when it was said so often that nobody wants it any more. One that is cut short may leave things
/// half-way, so that at first it goes on to its end.
fn unwanted(times: u32) -> Option<Signal> {
    match times {
        0 | 1 => None,
        2 => Some(Signal::TERM),
        _ => Some(Signal::KILL),
    }
}

/// To a child that has not been waited for, and to all that it has started.
fn send(child: &Child, signal: Option<Signal>) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let (Some(group), Some(signal)) = (group, signal) {
        let _ = kill_process_group(group, signal);
    }
}

/// Reads all that is said, and keeps the beginning.
fn listen(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (told, words) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.by_ref().take(MAX_SAID).read_to_end(&mut bytes);
        let _ = told.send(String::from_utf8_lossy(&bytes).into_owned());
        let _ = io::copy(&mut pipe, &mut io::sink());
    });
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str, limit: Duration) -> io::Result<Finished> {
        let program = Program::asked("sh", &["-c", text], limit);
        run(&program, Terminal::Both, None, &Cancel::default())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_said_is_heard_and_how_it_ended() {
        let finished = shell("echo yes; echo no >&2; exit 3", LONG).unwrap();
        assert_eq!((finished.success, finished.stdout.trim(), finished.complaint()), (false, "yes", "no"));
        assert_eq!(shell("exit 3", LONG).unwrap().complaint(), "exit status: 3");
        assert!(shell("true", LONG).unwrap().success);
        let none = Program::asked("no-such-program", &[], LONG);
        assert_eq!(
            run(&none, Terminal::Both, None, &Cancel::default()).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn what_is_to_be_read_is_read() {
        let mut program = Program::asked("sh", &["-c", "cat; sleep 0"], LONG);
        program.input = Some("canary ".repeat(100_000).into());
        let finished = run(&program, Terminal::Both, None, &Cancel::default()).unwrap();
        assert_eq!(finished.stdout.len(), 700_000);
        assert!(!format!("{program:?}").contains("canary"));
        program.words = vec!["-c".to_owned(), "exec <&-; exit 3".to_owned()];
        assert_eq!(run(&program, Terminal::Both, None, &Cancel::default()).unwrap().how, "exit status: 3");
    }

    #[test]
    fn who_hangs_is_ended_and_who_talks_too_much_is_not_listened_to() {
        let refusal = shell("sleep 600", Duration::from_millis(200)).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::TimedOut);
        let finished = shell("head -c 5000000 /dev/zero", LONG).unwrap();
        assert!(finished.success);
        assert_eq!(finished.stdout.len() as u64, MAX_SAID);
        // A child in the background does not keep us.
        assert!(shell("sleep 5 & echo done", LONG).unwrap().success);
    }
    #[test]
    fn what_nobody_wants_any_more_goes_on_is_ended_and_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let begun = directory.path().join("begun");
        // Without a limit as with one; what it has started ends with it.
        for (limit, text, times, how) in [
            (None, "", 1, "exit status: 0"),
            (Some(LONG), "", 1, "exit status: 0"),
            (None, "sleep 600 &", 2, "signal: 15 (SIGTERM)"),
            (Some(LONG), "sleep 600 &", 2, "signal: 15 (SIGTERM)"),
            (None, "trap '' TERM;", 3, "signal: 9 (SIGKILL)"),
        ] {
            let _ = std::fs::remove_file(&begun);
            let wait = if times == 1 { "sleep 0.3" } else { "sleep 600" };
            let words = vec!["-c".to_owned(), format!("{text} : > {}; {wait}", begun.display())];
            let (program, cancel) = (Program { name: "sh", words, limit, input: None }, Cancel::default());
            let finished = thread::scope(|scope| {
                let ended = scope.spawn(|| run(&program, Terminal::Both, None, &cancel).unwrap());
                while !begun.exists() {
                    thread::sleep(PAUSE);
                }
                for _ in 0..times {
                    cancel.ask_again();
                }
                ended.join().unwrap()
            });
            assert_eq!(finished.how, how, "{limit:?} {text}");
        }
    }
}
