//! A client as small as a test needs: HTTPS, one request after the other, and no exchange without a time limit.
//!
//! Blocking on purpose: it has to run in threads that have moved into a network namespace.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Longer bodies are a stream.
const BODY_LIMIT: usize = 1 << 20;

/// The name every apiserver's certificate has, whatever address leads to it.
pub(crate) const SERVER: &str = "kubernetes";

/// Makes connections to apiservers and verifies who answers.
#[derive(Clone)]
pub struct Client {
    tls: Arc<ClientConfig>,
}

/// An open connection, kept alive between requests.
pub struct Connection {
    stream: BufReader<StreamOwned<ClientConnection, Timed>>,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, if its length is known and modest; anything else is left to be read from the connection.
    pub body: String,
    /// From the first step, which may be the TCP connect, to the last byte.
    pub took: Duration,
}

impl Client {
    /// A client that trusts `roots`.
    pub fn new(roots: RootCertStore) -> Self {
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self { tls: Arc::new(tls) }.speaking(&["http/1.1"])
    }

    /// The same client, offering other protocols; the caller has to speak them.
    #[must_use]
    pub fn speaking(&self, protocols: &[&str]) -> Self {
        let mut tls = ClientConfig::clone(&self.tls);
        tls.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self { tls: Arc::new(tls) }
    }

    /// Its TLS settings, for a test that brings its own sockets.
    pub fn tls(&self) -> Arc<ClientConfig> {
        self.tls.clone()
    }

    /// Connects and completes the TLS handshake.
    pub fn connect(&self, address: SocketAddr, limit: Duration) -> io::Result<Connection> {
        let deadline = Instant::now() + limit;
        let tcp = TcpStream::connect_timeout(&address, limit)?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(SERVER).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(self.tls.clone(), name).map_err(io::Error::other)?;
        let mut tcp = Timed { tcp, deadline };
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(Connection { stream: BufReader::new(StreamOwned::new(tls, tcp)) })
    }

    /// One request over a connection of its own, such as `get("https://10.0.0.1:6443/healthz", ..)`.
    pub fn get(&self, url: &str, limit: Duration) -> io::Result<Answer> {
        let began = Instant::now();
        let (address, path) = parse(url).ok_or_else(|| io::Error::other(format!("not such a URL: {url}")))?;
        let mut connection = self.connect(address, limit)?;
        let answer = connection.get(path, limit.saturating_sub(began.elapsed()))?;
        Ok(Answer { took: began.elapsed(), ..answer })
    }
}

/// `https://ADDRESS:PORT/PATH`; no names, because there is nobody to resolve them.
fn parse(url: &str) -> Option<(SocketAddr, &str)> {
    let rest = url.strip_prefix("https://")?;
    let slash = rest.find('/')?;
    Some((rest[..slash].parse().ok()?, &rest[slash..]))
}

impl Connection {
    /// One request; the connection stays open for the next.
    pub fn get(&mut self, path: &str, limit: Duration) -> io::Result<Answer> {
        let began = Instant::now();
        self.limit(limit);
        write!(self.stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: {SERVER}\r\n\r\n")?;
        self.stream.get_mut().flush()?;

        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("not HTTP"))?;
        let mut length = 0;
        loop {
            let header = self.line()?.to_ascii_lowercase();
            match header.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().map_err(io::Error::other)?,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; if length > BODY_LIMIT { 0 } else { length }];
        self.stream.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status, body, took: began.elapsed() })
    }

    /// From now on, everything together may take so long.
    pub fn limit(&mut self, limit: Duration) {
        self.stream.get_mut().sock.deadline = Instant::now() + limit;
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

/// What the server streams, such as `/watch`, after [`Connection::get`] has asked for it.
impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

/// A socket with one deadline for all it does: a server that sends a byte now and then gains nothing.
struct Timed {
    tcp: TcpStream,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

/// The kernel says `WouldBlock` when a time-out passed, which would be a riddle in a test's output.
fn name_timeout(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(self.left()?)?;
        self.tcp.read(buffer).map_err(name_timeout)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(self.left()?)?;
        self.tcp.write(bytes).map_err(name_timeout)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}
