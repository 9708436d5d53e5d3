//! The agent as it is, the real program over real pipes, on a host whose `/var/lib` is its own (a mount namespace). What
//! a task does is a stub; that it goes on, who is told and what stays are real.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use agent_host::{Agent, Host, children, eventually, kill};
use node::agent::runs::{End, MAX_LOG};
use node::agent::task::{Kubeadm, Systemctl, Task};
use node::agent::wire::{Answer, Command, FileContent, Reply, TaskSignal, WriteFile};
use node::api::Kind;
use node::paths;
use node::step::Content;

#[path = "agent/host.rs"]
#[allow(dead_code, reason = "each of the tests uses a part of it")]
mod agent_host;

fn reset() -> Task {
    Task::Kubeadm(Kubeadm::Reset { cri_socket: None })
}

fn start(id: &str, task: Task) -> Command {
    Command::Start { id: id.parse().unwrap(), task }
}

fn attach(id: &str) -> Command {
    Command::Attach { id: id.parse().unwrap(), from: 0 }
}

fn signal(id: &str, signal: TaskSignal) -> Command {
    Command::Signal { id: id.parse().unwrap(), signal }
}

fn lock() -> Command {
    Command::Lock { by: "a test".to_owned() }
}

/// What a task printed, and how it ended.
fn follow(agent: &mut Agent, id: &str) -> (String, End) {
    let (replies, answer) = agent.ask(&attach(id));
    let mut log = Vec::new();
    for reply in replies {
        let Reply::Log { from, bytes } = reply else { panic!("{reply:?}") };
        assert_eq!(from, log.len() as u64);
        log.extend(bytes);
    }
    let Ok(Answer::Ended(end)) = answer else { panic!("{answer:?}") };
    (String::from_utf8(log).unwrap(), end)
}

#[test]
fn a_task_outlives_agent_and_parent_and_keeps_the_host_locked() {
    let host = Host::new();
    let mut shell = host.command("sh");
    shell.args(["-c", "\"$0\" agent n0nce; :", Host::program()]);
    let mut first = Agent::begin(shell);
    first.ask(&start("one", reset())).1.unwrap();
    host.wait_for("begun");
    let parent = first.child.id();
    for process in children(parent).into_iter().chain([parent]) {
        kill(process);
    }
    first.child.wait().unwrap();

    let mut second = host.agent();
    for command in [lock(), start("two", reset())] {
        let failure = second.ask(&command).1.unwrap_err();
        assert_eq!(failure.kind, Kind::Locked);
        for word in ["task one", "since "] {
            assert!(failure.message.contains(word), "{failure}");
        }
    }
    let Ok(Answer::Tasks { runs }) = second.ask(&Command::Tasks).1 else { panic!() };
    assert_eq!((runs.len(), &runs[0].what.task, &runs[0].end), (1, &reset(), &None));
    host.ends_with(3);
    let (log, end) = follow(&mut second, "one");
    assert_eq!(log, "kubeadm reset --force\nto stderr\nthe last line\n");
    assert_eq!(end, End::Exited { code: 3 });
    // Asked again, it says the same, and the host is free.
    assert_eq!(follow(&mut second, "one"), (log, end));
    eventually("the lock is free", || second.ask(&lock()).1.is_ok());
    second.ask(&Command::Bye { forget: true }).1.unwrap();
    eventually("nothing is left behind", || host.state().is_empty());
}

#[test]
fn a_task_is_followed_while_it_is_at_work_and_the_link_may_be_cut() {
    let host = Host::new();
    let mut agent = host.agent();
    agent.ask(&lock()).1.unwrap();
    agent.ask(&start("one", reset())).1.unwrap();
    agent.say(&attach("one"));
    let mut seen = Vec::new();
    while !seen.ends_with(b"to stderr\n") {
        let Reply::Log { bytes, .. } = agent.reply().unwrap() else { panic!() };
        seen.extend(bytes);
    }
    // The other side hangs up: the agent ends, the task does not.
    drop(agent.input.take());
    assert!(agent.child.wait().unwrap().success());
    let mut agent = host.agent();
    host.ends_with(0);
    let (log, end) = follow(&mut agent, "one");
    assert!(log.ends_with("the last line\n") && end.is_success(), "{log} {end:?}");
}

