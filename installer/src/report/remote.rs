//! What is told of many hosts: as it comes but in their order, and what came of it all.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use cluster::flow::{Answer, Outcome, Told as Happened, Watch};
use cluster::inventory::Host;
use cluster::remote;
use cluster::remote::run::Said;
use cluster::remote::transfer::Sent;
use cluster::runner::Ended;
use cluster::transport;
use cluster::transport::policy::Untrusted;
use lvscare::exit::Exit;
use lvscare::terminal::printable;
use node::agent::runs::{End, Run, What};
use node::api::{self, Changed, NodeStatus, Outcome as NodeOutcome, Request};
use serde_json::{Value, json};

use super::{Output, say, text};
use crate::run_log::RunLog;
use order::{InOrder, Stream, Told};

mod document;
mod lines;
mod order;
mod progress;
mod reason;
mod reported;
mod status;
mod table;

use progress::Progress;
use reported::Reported;

pub(crate) use reason::{Reason, exit_of_flow};

/// How a task on many hosts is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemoteForm {
    /// For whom.
    pub(crate) output: Output,
    /// In which table it ends, if it does.
    pub(crate) table: Option<Table>,
    /// What the agents are asked for, if they are.
    pub(crate) request: Option<Request>,
    /// Whether the table is shown again and again.
    pub(crate) is_repeated: bool,
    /// Whether each file's changes are shown.
    pub(crate) diff: bool,
    /// Whether something to do has an exit code of its own.
    pub(crate) detailed_exitcode: bool,
}

/// A line for each host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// What it is, and whether it can be worked with.
    Ping,
    /// What is there of what should be.
    Status {
        /// With a line for each apiserver, too.
        is_wide: bool,
    },
}

/// Tells of a task on many hosts.
#[derive(Debug)]
pub(crate) struct RemoteReporter {
    form: RemoteForm,
    hosts: Vec<Reported>,
    /// Those that were seen since the last table.
    fresh: BTreeSet<usize>,
    order: InOrder,
    /// For programs: what commands printed.
    printed: document::Printed,
    notes: Vec<String>,
    progress: Progress,
    log: RunLog,
    was_stopped: bool,
}

impl RemoteReporter {
    /// Of these hosts, to people or programs and to a log.
    pub(crate) fn new(form: RemoteForm, hosts: &[Host], log: RunLog) -> Self {
        let is_for_people = form.output == Output::Text && !form.is_repeated;
        Self {
            form,
            progress: Progress::new(is_for_people, hosts.iter().map(Host::name)),
            fresh: BTreeSet::new(),
            hosts: hosts.iter().map(Reported::new).collect(),
            order: InOrder::new(hosts.len()),
            printed: document::Printed::new(hosts.len()),
            notes: Vec::new(),
            log,
            was_stopped: false,
        }
    }

    /// Tells what a person should know, once.
    pub(crate) fn warn(&mut self, note: &str) {
        if !self.notes.iter().any(|told| told == note) {
            self.progress.clear();
            complain(&format!("! {}", printable(note)));
            self.log.write(None, "note", &json!({ "text": note }));
            self.notes.push(note.to_owned());
        }
    }

    /// Tells what came of it.
    pub(crate) fn finish(&mut self) -> Exit {
        self.progress.clear();
        let exit = self.exit();
        let done = self.hosts.iter().filter(|host| host.failure().is_none()).count();
        let all = self.hosts.len();
        match (self.form.output, self.form.table) {
            (Output::Json, _) => document::print(&self.hosts, &self.printed, exit),
            (Output::Text, Some(table)) => {
                self.show(table);
                say(&match table {
                    Table::Ping => format!("{done} of {all} hosts can be worked with"),
                    Table::Status { .. } => status::summary(&self.hosts),
                });
            }
            (Output::Text, None) if matches!(exit, Exit::Success | Exit::Pending) => {}
            (Output::Text, None) => complain(&format!("done on {done} of {all} hosts")),
        }
        for way_out in self.ways_out() {
            complain(&format!("! {way_out}"));
        }
        complain(&self.log.end(exit as u8));
        exit
    }

