//! A host of its own: its `/var/lib` is a file system in memory that nobody else sees, its kubeadm a script.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use node::agent::wire::{Answer, Command, Hello, Reply, encode};
use node::api::Failure;
use node::paths;
use node::step::Digest;

/// For what happens at all, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(120);

/// Says what it was told, and ends when and as it is told.
const KUBEADM: &str = r#"#!/bin/sh
cd "$NOTES"
if [ "$1" = version ]; then
    touch asked
    while [ -e slow ]; do sleep 0.05; done
    echo v1.34.1; echo noise >&2; exit
fi
[ -e stubborn ] && trap 'touch refused' TERM
[ -e endless ] && exec yes "of what nobody reads"
[ -e half ] && echo "kind: Config" > /etc/kubernetes/kubelet.conf
if [ -e starts ]; then sleep 600 & echo $! > started; fi
if [ -e noisy ]; then yes | head -c 4000000; fi
echo "kubeadm $*"
echo "to stderr" >&2
env > environment
touch begun
until [ -s ends ]; do [ -e kubeadm ] || exit 9; sleep 0.05; done
echo "the last line"
if [ "$1$(cat ends)" = join0 ]; then echo "kind: Config" > /etc/kubernetes/kubelet.conf; fi
exit "$(cat ends)"
"#;

