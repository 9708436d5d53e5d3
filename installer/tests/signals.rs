//! Ctrl-C and its like while the real program has kubeadm join, on a host whose `/var/lib` and `/etc` are its own: what
//! becomes of kubeadm, what is told, what is left, and what the same command does next.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use host::{Host, eventually};
use node::paths;

#[path = "agent/host.rs"]
#[allow(dead_code, reason = "each of the tests uses a part of it")]
mod host;

const TOKEN: &str = "9vr73a.a8uxyaju799qwdjv";

/// Nothing but the join: neither kernel nor network is touched.
const JOIN: [&str; 9] = [
    "kubeadm",
    "join",
    "--master",
    "10.0.0.1",
    "--token",
    TOKEN,
    "--discovery-token-unsafe-skip-ca-verification",
    "--skip",
    "checks,modules,sysctl,rules,reach,hosts,pod",
];

fn join(host: &Host) -> Command {
    let mut command = host.command(Host::program());
    command.args(JOIN).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn send(signal: &str, process: u32) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

/// How it ended, and all that was said. Neither tells the token.
#[track_caller]
fn ended(child: Child) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert!(!said.contains("a8uxyaju799qwdjv"), "{said}");
    (status.code(), said)
}

/// As [`ended`], of a command that was not disturbed.
#[track_caller]
fn run(host: &Host) -> (Option<i32>, String) {
    ended(join(host).spawn().unwrap())
}

/// Waits until it has heard so many signals: two that come at once are one.
#[track_caller]
fn heard(child: &mut Child, words: &str) {
    use std::io::Read;
    let (mut said, mut byte) = (Vec::new(), [0]);
    let errors = child.stderr.as_mut().unwrap();
    while !String::from_utf8_lossy(&said).contains(words) {
        assert_eq!(errors.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
}

#[track_caller]
fn assert_no_secret(host: &Host) {
    for (path, text) in host.everything() {
        assert!(!text.contains("a8uxyaju799qwdjv"), "{path}: {text}");
    }
    assert!(!host.state().iter().any(|name| name.starts_with("kubeadm-join")), "{:?}", host.state());
}

const STOPPING: &str = "goes on to its end; the same signal again ends it";

#[test]
fn kubeadm_goes_on_to_its_end_after_the_first_signal_of_any_kind() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let host = Host::with_etc();
        let mut child = join(&host).spawn().unwrap();
        host.wait_for("begun");
        send(signal, child.id());
        heard(&mut child, STOPPING);
        // Nobody else may begin.
        let (code, said) = run(&host);
        assert_eq!(code, Some(9), "{said}");
        host.ends_with(0);
        let (code, said) = ended(child);
        // There was nothing more to do.
        assert_eq!(code, Some(0), "{signal}: {said}");
        assert!(said.contains("joined"), "{said}");
        assert_no_secret(&host);
        let (code, said) = run(&host);
        assert!(code == Some(0) && said.contains("this node has joined already"), "{signal}: {said}");
    }
}

#[test]
fn the_second_signal_ends_kubeadm_with_all_that_it_started_and_the_same_command_joins() {
    let host = Host::with_etc();
    host.note("starts");
    let mut child = join(&host).spawn().unwrap();
    host.wait_for("begun");
    let started = host.read_note("started");
    let process = Path::new("/proc").join(started.trim());
    assert!(process.exists());
    send("-TERM", child.id());
    heard(&mut child, STOPPING);
    send("-TERM", child.id());
    let (code, said) = ended(child);
    assert_eq!(code, Some(130), "{said}");
    for words in
        ["ending the program that is at work", "stopped, as was asked: kubeadm join ended with signal: 15"]
    {
        assert!(said.contains(words), "{said}");
    }
    // What is dead and not buried yet has no command line.
    eventually("the end of what it has started", || {
        fs::read(process.join("cmdline")).map_or(true, |line| line.is_empty())
    });
    assert_no_secret(&host);
    host.forget("starts");
    host.ends_with(0);
    let (code, said) = run(&host);
    assert!(code == Some(0) && said.contains("joined"), "{said}");
}

#[test]
fn a_join_that_was_cut_short_half_way_is_known_as_one() {
    let host = Host::with_etc();
    host.note("half");
    // It refuses to end: that takes a third signal.
    host.note("stubborn");
    let mut child = join(&host).spawn().unwrap();
    host.wait_for("begun");
    send("-INT", child.id());
    heard(&mut child, STOPPING);
    send("-INT", child.id());
    host.wait_for("refused");
    send("-INT", child.id());
    let (code, said) = ended(child);
    assert_eq!(code, Some(130), "{said}");
    for words in ["killing the program", "kubeadm join ended with signal: 9", "`kubeadm reset`"] {
        assert!(said.contains(words), "{said}");
    }
    assert_no_secret(&host);
    let (code, said) = run(&host);
    assert!(code == Some(11) && said.contains("a join of this node was begun"), "{said}");
    // Reset, as it was advised.
    host.remove(paths::KUBELET);
    host.forget("half");
    host.forget("stubborn");
    host.ends_with(0);
    assert_eq!(run(&host).0, Some(0));
}

#[test]
fn a_signal_before_kubeadm_joins_keeps_it_from_it() {
    let host = Host::with_etc();
    host.note("slow");
    let mut child = join(&host).spawn().unwrap();
    host.wait_for("asked");
    send("-TERM", child.id());
    heard(&mut child, STOPPING);
    host.forget("slow");
    let (code, said) = ended(child);
    assert!(code == Some(130) && said.contains("stopped between two steps"), "{said}");
    assert!(!host.has_note("begun"));
    assert!(host.state().is_empty(), "{:?}", host.state());
    host.ends_with(0);
    assert_eq!(run(&host).0, Some(0));
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let host = Host::with_etc();
    let mut command = host.command("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", Host::program()]).args(JOIN);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    host.wait_for("begun");
    send("-HUP", child.id());
    host.ends_with(0);
    let (code, said) = ended(child);
    assert!(code == Some(0) && !said.contains("stopping"), "{said}");
}

#[test]
fn whoever_only_looks_is_ended_at_once() {
    let host = Host::with_etc();
    host.note("slow");
    let mut command = join(&host);
    let child = command.arg("--dry-run").spawn().unwrap();
    host.wait_for("asked");
    send("-TERM", child.id());
    assert_eq!(ended(child).0, None);
    host.forget("slow");
}
