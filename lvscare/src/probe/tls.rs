//! How the connection to an apiserver is secured.
//!
//! `kubernetes` stands in every certificate that kubeadm makes, whatever address is dialled.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::settings::SettingsError;
use crate::config::ProbeConfig;
use crate::tls::{self, ClientFiles, NamedFile};

/// What every connection to the servers of one virtual server is secured with.
#[derive(Debug)]
pub(super) struct Tls {
    files: ClientFiles,
    server_name: ServerName<'static>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn new(probe: &ProbeConfig) -> Result<Self, SettingsError> {
        let named = |option, path: &Path| NamedFile { option, path: path.to_owned() };
        let authorities = probe.ca_file.as_deref().map(|file| named("--ca-file", file));
        let identity = probe.identity.as_ref();
        let identity = identity.map(|(cert, key)| (named("--cert-file", cert), named("--key-file", key)));
        let name = &probe.server_name;
        Ok(Self {
            files: ClientFiles::new(authorities, identity)?,
            server_name: tls::server_name(name).ok_or_else(|| SettingsError::ServerName(name.clone()))?,
        })
    }

    /// The name to ask for and, with an authority, to insist on.
    pub(super) fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }

    /// Why the files are not followed, for people.
    pub(super) fn problem(&self) -> Option<String> {
        self.files.problem()
    }

    /// What the files say now.
    pub(super) fn client_config(&self) -> Arc<ClientConfig> {
        self.files.client_config()
    }
}
