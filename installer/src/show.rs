//! What a run says: to people line by line, to programs as one document.

use std::fmt::Write as _;

use lvscare::exit::{Exit, Failure};
use serde::Serialize;

use crate::node::action::Action;
use crate::node::plan::Plan;

/// What a run did, or would do.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// Whether there was anything to do.
    pub changed: bool,
    /// Whether it was only planned.
    pub planned: bool,
    /// The steps.
    pub steps: Vec<&'a Action>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl<'a> Report<'a> {
    /// Of a plan.
    pub fn new(plan: &'a Plan, planned: bool, notes: Vec<String>) -> Self {
        Self { changed: !plan.is_empty(), planned, steps: plan.all().collect(), notes }
    }
}

impl<'a> Report<'a> {
    /// Of the way back.
    pub fn of_undo(steps: &'a [Action], planned: bool) -> Self {
        Self { changed: !steps.is_empty(), planned, steps: steps.iter().collect(), notes: Vec::new() }
    }
}

/// An answer for programs.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

/// What would be done, for people.
pub fn preview(report: &Report<'_>, diff: bool) -> String {
    let mut text = String::new();
    for note in &report.notes {
        let _ = writeln!(text, "! {note}");
    }
    if report.changed {
        text.push_str("would do:\n");
        text.push_str(&steps(report.steps.iter().copied(), diff));
    } else {
        text.push_str("nothing to do; this node is prepared");
    }
    text.trim_end().to_owned()
}

/// The steps as people read them, each with what it changes in its file if `diff`.
pub fn steps<'a>(steps: impl IntoIterator<Item = &'a Action>, diff: bool) -> String {
    let mut text = String::new();
    for step in steps {
        let _ = writeln!(text, "  {step}");
        if let Some(changes) = step.diff().filter(|_| diff) {
            for line in changes.lines() {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    text
}
