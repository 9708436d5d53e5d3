//! A file to a host, by its hash. What has arrived before a link was cut is not sent again.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use node::machine::files::copy::hash_into;
use node::step::Digest;
use ring::digest::{Context, SHA256};

use super::Error;
use super::elevate::{Elevated, Elevation, elevate};
use super::script::{Script, TAKE};
use crate::transport::{Exit, Transport};

/// What is sent at once, in bytes.
const CHUNK: usize = 64 << 10;

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// The SHA-256 of it.
    pub sha256: Digest,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The host has had it.
    Already,
    /// So many bytes were sent.
    Bytes(u64),
}

impl Source {
    /// Reads all of a file once.
    pub fn new(path: &Path) -> Result<Self, Error> {
        let wrong = |why: String| Error::File { path: path.display().to_string(), why };
        let mut file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(wrong("it is not a regular file".to_owned()));
        }
        let mut hash = Context::new(&SHA256);
        let size = hash_into(&mut hash, &mut file).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { path: path.to_owned(), size, sha256: Digest::of(&hash.finish()) })
    }
}

/// A path on a host that a file can have: absolute, and without what a line or a terminal cannot show.
pub fn check_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(format!("{path:?} is not the absolute path of a file"));
    }
    if path.chars().any(char::is_control) {
        return Err(format!("{path:?} holds a control character"));
    }
    Ok(())
}

/// Sends a file to `path`, with that mode. `tell` hears how many bytes have arrived, of all.
pub async fn send(
    transport: &impl Transport,
    how: &Elevation,
    source: &Source,
    path: &str,
    mode: u32,
    tell: impl FnMut(u64),
) -> Result<Sent, Error> {
    take(transport, &TAKE, how, source, path, mode, tell).await.map(|(_, sent)| sent)
}

/// Has a script take a file to `path`, which may then go on.
pub(super) async fn take(
    transport: &impl Transport,
    script: &Script,
    how: &Elevation,
    source: &Source,
    path: &str,
    mode: u32,
    mut tell: impl FnMut(u64),
) -> Result<(Elevated, Sent), Error> {
    let what = "taking a file";
    check_path(path).map_err(|why| Error::File { path: path.to_owned(), why })?;
    let (sha256, size, mode) = (source.sha256.to_string(), source.size.to_string(), format!("{mode:04o}"));
    let mut there = elevate(transport, script, how, [&sha256, &size, path, &mode]).await?;
    if there.word == "same" {
        tell(source.size);
        return Ok((there, Sent::Already));
    }
    let offset: u64 = match there.word.parse() {
        Ok(offset) if offset <= source.size => offset,
        _ => return Err(Error::Strange { what, said: there.word }),
    };
    let wrong = |error: std::io::Error| Error::File {
        path: source.path.display().to_string(),
        why: error.to_string(),
    };
    let mut file = File::open(&source.path).map_err(wrong)?;
    file.seek(SeekFrom::Start(offset)).map_err(wrong)?;
    let mut sent = offset;
    tell(sent);
    while sent < source.size {
        let wanted = usize::try_from(source.size - sent).unwrap_or(CHUNK).min(CHUNK);
        let mut chunk = BytesMut::zeroed(wanted);
        file.read_exact(&mut chunk).map_err(wrong)?;
        if there.input.write(chunk.freeze()).await.is_err() {
            // It reads no more; how it ended says why.
            break;
        }
        sent += wanted as u64;
        tell(sent);
    }
    match there.next_word(what).await {
        Ok(word) if word == "done" => Ok((there, Sent::Bytes(source.size - offset))),
        Ok(said) => Err(Error::Strange { what, said }),
        Err(Error::Ended { exit: Exit::Code(75), .. }) => Err(crate::transport::Error::Lost.into()),
        Err(error) => Err(error),
    }
}
