//! What a certificate says (X.509, RFC 5280). Pure, and of whoever wrote it nothing is trusted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, ObjectIdentifier, UtcTime};
use der::{Decode, Encode, Reader, SliceReader, Tag};
use ring::signature;

/// The hash in a signature, and the kind of key that makes it (RFC 3279, 4055, 5758).
pub(super) mod oid {
    use der::asn1::ObjectIdentifier;

    pub(in crate::pki) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    pub(super) const RSA_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");
    pub(in crate::pki) const RSA_SHA256: ObjectIdentifier =
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
    pub(super) const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
    pub(super) const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
    pub(in crate::pki) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    pub(in crate::pki) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    pub(in crate::pki) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
    pub(in crate::pki) const ECDSA_SHA256: ObjectIdentifier =
        ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
    pub(in crate::pki) const ECDSA_SHA384: ObjectIdentifier =
        ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
    pub(super) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    pub(super) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
    pub(super) const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
    pub(in crate::pki) const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
}

/// Why it is no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is something else, or damaged.
    #[error("it is not a certificate: {0}")]
    Der(der::Error),
    /// It has other parts than a certificate has.
    #[error("it is not a certificate: its {0} is not there, or something else")]
    Part(&'static str),
}

impl From<der::Error> for Error {
    fn from(error: der::Error) -> Self {
        Self::Der(error)
    }
}

/// A certificate. Its parts are the bytes that they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// All that is signed, part by part: version (if it is not the first), serial number, algorithm, issuer, validity,
    /// subject, key, and what may follow.
    pub(super) parts: Vec<AnyRef<'a>>,
    /// Where among them the serial number stands.
    pub(super) first: usize,
    signed: Vec<u8>,
    algorithm: ObjectIdentifier,
    signature: &'a [u8],
    not_before: u64,
    not_after: u64,
}

/// The parts after the version, in their order.
pub(super) mod part {
    pub(in crate::pki) const SERIAL: usize = 0;
    pub(in crate::pki) const ALGORITHM: usize = 1;
    pub(super) const ISSUER: usize = 2;
    pub(in crate::pki) const VALIDITY: usize = 3;
    pub(super) const SUBJECT: usize = 4;
    pub(super) const KEY: usize = 5;
}

/// The tag of the extensions, `[3]`.
pub(super) const EXTENSIONS: Tag = Tag::ContextSpecific { constructed: true, number: der::TagNumber(3) };

const VERSION: Tag = Tag::ContextSpecific { constructed: true, number: der::TagNumber(0) };

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey<'a> {
    /// Which kind of key.
    pub algorithm: KeyAlgorithm,
    /// As it stands in the certificate: an `RSAPublicKey`, or a point.
    pub bytes: &'a [u8],
}

/// Which kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA.
    Rsa,
    /// ECDSA on the curve P-256.
    P256,
    /// ECDSA on the curve P-384.
    P384,
    /// One that kubeadm does not make.
    Other(ObjectIdentifier),
}

/// A name that a server may be called by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AlternativeName {
    /// A name of the DNS.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// Something that no apiserver is called by.
    Other,
}

impl fmt::Display for AlternativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
            Self::Other => f.write_str("(other)"),
        }
    }
}

