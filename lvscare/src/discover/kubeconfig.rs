//! The node's own credentials, as kubelet's kubeconfig names them.
//!
//! As much of the format as a node's file uses. The question goes through the virtual server; the address of the server
//! in the file is for the time when nobody answers there. No message ever holds a value of the file, which may be a token or a key.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::store::sha256;
use crate::{files, yaml};

/// Where a URL names no port.
const HTTPS_PORT: u16 = 443;

#[cfg(test)]
mod tests;

/// What a question needs to know. Without `Debug`: it is secret.
pub(super) struct Credentials {
    /// The authorities that may have signed the server's certificate, in PEM; `None`: any certificate will do.
    pub(super) authorities: Option<Vec<u8>>,
    /// The name that must stand there, if the file says one.
    pub(super) server_name: Option<String>,
    /// The client's certificate and key, in PEM.
    pub(super) identity: Option<Identity>,
    /// The bearer token.
    pub(super) token: Option<String>,
    /// The server that the file names, if it does so by its address: a name would have to be looked up.
    pub(super) server: Option<SocketAddr>,
}

impl Credentials {
    /// A short name of whom they trust: equal for equal authorities.
    pub(super) fn trust(&self) -> String {
        self.authorities.as_deref().map_or_else(|| "anybody".to_owned(), sha256)
    }
}

/// A client certificate with its key.
pub(super) struct Identity {
    /// The chain in PEM.
    pub(super) certificate: Vec<u8>,
    /// The key in PEM.
    pub(super) key: Vec<u8>,
}

/// Why a kubeconfig is of no use.
#[derive(Debug, thiserror::Error)]
#[error("kubeconfig {}: {why}", file.display())]
pub(super) struct Error {
    file: PathBuf,
    why: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Raw {
    current_context: Option<String>,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    server: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    username: Option<IgnoredAny>,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
}

/// Reads the file and those that it names.
pub(super) fn read(file: &Path) -> Result<Credentials, Error> {
    credentials(file).map_err(|why| Error { file: file.to_owned(), why })
}

fn credentials(file: &Path) -> Result<Credentials, String> {
    let raw: Raw = parse(&files::read(file).map_err(|error| error.to_string())?)?;
    let base = file.parent().unwrap_or(Path::new(""));

    let current =
        non_empty(raw.current_context).ok_or("current-context is missing; name the context to use")?;
    let context = raw.contexts.into_iter().find(|context| context.name == current);
    let context = context.ok_or("contexts has none with the name that current-context says")?.context;
    let cluster = raw.clusters.into_iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.ok_or("clusters has none with the name that the current context says")?.cluster;
    let user = raw.users.into_iter().find(|user| user.name == context.user);
    let user = user.ok_or("users has none with the name that the current context says")?.user;

    let authority = Source::new(cluster.certificate_authority, cluster.certificate_authority_data);
    let authorities = match (cluster.insecure_skip_tls_verify, authority) {
        (true, None) => None,
        (true, Some(_)) => {
            return Err("certificate-authority and insecure-skip-tls-verify contradict each other; \
                        remove the second"
                .to_owned());
        }
        (false, Some(authority)) => Some(authority.read(base, "certificate-authority")?),
        (false, None) => {
            return Err("the cluster has no certificate-authority to verify the apiserver with; \
                        kubeadm keeps it in /etc/kubernetes/pki/ca.crt"
                .to_owned());
        }
    };
    let (identity, token) = proof(user, base)?;
    let server = cluster.server.as_deref().and_then(address);
    Ok(Credentials { authorities, server_name: non_empty(cluster.tls_server_name), identity, token, server })
}

/// The address in `https://10.0.0.1:6443`.
fn address(url: &str) -> Option<SocketAddr> {
    let host = url.strip_prefix("https://")?.trim_end_matches('/');
    let address = host.parse::<SocketAddr>().ok().or_else(|| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(SocketAddr::new(bare.parse().ok()?, HTTPS_PORT))
    });
    address.filter(|address| address.port() != 0 && !address.ip().is_unspecified())
}

/// How the user proves to be itself.
fn proof(user: User, base: &Path) -> Result<(Option<Identity>, Option<String>), String> {
    let plugins = [("exec", user.exec.is_some()), ("auth-provider", user.auth_provider.is_some())];
    for (key, given) in plugins {
        if given {
            return Err(format!(
                "the user's {key} would run another program, which lvscare does not do; \
                 give a kubeconfig with a client certificate or a token"
            ));
        }
    }
    let certificate = Source::new(user.client_certificate, user.client_certificate_data);
    let key = Source::new(user.client_key, user.client_key_data);
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Identity {
            certificate: certificate.read(base, "client-certificate")?,
            key: key.read(base, "client-key")?,
        }),
        (None, None) => None,
        (Some(_), None) => return Err("the user has a client-certificate but no client-key".to_owned()),
        (None, Some(_)) => return Err("the user has a client-key but no client-certificate".to_owned()),
    };
    // The file is the fresher one: tokens expire.
    let token = match (user.token_file.filter(|path| !path.as_os_str().is_empty()), non_empty(user.token)) {
        (Some(path), _) => Some(token("tokenFile", Source::File(path).read(base, "tokenFile")?)?),
        (None, Some(inline)) => Some(token("token", inline.into_bytes())?),
        (None, None) => None,
    };
    if identity.is_none() && token.is_none() {
        return Err(match user.username {
            Some(_) => {
                "the user has a password, which no apiserver has accepted since Kubernetes 1.19; \
                        give a kubeconfig with a client certificate or a token"
            }
            None => "the user has neither a client certificate nor a token",
        }
        .to_owned());
    }
    Ok((identity, token))
}

/// Where something stands: as in kubectl, inline data comes before a file.
enum Source {
    File(PathBuf),
    Data(String),
}

impl Source {
    fn new(file: Option<PathBuf>, data: Option<String>) -> Option<Self> {
        let file = file.filter(|path| !path.as_os_str().is_empty()).map(Self::File);
        non_empty(data).map(Self::Data).or(file)
    }

    /// A relative path starts where the kubeconfig is.
    fn read(self, base: &Path, key: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => {
                let path = base.join(path);
                files::read(&path).map_err(|error| format!("{key} {}: {error}", path.display()))
            }
            Self::Data(data) => {
                // YAML's folded text has line ends in it.
                let data: String = data.split_whitespace().collect();
                STANDARD.decode(data).map_err(|_| format!("{key}-data is not base64"))
            }
        }
    }
}

fn parse(yaml: &[u8]) -> Result<Raw, String> {
    yaml::parse(yaml).map_err(|error| {
        // The reader's own words may quote the value that it stumbled over.
        let place = match &error {
            yaml::Error::Invalid(error) => error.location(),
            yaml::Error::Brackets(_) => return format!("not a kubeconfig: {error}"),
        };
        match place {
            Some(place) => format!("not a kubeconfig: line {}, column {}", place.line(), place.column()),
            None => "not a kubeconfig".to_owned(),
        }
    })
}

/// What fits into a header (RFC 6750, section 2.1); a line end in it would start another.
fn token(key: &str, bytes: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| format!("{key} holds no token"))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{key} holds no token"));
    }
    Ok(token.to_owned())
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