#[test]
fn a_supervisor_that_is_killed_is_told_as_lost_and_its_program_keeps_the_lock() {
    let host = Host::new();
    let mut agent = host.agent();
    agent.ask(&start("one", reset())).1.unwrap();
    host.wait_for("begun");
    let note = host.read(paths::LOCK);
    let supervisor = note.split([' ', ',']).nth(1).unwrap().parse().unwrap();
    kill(supervisor);
    let (_, end) = follow(&mut agent, "one");
    assert_eq!(end, End::Lost);
    assert!(!end.is_success());
    // kubeadm is still at work: nobody else may be.
    assert_eq!(agent.ask(&lock()).1.unwrap_err().kind, Kind::Locked);
    host.ends_with(0);
    eventually("the program has let go of the lock", || agent.ask(&lock()).1.is_ok());
    assert_eq!(follow(&mut agent, "one").1, End::Lost, "what it came to was not seen by anybody");
}

#[test]
fn signals_reach_the_program_and_all_that_it_started() {
    let host = Host::new();
    let mut agent = host.agent();
    agent.ask(&start("term", reset())).1.unwrap();
    host.wait_for("begun");
    agent.ask(&signal("term", TaskSignal::Term)).1.unwrap();
    assert_eq!(follow(&mut agent, "term").1, End::Killed { signal: 15 });
    assert!(agent.ask(&signal("term", TaskSignal::Term)).1.is_err(), "it has ended");

    host.forget("begun");
    host.note("stubborn");
    eventually("the lock is free", || agent.ask(&start("kill", reset())).1.is_ok());
    host.wait_for("begun");
    agent.ask(&signal("kill", TaskSignal::Term)).1.unwrap();
    host.wait_for("refused");
    agent.ask(&signal("kill", TaskSignal::Kill)).1.unwrap();
    assert_eq!(follow(&mut agent, "kill").1, End::Killed { signal: 9 });
}

#[test]
fn a_log_without_an_end_is_cut_and_says_so() {
    let host = Host::with_room("2g");
    host.note("endless");
    let mut agent = host.agent();
    agent.ask(&lock()).1.unwrap();
    agent.ask(&start("one", reset())).1.unwrap();
    let log = format!("{}/one/log", paths::RUNS);
    let cut = "\n[the log was cut here: more than 64 MiB of what a task prints are not kept]\n";
    // What follows is cut off again and again.
    let is_cut = || {
        let mut end = vec![0; cut.len()];
        let read = fs::File::open(host.path(&log))
            .and_then(|log| log.read_exact_at(&mut end, MAX_LOG - cut.len() as u64));
        read.is_ok() && end == cut.as_bytes()
    };
    eventually("the log is cut", is_cut);
    // It goes on, and nothing more is kept.
    thread::sleep(std::time::Duration::from_secs(1));
    agent.ask(&signal("one", TaskSignal::Term)).1.unwrap();
    let (told, end) = follow(&mut agent, "one");
    assert_eq!(end, End::Killed { signal: 15 });
    assert_eq!((told.len() as u64, host.length(&log)), (MAX_LOG, MAX_LOG));
    assert!(told.ends_with(cut), "{}", &told[told.len() - 100..]);
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let host = Host::new();
    let mut agent = host.agent();
    agent.ask(&start("one", Task::Systemctl(Systemctl::DaemonReload))).1.unwrap();
    let (_, end) = follow(&mut agent, "one");
    let End::NotStarted { why } = end else { panic!("{end:?}") };
    assert!(why.contains("cannot run systemctl: No such file"), "{why}");
}

