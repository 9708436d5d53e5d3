//! The exit codes of lvscare and its installer: one table for both programs.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done, or nothing to do |
//! | 1 | failed for a reason that the message names |
//! | 2 | wrong usage or a bad value; nothing was changed |
//! | 3 | installer: values that do not fit together, or a file that is not valid |
//! | 4 | installer: the checks refuse this node; nothing was changed |
//! | 5 | installer: a host lets nobody in, or nobody be root there |
//! | 6 | installer: a host is not, or may not be, the one that was meant |
//! | 7 | installer: no apiserver, or no host, can be reached |
//! | 8 | installer: the image is missing or damaged |
//! | 9 | another lvscare guards the same address; installer: another run holds the lock |
//! | 10 | installer: `--dry-run --detailed-exitcode` found changes to make |
//! | 11 | installer: `kubeadm` failed |
//! | 12 | installer: something is not as it should be after the change |
//! | 13 | refused, because somebody else's work would be damaged |
//! | 14 | not permitted: `CAP_NET_ADMIN` is missing |
//! | 15 | the kernel lacks a part: IPVS itself or the scheduler |
//! | 130 | installer: stopped between two steps, as was asked |

use std::process::ExitCode;

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Success = 0,
    /// Failed for a reason that the message names.
    Failed = 1,
    /// Wrong usage or a bad value; nothing was changed.
    Usage = 2,
    /// Values that do not fit together, or a file that is not valid.
    Invalid = 3,
    /// The checks refuse this node; nothing was changed.
    Refused = 4,
    /// A host lets nobody in, or nobody be root there.
    Login = 5,
    /// A host is not, or may not be, the one that was meant.
    HostKey = 6,
    /// No apiserver, or no host, can be reached.
    Unreachable = 7,
    /// The image is missing or damaged.
    Image = 8,
    /// Another lvscare guards the same address, or another run holds the lock.
    Locked = 9,
    /// There are changes to make.
    Pending = 10,
    /// `kubeadm` failed.
    Kubeadm = 11,
    /// Something is not as it should be after the change.
    NotVerified = 12,
    /// Somebody else's work would be damaged.
    Foreign = 13,
    /// `CAP_NET_ADMIN` is missing.
    NotPermitted = 14,
    /// The kernel lacks IPVS or the scheduler.
    KernelLacksPart = 15,
    /// Stopped as was asked, as by Ctrl-C in a shell.
    Cancelled = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ends early: one line for people and a code for programs.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What was wrong, with which value, and the way out.
    pub message: String,
}

impl Failure {
    /// A failure with a message of its own.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// A bad value.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
}
