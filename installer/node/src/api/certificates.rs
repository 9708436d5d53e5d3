//! What is asked and told of a cluster's certificates on one of its machines. Times are seconds since 1970.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Change;
use crate::date::DAY;

/// Later ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewRequest {
    /// The last second of what authorities have signed; they themselves end a year later.
    pub until: u64,
    /// The files; none: all that are there.
    pub files: Vec<PathBuf>,
    /// How long a static pod may take to end, and to answer again.
    pub wait: Duration,
    /// How the change is made.
    pub change: Change,
}

impl RenewRequest {
    /// The end of what lasts so long from `now` on, in seconds since 1970, at the end of a day: masters that are renewed on
    /// one day end at the same time.
    pub fn end(now: Duration, validity: Duration) -> u64 {
        now.saturating_add(validity).as_secs().div_ceil(DAY).saturating_mul(DAY)
    }
}

/// More names for this machine's apiserver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddNamesRequest {
    /// Names of the DNS, and addresses.
    pub names: Vec<String>,
    /// How long the apiserver may take to end, and to answer again.
    pub wait: Duration,
    /// How the change is made.
    pub change: Change,
}

/// The former certificates again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// How long a static pod may take to end, and to answer again.
    pub wait: Duration,
    /// How the change is made.
    pub change: Change,
}

/// All certificates of a cluster on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificates {
    /// When they were looked at.
    pub time: u64,
    /// Each of them.
    pub certificates: Vec<CertificateRow>,
    /// The files that cannot be read, and why.
    pub unreadable: Vec<Unreadable>,
}

impl Certificates {
    /// Whether nothing is wrong with any of them.
    pub fn is_fine(&self) -> bool {
        self.unreadable.is_empty() && self.certificates.iter().all(|row| row.findings.is_empty())
    }
}

/// A file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Which.
    pub file: PathBuf,
    /// Why.
    pub why: String,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRow {
    /// Where it stands.
    pub file: PathBuf,
    /// In a kubeconfig: whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whom it is for.
    pub subject: String,
    /// What a server with it may be called.
    pub names: Vec<String>,
    /// Who says that he has signed it.
    pub issuer: String,
    /// The file of the authority that has signed it, if it is here.
    pub authority: Option<PathBuf>,
    /// Whether it is an authority itself.
    pub is_authority: bool,
    /// The first second in which it is valid.
    pub not_before: u64,
    /// The last one.
    pub not_after: u64,
    /// Whole days until then; less than nothing when it is over.
    pub days_left: i64,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

/// Something that is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// For programs.
    pub kind: FindingKind,
    /// For people.
    pub text: String,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// It is over.
    Expired,
    /// It has not begun.
    NotYetValid,
    /// It is over in less than 30 days.
    EndsSoon,
    /// It is over more than a year before others of this machine.
    Mixture,
    /// It is valid for longer than its authority.
    OutlivesAuthority,
    /// Another authority has made it, or it trusts another one.
    OtherAuthority,
    /// The key beside it is another one's.
    OtherKey,
    /// There is no key beside it.
    NoKey,
}
