//! Logging in to real OpenSSH servers, whatever they are like: every row of what is known to break.
//!
//! As root, on this machine's kernel. What a host is, says `tests::sshd`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

#[path = "ssh/command.rs"]
mod command;
#[path = "ssh/figures.rs"]
mod figures;
#[path = "ssh/host_key.rs"]
mod host_key;
#[path = "ssh/link.rs"]
mod link;
#[path = "ssh/login.rs"]
mod login;
#[path = "ssh/remote.rs"]
mod remote;
#[path = "ssh/stage.rs"]
mod stage;
