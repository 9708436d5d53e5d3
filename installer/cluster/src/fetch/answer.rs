//! What an answer means for what has arrived. Pure.

use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, LOCATION};
use hyper::{Response, StatusCode};

use super::{MAX_BYTES, shown};

/// What has arrived, as it is said to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Begin {
    /// Bytes that are there.
    pub(super) offset: u64,
    /// What the server called the file that they are of; nothing is gone on with without it.
    pub(super) stamp: Option<String>,
    /// How many bytes it has, if that is known.
    pub(super) total: Option<u64>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Ask there.
    Elsewhere(String),
    /// The whole file comes, which the server calls so and which has so many bytes.
    Anew { stamp: Option<String>, total: Option<u64> },
    /// What is missing comes.
    Rest,
    /// What has arrived is of no use any more.
    Changed(String),
    /// Ask again later.
    Later(String),
    /// Do not ask again.
    Never(String),
}

pub(super) fn meaning<B>(response: &Response<B>, begin: &Begin) -> Meaning {
    let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    // A weak one does not promise the same bytes (RFC 9110, section 8.8.1).
    let stamp = header(ETAG).filter(|stamp| stamp.starts_with('"') && stamp.len() <= 256).map(str::to_owned);
    let status = response.status();
    match status {
        StatusCode::OK => {
            let total = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
            match total {
                Some(total) if total > MAX_BYTES => {
                    Meaning::Never(format!("has {total} bytes there; a package has at most {MAX_BYTES}"))
                }
                _ => Meaning::Anew { stamp, total },
            }
        }
        StatusCode::PARTIAL_CONTENT if begin.offset == 0 => {
            Meaning::Never("sends a part of the file, and nobody asked for one".to_owned())
        }
        StatusCode::PARTIAL_CONTENT => {
            let range = header(CONTENT_RANGE).and_then(parse_range);
            let is_same = stamp.is_none() || stamp == begin.stamp;
            match range {
                Some((first, total)) if first == begin.offset && is_same && total == begin.total => {
                    Meaning::Rest
                }
                _ => Meaning::Changed("the server has another file by now, or sent another part".to_owned()),
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE if begin.offset > 0 => {
            Meaning::Changed("the server has a shorter file by now".to_owned())
        }
        _ if status.is_redirection() => match header(LOCATION) {
            Some(place) => Meaning::Elsewhere(place.to_owned()),
            None => Meaning::Never(format!("sends elsewhere ({status}) and does not say where to")),
        },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Meaning::Later(said(status)),
        _ if status.is_server_error() => Meaning::Later(said(status)),
        _ => Meaning::Never(said(status)),
    }
}

fn said(status: StatusCode) -> String {
    shown(&format!("answers {status}"))
}

/// `bytes FIRST-LAST/TOTAL`; of a total that is not known `*` is said.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    (first <= last && total.is_none_or(|total| last.checked_add(1) == Some(total))).then_some((first, total))
}
