//! A client of HTTP/1.1 (RFC 9112) for whoever answers: hyper's, with limits.
//!
//! Everything that asks over HTTP does it here: probes, discovery, the doctor, `status`. The other side may be broken or
//! hostile, so all that it can make us read is bounded: the head together with all preliminary answers (1xx) before it,
//! the number of headers (hyper: 100), the body with everything around it (chunk sizes, extensions, trailers). Time is
//! bounded by the caller.
//!
//! There is no task: whoever waits for an answer, or for the end of an idle connection, drives the connection meanwhile.
//! That keeps a probe cheap, and an idle connection's end is seen by whoever waits for it at the moment it comes.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

mod metered;
#[cfg(test)]
pub(crate) mod tests;

use metered::{Exhausted, Metered};

/// Bytes of an answer's head, and of all preliminary answers together with it. An apiserver sends about 500.
pub const MAX_HEAD_BYTES: usize = 64 << 10;

/// A GET.
pub type Request = hyper::Request<Empty<Bytes>>;

/// What an answer's body may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The bytes of one body at most, with everything around it.
    pub body_bytes: usize,
    /// Whether the body is wanted. Else it is read and forgotten.
    pub keep_body: bool,
}

/// A whole answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What stands above the body.
    pub headers: HeaderMap,
    /// The body, if it was wanted.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection failed.
    #[error(transparent)]
    Connection(io::Error),
    /// The other side ended the connection before it had answered.
    #[error("closed without an answer")]
    Closed,
    /// The other side ended the connection in the middle of the body.
    #[error("the answer breaks off")]
    BrokenOff,
    /// The head, with what is preliminary, has too many bytes or headers.
    #[error("the head of the answer is longer than {MAX_HEAD_BYTES} bytes or 100 headers")]
    HeadTooLong,
    /// The body has more than so many bytes.
    #[error("more than {0} bytes in the answer")]
    BodyTooLong(usize),
    /// What came is not an answer.
    #[error("the answer is not HTTP: {0}")]
    NotHttp(String),
}

/// A GET of `path` at `host`, with the credentials in `authorization`.
pub fn get(
    path: &Uri,
    host: SocketAddr,
    agent: &'static str,
    authorization: Option<&HeaderValue>,
) -> Request {
    let mut request = Request::new(Empty::new());
    request.uri_mut().clone_from(path);
    let headers = request.headers_mut();
    // An address is made of characters that a header may hold.
    if let Ok(host) = HeaderValue::try_from(host.to_string()) {
        headers.insert(HOST, host);
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    request
}

/// How a bearer token is sent; `None` if it has characters that cannot be.
pub fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// One question over a connection of its own.
pub async fn ask(stream: impl Stream, request: Request, limits: Limits) -> Result<Answer, Error> {
    let mut connection = Connection::new(stream, limits);
    connection.send(request);
    connection.answer().await
}

/// A byte stream, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// A connection over which one question is asked after the other.
pub struct Connection {
    state: State,
    limits: Limits,
    /// Bytes that the other side may still send.
    allowance: Arc<AtomicUsize>,
}

enum State {
    /// Nothing is under way. Only the stream is kept: hyper's buffers have 16 KiB, and thousands of connections are idle
    /// nearly all the time.
    Idle(Io),
    /// Nothing has been sent yet.
    Asked(Io, Request),
    /// hyper takes the stream.
    Opening(Pin<Box<dyn Future<Output = hyper::Result<Spoken>> + Send>>, Request),
    /// The answer is awaited.
    Answering(Box<Exchange>),
    /// Either side has ended the connection.
    Ended,
}

type Io = Metered<Box<dyn Stream>>;
type Driver = http1::Connection<TokioIo<Io>, Empty<Bytes>>;
type Spoken = (SendRequest<Empty<Bytes>>, Driver);

struct Exchange {
    sender: SendRequest<Empty<Bytes>>,
    /// Reads and writes; `None` once it has ended. Whoever waits for an answer is told why by the answer.
    driver: Option<Driver>,
    progress: Progress,
}

/// How far an answer has come.
enum Progress {
    Head(Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>),
    Body(Answer, Incoming),
}

impl Connection {
    /// Speaks HTTP over `stream`.
    pub fn new(stream: impl Stream, limits: Limits) -> Self {
        let allowance = Arc::new(AtomicUsize::new(MAX_HEAD_BYTES));
        let stream: Box<dyn Stream> = Box::new(stream);
        Self { state: State::Idle(Metered::new(stream, allowance.clone())), limits, allowance }
    }

    /// Whether another question can be asked: the last answer is complete, and neither side has ended the connection.
    pub fn is_usable(&self) -> bool {
        matches!(self.state, State::Idle(_))
    }

    /// Asks. The answer is to be fetched with [`answer`](Self::answer).
    pub fn send(&mut self, request: Request) {
        self.state = match self.take() {
            State::Idle(stream) => State::Asked(stream, request),
            // Whoever asks over a connection that is not usable learns it from the answer.
            _ => State::Ended,
        };
    }

    /// Waits for the answer to the last question.
    ///
    /// Cancel-safe: what has been received of it stays, and whoever gives up waiting can come back for it.
    pub async fn answer(&mut self) -> Result<Answer, Error> {
        poll_fn(|context| self.poll_answer(context)).await
    }

    /// Waits until the other side ends the connection, or says something that nobody asked for.
    ///
    /// Cancel-safe: the end of a connection stays.
    pub async fn ended(&mut self) {
        poll_fn(|context| self.poll_ended(context)).await;
    }

    fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Ended)
    }

    fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Idle(stream) | State::Asked(stream, _) => {
                ready!(poll_spoken(stream, context));
                self.state = State::Ended;
            }
            State::Answering(exchange) => {
                exchange.drive(context);
                if exchange.driver.is_some() {
                    return Poll::Pending;
                }
            }
            State::Opening(..) => return Poll::Pending,
            State::Ended => {}
        }
        Poll::Ready(())
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<Answer, Error>> {
        loop {
            match &mut self.state {
                State::Idle(_) | State::Ended => return Poll::Ready(Err(Error::Closed)),
                State::Asked(stream, _) => {
                    if let Poll::Ready(why) = poll_spoken(stream, context) {
                        self.state = State::Ended;
                        return Poll::Ready(Err(why));
                    }
                    let State::Asked(stream, request) = self.take() else { continue };
                    self.allowance.store(MAX_HEAD_BYTES, Ordering::Relaxed);
                    let mut hyper = http1::Builder::new();
                    let opening = hyper.max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream));
                    self.state = State::Opening(Box::pin(opening), request);
                }
                State::Opening(opening, _) => {
                    let opened = ready!(opening.as_mut().poll(context));
                    let State::Opening(_, request) = self.take() else { continue };
                    let (mut sender, driver) =
                        opened.map_err(|error| failed(&error, || Error::HeadTooLong))?;
                    let progress = Progress::Head(Box::pin(sender.send_request(request)));
                    let exchange = Exchange { sender, driver: Some(driver), progress };
                    self.state = State::Answering(Box::new(exchange));
                }
                State::Answering(exchange) => {
                    let result = ready!(exchange.poll(context, self.limits, &self.allowance));
                    if let State::Answering(exchange) = self.take()
                        && result.is_ok()
                        && let Some(stream) = exchange.finish(context)
                    {
                        self.allowance.store(MAX_HEAD_BYTES, Ordering::Relaxed);
                        self.state = State::Idle(stream);
                    }
                    return Poll::Ready(result);
                }
            }
        }
    }
}

