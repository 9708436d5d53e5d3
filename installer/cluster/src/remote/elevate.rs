//! Root's rights on a host.
//!
//! Nothing but the password is sent before the script speaks as root. `sudo` reads a line too many after a wrong
//! password, and none at all where it asks nothing; then what was meant for one reader would be another's.

use bytes::{Bytes, BytesMut};
use node::spec::secret::Secret;
use tokio::time::{Instant, timeout_at};

use super::probe::{Probe, Sudo};
use super::script::{NOTHING, Script};
use super::{Error, SPEAK_LIMIT, last_words, nonce};
use crate::transport::{self, Exit, Input, Output, Piece, Transport};

/// The longest line that a script says, in bytes.
const MAX_LINE: usize = 4096;

/// What is kept of what it complains of, in bytes.
const MAX_COMPLAINTS: usize = 8192;

/// How the user becomes root.
#[derive(Clone, Debug)]
pub enum Elevation {
    /// Not at all: they are, or what is done needs no rights but their own.
    NotNeeded,
    /// `sudo` asks nothing.
    Free,
    /// `sudo` asks for this.
    Asked(Secret),
}

impl Elevation {
    /// How, by what was found.
    pub fn new(probe: &Probe, password: Option<&Secret>) -> Result<Self, Error> {
        let refused = |why: &str| Err(Error::Elevation { why: why.to_owned() });
        match (probe.is_root, probe.sudo, password) {
            (true, ..) => Ok(Self::NotNeeded),
            (_, Sudo::Free, _) => Ok(Self::Free),
            (_, Sudo::Asks, Some(password)) if password.reveal().contains(['\n', '\0']) => {
                refused("the password holds an end of line, which sudo takes for its end")
            }
            (_, Sudo::Asks, Some(password)) => Ok(Self::Asked(password.clone())),
            (_, Sudo::Asks, None) => refused("sudo asks for a password, and none was given; see --ask-pass"),
            (_, Sudo::Missing, _) => refused("the user is not root, and sudo is not installed"),
        }
    }
}

/// A script that is root by now.
#[derive(Debug)]
pub(super) struct Elevated {
    pub(super) input: Input,
    output: Output,
    /// Standard output that was not asked for yet.
    pending: BytesMut,
    pub(super) complaints: BytesMut,
    pub(super) nonce: String,
    /// The rest of its first line, after the nonce.
    pub(super) word: String,
}

/// Whether root's rights are to be had.
pub async fn check(transport: &impl Transport, how: &Elevation) -> Result<(), Error> {
    let mut session = elevate(transport, &NOTHING, how, [""; 4]).await?;
    drop(session.input);
    session.output.next().await;
    Ok(())
}

/// Starts a script, as root where that is needed, up to its first word. No argument holds a line end.
pub(super) async fn elevate(
    transport: &impl Transport,
    script: &Script,
    how: &Elevation,
    arguments: [&str; 4],
) -> Result<Elevated, Error> {
    let command = match how {
        Elevation::NotNeeded => script.plain,
        Elevation::Free => script.free,
        Elevation::Asked(_) => script.asked,
    };
    let nonce = nonce();
    let process = transport.exec(command).await?;
    let header = format!("{nonce}\n{}\n", arguments.join("\n"));
    let (pending, complaints) = (BytesMut::new(), BytesMut::new());
    let (input, output) = (process.input, process.output);
    let mut session = Elevated { input, output, pending, complaints, nonce, word: String::new() };
    // A command that has ended already tells why.
    let _ = session.input.write(header).await;
    let deadline = Instant::now() + SPEAK_LIMIT;
    let Ok(word) = timeout_at(deadline, session.wait(how)).await else {
        let limit = SPEAK_LIMIT.as_secs();
        let why =
            format!("neither a question nor an answer within {limit} s{}", last_words(&session.complaints));
        return Err(Error::Elevation { why });
    };
    session.word = word?;
    Ok(session)
}

