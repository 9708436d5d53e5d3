//! What a run says: to people line by line, to programs as one document.

use std::fmt::Write as _;

use lvscare::exit::{Exit, Failure};
use serde::Serialize;

use crate::node::action::Action;

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
    /// Of these steps.
    pub fn new(steps: impl IntoIterator<Item = &'a Action>, planned: bool, notes: Vec<String>) -> Self {
        let steps: Vec<_> = steps.into_iter().collect();
        Self { changed: !steps.is_empty(), planned, steps, notes }
    }
}

/// An answer for programs.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

/// What would be done, for people; `nothing` is said when that is nothing.
pub fn preview(report: &Report<'_>, diff: bool, nothing: &str) -> String {
    let mut text = String::new();
    for note in &report.notes {
        let _ = writeln!(text, "! {note}");
    }
    if report.changed {
        text.push_str("would do:\n");
        text.push_str(&steps(report.steps.iter().copied(), diff));
    } else {
        text.push_str(nothing);
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