impl Exchange {
    fn drive(&mut self, context: &mut Context<'_>) {
        let driver = self.driver.as_mut();
        if driver.is_some_and(|driver| Pin::new(driver).poll(context).is_ready()) {
            self.driver = None;
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        limits: Limits,
        allowance: &AtomicUsize,
    ) -> Poll<Result<Answer, Error>> {
        let too_long = || Error::BodyTooLong(limits.body_bytes);
        loop {
            self.drive(context);
            match &mut self.progress {
                Progress::Head(response) => {
                    let response = ready!(response.as_mut().poll(context));
                    let response = response.map_err(|error| failed(&error, || Error::HeadTooLong))?;
                    let (head, body) = response.into_parts();
                    if body.size_hint().lower() > limits.body_bytes as u64 {
                        return Poll::Ready(Err(too_long()));
                    }
                    allowance.store(limits.body_bytes, Ordering::Relaxed);
                    let answer =
                        Answer { status: head.status.as_u16(), headers: head.headers, body: Vec::new() };
                    self.progress = Progress::Body(answer, body);
                }
                Progress::Body(answer, body) => {
                    let Some(frame) = ready!(Pin::new(body).poll_frame(context)) else {
                        return Poll::Ready(Ok(std::mem::take(answer)));
                    };
                    let frame = frame.map_err(|error| failed(&error, too_long))?;
                    if let Some(data) = frame.data_ref().filter(|_| limits.keep_body) {
                        answer.body.extend_from_slice(data);
                    }
                }
            }
        }
    }

    /// The stream, if another question can be asked over it.
    fn finish(mut self, context: &mut Context<'_>) -> Option<Io> {
        // Sees at once whether the other side ends the connection after this answer, or goes on talking.
        self.drive(context);
        let reusable = self.sender.is_ready();
        let parts = self.driver.filter(|_| reusable)?.into_parts();
        parts.read_buf.is_empty().then(|| parts.io.into_inner())
    }
}

/// Ready with the reason why nothing can be asked over `stream`: it has ended, or the other side has spoken unasked.
fn poll_spoken(stream: &mut Io, context: &mut Context<'_>) -> Poll<Error> {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    Poll::Ready(match ready!(Pin::new(stream).poll_read(context, &mut buffer)) {
        Ok(()) if buffer.filled().is_empty() => Error::Closed,
        Ok(()) => Error::NotHttp("something was said before it was asked for".to_owned()),
        Err(error) => broken(&error, || Error::HeadTooLong),
    })
}

type Cause = dyn std::error::Error + Send + Sync;

/// What hyper's error means. `too_long` says which limit was in force.
fn failed(error: &hyper::Error, too_long: impl Fn() -> Error) -> Error {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref::<io::Error>() {
            return broken(error, too_long);
        }
        cause = inner.source();
    }
    if error.is_parse_too_large() {
        too_long()
    } else if error.is_parse() {
        Error::NotHttp(error.to_string())
    } else {
        Error::Closed
    }
}

fn broken(error: &io::Error, too_long: impl Fn() -> Error) -> Error {
    let inner = error.get_ref();
    if inner.is_some_and(<Cause>::is::<Exhausted>) {
        return too_long();
    }
    let encrypted = inner.is_some_and(<Cause>::is::<rustls::Error>);
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::BrokenOff,
        // So hyper calls a chunk that is none.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if !encrypted => {
            Error::NotHttp(error.to_string())
        }
        kind => Error::Connection(match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(kind, error.to_string()),
        }),
    }
}
