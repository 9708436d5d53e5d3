//! Dialling a server from a source port that no client of the virtual server can have.
//!
//! After NAT a client's connection to the virtual server and a probe's own connection look alike on the wire:
//! both come from this node's address and go to the real server. With the same source port they would be one
//! connection to IPVS, and the probe's answers would be taken for the client's. The kernel hands clients ports
//! of `net.ipv4.ip_local_port_range`, so probes use ports outside of it. Whoever of us asks through the virtual server is
//! a client like any other, and leaves these ports alone: IPVS remembers a client's port for two minutes.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::silence;
use crate::files;

/// A gap below this size is not worth the search.
const FEWEST: u16 = 64;

/// Privileged ports are left alone.
const LOWEST: u16 = 1024;

/// Each attempt meets a busy port with small probability; so many in a row mean that something else is wrong.
const ATTEMPTS: usize = 16;

/// Descriptors that probes leave free; a quarter of all where there are very few.
const RESERVE: u64 = 8;

/// The source ports of probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ports(Option<RangeInclusive<u16>>);

impl Ports {
    /// The gap beside the ports that the kernel hands to clients.
    pub(crate) fn outside_ephemeral() -> Self {
        let text = files::read_text(Path::new("/proc/sys/net/ipv4/ip_local_port_range")).unwrap_or_default();
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

    /// Connects to `server`. With `reconnect_every` another attempt starts whenever the latest is so old, since the kernel
    /// repeats a lost packet only after a second; the first that ends decides. `latest` tells when the latest began,
    /// even to whoever does not wait for the end.
    pub(super) async fn connect(
        &self,
        server: SocketAddr,
        reconnect_every: Option<Duration>,
        latest: &mut Instant,
    ) -> io::Result<TcpStream> {
        *latest = Instant::now();
        let Some(reconnect_every) = reconnect_every else { return self.dial(server).await };
        let mut attempts = JoinSet::new();
        loop {
            *latest = Instant::now();
            let ports = self.clone();
            attempts.spawn(async move { ports.dial(server).await });
            tokio::select! {
                Some(Ok(result)) = attempts.join_next() => return result,
                () = sleep(reconnect_every) => {}
            }
        }
    }

    /// Connects to `server` once.
    pub(crate) async fn dial(&self, server: SocketAddr) -> io::Result<TcpStream> {
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            let socket = match self.socket(server, attempts > 0) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => continue,
                socket => socket?,
            };
            let mut connecting = pin!(socket.connect(server));
            let at_once = poll_fn(|context| Poll::Ready(connecting.as_mut().poll(context))).await;
            let connected = match at_once {
                Poll::Ready(connected) => connected,
                Poll::Pending => connecting.await.map_err(|error| match error.kind() {
                    // Not this node forbids it: somebody on the way does, as ICMPv6 can say.
                    io::ErrorKind::PermissionDenied => io::ErrorKind::HostUnreachable.into(),
                    _ => error,
                }),
            };
            match connected {
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

    /// A socket that is ready to connect to `server`, from a port of the gap if it is `bound`. No packet has been sent
    /// yet: whatever fails here is this node's trouble.
    fn socket(&self, server: SocketAddr, bound: bool) -> io::Result<TcpSocket> {
        let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // The kernel hands out the lowest number that is free.
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        if u64::try_from(socket.as_raw_fd()).is_ok_and(|number| is_reserved(number, limit)) {
            return Err(Errno::MFILE.into());
        }
        silence::watch(&socket)?;
        if let Some(gap) = self.0.clone().filter(|_| bound) {
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::new(unspecified(server), fastrand::u16(gap)))?;
        }
        Ok(socket)
    }
}

/// Whether a descriptor is one of the last, which probes leave to the endpoint and to the guard of the rules.
fn is_reserved(number: u64, limit: u64) -> bool {
    number >= limit - RESERVE.min(limit / 4)
}

/// Whether this node lacks something, so that nothing has been learned about the other end: descriptors, memory, ports,
/// a permission.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let shortages = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::NOSPC,
        Errno::ADDRNOTAVAIL,
        Errno::ADDRINUSE,
        Errno::PERM,
        Errno::ACCESS,
        Errno::AFNOSUPPORT,
    ];
    error.raw_os_error().is_some_and(|code| shortages.iter().any(|errno| errno.raw_os_error() == code))
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
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
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
    fn the_last_descriptors_are_left_to_others() {
        for (number, limit, reserved) in [
            (0, 0, true),
            (11, 16, false),
            (12, 16, true),
            (23, 32, false),
            (24, 32, true),
            (1015, 1024, false),
            (1016, 1024, true),
            (1016, u64::MAX, false),
        ] {
            assert_eq!(is_reserved(number, limit), reserved, "{number} of {limit}");
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
