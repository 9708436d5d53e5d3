//! The same certificate with a later end: same key, names, usages and beginning, every extension byte for byte and in its
//! order. What differs is the serial number, the end, and the signature. Pure.

use std::time::Duration;

use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, ObjectIdentifier, UtcTime};
use der::{Decode, Encode, Tag};
use ring::rand::SecureRandom;

use super::certificate::{
    self, AlternativeName, Certificate, DNS_NAME, EXTENSIONS, Extension, IP_ADDRESS, KeyAlgorithm, oid, part,
    tag,
};
use super::key::PrivateKey;

/// Bytes of a serial number. Authorities shall use random ones, and 20 bytes at most (RFC 5280, section 4.1.2.2).
const SERIAL: usize = 16;

/// The first second of 2050: from then on times are written with four digits of the year (RFC 5280, section 4.1.2.5).
const YEAR_2050: u64 = 2_524_608_000;

/// What becomes different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The last second in which it is valid, since 1970.
    pub not_after: u64,
    /// Names that a server may be called by, beyond those that it may be called by already.
    pub names: Vec<AlternativeName>,
}

/// Why it cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(transparent)]
    Malformed(#[from] certificate::Error),
    /// The time cannot be written.
    #[error("it would end after the year 9999")]
    TooLate,
    /// Another authority has made it.
    #[error("this authority has not made it")]
    OtherIssuer,
    /// The key is another authority's.
    #[error("the key of the authority does not belong to its certificate")]
    OtherKey,
    /// The authority signs with something that is not known here.
    #[error("the authority's key is of the kind {0}; RSA, P-256 and P-384 are known")]
    UnknownKey(ObjectIdentifier),
    /// There is no randomness to be had.
    #[error("the system gives no random numbers")]
    NoRandom,
}

impl From<der::Error> for Error {
    fn from(error: der::Error) -> Self {
        Self::Malformed(error.into())
    }
}

/// `old` as `authority`, whose key is `key`, makes it anew; its own certificate, as it makes itself anew. An authority
/// keeps its serial number: what it has signed may name it by that.
pub fn reissue(
    old: &Certificate<'_>,
    authority: &Certificate<'_>,
    key: &PrivateKey,
    change: &Change,
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, Error> {
    if !old.names_as_issuer(authority) || !old.is_signed_by(authority) {
        return Err(Error::OtherIssuer);
    }
    let public = authority.public_key()?;
    let algorithm = algorithm(public.algorithm)?;
    let algorithm = AnyRef::from_der(&algorithm)?;

    let not_after = time(change.not_after)?;
    let validity = [old.not_before_part()?.to_der()?, not_after].concat();
    let mut serial = [0; SERIAL];
    random.fill(&mut serial).map_err(|_| Error::NoRandom)?;
    // Neither negative nor shorter than it looks.
    serial[0] = serial[0] & 0x7f | 0x40;
    let extensions = extensions(old, &change.names)?;

    let mut parts = old.parts.clone();
    for (number, part) in parts.iter_mut().enumerate() {
        match number.checked_sub(old.first) {
            Some(part::SERIAL) if !old.is_authority() => *part = AnyRef::new(Tag::Integer, &serial)?,
            Some(part::ALGORITHM) => *part = algorithm,
            Some(part::VALIDITY) => *part = AnyRef::new(Tag::Sequence, &validity)?,
            _ if tag(*part) == EXTENSIONS => *part = AnyRef::new(EXTENSIONS, &extensions)?,
            _ => {}
        }
    }
    let signed = AnyRef::new(Tag::Sequence, &concat(&parts)?)?.to_der()?;
    let signature = key.sign(&public, &signed, random).ok_or(Error::OtherKey)?;
    let signature = BitStringRef::from_bytes(&signature)?.to_der()?;
    let whole = [signed, algorithm.to_der()?, signature].concat();
    Ok(AnyRef::new(Tag::Sequence, &whole)?.to_der()?)
}

/// What the key signs with, whatever the old certificate was signed with.
fn algorithm(key: KeyAlgorithm) -> Result<Vec<u8>, Error> {
    let parts = match key {
        // Its parameters are there, and nothing (RFC 4055, section 5).
        KeyAlgorithm::Rsa => [oid::RSA_SHA256.to_der()?, AnyRef::NULL.to_der()?].concat(),
        KeyAlgorithm::P256 => oid::ECDSA_SHA256.to_der()?,
        KeyAlgorithm::P384 => oid::ECDSA_SHA384.to_der()?,
        KeyAlgorithm::Other(id) => return Err(Error::UnknownKey(id)),
    };
    Ok(AnyRef::new(Tag::Sequence, &parts)?.to_der()?)
}

fn time(seconds: u64) -> Result<Vec<u8>, Error> {
    let time = Duration::from_secs(seconds);
    if seconds < YEAR_2050 {
        return Ok(UtcTime::from_unix_duration(time)?.to_der()?);
    }
    Ok(GeneralizedTime::from_unix_duration(time).map_err(|_| Error::TooLate)?.to_der()?)
}

/// All extensions, as they stand in `[3]`.
fn extensions(old: &Certificate<'_>, more: &[AlternativeName]) -> Result<Vec<u8>, Error> {
    let known = old.alternative_names();
    let more: Vec<_> = more.iter().filter(|name| !known.contains(name)).collect();
    let mut all = Vec::new();
    for extension in old.extensions()? {
        all.extend(if extension.id == oid::ALTERNATIVE_NAMES && !more.is_empty() {
            with_names(&extension, &more)?
        } else {
            extension.whole.to_der()?
        });
    }
    Ok(AnyRef::new(Tag::Sequence, &all)?.to_der()?)
}

/// The extension with the names of a server, with more of them at its end.
fn with_names(extension: &Extension<'_>, more: &[&AlternativeName]) -> Result<Vec<u8>, Error> {
    let mut names = AnyRef::from_der(extension.value)?.value().to_vec();
    for name in more {
        let (tag, bytes) = match name {
            AlternativeName::Dns(name) => (DNS_NAME, name.as_bytes().to_vec()),
            AlternativeName::Ip(std::net::IpAddr::V4(address)) => (IP_ADDRESS, address.octets().to_vec()),
            AlternativeName::Ip(std::net::IpAddr::V6(address)) => (IP_ADDRESS, address.octets().to_vec()),
            AlternativeName::Other => continue,
        };
        names.extend(AnyRef::new(tag, &bytes)?.to_der()?);
    }
    let value = AnyRef::new(Tag::Sequence, &names)?.to_der()?;
    let mut parts = certificate::sequence(extension.whole)?;
    if let Some(last) = parts.last_mut() {
        *last = AnyRef::new(Tag::OctetString, &value)?;
    }
    Ok(AnyRef::new(Tag::Sequence, &concat(&parts)?)?.to_der()?)
}

fn concat(parts: &[AnyRef<'_>]) -> Result<Vec<u8>, der::Error> {
    let mut all = Vec::new();
    for part in parts {
        all.extend(part.to_der()?);
    }
    Ok(all)
}
