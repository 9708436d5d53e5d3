//! What is told of many hosts: as it comes but in their order, and what came of it all.

use std::io::{self, Write};

use cluster::flow::{Answer, Outcome, Rights, Watch};
use cluster::inventory::{Host, Role};
use cluster::remote;
use cluster::remote::run::Said;
use cluster::remote::transfer::Sent;
use cluster::runner::Ended;
use cluster::transport::policy::Untrusted;
use cluster::transport::{self, Exit as CommandExit, Kind};
use lvscare::exit::Exit;
use lvscare::terminal::printable;

use super::{Output, say};
use lines::Lines;
use order::{InOrder, Stream, Told};

mod document;
mod lines;
mod order;
mod table;

/// Tells of a task on many hosts.
#[derive(Debug)]
pub(crate) struct RemoteReporter {
    output: Output,
    /// Whether it ends in a table of what the hosts are.
    has_table: bool,
    hosts: Vec<Reported>,
    order: InOrder,
    /// For programs: what commands printed.
    printed: document::Printed,
    notes: Vec<String>,
    was_stopped: bool,
}

/// What is known of one host.
#[derive(Debug)]
struct Reported {
    name: String,
    role: Option<Role>,
    out: Lines,
    err: Lines,
    outcome: Option<Outcome>,
}

impl RemoteReporter {
    /// Of these hosts.
    pub(crate) fn new(output: Output, has_table: bool, hosts: &[Host]) -> Self {
        let reported = |host: &Host| Reported {
            name: host.name(),
            role: host.role,
            out: Lines::default(),
            err: Lines::default(),
            outcome: None,
        };
        Self {
            output,
            has_table,
            hosts: hosts.iter().map(reported).collect(),
            order: InOrder::new(hosts.len()),
            printed: document::Printed::new(hosts.len()),
            notes: Vec::new(),
            was_stopped: false,
        }
    }

    /// Tells what a person should know, once.
    pub(crate) fn warn(&mut self, note: &str) {
        if !self.notes.iter().any(|told| told == note) {
            complain(&format!("! {}", printable(note)));
            self.notes.push(note.to_owned());
        }
    }

    /// Tells what came of it.
    pub(crate) fn finish(&self) -> Exit {
        let exit = self.exit();
        let done = self.hosts.iter().filter(|host| host.failure().is_none()).count();
        let all = self.hosts.len();
        match self.output {
            Output::Json => document::print(&self.hosts, &self.printed, exit),
            Output::Text if self.has_table => {
                say(&table::table(&self.hosts));
                for host in &self.hosts {
                    if let Some(remark) = host.remark() {
                        say(&format!("! {}", host.about(&remark)));
                    }
                }
                say(&format!("{done} of {all} hosts can be worked with"));
            }
            Output::Text if exit == Exit::Success => {}
            Output::Text => complain(&format!("done on {done} of {all} hosts")),
        }
        for way_out in self.ways_out() {
            complain(&format!("! {way_out}"));
        }
        exit
    }

    fn exit(&self) -> Exit {
        if self.was_stopped {
            return Exit::Cancelled;
        }
        let mut kinds = self.hosts.iter().filter_map(Reported::failure).map(|(kind, _)| kind);
        match kinds.next() {
            None => Exit::Success,
            Some(first) if kinds.all(|kind| kind == first) => exit_of(first),
            Some(_) => Exit::Failed,
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
                    _ => {}
                }
                if let Some((_, why)) = host.failure() {
                    complain(&format!("! {}", host.about(&why)));
                }
            }
        }
    }
}

impl Watch for RemoteReporter {
    fn note(&mut self, _host: usize, note: &str) {
        self.warn(note);
    }

    fn said(&mut self, host: usize, said: Said) {
        let (stream, bytes) = match &said {
            Said::Out(bytes) => (Stream::Out, bytes),
            Said::Err(bytes) => (Stream::Err, bytes),
        };
        match self.output {
            Output::Json => self.printed.push(host, stream, bytes),
            Output::Text => {
                if let Some(told) = self.order.said(host, stream, bytes) {
                    self.tell(host, told);
                }
            }
        }
    }

    fn ended(&mut self, host: usize, outcome: Outcome) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.outcome = Some(outcome);
        }
        if self.output == Output::Text && !self.has_table {
            for (host, told) in self.order.ended(host) {
                self.tell(host, told);
            }
        }
    }

    fn stopping(&mut self, running: usize) {
        self.was_stopped = true;
        if running > 0 {
            self.warn(&format!("stopping; hosts still at work: {running}; once more leaves them"));
        }
    }
}

impl Reported {
    /// Why it was not done here.
    fn failure(&self) -> Option<(Kind, String)> {
        match self.outcome.as_ref() {
            None | Some(Ended::NotBegun) => Some((Kind::Failed, "not begun".to_owned())),
            Some(Ended::Left) => {
                Some((Kind::Failed, "left while it was at work; what runs there may go on".to_owned()))
            }
            Some(Ended::Done(Ok(
                Answer::Exec(CommandExit::Code(0)) | Answer::Ping(..) | Answer::Copy(_),
            ))) => None,
            Some(Ended::Done(Ok(Answer::Exec(exit @ CommandExit::Lost)))) => {
                Some((Kind::Unreachable, exit.to_string()))
            }
            Some(Ended::Done(Ok(Answer::Exec(exit)))) => Some((Kind::Failed, exit.to_string())),
            Some(Ended::Done(Err(error))) => Some((error.kind(), error.to_string())),
        }
    }

    /// What a person should know beside the table: why it failed, or why nobody is root there.
    fn remark(&self) -> Option<String> {
        match &self.outcome {
            Some(Ended::Done(Ok(Answer::Ping(_, Rights::None(why))))) => {
                Some(format!("nobody is root there: {why}"))
            }
            _ => self.failure().map(|(_, why)| why),
        }
    }

    /// `text` with the host's name before it, where it does not name the host itself.
    fn about(&self, text: &str) -> String {
        let text = printable(text);
        if text.contains(&self.name) { text } else { format!("{}: {text}", self.name) }
    }
}

/// A word for what went wrong.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Login => "login",
        Kind::HostKey => "host-key",
        Kind::Unreachable => "unreachable",
        Kind::Local => "local",
        Kind::Failed => "failed",
    }
}

/// The exit code of a run in which everything that failed failed for this reason.
pub(crate) fn exit_of(kind: Kind) -> Exit {
    match kind {
        Kind::Login => Exit::Login,
        Kind::HostKey => Exit::HostKey,
        Kind::Unreachable => Exit::Unreachable,
        Kind::Local => Exit::Invalid,
        Kind::Failed => Exit::Failed,
    }
}

/// To standard error, which may be gone.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter(outcomes: Vec<Outcome>) -> RemoteReporter {
        let hosts: Vec<_> = (1..=outcomes.len())
            .map(|number| Host { at: format!("10.0.0.{number}:22").parse().unwrap(), role: None })
            .collect();
        let mut reporter = RemoteReporter::new(Output::Text, true, &hosts);
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
        reporter.stopping(0);
        assert_eq!(reporter.exit(), Exit::Cancelled);
        let told: Vec<_> = reporter.hosts.iter().filter_map(Reported::remark).collect();
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
