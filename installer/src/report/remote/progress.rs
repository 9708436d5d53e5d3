//! What is going on, for a person at a terminal: a line for each host at work, drawn anew as it changes, and gone at the
//! end. Elsewhere nothing of it is written.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use lvscare::terminal::printable;

/// It is drawn no more often; whoever reads sees no difference.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest line, in characters: one that a terminal breaks in two cannot be taken away as one.
const MAX_WIDTH: usize = 79;

/// The width of a bar, in characters.
const BAR: u64 = 20;

/// What a host is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing was heard of it.
    #[default]
    Quiet,
    /// So many bytes of so many are there.
    Sending(u64, u64),
    /// This was done last.
    Busy(String),
    /// Nothing more comes.
    Ended,
}

/// The lines.
#[derive(Debug)]
pub(super) struct Progress {
    is_shown: bool,
    hosts: Vec<(String, State)>,
    /// So many lines are on the terminal.
    drawn: usize,
    drawn_at: Option<Instant>,
}

impl Progress {
    /// Of these hosts, for a person if `is_wanted`.
    pub(super) fn new(is_wanted: bool, hosts: impl Iterator<Item = String>) -> Self {
        let is_shown = is_wanted && io::stderr().is_terminal();
        Self { is_shown, hosts: hosts.map(|name| (name, State::Quiet)).collect(), drawn: 0, drawn_at: None }
    }

    /// So many bytes of a file are there.
    pub(super) fn sent(&mut self, host: usize, done: u64, all: u64) {
        self.set(host, State::Sending(done, all));
        let is_early = self.drawn > 0 && self.drawn_at.is_some_and(|at| at.elapsed() < PAUSE);
        if !is_early {
            self.clear();
            self.draw();
        }
    }

    /// This was done.
    pub(super) fn happened(&mut self, host: usize, what: &str) {
        self.set(host, State::Busy(what.lines().next().unwrap_or_default().trim().to_owned()));
    }

    /// Nothing more comes from it.
    pub(super) fn ended(&mut self, host: usize) {
        self.set(host, State::Ended);
    }

    /// Takes the lines away, so that something else can be written.
    pub(super) fn clear(&mut self) {
        if self.drawn > 0 {
            // Up to the first of them, and everything from there on.
            let _ = write!(io::stderr(), "\x1b[{}A\r\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }

    /// Draws them, below what was written.
    pub(super) fn draw(&mut self) {
        if !self.is_shown {
            return;
        }
        let lines = self.lines();
        let _ = io::stderr().write_all(format!("{}\n", lines.join("\n")).as_bytes());
        (self.drawn, self.drawn_at) = (lines.len(), Some(Instant::now()));
    }

    fn set(&mut self, host: usize, state: State) {
        if let Some((_, known)) = self.hosts.get_mut(host) {
            *known = state;
        }
    }

    fn lines(&self) -> Vec<String> {
        let width = self.hosts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut lines: Vec<String> = Vec::new();
        for (name, state) in &self.hosts {
            let what = match state {
                State::Quiet | State::Ended => continue,
                State::Sending(done, all) => bar(*done, *all),
                State::Busy(what) => printable(what),
            };
            lines.push(format!("{name:width$}  {what}").chars().take(MAX_WIDTH).collect());
        }
        let ended = self.hosts.iter().filter(|(_, state)| *state == State::Ended).count();
        lines.push(format!("{ended} of {} hosts done", self.hosts.len()));
        lines
    }
}

/// How far it is.
fn bar(done: u64, all: u64) -> String {
    let part = |of: u64| match all {
        0 => of,
        all => u64::try_from(u128::from(done.min(all)) * u128::from(of) / u128::from(all)).unwrap_or(of),
    };
    let mut text = String::from("[");
    for place in 0..BAR {
        text.push(if place < part(BAR) { '#' } else { '.' });
    }
    let mega = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000);
    let _ = write!(text, "] {:3} %  {} of {} MB", part(100), mega(done), mega(all));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_at_work_have_a_line_each() {
        let names = ["10.0.0.1", "10.0.0.2", "[10.0.0.3]:2222", "10.0.0.4"];
        let mut progress = Progress::new(false, names.into_iter().map(str::to_owned));
        progress.sent(0, 3_450_000, 6_900_000);
        progress.happened(1, "  write /etc/x \x1b[2J(mode 0644)\n    +more");
        progress.happened(2, &"x".repeat(200));
        progress.ended(3);
        let lines = progress.lines();
        assert_eq!(lines[0], "10.0.0.1         [##########..........]  50 %  3.4 of 6.9 MB");
        assert_eq!(lines[1], "10.0.0.2         write /etc/x \\x1b[2J(mode 0644)");
        assert_eq!((lines[2].chars().count(), lines[3].as_str(), lines.len()), (79, "1 of 4 hosts done", 4));
        // Nobody sees it here.
        progress.draw();
        assert_eq!(progress.drawn, 0);
    }

    #[test]
    fn a_bar_is_never_longer_than_it_is() {
        for (done, all, wanted) in [
            (0, 0, "[####################] 100 %  0.0 of 0.0 MB"),
            (0, 10, "[....................]   0 %  0.0 of 0.0 MB"),
            (9, 3, "[####################] 100 %  0.0 of 0.0 MB"),
            (u64::MAX / 2, u64::MAX, "[#########...........]  49 %"),
        ] {
            assert!(bar(done, all).starts_with(wanted), "{}", bar(done, all));
        }
    }
}
