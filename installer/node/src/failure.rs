//! Why something ended early: for programs a kind, for people one message.

use std::fmt;

use lvscare::exit;
use serde::{Deserialize, Serialize};

/// Why a request ended early: for programs a kind, for people one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// By this a controller decides.
    pub kind: Kind,
    /// What was wrong, with which value, and the way out.
    pub message: String,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A reason that only the message names.
    Failed,
    /// A bad value; nothing was changed.
    Usage,
    /// Values that do not fit together, or a file that is not valid.
    Invalid,
    /// The checks refuse this node; nothing was changed.
    Refused,
    /// No apiserver can be reached.
    Unreachable,
    /// The image is missing or damaged.
    Image,
    /// Another run is at work.
    Locked,
    /// kubeadm failed.
    Kubeadm,
    /// Something is not as it should be after the change.
    NotVerified,
    /// Somebody else's work would be damaged.
    Foreign,
    /// A right is missing.
    NotPermitted,
    /// The kernel lacks IPVS or the scheduler.
    Kernel,
    /// Whoever asked for it wants no more of it; what was begun is done.
    Cancelled,
}

impl Failure {
    /// A failure with a message of its own.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A bad value.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Nobody wants it any more.
    pub fn cancelled() -> Self {
        let text = "stopped between two steps, as was asked; run it again to finish it, or undo it";
        Self::new(Kind::Cancelled, text)
    }

    /// What the system refused, with the reason of [`std::io::Error`].
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Kind::NotPermitted,
            _ => Kind::Failed,
        };
        Self::new(kind, format!("cannot {what}: {error}"))
    }
}

impl From<exit::Failure> for Failure {
    fn from(failure: exit::Failure) -> Self {
        let kind = match failure.exit {
            exit::Exit::Usage => Kind::Usage,
            exit::Exit::Invalid => Kind::Invalid,
            exit::Exit::NotPermitted => Kind::NotPermitted,
            exit::Exit::KernelLacksPart => Kind::Kernel,
            _ => Kind::Failed,
        };
        Self::new(kind, failure.message)
    }
}

impl From<lvscare::kernel::Error> for Failure {
    fn from(error: lvscare::kernel::Error) -> Self {
        exit::Failure::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_told_from_other_trouble() {
        let kind = |error: std::io::ErrorKind| Failure::io("write /x", &error.into()).kind;
        assert_eq!(kind(std::io::ErrorKind::PermissionDenied), Kind::NotPermitted);
        assert_eq!(kind(std::io::ErrorKind::StorageFull), Kind::Failed);
    }
}
