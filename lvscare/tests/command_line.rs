//! The program as it is run: what it makes of its environment, of files that never end, and of a node that has nothing
//! left to give. No root, no kernel.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

const VALID: &str = "the configuration is valid: virtual servers: 1, real servers: 1\n";

fn lvscare(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvscare"));
    command.args(words.split_whitespace()).env_clear().stdin(Stdio::null());
    command
}

/// What it says, if it comes to an end.
fn output(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let child = ended(child);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn ended(mut child: Child) -> Child {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("it does not come to an end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn said(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = output(command);
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

#[test]
fn an_empty_variable_says_nothing() {
    let names = [
        "VS",
        "SCHEDULER",
        "NODE_IP",
        "PREFER_LOCAL",
        "INTERVAL",
        "FALL",
        "HEALTH_SCHEME",
        "HEALTH_STATUS",
        "CA_FILE",
        "TOKEN_FILE",
        "CONFIG",
        "KUBECONFIG",
        "LISTEN",
        "STATE_DIR",
        "LOG",
        "LOG_FORMAT",
        "RESYNC",
    ];
    for name in names {
        let mut command = lvscare("config check --rs 10.0.0.1:6443");
        let answer = said(command.env(format!("LVSCARE_{name}"), ""));
        assert_eq!(answer, (Some(0), VALID.to_owned()), "{name}");
    }
    let (exit, why) = said(lvscare("config check").env("LVSCARE_RS", ""));
    assert_eq!(exit, Some(2));
    assert!(why.contains("no real server given"), "{why}");
    let answer = said(lvscare("config check").env("LVSCARE_RS", "10.0.0.1:6443"));
    assert_eq!(answer, (Some(0), VALID.to_owned()));
}

#[test]
fn yes_and_no_in_every_usual_word() {
    for (word, meaning) in
        [("1", true), ("yes", true), ("true", true), ("0", false), ("no", false), ("false", false)]
    {
        let wanted = format!("preferLocal: {meaning}");
        let (exit, text) = said(lvscare("config print --rs 10.0.0.1:6443").env("LVSCARE_PREFER_LOCAL", word));
        assert!(exit == Some(0) && text.contains(&wanted), "{word}: {text}");
        let (_, text) = said(&mut lvscare(&format!("config print --rs 10.0.0.1:6443 --prefer-local={word}")));
        assert!(text.contains(&wanted), "{word}: {text}");
    }
    let (exit, why) = said(lvscare("config check --rs 10.0.0.1:6443").env("LVSCARE_PREFER_LOCAL", "perhaps"));
    assert!(exit == Some(2) && why.contains("'perhaps'") && why.contains("--prefer-local"), "{why}");
}

/// A variable is for all commands; only what was typed contradicts what was typed.
#[test]
fn clean_takes_a_file_beside_a_variable() {
    let words = "clean --config /nowhere/lvscare.yaml";
    let nowhere = "lvscare: /nowhere/lvscare.yaml: No such file or directory (os error 2)\n";
    assert_eq!(said(lvscare(words).env("LVSCARE_VS", "192.0.2.7:6443")), (Some(2), nowhere.to_owned()));
    let (exit, why) = said(&mut lvscare(&format!("{words} --vs 192.0.2.7:6443")));
    assert_eq!(exit, Some(2));
    assert!(why.starts_with("lvscare: the argument '--vs <IP:PORT>' cannot be used with"), "{why}");
    let (exit, why) = said(&mut lvscare("clean --all --vs 192.0.2.7:6443"));
    assert!(exit == Some(2) && why.contains("cannot be used with '--all'"), "{why}");
}

#[test]
fn files_that_are_none_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    pipe(&path);
    let path = path.display();
    let kubeconfig = directory.path().join("kubeconfig");
    fs::write(&kubeconfig, "[".repeat(200_000)).unwrap();
    for words in [
        format!("config check --config {path}"),
        format!("care --config {path}"),
        format!("clean --config {path}"),
        format!("care --clean --config {path}"),
        format!("config check --rs 10.0.0.1:6443 --ca-file {path}"),
        format!("config check --rs 10.0.0.1:6443 --cert-file {path}"),
        "config check --config /dev/zero".to_owned(),
        "config check --rs 10.0.0.1:6443 --ca-file /dev/zero".to_owned(),
    ] {
        let (exit, why) = said(&mut lvscare(&words));
        assert!(exit == Some(2) && why.ends_with(": not a regular file\n"), "{words}: {why}");
    }
    let (exit, why) = said(&mut lvscare(&format!("config check --config {}", kubeconfig.display())));
    assert!(exit == Some(2) && why.contains("200000 brackets"), "{why}");
}

/// Where nobody else is, and no packet leads anywhere.
fn alone(script: &str) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "bash", "-c", script, env!("CARGO_BIN_EXE_lvscare")]).stdin(Stdio::null());
    command
}

/// Every user can start a program called lvscare that names any file.
#[test]
fn nobody_keeps_the_doctor_waiting() {
    let directory = tempfile::tempdir().unwrap();
    pipe(&directory.path().join("pipe"));
    pipe(&directory.path().join("hold"));
    let script = r#"
        exec 3<>hold
        for file in "$PWD/pipe" /dev/zero; do
            bash -c 'exec -a lvscare sh -c "read line" care --config "$0"' "$file" <&3 &
            others="$others $!"
            until grep -q ^lvscare /proc/$!/cmdline; do sleep 0.01; done
        done
        "$0" doctor --listen none --timeout 100ms --rs 10.0.0.1:6443 -o json
        kill $others
    "#;
    let answer = output(alone(script).current_dir(directory.path()));
    let text = String::from_utf8([answer.stdout, answer.stderr].concat()).unwrap();
    assert!(text.contains("\"findings\""), "{text}");
}

/// Few descriptors are a reason to give up, never to abort.
#[test]
fn a_node_without_descriptors_is_told() {
    let mut refusals = 0;
    for limit in 4..24 {
        let script = format!("ulimit -n {limit}; exec \"$0\" doctor --listen none --rs 10.0.0.1:6443");
        let answer = output(&mut alone(&script));
        let text = String::from_utf8_lossy(&answer.stderr).into_owned();
        assert_eq!(answer.status.code(), Some(1), "{limit} descriptors: {text}");
        refusals += u32::from(text.contains("cannot start: Too many open files"));
    }
    assert!((1..20).contains(&refusals), "{refusals} refusals");
}

/// `lvscare completion bash | head -1`.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for words in ["completion bash", "config schema", "version", "--help"] {
        let mut child = lvscare(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut why = String::new();
        child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
        assert_eq!(ended(child).wait().unwrap().code(), Some(0), "{words}: {why}");
    }
}

#[test]
fn nothing_that_was_typed_reaches_the_terminal_raw() {
    let mut command = lvscare("config check --rs 10.0.0.1:6443 --config");
    let (exit, why) = said(command.arg("/nowhere/\x1b[2J\u{9b}"));
    assert_eq!(exit, Some(2));
    assert_eq!(why, "lvscare: /nowhere/\\x1b[2J\\u{9b}: No such file or directory (os error 2)\n");
}
