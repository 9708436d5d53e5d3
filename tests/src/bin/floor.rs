//! The floor of the benchmark: the least program that could do the job.
//!
//! One thread and `poll(2)`. It holds a TLS connection to each server, asks `/readyz` over it once an
//! interval, takes the server out of the table when that connection ends and no other can be made, or when an answer
//! is bad or late, and puts it back when the answers are good. Nothing else: no confirmation, no repair, no status.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use lvscare::kernel::ipvs::Table;
use lvscare::model::{Change, Destination, Service};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use socket2::{Domain, Socket, Type};
use tests::client::Client;

/// The least program that could do the job
#[derive(Parser)]
struct Cli {
    /// The virtual server
    #[arg(long)]
    vs: SocketAddr,
    /// A real server (repeatable)
    #[arg(long)]
    rs: Vec<SocketAddr>,
    /// PEM file of the authority that signed the servers' certificates
    #[arg(long)]
    ca: PathBuf,
    /// Milliseconds between two rounds
    #[arg(long)]
    interval: u64,
    /// Milliseconds that a round may take
    #[arg(long, default_value_t = 500)]
    limit: u64,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&cli.ca).context("no authority")?)?;
    let tls = Client::new(roots).tls();
    let (interval, limit) = (Duration::from_millis(cli.interval), Duration::from_millis(cli.limit));

    let mut table = Table::open()?;
    let service = Service { scheduler: "rr".to_owned(), flags: 0 };
    table.apply(&Change::AddService { at: cli.vs, service })?;
    let mut servers = Vec::new();
    for address in cli.rs {
        table.apply(&add(cli.vs, address))?;
        servers.push(Server { address, line: None, serves: true, next: Instant::now() });
    }

    loop {
        for server in &mut servers {
            let good = server.attend(&tls, interval, limit);
            if good != server.serves {
                server.serves = good;
                let remove = Change::RemoveServer { at: cli.vs, server: server.address };
                table.apply(&if good { add(cli.vs, server.address) } else { remove })?;
            }
        }
        wait(&servers)?;
    }
}

fn add(at: SocketAddr, server: SocketAddr) -> Change {
    Change::AddServer { at, server, destination: Destination::masqueraded(1) }
}

/// Sleeps until a connection has something to do, or a server's time has come.
fn wait(servers: &[Server]) -> Result<()> {
    let lines = servers.iter().filter_map(|server| server.line.as_ref());
    let mut files: Vec<PollFd<'_>> =
        lines.map(|line| PollFd::new(line.socket.as_fd(), line.interest())).collect();
    let next = servers.iter().map(|server| server.next).min().context("no servers")?;
    // Rounded up: to wake too early would be to spin.
    let left = next.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    poll(&mut files, PollTimeout::try_from(left)?)?;
    Ok(())
}

struct Server {
    address: SocketAddr,
    line: Option<Line>,
    serves: bool,
    /// When the next round begins, or the present one is late.
    next: Instant,
}

impl Server {
    /// Does whatever can be done without waiting, and says whether the server belongs into the table.
    fn attend(&mut self, tls: &Arc<ClientConfig>, interval: Duration, limit: Duration) -> bool {
        let proven = self.line.as_ref().is_some_and(|line| line.proven);
        match self.line.as_mut().map(Line::pump) {
            Some(Ok(Some(good))) => {
                self.next = Instant::now() + interval;
                return good;
            }
            Some(Ok(None)) | None if Instant::now() < self.next => return self.serves,
            Some(Ok(None)) if self.line.as_ref().is_some_and(Line::asks) => {
                // Late.
                self.line = None;
                self.next = Instant::now() + interval;
                return false;
            }
            Some(Ok(None)) | None => {}
            Some(Err(_)) => {
                self.line = None;
                // The end of a connection that has worked is no verdict: another one will tell.
                if !proven {
                    self.next = Instant::now() + interval;
                    return false;
                }
            }
        }
        let line = self.line.take().map_or_else(|| Line::open(self.address, tls), Ok);
        self.line = line.and_then(|mut line| line.ask().map(|()| line)).ok();
        let wait = match self.line {
            Some(_) => limit,
            None if proven => Duration::ZERO,
            None => interval,
        };
        self.next = Instant::now() + wait;
        self.serves && (self.line.is_some() || proven)
    }
}

/// A TLS connection that never blocks.
struct Line {
    socket: TcpStream,
    tls: ClientConnection,
    heard: Vec<u8>,
    /// An answer is awaited.
    asking: bool,
    /// It has answered before.
    proven: bool,
}

impl Line {
    fn open(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), None)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EINPROGRESS as i32) => {
                return Err(error.into());
            }
            _ => {}
        }
        let tls = ClientConnection::new(tls.clone(), ServerName::try_from("kubernetes")?)?;
        Ok(Self { socket: socket.into(), tls, heard: Vec::new(), asking: false, proven: false })
    }

    fn asks(&self) -> bool {
        self.asking
    }

    fn interest(&self) -> PollFlags {
        if self.tls.wants_write() { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN }
    }

    fn ask(&mut self) -> Result<()> {
        self.asking = true;
        self.heard.clear();
        write!(self.tls.writer(), "GET /readyz HTTP/1.1\r\nHost: kubernetes\r\n\r\n")?;
        self.pump().map(drop)
    }

    /// Writes and reads what can be; says whether the round ended well, once it has ended.
    fn pump(&mut self) -> Result<Option<bool>> {
        loop {
            while self.tls.wants_write() && without_waiting(self.tls.write_tls(&mut self.socket))?.is_some() {
            }
            let Some(count) = without_waiting(self.tls.read_tls(&mut self.socket))? else { break };
            let state = self.tls.process_new_packets()?;
            let start = self.heard.len();
            self.heard.resize(start + state.plaintext_bytes_to_read(), 0);
            self.tls.reader().read_exact(&mut self.heard[start..])?;
            anyhow::ensure!(count > 0 && !state.peer_has_closed(), "ended");
        }
        let Some(good) = verdict(&self.heard).filter(|_| self.asking) else { return Ok(None) };
        self.proven = true;
        self.asking = false;
        self.heard.clear();
        Ok(Some(good))
    }
}

/// Nothing, if it would have had to wait.
fn without_waiting(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Whether an answer is good, if it is all there.
fn verdict(heard: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(heard).ok()?;
    let (headers, body) = text.split_once("\r\n\r\n")?;
    let length: usize =
        headers.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    (body.len() >= length).then(|| headers.starts_with("HTTP/1.1 2"))
}
