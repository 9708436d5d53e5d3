//! What is asked before anything else: which system, which clock, which user, and whether `sudo` lets them be root.

use std::time::{Duration, SystemTime};

use super::script::PROBE;
use super::{Error, last_words, nonce};
use crate::transport::error::said;
use crate::transport::{Exit, Transport};

/// For a host that is busy.
const LIMIT: Duration = Duration::from_secs(30);

/// What a host answers. Its words are fit for a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// The kernel's name, such as `Linux`.
    pub system: String,
    /// The kernel's release, such as `6.1.0-18-amd64`.
    pub kernel: String,
    /// The machine's, such as `x86_64`.
    pub machine: String,
    /// How many seconds its clock is ahead of ours; less than 0 if it is behind. What the question itself took is no
    /// difference.
    pub ahead_seconds: i64,
    /// Whether the user is root.
    pub is_root: bool,
    /// What `sudo` does.
    pub sudo: Sudo,
}

/// What `sudo` does for this user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sudo {
    /// Whatever is wanted, without a question.
    Free,
    /// It asks for a password, or refuses.
    Asks,
    /// It is not there.
    #[default]
    Missing,
}

/// Asks.
pub async fn probe(transport: &impl Transport) -> Result<Probe, Error> {
    let nonce = nonce();
    let asked = since_1970();
    let finished = transport.exec(PROBE).await?.finish(format!("{nonce}\n"), LIMIT).await?;
    match read(&finished.stdout, &nonce, (asked, since_1970())) {
        Some(probe) => Ok(probe),
        None if finished.exit == Exit::Code(0) => {
            let said = String::from_utf8_lossy(&finished.stdout).chars().take(200).collect();
            Err(Error::Strange { what: WHAT, said })
        }
        None => Err(Error::Ended { what: WHAT, exit: finished.exit, said: last_words(&finished.stderr) }),
    }
}

const WHAT: &str = "a first question (is its login shell a usual one?)";

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Reads the lines between two nonces. What a profile printed before and after is nobody's answer. It was asked and
/// answered at these times since 1970.
fn read(stdout: &[u8], nonce: &str, times: (Duration, Duration)) -> Option<Probe> {
    let text = String::from_utf8_lossy(stdout);
    let mut lines = text.lines().skip_while(|line| *line != nonce).skip(1);
    let (system, kernel, machine) = (said(lines.next()?), said(lines.next()?), said(lines.next()?));
    let ahead_seconds = ahead(lines.next()?.parse().ok()?, times);
    let (user, sudo) = (lines.next()?, lines.next()?);
    let sudo = match sudo {
        "free" => Sudo::Free,
        "asks" => Sudo::Asks,
        "none" => Sudo::Missing,
        _ => return None,
    };
    let probe = Probe { system, kernel, machine, ahead_seconds, is_root: user == "0", sudo };
    (lines.next() == Some(nonce)).then_some(probe)
}

/// How far a clock is ahead that showed this second at some time from `asked` to `answered`; 0 if it may be right.
fn ahead(shown: u64, (asked, answered): (Duration, Duration)) -> i64 {
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    let (asked, answered) = (asked.as_secs(), answered.as_secs());
    if shown > answered { signed(shown - answered) } else { -signed(asked.saturating_sub(shown)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMES: (Duration, Duration) = (Duration::from_millis(99_900), Duration::from_millis(103_100));

    #[test]
    fn answers_are_read_between_the_nonces() {
        let probe = |is_root, sudo, ahead_seconds| Probe {
            system: "Linux".into(),
            kernel: "6.1".into(),
            machine: "x86_64".into(),
            ahead_seconds,
            is_root,
            sudo,
        };
        for (text, wanted) in [
            ("\nN\nLinux\n6.1\nx86_64\n100\n0\nnone\nN\n", Some(probe(true, Sudo::Missing, 0))),
            (
                "Welcome!\nnone\nN\nLinux\n6.1\nx86_64\n220\n7\nfree\nN\nbye",
                Some(probe(false, Sudo::Free, 117)),
            ),
            ("\nN\nLinux\n6.1\nx86_64\n90\n1000\nasks\nN\n", Some(probe(false, Sudo::Asks, -9))),
            ("\nN\nLinux\n6.1\nx86_64\n100\n1000\nasks\n", None),
            ("\nN\nLinux\n6.1\nx86_64\n100\n1000\nmaybe\nN\n", None),
            ("\nN\nLinux\n6.1\nx86_64\nnoon\n1000\nasks\nN\n", None),
            ("Linux\n6.1\nx86_64\n100\n0\nnone\n", None),
            ("", None),
        ] {
            assert_eq!(read(text.as_bytes(), "N", TIMES), wanted, "{text:?}");
        }
    }

    #[test]
    fn what_a_stranger_calls_itself_is_short_and_shows_as_it_is() {
        let text = format!("N\nLinux\n\u{1b}[2J{}\nx86_64\n100\n0\nnone\nN\n", "x".repeat(900));
        let probe = read(text.as_bytes(), "N", TIMES).unwrap();
        assert!(probe.kernel.starts_with("\\x1b[2Jxx") && probe.kernel.len() < 300, "{}", probe.kernel);
    }

    #[test]
    fn a_slow_answer_makes_no_clock_wrong() {
        // Asked in second 99, answered in second 103.
        for (shown, wanted) in
            [(0, -99), (98, -1), (99, 0), (101, 0), (103, 0), (104, 1), (u64::MAX, i64::MAX)]
        {
            assert_eq!(ahead(shown, TIMES), wanted, "{shown}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, "N", TIMES);
        }
    }
}
