//! Private keys, in every form in which kubeadm, OpenSSL and Go write them: PKCS#1 (`RSA PRIVATE KEY`), SEC 1
//! (`EC PRIVATE KEY`) and PKCS#8 (`PRIVATE KEY`). Pure.

use std::fmt;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Tag};
use ring::rand::SecureRandom;
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    RSA_PKCS1_SHA256,
};

use super::certificate::{KeyAlgorithm, PublicKey, key_algorithm, of_curve, sequence, tag};
use super::pem;

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is damaged.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// There is none in the text.
    #[error("there is no private key in it (PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY)")]
    Absent,
    /// The block is something else than it says.
    #[error("its block {0} is no key: {1}")]
    Malformed(String, String),
    /// A key that certificates of Kubernetes do not have.
    #[error("it is a key of the kind {0}; RSA, P-256 and P-384 are known")]
    Unknown(ObjectIdentifier),
}

/// A private key.
pub enum PrivateKey {
    /// Of RSA.
    Rsa(Box<rsa::KeyPair>),
    /// A number for a curve.
    Ec(KeyAlgorithm, Vec<u8>),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa(_) => "Rsa(***)",
            Self::Ec(..) => "Ec(***)",
        })
    }
}

impl PrivateKey {
    /// The first key in a text. OpenSSL puts the parameters of the curve before it, kubelet a certificate.
    pub fn read(text: &[u8]) -> Result<Self, Error> {
        for block in pem::blocks(text)? {
            let malformed = |why: String| Error::Malformed(block.label.clone(), why);
            return match block.label.as_str() {
                "RSA PRIVATE KEY" => rsa(&block.der).map_err(malformed),
                "EC PRIVATE KEY" => ec(&block.der, None).map_err(malformed)?.map_err(Error::Unknown),
                "PRIVATE KEY" => pkcs8(&block.der).map_err(malformed)?.map_err(Error::Unknown),
                _ => continue,
            };
        }
        Err(Error::Absent)
    }

    /// Whether it is the private half of `public`.
    pub fn belongs_to(&self, public: &PublicKey<'_>, random: &dyn SecureRandom) -> bool {
        match self {
            Self::Rsa(pair) => {
                public.algorithm == KeyAlgorithm::Rsa && pair.public().as_ref() == public.bytes
            }
            Self::Ec(..) => self.pair(public, random).is_some(),
        }
    }

    /// Signs with the hash that goes with the key: SHA-256, with P-384 SHA-384. `public` is its other half; nothing if it
    /// is not, or if the key cannot sign.
    pub fn sign(&self, public: &PublicKey<'_>, message: &[u8], random: &dyn SecureRandom) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, random, message, &mut signature).ok()?;
                self.belongs_to(public, random).then_some(signature)
            }
            Self::Ec(..) => Some(self.pair(public, random)?.sign(random, message).ok()?.as_ref().to_vec()),
        }
    }

    /// ring takes the two halves together, and none that do not belong together.
    fn pair(&self, public: &PublicKey<'_>, random: &dyn SecureRandom) -> Option<EcdsaKeyPair> {
        let Self::Ec(algorithm, number) = self else { return None };
        let (signing, length) = signing(*algorithm)?;
        if public.algorithm != *algorithm {
            return None;
        }
        // Some write the number without its leading zeros.
        let begin = number.iter().position(|byte| *byte != 0)?;
        let number = number.get(begin..).filter(|number| number.len() <= length)?;
        let mut whole = vec![0; length - number.len()];
        whole.extend_from_slice(number);
        EcdsaKeyPair::from_private_key_and_public_key(signing, &whole, public.bytes, random).ok()
    }
}

fn signing(algorithm: KeyAlgorithm) -> Option<(&'static EcdsaSigningAlgorithm, usize)> {
    match algorithm {
        KeyAlgorithm::P256 => Some((&ECDSA_P256_SHA256_ASN1_SIGNING, 32)),
        KeyAlgorithm::P384 => Some((&ECDSA_P384_SHA384_ASN1_SIGNING, 48)),
        _ => None,
    }
}

/// `RSAPrivateKey` (RFC 8017, appendix A.1.2). ring looks whether its numbers belong together.
fn rsa(der: &[u8]) -> Result<PrivateKey, String> {
    let pair =
        rsa::KeyPair::from_der(der).map_err(|error| format!("{error}; RSA keys have 2048 to 4096 bits"))?;
    Ok(PrivateKey::Rsa(Box::new(pair)))
}

/// `ECPrivateKey` (RFC 5915). The curve stands in it, or around it.
fn ec(der: &[u8], around: Option<KeyAlgorithm>) -> Result<Result<PrivateKey, ObjectIdentifier>, String> {
    const CURVE: Tag = Tag::ContextSpecific { constructed: true, number: der::TagNumber(0) };
    let any = AnyRef::from_der(der).map_err(|error| error.to_string())?;
    let parts = sequence(any).map_err(|error| error.to_string())?;
    let number = parts.get(1).filter(|part| tag(**part) == Tag::OctetString).ok_or("it has no number")?;
    let inside = parts.iter().find(|part| tag(**part) == CURVE);
    let inside = inside.map(|part| ObjectIdentifier::from_der(part.value())).transpose();
    let inside = inside.map_err(|error| error.to_string())?.map(of_curve);
    Ok(match around.or(inside).ok_or("it names no curve")? {
        KeyAlgorithm::Other(id) => Err(id),
        algorithm => Ok(PrivateKey::Ec(algorithm, number.value().to_vec())),
    })
}

/// `PrivateKeyInfo` (RFC 5208).
fn pkcs8(der: &[u8]) -> Result<Result<PrivateKey, ObjectIdentifier>, String> {
    let any = AnyRef::from_der(der).map_err(|error| error.to_string())?;
    let parts = sequence(any).map_err(|error| error.to_string())?;
    let [_, algorithm, inside, ..] = parts[..] else { return Err("it has too few parts".to_owned()) };
    if tag(inside) != Tag::OctetString {
        return Err("it holds no key".to_owned());
    }
    match key_algorithm(algorithm).map_err(|error| error.to_string())? {
        KeyAlgorithm::Rsa => rsa(inside.value()).map(Ok),
        KeyAlgorithm::Other(id) => Ok(Err(id)),
        curve => ec(inside.value(), Some(curve)),
    }
}