impl Elevated {
    /// Waits until the script speaks, and gives the password if it is asked for.
    async fn wait(&mut self, how: &Elevation) -> Result<String, Error> {
        let mut is_given = false;
        // Where the next question would begin.
        let mut answered = 0;
        loop {
            if let Some(word) = self.spoken()? {
                return Ok(word);
            }
            match self.output.next().await {
                Piece::Stdout(bytes) => self.pending.extend_from_slice(&bytes),
                Piece::Stderr(bytes) => {
                    self.complain(&bytes);
                    let unanswered = self.complaints.get(answered..).unwrap_or_default();
                    let Some(place) = find(unanswered, self.nonce.as_bytes()) else { continue };
                    answered += place + self.nonce.len();
                    match how {
                        Elevation::Asked(password) if !is_given => {
                            is_given = true;
                            let line = Bytes::from(format!("{}\n", password.reveal()));
                            let _ = self.input.write(line).await;
                        }
                        _ => {
                            return Err(Error::Elevation {
                                why: "sudo does not take the password".to_owned(),
                            });
                        }
                    }
                }
                Piece::Ended(exit) => return Err(self.refused(exit, is_given)),
            }
        }
    }

    /// The rest of a line that begins with the nonce; lines before it are a profile's.
    fn spoken(&mut self) -> Result<Option<String>, Error> {
        while let Some(line) = self.take_line()? {
            if let Some(word) = line.strip_prefix(&self.nonce) {
                return Ok(Some(word.trim().to_owned()));
            }
        }
        Ok(None)
    }

    fn take_line(&mut self) -> Result<Option<String>, Error> {
        match self.pending.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let line = self.pending.split_to(end + 1);
                Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
            }
            None if self.pending.len() > MAX_LINE => {
                Err(Error::Strange { what: "a line", said: "one without an end".to_owned() })
            }
            None => Ok(None),
        }
    }

    fn complain(&mut self, bytes: &[u8]) {
        let room = MAX_COMPLAINTS.saturating_sub(self.complaints.len()).min(bytes.len());
        self.complaints.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    fn refused(&self, exit: Exit, is_given: bool) -> Error {
        if exit == Exit::Lost {
            return transport::Error::Lost.into();
        }
        let text = String::from_utf8_lossy(&self.complaints).replace(&self.nonce, "");
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let why = if says(&["must have a tty"]) {
            "sudo wants a terminal; add to its sudoers, with visudo: Defaults !requiretty".to_owned()
        } else if says(&["not in the sudoers", "is not allowed", "may not run"]) {
            format!("sudo refuses this user{}", last_words(text.as_bytes()))
        } else if is_given && says(&["incorrect password", "no password was provided"]) {
            "sudo does not take the password".to_owned()
        } else {
            return Error::Ended { what: "a command as root", exit, said: last_words(text.as_bytes()) };
        };
        Error::Elevation { why }
    }

    /// The next line that begins with the nonce.
    pub(super) async fn next_word(&mut self, what: &'static str) -> Result<String, Error> {
        loop {
            if let Some(word) = self.spoken()? {
                return Ok(word);
            }
            match self.output.next().await {
                Piece::Stdout(bytes) => self.pending.extend_from_slice(&bytes),
                Piece::Stderr(bytes) => self.complain(&bytes),
                Piece::Ended(exit) => {
                    return Err(Error::Ended { what, exit, said: last_words(&self.complaints) });
                }
            }
        }
    }

    /// The streams, from here on: what was read already of standard output, and the rest.
    pub(super) fn into_streams(self) -> (Input, Bytes, Output) {
        (self.input, self.pending.freeze(), self.output)
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_user_becomes_root() {
        let probe = |is_root, sudo| Probe { is_root, sudo, ..Probe::default() };
        let secret = Secret::from("secret".to_owned());
        let how = |is_root, sudo, password| match Elevation::new(&probe(is_root, sudo), password) {
            Ok(Elevation::NotNeeded) => "root",
            Ok(Elevation::Free) => "free",
            Ok(Elevation::Asked(_)) => "asked",
            Err(_) => "refused",
        };
        for (is_root, sudo, without, with) in [
            (true, Sudo::Asks, "root", "root"),
            (true, Sudo::Missing, "root", "root"),
            // A password is said to nobody who does not ask.
            (false, Sudo::Free, "free", "free"),
            (false, Sudo::Asks, "refused", "asked"),
            (false, Sudo::Missing, "refused", "refused"),
        ] {
            assert_eq!(
                (how(is_root, sudo, None), how(is_root, sudo, Some(&secret))),
                (without, with),
                "{sudo:?}"
            );
        }
        assert_eq!(how(false, Sudo::Asks, Some(&Secret::from("two\nlines".to_owned()))), "refused");
    }
}