    /// Tells why no host was asked.
    pub(crate) fn refuse(&mut self, why: &str, exit: Exit) {
        super::refuse(why);
        self.log.write(None, "refused", &json!({ "text": why }));
        complain(&self.log.end(exit as u8));
    }

    fn log(&mut self, host: usize, event: &str, more: &Value) {
        let host = self.hosts.get(host).map(|host| host.name.as_str());
        self.log.write(host, event, more);
    }

    /// All but how far a file is: that it is there is how its host ends.
    fn log_told(&mut self, host: usize, told: &Happened) {
        let said =
            |stream: &str, bytes: &[u8]| json!({ "stream": stream, "text": String::from_utf8_lossy(bytes) });
        let (event, more) = match told {
            Happened::Sent { done, all } if done == all => ("sent", json!({ "bytes": all })),
            Happened::Sent { .. } => return,
            Happened::Said(Said::Out(bytes)) => ("said", said("stdout", bytes)),
            Happened::Said(Said::Err(bytes)) => ("said", said("stderr", bytes)),
            Happened::Happened(event) => ("node", json!({ "node": event })),
            Happened::Seen(status) => ("seen", json!({ "status": status })),
        };
        self.log(host, event, &more);
    }

    fn show(&self, table: Table) {
        match table {
            Table::Ping => say(&table::table(&self.hosts)),
            Table::Status { is_wide } => say(&status::table(&self.hosts, is_wide)),
        }
        for host in &self.hosts {
            for remark in host.remarks() {
                say(&format!("! {}", host.about(&remark)));
            }
        }
    }

    fn exit(&self) -> Exit {
        if self.was_stopped {
            return Exit::Cancelled;
        }
        let mut reasons = self.hosts.iter().filter_map(Reported::failure).map(|(reason, _)| reason);
        match reasons.next() {
            None if self.form.detailed_exitcode && self.hosts.iter().any(Reported::is_pending) => {
                Exit::Pending
            }
            None => Exit::Success,
            Some(first) if reasons.all(|reason| reason == first) => first.exit(),
            Some(_) => Exit::Failed,
        }
    }

    /// A host was seen once more. All that were seen make a table, whoever is late.
    fn look(&mut self, index: usize, status: Box<NodeStatus>) {
        if self.fresh.contains(&index) {
            self.redraw();
        }
        if let Some(host) = self.hosts.get_mut(index) {
            host.seen = Some(status);
        }
        self.fresh.insert(index);
        let mut at_work = self.hosts.iter().enumerate().filter(|(_, host)| host.outcome.is_none());
        if at_work.all(|(index, _)| self.fresh.contains(&index)) {
            self.redraw();
        }
    }

    fn redraw(&mut self) {
        self.fresh.clear();
        match (self.form.output, self.form.table) {
            (Output::Json, _) => document::print_line(&self.hosts, &self.printed),
            (Output::Text, Some(table)) => {
                if io::stdout().is_terminal() {
                    // The one before it is taken away.
                    super::print(b"\x1b[H\x1b[J");
                }
                self.show(table);
            }
            (Output::Text, None) => {}
        }
    }

    /// What a person can do, once for all hosts with the same trouble.
    fn ways_out(&self) -> Vec<String> {
        let untrusted = |host: &Reported| match &host.outcome {
            Some(Ended::Done(Err(remote::Error::Transport(transport::Error::HostKey { why, .. })))) => {
                Some((host.name.clone(), why.clone()))
            }
            _ => None,
        };
        let untrusted: Vec<_> = self.hosts.iter().filter_map(untrusted).collect();
        let mut ways = Vec::new();
        let is_held = |host: &Reported| matches!(host.failure(), Some((Reason::Host(api::Kind::Locked), _)));
        if self.hosts.iter().any(is_held) {
            ways.push("`lvscare-installer resume` follows what is at work on a host".to_owned());
        }
        if untrusted.iter().any(|(_, why)| matches!(why, Untrusted::Unknown { .. })) {
            ways.push(
                "compare the fingerprints with the hosts' own, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there; \
                 then --host-key-policy accept-new records them"
                    .to_owned(),
            );
        }
        if let Some((name, _)) = untrusted.iter().find(|(_, why)| matches!(why, Untrusted::Changed { .. })) {
            ways.push(format!(
                "a host whose key has changed was made anew, or is another one; if that is known, forget the old key with \
                 `ssh-keygen -R '{name}'`"
            ));
        }
        ways
    }

