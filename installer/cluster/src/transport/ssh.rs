//! One connection over SSH, for a whole run: whoever has one opens commands on it, two at most at a time.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use russh::client::{Config, DisconnectReason, Handle, Handler, Msg, Session};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Disconnect, Preferred, Sig, SshId, cipher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::auth::{self, Credentials, Refusal};
use super::error::{Error, said};
use super::host_keys::{Conflict, HostKeys};
use super::known_hosts::{HostName, Known};
use super::policy::{Fingerprint, HostCertificate, Policy, Presented, Trusted, Untrusted, judge};
use super::{Exit, Input, Output, Piece, Process, QUEUE, Transport};

/// For a connection to be there.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// For both sides to agree on keys.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(20);

/// For a login: servers wait some seconds before they refuse a password.
const LOGIN_LIMIT: Duration = Duration::from_secs(30);

/// For a server to start a command.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A link on which nothing comes is asked so often,
const KEEPALIVE: Duration = Duration::from_secs(2);

/// and is lost when so many have no answer: after four to six seconds in all.
const MAX_UNANSWERED: usize = 2;

/// What was sent and not acknowledged for so long is lost, too: while a write waits, nobody counts answers.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(5);

/// A server with too many logins at once resets some before it says a word; those are tried again.
const MAX_ATTEMPTS: u32 = 4;

/// The pause before the second attempt; it doubles with each.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Whom we want to reach.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where its SSH server is.
    pub at: SocketAddr,
    /// With what we log in.
    pub credentials: Credentials,
    /// What if it is not known.
    pub policy: Policy,
}

/// A connection to a host that is who it should be, and that has let us in.
pub struct Ssh {
    handle: Handle<Guard>,
    /// The connection through which this one goes must outlive it.
    _bastion: Option<Arc<Ssh>>,
    notes: Vec<String>,
}

impl std::fmt::Debug for Ssh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ssh").finish_non_exhaustive()
    }
}

impl Ssh {
    /// Connects and logs in, through `bastion` if there is one.
    pub async fn connect(
        target: &Target,
        host_keys: &Arc<HostKeys>,
        bastion: Option<&Arc<Self>>,
    ) -> Result<Self, Error> {
        let Met { mut handle, seen, notes } =
            Self::meet(target.at, &target.policy, host_keys, bastion).await?;
        let credentials = &target.credentials;
        let login = timeout(LOGIN_LIMIT, auth::login(&mut handle, credentials)).await;
        let refused = |why| Error::Login { at: target.at, user: credentials.user.clone(), why };
        match login {
            Ok(Ok(())) => Ok(Self { handle, _bastion: bastion.cloned(), notes }),
            Ok(Err(Refusal::No(why))) => Err(refused(why)),
            Ok(Err(Refusal::Lost)) => Err(match &look(&seen).farewell {
                Some(Farewell { is_about_login: true, text }) => {
                    refused(format!("{text}; name one key with --pk"))
                }
                Some(Farewell { text, .. }) => lost_during_login(target.at, text),
                None => lost_during_login(target.at, "the link was lost"),
            }),
            Err(_) => {
                Err(lost_during_login(target.at, &format!("no answer within {} s", LOGIN_LIMIT.as_secs())))
            }
        }
    }

    /// Whether the host at that address is trusted. Nobody logs in.
    pub async fn check(
        at: SocketAddr,
        policy: &Policy,
        host_keys: &Arc<HostKeys>,
        bastion: Option<&Arc<Self>>,
    ) -> Result<(), Error> {
        let Met { handle, .. } = Self::meet(at, policy, host_keys, bastion).await?;
        let _ = timeout(KEEPALIVE, handle.disconnect(Disconnect::ByApplication, "", "")).await;
        Ok(())
    }

    /// A connection up to the point where both sides know each other, in several attempts.
    async fn meet(
        at: SocketAddr,
        policy: &Policy,
        host_keys: &Arc<HostKeys>,
        bastion: Option<&Arc<Self>>,
    ) -> Result<Met, Error> {
        let host = HostName::new(at);
        let known = host_keys.known(&host)?;
        let config = Arc::new(config(&known));
        let mut attempt = 1;
        loop {
            let seen = Arc::new(Mutex::new(Seen::default()));
            let guard = Guard {
                host: host.clone(),
                at,
                known: known.clone(),
                policy: policy.clone(),
                host_keys: Arc::clone(host_keys),
                seen: Arc::clone(&seen),
            };
            match shake_hands(Arc::clone(&config), at, guard, bastion).await {
                Ok(handle) => return Ok(Met { handle, seen, notes: known.notes }),
                Err(Stopped::Refused(error)) => return Err(error),
                Err(Stopped::Ssh(error)) => {
                    let was_heard = look(&seen).is_met;
                    if was_heard || attempt == MAX_ATTEMPTS || !is_reset(&error) {
                        return Err(unreachable(at, &error));
                    }
                }
            }
            tokio::time::sleep(pause(attempt, fastrand::f64())).await;
            attempt += 1;
        }
    }

