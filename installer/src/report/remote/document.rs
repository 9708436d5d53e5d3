//! What came of it, for programs: one document at its end, whatever came of it.

use cluster::flow::{Answer, Rights};
use cluster::remote::transfer::Sent;
use cluster::runner::Ended;
use cluster::transport::Exit as CommandExit;
use lvscare::exit::Exit;
use node::agent::runs::{End, Run, What};
use node::api::{Changed, NodeStatus, Outcome, StepReport};
use serde::Serialize;
use serde_json::Value;

use super::Reported;
use super::order::Stream;

/// What is kept of what all commands print together, in bytes.
const MAX_KEPT: usize = 32 << 20;

/// What commands printed, host by host.
#[derive(Debug)]
pub(super) struct Printed {
    hosts: Vec<Kept>,
    kept: usize,
}

#[derive(Debug, Default)]
struct Kept {
    out: Vec<u8>,
    err: Vec<u8>,
    lost: u64,
}

impl Printed {
    pub(super) fn new(hosts: usize) -> Self {
        Self { hosts: std::iter::repeat_with(Kept::default).take(hosts).collect(), kept: 0 }
    }

    pub(super) fn push(&mut self, index: usize, stream: Stream, bytes: &[u8]) {
        let Some(host) = self.hosts.get_mut(index) else { return };
        if host.lost > 0 || self.kept.saturating_add(bytes.len()) > MAX_KEPT {
            host.lost = host.lost.saturating_add(bytes.len() as u64);
            return;
        }
        self.kept = self.kept.saturating_add(bytes.len());
        match stream {
            Stream::Out => host.out.extend_from_slice(bytes),
            Stream::Err => host.err.extend_from_slice(bytes),
        }
    }
}

/// All hosts, in their order.
#[derive(Serialize)]
struct Document<'a> {
    hosts: Vec<Entry<'a>>,
    /// Absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<u8>,
}

#[derive(Serialize)]
struct Entry<'a> {
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// `done`, `failed`, `not-begun` or `left`; `seen` while it goes on.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// How long it took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// What was done there before it failed.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    done: &'a [StepReport],
    #[serde(flatten)]
    answer: Option<Answered<'a>>,
}

#[derive(Serialize)]
struct Failure {
    kind: String,
    message: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answered<'a> {
    Ping {
        system: &'a str,
        kernel: &'a str,
        machine: &'a str,
        clock_ahead_seconds: i64,
        /// `login`, `sudo`, `sudo-with-password`, `sudo-asks` or `none`.
        root: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        root_refused: Option<&'a str>,
    },
    Exec {
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<&'a str>,
        stdout: String,
        stderr: String,
        /// What was printed beyond what is kept.
        #[serde(skip_serializing_if = "is_zero")]
        lost_bytes: u64,
    },
    Copy {
        sent_bytes: u64,
        was_there: bool,
    },
    Changed(Box<Changed>),
    Status {
        status: &'a NodeStatus,
    },
    Resumed {
        followed: Vec<Followed<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        newest: Option<&'a Run>,
    },
    Nothing {},
}

#[derive(Serialize)]
struct Followed<'a> {
    what: &'a What,
    end: &'a End,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

pub(super) fn print(hosts: &[Reported], printed: &Printed, exit: Exit) {
    super::super::document(&document(hosts, printed, Some(exit)));
}

/// How it is meanwhile, in one line.
pub(super) fn print_line(hosts: &[Reported], printed: &Printed) {
    if let Ok(line) = serde_json::to_string(&document(hosts, printed, None)) {
        super::say(&line);
    }
}

/// What came of one host, without what its commands printed.
pub(super) fn outcome(host: Option<&Reported>) -> Value {
    let entry = host.map(|host| serde_json::to_value(entry(host, &Kept::default())));
    let Some(Ok(Value::Object(mut entry))) = entry else { return Value::Null };
    for told in ["host", "stdout", "stderr"] {
        entry.remove(told);
    }
    Value::Object(entry)
}

fn document<'a>(hosts: &'a [Reported], printed: &'a Printed, exit: Option<Exit>) -> Document<'a> {
    let entries = hosts.iter().zip(&printed.hosts).map(|(reported, kept)| entry(reported, kept));
    Document { hosts: entries.collect(), exit: exit.map(|exit| exit as u8) }
}

fn entry<'a>(reported: &'a Reported, kept: &Kept) -> Entry<'a> {
    let failure = reported.failure();
    let outcome = match &reported.outcome {
        None if reported.seen.is_some() => "seen",
        None | Some(Ended::NotBegun) => "not-begun",
        Some(Ended::Left) => "left",
        Some(Ended::Done(_)) if failure.is_some() => "failed",
        Some(Ended::Done(_)) => "done",
    };
    let failure = failure.filter(|_| outcome == "failed");
    let answer = match &reported.outcome {
        Some(Ended::Done(Ok(answer))) => Some(answered(answer, kept)),
        _ => reported.status().map(|status| Answered::Status { status }),
    };
    Entry {
        host: &reported.name,
        role: reported.role.map(cluster::inventory::Role::as_str),
        outcome,
        done: if failure.is_some() { &reported.steps } else { &[] },
        failure: failure.map(|(reason, message)| Failure { kind: reason.word(), message }),
        seconds: reported.took.map(|took| (took.as_secs_f64() * 1000.0).round() / 1000.0),
        answer,
    }
}

fn answered<'a>(answer: &'a Answer, kept: &Kept) -> Answered<'a> {
    match answer {
        Answer::Ping(probe, rights) => {
            let (root, root_refused) = match rights {
                Rights::Root => ("login", None),
                Rights::Free => ("sudo", None),
                Rights::Password => ("sudo-with-password", None),
                Rights::Asks => ("sudo-asks", None),
                Rights::None(why) => ("none", Some(why.as_str())),
            };
            Answered::Ping {
                system: &probe.system,
                kernel: &probe.kernel,
                machine: &probe.machine,
                clock_ahead_seconds: probe.ahead_seconds,
                root,
                root_refused,
            }
        }
        Answer::Exec(exit) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (code, signal) = match exit {
                CommandExit::Code(code) => (Some(*code), None),
                CommandExit::Signal(signal) => (None, Some(signal.as_str())),
                CommandExit::Lost => (None, None),
            };
            let (stdout, stderr) = (text(&kept.out), text(&kept.err));
            Answered::Exec { code, signal, stdout, stderr, lost_bytes: kept.lost }
        }
        Answer::Copy(sent) => {
            let (sent_bytes, was_there) = match sent {
                Sent::Already => (0, true),
                Sent::Bytes(count) => (*count, false),
            };
            Answered::Copy { sent_bytes, was_there }
        }
        Answer::Node(outcome) => match &**outcome {
            Outcome::Changed(changed) => {
                Answered::Changed(Box::new(Changed { status: None, ..changed.clone() }))
            }
            Outcome::Status(status) => Answered::Status { status },
            // Nobody asks for these here.
            _ => Answered::Nothing {},
        },
        Answer::Resumed { followed, newest } => Answered::Resumed {
            followed: followed.iter().map(|(what, end)| Followed { what, end }).collect(),
            newest: newest.as_deref(),
        },
    }
}
