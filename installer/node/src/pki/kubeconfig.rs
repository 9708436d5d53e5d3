//! Kubeconfigs: the certificates in them are read, and replaced where they stand. Every other byte stays. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lvscare::yaml;
use serde::Deserialize;

use super::pem;

/// A kubeconfig, as far as it is about certificates.
#[derive(Clone, Debug, Default)]
pub struct Kubeconfig {
    /// Those who it is for.
    pub users: Vec<User>,
    /// The authorities by which each cluster in it is known, as PEM.
    pub authorities: Vec<Vec<u8>>,
}

/// Somebody, by a certificate that stands in the file itself.
#[derive(Clone)]
pub struct User {
    /// As the file calls him.
    pub name: String,
    /// His certificates, as PEM.
    pub certificate: Vec<u8>,
    /// His key, as PEM, if it stands there, too.
    pub key: Option<Vec<u8>>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why it is not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is something else.
    #[error("it is not a kubeconfig: {0}")]
    Yaml(#[from] yaml::Error),
    /// It is in no encoding that YAML has.
    #[error("it is not a kubeconfig: it is not UTF-8")]
    NotUtf8,
    /// What should be a certificate or a key is something else.
    #[error("its {0} is not base64")]
    NotBase64(&'static str),
    /// The certificate is not what stands there.
    #[error("its {0} stands there over several lines, which is not edited here; write it in one")]
    SeveralLines(&'static str),
    /// A certificate is damaged.
    #[error(transparent)]
    Pem(#[from] pem::Error),
}

const CERTIFICATE: &str = "client-certificate-data";
const AUTHORITY: &str = "certificate-authority-data";

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedCluster {
    cluster: ClusterData,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct ClusterData {
    certificate_authority_data: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedUser {
    name: String,
    user: UserData,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct UserData {
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Kubeconfig {
    /// Reads one.
    pub fn read(text: &[u8]) -> Result<Self, Error> {
        let file = parse(text)?;
        let mut config = Self::default();
        for NamedCluster { cluster } in file.clusters {
            if let Some(data) = cluster.certificate_authority_data {
                config.authorities.push(decode(&data, AUTHORITY)?);
            }
        }
        for NamedUser { name, user } in file.users {
            let Some(data) = user.client_certificate_data else { continue };
            let key = user.client_key_data.map(|data| decode(&data, "client-key-data")).transpose()?;
            config.users.push(User { name, certificate: decode(&data, CERTIFICATE)?, key });
        }
        Ok(config)
    }
}

/// A text that is not UTF-8 is no kubeconfig either, and would not stay as it was.
fn parse(text: &[u8]) -> Result<File, Error> {
    if text.len() > pem::MAX_BYTES {
        return Err(pem::Error::TooLong.into());
    }
    std::str::from_utf8(text).map_err(|_| Error::NotUtf8)?;
    Ok(yaml::parse(text)?)
}

fn decode(base64: &str, what: &'static str) -> Result<Vec<u8>, Error> {
    let base64: String = base64.split_ascii_whitespace().collect();
    STANDARD.decode(base64).map_err(|_| Error::NotBase64(what))
}

/// The text with other certificates: `new` gives what takes the place of one, be it of a user or of an authority, or
/// nothing where it stays.
pub fn replace(text: &[u8], mut new: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Result<Vec<u8>, Error> {
    let file = parse(text)?;
    let authorities = file
        .clusters
        .into_iter()
        .filter_map(|named| Some((named.cluster.certificate_authority_data?, AUTHORITY)));
    let users =
        file.users.into_iter().filter_map(|named| Some((named.user.client_certificate_data?, CERTIFICATE)));
    let mut after = String::from_utf8_lossy(text).into_owned();
    for (data, what) in authorities.chain(users) {
        let before = decode(&data, what)?;
        let replaced = pem::replace(&before, &mut new)?;
        if replaced != before {
            let data = data.trim();
            if !after.contains(data) {
                return Err(Error::SeveralLines(what));
            }
            after = after.replace(data, &STANDARD.encode(replaced));
        }
    }
    Ok(after.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::pem::{CERTIFICATE as LABEL, print};

    fn config(certificate: &str, authority: &str) -> String {
        format!(
            "apiVersion: v1\r\nclusters:\n- cluster:\n    certificate-authority-data: {authority}\n    server: https://x:6443\n  \
             name: k  # mine\nusers:\n- name: admin\n  user: {{client-key-data: a2V5, client-certificate-data: \"{certificate}\"}}\n- \
             name: other\n  user: {{token: secret}}\n"
        )
    }

    fn base64(der: &[u8]) -> String {
        STANDARD.encode(print(LABEL, der) + "\n")
    }

    #[test]
    fn certificates_are_replaced_and_every_other_byte_stays() {
        let text = config(&base64(b"one"), &base64(b"ca"));
        let read = Kubeconfig::read(text.as_bytes()).unwrap();
        assert_eq!((read.users.len(), read.users[0].name.as_str()), (1, "admin"));
        assert_eq!(read.users[0].key.as_deref(), Some(&b"key"[..]));
        assert_eq!(pem::certificates(&read.authorities[0]).unwrap(), [b"ca"]);
        let new = |der: &[u8]| Some([der, b" anew"].concat());
        let after = String::from_utf8(replace(text.as_bytes(), new).unwrap()).unwrap();
        assert_eq!(after, config(&base64(b"one anew"), &base64(b"ca anew")));
        let json = format!(
            r#"{{"users": [{{"name": "a", "user": {{"client-certificate-data":"{}"}}}}]}}"#,
            base64(b"one")
        );
        let after = replace(json.as_bytes(), new).unwrap();
        assert_eq!(String::from_utf8(after).unwrap(), json.replace(&base64(b"one"), &base64(b"one anew")));
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused_in_words() {
        for (text, why) in [
            ("users: 7", "it is not a kubeconfig: users: invalid type"),
            (
                "users: [{user: {client-certificate-data: '***'}}]",
                "its client-certificate-data is not base64",
            ),
            ("{", "it is not a kubeconfig"),
        ] {
            let refusal = Kubeconfig::read(text.as_bytes()).unwrap_err().to_string();
            assert!(refusal.starts_with(why), "{refusal}");
        }
        let whole = base64(b"one");
        let (half, rest) = whole.split_at(20);
        let text = format!("users:\n- user:\n    client-certificate-data: |\n      {half}\n      {rest}\n");
        let refusal = replace(text.as_bytes(), |_| Some(b"two".to_vec())).unwrap_err();
        assert!(matches!(refusal, Error::SeveralLines(CERTIFICATE)), "{refusal}");
        // Where nothing is replaced, nothing is wrong with it.
        assert_eq!(replace(text.as_bytes(), |_| None).unwrap(), text.as_bytes());
    }
}