    /// What a person should know of the files that were read for it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether the link was lost, or ended.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Says good-bye. Without it the server sees the link end, too.
    pub async fn close(&self) {
        let _ = timeout(KEEPALIVE, self.handle.disconnect(Disconnect::ByApplication, "", "")).await;
    }

    /// A connection from there to `at`.
    async fn forward(
        &self,
        at: SocketAddr,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>, Error> {
        let opened =
            self.handle.channel_open_direct_tcpip(at.ip().to_string(), at.port().into(), "127.0.0.1", 0);
        let why = match timeout(CONNECT_LIMIT, opened).await {
            Ok(Ok(channel)) => return Ok(channel.into_stream()),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => refusal(&reason),
            Ok(Err(error)) => said(&error.to_string()),
            Err(_) => format!("no answer within {} s", CONNECT_LIMIT.as_secs()),
        };
        Err(Error::Unreachable { at, why: format!("the bastion says: {why}") })
    }
}

/// A host that is who it should be.
struct Met {
    handle: Handle<Guard>,
    seen: Arc<Mutex<Seen>>,
    notes: Vec<String>,
}

fn lost_during_login(at: SocketAddr, why: &str) -> Error {
    Error::Unreachable { at, why: format!("{why}, during the login") }
}

/// The connection up to the point where both sides know each other.
async fn shake_hands(
    config: Arc<Config>,
    at: SocketAddr,
    guard: Guard,
    bastion: Option<&Arc<Ssh>>,
) -> Result<Handle<Guard>, Stopped> {
    let shaken = async {
        if let Some(bastion) = bastion {
            let stream = bastion.forward(at).await.map_err(Stopped::Refused)?;
            return russh::client::connect_stream(config, stream, guard).await;
        }
        let why = |why: String| Stopped::Refused(Error::Unreachable { at, why });
        let stream = match timeout(CONNECT_LIMIT, TcpStream::connect(at)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(russh::Error::IO(error).into());
            }
            Ok(Err(error)) => return Err(why(error.to_string())),
            Err(_) => return Err(why(format!("no answer within {} s", CONNECT_LIMIT.as_secs()))),
        };
        // Neither is worth a refusal: without them all goes slower.
        let _ = stream.set_nodelay(true);
        let limit = u32::try_from(UNACKNOWLEDGED_LIMIT.as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, limit);
        russh::client::connect_stream(config, stream, guard).await
    };
    timeout(HANDSHAKE_LIMIT, shaken).await.unwrap_or_else(|_| {
        let why =
            format!("it accepts connections, but says nothing of SSH within {} s", HANDSHAKE_LIMIT.as_secs());
        Err(Stopped::Refused(Error::Unreachable { at, why }))
    })
}

/// Whether a server may simply have had too much to do.
fn is_reset(error: &russh::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error {
        russh::Error::Disconnect | russh::Error::HUP => true,
        russh::Error::IO(error) => {
            matches!(error.kind(), ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof)
        }
        _ => false,
    }
}

/// The pause after an attempt. `chance` from 0 to 1 spreads it from a half to one and a half.
fn pause(attempt: u32, chance: f64) -> Duration {
    RETRY_PAUSE.mul_f64(f64::from(1_u32 << attempt.clamp(1, 8)) / 2.0 * (0.5 + chance))
}

fn unreachable(at: SocketAddr, error: &russh::Error) -> Error {
    let why = match error {
        // A reset, or a plain end: whichever of its packets came first.
        error if is_reset(error) => "it ends connections before it says who it is".to_owned(),
        russh::Error::Version => "what answers there is no SSH server".to_owned(),
        russh::Error::NoCommonAlgo { kind, theirs, .. } => {
            format!("no {kind:?} algorithm in common; it knows {}", said(&theirs.join(", ")))
        }
        error => said(&error.to_string()),
    };
    Error::Unreachable { at, why }
}

