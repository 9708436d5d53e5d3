//! Questions to a person at a terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use cluster::flow::Unknown;
use lvscare::terminal::printable;

/// Whether somebody is there who can answer.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether the answer is yes; silence is not.
fn yes(question: &str) -> bool {
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Whether a plan is to be carried out.
pub(crate) fn whether_to_do_it() -> bool {
    yes("do it?")
}

/// Whether these are the hosts that are meant.
pub(crate) fn whether_to_trust(unknown: &[Unknown]) -> bool {
    let names: Vec<_> = unknown.iter().map(|unknown| unknown.host.to_string()).collect();
    let width = names.iter().map(String::len).max().unwrap_or_default();
    let mut text = match unknown.len() {
        1 => "the key of one host is not known:\n".to_owned(),
        count => format!("the keys of {count} hosts are not known:\n"),
    };
    for (unknown, name) in unknown.iter().zip(names) {
        let algorithm = printable(&unknown.algorithm);
        let _ = writeln!(text, "  {name:width$}  {algorithm} {}", unknown.fingerprint);
    }
    text.push_str(
        "compare them with the hosts' own: `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there\n",
    );
    let _ = io::stderr().write_all(text.as_bytes());
    yes("record them, and go on?")
}
