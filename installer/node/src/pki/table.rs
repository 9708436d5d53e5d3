//! All certificates of a machine, and what is wrong with each. Pure.

use std::path::{Path, PathBuf};

use ring::rand::SecureRandom;

use super::certificate::{Certificate, name};
use super::find::{FileKind, Found, Stored};
use super::key::PrivateKey;
use super::kubeconfig::Kubeconfig;
use super::pem;
use crate::api::certificates::{CertificateRow, Certificates, Finding, FindingKind, Unreadable};
use crate::date::{DAY, date};

/// Who ends sooner should be renewed now.
const SOON: u64 = 30 * DAY;

/// What kubeadm makes together ends together. A year apart are those that somebody has renewed and those that he has not.
const APART: u64 = 366 * DAY;

/// A certificate where it stands.
#[derive(Clone, Debug)]
pub struct Entry<'f> {
    /// The file.
    pub file: &'f Stored,
    /// In a kubeconfig: whose it is.
    pub user: Option<String>,
    /// The certificate.
    pub der: Vec<u8>,
    /// The key that should be its own.
    pub key: Key,
    /// The authorities that a kubeconfig trusts, as PEM.
    pub trusts: Vec<Vec<u8>>,
}

/// What is known of a certificate's key.
#[derive(Clone)]
pub enum Key {
    /// As PEM.
    Pem(Vec<u8>),
    /// None is beside it.
    Absent,
    /// It is nowhere to be expected: of others than the first in a file, and where the file names another one.
    Elsewhere,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pem(_) => "Pem(***)",
            Self::Absent => "Absent",
            Self::Elsewhere => "Elsewhere",
        })
    }
}

/// All certificates in files, those that can be read.
pub fn entries(found: &Found) -> (Vec<Entry<'_>>, Vec<Unreadable>) {
    let mut all = Vec::new();
    let mut unreadable = found.unreadable.clone();
    for file in &found.files {
        match read(file, found.keys.get(&file.path).map(|key| &key.bytes[..])) {
            Ok(entries) => all.extend(entries),
            Err(why) => unreadable.push(Unreadable { file: file.path.clone(), why }),
        }
    }
    (all, unreadable)
}

fn read<'f>(file: &'f Stored, beside: Option<&[u8]>) -> Result<Vec<Entry<'f>>, String> {
    let text = &file.content.bytes;
    let entry = |user, der, key, trusts| Entry { file, user, der, key, trusts };
    let mut entries = Vec::new();
    match file.kind {
        FileKind::Certificate | FileKind::Kubelet => {
            let first = match (file.kind, beside) {
                (FileKind::Kubelet, _) => Key::Pem(text.clone()),
                (_, Some(pem)) => Key::Pem(pem.to_vec()),
                (_, None) => Key::Absent,
            };
            let mut keys = vec![first].into_iter();
            for der in pem::certificates(text).map_err(|error| error.to_string())? {
                entries.push(entry(None, der, keys.next().unwrap_or(Key::Elsewhere), Vec::new()));
            }
            if entries.is_empty() {
                return Err("there is no certificate in it".to_owned());
            }
        }
        FileKind::Kubeconfig | FileKind::Copy => {
            let config = Kubeconfig::read(text).map_err(|error| error.to_string())?;
            for user in config.users {
                let key = user.key.map_or(Key::Elsewhere, Key::Pem);
                for der in pem::certificates(&user.certificate)
                    .map_err(|error| error.to_string())?
                    .into_iter()
                    .take(1)
                {
                    entries.push(entry(
                        Some(user.name.clone()),
                        der,
                        key.clone(),
                        config.authorities.clone(),
                    ));
                }
            }
        }
    }
    for entry in &entries {
        Certificate::read(&entry.der).map_err(|error| error.to_string())?;
    }
    Ok(entries)
}

/// An entry, read.
#[derive(Clone, Debug)]
pub struct Seen<'e> {
    /// Where it stands.
    pub entry: &'e Entry<'e>,
    /// What it says.
    pub certificate: Certificate<'e>,
}