/// How this side speaks. Types of keys that are recorded come first, so that a host shows one that can be compared.
fn config(known: &Known) -> Config {
    let recorded: Vec<&str> = known.keys.iter().map(|key| key.algorithm.as_str()).collect();
    let mut algorithms = ALGORITHMS.to_vec();
    algorithms.sort_by_key(|algorithm| !recorded.contains(&plain_name(algorithm)));
    let certificates = if known.authorities.is_empty() { Vec::new() } else { algorithms.clone() };
    Config {
        client_id: SshId::Standard(concat!("SSH-2.0-lvscare_", env!("CARGO_PKG_VERSION")).into()),
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: MAX_UNANSWERED,
        preferred: Preferred {
            key: algorithms.into(),
            host_key_certificates: certificates.into(),
            // Processors of servers have instructions for AES.
            cipher: CIPHERS.into(),
            ..Preferred::DEFAULT
        },
        ..Config::default()
    }
}

/// Types of keys of hosts, best first. None signs with SHA-1.
const ALGORITHMS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// The type of a key as files have it: that of RSA says nothing of the hash.
fn plain_name(algorithm: &Algorithm) -> &str {
    match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa",
        other => other.as_str(),
    }
}

/// What was learned of a server on the way.
#[derive(Debug, Default)]
struct Seen {
    /// It has shown its key.
    is_met: bool,
    /// Its last words.
    farewell: Option<Farewell>,
}

#[derive(Debug)]
struct Farewell {
    is_about_login: bool,
    text: String,
}

