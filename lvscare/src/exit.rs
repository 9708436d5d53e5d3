//! The exit codes of lvscare and its installer: one table for both programs.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done, or nothing to do |
//! | 1 | failed for a reason that the message names |
//! | 2 | wrong usage or a bad value; nothing was changed |
//! | 3 to 13 | kept for the installer |
//! | 14 | not permitted: `CAP_NET_ADMIN` is missing |
//! | 15 | the kernel lacks a part: IPVS itself or the scheduler |

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
    /// `CAP_NET_ADMIN` is missing.
    NotPermitted = 14,
    /// The kernel lacks IPVS or the scheduler.
    KernelLacksPart = 15,
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
