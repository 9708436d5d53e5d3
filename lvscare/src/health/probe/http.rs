//! As much of HTTP/1.1 (RFC 9112) as a probe needs: one GET after another over a connection that stays open.
//!
//! A general client brings queues, tasks and body streams that cost more than the probe itself.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::Failure;
use super::classify;

#[cfg(test)]
mod tests;

/// What an apiserver says about its health fits here many times over.
const LONGEST: usize = 64 * 1024;

/// Apiservers send about ten.
const MOST_HEADERS: usize = 64;

/// A byte stream to a server, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for S {}

/// A connection to one server.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// What was received and not yet understood.
    heard: Vec<u8>,
    /// Requests whose answers are still to come.
    awaited: usize,
    /// The next request may use it: the last answer is complete and the peer has not ended it.
    usable: bool,
}

impl Connection {
    /// Speaks HTTP over `stream`.
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), heard: Vec::new(), awaited: 0, usable: true }
    }

    /// Whether another request can be made.
    pub(super) fn is_usable(&self) -> bool {
        self.usable
    }

    /// Whether an answer is still to come.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited > 0
    }

    /// Sends `count` requests, whole GETs one behind the other. Each has an [`answer`](Self::answer) of its own, in
    /// the same order (RFC 9112, section 9.3.2).
    pub(super) async fn send(&mut self, requests: &[u8], count: usize) -> Result<(), Failure> {
        // Whoever gives up waiting leaves an answer behind that belongs to nobody.
        self.usable = false;
        self.awaited = count;
        let sent = async {
            self.stream.write_all(requests).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| classify(&error))
    }

    /// Returns the status of the next answer, whose body is read and forgotten.
    ///
    /// Cancel-safe: what has been received of it stays.
    pub(super) async fn answer(&mut self) -> Result<u16, Failure> {
        self.read_answer().await.map_err(|error| classify(&error))?.map_err(Failure::Garbled)
    }

    async fn read_answer(&mut self) -> io::Result<Result<u16, String>> {
        let mut ended = false;
        loop {
            match parse(&self.heard, ended) {
                Ok(Some(answer)) => {
                    self.heard.drain(..answer.length);
                    let keeps = answer.keeps && !ended;
                    self.awaited = if keeps { self.awaited.saturating_sub(1) } else { 0 };
                    self.usable = keeps && self.awaited == 0 && self.heard.is_empty();
                    return Ok(Ok(answer.status));
                }
                Ok(None) if ended => return Ok(Err("closed without an answer".into())),
                Ok(None) if self.heard.len() > LONGEST => {
                    return Ok(Err(format!("more than {LONGEST} bytes in the answer")));
                }
                Ok(None) => {}
                Err(why) => return Ok(Err(why)),
            }
            ended = match self.stream.read_buf(&mut self.heard).await {
                // A TLS connection that ends without saying so: where the length was told, that does no harm.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
                length => length? == 0,
            };
        }
    }

    /// Waits until the peer ends the connection, or says something that nobody asked for.
    ///
    /// Cancel-safe: the end of a connection can be seen again.
    pub(super) async fn ended(&mut self) {
        if self.usable {
            // However it ended, the next probe will see for itself.
            let _ = self.stream.read(&mut [0]).await;
            self.usable = false;
        }
    }
}

/// An answer that has arrived as a whole.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// Its bytes, head and body.
    length: usize,
    /// The server is willing to answer more over the same connection.
    keeps: bool,
}

/// The answer at the start of `bytes`; `None` while it is incomplete. `ended` says that no more will come.
fn parse(bytes: &[u8], ended: bool) -> Result<Option<Answer>, String> {
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
        let answer = parse(body, ended)?;
        return Ok(answer.map(|answer| Answer { length: start + answer.length, ..answer }));
    }

    let says = |name: &str, word: &str| {
        values(head.headers, name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    let keeps = head.version == Some(1) && !says("connection", "close");
    let whole =
        |length: Option<usize>, keeps| length.map(|length| Answer { status, length: start + length, keeps });
    // The order is that of RFC 9112, section 6.3.
    if matches!(status, 204 | 304) {
        return Ok(whole(Some(0), keeps));
    }
    if says("transfer-encoding", "chunked") {
        return Ok(whole(chunked(body)?, keeps));
    }
    if let Some(length) = values(head.headers, "content-length").next() {
        let length: usize =
            length.trim().parse().map_err(|_| format!("content-length {length:?} is no number"))?;
        return Ok(whole((body.len() >= length).then_some(length), keeps));
    }
    Ok(whole(ended.then_some(body.len()), false))
}

fn values<'a>(headers: &'a [httparse::Header<'a>], name: &str) -> impl Iterator<Item = &'a str> {
    let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.filter_map(|header| std::str::from_utf8(header.value).ok())
}

/// The length of a chunked body (RFC 9112, section 7.1), once it is complete.
fn chunked(body: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let httparse::Status::Complete((start, size)) =
            httparse::parse_chunk_size(rest).map_err(|_| "a chunk of the answer has no size".to_owned())?
        else {
            return Ok(None);
        };
        at += start;
        if size == 0 {
            break;
        }
        // The chunk and its line end. What is too long to be counted is too long to be read.
        at = usize::try_from(size)
            .ok()
            .and_then(|size| at.checked_add(size)?.checked_add(2))
            .ok_or("endless")?;
    }
    // Trailers, and the empty line that ends them.
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
        at += end + 2;
        if end == 0 {
            return Ok(Some(at));
        }
    }
}
