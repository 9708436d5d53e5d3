//! What tests and the stub of kubeadm have agreed upon.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The variable that says which version kubeadm is.
pub const VERSION: &str = "STUB_KUBEADM_VERSION";
/// The variable that says where the cluster's authority is.
pub const CA: &str = "STUB_KUBEADM_CA";
/// The variable that says how it fails: `preflight`, `kubelet-start`, `hang`, or `silent`, which is no failure but no
/// join either.
pub const FAIL: &str = "STUB_KUBEADM_FAIL";
/// Every call, one JSON object a line.
pub const RECORD: &str = "/run/stub-kubeadm.jsonl";
/// The token of the article of 2019, which is no secret; here it is treated as one.
pub const TOKEN: &str = "9vr73a.a8uxyaju799qwdjv";

/// Where the container runtime answers.
const RUNTIME: &str = "/run/containerd/containerd.sock";

/// A kubeadm and a container runtime on this machine.
pub struct Kubeadm {
    path: String,
    authority: String,
    _runtime: UnixListener,
}

impl Kubeadm {
    /// Installs both; `directory` is where kubeadm goes, `authority` the certificate of the cluster.
    pub fn install(directory: &Path, authority: &Path) -> Self {
        let bin = directory.join("bin");
        fs::create_dir_all(&bin).expect("a healthy guest");
        let _ = symlink("/bin/stub-kubeadm", bin.join("kubeadm"));
        fs::create_dir_all("/run/containerd").expect("a healthy guest");
        for old in [RUNTIME, RECORD] {
            let _ = fs::remove_file(old);
        }
        let runtime = UnixListener::bind(RUNTIME).expect("a healthy guest");
        Self {
            path: format!("PATH={}:/bin:/sbin", bin.display()),
            authority: format!("{CA}={}", authority.display()),
            _runtime: runtime,
        }
    }

    /// A command line in whose PATH kubeadm of this version is, which fails in this way.
    pub fn around(&self, version: &str, fail: &str, words: &[&str]) -> Vec<String> {
        let environment = [
            "env".to_owned(),
            self.path.clone(),
            self.authority.clone(),
            format!("{VERSION}={version}"),
            format!("{FAIL}={fail}"),
        ];
        environment.into_iter().chain(words.iter().map(ToString::to_string)).collect()
    }

    /// How kubeadm was called: its words, and the variables in which it found the token.
    pub fn calls(&self) -> Vec<(Vec<String>, Vec<String>)> {
        let text = fs::read_to_string(RECORD).unwrap_or_default();
        let strings = |value: &Value| -> Vec<String> {
            let all = value.as_array().expect("a list").iter();
            all.map(|word| word.as_str().expect("a text").to_owned()).collect()
        };
        let calls = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        calls.map(|call| (strings(&call["words"]), strings(&call["secret_variables"]))).collect()
    }
}

impl Kubeadm {
    /// Ends every kubeadm that is at work.
    pub fn end(&self) {
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let mut words = line.split(|byte| *byte == 0);
            if words.next().is_some_and(|word| word.ends_with(b"kubeadm"))
                && words.next() == Some(b"join")
                && let Some(id) = id
            {
                let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
            }
        }
    }
}

/// Looks at the command line of every process, again and again.
pub struct Sampler {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<String>>,
}

impl Sampler {
    /// Looks for `secret` in all but the installer, to which a person has typed it.
    pub fn start(secret: &'static str) -> Self {
        let (stop, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (stop.clone(), looks.clone());
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
                    let bytes = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
                    let words = line.split(' ').next().unwrap_or_default();
                    if words.ends_with("kubeadm") {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    let typed = words.ends_with("lvscare-installer") || words.ends_with("env");
                    if line.contains(secret) && !typed {
                        seen.push(line);
                    }
                }
                sleep(Duration::from_millis(2));
            }
            seen
        });
        Self { stop, looks, thread }
    }

    /// The command lines that held the secret, and how often kubeadm was looked at.
    pub fn stop(self) -> (Vec<String>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        (self.thread.join().expect("it does not panic"), self.looks.load(Ordering::Relaxed))
    }
}
