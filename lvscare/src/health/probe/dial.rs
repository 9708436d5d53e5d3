//! Dialling a server from a source port that no client of the virtual server can have.
//!
//! After NAT a client's connection to the virtual server and a probe's own connection look alike on the wire:
//! both come from this node's address and go to the real server. With the same source port they would be one
//! connection to IPVS, and the probe's answers would be taken for the client's. The kernel hands clients ports
//! of `net.ipv4.ip_local_port_range`, so probes use ports outside of it. Whoever of us asks through the virtual server is
//! a client like any other, and leaves these ports alone: IPVS remembers a client's port for two minutes.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A gap below this size is not worth the search.
const FEWEST: u16 = 64;

/// Privileged ports are left alone.
const LOWEST: u16 = 1024;

/// Each attempt meets a busy port with small probability; so many in a row mean that something else is wrong.
const ATTEMPTS: usize = 16;

/// The source ports of probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ports(Option<RangeInclusive<u16>>);

impl Ports {
    /// The gap beside the ports that the kernel hands to clients.
    pub(crate) fn outside_ephemeral() -> Self {
        let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        Self::beside(&text)
    }

    /// Whatever the kernel hands out.
    pub(crate) fn of_clients() -> Self {
        Self(None)
    }

    fn beside(range: &str) -> Self {
        let mut ends = range.split_whitespace().map_while(|end| end.parse::<u16>().ok());
        let (Some(low), Some(high)) = (ends.next(), ends.next()) else { return Self(None) };
        let above = high.saturating_add(1)..=u16::MAX;
        let below = LOWEST..=low.saturating_sub(1);
        // Above lie neither node ports (30000 to 32767) nor well-known services.
        let size = |gap: &RangeInclusive<u16>| gap.end().saturating_sub(*gap.start());
        Self([above, below].into_iter().find(|gap| size(gap) >= FEWEST))
    }

    /// Connects to `server`. With `redial` another attempt starts whenever the latest is so old, since the kernel
    /// repeats a lost packet only after a second; the first that ends decides. `latest` tells when the latest began,
    /// even to whoever does not wait for the end.
    pub(super) async fn connect(
        &self,
        server: SocketAddr,
        redial: Option<Duration>,
        latest: &mut Instant,
    ) -> io::Result<TcpStream> {
        *latest = Instant::now();
        let Some(redial) = redial else { return self.dial(server).await };
        let mut attempts = JoinSet::new();
        loop {
            *latest = Instant::now();
            let ports = self.clone();
            attempts.spawn(async move { ports.dial(server).await });
            tokio::select! {
                Some(Ok(result)) = attempts.join_next() => return result,
                () = sleep(redial) => {}
            }
        }
    }

    /// Connects to `server` once.
    pub(crate) async fn dial(&self, server: SocketAddr) -> io::Result<TcpStream> {
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            watch_silence(&socket)?;
            if let Some(gap) = self.0.clone().filter(|_| attempts > 0) {
                socket.set_reuseaddr(true)?;
                match socket.bind(SocketAddr::new(unspecified(server), fastrand::u16(gap))) {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                    bound => bound?,
                }
            }
            match socket.connect(server).await {
                // This very connection exists already, or is remembered from before.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable && attempts > 0 => {}
                connected => {
                    let stream = connected?;
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
            }
        }
    }
}

/// Notices a host that vanished without loading the apiserver: the kernel itself asks the peer's kernel.
fn watch_silence(socket: &TcpSocket) -> io::Result<()> {
    let second = Duration::from_secs(1);
    let keepalive = TcpKeepalive::new().with_time(second).with_interval(second).with_retries(2);
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(3 * second))
}

fn unspecified(server: SocketAddr) -> IpAddr {
    if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody's ports are the other's: those of clients are what the kernel hands out.
    #[tokio::test]
    async fn probes_and_clients_never_share_a_port() {
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let mut ends = range.split_whitespace().map(|end| end.parse::<u16>().unwrap());
        let ephemeral = ends.next().unwrap()..=ends.next().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        for (ports, client) in [(Ports::outside_ephemeral(), false), (Ports::of_clients(), true)] {
            for _ in 0..20 {
                let stream = ports.dial(server).await.unwrap();
                let port = stream.local_addr().unwrap().port();
                assert!(ports.0.is_none() || !client);
                assert_eq!(ephemeral.contains(&port), client || ports.0.is_none(), "{port} {ports:?}");
            }
        }
    }

    #[test]
    fn gap_beside_the_ephemeral_ports() {
        assert_eq!(Ports::beside("32768\t60999\n"), Ports(Some(60999 + 1..=65535)));
        assert_eq!(Ports::beside("1024 65535"), Ports(None));
        assert_eq!(Ports::beside("10000 65500"), Ports(Some(1024..=9999)));
        assert_eq!(Ports::beside(""), Ports(None));
    }
}