#[test]
fn a_full_disk_hides_no_end() {
    let host = Host::with_room("1m");
    host.note("noisy");
    host.ends_with(5);
    let mut agent = host.agent();
    agent.ask(&start("one", reset())).1.unwrap();
    let (log, end) = follow(&mut agent, "one");
    assert_eq!(end, End::Exited { code: 5 });
    assert!(log.len() > 100_000 && !log.ends_with("the last line\n"), "{}", log.len());
    // There is no room for anything else, and that is said.
    let failure = agent.ask(&start("two", reset())).1.unwrap_err();
    assert!(failure.message.contains("No space left"), "{failure}");
    let Ok(Answer::Tasks { runs }) = agent.ask(&Command::Tasks).1 else { panic!() };
    assert_eq!(runs.len(), 1, "{runs:?}");
    agent.ask(&Command::Bye { forget: true }).1.unwrap();
    assert!(host.state().is_empty(), "{:?}", host.state());
}

#[test]
fn ten_runs_are_kept() {
    let host = Host::new();
    host.ends_with(0);
    let mut agent = host.agent();
    for number in 0..13 {
        let id = format!("run-{number}");
        eventually("the one before has let go", || agent.ask(&start(&id, reset())).1.is_ok());
        assert!(follow(&mut agent, &id).1.is_success());
    }
    let Ok(Answer::Tasks { runs }) = agent.ask(&Command::Tasks).1 else { panic!() };
    assert_eq!(runs.len(), 10);
}

#[test]
fn a_program_is_made_of_what_was_received_and_taken_back() {
    let host = Host::new();
    let bytes = vec![7; 1_000_000];
    let sha256 = Content::new(&bytes[..], 0).digest();
    let mut agent = host.agent();
    let program = Command::InstallProgram { sha256, path: "/var/lib/kubeadm".into(), mode: 0o755 };
    assert_eq!(agent.ask(&program).1.unwrap_err().kind, Kind::Usage, "it was not received");
    host.write(&format!("{}/{sha256}", paths::RECEIVED), &bytes[1..]);
    assert_eq!(agent.ask(&program).1.unwrap_err().kind, Kind::Invalid, "it is something else");
    host.write(&format!("{}/{sha256}", paths::RECEIVED), &bytes);
    agent.ask(&program).1.unwrap();
    assert_eq!(host.length("/var/lib/kubeadm"), 1_000_000);
    let undo = r#"{"command":"run","request":{"request":"undo","change":{"dry_run":false,"force":false}}}"#;
    agent.say_line(undo);
    agent.replies().1.unwrap();
    assert_eq!(host.length("/var/lib/kubeadm"), 0);
    agent.ask(&Command::Bye { forget: true }).1.unwrap();
    assert!(host.state().is_empty(), "{:?}", host.state());
}

#[test]
fn who_only_looked_leaves_nothing_and_who_changed_something_leaves_the_way_back() {
    let host = Host::new();
    let mut agent = host.agent();
    agent.ask(&Command::Facts).1.unwrap();
    let program = format!("{}/{}", paths::PROGRAMS, agent.sha256);
    host.write(&program, b"the agent");
    agent.ask(&Command::Bye { forget: false }).1.unwrap();
    assert!(host.names("/var/lib").is_empty(), "{:?}", host.names("/var/lib"));

    let mut agent = host.agent();
    host.write(&program, b"the agent");
    let file =
        WriteFile { path: "/var/lib/file".into(), content: FileContent::Plain(b"x".to_vec()), mode: 0o644 };
    agent.ask(&Command::WriteFile(file)).1.unwrap();
    agent.ask(&Command::Bye { forget: false }).1.unwrap();
    assert!(host.state().contains(&"journal.json".to_owned()), "{:?}", host.state());
    assert!(host.names(paths::PROGRAMS).is_empty());
}

const CANARY: &str = "canary0123456789";

