//! What `known_hosts` files say of a host, as sshd(8) defines them. Pure.
//!
//! The library's own reader takes a host for unknown when another *type* of key is recorded for it, ignores markers,
//! wildcards and tabs, and fails for every host when one line holds a type it does not know. So this reads them anew.
//! Keys are compared as bytes: whatever can be recorded can be compared, also a type that nobody here can use.

use std::fmt;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

#[cfg(test)]
pub(super) mod tests;

/// The port that is not written in the name of a host.
const SSH: u16 = 22;

/// The name under which `known_hosts` files keep a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// Of a host that is reached there: `10.0.0.1`, or `[10.0.0.1]:2222` where the port is another.
    pub fn new(at: SocketAddr) -> Self {
        match at.port() {
            SSH => Self(at.ip().to_string()),
            port => Self(format!("[{}]:{port}", at.ip())),
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key, as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its type, such as `ssh-ed25519`.
    pub algorithm: String,
    /// The key in the form that goes over the wire (RFC 4253, section 6.6).
    pub blob: Vec<u8>,
    /// The file and the line.
    pub place: String,
}

/// What is recorded for one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its keys.
    pub keys: Vec<Recorded>,
    /// Authorities whose certificates it may show.
    pub authorities: Vec<Recorded>,
    /// Keys that nobody may use any more, neither as a host's key nor as an authority's.
    pub revoked: Vec<Recorded>,
    /// Lines for this host that say nothing, and why.
    pub notes: Vec<String>,
}

impl Known {
    /// Adds what a file says of a host. `name` is the file's, for messages.
    pub fn read(&mut self, name: &str, text: &[u8], host: &HostName) {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let place = format!("{name}:{}", index + 1);
            match std::str::from_utf8(line) {
                Ok(line) => self.line(&place, line, host),
                // No name of a host has such bytes, so it is not known whom it is about.
                Err(_) => self.notes.push(format!("{place} is not text and was skipped")),
            }
        }
    }

    fn line(&mut self, place: &str, line: &str, host: &HostName) {
        let mut fields = line.split([' ', '\t', '\r']).filter(|field| !field.is_empty()).peekable();
        if fields.peek().is_none_or(|first| first.starts_with('#')) {
            return;
        }
        let marker = fields.next_if(|field| field.starts_with('@'));
        if !fields.next().is_some_and(|hosts| matches_list(hosts, &host.0)) {
            return;
        }
        let recorded = match (fields.next(), fields.next()) {
            (Some(algorithm), Some(key)) => recorded(algorithm, key, place),
            _ => Err("has no key".to_owned()),
        };
        let list = match marker {
            None => &mut self.keys,
            Some("@cert-authority") => &mut self.authorities,
            Some("@revoked") => &mut self.revoked,
            Some(other) => {
                self.notes.push(format!("{place} has the unknown marker {other:?} and was skipped"));
                return;
            }
        };
        match recorded {
            Ok(recorded) => list.push(recorded),
            Err(why) => self.notes.push(format!("{place} {why} and was skipped")),
        }
    }
}

/// A line's key. Its bytes begin with its type once more, and a line that contradicts itself says nothing.
fn recorded(algorithm: &str, key: &str, place: &str) -> Result<Recorded, String> {
    let blob = STANDARD.decode(key).map_err(|_| "has a key that is not base64".to_owned())?;
    if inner_algorithm(&blob) != Some(algorithm.as_bytes()) {
        return Err(format!("has a key that is not of the type {algorithm:?} it names"));
    }
    Ok(Recorded { algorithm: algorithm.to_owned(), blob, place: place.to_owned() })
}

/// The type that the bytes of a key begin with: its length in four bytes, and its name.
fn inner_algorithm(blob: &[u8]) -> Option<&[u8]> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Whether a list of patterns means a host. One negated pattern that matches outweighs all others.
pub(super) fn matches_list(patterns: &str, host: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated, host) => return false,
            Some(_) => {}
            None => found |= matches(pattern, host),
        }
    }
    found
}

fn matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("|1|") {
        Some(hashed) => matches_hash(hashed, host),
        None => matches_glob(pattern.as_bytes(), host.as_bytes()),
    }
}

/// `SALT|HASH`: HMAC-SHA1 of the name, with the salt as its key.
fn matches_hash(hashed: &str, host: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else { return false };
    let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    hmac::verify(&key, host.as_bytes(), &hash).is_ok()
}

/// `*` means any characters, `?` any one. Names of hosts know no case.
fn matches_glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    // Where to go on when it does not fit: after the last star, and the text that this star has not taken yet.
    let mut again: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(seen) {
        match pattern.get(at) {
            Some(b'*') => {
                again = Some((at + 1, seen));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted.eq_ignore_ascii_case(byte) => {
                at += 1;
                seen += 1;
            }
            _ => match again {
                Some((after, taken)) => {
                    again = Some((after, taken + 1));
                    (at, seen) = (after, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// The line that records a key for a host.
pub fn line(host: &HostName, algorithm: &str, blob: &[u8]) -> String {
    format!("{host} {algorithm} {}\n", STANDARD.encode(blob))
}
