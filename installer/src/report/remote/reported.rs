//! What is known of one host.

use std::time::{Duration, Instant};

use cluster::flow::{Answer, Outcome, Rights};
use cluster::inventory::{Host, Role};
use cluster::runner::Ended;
use cluster::transport::{Exit as CommandExit, Kind};
use lvscare::terminal::printable;
use node::api::{self, NodeStatus, Outcome as NodeOutcome, StepReport};

use super::lines::Lines;
use super::reason::Reason;

/// What is known of one host.
#[derive(Debug)]
pub(super) struct Reported {
    pub(super) name: String,
    pub(super) role: Option<Role>,
    pub(super) out: Lines,
    pub(super) err: Lines,
    pub(super) outcome: Option<Outcome>,
    /// How it was seen last, where it is asked again and again.
    pub(super) seen: Option<Box<NodeStatus>>,
    /// What was done there.
    pub(super) steps: Vec<StepReport>,
    /// When it was begun.
    pub(super) begun: Option<Instant>,
    /// How long it took.
    pub(super) took: Option<Duration>,
}

impl Reported {
    /// Nothing yet.
    pub(super) fn new(host: &Host) -> Self {
        Self {
            name: host.name(),
            role: host.role,
            out: Lines::default(),
            err: Lines::default(),
            outcome: None,
            seen: None,
            steps: Vec::new(),
            begun: None,
            took: None,
        }
    }

    /// Why it was not done here.
    pub(super) fn failure(&self) -> Option<(Reason, String)> {
        let failed = Reason::Reach(Kind::Failed);
        let answer = match self.outcome.as_ref() {
            None | Some(Ended::NotBegun) => return Some((failed, "not begun".to_owned())),
            Some(Ended::Left) => {
                return Some((failed, "left while it was at work; what runs there may go on".to_owned()));
            }
            Some(Ended::Done(Err(error))) => return Some((Reason::of(error), error.to_string())),
            Some(Ended::Done(Ok(answer))) => answer,
        };
        match answer {
            Answer::Exec(CommandExit::Code(0)) | Answer::Ping(..) | Answer::Copy(_) => None,
            Answer::Exec(exit @ CommandExit::Lost) => {
                Some((Reason::Reach(Kind::Unreachable), exit.to_string()))
            }
            Answer::Exec(exit) => Some((failed, exit.to_string())),
            Answer::Node(outcome) => match &**outcome {
                NodeOutcome::Status(status) if !status.differences.is_empty() => {
                    Some((Reason::Host(api::Kind::NotVerified), status.differences.join("; ")))
                }
                _ => None,
            },
            Answer::Resumed { followed, .. } => {
                let (what, end) = followed.iter().find(|(_, end)| !end.is_success())?;
                Some((failed, format!("`{}`: {end}", what.title())))
            }
        }
    }

    /// The status, as it was seen last.
    pub(super) fn status(&self) -> Option<&NodeStatus> {
        match &self.outcome {
            Some(Ended::Done(Ok(Answer::Node(outcome)))) => match &**outcome {
                NodeOutcome::Status(status) => Some(status),
                _ => None,
            },
            None => self.seen.as_deref(),
            _ => None,
        }
    }

    /// Whether there is something to do.
    pub(super) fn is_pending(&self) -> bool {
        matches!(&self.outcome, Some(Ended::Done(Ok(Answer::Node(outcome))))
            if matches!(&**outcome, NodeOutcome::Changed(changed) if changed.planned && changed.changed))
    }

    /// What a person should know beside the table: why it failed, why nobody is root there, what is not as it should be.
    pub(super) fn remarks(&self) -> Vec<String> {
        if let Some(status) = self.status() {
            return status.differences.clone();
        }
        match &self.outcome {
            // It is being looked at for the first time.
            None if self.seen.is_none() => Vec::new(),
            Some(Ended::Done(Ok(Answer::Ping(_, Rights::None(why))))) => {
                vec![format!("nobody is root there: {why}")]
            }
            _ => self.failure().map(|(_, why)| why).into_iter().collect(),
        }
    }

    /// `text` with the host's name before it, where it does not name the host itself.
    pub(super) fn about(&self, text: &str) -> String {
        let text = printable(text);
        if text.contains(&self.name) { text } else { format!("{}: {text}", self.name) }
    }
}
