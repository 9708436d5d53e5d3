//! Which files change when certificates get a later end, and what is refused before anything does. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ring::rand::SecureRandom;

use super::certificate::{AlternativeName, Certificate};
use super::find::{FileKind, Found, Stored};
use super::key::PrivateKey;
use super::reissue::{Change, reissue};
use super::table::{Entry, Key, Seen, authority_of, beside, entries, seen};
use super::{kubeconfig, pem};
use crate::api::{Failure, Kind};
use crate::date::{DAY, date};
use crate::paths;
use crate::step::{Content, Step};

/// Authorities end later than what they have signed, by so many seconds.
const AUTHORITIES_LATER: u64 = 365 * DAY;

/// It is not worth while for less.
const WORTH: u64 = 30 * DAY;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The time, in seconds since 1970.
    pub now: u64,
    /// The last second of what authorities have signed.
    pub until: u64,
    /// The files; none: all.
    pub files: &'a [PathBuf],
}

/// What was there, and the certificate that takes its place.
type Replaced = BTreeMap<Vec<u8>, Vec<u8>>;

/// The steps: authorities first, then what they have signed, then kubeconfigs, in which both stand.
pub fn renew(found: &Found, wanted: Wanted<'_>, random: &dyn SecureRandom) -> Result<Vec<Step>, Failure> {
    check_files(found, wanted.files)?;
    let (entries, unreadable) = entries(found);
    if let Some(bad) = unreadable.iter().find(|bad| is_wanted(&bad.file, wanted.files)) {
        let text = format!(
            "cannot use {}: {}; nothing was changed; mend it, or name the files to renew",
            bad.file.display(),
            bad.why
        );
        return Err(Failure::new(Kind::Invalid, text));
    }
    let all = seen(&entries);
    let targets = targets(&all, wanted);
    check_authorities(&all, &targets)?;
    let mut replaced = Replaced::new();
    for target in &targets {
        let change = Change { not_after: target.until, names: Vec::new() };
        replaced.insert(target.seen.entry.der.clone(), target.reissue(&change, random)?);
    }
    steps(found, &all, &replaced, wanted.files)
}

/// The one step that gives the apiserver more names; nothing when it has all of them.
pub fn add_names(
    found: &Found,
    names: &[AlternativeName],
    random: &dyn SecureRandom,
) -> Result<Option<Step>, Failure> {
    let (entries, unreadable) = entries(found);
    let path = Path::new(paths::APISERVER);
    if let Some(bad) = unreadable.iter().find(|bad| bad.file == path) {
        return Err(Failure::new(Kind::Invalid, format!("cannot use {}: {}", path.display(), bad.why)));
    }
    let all = seen(&entries);
    let Some(seen) = all.iter().find(|seen| seen.entry.file.path == path) else {
        let text = format!("there is no {}: this machine has no apiserver of kubeadm's", path.display());
        return Err(Failure::new(Kind::Refused, text));
    };
    let known = seen.certificate.alternative_names();
    if names.iter().all(|name| known.contains(name)) {
        return Ok(None);
    }
    let until = seen.certificate.not_after();
    let Some(authority) = authority_of(&seen.certificate, &all) else {
        let text = format!("no authority in {} has made {}; nothing was changed", paths::PKI, path.display());
        return Err(Failure::new(Kind::Refused, text));
    };
    let target = Target { seen, authority, until };
    check_authorities(&all, std::slice::from_ref(&target))?;
    let change = Change { not_after: until, names: names.to_vec() };
    let replaced = Replaced::from([(seen.entry.der.clone(), target.reissue(&change, random)?)]);
    let mut steps = steps(found, &all, &replaced, &[path.to_owned()])?;
    let more: Vec<_> = names.iter().filter(|name| !known.contains(name)).map(ToString::to_string).collect();
    if let Some(Step::RenewCertificates { what, .. }) = steps.first_mut() {
        *what = format!("for {}, too", more.join(", "));
    }
    Ok(steps.into_iter().next())
}

/// A certificate that is to be made anew.
struct Target<'s, 'e> {
    seen: &'s Seen<'e>,
    authority: &'s Seen<'e>,
    until: u64,
}

impl Target<'_, '_> {
    fn reissue(&self, change: &Change, random: &dyn SecureRandom) -> Result<Vec<u8>, Failure> {
        let file = self.seen.entry.file.path.display();
        let failed = |why: &dyn std::fmt::Display| {
            Failure::new(Kind::Invalid, format!("cannot make {file} anew: {why}; nothing was changed"))
        };
        let Key::Pem(pem) = &self.authority.entry.key else {
            return Err(failed(&"its authority has no key here"));
        };
        let key = PrivateKey::read(pem).map_err(|error| failed(&error))?;
        reissue(&self.seen.certificate, &self.authority.certificate, &key, change, random)
            .map_err(|error| failed(&error))
    }
}

fn is_wanted(path: &Path, files: &[PathBuf]) -> bool {
    files.is_empty() || files.iter().any(|file| file == path)
}

/// A file that is named must be one that is known.
fn check_files(found: &Found, files: &[PathBuf]) -> Result<(), Failure> {
    let known = |file: &PathBuf| {
        found.files.iter().any(|stored| stored.path == *file)
            || found.unreadable.iter().any(|bad| bad.file == *file)
    };
    let Some(unknown) = files.iter().find(|file| !known(file)) else { return Ok(()) };
    let text = format!(
        "{} is none of the certificates and kubeconfigs of this machine; `lvscare-installer node cert check` shows them",
        unknown.display()
    );
    Err(Failure::usage(text))
}

