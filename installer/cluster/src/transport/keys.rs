//! Private keys in files: OpenSSH's own form, PEM (PKCS#1, SEC1, PKCS#8), each of them with or without a passphrase.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use node::spec::secret::Secret;
use russh::keys::{PrivateKey, decode_secret_key};

use super::error::Error;
use super::open;

/// More than this is no key, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// A private key, and the name under which it is told of.
#[derive(Clone)]
pub struct Key {
    /// Its file.
    pub path: PathBuf,
    /// The key.
    pub(super) key: Arc<PrivateKey>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Key").field(&self.path).finish()
    }
}

/// The keys that are tried when none is named, those that are there: OpenSSH's names, newest type first.
pub fn defaults(home: &Path) -> Vec<PathBuf> {
    let names = ["id_ed25519", "id_ecdsa", "id_rsa"];
    names.iter().map(|name| home.join(".ssh").join(name)).filter(|path| path.exists()).collect()
}

/// Reads a key. One that others can read is refused, as `ssh` does.
pub fn load(path: &Path, passphrase: Option<&Secret>) -> Result<Key, Error> {
    let wrong = |why: String| Error::Key { path: path.to_owned(), why };
    let text = read(path, &wrong)?;
    if text.contains("-----BEGIN PUBLIC KEY") || text.starts_with("ssh-") || text.starts_with("ecdsa-") {
        return Err(wrong("it is a public key; name the private one".to_owned()));
    }
    let is_pem_encrypted = text
        .lines()
        .any(|line| line.contains("ENCRYPTED PRIVATE KEY") || line.contains("Proc-Type: 4,ENCRYPTED"));
    if is_pem_encrypted && passphrase.is_none() {
        return Err(Error::Encrypted { path: path.to_owned() });
    }
    match decode_secret_key(&text, passphrase.map(Secret::reveal)) {
        Ok(key) => Ok(Key { path: path.to_owned(), key: Arc::new(key) }),
        Err(russh::keys::Error::KeyIsEncrypted) if passphrase.is_none() => {
            Err(Error::Encrypted { path: path.to_owned() })
        }
        // What the library says of a wrong passphrase depends on where the rubbish begins to show.
        Err(_) if passphrase.is_some() => Err(wrong(format!(
            "wrong passphrase, or a form that is not known; `ssh-keygen -p -f {}` writes one that is",
            path.display()
        ))),
        Err(_) => Err(wrong(format!(
            "it is not a private key that is known (OpenSSH, PKCS#1, SEC1, PKCS#8); `ssh-keygen -p -f {}` writes one",
            path.display()
        ))),
    }
}

fn read(path: &Path, wrong: &impl Fn(String) -> Error) -> Result<String, Error> {
    let file = open(path, OpenOptions::new().read(true)).map_err(|error| wrong(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| wrong(error.to_string()))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(wrong(format!("others can read it; `chmod 600 {}`", path.display())));
    }
    let mut text = String::new();
    match file.take(MAX_FILE + 1).read_to_string(&mut text) {
        Ok(_) if text.len() as u64 > MAX_FILE => Err(wrong("it is larger than 64 KiB".to_owned())),
        Ok(_) => Ok(text),
        Err(error) => Err(wrong(error.to_string())),
    }
}
