//! Against an agent that is played. What a real one does, see `installer/tests/session.rs`.

use std::io::Write;

use node::api::Kind;
use node::step::Digest;

use super::super::script::PROBE;
use super::*;
use crate::runner::Stopper;
use crate::transport::{self, Process};

/// For what happens at all, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// What the agent says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Greeting {
    Ours,
    OtherHash,
    OtherProtocol,
    NotAgent,
    Endless,
}

/// A host that answers as it is told: to each line that holds the first word of a pair, the second.
#[derive(Clone, Debug)]
struct Played {
    machine: &'static str,
    greeting: Greeting,
    sha256: Digest,
    answers: Vec<(&'static str, String)>,
}

impl Transport for Played {
    async fn exec(&self, command: &'static str) -> Result<Process, transport::Error> {
        let (process, mut read, said) = Process::played();
        let played = self.clone();
        tokio::spawn(async move {
            let header = read.recv().await.unwrap();
            let nonce = String::from_utf8(header.to_vec()).unwrap().lines().next().unwrap().to_owned();
            let say = async |text: String| said.send(Piece::Stdout(text.into())).await.is_ok();
            if command == PROBE {
                let machine = played.machine;
                say(format!("{nonce}\nLinux\n6.1\n{machine}\n0\n0\nnone\n{nonce}\n")).await;
                let _ = said.send(Piece::Ended(Exit::Code(0))).await;
                return;
            }
            let mut hello =
                Hello { protocol: PROTOCOL, sha256: played.sha256, nonce: nonce.parse().unwrap() };
            match played.greeting {
                Greeting::Ours | Greeting::NotAgent | Greeting::Endless => {}
                Greeting::OtherHash => {
                    hello.sha256 = Digest::of(&ring::digest::digest(&ring::digest::SHA256, b""));
                }
                Greeting::OtherProtocol => hello.protocol += 1,
            }
            let hello = match played.greeting {
                Greeting::NotAgent => "Segmentation fault\n".to_owned(),
                Greeting::Endless => "x".repeat(MAX_LINE + 1),
                _ => String::from_utf8(encode(&hello).unwrap()).unwrap(),
            };
            // A line may come in pieces, and with the one before.
            say(format!("\n{nonce} same\nnoise\n{nonce}\n{}", &hello[..5])).await;
            say(hello[5..].to_owned()).await;
            while let Some(line) = read.recv().await {
                let line = String::from_utf8(line.to_vec()).unwrap();
                let answers = played.answers.iter().filter(|(word, _)| line.contains(word));
                for (_, answer) in answers {
                    if answer == "END" {
                        let _ = said.send(Piece::Stderr("first\nout of \x1b[2Jmemory\n".into())).await;
                        let _ = said.send(Piece::Ended(Exit::Signal("KILL".to_owned()))).await;
                        return;
                    }
                    say(format!("{answer}\n")).await;
                }
            }
        });
        Ok(process)
    }
}

fn program() -> Source {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"this program").unwrap();
    Source::new(file.path()).unwrap()
}

fn played(answers: &[(&'static str, &str)]) -> Played {
    let answers = answers.iter().map(|(word, answer)| (*word, (*answer).to_owned())).collect();
    Played { machine: ARCH, greeting: Greeting::Ours, sha256: program().sha256, answers }
}

fn block_on<F: Future>(body: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, body).await.unwrap() })
}

async fn open(played: Played) -> Result<(Session<Played>, Stopper), Error> {
    let (stopper, stop) = Stop::new();
    let session = Session::open(played, None, &program(), stop, |_| ()).await?;
    Ok((session, stopper))
}

const NOTHING: &str = r#"{"reply":"done","answer":{"answer":"nothing"}}"#;