fn look(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Meets the server: judges its key, and remembers why it went away.
pub(super) struct Guard {
    host: HostName,
    at: SocketAddr,
    known: Known,
    policy: Policy,
    host_keys: Arc<HostKeys>,
    seen: Arc<Mutex<Seen>>,
}

/// Why a connection did not come to be.
#[derive(Debug)]
pub(super) enum Stopped {
    /// What the library says.
    Ssh(russh::Error),
    /// What we say.
    Refused(Error),
}

impl From<russh::Error> for Stopped {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl Guard {
    async fn meet(&self, key: &PublicKeyOrCertificate) -> Result<(), Error> {
        look(&self.seen).is_met = true;
        let untrusted = |why| Error::HostKey { host: self.host.clone(), why };
        let Some(presented) = presented(key) else {
            return Err(Error::Unreachable { at: self.at, why: "its key cannot be read".to_owned() });
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        match judge(&self.known, &self.policy, self.at.ip(), &presented, now).map_err(untrusted)? {
            Trusted::Known => Ok(()),
            Trusted::New => {
                let Presented { algorithm, blob, .. } = presented;
                match self.host_keys.record(&self.host, &algorithm, &blob).await? {
                    Ok(()) => Ok(()),
                    Err(Conflict) => Err(untrusted(Untrusted::Changed {
                        fingerprint: Fingerprint::of(&blob),
                        recorded: "other".to_owned(),
                        place: format!("{}, written just now", self.host_keys.write.display()),
                        algorithm,
                    })),
                }
            }
        }
    }
}

fn presented(key: &PublicKeyOrCertificate) -> Option<Presented> {
    let (key, certificate) = match key {
        PublicKeyOrCertificate::PublicKey { key, .. } => (key.clone(), None),
        PublicKeyOrCertificate::Certificate(certificate) => {
            let read = HostCertificate {
                authority: PublicKey::from(certificate.signature_key().clone()).to_bytes().ok()?,
                is_signed: certificate.verify_signature().is_ok(),
                is_for_hosts: certificate.cert_type().is_host(),
                principals: certificate.valid_principals().to_vec(),
                valid_after: certificate.valid_after(),
                valid_before: certificate.valid_before(),
                has_critical_options: certificate.critical_options().iter().next().is_some(),
            };
            (PublicKey::from(certificate.public_key().clone()), Some(read))
        }
    };
    let algorithm = plain_name(&key.algorithm()).to_owned();
    Some(Presented { algorithm, blob: key.to_bytes().ok()?, certificate })
}

impl Handler for Guard {
    type Error = Stopped;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Stopped> {
        self.meet(key).await.map(|()| true).map_err(Stopped::Refused)
    }

    async fn auth_banner(&mut self, _: &str, _: &mut Session) -> Result<(), Stopped> {
        // It is for people at a terminal.
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Stopped>) -> Result<(), Stopped> {
        let farewell = match reason {
            DisconnectReason::ReceivedDisconnect(info) => Farewell {
                is_about_login: matches!(
                    info.reason_code,
                    Disconnect::NoMoreAuthMethodsAvailable | Disconnect::IllegalUserName
                ) || info.message.contains("Too many authentication failures"),
                text: format!("it ended the connection: {}", said(&info.message)),
            },
            DisconnectReason::Error(Stopped::Ssh(error)) => {
                Farewell { is_about_login: false, text: said(&error.to_string()) }
            }
            DisconnectReason::Error(Stopped::Refused(error)) => {
                Farewell { is_about_login: false, text: error.to_string() }
            }
        };
        look(&self.seen).farewell = Some(farewell);
        Ok(())
    }
}

impl Transport for Ssh {
    async fn exec(&self, command: &'static str) -> Result<Process, Error> {
        let started = async {
            let mut channel = self.handle.channel_open_session().await.map_err(start_error)?;
            channel.exec(true, command).await.map_err(start_error)?;
            // The server may say how much it takes before it says whether it starts the command.
            loop {
                match channel.wait().await {
                    Some(ChannelMsg::Success) => return Ok(channel),
                    Some(ChannelMsg::Failure) => {
                        return Err(Error::Refused { why: "the server allows none".to_owned() });
                    }
                    Some(_) => {}
                    None => return Err(Error::Lost),
                }
            }
        };
        let channel =
            timeout(START_LIMIT, started).await.unwrap_or(Err(Error::Silent { limit: START_LIMIT }))?;
        let (input, stdin) = mpsc::channel(QUEUE);
        let (told, output) = mpsc::channel(QUEUE);
        tokio::spawn(pump(channel, stdin, told));
        Ok(Process { input: Input(input), output: Output(output) })
    }
}

fn start_error(error: russh::Error) -> Error {
    match error {
        russh::Error::ChannelOpenFailure(reason) => Error::Refused { why: refusal(&reason) },
        _ => Error::Lost,
    }
}

fn refusal(reason: &ChannelOpenFailure) -> String {
    match reason {
        ChannelOpenFailure::AdministrativelyProhibited => "it is forbidden".to_owned(),
        ChannelOpenFailure::ConnectFailed => {
            "it opens no more (its MaxSessions?), or cannot connect".to_owned()
        }
        ChannelOpenFailure::UnknownChannelType => "it does not know how".to_owned(),
        ChannelOpenFailure::ResourceShortage => "it has no room".to_owned(),
        ChannelOpenFailure::Other { reason, .. } => said(reason),
    }
}

/// Carries the streams of one command, until it has ended or nobody listens.
async fn pump(channel: Channel<Msg>, mut stdin: mpsc::Receiver<Bytes>, told: mpsc::Sender<Piece>) {
    let (mut reader, writer) = channel.split();
    let feed = async {
        while let Some(bytes) = stdin.recv().await {
            if writer.data_bytes(bytes).await.is_err() {
                return;
            }
        }
        let _ = writer.eof().await;
    };
    let read = async {
        let mut exit = Exit::Lost;
        loop {
            let piece = match reader.wait().await {
                Some(ChannelMsg::Data { data }) => Piece::Stdout(data),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => Piece::Stderr(data),
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    exit = Exit::Code(exit_status);
                    continue;
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    exit = Exit::Signal(match signal_name {
                        Sig::Custom(name) => said(&name),
                        known => format!("{known:?}"),
                    });
                    continue;
                }
                Some(ChannelMsg::Close) | None => break,
                Some(_) => continue,
            };
            if told.send(piece).await.is_err() {
                return;
            }
        }
        let _ = told.send(Piece::Ended(exit)).await;
    };
    // What is not written when the command has ended is written for nobody.
    tokio::pin!(feed, read);
    tokio::select! {
        () = &mut read => {}
        () = &mut feed => tokio::select! {
            () = &mut read => {}
            () = told.closed() => {}
        },
        () = told.closed() => {}
    }
    let _ = writer.close().await;
}

#[cfg(test)]
mod tests {
    use super::super::known_hosts::tests::blob;
    use super::*;

    #[test]
    fn pauses_double_and_spread() {
        let millis = |attempt, chance| pause(attempt, chance).as_millis();
        assert_eq!([millis(1, 0.0), millis(1, 0.5), millis(1, 1.0)], [125, 250, 375]);
        assert_eq!([millis(2, 0.5), millis(3, 0.5)], [500, 1000]);
    }

    #[test]
    fn the_recorded_types_are_asked_for_first() {
        let host = HostName::new("10.0.0.1:22".parse().unwrap());
        let mut known = Known::default();
        let first = |known: &Known| plain_name(&config(known).preferred.key[0]).to_owned();
        assert_eq!(first(&known), "ssh-ed25519");
        for (algorithm, wanted) in [
            ("ssh-made-up", "ssh-ed25519"),
            ("ssh-rsa", "ssh-rsa"),
            ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
        ] {
            let line = super::super::known_hosts::line(&host, algorithm, &blob(algorithm, b"key"));
            known.read("", line.as_bytes(), &host);
            assert_eq!(first(&known), wanted);
        }
        assert!(config(&known).preferred.host_key_certificates.is_empty());
    }
}
