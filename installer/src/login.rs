//! Who we are, and whom we trust: what is read here before a host is asked.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use cluster::flow::{Access, Question};
use cluster::transport;
use cluster::transport::auth::Credentials;
use cluster::transport::host_keys::HostKeys;
use cluster::transport::keys::{self, Key};
use cluster::transport::policy::Policy;
use lvscare::exit::{Exit, Failure};
use node::spec::secret::Secret;

use crate::{ask, secret};

/// How hosts are logged in to, as typed.
pub(crate) struct Login {
    /// The password.
    pub(crate) password: PasswordFrom,
    /// The one key, if it was named.
    pub(crate) key: Option<PathBuf>,
    /// What is done with hosts that nobody knows.
    pub(crate) policy: Policy,
    /// Whether a person is asked about them first, if one is there.
    pub(crate) asks: bool,
}

/// Where a password comes from.
pub(crate) enum PasswordFrom {
    Nowhere,
    Argument(OsString),
    File(PathBuf),
    Terminal,
}

/// What could be read; the rest is to be asked for.
pub(crate) struct Prepared {
    access: Access,
    /// The key whose passphrase is needed.
    locked: Option<PathBuf>,
    asks_password: bool,
    /// What a person should know of it.
    pub(crate) notes: Vec<String>,
}

impl Login {
    /// Reads everything, and asks for nothing; or tells all that is wrong.
    pub(crate) fn read(self) -> Result<Prepared, Vec<String>> {
        let (mut mistakes, mut notes) = (Vec::new(), Vec::new());
        let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        if home.is_none() {
            mistakes.push("HOME is not set; the keys of hosts are in its .ssh/known_hosts".to_owned());
        }
        let home = home.unwrap_or_default();
        let asks_password = matches!(self.password, PasswordFrom::Terminal);
        let password = match self.password {
            PasswordFrom::Nowhere | PasswordFrom::Terminal => None,
            PasswordFrom::Argument(text) => {
                notes.push(
                    "everybody on this machine can see --passwd in the list of processes; prefer --passwd-file or \
                     --ask-pass"
                        .to_owned(),
                );
                let text = text.into_string().map_err(|_| "it is not text".to_owned());
                taken("--passwd", text.and_then(password), &mut mistakes)
            }
            PasswordFrom::File(path) => match secret::read("--passwd-file", &path) {
                Ok(text) => {
                    let option = format!("--passwd-file {}", path.display());
                    taken(&option, password(without_line_end(text)), &mut mistakes)
                }
                Err(why) => {
                    mistakes.push(why);
                    None
                }
            },
        };
        let (mut loaded, mut locked) = (Vec::new(), None);
        let mut agent = None;
        if let Some(path) = self.key {
            match keys::load(&path, None) {
                Ok(key) => loaded.push(key),
                Err(transport::Error::Encrypted { path }) => locked = Some(path),
                Err(error) => mistakes.push(error.to_string()),
            }
        } else {
            agent = env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from);
            loaded = defaults(&home, agent.is_some(), &mut notes);
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let credentials = Credentials { user: String::new(), agent, keys: loaded, password };
        let question: Option<Question> = (self.asks && ask::is_possible()).then_some(ask::whether_to_trust);
        let host_keys = HostKeys::of_home(&home);
        let access = Access { credentials, policy: self.policy, host_keys, question };
        Ok(Prepared { access, locked, asks_password, notes })
    }
}

impl Prepared {
    /// Asks at the terminal for what is missing.
    pub(crate) fn ask(self, user: &str) -> Result<Access, Failure> {
        let mut access = self.access;
        if let Some(path) = self.locked {
            let passphrase =
                ask(&format!("Passphrase of {}: ", path.display()), "add it to an agent, ssh-add")?;
            let key = keys::load(&path, Some(&passphrase.into()));
            access.credentials.keys.push(key.map_err(|error| Failure::usage(error.to_string()))?);
        }
        if self.asks_password {
            let text = ask(&format!("Password of {user}: "), "use --passwd-file")?;
            let password = password(text).map_err(|why| Failure::usage(format!("--ask-pass: {why}")))?;
            access.credentials.password = Some(password);
        }
        Ok(access)
    }
}

/// The keys that are usual, those that are good. Nobody has named them, so what is wrong with one is a note.
fn defaults(home: &Path, has_agent: bool, notes: &mut Vec<String>) -> Vec<Key> {
    let mut loaded = Vec::new();
    for path in keys::defaults(home) {
        match keys::load(&path, None) {
            Ok(key) => loaded.push(key),
            // It is there for the agent.
            Err(transport::Error::Encrypted { .. }) if has_agent => {}
            Err(error) => notes.push(format!("{error}; it is not tried")),
        }
    }
    loaded
}

fn taken(option: &str, password: Result<Secret, String>, mistakes: &mut Vec<String>) -> Option<Secret> {
    password.map_err(|why| mistakes.push(format!("{option}: {why}"))).ok()
}

fn password(text: String) -> Result<Secret, String> {
    match text.as_str() {
        "" => Err("the password is empty".to_owned()),
        text if text.contains(['\n', '\r', '\0']) => Err("a password is one line".to_owned()),
        _ => Ok(text.into()),
    }
}

/// The end of the line is the editor's; blanks may be the password's.
fn without_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

fn ask(prompt: &str, way_out: &str) -> Result<String, Failure> {
    rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => {
            Failure::new(Exit::Cancelled, "stopped, as was asked; no host was asked")
        }
        _ => Failure::usage(format!("cannot ask at a terminal ({error}); {way_out}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_keeps_its_blanks_and_loses_the_line_end() {
        for (text, wanted) in [
            (" se cret \n", Ok(" se cret ")),
            ("secret\r\n", Ok("secret")),
            ("secret", Ok("secret")),
            ("\n", Err("the password is empty")),
            ("secret\n\n", Err("a password is one line")),
            ("two\nlines\n", Err("a password is one line")),
        ] {
            let found = password(without_line_end(text.to_owned()));
            let found = found.as_ref().map(Secret::reveal).map_err(String::as_str);
            assert_eq!(found, wanted, "{text:?}");
        }
    }
}
