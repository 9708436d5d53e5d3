//! How we log in: keys, then a password, once.
//!
//! The methods that a server takes are asked for first. A key that is named is the only one that is tried; else those of
//! the agent and then the usual files. A password is given as a password, or to the one hidden question of
//! keyboard-interactive where a server knows only that; it is given once in all, since most servers count.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use node::spec::secret::Secret;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Answer};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;

use super::error::said;
use super::keys::Key;
use super::ssh::Guard;

/// A server ends the connection after six attempts unless told otherwise, and a password is one, too.
const MAX_KEYS: usize = 5;

/// Rounds of questions in keyboard-interactive: most servers have one, and an empty one at the end.
const MAX_ROUNDS: usize = 5;

/// An agent may ask its user, but not for ever.
const AGENT_LIMIT: Duration = Duration::from_secs(20);

/// With what we log in.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The socket of an agent.
    pub agent: Option<PathBuf>,
    /// Keys from files.
    pub keys: Vec<Key>,
    /// The password.
    pub password: Option<Secret>,
}

/// Why not.
pub(super) enum Refusal {
    /// The server said no.
    No(String),
    /// The link ended.
    Lost,
}

impl From<russh::Error> for Refusal {
    fn from(_: russh::Error) -> Self {
        Self::Lost
    }
}

/// A login on its way.
struct Login<'a> {
    handle: &'a mut Handle<Guard>,
    credentials: &'a Credentials,
    /// What the server takes, as it said last.
    methods: MethodSet,
    /// What was tried.
    tried: Vec<String>,
}

/// Logs in.
pub(super) async fn login(handle: &mut Handle<Guard>, credentials: &Credentials) -> Result<(), Refusal> {
    let methods = match handle.authenticate_none(&credentials.user).await? {
        AuthResult::Success => return Ok(()),
        // The library says so when the link ends, too; no server that is well lists nothing.
        AuthResult::Failure { remaining_methods, .. } if remaining_methods.is_empty() => {
            return Err(Refusal::Lost);
        }
        AuthResult::Failure { remaining_methods, .. } => remaining_methods,
    };
    let mut login = Login { handle, credentials, methods, tried: Vec::new() };
    if login.takes(MethodKind::PublicKey) && login.keys().await? {
        return Ok(());
    }
    if login.password().await? {
        return Ok(());
    }
    Err(Refusal::No(login.summary()))
}

impl Login<'_> {
    fn takes(&self, method: MethodKind) -> bool {
        self.methods.contains(&method)
    }

    /// Whether we are in. What the server says that it takes is kept.
    fn is_in(&mut self, result: AuthResult) -> Result<bool, Refusal> {
        match result {
            AuthResult::Success => Ok(true),
            AuthResult::Failure { remaining_methods, .. } if remaining_methods.is_empty() => {
                Err(Refusal::Lost)
            }
            AuthResult::Failure { remaining_methods, .. } => {
                self.methods = remaining_methods;
                Ok(false)
            }
        }
    }

    async fn keys(&mut self) -> Result<bool, Refusal> {
        if let Some(path) = &self.credentials.agent
            && self.agent(path).await?
        {
            return Ok(true);
        }
        for key in &self.credentials.keys {
            if self.tried.len() >= MAX_KEYS || !self.takes(MethodKind::PublicKey) {
                break;
            }
            let hash = self.hash(key.key.algorithm().is_rsa()).await?;
            let with_hash = PrivateKeyWithHashAlg::new(Arc::clone(&key.key), hash);
            let result = self.handle.authenticate_publickey(&self.credentials.user, with_hash).await?;
            self.tried.push(format!("the key {}", key.path.display()));
            if self.is_in(result)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Each of an agent's keys. An agent that is not there, or is not well, is as if it had none.
    async fn agent(&mut self, path: &Path) -> Result<bool, Refusal> {
        let asked = tokio::time::timeout(AGENT_LIMIT, async {
            let mut agent = AgentClient::connect(UnixStream::connect(path).await.ok()?);
            let identities = agent.request_identities().await.ok()?;
            Some((agent, identities))
        });
        let Ok(Some((mut agent, identities))) = asked.await else { return Ok(false) };
        for identity in identities.into_iter().take(MAX_KEYS) {
            // Certificates of users need nothing but a key to be here as well.
            let AgentIdentity::PublicKey { key, comment } = identity else { continue };
            let hash = self.hash(key.algorithm().is_rsa()).await?;
            let user = self.credentials.user.as_str();
            let offered = self.handle.authenticate_publickey_with(user, key, hash, &mut agent);
            let Ok(result) = tokio::time::timeout(AGENT_LIMIT, offered).await else { return Ok(false) };
            self.tried.push(format!("the agent's key {}", said(&comment)));
            // An agent that does not sign is no reason to go without the other keys.
            let Ok(result) = result else { continue };
            if self.is_in(result)? {
                return Ok(true);
            }
            if !self.takes(MethodKind::PublicKey) {
                break;
            }
        }
        Ok(false)
    }

    /// With what an RSA key signs. SHA-1 is not among it, whoever asks.
    async fn hash(&self, is_rsa: bool) -> Result<Option<HashAlg>, Refusal> {
        if !is_rsa {
            return Ok(None);
        }
        let best = self.handle.best_supported_rsa_hash().await?;
        Ok(Some(best.flatten().unwrap_or(HashAlg::Sha512)))
    }

    async fn password(&mut self) -> Result<bool, Refusal> {
        let Some(password) = &self.credentials.password else { return Ok(false) };
        if self.takes(MethodKind::Password) {
            let user = self.credentials.user.as_str();
            let result = self.handle.authenticate_password(user, password.reveal()).await?;
            self.tried.push("the password".to_owned());
            return self.is_in(result);
        }
        if self.takes(MethodKind::KeyboardInteractive) { self.questions(password).await } else { Ok(false) }
    }

    async fn questions(&mut self, password: &Secret) -> Result<bool, Refusal> {
        let user = self.credentials.user.as_str();
        let mut answer = self.handle.authenticate_keyboard_interactive_start(user, None).await?;
        let mut is_given = false;
        for _ in 0..MAX_ROUNDS {
            let replies = match answer {
                Answer::Success => return Ok(true),
                Answer::Failure { remaining_methods, partial_success } => {
                    return self.is_in(AuthResult::Failure { remaining_methods, partial_success });
                }
                Answer::InfoRequest { ref prompts, .. } => match prompts.as_slice() {
                    [] => Vec::new(),
                    // Only a question whose answer is not shown may be for a password.
                    [prompt] if !prompt.echo && !is_given => {
                        is_given = true;
                        self.tried.push("the password, when asked".to_owned());
                        vec![password.reveal().to_owned()]
                    }
                    asked => {
                        let asked: Vec<_> = asked.iter().map(|prompt| said(prompt.prompt.trim())).collect();
                        let more = if is_given { "once more" } else { "for more than a password" };
                        return Err(Refusal::No(format!("it asks {more}: {}", asked.join(" "))));
                    }
                },
            };
            answer = self.handle.authenticate_keyboard_interactive_respond(replies).await?;
        }
        Err(Refusal::No("it asks without end".to_owned()))
    }

    fn summary(&self) -> String {
        let takes: Vec<String> = self.methods.iter().map(|method| <&str>::from(method).to_owned()).collect();
        let takes = takes.join(", ");
        if self.tried.is_empty() {
            return format!("it takes {takes}, and nothing of that was given; see --pk and --ask-pass");
        }
        format!("tried {}; it takes {takes}", self.tried.join(", "))
    }
}
