//! A plain HTTP service, as small as a probe needs, on as many ports as wanted: what stands behind virtual servers
//! that are no apiservers. It lives in a thread of the test and ends with it.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream as StdTcpStream};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::netns::Namespace;

/// The service. Dropping it closes all its connections.
pub struct Web {
    seen: Arc<Mutex<Seen>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What it has seen since it was last asked.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Requests.
    pub requests: u64,
    /// For which paths.
    pub paths: BTreeSet<String>,
    /// The longest time between two requests over one connection.
    pub longest_pause: Duration,
}

impl Web {
    /// Listens on `ports` of all addresses of `place`. It answers `path` with 200 and its name, and all others with
    /// 404.
    #[track_caller]
    pub fn start(place: &Namespace, ports: RangeInclusive<u16>, path: &str, name: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let bind = |port| std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
        let listeners: io::Result<Vec<_>> = place.enter(|| ports.map(bind).collect());
        let listeners = listeners.expect("nobody else listens there");
        let (stop, stopped) = oneshot::channel();
        let service = Service { path: path.to_owned(), name: name.to_owned(), seen: seen.clone() };
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                for listener in listeners {
                    tokio::spawn(accept(listener, service.clone()));
                }
                let _ = stopped.await;
            });
        });
        Self { seen, stop: Some(stop), thread: Some(thread) }
    }

    /// What it has seen since this was last called.
    pub fn seen(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().expect("nothing panics with this lock"))
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        // Its sockets would keep the namespace.
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[derive(Clone)]
struct Service {
    path: String,
    name: String,
    seen: Arc<Mutex<Seen>>,
}

async fn accept(listener: std::net::TcpListener, service: Service) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, service.clone()));
    }
}

async fn converse(stream: TcpStream, service: Service) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut asked: Option<Instant> = None;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        while line.trim_end() != "" {
            line.clear();
            stream.read_line(&mut line).await?;
        }
        service.count(&path, asked.replace(Instant::now()));
        let status = if path == service.path { "200 OK" } else { "404 Not Found" };
        let (length, name) = (service.name.len(), &service.name);
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{name}");
        stream.write_all(answer.as_bytes()).await?;
    }
}

impl Service {
    fn count(&self, path: &str, before: Option<Instant>) {
        let mut seen = self.seen.lock().expect("nothing panics with this lock");
        seen.requests += 1;
        if !seen.paths.contains(path) {
            seen.paths.insert(path.to_owned());
        }
        let pause = before.map(|before| before.elapsed()).unwrap_or_default();
        seen.longest_pause = seen.longest_pause.max(pause);
    }
}

/// One request from `place` over a connection of its own; returns the body, or what of it fits into one packet.
pub fn get(place: &Namespace, at: SocketAddr, path: &str, limit: Duration) -> io::Result<String> {
    place.enter(|| {
        let mut stream = StdTcpStream::connect_timeout(&at, limit)?;
        stream.set_read_timeout(Some(limit))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n")?;
        let mut answer = [0; 1024];
        let mut length = 0;
        loop {
            length += match stream.read(&mut answer[length..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => more,
            };
            // The whole answer is one packet.
            let text = String::from_utf8_lossy(&answer[..length]);
            if let Some((_, body)) = text.split_once("\r\n\r\n") {
                return Ok(body.to_owned());
            }
        }
    })
}
