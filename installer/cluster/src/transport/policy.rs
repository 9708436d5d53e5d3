//! Whether a host that shows a key is the host that was meant. Pure.
//!
//! | recorded for the host | shown | answer |
//! |---|---|---|
//! | it is revoked | that key, or a certificate by that authority | refused, always |
//! | an authority | its valid certificate for this host | trusted |
//! | the key | that key | trusted; refused when another one is pinned |
//! | another key, of whatever type | any | refused: the host, or somebody between, has changed |
//! | nothing | any | `strict`: refused; `accept-new`: trusted and recorded; pinned: if it is the pinned one |

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::digest::{SHA256, digest};

use super::known_hosts::{Known, Recorded, matches_list};

/// What is done with a host of which nothing is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// It is refused.
    #[default]
    Strict,
    /// Its key is recorded.
    AcceptNew,
    /// Its key is recorded if it is one of these.
    Pinned(Vec<Fingerprint>),
}

/// The SHA-256 of a public key, as OpenSSH shows it: `SHA256:` and 43 characters of base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of a key in its form on the wire.
    pub fn of(blob: &[u8]) -> Self {
        Self(format!("SHA256:{}", STANDARD_NO_PAD.encode(digest(&SHA256, blob))))
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hash = text.strip_prefix("SHA256:").and_then(|hash| STANDARD_NO_PAD.decode(hash).ok());
        match hash {
            Some(hash) if hash.len() == SHA256.output_len() => Ok(Self(text.to_owned())),
            _ => Err(format!(
                "{text:?} is not a fingerprint; it is `SHA256:` and 43 characters, as `ssh-keygen -lf` prints it"
            )),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a host shows. That it has the private key was proved before.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The type of its key, such as `ssh-ed25519`.
    pub algorithm: String,
    /// Its key in the form on the wire.
    pub blob: Vec<u8>,
    /// The certificate for that key, if it has one.
    pub certificate: Option<HostCertificate>,
}

/// A certificate (OpenSSH's PROTOCOL.certkeys), as far as it matters here.
#[derive(Clone, Debug)]
pub struct HostCertificate {
    /// The authority's key in the form on the wire.
    pub authority: Vec<u8>,
    /// Whether the authority signed it.
    pub is_signed: bool,
    /// Whether it is for hosts, not for users.
    pub is_for_hosts: bool,
    /// The names that it is for.
    pub principals: Vec<String>,
    /// When it begins, in seconds since 1970.
    pub valid_after: u64,
    /// When it ends, in seconds since 1970.
    pub valid_before: u64,
    /// Options that whoever does not understand them must refuse. There are none for hosts.
    pub has_critical_options: bool,
}

/// A host that is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// By what is recorded.
    Known,
    /// By the policy: its key is to be recorded.
    New,
}