    fn said(&mut self, host: usize, stream: Stream, bytes: &[u8]) {
        match self.form.output {
            Output::Json => self.printed.push(host, stream, bytes),
            Output::Text => {
                if let Some(told) = self.order.said(host, stream, bytes) {
                    self.tell(host, told);
                }
            }
        }
    }

    fn tell(&mut self, index: usize, told: Told) {
        let width = self.hosts.iter().map(|host| host.name.len()).max().unwrap_or_default();
        let Some(host) = self.hosts.get_mut(index) else { return };
        let prefix = format!("{:width$}  ", host.name);
        let on_out = |line: &str| say(format!("{prefix}{line}").trim_end());
        let on_err = |line: &str| complain(format!("{prefix}{line}").trim_end());
        match told {
            Told::Said(Stream::Out, bytes) => host.out.push(&bytes, on_out),
            Told::Said(Stream::Err, bytes) => host.err.push(&bytes, on_err),
            Told::Lost(count) => {
                let more = "while hosts before it were at work; --limit shows one alone";
                complain(&format!("! {}: {count} more bytes were not kept {more}", host.name));
            }
            Told::Ended => {
                host.out.finish(on_out);
                host.err.finish(on_err);
                match &host.outcome {
                    Some(Ended::Done(Ok(Answer::Copy(Sent::Already)))) => on_out("was there already"),
                    Some(Ended::Done(Ok(Answer::Copy(Sent::Bytes(count))))) => {
                        on_out(&format!("{count} bytes sent, and in place"));
                    }
                    Some(Ended::Done(Ok(Answer::Node(outcome)))) => {
                        if let (NodeOutcome::Changed(changed), Some(request)) =
                            (&**outcome, &self.form.request)
                        {
                            let changed = Changed { status: None, ..changed.clone() };
                            let text = text::printable(&text::changed(request, &changed, self.form.diff));
                            text.lines().for_each(on_out);
                        }
                    }
                    Some(Ended::Done(Ok(Answer::Resumed { followed, newest }))) => {
                        for line in resumed(followed, newest.as_deref()) {
                            on_out(&printable(&line));
                        }
                    }
                    _ => {}
                }
                if let Some((_, why)) = host.failure() {
                    complain(&format!("! {}", host.about(&why)));
                }
            }
        }
    }
}

/// What came of what was at work.
fn resumed(followed: &[(What, End)], newest: Option<&Run>) -> Vec<String> {
    match (followed, newest) {
        ([], None) => vec!["nothing is at work, and nothing was".to_owned()],
        ([], Some(run)) => {
            let end = run.end.as_ref().map(ToString::to_string).unwrap_or_default();
            let what = &run.what;
            vec![format!(
                "nothing is at work; `{}` ({}), begun {}: {end}",
                what.title(),
                what.id,
                what.began()
            )]
        }
        (followed, _) => {
            followed.iter().map(|(what, end)| format!("`{}` ({}): {end}", what.title(), what.id)).collect()
        }
    }
}

impl Watch for RemoteReporter {
    fn begun(&mut self, host: usize) {
        self.log(host, "begun", &json!({}));
        if let Some(host) = self.hosts.get_mut(host) {
            host.begun = Some(Instant::now());
        }
    }

    fn note(&mut self, _host: usize, note: &str) {
        self.warn(note);
    }

    fn told(&mut self, host: usize, told: Happened) {
        self.log_told(host, &told);
        if let Happened::Sent { done, all } = told {
            self.progress.sent(host, done, all);
            return;
        }
        self.progress.clear();
        match told {
            Happened::Sent { .. } => {}
            Happened::Said(Said::Out(bytes)) => self.said(host, Stream::Out, &bytes),
            Happened::Said(Said::Err(bytes)) => self.said(host, Stream::Err, &bytes),
            Happened::Happened(event) => {
                if self.form.output == Output::Text {
                    let text = format!("{}\n", text::event(&event, self.form.diff));
                    self.progress.happened(host, &text);
                    self.said(host, Stream::Out, text.as_bytes());
                }
                if let (Some(host), api::Event::Done(step)) = (self.hosts.get_mut(host), event) {
                    host.steps.push(step);
                }
            }
            Happened::Seen(status) => self.look(host, status),
        }
        self.progress.draw();
    }