/// One extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    pub(super) whole: AnyRef<'a>,
    pub(super) id: ObjectIdentifier,
    pub(super) value: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads one, and nothing behind it.
    pub fn read(der: &'a [u8]) -> Result<Self, Error> {
        let [signed, algorithm, signature] =
            sequence(AnyRef::from_der(der)?)?.try_into().map_err(|_| Error::Part("signature"))?;
        let parts = sequence(signed)?;
        let first = usize::from(parts.first().is_some_and(|part| tag(*part) == VERSION));
        let get = |number: usize, wanted: Tag, name| {
            let part = parts.get(first + number).filter(|part| tag(**part) == wanted);
            part.copied().ok_or(Error::Part(name))
        };
        get(part::SERIAL, Tag::Integer, "serial number")?;
        get(part::ALGORITHM, Tag::Sequence, "algorithm")?;
        get(part::ISSUER, Tag::Sequence, "issuer")?;
        let validity = get(part::VALIDITY, Tag::Sequence, "validity")?;
        get(part::SUBJECT, Tag::Sequence, "subject")?;
        get(part::KEY, Tag::Sequence, "key")?;
        let [not_before, not_after] = sequence(validity)?.try_into().map_err(|_| Error::Part("validity"))?;
        let algorithm = *sequence(algorithm)?.first().ok_or(Error::Part("algorithm"))?;
        let signature = signature.decode_as::<BitStringRef<'a>>()?;
        let certificate = Self {
            first,
            signed: signed.to_der()?,
            algorithm: algorithm.decode_as()?,
            signature: signature.as_bytes().ok_or(Error::Part("signature"))?,
            not_before: time(not_before)?,
            not_after: time(not_after)?,
            parts,
        };
        certificate.public_key()?;
        certificate.extensions()?;
        Ok(certificate)
    }

    fn part(&self, number: usize) -> AnyRef<'a> {
        // `read` has seen that they are there.
        self.parts.get(self.first + number).copied().unwrap_or(AnyRef::NULL)
    }

    /// The first second in which it is valid, since 1970.
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// The last second in which it is valid, since 1970.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// Who has signed it, as the bytes of a name.
    pub fn issuer(&self) -> AnyRef<'a> {
        self.part(part::ISSUER)
    }

    /// Whom it is for, as the bytes of a name.
    pub fn subject(&self) -> AnyRef<'a> {
        self.part(part::SUBJECT)
    }

    /// The beginning of its validity, as it stands there.
    pub(super) fn not_before_part(&self) -> Result<AnyRef<'a>, Error> {
        sequence(self.part(part::VALIDITY))?.first().copied().ok_or(Error::Part("validity"))
    }

    /// Its key.
    pub fn public_key(&self) -> Result<PublicKey<'a>, Error> {
        let [algorithm, bits] = sequence(self.part(part::KEY))?.try_into().map_err(|_| Error::Part("key"))?;
        let algorithm = key_algorithm(algorithm)?;
        let bits = bits.decode_as::<BitStringRef<'a>>()?;
        Ok(PublicKey { algorithm, bytes: bits.as_bytes().ok_or(Error::Part("key"))? })
    }

    /// Its extensions, in their order.
    pub(super) fn extensions(&self) -> Result<Vec<Extension<'a>>, Error> {
        let Some(all) = self.parts.iter().find(|part| tag(**part) == EXTENSIONS) else {
            return Ok(Vec::new());
        };
        let all = sequence(AnyRef::from_der(all.value())?)?;
        all.into_iter()
            .map(|whole| {
                let parts = sequence(whole)?;
                // What is critical says so in between.
                let (Some(id), Some(value)) =
                    (parts.first(), parts.last().filter(|part| tag(**part) == Tag::OctetString))
                else {
                    return Err(Error::Part("extension"));
                };
                Ok(Extension { whole, id: id.decode_as()?, value: value.value() })
            })
            .collect()
    }

    fn extension(&self, id: ObjectIdentifier) -> Option<&'a [u8]> {
        let extension = self.extensions().ok()?.into_iter().find(|extension| extension.id == id)?;
        Some(extension.value)
    }

    /// Whether it may sign others.
    pub fn is_authority(&self) -> bool {
        let Some(value) = self.extension(oid::BASIC_CONSTRAINTS) else { return false };
        let parts = AnyRef::from_der(value).map_err(Error::from).and_then(sequence).unwrap_or_default();
        parts.first().is_some_and(|part| part.decode_as::<bool>() == Ok(true))
    }

    /// The names that a server with it may be called by.
    pub fn alternative_names(&self) -> Vec<AlternativeName> {
        let Some(value) = self.extension(oid::ALTERNATIVE_NAMES) else { return Vec::new() };
        let names = AnyRef::from_der(value).map_err(Error::from).and_then(sequence).unwrap_or_default();
        names.into_iter().map(alternative_name).collect()
    }

    /// Whether `authority` has the name of its issuer.
    pub fn names_as_issuer(&self, authority: &Certificate<'_>) -> bool {
        self.issuer() == authority.subject()
    }

    /// Whether the key of `authority` has signed it.
    pub fn is_signed_by(&self, authority: &Certificate<'_>) -> bool {
        let Ok(key) = authority.public_key() else { return false };
        let algorithm: &dyn signature::VerificationAlgorithm = match (key.algorithm, self.algorithm) {
            (KeyAlgorithm::Rsa, oid::RSA_SHA256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (KeyAlgorithm::Rsa, oid::RSA_SHA384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (KeyAlgorithm::Rsa, oid::RSA_SHA512) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (KeyAlgorithm::Rsa, oid::RSA_SHA1) => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            (KeyAlgorithm::P256, oid::ECDSA_SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
            (KeyAlgorithm::P256, oid::ECDSA_SHA384) => &signature::ECDSA_P256_SHA384_ASN1,
            (KeyAlgorithm::P384, oid::ECDSA_SHA256) => &signature::ECDSA_P384_SHA256_ASN1,
            (KeyAlgorithm::P384, oid::ECDSA_SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
            _ => return false,
        };
        signature::UnparsedPublicKey::new(algorithm, key.bytes).verify(&self.signed, self.signature).is_ok()
    }

    /// Whether it is its own authority.
    pub fn is_self_signed(&self) -> bool {
        self.names_as_issuer(self) && self.is_signed_by(self)
    }
}

/// Which kind of key an `AlgorithmIdentifier` tells of.
pub(super) fn key_algorithm(identifier: AnyRef<'_>) -> Result<KeyAlgorithm, Error> {
    let parts = sequence(identifier)?;
    let id: ObjectIdentifier = parts.first().ok_or(Error::Part("algorithm"))?.decode_as()?;
    if id == oid::RSA {
        return Ok(KeyAlgorithm::Rsa);
    }
    let curve = parts.get(1).filter(|_| id == oid::EC);
    Ok(curve
        .map_or(KeyAlgorithm::Other(id), |curve| curve.decode_as().map_or(KeyAlgorithm::Other(id), of_curve)))
}

/// The kind of key on a curve.
pub(super) fn of_curve(curve: ObjectIdentifier) -> KeyAlgorithm {
    match curve {
        oid::P256 => KeyAlgorithm::P256,
        oid::P384 => KeyAlgorithm::P384,
        other => KeyAlgorithm::Other(other),
    }
}

/// A name as people write it: `CN=kube-apiserver, O=system:masters`.
pub fn name(name: AnyRef<'_>) -> String {
    let mut all = Vec::new();
    for set in sequence(name).unwrap_or_default() {
        for pair in elements(set.value()).unwrap_or_default() {
            let Ok([id, value]) = <[AnyRef<'_>; 2]>::try_from(sequence(pair).unwrap_or_default()) else {
                continue;
            };
            let id = match id.decode_as::<ObjectIdentifier>() {
                Ok(oid::COMMON_NAME) => "CN".to_owned(),
                Ok(oid::ORGANIZATION) => "O".to_owned(),
                Ok(other) => other.to_string(),
                Err(_) => continue,
            };
            all.push(format!("{id}={}", String::from_utf8_lossy(value.value())));
        }
    }
    all.join(", ")
}

/// Context-specific primitives of `GeneralName` (RFC 5280, section 4.2.1.6).
pub(super) const DNS_NAME: Tag = Tag::ContextSpecific { constructed: false, number: der::TagNumber(2) };
pub(super) const IP_ADDRESS: Tag = Tag::ContextSpecific { constructed: false, number: der::TagNumber(7) };

fn alternative_name(any: AnyRef<'_>) -> AlternativeName {
    match tag(any) {
        DNS_NAME => AlternativeName::Dns(String::from_utf8_lossy(any.value()).into_owned()),
        IP_ADDRESS => {
            let four = <[u8; 4]>::try_from(any.value()).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
            let sixteen = <[u8; 16]>::try_from(any.value()).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
            four.or(sixteen).map_or(AlternativeName::Other, AlternativeName::Ip)
        }
        _ => AlternativeName::Other,
    }
}

/// Seconds since 1970. Years before that are refused by the reader.
fn time(any: AnyRef<'_>) -> Result<u64, Error> {
    Ok(match tag(any) {
        Tag::UtcTime => any.decode_as::<UtcTime>()?.to_unix_duration(),
        Tag::GeneralizedTime => any.decode_as::<GeneralizedTime>()?.to_unix_duration(),
        _ => return Err(Error::Part("validity")),
    }
    .as_secs())
}

/// The tag of a value.
pub(super) fn tag(any: AnyRef<'_>) -> Tag {
    der::Tagged::tag(&any)
}

/// The parts of a sequence.
pub(super) fn sequence(any: AnyRef<'_>) -> Result<Vec<AnyRef<'_>>, Error> {
    if tag(any) != Tag::Sequence {
        return Err(Error::Part("structure"));
    }
    elements(any.value())
}

/// Values that stand one behind the other.
fn elements(bytes: &[u8]) -> Result<Vec<AnyRef<'_>>, Error> {
    let mut reader = SliceReader::new(bytes)?;
    let mut all = Vec::new();
    while !reader.is_finished() {
        all.push(AnyRef::decode(&mut reader)?);
    }
    Ok(all)
}