/// Whether `is_so` comes true.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LIMIT, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ends a process at once.
pub(crate) fn kill(process: u32) {
    assert!(Process::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
}

/// The children of a process.
pub(crate) fn children(process: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// Arguments and variables of all processes but this one.
pub(crate) fn seen_of_processes() -> Vec<(String, String)> {
    let own = std::process::id().to_string();
    let mut seen = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        if name == own || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        for file in ["cmdline", "environ"] {
            if let Ok(bytes) = fs::read(entry.path().join(file)) {
                seen.push((format!("{name}/{file}"), String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    seen
}

/// A mount namespace, which lives as long as the program that waits in it.
pub(crate) struct Host {
    keeper: Child,
    notes: tempfile::TempDir,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::with_room("64m")
    }

    /// Its `/etc` is its own as well, with nothing in it.
    pub(crate) fn with_etc() -> Self {
        Self::made("64m", "mount -t tmpfs tmpfs /etc && mkdir /etc/kubernetes")
    }

    /// So much may be in its `/var/lib`.
    pub(crate) fn with_room(size: &str) -> Self {
        Self::made(size, ":")
    }

    fn made(size: &str, more: &str) -> Self {
        let notes = tempfile::tempdir().unwrap();
        let kubeadm = notes.path().join("kubeadm");
        fs::write(&kubeadm, KUBEADM).unwrap();
        fs::set_permissions(&kubeadm, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Process::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg(format!("mount -t tmpfs -o size=$0 tmpfs /var/lib && {more} && echo ready && exec cat"));
        command.arg(size);
        // It ends with us, however we end.
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "a mount namespace is needed (root, or user namespaces)");
        Self { keeper, notes }
    }

    pub(crate) fn program() -> &'static str {
        env!("CARGO_BIN_EXE_lvscare-installer")
    }

    /// A program on this host.
    pub(crate) fn command(&self, program: &str) -> Process {
        let mut command = Process::new("nsenter");
        command.args(["--target", &self.keeper.id().to_string(), "--mount"]);
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program);
        // Neither the machine's own kubeadm nor its systemd.
        let path = format!("{}:{}", self.notes.path().display(), self.tools());
        command.env("PATH", path).env("NOTES", self.notes.path());
        command
    }

    /// Only what the script needs.
    fn tools(&self) -> String {
        let tools = self.notes.path().join("tools");
        if !tools.exists() {
            fs::create_dir(&tools).unwrap();
            for tool in ["sh", "cat", "sleep", "touch", "env", "yes", "head", "nsenter"] {
                let known = ["/usr/bin", "/bin"].map(|directory| Path::new(directory).join(tool));
                let known = known.iter().find(|path| path.exists()).unwrap();
                std::os::unix::fs::symlink(known, tools.join(tool)).unwrap();
            }
        }
        tools.display().to_string()
    }

    pub(crate) fn agent(&self) -> Agent {
        self.agent_with(&[])
    }

    pub(crate) fn agent_with(&self, variables: &[(&str, &str)]) -> Agent {
        let mut command = self.command(Self::program());
        command.args(["agent", "n0nce"]).envs(variables.iter().copied());
        Agent::begin(command)
    }

    /// A file of this host, from outside.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.keeper.id()))
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn length(&self, path: &str) -> u64 {
        fs::metadata(self.path(path)).map_or(0, |meta| meta.len())
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().mode() & 0o7777
    }

    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(directory)) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// What the installer keeps.
    pub(crate) fn state(&self) -> Vec<String> {
        self.names(paths::STATE)
    }

    /// Every file of its `/var/lib`, and what is in it.
    pub(crate) fn everything(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut directories = vec![self.path("/var/lib")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    directories.push(entry.path());
                } else {
                    let bytes = fs::read(entry.path()).unwrap();
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    all.push((entry.path().display().to_string(), text));
                }
            }
        }
        assert!(!all.is_empty());
        all
    }

    /// Tells kubeadm something.
    pub(crate) fn note(&self, name: &str) {
        fs::write(self.notes.path().join(name), "").unwrap();
    }

    pub(crate) fn forget(&self, name: &str) {
        fs::remove_file(self.notes.path().join(name)).unwrap();
    }

    pub(crate) fn has_note(&self, name: &str) -> bool {
        self.notes.path().join(name).exists()
    }

    /// Removes a file of this host.
    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    pub(crate) fn read_note(&self, name: &str) -> String {
        fs::read_to_string(self.notes.path().join(name)).unwrap()
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, name: &str) {
        eventually(name, || self.notes.path().join(name).exists());
    }

    /// Lets kubeadm end with this code.
    pub(crate) fn ends_with(&self, code: i32) {
        fs::write(self.notes.path().join("ends"), code.to_string()).unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Whatever is still at work ends with it, also what has long left its parent.
        for process in processes_of(self.keeper.id()) {
            let _ = Process::new("kill").args(["-KILL", &process.to_string()]).status();
        }
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Those in the same mount namespace, but for that one.
fn processes_of(keeper: u32) -> Vec<u32> {
    let namespace = |process: u32| fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
    let of_keeper = namespace(keeper);
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.filter(|process| *process != keeper && namespace(*process) == of_keeper).collect()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The program on the other side of two pipes.
pub(crate) struct Agent {
    pub(crate) child: Child,
    pub(crate) input: Option<ChildStdin>,
    /// Of its program.
    pub(crate) sha256: Digest,
    output: BufReader<ChildStdout>,
}

impl Agent {
    /// One that has said who it is.
    pub(crate) fn begin(mut command: Process) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, mut output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        assert_eq!(line(&mut output).as_deref(), Some("n0nce"));
        let hello: Hello = serde_json::from_str(&line(&mut output).unwrap()).unwrap();
        assert_eq!(hello.nonce.as_str(), "n0nce");
        Self { child, input, sha256: hello.sha256, output }
    }

    pub(crate) fn say(&mut self, command: &Command) {
        self.input.as_mut().unwrap().write_all(&encode(command).unwrap()).unwrap();
    }

    pub(crate) fn say_line(&mut self, line: &str) {
        self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    pub(crate) fn reply(&mut self) -> Option<Reply> {
        Some(serde_json::from_str(&line(&mut self.output)?).unwrap())
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, command: &Command) -> (Vec<Reply>, Result<Answer, Failure>) {
        self.say(command);
        self.replies()
    }

    #[track_caller]
    pub(crate) fn replies(&mut self) -> (Vec<Reply>, Result<Answer, Failure>) {
        let (replies, answer) = self.replies_or_end();
        (replies, answer.unwrap_or_else(|| panic!("the session has ended")))
    }

    pub(crate) fn replies_or_end(&mut self) -> (Vec<Reply>, Option<Result<Answer, Failure>>) {
        let mut before = Vec::new();
        loop {
            match self.reply() {
                None => return (before, None),
                Some(Reply::Done { answer }) => return (before, Some(Ok(answer))),
                Some(Reply::Failed { failure }) => return (before, Some(Err(failure))),
                Some(event) => before.push(event),
            }
        }
    }
}

fn line(output: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.strip_suffix('\n').map(str::to_owned)
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.input.take());
        let mut rest = Vec::new();
        let _ = self.output.read_to_end(&mut rest);
        let _ = self.child.wait();
    }
}