#[test]
fn only_this_very_program_on_the_same_kind_of_machine_is_spoken_with() {
    block_on(async {
        let refusal = async |played| open(played).await.unwrap_err().to_string();
        for (greeting, why) in [
            (Greeting::OtherHash, "the agent is another program"),
            (Greeting::OtherProtocol, "the agent is another program"),
            (Greeting::NotAgent, "no JSON"),
            (Greeting::Endless, "a line of more than"),
        ] {
            let said = refusal(Played { greeting, ..played(&[]) }).await;
            assert!(said.contains(why), "{greeting:?}: {said}");
        }
        let said = refusal(Played { machine: "mips", ..played(&[]) }).await;
        assert!(said.contains("the host is Linux on mips"), "{said}");
        open(played(&[])).await.unwrap();
    });
}

#[test]
fn who_asks_to_stop_is_heard_once_and_only_by_what_changes_something() {
    let cancelled = r#"{"reply":"failed","failure":{"kind":"cancelled","message":"stopped"}}"#;
    let note = r#"{"reply":"event","event":{"event":"note","text":"begun"}}"#;
    block_on(async {
        let answers = [("status", note), ("cancel", cancelled), ("lock", NOTHING)];
        let (mut session, stopper) = open(played(&answers)).await.unwrap();
        let mut told = Vec::new();
        let mut tell = |event| {
            told.push(event);
            stopper.ask();
        };
        let answer = session.run(Request::Status, &mut tell).await;
        let Err(Error::Host(failure)) = answer else { panic!() };
        assert_eq!((failure.kind, told.len()), (Kind::Cancelled, 1));
        // What comes next is asked all the same; whether it is, its caller decides.
        session.lock("a test").await.unwrap();
    });
}

#[test]
fn what_came_of_a_request_is_not_known_when_the_agent_is_gone() {
    block_on(async {
        let (mut session, _stopper) = open(played(&[("facts", "END")])).await.unwrap();
        let error = session.facts().await.unwrap_err();
        let said =
            "the agent killed by SIGKILL: out of \\x1b[2Jmemory; what came of it is not known, so ask again";
        assert_eq!((error.to_string().as_str(), error.kind()), (said, transport::Kind::Unreachable));
        assert!(matches!(session.tasks().await, Err(Error::Unknown { .. })), "nor is anything later");
    });
}

#[test]
fn what_no_agent_says_is_told_as_such() {
    let log = |from| format!(r#"{{"reply":"log","from":{from},"bytes":"YWJj"}}"#);
    let ended = r#"{"reply":"done","answer":{"answer":"ended","end":"exited","code":0}}"#;
    for (said, why) in [
        ("hello", "no JSON"),
        (r#"{"reply":"perhaps"}"#, "no message of ours"),
        (NOTHING, "the answer to another question"),
        (log(4).as_str(), "byte 4 of a log instead of 7"),
        (log(8).as_str(), "byte 8 of a log instead of 7"),
    ] {
        block_on(async {
            let (mut session, _stopper) = open(played(&[("attach", said)])).await.unwrap();
            let mut from = 7;
            let id = "one".parse().unwrap();
            let error = session.attach(&id, &mut from, &mut |_| ()).await.unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!((error.kind(), from), (transport::Kind::Failed, 7));
        });
    }
    block_on(async {
        let answers = [("attach", log(7)), ("attach", log(10)), ("attach", ended.to_owned())];
        let answers: Vec<_> = answers.iter().map(|(word, answer)| (*word, answer.as_str())).collect();
        let (mut session, _stopper) = open(played(&answers)).await.unwrap();
        let (mut from, mut told) = (7, Vec::new());
        let id = "one".parse().unwrap();
        let end = session.attach(&id, &mut from, &mut |bytes| told.extend_from_slice(bytes)).await.unwrap();
        assert_eq!((end, from, told.as_slice()), (End::Exited { code: 0 }, 13, &b"abcabc"[..]));
    });
}

#[test]
fn who_has_nothing_to_say_says_that_he_is_there() {
    block_on(async {
        let (process, mut read, _said) = Process::played();
        let (lines, to_send) = mpsc::channel(1);
        tokio::spawn(feed(process.input, to_send, Duration::from_millis(10)));
        assert_eq!(read.recv().await.unwrap(), "\n");
        lines.send("word\n".into()).await.unwrap();
        while read.recv().await.unwrap() != "word\n" {}
        drop(lines);
        while read.recv().await.is_some() {}
    });
}
