//! The bearer token that is sent, and what is wrong with it.
//!
//! A token is renewed while the daemon runs, so its file is read for every new connection. A file that cannot be read is
//! no reason to give up what works: the last token is sent on. But it is said, as is a server that refuses what it is
//! sent: such a server counts as alive, and nobody checks its health any more.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::header::HeaderValue;
use tracing::warn;

use crate::{files, http};

/// The credentials of one virtual server's probes.
#[derive(Debug)]
pub(super) struct Credentials {
    token_file: Option<PathBuf>,
    /// Something identifies us: a token or a certificate.
    given: bool,
    state: Mutex<State>,
}

/// Why there is no token to send.
#[derive(Debug, thiserror::Error)]
#[error("--token-file {}: {why}", file.display())]
pub struct TokenError {
    file: PathBuf,
    #[source]
    why: NoToken,
}

/// What is wrong with the file of a token. Nothing of its contents is said.
#[derive(Debug, thiserror::Error)]
enum NoToken {
    #[error("{0}")]
    Unreadable(#[source] io::Error),
    #[error("holds no token in one line")]
    NotOneLine,
}

#[derive(Debug, Default)]
struct State {
    token: Option<HeaderValue>,
    unreadable: Option<String>,
    /// The servers that refuse us, and with which status.
    refusals: BTreeMap<SocketAddr, u16>,
}

impl Credentials {
    /// Reads the token. `has_certificate` tells whether a client certificate is shown as well.
    pub(super) fn new(token_file: Option<&Path>, has_certificate: bool) -> Result<Self, TokenError> {
        let token = token_file.map(read).transpose()?;
        let given = token.is_some() || has_certificate;
        let state = Mutex::new(State { token, ..State::default() });
        Ok(Self { token_file: token_file.map(Path::to_owned), given, state })
    }

    /// The token of the moment, as it is sent.
    pub(super) fn token(&self) -> Option<HeaderValue> {
        let file = self.token_file.as_deref()?;
        let mut state = self.state();
        match read(file) {
            Ok(token) => {
                state.token = Some(token);
                state.unreadable = None;
            }
            Err(error) => {
                let why = error.to_string();
                if state.unreadable.as_ref() != Some(&why) {
                    warn!("{why}; what was there before is still sent");
                    state.unreadable = Some(why);
                }
            }
        }
        state.token.clone()
    }

    /// A server has answered.
    pub(super) fn answered(&self, server: SocketAddr, status: u16) {
        if !self.given {
            return;
        }
        let mut state = self.state();
        if !matches!(status, 401 | 403) {
            state.refusals.remove(&server);
        } else if state.refusals.insert(server, status).is_none() {
            warn!(%server, "{}", refusal(server, status));
        }
    }

    /// What is wrong, for people.
    pub(super) fn problems(&self) -> Vec<String> {
        let state = self.state();
        let refusals = state.refusals.iter().map(|(&server, &status)| refusal(server, status));
        state.unreadable.iter().cloned().chain(refusals).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(server: SocketAddr, status: u16) -> String {
    format!("{server} refuses the credentials of its probes (HTTP {status}); it counts as alive, unchecked")
}

/// The token of a file, without the line end that editors leave, as it is sent.
fn read(file: &Path) -> Result<HeaderValue, TokenError> {
    let wrong = |why| TokenError { file: file.to_owned(), why };
    let text = files::read_text(file).map_err(|error| wrong(NoToken::Unreadable(error)))?;
    let token = Some(text.trim()).filter(|token| !token.is_empty());
    token.and_then(http::bearer).ok_or_else(|| wrong(NoToken::NotOneLine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_cannot_be_read_is_sent_on_and_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "first\n").unwrap();
        let credentials = Credentials::new(Some(&file), false).unwrap();
        let token = || credentials.token().unwrap().to_str().unwrap().to_owned();
        assert_eq!((token(), credentials.problems()), ("Bearer first".into(), vec![]));

        for spoil in
            [|file: &Path| std::fs::remove_file(file), |file: &Path| std::fs::write(file, "two\nlines")]
        {
            spoil(&file).unwrap();
            assert_eq!(token(), "Bearer first");
            let problems = credentials.problems();
            assert!(problems.len() == 1 && problems[0].contains("token: "), "{problems:?}");
        }

        std::fs::write(&file, "second").unwrap();
        assert_eq!((token(), credentials.problems()), ("Bearer second".into(), vec![]));
        assert!(!format!("{credentials:?}").contains("second"), "a secret in the log");
    }

    #[test]
    fn a_server_that_refuses_credentials_is_named() {
        let [one, other] = [1, 2].map(|number| SocketAddr::from(([10, 0, 0, number], 6443)));
        let credentials = Credentials::new(None, true).unwrap();
        credentials.answered(one, 401);
        credentials.answered(other, 403);
        let problems = credentials.problems();
        assert!(problems[0].contains("10.0.0.1:6443") && problems[0].contains("401"), "{problems:?}");
        assert_eq!(problems.len(), 2);
        for status in [200, 500] {
            credentials.answered(one, status);
            assert_eq!(credentials.problems().len(), 1);
        }
        // Who has no credentials is a stranger, and expects no more.
        let stranger = Credentials::new(None, false).unwrap();
        stranger.answered(one, 401);
        assert_eq!(stranger.problems(), Vec::<String>::new());
    }

    #[test]
    fn no_daemon_starts_without_its_token() {
        let error = Credentials::new(Some(Path::new("/nonexistent/token")), false).unwrap_err();
        assert!(error.to_string().starts_with("--token-file /nonexistent/token: "), "{error}");
    }
}
