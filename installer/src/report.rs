//! What a run says: to people line by line as it goes, to programs one document at its end, whatever came of it.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use lvscare::doctor::{Severity, render};
use lvscare::exit::Exit;
use lvscare::terminal;
use node::api::{Changed, Event, Failure, Kind, Outcome, Request, StepReport};
use serde::Serialize;

mod certificates;
mod etcd;
pub(crate) mod lifecycle;
pub(crate) mod remote;
mod text;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// How a run is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    /// For whom.
    pub(crate) output: Output,
    /// Whether each file's changes are shown.
    pub(crate) diff: bool,
    /// Whether what is as it should be is shown, too.
    pub(crate) verbose: bool,
    /// Whether something to do has an exit code of its own.
    pub(crate) detailed_exitcode: bool,
    /// Where the `node_exporter` of Prometheus finds the answer as well.
    pub(crate) textfile: Option<PathBuf>,
}

/// Tells of one run.
#[derive(Debug)]
pub(crate) struct Reporter {
    form: Form,
    steps: Vec<StepReport>,
    notes: Vec<String>,
}

/// What programs are told of a run that ended early.
#[derive(Serialize)]
struct Failed<'a> {
    failure: &'a Failure,
    exit: u8,
    changed: bool,
    steps: &'a [StepReport],
    notes: &'a [String],
}

impl Reporter {
    /// In this form.
    pub(crate) fn new(form: Form) -> Self {
        Self { form, steps: Vec::new(), notes: Vec::new() }
    }

    /// Tells people what happens; for programs it is kept.
    pub(crate) fn tell(&mut self, event: Event) {
        if self.form.output == Output::Text {
            say(&text::printable(&text::event(&event, self.form.diff)));
        }
        match event {
            Event::Note { text } => self.notes.push(text),
            Event::Done(step) => self.steps.push(step),
            Event::Reached { .. } => {}
        }
    }

    /// Tells how it ended.
    pub(crate) fn ended(&self, request: &Request, outcome: &Outcome) -> Exit {
        match (self.form.output, outcome) {
            // The bytes of the file, and no line end more.
            (_, Outcome::Manifest { text }) => print(text.as_bytes()),
            (Output::Json, Outcome::Checked(report)) => document(report),
            (Output::Json, Outcome::Changed(changed)) => {
                document(&Changed { status: None, ..changed.clone() });
            }
            (Output::Json, Outcome::Status(status)) => document(status),
            (Output::Json, Outcome::Hosts { entries }) => document(entries),
            (Output::Json, Outcome::Certificates(table)) => document(table),
            (Output::Json, Outcome::EtcdHealth(health)) => document(health),
            (Output::Json, Outcome::EtcdSnapshot(snapshot)) => document(snapshot),
            (Output::Text, Outcome::EtcdHealth(health)) => {
                say(&text::printable(etcd::health(health).trim_end()));
            }
            (Output::Text, Outcome::EtcdSnapshot(snapshot)) => {
                say(&text::printable(&etcd::snapshot(snapshot)));
            }
            (_, Outcome::Guide { text }) => say(&text::printable(text.trim_end())),
            (Output::Text, Outcome::Certificates(table)) => {
                let text = certificates::table(table, self.form.verbose);
                say(&text::printable(text.trim_end()));
            }
            // Only controllers ask for them.
            (_, Outcome::Nodes { nodes }) => document(nodes),
            (Output::Text, Outcome::Checked(report)) => {
                say(render::render(report, self.form.verbose).trim_end());
            }
            (Output::Text, Outcome::Changed(changed)) => {
                let text = text::changed(request, changed, self.form.diff);
                if !text.is_empty() {
                    say(&text::printable(&text));
                }
            }
            (Output::Text, Outcome::Status(status)) => say(&text::status(status)),
            (Output::Text, Outcome::Hosts { entries }) => {
                for entry in entries {
                    say(&format!("{} {}", entry.address, entry.name));
                }
            }
        }
        if let (Some(path), Outcome::Certificates(table)) = (&self.form.textfile, outcome)
            && let Err(error) = certificates::write(path, table)
        {
            refuse(&format!("cannot write {}: {error}", path.display()));
            return Exit::Failed;
        }
        self.exit(outcome)
    }

    fn exit(&self, outcome: &Outcome) -> Exit {
        match outcome {
            Outcome::Checked(report) => {
                let refused = report.findings.iter().any(|finding| finding.severity == Severity::Error);
                if refused { Exit::Refused } else { Exit::Success }
            }
            Outcome::Changed(changed)
                if self.form.detailed_exitcode && changed.planned && changed.changed =>
            {
                Exit::Pending
            }
            Outcome::Status(status) if !status.differences.is_empty() => Exit::NotVerified,
            Outcome::Certificates(table) if !table.is_fine() => Exit::Failed,
            Outcome::EtcdHealth(health) if !health.is_fine() => Exit::Failed,
            _ => Exit::Success,
        }
    }

    /// Tells why it ended early, and what was done until then.
    pub(crate) fn failed(&mut self, failure: &Failure) -> Exit {
        let exit = exit_of(failure.kind);
        if self.form.output == Output::Json {
            document(&Failed {
                failure,
                exit: exit as u8,
                changed: !self.steps.is_empty(),
                steps: &self.steps,
                notes: &self.notes,
            });
        }
        let message = text::printable(&failure.message);
        let _ = writeln!(io::stderr(), "lvscare-installer: {message}");
        exit
    }
}

/// Says in one line, on standard error, what is wrong.
pub(crate) fn refuse(message: &str) {
    let _ = writeln!(io::stderr(), "lvscare-installer: {}", terminal::printable(message));
}

/// The one place where a kind of failure becomes an exit code.
pub(crate) fn exit_of(kind: Kind) -> Exit {
    match kind {
        Kind::Failed => Exit::Failed,
        Kind::Usage => Exit::Usage,
        Kind::Invalid => Exit::Invalid,
        Kind::Refused => Exit::Refused,
        Kind::Unreachable => Exit::Unreachable,
        Kind::Image => Exit::Image,
        Kind::Locked => Exit::Locked,
        Kind::Kubeadm => Exit::Kubeadm,
        Kind::NotVerified => Exit::NotVerified,
        Kind::Foreign => Exit::Foreign,
        Kind::NotPermitted => Exit::NotPermitted,
        Kind::Kernel => Exit::KernelLacksPart,
        Kind::Cancelled => Exit::Cancelled,
    }
}

fn document(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => say(&text),
        Err(error) => say(&format!("{{\"failure\": {:?}}}", error.to_string())),
    }
}

fn say(text: &str) {
    print(format!("{text}\n").as_bytes());
}

/// A reader that went away is no reason to stop half-way.
fn print(bytes: &[u8]) {
    let _ = io::stdout().write_all(bytes);
}
