//! Tokens, hashes and keys as kubeadm takes them. What is secret never gets into a message, nor into a debug print.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// The form of a bootstrap token: an ID that everybody may see, a dot, a secret
/// (<https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#token-format>).
const TOKEN: (usize, usize) = (6, 16);

/// A bootstrap token, `abcdef.0123456789abcdef`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Token(Secret);

impl Token {
    /// The part that everybody may see.
    pub fn id(&self) -> &str {
        &self.0.reveal()[..TOKEN.0]
    }

    /// The token itself: for a file of mode 0600, and for nothing else.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "a token is 6 characters, a dot and 16 characters, all of them a to z or 0 to 9";
        let allowed =
            |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let Some((id, secret)) = text.split_once('.') else {
            return Err(format!("the token has no dot; {form}"));
        };
        // Only what has the form of an ID is one; anything else may be a piece of the secret.
        if id.len() != TOKEN.0 || !allowed(id) {
            return Err(format!("the ID of the token, before the dot, is not valid; {form}"));
        }
        if secret.len() != TOKEN.1 {
            return Err(format!(
                "the token `{id}.***` has {} characters after the dot; {form}",
                secret.chars().count()
            ));
        }
        if !allowed(secret) {
            return Err(format!("the token `{id}.***` has a character that is not allowed; {form}"));
        }
        Ok(Self(Secret::from(text.to_owned())))
    }
}

/// The hash of the cluster's authority, `sha256:` and 64 hexadecimal digits: SHA-256 of its public key
/// (RFC 7469, section 2.4). It is not secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CaCertHash(String);

impl CaCertHash {
    /// As kubeadm writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CaCertHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((kind, digits)) = text.split_once(':') else {
            return Err(format!("`{text}` does not begin with `sha256:`"));
        };
        // kubeadm takes capitals as well, in both parts.
        if !kind.eq_ignore_ascii_case("sha256") {
            return Err(format!("`{text}` is of kind {kind:?}; kubeadm knows only sha256"));
        }
        hexadecimal(digits, 64).map_err(|why| format!("`{text}` {why}"))?;
        Ok(Self(format!("sha256:{}", digits.to_ascii_lowercase())))
    }
}

/// The key with which a new master decrypts the certificates that `kubeadm init --upload-certs` left: 32 bytes in
/// hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CertificateKey(Secret);

impl CertificateKey {
    /// The key itself: for a file of mode 0600, and for nothing else.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl FromStr for CertificateKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        hexadecimal(text, 64).map_err(|why| format!("the certificate key {why}"))?;
        Ok(Self(Secret::from(text.to_owned())))
    }
}

/// Read as typed, so that what comes over a wire is as valid.
macro_rules! from_text {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )*};
}

from_text!(Token, CaCertHash, CertificateKey);

fn hexadecimal(digits: &str, length: usize) -> Result<(), String> {
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("has a character that is not a hexadecimal digit".to_owned());
    }
    match digits.len() {
        right if right == length => Ok(()),
        wrong => Err(format!("has {wrong} hexadecimal digits instead of {length}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGITS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF";

    #[test]
    fn a_token_shows_its_id_only() {
        let token: Token = "abcdef.0123456789abcdef".parse().unwrap();
        assert_eq!((token.id(), token.reveal()), ("abcdef", "abcdef.0123456789abcdef"));
        assert_eq!(format!("{token:?}"), "Token(***)");
    }

    #[test]
    fn a_wrong_token_is_told_apart() {
        for (text, why) in [
            ("", "the token has no dot"),
            ("abcdef0123456789abcdef", "the token has no dot"),
            ("0123456789abcdef.abcdef", "the ID of the token, before the dot"),
            ("ABCDEF.0123456789abcdef", "the ID of the token, before the dot"),
            ("abcdef.0123456789", "the token `abcdef.***` has 10 characters after the dot"),
            ("abcdef.0123456789abcde\n", "the token `abcdef.***` has a character that is not allowed"),
        ] {
            let refusal = text.parse::<Token>().unwrap_err();
            assert!(refusal.starts_with(why), "{refusal}");
        }
    }

    #[test]
    fn hashes_and_keys_are_measured() {
        let hash: CaCertHash = format!("SHA256:{DIGITS}").parse().unwrap();
        assert_eq!(hash.as_str(), format!("sha256:{}", DIGITS.to_lowercase()));
        for (text, why) in [
            (DIGITS.to_owned(), "does not begin with `sha256:`"),
            (format!("md5:{DIGITS}"), "is of kind \"md5\""),
            ("sha256:0".to_owned(), "has 1 hexadecimal digits instead of 64"),
            (format!("sha256:{}g", &DIGITS[1..]), "not a hexadecimal digit"),
        ] {
            let refusal = text.parse::<CaCertHash>().unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
        }
        assert!(DIGITS.parse::<CertificateKey>().is_ok());
        let refusal = DIGITS[1..].parse::<CertificateKey>().unwrap_err();
        assert_eq!(refusal, "the certificate key has 63 hexadecimal digits instead of 64");
    }

    proptest! {
        #[test]
        fn a_secret_never_gets_into_a_message(id in "[a-z0-9]{6}", secret in "[A-Z]{4,40}") {
            let shown = [
                format!("{id}.{secret}").parse::<Token>().unwrap_err(),
                format!("{secret}.{id}").parse::<Token>().unwrap_err(),
                format!("{id}{secret}").parse::<Token>().unwrap_err(),
                secret.parse::<CertificateKey>().unwrap_err(),
                format!("{:?}", Secret::from(secret.clone())),
            ];
            for shown in shown {
                prop_assert!(!shown.contains(&secret), "{}", shown);
            }
        }
    }
}