/// All of them, read.
pub fn seen<'e>(entries: &'e [Entry<'e>]) -> Vec<Seen<'e>> {
    let read = entries.iter().filter_map(|entry| {
        // Those that cannot be read are told of as files already.
        Some(Seen { entry, certificate: Certificate::read(&entry.der).ok()? })
    });
    read.collect()
}

/// The authority that has made a certificate; an authority that has made itself is its own.
pub fn authority_of<'s, 'e>(certificate: &Certificate<'_>, all: &'s [Seen<'e>]) -> Option<&'s Seen<'e>> {
    all.iter().filter(|seen| is_authority(seen)).find(|authority| {
        certificate.names_as_issuer(&authority.certificate)
            && certificate.is_signed_by(&authority.certificate)
    })
}

fn is_authority(seen: &Seen<'_>) -> bool {
    seen.entry.file.kind == FileKind::Certificate && seen.certificate.is_authority()
}

/// What is wrong, at the time `now`, in seconds since 1970.
pub fn table(found: &Found, now: u64, random: &dyn SecureRandom) -> Certificates {
    let (entries, unreadable) = entries(found);
    let all = seen(&entries);
    // kubelet renews its own every few months: it is no measure for the others.
    let is_measure = |seen: &&Seen<'_>| !is_authority(seen) && seen.entry.file.kind != FileKind::Kubelet;
    let latest = all.iter().filter(is_measure).map(|seen| seen.certificate.not_after()).max().unwrap_or(0);
    let rows = all.iter().filter_map(|seen| {
        let mut row = row(seen, &all, now, random)?;
        if is_measure(&seen) && latest - row.not_after > APART && row.authority.is_some() {
            let text = format!(
                "others of this machine end on {}: it was left out when they were renewed",
                date(latest)
            );
            row.findings.push(Finding { kind: FindingKind::Mixture, text });
        }
        Some(row)
    });
    Certificates { time: now, certificates: rows.collect(), unreadable }
}

fn row(seen: &Seen<'_>, all: &[Seen<'_>], now: u64, random: &dyn SecureRandom) -> Option<CertificateRow> {
    let Seen { entry, certificate } = seen;
    let authority = authority_of(certificate, all);
    if authority.is_none() && entry.file.kind == FileKind::Copy {
        return None;
    }
    let mut findings = Vec::new();
    let mut note = |kind, text: String| findings.push(Finding { kind, text });
    let end = certificate.not_after();
    if end < now {
        note(FindingKind::Expired, format!("it is over since {}", date(end)));
    } else if end - now < SOON {
        note(FindingKind::EndsSoon, format!("it ends in {} days", (end - now) / DAY));
    }
    if certificate.not_before() > now {
        let text =
            format!("it begins on {}, and this machine has {}", date(certificate.not_before()), date(now));
        note(FindingKind::NotYetValid, text);
    }
    match authority {
        Some(authority) if authority.certificate.not_after() < end => {
            let (file, end) = (authority.entry.file.path.display(), date(authority.certificate.not_after()));
            note(FindingKind::OutlivesAuthority, format!("its authority {file} ends before it, on {end}"));
        }
        Some(_) => {}
        None => {
            let named = all
                .iter()
                .find(|other| is_authority(other) && certificate.names_as_issuer(&other.certificate));
            let others = all.iter().find(|other| is_authority(other));
            let expected = named.or(others.filter(|_| entry.file.kind != FileKind::Certificate));
            if let Some(expected) = expected {
                let text = format!(
                    "{} has not made it: it is another cluster's",
                    expected.entry.file.path.display()
                );
                note(FindingKind::OtherAuthority, text);
            }
        }
    }
    if let Some(text) = other_trust(entry, all) {
        note(FindingKind::OtherAuthority, text);
    }
    if let Some((kind, text)) = key_trouble(seen, random) {
        note(kind, text);
    }
    Some(CertificateRow {
        file: entry.file.path.clone(),
        user: entry.user.clone(),
        subject: name(certificate.subject()),
        names: certificate.alternative_names().iter().map(ToString::to_string).collect(),
        issuer: name(certificate.issuer()),
        authority: authority.map(|authority| authority.entry.file.path.clone()),
        is_authority: certificate.is_authority(),
        not_before: certificate.not_before(),
        not_after: end,
        days_left: days(end, now),
        findings,
    })
}

/// Whole days from `now` to `end`, rounded down.
fn days(end: u64, now: u64) -> i64 {
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    (signed(end) - signed(now)).div_euclid(signed(DAY))
}

/// kubeadm refuses a kubeconfig with another authority than the one that lies there, be it the same key with another end.
fn other_trust(entry: &Entry<'_>, all: &[Seen<'_>]) -> Option<String> {
    if entry.file.kind != FileKind::Kubeconfig || entry.trusts.is_empty() {
        return None;
    }
    let own = Path::new(crate::paths::CA);
    let known: Vec<_> =
        all.iter().filter(|seen| seen.entry.file.path == own).map(|seen| &seen.entry.der).collect();
    let trusted: Vec<Vec<u8>> =
        entry.trusts.iter().flat_map(|pem| pem::certificates(pem).unwrap_or_default()).collect();
    let is_same = known.is_empty() || trusted.iter().any(|der| known.contains(&der));
    (!is_same).then(|| format!("it trusts another authority than {}", own.display()))
}

fn key_trouble(seen: &Seen<'_>, random: &dyn SecureRandom) -> Option<(FindingKind, String)> {
    let pem = match &seen.entry.key {
        Key::Elsewhere => return None,
        // Authorities may be kept elsewhere; on workers they are.
        Key::Absent if seen.certificate.is_authority() => return None,
        Key::Absent => {
            return Some((FindingKind::NoKey, format!("there is no {}", beside(seen.entry.file).display())));
        }
        Key::Pem(pem) => pem,
    };
    let public = seen.certificate.public_key().ok()?;
    match PrivateKey::read(pem) {
        Ok(key) if key.belongs_to(&public, random) => None,
        Ok(_) => Some((
            FindingKind::OtherKey,
            format!("the key in {} is not its own", beside(seen.entry.file).display()),
        )),
        Err(error) => {
            Some((FindingKind::OtherKey, format!("its key, {}: {error}", beside(seen.entry.file).display())))
        }
    }
}

/// Where the key of what stands in a file is.
pub fn beside(file: &Stored) -> PathBuf {
    match file.kind {
        FileKind::Certificate => file.path.with_extension("key"),
        _ => file.path.clone(),
    }
}
