//! Whose a listening socket is, as `/proc/net/tcp` tells without any privilege.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::place;

/// `TCP_LISTEN` (`include/net/tcp_states.h`).
const LISTEN: &str = "0A";

/// Whether whoever listens on `address` is root, this user, or a service of systemd. Who cannot be seen is not trusted.
pub(super) fn is_trusted(address: SocketAddr) -> bool {
    let owner = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|path| {
        let lines = BufReader::new(File::open(path).ok()?).lines();
        lines.map_while(Result::ok).find_map(|line| owner(&line, address))
    });
    owner.is_some_and(place::is_trusted)
}

/// The user of the socket in this line, if it listens on `address`:
/// `0: 0100007F:2815 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 ..`.
fn owner(line: &str, address: SocketAddr) -> Option<u32> {
    let mut words = line.split_whitespace();
    let local = words.nth(1)?;
    if words.nth(1)? != LISTEN {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    let ip = address_of(ip)?;
    let same = ip.is_unspecified() || address.ip().is_unspecified() || ip == address.ip();
    if !same || u16::from_str_radix(port, 16).ok()? != address.port() {
        return None;
    }
    words.nth(3)?.parse().ok()
}

/// Words of 32 bits, each as the processor stores it.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(8 * at..8 * at + 8)?, 16).ok()?.to_ne_bytes());
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let words = [word(0)?, word(1)?, word(2)?, word(3)?];
    let bytes: [u8; 16] = words.concat().try_into().ok()?;
    Some(Ipv6Addr::from(bytes).to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn owners() {
        let line = |local: &str, state: &str| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0"
            )
        };
        let usual = "127.0.0.1:10261".parse().unwrap();
        assert_eq!(owner(&line("0100007F:2815", "0A"), usual), Some(1000));
        assert_eq!(owner(&line("00000000:2815", "0A"), usual), Some(1000));
        assert_eq!(owner(&line("0100007F:2815", "01"), usual), None);
        assert_eq!(owner(&line("0100007F:2816", "0A"), usual), None);
        assert_eq!(owner(&line("0200007F:2815", "0A"), usual), None);
        let any = "00000000000000000000000000000000:2815";
        assert_eq!(owner(&line(any, "0A"), usual), Some(1000));
        let mapped = "0000000000000000FFFF00000100007F:2815";
        assert_eq!(owner(&line(mapped, "0A"), usual), Some(1000));
        for nonsense in ["", "  sl  local_address rem_address   st", "0: :: 0 0A", "0: 01:2815 0 0A 0 0 0 x"]
        {
            assert_eq!(owner(nonsense, usual), None, "{nonsense}");
        }
    }

    #[test]
    fn an_own_socket_is_trusted_and_nobody_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(is_trusted(address));
        drop(listener);
        assert!(!is_trusted(address));
    }
}
