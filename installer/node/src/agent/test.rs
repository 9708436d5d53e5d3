//! Whole sessions on a machine in memory, over real pipes.

use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::lines::{Lines, MAX_LINE};
use super::runs::{End, Runs};
use super::task::{Systemctl, Task, Unit};
use super::wire::{Answer, Command, FileContent, Hello, PROTOCOL, Reply, WriteFile, encode};
use super::{Places, serve};
use crate::api::{Change, Event, Failure, Kind, Outcome, PrepareRequest, Request, UndoRequest};
use crate::fake::Fake;
use crate::paths;
use crate::spec::kubeadm::KubeadmSpec;
use crate::step::Content;

/// On a machine that does not get a processor for a while.
const LIMIT: Duration = Duration::from_secs(120);

struct Talk {
    input: Option<PipeWriter>,
    output: Lines<PipeReader>,
    agent: JoinHandle<(Fake, Result<(), Failure>)>,
    kept: tempfile::TempDir,
}

fn machine() -> Fake {
    let mut machine = Fake::bare();
    machine.has_file("/proc/self/exe", "this program");
    machine
}

impl Talk {
    fn begin() -> Self {
        Self::with(machine(), LIMIT)
    }

    fn with(mut machine: Fake, patience: Duration) -> Self {
        let kept = tempfile::tempdir().unwrap();
        let (places, nonce) = (places(kept.path(), patience), "n0nce".parse().unwrap());
        let ((to_agent, input), (output, from_agent)) = (pipe().unwrap(), pipe().unwrap());
        let agent = thread::spawn(move || {
            let ended = serve(to_agent, from_agent, &mut machine, nonce, &places);
            (machine, ended)
        });
        Self { input: Some(input), output: Lines::new(output), agent, kept }
    }

    fn hello(&mut self) -> Hello {
        assert_eq!(self.output.read().unwrap().unwrap(), b"n0nce");
        serde_json::from_slice(&self.output.read().unwrap().unwrap()).unwrap()
    }

    fn say(&mut self, line: &[u8]) {
        self.input.as_mut().unwrap().write_all(line).unwrap();
    }

    fn command(&mut self, command: &Command) {
        self.say(&encode(command).unwrap());
    }

    fn reply(&mut self) -> Option<Reply> {
        let line = self.output.read().unwrap()?;
        Some(serde_json::from_slice(&line).unwrap())
    }

    /// The events of a command, and its end.
    fn ask(&mut self, command: &Command) -> (Vec<Reply>, Result<Answer, Failure>) {
        self.command(command);
        self.replies()
    }

    fn replies(&mut self) -> (Vec<Reply>, Result<Answer, Failure>) {
        let mut before = Vec::new();
        loop {
            match self.reply().expect("the session has ended") {
                Reply::Done { answer } => return (before, Ok(answer)),
                Reply::Failed { failure } => return (before, Err(failure)),
                event => before.push(event),
            }
        }
    }

    /// Says no more, and waits for the end.
    fn end(mut self) -> (Fake, Result<(), Failure>) {
        drop(self.input.take());
        while self.output.read().unwrap().is_some() {}
        self.agent.join().unwrap()
    }
}

fn places(kept: &std::path::Path, patience: Duration) -> Places {
    Places { runs: Runs::new(kept.join("run")), received: kept.join("received"), patience }
}

fn prepare(change: Change) -> Command {
    let request = PrepareRequest {
        spec: crate::run::test::asked(),
        archive: None,
        skip: Vec::new(),
        kubeadm: KubeadmSpec::default(),
        change,
    };
    Command::Run { request: Box::new(Request::Prepare(Box::new(request))) }
}

fn start(id: &str) -> Command {
    let task = Task::Systemctl(Systemctl::Restart(Unit::Kubelet));
    Command::Start { id: id.parse().unwrap(), task }
}

fn attach(id: &str, from: u64) -> Command {
    Command::Attach { id: id.parse().unwrap(), from }
}

const BYE: Command = Command::Bye { forget: false };

