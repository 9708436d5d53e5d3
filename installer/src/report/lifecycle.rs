//! What is told of a cluster's life: the plan, what happens on the way, and what is left to do.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Instant;

use cluster::flow::execute::{Failed, Progress};
use cluster::flow::lifecycle::{Dialogue, Ended};
use cluster::plan::{Phase, Plan, Step};
use lvscare::exit::Exit;
use lvscare::terminal::printable;
use node::api::Event;
use serde_json::{Value, json};

use super::remote::Reason;
use super::{Output, say};

/// Tells of one run.
#[derive(Debug)]
pub(crate) struct LifecycleReporter {
    output: Output,
    names: Vec<String>,
    dry_run: bool,
    yes: bool,
    begin: Instant,
}

impl LifecycleReporter {
    /// Of these hosts.
    pub(crate) fn new(output: Output, names: Vec<String>, dry_run: bool, yes: bool) -> Self {
        Self { output, names, dry_run, yes, begin: Instant::now() }
    }

    /// What a person should know before it begins.
    pub(crate) fn warn(&self, note: &str) {
        self.tell(&format!("! {}", printable(note)), || json!({ "event": "note", "text": note }));
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
                    self.tell(
                        &format!("! {}", printable(why)),
                        || json!({ "event": "refused", "text": why }),
                    );
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

    fn tell(&self, text: &str, document: impl FnOnce() -> Value) {
        match self.output {
            Output::Text => say(text),
            Output::Json => say(&document().to_string()),
        }
    }

    fn complain(&self, host: usize, why: &str) {
        let name = self.name(host);
        // What a program printed last has lines of its own, which are fit for a terminal already.
        let lines: Vec<_> = why.lines().map(printable).collect();
        self.tell(
            &format!("! {name}: {}", lines.join("\n")),
            || json!({ "event": "failed", "host": name, "text": why }),
        );
    }

    fn end(&self, text: &str, success: bool) {
        self.tell(text, || json!({ "event": "ended", "text": text, "success": success }));
    }
}

impl Progress for LifecycleReporter {
    fn phase(&mut self, phase: &Phase) {
        self.tell(phase.title, || json!({ "event": "phase", "phase": phase.title }));
    }

    fn step(&mut self, host: usize, step: &Step) {
        let (name, title) = (self.name(host), step.title());
        self.tell(&format!("  {name}  {title}"), || json!({ "event": "step", "host": name, "step": title }));
    }

    fn event(&mut self, host: usize, event: &Event) {
        let name = self.name(host);
        match (self.output, event) {
            (Output::Text, Event::Note { text }) => say(&format!("  {name}  ! {}", printable(text))),
            (Output::Text, _) => {}
            (Output::Json, event) => {
                say(&json!({ "event": "node", "host": name, "node": event }).to_string());
            }
        }
    }

    fn printed(&mut self, host: usize, bytes: &[u8]) {
        if self.output == Output::Json {
            let text = String::from_utf8_lossy(bytes);
            say(&json!({ "event": "printed", "host": self.name(host), "text": text }).to_string());
        }
    }

    fn failed(&mut self, host: usize, failed: &Failed, goes_on: bool) {
        let going = if goes_on { "; it goes on all the same" } else { "" };
        self.complain(host, &format!("{}: {}{going}", failed.step, failed.why));
    }

    fn left(&mut self, host: usize) {
        self.complain(host, "left in the midst of it; what was begun there goes on");
    }

    fn stopping(&mut self, running: usize) {
        let text = format!("stopping: {running} hosts finish what they are at; once more leaves them");
        self.tell(&text, || json!({ "event": "stopping", "running": running }));
    }
}

impl Dialogue for LifecycleReporter {
    fn note(&mut self, host: usize, note: &str) {
        let name = self.name(host);
        self.tell(
            &format!("! {name}: {}", printable(note)),
            || json!({ "event": "note", "host": name, "text": note }),
        );
    }

    fn confirm(&mut self, plan: &Plan) -> bool {
        let lines = plan.lines(|host| self.name(host).to_owned());
        match self.output {
            Output::Text => {
                say("plan");
                for line in &lines {
                    say(&format!("  {}", printable(line)));
                }
            }
            Output::Json => say(&json!({ "event": "plan", "lines": lines }).to_string()),
        }
        if self.dry_run {
            return false;
        }
        if self.yes || !io::stdin().is_terminal() {
            return true;
        }
        let _ = write!(io::stderr(), "do it? [y/N] ");
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }
}