    fn ended(&mut self, host: usize, outcome: Outcome) {
        self.progress.clear();
        self.progress.ended(host);
        if let Some(host) = self.hosts.get_mut(host) {
            host.took = host.begun.map(|begun| begun.elapsed());
            host.outcome = Some(outcome);
        }
        let more = document::outcome(self.hosts.get(host));
        self.log(host, "ended", &more);
        if self.form.output == Output::Text && self.form.table.is_none() {
            for (host, told) in self.order.ended(host) {
                self.tell(host, told);
            }
        }
        self.progress.draw();
    }

    fn stopping(&mut self, running: usize, can_end: bool) {
        self.was_stopped = true;
        self.log.write(None, "stopping", &json!({ "running": running }));
        if running > 0 {
            let next = if can_end { "ends what runs there" } else { "leaves them" };
            self.warn(&format!("stopping; hosts still at work: {running}; once more {next}"));
        }
    }

    fn ending(&mut self, running: usize) {
        self.log.write(None, "ending", &json!({ "running": running }));
        self.warn(&format!("ending what runs on {running} hosts; once more leaves it"));
    }
}

/// To standard error, which may be gone.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use cluster::transport::Exit as CommandExit;

    use super::*;

    fn reporter(outcomes: Vec<Outcome>) -> RemoteReporter {
        let hosts: Vec<_> = (1..=outcomes.len())
            .map(|number| Host { at: format!("10.0.0.{number}:22").parse().unwrap(), role: None })
            .collect();
        let form = RemoteForm { table: Some(Table::Ping), ..RemoteForm::default() };
        let mut reporter = RemoteReporter::new(form, &hosts, RunLog::none());
        for (host, outcome) in outcomes.into_iter().enumerate() {
            reporter.ended(host, outcome);
        }
        reporter
    }

    fn exec(exit: CommandExit) -> Outcome {
        Ended::Done(Ok(Answer::Exec(exit)))
    }

    fn login() -> Outcome {
        let why = "sudo does not take the password".to_owned();
        Ended::Done(Err(remote::Error::Elevation { why }))
    }

    fn lost() -> Outcome {
        Ended::Done(Err(transport::Error::Lost.into()))
    }

    #[test]
    fn one_reason_has_a_code_of_its_own_and_two_have_not() {
        let fine = || exec(CommandExit::Code(0));
        for (outcomes, wanted) in [
            (vec![fine(), fine()], Exit::Success),
            (vec![fine(), exec(CommandExit::Code(3))], Exit::Failed),
            (vec![fine(), exec(CommandExit::Signal("KILL".to_owned()))], Exit::Failed),
            (vec![fine(), login(), login()], Exit::Login),
            (vec![lost(), fine()], Exit::Unreachable),
            (vec![exec(CommandExit::Lost), lost()], Exit::Unreachable),
            (vec![lost(), login()], Exit::Failed),
        ] {
            assert_eq!(reporter(outcomes).exit(), wanted);
        }
    }

    #[test]
    fn what_was_stopped_says_so_whatever_else_came_of_it() {
        let mut reporter = reporter(vec![login(), Ended::Left, Ended::NotBegun]);
        reporter.stopping(0, true);
        assert_eq!(reporter.exit(), Exit::Cancelled);
        let told: Vec<_> = reporter.hosts.iter().flat_map(Reported::remarks).collect();
        assert_eq!(told[1..], ["left while it was at work; what runs there may go on", "not begun"]);
    }

    #[test]
    fn a_host_is_named_once() {
        let reporter = reporter(vec![login()]);
        let host = reporter.hosts.first().unwrap();
        assert_eq!(host.about("cannot reach 10.0.0.1:22: x"), "cannot reach 10.0.0.1:22: x");
        assert_eq!(host.about("the link\nwas lost"), "10.0.0.1: the link\\nwas lost");
    }
}