/// What is secret is in the line, in the file that is for it, and nowhere else: neither in an argument nor in a variable of
/// any process at any time, nor in anything that is told or stays.
#[test]
fn a_secret_is_seen_nowhere() {
    let host = Host::new();
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut samples = 0;
            while !ends.load(Ordering::SeqCst) {
                samples += 1;
                for seen in agent_host::seen_of_processes() {
                    assert!(!seen.1.contains(CANARY), "{}: {}", seen.0, seen.1);
                }
            }
            samples
        });
        let mut agent = host.agent_with(&[("LVSCARE_JOIN_TOKEN", "not-for-programs")]);
        let mut told = Vec::new();
        let mut ask = |agent: &mut Agent, command: &Command| {
            let (replies, answer) = agent.ask(command);
            told.push(format!("{replies:?} {answer:?}"));
            answer
        };
        let file = |path: &str| {
            let content = FileContent::Secret(format!("token: abcdef.{CANARY}").into());
            Command::WriteFile(WriteFile { path: path.into(), content, mode: 0o644 })
        };
        ask(&mut agent, &lock()).unwrap();
        ask(&mut agent, &file(paths::INIT)).unwrap();
        assert!(host.read(paths::INIT).contains(CANARY), "kubeadm needs it");
        assert_eq!(host.mode(paths::INIT), 0o600);
        let version = "v1.34.1".parse().unwrap();
        let init = Task::Kubeadm(Kubeadm::Init { upload_certs: true, version });
        ask(&mut agent, &start("one", init)).unwrap();
        host.wait_for("begun");
        assert!(!host.read_note("environment").contains("not-for-programs"));
        host.ends_with(0);
        let (log, end) = follow(&mut agent, "one");
        assert!(end.is_success() && !log.contains(CANARY), "{log}");
        // A request with a token that is refused, one that is planned, and a line that is none.
        let join = r#"{"command":"run","request":{"request":"prepare","spec":{"vip":"10.103.97.2:6443","masters":[
            {"at":"127.0.0.2:6443"}],"name":"apiserver.cluster.local","node_ip":null,"image":"lvscare:0.1.0",
            "service_cidrs":[],"pod_cidrs":[],"daemon_args":[]},"archive":null,"skip":[],"kubeadm":{"token":
            "abcdef.TOKEN","unsafe_skip_ca":true,"version":"v1.34.1"},"change":{"dry_run":true,"force":false}}}"#;
        let join = join.replace('\n', " ");
        for line in [join.replace("TOKEN", CANARY), join.replace("TOKEN", &format!("{CANARY}{CANARY}"))] {
            agent.say_line(&line);
            let (replies, answer) = agent.replies_or_end();
            told.push(format!("{replies:?} {answer:?}"));
        }
        for told in &told {
            assert!(!told.contains(CANARY), "{told}");
        }
        let mut agent = host.agent();
        for (path, text) in host.everything() {
            assert!(!text.contains(CANARY), "{path}: {text}");
        }
        // What kubeadm needs no more is gone with it; the rest goes with `bye`.
        assert_eq!(host.length(paths::INIT), 0);
        eventually("the lock is free", || agent.ask(&Command::Bye { forget: true }).1.is_ok());
        ends.store(true, Ordering::SeqCst);
        assert!(sampler.join().unwrap() > 10);
    });
}

#[test]
fn what_a_program_prints_does_not_get_between_the_lines() {
    let host = Host::new();
    let mut command = host.command(Host::program());
    command.args(["agent", "n0nce"]).stderr(Stdio::piped());
    let mut agent = Agent::begin(command);
    // Facts ask kubeadm, which prints on both.
    let Ok(Answer::Facts(facts)) = agent.ask(&Command::Facts).1 else { panic!() };
    assert_eq!(facts.versions["kubeadm"], "v1.34.1");
    assert_eq!(facts.kernel, fs::read_to_string(paths::RELEASE).unwrap().trim());
    agent.ask(&Command::Bye { forget: true }).1.unwrap();
    assert!(agent.child.wait().unwrap().success());
}
