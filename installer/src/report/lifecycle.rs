//! What is told of a cluster's life: the plan, what happens on the way, and what is left to do.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use cluster::flow::execute::{Failed, Progress};
use cluster::flow::lifecycle::{Consent, Dialogue, Ended};
use cluster::plan::{Phase, Plan, Step};
use lvscare::exit::Exit;
use lvscare::terminal::printable;
use node::api::Event;
use serde_json::{Value, json};

use super::remote::Reason;
use super::{Output, say};
use crate::ask;
use crate::run_log::RunLog;

/// Tells of one run.
#[derive(Debug)]
pub(crate) struct LifecycleReporter {
    output: Output,
    names: Vec<String>,
    dry_run: bool,
    yes: bool,
    log: RunLog,
    begin: Instant,
}

impl LifecycleReporter {
    /// Of these hosts, to people or programs and to a log.
    pub(crate) fn new(output: Output, names: Vec<String>, dry_run: bool, yes: bool, log: RunLog) -> Self {
        Self { output, names, dry_run, yes, log, begin: Instant::now() }
    }

    /// What a person should know before it begins.
    pub(crate) fn warn(&mut self, note: &str) {
        self.tell(None, "note", Some(format!("! {}", printable(note))), json!({ "text": note }));
    }

    /// Tells why no host was asked.
    pub(crate) fn refuse(&mut self, why: &str, exit: Exit) {
        super::refuse(why);
        self.log.write(None, "refused", &json!({ "text": why }));
        self.close(exit);
    }

    /// Nothing more is told but where the log is.
    pub(crate) fn close(&mut self, exit: Exit) {
        let _ = writeln!(io::stderr(), "{}", self.log.end(exit as u8));
    }

    /// Tells how it ended.
    pub(crate) fn finish(&mut self, ended: &Ended) -> Exit {
        match ended {
            Ended::Unreachable(failed) => {
                let mut exits = Vec::new();
                for (host, error) in failed {
                    let why = error.as_ref().map_or_else(|| "not asked".to_owned(), ToString::to_string);
                    self.complain(*host, &why);
                    exits.extend(error.as_ref().map(|error| Reason::of(error).exit()));
                }
                self.end("nothing was changed", false);
                match exits.first() {
                    Some(first) if exits.iter().all(|exit| exit == first) => *first,
                    Some(_) => Exit::Failed,
                    None => Exit::Cancelled,
                }
            }
            Ended::Refused(wrong) => {
                for why in wrong {
                    let text = format!("! {}", printable(why));
                    self.tell(None, "refused", Some(text), json!({ "text": why }));
                }
                self.end("nothing was changed", false);
                Exit::Refused
            }
            Ended::Nothing => {
                self.end("all is as it should be; nothing was changed", true);
                Exit::Success
            }
            Ended::Planned => Exit::Success,
            Ended::Declined => {
                self.end("nothing was changed", false);
                Exit::Cancelled
            }
            Ended::Done { unfinished, is_stopped } => {
                if unfinished.is_empty() && !is_stopped {
                    self.end(&format!("done in {} s", self.begin.elapsed().as_secs()), true);
                    return Exit::Success;
                }
                for (host, failed) in unfinished {
                    match failed {
                        Some(failed) => self.complain(*host, &format!("{}: {}", failed.step, failed.why)),
                        None => self.complain(*host, "not everything was done there"),
                    }
                }
                self.end("run the same command again: it goes on with what is missing", false);
                if *is_stopped { Exit::Cancelled } else { Exit::Failed }
            }
        }
    }

    fn name(&self, host: usize) -> &str {
        self.names.get(host).map_or("?", String::as_str)
    }

    /// To people `text`, if they are told; to programs and to the log everything.
    fn tell(&mut self, host: Option<usize>, event: &str, text: Option<String>, mut more: Value) {
        let host = host.map(|host| self.name(host).to_owned());
        self.log.write(host.as_deref(), event, &more);
        match (self.output, text, &mut more) {
            (Output::Text, Some(text), _) => say(&text),
            (Output::Json, _, Value::Object(members)) => {
                members.insert("event".to_owned(), event.into());
                if let Some(host) = host {
                    members.insert("host".to_owned(), host.into());
                }
                say(&more.to_string());
            }
            _ => {}
        }
    }

    fn complain(&mut self, host: usize, why: &str) {
        // What a program printed last has lines of its own, which are fit for a terminal already.
        let lines: Vec<_> = why.lines().map(printable).collect();
        let text = format!("! {}: {}", self.name(host), lines.join("\n"));
        self.tell(Some(host), "failed", Some(text), json!({ "text": why }));
    }

    fn end(&mut self, text: &str, success: bool) {
        self.tell(None, "ended", Some(text.to_owned()), json!({ "text": text, "success": success }));
    }
}

impl Progress for LifecycleReporter {
    fn phase(&mut self, phase: &Phase) {
        self.tell(None, "phase", Some(phase.title.to_owned()), json!({ "phase": phase.title }));
    }

    fn step(&mut self, host: usize, step: &Step) {
        let title = step.title();
        let text = format!("  {}  {title}", self.name(host));
        self.tell(Some(host), "step", Some(text), json!({ "step": title }));
    }

    fn event(&mut self, host: usize, event: &Event) {
        let text = match event {
            Event::Note { text } => Some(format!("  {}  ! {}", self.name(host), printable(text))),
            _ => None,
        };
        self.tell(Some(host), "node", text, json!({ "node": event }));
    }

    fn printed(&mut self, host: usize, bytes: &[u8]) {
        self.tell(Some(host), "printed", None, json!({ "text": String::from_utf8_lossy(bytes) }));
    }

    fn failed(&mut self, host: usize, failed: &Failed, goes_on: bool) {
        let going = if goes_on { "; it goes on all the same" } else { "" };
        self.complain(host, &format!("{}: {}{going}", failed.step, failed.why));
    }

    fn left(&mut self, host: usize) {
        self.complain(host, "left in the midst of it; what was begun there goes on");
    }

    fn stopping(&mut self, running: usize) {
        let text =
            format!("stopping: {running} hosts finish what they are at; once more ends what runs there");
        self.tell(None, "stopping", Some(text), json!({ "running": running }));
    }

    fn ending(&mut self, running: usize) {
        let text = format!("ending what runs on {running} hosts; once more leaves it");
        self.tell(None, "ending", Some(text), json!({ "running": running }));
    }
}

impl Dialogue for LifecycleReporter {
    fn note(&mut self, host: usize, note: &str) {
        let text = format!("! {}: {}", self.name(host), printable(note));
        self.tell(Some(host), "note", Some(text), json!({ "text": note }));
    }

    fn confirm(&mut self, plan: &Plan) -> Consent {
        let lines = plan.lines(|host| self.name(host).to_owned());
        let shown = lines.iter().map(|line| format!("  {}", printable(line)));
        let text = std::iter::once("plan".to_owned()).chain(shown).collect::<Vec<_>>().join("\n");
        self.tell(None, "plan", Some(text), json!({ "lines": lines }));
        if self.dry_run {
            Consent::Refused
        } else if self.yes || !io::stdin().is_terminal() {
            Consent::Given
        } else {
            Consent::Asked(ask::whether_to_do_it)
        }
    }
}