#[test]
fn it_says_who_it_is_and_then_one_answer_for_each_command() {
    let mut talk = Talk::begin();
    let hello = talk.hello();
    let ours = Hello {
        protocol: PROTOCOL,
        sha256: Content::new("this program", 0).digest(),
        nonce: "n0nce".parse().unwrap(),
    };
    assert_eq!(hello, ours);
    hello.check(&ours).unwrap();
    let other = Hello { protocol: PROTOCOL + 1, ..ours.clone() };
    assert!(other.check(&ours).unwrap_err().message.contains("both must be the same"));

    // An empty line says only that somebody is there.
    talk.say(b"\n\n");
    assert!(matches!(talk.ask(&Command::Facts).1, Ok(Answer::Facts(facts)) if facts.name == "worker-1"));
    // A dry run changes nothing; then it is done, step by step, and once.
    let dry = Change { dry_run: true, force: false };
    let (events, planned) = talk.ask(&prepare(dry));
    let changed = |answer: Result<Answer, Failure>| match answer {
        Ok(Answer::Outcome { outcome }) => match *outcome {
            Outcome::Changed(changed) => changed,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let planned = changed(planned);
    assert!(events.is_empty() && planned.planned, "{events:?}");
    let (events, done) = talk.ask(&prepare(Change::default()));
    let steps = events.iter().filter(|reply| matches!(reply, Reply::Event { event: Event::Done(_) }));
    let done = changed(done);
    assert_eq!((steps.count(), &done.steps), (planned.steps.len(), &planned.steps));
    assert!(!changed(talk.ask(&prepare(Change::default())).1).changed);
    let status = Command::Run { request: Box::new(Request::Status) };
    assert!(matches!(talk.ask(&status).1, Ok(Answer::Outcome { .. })));
    assert_eq!(talk.ask(&BYE).1, Ok(Answer::Nothing));
    assert!(talk.reply().is_none());
    let (machine, ended) = talk.end();
    ended.unwrap();
    assert!(machine.text(paths::POD).is_some() && !machine.is_locked);
}

#[test]
fn it_says_who_holds_the_machine_and_lets_go_at_the_end() {
    let mut locked = machine();
    locked.locked_by = Some("process 7, `lvscare-installer node join`, since noon".to_owned());
    let mut talk = Talk::with(locked, LIMIT);
    talk.hello();
    for command in [Command::Lock { by: "me".into() }, prepare(Change::default()), start("one")] {
        let failure = talk.ask(&command).1.unwrap_err();
        assert!(failure.kind == Kind::Locked && failure.message.contains("since noon"), "{failure:?}");
    }
    talk.end().1.unwrap();

    let mut talk = Talk::begin();
    talk.hello();
    talk.ask(&Command::Lock { by: "run 7\n of root".into() }).1.unwrap();
    talk.ask(&prepare(Change::default())).1.unwrap();
    talk.ask(&Command::Lock { by: "again".into() }).1.unwrap();
    let (machine, ended) = talk.end();
    ended.unwrap();
    assert!(!machine.is_locked);
}

#[test]
fn files_come_as_they_are_and_secrets_stay_secret() {
    let mut talk = Talk::begin();
    talk.hello();
    let file =
        |path: &str, content| Command::WriteFile(WriteFile { path: path.into(), content, mode: 0o644 });
    let plain = file("/etc/x", FileContent::Plain(vec![0, 255, b'\n']));
    let secret = file(paths::INIT, FileContent::Secret("token: canary".to_owned().into()));
    assert!(!serde_json::to_string(&secret).unwrap().contains("canary"), "only a line may hold it");
    let (events, done) = talk.ask(&plain);
    assert!(events.len() == 1 && done.is_ok(), "{events:?} {done:?}");
    let (events, done) = talk.ask(&secret);
    assert!(!format!("{events:?}{done:?}").contains("canary"));
    let failure = talk.ask(&file("/etc/../x", FileContent::Plain(Vec::new()))).1.unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    let (machine, _) = talk.end();
    let written = |path: &str| machine.files[std::path::Path::new(path)].clone();
    assert_eq!(written("/etc/x"), Content::new(vec![0, 255, b'\n'], 0o644));
    assert_eq!(written(paths::INIT), Content::new("token: canary", 0o600));
    assert!(!machine.text(paths::JOURNAL).unwrap().contains("canary"));
}

#[test]
fn cancel_stops_between_two_steps_and_the_session_goes_on() {
    let mut talk = Talk::begin();
    talk.hello();
    // Too early, it is about nothing.
    talk.command(&Command::Cancel);
    talk.ask(&prepare(Change::default())).1.unwrap();
    let whole = talk.ask(&Command::Run { request: Box::new(Request::Undo(UndoRequest::default())) }).1;
    whole.unwrap();
    // The pipe of the replies is full, so that it has certainly not come to its end when this is read.
    let mut talk = Talk::with(machine(), LIMIT);
    talk.hello();
    talk.ask(&start("one")).1.unwrap();
    talk.command(&attach("one", 0));
    talk.command(&Command::Cancel);
    let failure = talk.replies().1.unwrap_err();
    assert!(failure.kind == Kind::Cancelled && failure.message.contains("goes on"), "{failure:?}");
    assert!(talk.ask(&Command::Facts).1.is_ok());
    talk.end().1.unwrap();
}

#[test]
fn a_task_is_started_once_and_followed_to_its_end() {
    let mut talk = Talk::begin();
    talk.hello();
    talk.ask(&start("one")).1.unwrap();
    talk.ask(&start("one")).1.unwrap();
    let other = Command::Start { id: "one".parse().unwrap(), task: Task::Systemctl(Systemctl::DaemonReload) };
    assert_eq!(talk.ask(&other).1.unwrap_err().kind, Kind::Usage);
    // Nothing else changes this machine meanwhile.
    for command in [start("two"), prepare(Change::default()), Command::Bye { forget: true }] {
        let failure = talk.ask(&command).1.unwrap_err();
        assert!(failure.kind == Kind::Locked && failure.message.contains("the task one"), "{failure:?}");
    }
    assert!(talk.ask(&Command::Run { request: Box::new(Request::Status) }).1.is_ok());
    let Ok(Answer::Tasks { runs }) = talk.ask(&Command::Tasks).1 else { panic!() };
    assert_eq!(runs.iter().map(|run| run.end.clone()).collect::<Vec<_>>(), [None]);

    let kept = Runs::new(talk.kept.path().join("run"));
    let id = "one".parse().unwrap();
    talk.command(&attach("one", 2));
    let mut log = kept.log(&id).unwrap();
    log.write_all(b"a first line\n").unwrap();
    assert_eq!(talk.reply(), Some(Reply::Log { from: 2, bytes: b"first line\n".to_vec() }));
    let more = vec![b'x'; 200_000];
    log.write_all(&more).unwrap();
    kept.reserve_end(&id).unwrap().record(&End::Exited { code: 3 }).unwrap();
    let (logs, answer) = talk.replies();
    assert_eq!(answer, Ok(Answer::Ended(End::Exited { code: 3 })));
    let mut place = 13;
    for reply in logs {
        let Reply::Log { from, bytes } = reply else { panic!("{reply:?}") };
        assert_eq!(from, place);
        place += bytes.len() as u64;
    }
    assert_eq!(place, 200_013);
    assert_eq!(talk.ask(&attach("two", 0)).1.unwrap_err().kind, Kind::Usage);
    talk.ask(&Command::Bye { forget: true }).1.unwrap();
    let kept = talk.kept.path().to_owned();
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 0, "nothing is left behind");
    talk.end().1.unwrap();
}

#[test]
fn a_task_that_cannot_be_started_leaves_nothing() {
    let mut broken = machine();
    broken.read_only = Some("/proc".into());
    let mut talk = Talk::with(broken, LIMIT);
    talk.hello();
    let failure = talk.ask(&start("one")).1.unwrap_err();
    assert!(failure.message.contains("Read-only"), "{failure:?}");
    assert!(matches!(talk.ask(&Command::Tasks).1, Ok(Answer::Tasks { runs }) if runs.is_empty()));
    let hook = r#"{"command":"start","id":"two","task":{"hook":{"package":"PKG","hook":"init"}}}"#;
    let hook = hook.replace("PKG", &Content::new("", 0).digest().to_string());
    talk.say(format!("{hook}\n").as_bytes());
    assert!(talk.replies().1.unwrap_err().message.contains("unpack its package first"));
    let (machine, ended) = talk.end();
    ended.unwrap();
    assert!(!machine.is_locked);
}

/// What must not be said: it is told, and the session ends without having done anything.
#[test]
fn garbage_and_what_is_too_long_end_the_session() {
    let endless = vec![b'{'; MAX_LINE + 2];
    let two = [encode(&attach("one", 0)).unwrap(), encode(&Command::Facts).unwrap()].concat();
    for (said, why) in [
        (&b"GET / HTTP/1.1\r\n"[..], "no JSON, from column 1"),
        (b" \n", "no JSON"),
        (b"{\"command\":\"format\",\"disk\":\"sda\"}\n", "no message of ours"),
        (b"{\"command\":\"facts\"} {\"command\":\"facts\"}\n", "no JSON, from column 21"),
        (b"\xff\xfe\n", "no JSON"),
        (b"{\"command\":\"attach\",\"id\":\"canary\",\"from\":\"canary\"}\n", "no message of ours"),
        (&endless, "longer than"),
        (&two, "only `cancel` may"),
    ] {
        let mut talk = Talk::begin();
        talk.hello();
        if said == two {
            talk.ask(&start("one")).1.unwrap();
        }
        talk.say(said);
        let mut failures = Vec::new();
        while let Some(reply) = talk.reply() {
            let Reply::Failed { failure } = reply else { panic!("{reply:?}") };
            failures.push(failure.message);
        }
        let last = failures.last().unwrap();
        assert!(last.contains(why) && !last.contains("canary"), "{failures:?}");
        let (machine, ended) = talk.end();
        assert_eq!(ended.unwrap_err().kind, Kind::Usage);
        assert!(machine.text(paths::JOURNAL).is_none());
    }
}

/// The link is cut at every byte of a session: no command is done of which the end did not come.
#[test]
fn the_input_may_end_at_any_byte() {
    let lock = encode(&Command::Lock { by: "me".into() }).unwrap();
    let write = Command::WriteFile(WriteFile {
        path: "/etc/x".into(),
        content: FileContent::Plain(b"x".to_vec()),
        mode: 0o644,
    });
    let write = encode(&write).unwrap();
    for cut in 0..lock.len() + write.len() {
        let mut talk = Talk::begin();
        talk.hello();
        talk.say(&lock[..cut.min(lock.len())]);
        if cut >= lock.len() {
            talk.replies().1.unwrap();
            talk.say(&write[..cut - lock.len()]);
        }
        let (machine, ended) = talk.end();
        assert_eq!((ended, machine.is_locked), (Ok(()), false), "{cut}");
        assert!(machine.text("/etc/x").is_none(), "{cut}");
    }
}

#[test]
fn a_controller_that_is_gone_or_does_not_read_is_not_waited_for() {
    // Gone after the command: what was begun ends between two steps.
    for reads in [false, true] {
        let mut talk = Talk::with(machine(), Duration::from_millis(200));
        talk.hello();
        if reads {
            talk.command(&prepare(Change::default()));
            assert!(matches!(talk.reply(), Some(Reply::Event { .. })));
            let (machine, ended) = talk.end();
            assert_eq!((ended, machine.is_locked), (Ok(()), false));
            continue;
        }
        // It asks for more than a pipe holds, and reads nothing.
        talk.ask(&start("one")).1.unwrap();
        let log = vec![b'x'; 4 << 20];
        let kept = Runs::new(talk.kept.path().join("run"));
        kept.log(&"one".parse().unwrap()).unwrap().write_all(&log).unwrap();
        talk.command(&attach("one", 0));
        let (machine, ended) = talk.agent.join().unwrap();
        assert_eq!((ended, machine.is_locked), (Ok(()), false));
    }
}