/// A host that is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// Nothing is recorded of it.
    #[error("its {algorithm} key {fingerprint} is not known")]
    Unknown {
        /// The type of the key.
        algorithm: String,
        /// The key.
        fingerprint: Fingerprint,
        /// The key in the form on the wire.
        blob: Vec<u8>,
    },
    /// Another key is recorded.
    #[error("its {algorithm} key {fingerprint} is not the {recorded} key in {place}")]
    Changed {
        /// The type of the key that was shown.
        algorithm: String,
        /// The key that was shown.
        fingerprint: Fingerprint,
        /// The type of the key that is recorded.
        recorded: String,
        /// The file and the line.
        place: String,
    },
    /// It must not be used any more.
    #[error("its {algorithm} key {fingerprint} is revoked in {place}")]
    Revoked {
        /// The type of the key.
        algorithm: String,
        /// The key.
        fingerprint: Fingerprint,
        /// The file and the line.
        place: String,
    },
    /// Another one was asked for.
    #[error("its {algorithm} key {fingerprint} is not a pinned one")]
    NotPinned {
        /// The type of the key.
        algorithm: String,
        /// The key.
        fingerprint: Fingerprint,
    },
    /// A certificate by a recorded authority that is not good.
    #[error("its certificate by the authority in {place} {why}")]
    Certificate {
        /// The file and the line of the authority.
        place: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Decides. `now` is in seconds since 1970.
pub fn judge(
    known: &Known,
    policy: &Policy,
    address: IpAddr,
    presented: &Presented,
    now: u64,
) -> Result<Trusted, Untrusted> {
    let fingerprint = Fingerprint::of(&presented.blob);
    let algorithm = presented.algorithm.clone();
    let authority = presented.certificate.as_ref().map(|certificate| certificate.authority.as_slice());
    let is_revoked =
        |line: &&Recorded| line.blob == presented.blob || Some(line.blob.as_slice()) == authority;
    if let Some(line) = known.revoked.iter().find(is_revoked) {
        return Err(Untrusted::Revoked { algorithm, fingerprint, place: line.place.clone() });
    }
    if let Policy::Pinned(pinned) = policy
        && !pinned.contains(&fingerprint)
    {
        return Err(Untrusted::NotPinned { algorithm, fingerprint });
    }
    // A certificate that is not good makes nobody trusted; the key in it may still be recorded.
    let certified = presented.certificate.as_ref().and_then(|shown| certified(known, shown, address, now));
    if certified == Some(Ok(())) || known.keys.iter().any(|line| line.blob == presented.blob) {
        return Ok(Trusted::Known);
    }
    if let Some(Err(refusal)) = certified {
        return Err(refusal);
    }
    if let Some(line) = known.keys.first() {
        let (recorded, place) = (line.algorithm.clone(), line.place.clone());
        return Err(Untrusted::Changed { algorithm, fingerprint, recorded, place });
    }
    match policy {
        Policy::Strict => Err(Untrusted::Unknown { algorithm, fingerprint, blob: presented.blob.clone() }),
        Policy::AcceptNew | Policy::Pinned(_) => Ok(Trusted::New),
    }
}

/// Whether an authority that is recorded vouches for the host; nothing where the authority is not recorded.
fn certified(
    known: &Known,
    shown: &HostCertificate,
    address: IpAddr,
    now: u64,
) -> Option<Result<(), Untrusted>> {
    let authority = known.authorities.iter().find(|line| line.blob == shown.authority)?;
    let name = address.to_string();
    let why = if !shown.is_signed {
        "has a wrong signature"
    } else if !shown.is_for_hosts {
        "is for a user, not for a host"
    } else if !shown.principals.iter().any(|principal| matches_list(principal, &name)) {
        "is not for this address"
    } else if now < shown.valid_after {
        "is not valid yet; are the clocks right?"
    } else if now >= shown.valid_before {
        "has ended"
    } else if shown.has_critical_options {
        "has options that are not understood"
    } else {
        return Some(Ok(()));
    };
    Some(Err(Untrusted::Certificate { place: authority.place.clone(), why }))
}

#[cfg(test)]
mod tests {
    use super::super::known_hosts::HostName;
    use super::super::known_hosts::tests::blob;
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn known(text: &str) -> Known {
        let mut known = Known::default();
        known.read("file", text.as_bytes(), &HostName::new("10.0.0.1:22".parse().unwrap()));
        known
    }

    fn line(hosts: &str, algorithm: &str, key: &[u8]) -> String {
        super::super::known_hosts::line(
            &HostName::new("10.0.0.1:22".parse().unwrap()),
            algorithm,
            &blob(algorithm, key),
        )
        .replacen("10.0.0.1", hosts, 1)
    }

    fn key(algorithm: &str, key: &[u8]) -> Presented {
        Presented { algorithm: algorithm.to_owned(), blob: blob(algorithm, key), certificate: None }
    }

    fn judged(text: &str, policy: &Policy, presented: &Presented) -> Result<Trusted, Untrusted> {
        judge(&known(text), policy, "10.0.0.1".parse().unwrap(), presented, NOW)
    }

    fn kind(verdict: &Result<Trusted, Untrusted>) -> &'static str {
        match verdict {
            Ok(Trusted::Known) => "known",
            Ok(Trusted::New) => "new",
            Err(Untrusted::Unknown { .. }) => "unknown",
            Err(Untrusted::Changed { .. }) => "changed",
            Err(Untrusted::Revoked { .. }) => "revoked",
            Err(Untrusted::NotPinned { .. }) => "not pinned",
            Err(Untrusted::Certificate { .. }) => "certificate",
        }
    }

    /// The table above: what is recorded, what is shown, and the answer of each policy.
    #[test]
    fn every_case() {
        let mine = key("ssh-ed25519", b"mine");
        let good = Fingerprint::of(&mine.blob);
        let bad = Fingerprint::of(b"another");
        let host = line("10.0.0.1", "ssh-ed25519", b"mine");
        let other = line("10.0.0.1", "ssh-ed25519", b"other");
        let type_ = line("10.0.0.1", "ecdsa-sha2-nistp256", b"other");
        let strange = line("10.0.0.1", "ssh-made-up", b"other");
        let revoked = format!("@revoked {}", line("*", "ssh-ed25519", b"mine"));
        let revoked_other = format!("@revoked {}", line("*", "ssh-ed25519", b"other"));
        for (text, [strict, accept, pinned, pinned_other]) in [
            (String::new(), ["unknown", "new", "new", "not pinned"]),
            (host.clone(), ["known", "known", "known", "not pinned"]),
            (other.clone(), ["changed", "changed", "changed", "not pinned"]),
            (type_.clone(), ["changed", "changed", "changed", "not pinned"]),
            (strange, ["changed", "changed", "changed", "not pinned"]),
            (format!("{type_}{host}"), ["known", "known", "known", "not pinned"]),
            (format!("{host}{revoked}"), ["revoked"; 4]),
            (revoked_other, ["unknown", "new", "new", "not pinned"]),
        ] {
            let all = [
                Policy::Strict,
                Policy::AcceptNew,
                Policy::Pinned(vec![bad.clone(), good.clone()]),
                Policy::Pinned(vec![bad.clone()]),
            ];
            let got = all.map(|policy| kind(&judged(&text, &policy, &mine)));
            assert_eq!(got, [strict, accept, pinned, pinned_other], "{text}");
        }
    }

    #[test]
    fn a_changed_key_is_told_with_its_place() {
        let text = line("10.0.0.1", "ecdsa-sha2-nistp256", b"other");
        let refusal =
            judged(&text, &Policy::AcceptNew, &key("ssh-ed25519", b"mine")).unwrap_err().to_string();
        assert!(refusal.starts_with("its ssh-ed25519 key SHA256:"), "{refusal}");
        assert!(refusal.ends_with(" is not the ecdsa-sha2-nistp256 key in file:1"), "{refusal}");
    }

    fn certificate() -> HostCertificate {
        HostCertificate {
            authority: blob("ssh-ed25519", b"authority"),
            is_signed: true,
            is_for_hosts: true,
            principals: vec!["other".into(), "10.0.0.1".into()],
            valid_after: NOW,
            valid_before: NOW + 1,
            has_critical_options: false,
        }
    }

    #[test]
    fn certificates() {
        type Change = fn(&mut HostCertificate);
        let authority = format!("@cert-authority {}", line("10.0.0.*", "ssh-ed25519", b"authority"));
        let mine = line("10.0.0.1", "ssh-ed25519", b"mine");
        let other = line("10.0.0.1", "ssh-ed25519", b"other");
        let revoked = format!("@revoked {}", line("*", "ssh-ed25519", b"authority"));
        let cases: [(&str, Change, String, &str); 14] = [
            ("good", |_| {}, authority.clone(), "known"),
            ("a pattern", |c| c.principals = vec!["10.0.*".into()], authority.clone(), "known"),
            ("good, whatever key was recorded", |_| {}, format!("{other}{authority}"), "known"),
            ("of nobody we know", |_| {}, String::new(), "unknown"),
            ("of nobody we know, changed", |_| {}, other.clone(), "changed"),
            ("wrong signature", |c| c.is_signed = false, authority.clone(), "certificate"),
            ("a user's", |c| c.is_for_hosts = false, authority.clone(), "certificate"),
            ("for nobody", |c| c.principals.clear(), authority.clone(), "certificate"),
            ("for another", |c| c.principals = vec!["10.0.0.2".into()], authority.clone(), "certificate"),
            ("too early", |c| c.valid_after = NOW + 1, authority.clone(), "certificate"),
            ("too late", |c| c.valid_before = NOW, authority.clone(), "certificate"),
            ("options", |c| c.has_critical_options = true, authority.clone(), "certificate"),
            (
                "too late, but its key is known",
                |c| c.valid_before = NOW,
                format!("{authority}{mine}"),
                "known",
            ),
            ("by a revoked authority", |_| {}, format!("{authority}{mine}{revoked}"), "revoked"),
        ];
        for (what, change, text, wanted) in cases {
            let mut shown = certificate();
            change(&mut shown);
            let presented = Presented { certificate: Some(shown), ..key("ssh-ed25519", b"mine") };
            assert_eq!(kind(&judged(&text, &Policy::Strict, &presented)), wanted, "{what}");
        }
    }

    #[test]
    fn fingerprints_are_those_of_openssh() {
        // `ssh-keygen -lf` of the key with these bytes.
        let blob = base64::engine::general_purpose::STANDARD.decode(KEY).unwrap();
        assert_eq!(Fingerprint::of(&blob).to_string(), PRINT);
        assert_eq!(PRINT.parse(), Ok(Fingerprint::of(&blob)));
        for bad in ["", "SHA256:", "SHA256:abc", "MD5:00:11", &PRINT[7..], &format!("{PRINT}=")] {
            assert!(bad.parse::<Fingerprint>().unwrap_err().contains("is not a fingerprint"), "{bad}");
        }
    }

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIEjzKjMBJ6pT8656M9Xr9N0uD5+t9qi4gcEUiTVzx0mt";
    const PRINT: &str = "SHA256:4h6OKhxzvJm7vpZxDJkSkli7Bn+L0l/dV8pKRfXXfqA";
}
