//! A TLS client made from files, which are read again when they change: authorities and client certificates are renewed
//! while the daemon runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ClientConfig;
use tracing::warn;

use super::{Error, Pem, Why, client_config};
use crate::files::{self, Stamp};

/// A file and the option that names it.
#[derive(Clone, Debug)]
pub(crate) struct NamedFile {
    /// `--ca-file`
    pub option: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// A client made from files.
#[derive(Debug)]
pub(crate) struct ClientFiles {
    sources: Sources,
    latest: Mutex<Latest>,
}

/// The files of one client.
#[derive(Debug)]
struct Sources {
    authorities: Option<NamedFile>,
    /// The certificate and its key.
    identity: Option<(NamedFile, NamedFile)>,
}

#[derive(Debug)]
struct Latest {
    stamps: Vec<Option<Stamp>>,
    config: Arc<ClientConfig>,
    /// Why `config` is not what the files say.
    problem: Option<String>,
}

impl ClientFiles {
    /// Reads the files.
    pub(crate) fn new(
        authorities: Option<NamedFile>,
        identity: Option<(NamedFile, NamedFile)>,
    ) -> Result<Self, Error> {
        let sources = Sources { authorities, identity };
        // In this order: a change meanwhile is one that will be seen.
        let (stamps, config) = (sources.stamps(), sources.load()?);
        Ok(Self { sources, latest: Mutex::new(Latest { stamps, config, problem: None }) })
    }

    /// Why the files are not followed, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        self.latest().problem.clone()
    }

    /// What the files say now. When they say nothing sensible, what they said before.
    pub(crate) fn client_config(&self) -> Arc<ClientConfig> {
        let mut latest = self.latest();
        let stamps = self.sources.stamps();
        if stamps != latest.stamps {
            // Even what is wrong is not read again before it changes again.
            latest.stamps = stamps;
            match self.sources.load() {
                Ok(config) => {
                    latest.config = config;
                    latest.problem = None;
                }
                Err(error) => {
                    warn!("{error}; what was there before is still used");
                    latest.problem = Some(error.to_string());
                }
            }
        }
        latest.config.clone()
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources {
    fn stamps(&self) -> Vec<Option<Stamp>> {
        let (certificate, key) = self.identity.as_ref().map(|(certificate, key)| (certificate, key)).unzip();
        let files = [self.authorities.as_ref(), certificate, key];
        files.into_iter().flatten().map(|file| Stamp::of(&file.path)).collect()
    }

    fn load(&self) -> Result<Arc<ClientConfig>, Error> {
        let authorities = self.authorities.as_ref().map(read).transpose()?;
        let identity = self.identity.as_ref();
        let identity = identity.map(|(certificate, key)| Ok((read(certificate)?, read(key)?))).transpose()?;
        let config = client_config(
            authorities.as_ref().map(pem),
            identity.as_ref().map(|(certificate, key)| (pem(certificate), pem(key))),
        )?;
        Ok(Arc::new(config))
    }
}

fn pem((name, bytes): &(String, Vec<u8>)) -> Pem<'_> {
    Pem { name, bytes }
}

/// What the file is called and what it holds.
fn read(file: &NamedFile) -> Result<(String, Vec<u8>), Error> {
    let name = format!("{} {}", file.option, file.path.display());
    match files::read(&file.path) {
        Ok(bytes) => Ok((name, bytes)),
        Err(error) => Err(Error::Given { name, why: Why::Unreadable(error) }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_followed_and_what_is_of_no_use_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.crt");
        let authority = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap().pem()
        };
        fs::write(&path, authority("one")).unwrap();
        let option = "--ca-file";
        let files = ClientFiles::new(Some(NamedFile { option, path: path.clone() }), None).unwrap();
        let first = files.client_config();
        assert!(Arc::ptr_eq(&first, &files.client_config()), "nothing has changed");
        assert_eq!(files.problem(), None);

        for (text, why) in [
            ("", "holds no certificate in PEM form"),
            ("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "damaged PEM"),
        ] {
            fs::write(&path, text).unwrap();
            assert!(Arc::ptr_eq(&first, &files.client_config()), "the old one goes on");
            assert_eq!(files.problem(), Some(format!("--ca-file {}: {why}", path.display())));
        }
        fs::remove_file(&path).unwrap();
        assert!(Arc::ptr_eq(&first, &files.client_config()), "the old one goes on");
        assert!(files.problem().is_some_and(|problem| problem.contains("No such file")));

        fs::write(&path, authority("two")).unwrap();
        assert!(!Arc::ptr_eq(&first, &files.client_config()), "the new one counts");
        assert_eq!(files.problem(), None);
    }
}
