//! How every server of a virtual server is asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hyper::Uri;
use hyper::http::uri::InvalidUri;
use tokio::sync::watch;

use super::credentials::{Credentials, TokenError};
use super::dial::Ports;
use super::inquiry::Plan;
use super::tls::Tls;
use crate::config::ProbeConfig;
use crate::config::value::Scheme;
use crate::tls;

/// How often each server was suspected (see [`suspects`](crate::checker::suspects)).
pub(super) type Suspected = BTreeMap<SocketAddr, u64>;

/// Why no server can be asked as the options say. Each names its option.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Authorities or the client's certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// No certificate can be for this name.
    #[error("--tls-server-name {0:?} is neither a DNS name nor an IP address")]
    ServerName(String),
    /// The bearer token cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// This can be no path of a URL.
    #[error("{option} {path}: {why}")]
    Path {
        /// `--health-path` or `--ready-path`
        option: &'static str,
        /// What was given.
        path: String,
        /// What is wrong with it.
        #[source]
        why: InvalidUri,
    },
}

/// How every server is asked; shared by all probers.
#[derive(Debug)]
pub struct Settings {
    pub(super) config: ProbeConfig,
    pub(super) tls: Option<Tls>,
    pub(super) credentials: Credentials,
    pub(super) ports: Ports,
    pub(super) plan: Plan,
    pub(super) health_path: Uri,
    /// That of the health question where there is no other.
    pub(super) ready_path: Uri,
    /// How often each server was suspected.
    suspected: watch::Sender<Suspected>,
}

impl Settings {
    /// Reads the files that are configured.
    pub fn new(config: &ProbeConfig) -> Result<Self, SettingsError> {
        let tls = match config.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(Tls::new(config)?),
        };
        let credentials = Credentials::new(config.token_file.as_deref(), config.identity.is_some())?;
        let health_path = path("--health-path", &config.health_path)?;
        let ready_path = match &config.ready_path {
            Some(ready) => path("--ready-path", ready)?,
            None => health_path.clone(),
        };
        let (config, ports, plan) = (config.clone(), Ports::outside_ephemeral(), Plan::of(config));
        let suspected = watch::Sender::default();
        Ok(Self { config, tls, credentials, ports, plan, health_path, ready_path, suspected })
    }

    /// What is wrong with the files and with what is made of them, for people.
    pub fn problems(&self) -> Vec<String> {
        let tls = self.tls.as_ref().and_then(Tls::problem);
        tls.into_iter().chain(self.credentials.problems()).collect()
    }

    /// Lets whoever holds a connection to `server` make another one now.
    pub fn suspect(&self, server: SocketAddr) {
        self.suspected.send_modify(|suspected| *suspected.entry(server).or_default() += 1);
    }

    /// Tells of suspicions.
    pub(super) fn suspected(&self) -> watch::Receiver<Suspected> {
        self.suspected.subscribe()
    }

    /// What they are made from.
    pub fn config(&self) -> &ProbeConfig {
        &self.config
    }
}

fn path(option: &'static str, path: &str) -> Result<Uri, SettingsError> {
    path.parse().map_err(|why| SettingsError::Path { option, path: path.to_owned(), why })
}