fn targets<'s, 'e>(all: &'s [Seen<'e>], wanted: Wanted<'_>) -> Vec<Target<'s, 'e>> {
    let mut targets = Vec::new();
    for seen in all.iter().filter(|seen| is_wanted(&seen.entry.file.path, wanted.files)) {
        let Some(authority) = authority_of(&seen.certificate, all) else { continue };
        let end = seen.certificate.not_after();
        // kubelet renews its own, but not when it is over: no apiserver would listen to it.
        if seen.entry.file.kind == FileKind::Kubelet && end >= wanted.now {
            continue;
        }
        let end_of = |seen: &Seen<'_>| {
            let is_renewed = is_wanted(&seen.entry.file.path, wanted.files);
            let later = if is_renewed { wanted.until.saturating_add(AUTHORITIES_LATER) } else { 0 };
            seen.certificate.not_after().max(later)
        };
        let until = if seen.certificate.is_authority() {
            wanted.until.saturating_add(AUTHORITIES_LATER)
        } else {
            // Nobody believes it for longer than its authority.
            wanted.until.min(end_of(authority))
        };
        if end.saturating_add(WORTH) <= until {
            targets.push(Target { seen, authority, until });
        }
    }
    targets
}

/// Without the key of an authority nothing is begun. The message names every key, what it is needed for, and the ways out.
fn check_authorities(all: &[Seen<'_>], targets: &[Target<'_, '_>]) -> Result<(), Failure> {
    if all.iter().all(|seen| seen.entry.file.kind == FileKind::Kubelet || is_keyless(seen)) {
        let text = format!(
            "{} holds no key of an authority, and nothing that one has signed: this machine is no master; kubelet renews its \
             own certificate",
            paths::PKI
        );
        return Err(Failure::new(Kind::Refused, text));
    }
    let mut missing: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for target in targets {
        if matches!(target.authority.entry.key, Key::Absent) {
            let file = target.seen.entry.file.path.display().to_string();
            missing.entry(beside(target.authority.entry.file)).or_default().push(file);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let all: Vec<_> = missing
        .iter()
        .map(|(key, files)| format!("{} is not here, and signs {}", key.display(), files.join(", ")))
        .collect();
    let text = format!(
        "an authority is kept elsewhere: {}; nothing was changed; have who keeps it sign them, or put the key there for as \
         long as this takes, or name the files to renew without them",
        all.join("; ")
    );
    Err(Failure::new(Kind::Refused, text))
}

/// An authority without a key.
fn is_keyless(seen: &Seen<'_>) -> bool {
    seen.certificate.is_authority() && matches!(seen.entry.key, Key::Absent)
}

fn steps(
    found: &Found,
    all: &[Seen<'_>],
    replaced: &Replaced,
    files: &[PathBuf],
) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    for file in &found.files {
        let text = &file.content.bytes;
        let follows = is_wanted(&file.path, files);
        let mut new = |der: &[u8]| {
            let in_place = replaced.get(der).cloned();
            // Whatever trusts an authority's key is to trust the certificate that lies there.
            in_place.or_else(|| {
                current(der, all, replaced).filter(|_| follows && file.kind != FileKind::Certificate)
            })
        };
        let edited = match file.kind {
            FileKind::Certificate | FileKind::Kubelet => {
                pem::replace(text, &mut new).map_err(|error| error.to_string())
            }
            FileKind::Kubeconfig | FileKind::Copy => {
                kubeconfig::replace(text, &mut new).map_err(|error| error.to_string())
            }
        };
        let bytes = edited.map_err(|why| {
            let text = format!("cannot edit {}: {why}; nothing was changed", file.path.display());
            Failure::new(Kind::Invalid, text)
        })?;
        if bytes != *text {
            let after = Content { bytes, ..file.content.clone() };
            let what = what(file, all, replaced);
            steps.push(Step::RenewCertificates { path: file.path.clone(), after, what });
        }
    }
    // They are found in the order of their names.
    let is_authority =
        |step: &Step| matches!(step, Step::RenewCertificates { path, .. } if holds_authority(path, all));
    steps.sort_by_key(|step| !is_authority(step));
    Ok(steps)
}

fn holds_authority(path: &Path, all: &[Seen<'_>]) -> bool {
    all.iter().any(|seen| seen.entry.file.path == path && seen.certificate.is_authority())
}

/// The certificate of an authority that lies here by now, for another one of the same name and key.
fn current(der: &[u8], all: &[Seen<'_>], replaced: &Replaced) -> Option<Vec<u8>> {
    let old = Certificate::read(der).ok().filter(Certificate::is_authority)?;
    let authority = all.iter().find(|seen| {
        let here = &seen.certificate;
        seen.entry.file.kind == FileKind::Certificate
            && here.is_authority()
            && here.subject() == old.subject()
            && here.public_key().ok() == old.public_key().ok()
    })?;
    let der = &authority.entry.der;
    Some(replaced.get(der).unwrap_or(der).clone())
}

/// What is different in a file.
fn what(file: &Stored, all: &[Seen<'_>], replaced: &Replaced) -> String {
    let is_replaced = |entry: &Entry<'_>| entry.file.path == file.path && replaced.contains_key(&entry.der);
    let ends = all.iter().find(|seen| is_replaced(seen.entry)).and_then(|seen| {
        let new = Certificate::read(replaced.get(&seen.entry.der)?).ok()?.not_after();
        Some(format!("ends {} (was {})", date(new), date(seen.certificate.not_after())))
    });
    ends.unwrap_or_else(|| "the authority that it trusts".to_owned())
}
