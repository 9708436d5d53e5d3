//! A client as kubelet is one: a single HTTP/2 connection carries all its requests, a watch among them, and when it
//! ends there is a new one at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use crate::client::{Client, SERVER};
use crate::netns::Namespace;

/// After a connection that could not be made; kubelet is more patient.
const PAUSE: Duration = Duration::from_millis(5);

/// A client at work. It says nothing unless it is told to; dropping it ends it.
pub struct Kubelet {
    sessions: Receiver<Session>,
    speak: Arc<Notify>,
    _end: oneshot::Sender<()>,
}

/// What it had when a connection was made and had carried its first requests.
#[derive(Debug)]
pub struct Session {
    /// The name of the server that answered.
    pub server: String,
    /// When the connection before had ended.
    pub freed: Instant,
    /// When the first requests were answered.
    pub connected: Instant,
}

impl Kubelet {
    /// Starts one inside `place` that stays connected to `address`.
    pub fn start(place: &Namespace, client: &Client, address: SocketAddr) -> Self {
        let (news, sessions) = channel();
        let (end, ended) = oneshot::channel();
        let speak = Arc::new(Notify::new());
        let (client, spoken) = (client.speaking(&["h2"]), speak.clone());
        place.thread(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = live(&client, address, &spoken, &news) => {}
                    _ = ended => {}
                }
            });
        });
        Self { sessions, speak, _end: end }
    }

    /// Waits for its next connection.
    #[track_caller]
    pub fn session(&self, limit: Duration) -> Session {
        let session = self.sessions.recv_timeout(limit);
        session.unwrap_or_else(|error| panic!("no new connection within {limit:?}: {error}"))
    }

    /// Lets it send one request over the connection it has.
    pub fn speak(&self) {
        self.speak.notify_one();
    }
}

/// One connection after the other, until nobody wants to hear of them.
async fn live(client: &Client, address: SocketAddr, spoken: &Notify, news: &Sender<Session>) {
    let mut freed = Instant::now();
    loop {
        match Connection::open(client, address).await {
            Err(_) => sleep(PAUSE).await,
            Ok(mut connection) => {
                let server = connection.server.clone();
                if news.send(Session { server, freed, connected: Instant::now() }).is_err() {
                    return;
                }
                connection.use_up(spoken).await;
                freed = Instant::now();
            }
        }
    }
}

/// A connection with an open watch.
struct Connection {
    requests: SendRequest<Empty<Bytes>>,
    watch: Incoming,
    server: String,
}

impl Connection {
    async fn open(client: &Client, address: SocketAddr) -> Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let tls = TlsConnector::from(client.tls()).connect(ServerName::try_from(SERVER)?, tcp).await?;
        ensure!(tls.get_ref().1.alpn_protocol() == Some(b"h2"), "no HTTP/2");
        let (requests, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        // Side by side, as streams of one connection.
        let ask = |path| get(requests.clone(), path);
        let (watch, name, again) = tokio::try_join!(ask("/watch"), ask("/"), ask("/"))?;
        let server = name.collect().await?.to_bytes();
        ensure!(again.collect().await?.to_bytes() == server, "one connection, two servers");
        Ok(Self { requests, watch, server: String::from_utf8(server.into())? })
    }

    /// Listens, and speaks when told to, until the connection ends.
    async fn use_up(&mut self, spoken: &Notify) {
        loop {
            tokio::select! {
                news = self.watch.frame() => if !matches!(news, Some(Ok(_))) { return },
                () = spoken.notified() => drop(tokio::spawn(get(self.requests.clone(), "/"))),
            }
        }
    }
}

async fn get(mut requests: SendRequest<Empty<Bytes>>, path: &'static str) -> Result<Incoming> {
    let request = Request::get(format!("https://{SERVER}{path}")).body(Empty::new())?;
    let response = requests.send_request(request).await?;
    ensure!(response.status() == 200, "{}", response.status());
    Ok(response.into_body())
}
