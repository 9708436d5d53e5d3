//! What is asked before anything else: which system, which user, and whether `sudo` lets them be root.

use std::time::Duration;

use super::script::PROBE;
use super::{Error, last_words, nonce};
use crate::transport::{Exit, Transport};

/// For a host that is busy.
const LIMIT: Duration = Duration::from_secs(30);

/// What a host answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The kernel's name, such as `Linux`.
    pub system: String,
    /// The machine's, such as `x86_64`.
    pub machine: String,
    /// Whether the user is root.
    pub is_root: bool,
    /// What `sudo` does.
    pub sudo: Sudo,
}

/// What `sudo` does for this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sudo {
    /// Whatever is wanted, without a question.
    Free,
    /// It asks for a password, or refuses.
    Asks,
    /// It is not there.
    Missing,
}

/// Asks.
pub async fn probe(transport: &impl Transport) -> Result<Probe, Error> {
    let nonce = nonce();
    let finished = transport.exec(PROBE).await?.finish(format!("{nonce}\n"), LIMIT).await?;
    match read(&finished.stdout, &nonce) {
        Some(probe) => Ok(probe),
        None if finished.exit == Exit::Code(0) => {
            let said = String::from_utf8_lossy(&finished.stdout).chars().take(200).collect();
            Err(Error::Strange { what: WHAT, said })
        }
        None => Err(Error::Ended { what: WHAT, exit: finished.exit, said: last_words(&finished.stderr) }),
    }
}

const WHAT: &str = "a first question (is its login shell a usual one?)";

/// Reads the lines between two nonces. What a profile printed before and after is nobody's answer.
fn read(stdout: &[u8], nonce: &str) -> Option<Probe> {
    let text = String::from_utf8_lossy(stdout);
    let mut lines = text.lines().skip_while(|line| *line != nonce).skip(1);
    let (system, machine, user, sudo) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
    let sudo = match sudo {
        "free" => Sudo::Free,
        "asks" => Sudo::Asks,
        "none" => Sudo::Missing,
        _ => return None,
    };
    let probe = Probe { system: system.to_owned(), machine: machine.to_owned(), is_root: user == "0", sudo };
    (lines.next() == Some(nonce)).then_some(probe)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_read_between_the_nonces() {
        let probe = |is_root, sudo| Probe { system: "Linux".into(), machine: "x86_64".into(), is_root, sudo };
        for (text, wanted) in [
            ("\nN\nLinux\nx86_64\n0\nnone\nN\n", Some(probe(true, Sudo::Missing))),
            ("Welcome!\nno line end\nN\nLinux\nx86_64\n1000\nfree\nN\nbye", Some(probe(false, Sudo::Free))),
            ("\nN\nLinux\nx86_64\n1000\nasks\nN\n", Some(probe(false, Sudo::Asks))),
            ("\nN\nLinux\nx86_64\n1000\nasks\n", None),
            ("\nN\nLinux\nx86_64\n1000\nmaybe\nN\n", None),
            ("Linux\nx86_64\n0\nnone\n", None),
            ("", None),
        ] {
            assert_eq!(read(text.as_bytes(), "N"), wanted, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, "N");
        }
    }
}
