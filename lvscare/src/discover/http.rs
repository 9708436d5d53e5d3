//! As much of HTTP/1.1 (RFC 9112) as a question needs: one GET and its answer with the body. Pure.

use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// Nothing about a few masters is longer.
pub(super) const LONGEST: usize = 4 << 20;

/// Apiservers send about ten.
const MOST_HEADERS: usize = 64;

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    /// Its status.
    pub(super) status: u16,
    /// Its body.
    pub(super) body: Cow<'a, [u8]>,
}

/// The answer in `bytes`; `None` while it is incomplete. `ended` says that no more will come.
pub(super) fn parse(bytes: &[u8], ended: bool) -> Result<Option<Answer<'_>>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) =
        head.parse(bytes).map_err(|error| format!("the answer is not HTTP: {error}"))?
    else {
        return Ok(None);
    };
    let status = head.code.unwrap_or_default();
    let body = &bytes[start..];
    if (100..200).contains(&status) {
        // Preliminary; the answer proper follows.
        return parse(body, ended);
    }
    let value = |name: &str| {
        let header = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok().map(str::trim)
    };
    let whole = |body| Ok(Some(Answer { status, body }));
    // The order is that of RFC 9112, section 6.3.
    if matches!(status, 204 | 304) {
        return whole(Cow::Borrowed(&[]));
    }
    if let Some(coding) = value("transfer-encoding") {
        if !coding.eq_ignore_ascii_case("chunked") {
            return Err("the answer is encoded in a way that was not asked for".to_owned());
        }
        return chunked(body).map(|body| body.map(|body| Answer { status, body: Cow::Owned(body) }));
    }
    if let Some(length) = value("content-length") {
        let length: usize = length.parse().map_err(|_| format!("content-length {length:?} is no number"))?;
        if length > LONGEST {
            return Err(format!("the answer is longer than {LONGEST} bytes"));
        }
        return Ok(body.get(..length).map(|body| Answer { status, body: Cow::Borrowed(body) }));
    }
    if ended { whole(Cow::Borrowed(body)) } else { Ok(None) }
}

/// A chunked body (RFC 9112, section 7.1), once its last chunk is there. Trailers are of no interest.
fn chunked(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let httparse::Status::Complete((start, size)) =
            httparse::parse_chunk_size(rest).map_err(|_| "a chunk of the answer has no size".to_owned())?
        else {
            return Ok(None);
        };
        let size = usize::try_from(size).ok().filter(|&size| body.len().saturating_add(size) <= LONGEST);
        let size = size.ok_or_else(|| format!("the answer is longer than {LONGEST} bytes"))?;
        if size == 0 {
            return Ok(Some(body));
        }
        // The chunk and its line end.
        let Some(chunk) = rest.get(start..start + size + 2) else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[start + size + 2..];
    }
}
