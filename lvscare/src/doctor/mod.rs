//! `lvscare doctor`: finds what is wrong with a node, says why it matters and what mends it. Changes nothing.
//!
//! ```text
//!   files, kernel, processes, network ──[`facts`]──► Facts ──[`checks`], pure──► Report ──[`render`]──► people
//! ```
//!
//! - [`facts`] looks. Whatever cannot be seen (no such file, not permitted, no answer in time) is an absent fact
//!   and never an error: a half-broken node is what this command is for.
//! - [`checks`] judges. A check that lacks its facts says nothing rather than guessing.
//! - [`render`] writes for people; [`Report`] itself is what programs get, as JSON.
//!
//! It must end within two seconds on a node where nothing answers: every question has a limit of its own, and
//! the questions to all servers are asked at the same time.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::terminal::printable;

pub mod checks;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod facts;
pub mod render;
pub mod subnet;

/// How bad a finding is, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is wrong.
    Note,
    /// Something works less well than it could, or will break.
    Warning,
    /// Something is broken.
    Error,
}

/// What a check found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A stable name of the matter, for programs and search engines.
    pub id: Cow<'static, str>,
    /// How bad it is.
    pub severity: Severity,
    /// What is seen.
    pub seen: String,
    /// Why it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What mends it, a command where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// Something that is as it should be.
    pub fn ok(id: &'static str, seen: impl Into<String>) -> Self {
        Self { id: id.into(), severity: Severity::Ok, seen: seen.into(), why: None, fix: None }
    }

    /// Something that is worth knowing.
    pub fn note(
        id: &'static str,
        seen: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            severity: Severity::Note,
            seen: seen.into(),
            why: Some(why.into()),
            fix: Some(fix.into()),
        }
    }

    /// Something that works less well than it could, or will break.
    pub fn warning(
        id: &'static str,
        seen: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::note(id, seen, why, fix) }
    }

    fn printable(self) -> Self {
        let [why, fix] = [self.why, self.fix].map(|text| text.as_deref().map(printable));
        Self { seen: printable(&self.seen), why, fix, ..self }
    }

    /// Something that is broken.
    pub fn error(
        id: &'static str,
        seen: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Error, ..Self::note(id, seen, why, fix) }
    }
}

/// Everything that was found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The virtual server that was looked at.
    pub virtual_server: SocketAddr,
    /// Whether there is neither an error nor a warning.
    pub healthy: bool,
    /// Errors, warnings and notes, the worst first.
    pub findings: Vec<Finding>,
    /// What is as it should be.
    pub passed: Vec<Finding>,
}

impl Report {
    /// Judges facts.
    pub fn of(facts: &facts::Facts) -> Self {
        Self::new(facts.vs, checks::ALL.iter().flat_map(|check| check(facts)))
    }

    /// Sorts findings. Parts of them come from strangers: answers, certificates, files and the names of these.
    pub fn new(vs: SocketAddr, all: impl Iterator<Item = Finding>) -> Self {
        let (found, passed): (Vec<_>, Vec<_>) =
            all.map(Finding::printable).partition(|finding| finding.severity > Severity::Ok);
        let worst_first = [Severity::Error, Severity::Warning, Severity::Note];
        let of = |severity| found.iter().filter(move |finding| finding.severity == severity).cloned();
        let findings: Vec<_> = worst_first.into_iter().flat_map(of).collect();
        Self {
            virtual_server: vs,
            healthy: findings.iter().all(|finding| finding.severity < Severity::Warning),
            findings,
            passed,
        }
    }
}
