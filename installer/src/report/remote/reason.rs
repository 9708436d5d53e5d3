//! Why something was not done on a host: by this, runs in which all failed alike have an exit code of their own.

use cluster::transport::Kind;
use cluster::{flow, remote};
use lvscare::exit::Exit;
use node::api;
use serde::Serialize;

use super::super::exit_of;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It could not be worked with.
    Reach(Kind),
    /// It said so itself.
    Host(api::Kind),
}

impl Reason {
    /// Of a task that failed.
    pub(crate) fn of(error: &remote::Error) -> Self {
        match error {
            remote::Error::Host(failure) => Self::Host(failure.kind),
            error => Self::Reach(error.kind()),
        }
    }

    /// A word for it.
    pub(super) fn word(self) -> String {
        match self {
            Self::Reach(Kind::Login) => "login".to_owned(),
            Self::Reach(Kind::HostKey) => "host-key".to_owned(),
            Self::Reach(Kind::Unreachable) => "unreachable".to_owned(),
            Self::Reach(Kind::Local) => "local".to_owned(),
            Self::Reach(Kind::Failed) => "failed".to_owned(),
            Self::Host(kind) => name(kind),
        }
    }

    /// The exit code of a run in which everything that failed failed for this reason.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Reach(kind) => exit_of_reach(kind),
            Self::Host(kind) => exit_of(kind),
        }
    }
}

/// As it goes over the wire.
fn name(kind: impl Serialize) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "failed".to_owned(),
    }
}

/// The exit code of whoever cannot work with a host.
fn exit_of_reach(kind: Kind) -> Exit {
    match kind {
        Kind::Login => Exit::Login,
        Kind::HostKey => Exit::HostKey,
        Kind::Unreachable => Exit::Unreachable,
        Kind::Local => Exit::Invalid,
        Kind::Failed => Exit::Failed,
    }
}

/// The exit code of a run in which no host could be asked.
pub(crate) fn exit_of_flow(error: &flow::Error) -> Exit {
    match error {
        flow::Error::Bastion(error) | flow::Error::Record(error) => exit_of_reach(error.kind()),
        flow::Error::NotAccepted => Exit::HostKey,
        flow::Error::Stopped => Exit::Cancelled,
        flow::Error::System(_) => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_keeps_its_word_and_its_code() {
        let failure = api::Failure::new(api::Kind::NotVerified, "x");
        let reason = Reason::of(&failure.into());
        assert_eq!((reason.word().as_str(), reason.exit()), ("not-verified", Exit::NotVerified));
        let reason = Reason::Host(api::Kind::Locked);
        assert_eq!((reason.word().as_str(), reason.exit()), ("locked", Exit::Locked));
    }
}
