//! What it means that there is no connection, or no answer over one.

use std::io;

use super::dial;
use crate::health::Failure;
use crate::http;

/// What it means that there is no answer over a connection.
pub(super) fn unanswered(error: http::Error) -> Failure {
    match error {
        http::Error::Connection(error) => broken(&error),
        other => Failure::Garbled(other.to_string()),
    }
}

/// What it means that a connection does not come about.
pub(super) fn failed(error: &io::Error) -> Failure {
    if dial::is_shortage(error) {
        return Failure::Local(error.to_string());
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Failure::Reset,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Failure::Unreachable,
        // The kernel's own retransmissions gave up before our limit.
        io::ErrorKind::TimedOut => Failure::Unacknowledged,
        _ => Failure::Garbled(error.to_string()),
    }
}

/// As [`failed`], for a connection that may be encrypted.
pub(super) fn broken(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Failure::Tls(error.to_string()),
        _ => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    /// This node's own trouble is told from what comes from elsewhere.
    #[test]
    fn shortages_are_no_evidence() {
        let of = |errno: Errno| failed(&errno.into());
        for errno in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
            Errno::PERM,
            Errno::ACCESS,
        ] {
            assert!(matches!(of(errno), Failure::Local(_)), "{errno}");
        }
        assert_eq!(of(Errno::CONNREFUSED), Failure::Refused);
        assert_eq!(of(Errno::CONNRESET), Failure::Reset);
        assert_eq!(of(Errno::HOSTUNREACH), Failure::Unreachable);
        assert_eq!(of(Errno::TIMEDOUT), Failure::Unacknowledged);
    }
}
