//! A package from an HTTP server, over a link that may be cut at any byte.
//!
//! What has arrived lies beside its place as `FILE.part` and is gone on with as long as the server says that it still has the
//! same file (`Range` with `If-Range`, RFC 9110, section 13.1.5); otherwise it begins anew. Whoever answers is a stranger: what it
//! says about lengths is compared with what it sends, and without TLS the file's SHA-256 must be known before.
//!
//! - `address`: what is asked of whom. Pure. `answer`: what an answer means. Pure.
//! - `connection`: one question and its answer. `part`: what has arrived.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::BodyExt;
use lvscare::terminal::printable;
use node::step::Digest;

mod address;
mod answer;
mod connection;
mod part;

#[cfg(test)]
mod tests;

use address::Address;
use answer::Meaning;
use part::Part;

/// No package is larger, in bytes.
pub const MAX_BYTES: u64 = 20 << 30;

/// So many times in a row a link may bring nothing new.
const MAX_VAIN: u32 = 4;

/// So many times one server may name another.
const MAX_REDIRECTS: u32 = 5;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Where it is.
    pub url: &'a str,
    /// Where it shall be.
    pub to: &'a Path,
    /// Its SHA-256, if that is known.
    pub sha256: Option<Digest>,
}

/// How servers are asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The authorities that are trusted, in PEM; `None`: those of this system.
    pub authorities: Option<PathBuf>,
    /// How long a server may say nothing.
    pub patience: Duration,
    /// How long it is left alone after a cut; twice as long after each that follows without anything new.
    pub pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { authorities: None, patience: Duration::from_secs(60), pause: Duration::from_secs(1) }
    }
}

/// What happens on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// So many bytes are there, of so many if that is known.
    Arrived {
        /// Those that are there.
        bytes: u64,
        /// All of them.
        total: Option<u64>,
    },
    /// Something that a person should know.
    Note(String),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Of the file.
    pub sha256: Digest,
    /// Bytes that were received for it just now.
    pub received: u64,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be asked for.
    #[error("{0}")]
    Address(String),
    /// The server cannot be reached, or does not go on.
    #[error("{0}")]
    Unreachable(String),
    /// The server answers with something else.
    #[error("{0}")]
    Refused(String),
    /// It is another file.
    #[error("what was received has the SHA-256 {found} instead of {wanted}; it is removed")]
    Other {
        /// What it should be.
        wanted: Digest,
        /// What it is.
        found: Digest,
    },
    /// This machine would not have it.
    #[error("{}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// In words.
        why: String,
    },
}

/// Gets a file, whole and as it shall be, or leaves what has arrived for the next time.
pub fn fetch(
    wanted: &Wanted<'_>,
    settings: &Settings,
    tell: &mut dyn FnMut(Event),
) -> Result<Fetched, Error> {
    let address = Address::parse(wanted.url)?;
    if !address.is_tls && wanted.sha256.is_none() {
        let text = "over http: anybody on the way can change it; say with --pkg-sha256 what it must be, or use https:";
        return Err(Error::Address(text.to_owned()));
    }
    let to = std::path::absolute(wanted.to);
    let to = to.map_err(|error| Error::File { path: wanted.to.to_owned(), why: error.to_string() })?;
    let wanted = &Wanted { to: &to, ..*wanted };
    if let Some(known) = part::known(wanted)? {
        return Ok(Fetched { sha256: known, received: 0 });
    }
    let mut part = Part::open(wanted)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Unreachable(format!("cannot begin: {error}")))?;
    let received = runtime.block_on(all(&address, &mut part, settings, tell))?;
    Ok(Fetched { sha256: part.finish(wanted)?, received })
}

/// How one try ended.
enum Try {
    /// All is there.
    Whole,
    /// It is worth another try.
    Cut(String),
}

async fn all(
    address: &Address,
    part: &mut Part,
    settings: &Settings,
    tell: &mut dyn FnMut(Event),
) -> Result<u64, Error> {
    let (mut received, mut vain, mut most) = (0, 0, part.length());
    loop {
        let cut = match once(address, part, settings, &mut received, tell).await? {
            Try::Whole => return Ok(received),
            Try::Cut(why) => why,
        };
        // One that begins anew each time brings bytes, and nothing new.
        vain = if part.length() > most { 0 } else { vain + 1 };
        most = most.max(part.length());
        if vain >= MAX_VAIN {
            let (host, bytes) = (&address.host, part.length());
            let text = format!("{host} does not go on: {cut}; {bytes} bytes are kept for the next time");
            return Err(Error::Unreachable(text));
        }
        tell(Event::Note(format!("{cut}, after {} bytes; going on", part.length())));
        tokio::time::sleep(settings.pause * 2_u32.pow(vain)).await;
    }
}

/// One question, wherever it leads to, and what of the file it brings.
async fn once(
    address: &Address,
    part: &mut Part,
    settings: &Settings,
    received: &mut u64,
    tell: &mut dyn FnMut(Event),
) -> Result<Try, Error> {
    let mut address = address.clone();
    let mut hops = 0;
    let mut response = loop {
        let response = match connection::ask(&address, &part.begin(), settings).await? {
            Ok(response) => response,
            Err(cut) => return Ok(Try::Cut(cut)),
        };
        match answer::meaning(&response, &part.begin()) {
            Meaning::Elsewhere(place) => {
                hops += 1;
                if hops > MAX_REDIRECTS {
                    let text =
                        format!("{} sends from one place to the next, and never to a file", address.host);
                    return Err(Error::Refused(text));
                }
                address = address.follow(&place)?;
            }
            Meaning::Anew { stamp, total } => {
                part.restart(stamp, total)?;
                break response;
            }
            Meaning::Rest => break response,
            Meaning::Changed(why) => {
                part.restart(None, None)?;
                return Ok(Try::Cut(why));
            }
            Meaning::Later(why) => return Ok(Try::Cut(format!("{} {why}", address.host))),
            Meaning::Never(why) => return Err(Error::Refused(format!("{} {why}", address.host))),
        }
    };
    tell(Event::Arrived { bytes: part.length(), total: part.total() });
    loop {
        let frame = match tokio::time::timeout(settings.patience, response.body_mut().frame()).await {
            Err(_) => return Ok(Try::Cut(format!("nothing came for {} s", settings.patience.as_secs()))),
            Ok(Some(Err(_))) => return Ok(Try::Cut("the link was cut".to_owned())),
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
        };
        let Ok(data) = frame.into_data() else { continue };
        part.add(&data)?;
        *received += data.len() as u64;
        tell(Event::Arrived { bytes: part.length(), total: part.total() });
    }
    match part.total() {
        Some(total) if part.length() > total => {
            let text = format!("sent {} bytes, and said that there are {total}", part.length());
            part.restart(None, None)?;
            Ok(Try::Cut(format!("{} {text}", address.host)))
        }
        Some(total) if part.length() < total => Ok(Try::Cut("the link was cut".to_owned())),
        _ => Ok(Try::Whole),
    }
}

/// What a stranger says, in a message.
fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let short: String = text.chars().take(LONGEST).collect();
    printable(&short)
}
