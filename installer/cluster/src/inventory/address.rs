//! A host as people write it: `10.0.0.1`, `10.0.0.1:2222`, `[fd00::1]:2222`, `10.0.0.1-10.0.0.3`, several separated by
//! commas.
//!
//! Names are not understood: which machine a name means can change between two runs, and `known_hosts` files know
//! machines by what was typed.

use std::net::{IpAddr, SocketAddr};

use node::spec::masters::between;

/// What is said of port 0.
pub(super) const NO_PORT: &str = "port 0 is no port; SSH servers usually listen on 22";

/// The hosts that a text means, or every mistake in it. `port` is for those without one.
pub fn parse(text: &str, port: u16) -> Result<Vec<SocketAddr>, Vec<String>> {
    let (mut all, mut mistakes) = (Vec::new(), Vec::new());
    for word in text.split(',').map(str::trim) {
        let found = match word.split_once('-') {
            Some((first, last)) if first.parse::<IpAddr>().is_ok() => range(first, last, port),
            Some((first, _)) if first.parse::<SocketAddr>().is_ok() => {
                Err("the port of a range is written once, at its end".to_owned())
            }
            _ => one(word, port).map(|at| vec![at]),
        };
        match found {
            Ok(found) => all.extend(found),
            Err(why) => mistakes.push(format!("`{word}`: {why}")),
        }
    }
    if mistakes.is_empty() { Ok(all) } else { Err(mistakes) }
}

fn range(first: &str, last: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let (first, last) = (one(first, port)?, one(last, port)?);
    let all = between(first.ip(), last.ip())?;
    let all: Vec<_> = all.into_iter().map(|ip| SocketAddr::new(ip, last.port())).collect();
    all.iter().try_for_each(|at| check(at.ip()))?;
    Ok(all)
}

fn one(word: &str, port: u16) -> Result<SocketAddr, String> {
    let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
    let at = match (bare.parse(), word.parse::<SocketAddr>()) {
        (Ok(ip), _) => SocketAddr::new(ip, port),
        (_, Ok(at)) if at.port() == 0 => return Err(NO_PORT.to_owned()),
        (_, Ok(SocketAddr::V6(at))) if at.scope_id() != 0 => return Err(ZONE.to_owned()),
        (_, Ok(at)) => at,
        _ => return Err(mistake(word)),
    };
    check(at.ip())?;
    Ok(at)
}

const ZONE: &str = "addresses with a zone are not supported; give one that is not link-local";

fn check(ip: IpAddr) -> Result<(), String> {
    let is_of_a_host = match ip {
        IpAddr::V4(ip) => !ip.is_broadcast() && !ip.is_multicast() && !ip.is_unspecified(),
        IpAddr::V6(ip) => {
            if let Some(ip) = ip.to_ipv4_mapped() {
                return Err(format!("an IPv4 address in IPv6 clothes; write {ip}"));
            }
            !ip.is_multicast() && !ip.is_unspecified()
        }
    };
    if is_of_a_host { Ok(()) } else { Err("it is not the address of a host".to_owned()) }
}

/// Why a word is no address.
fn mistake(word: &str) -> String {
    let (host, port) = match word.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (word, None),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match port {
        Some(port) if bare.parse::<IpAddr>().is_ok() => format!("`{port}` is not a port from 1 to 65535"),
        _ if host.contains('%') => ZONE.to_owned(),
        _ if host.contains('@') => "the user is given with --user".to_owned(),
        _ if !host.contains(':') && host.bytes().any(|byte| byte.is_ascii_alphabetic()) => {
            "it is a name, and names are not looked up; give the IP address".to_owned()
        }
        _ => "it is not an address such as 10.0.0.1 or 10.0.0.1:22".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        let all = parse(text, 22).map_err(|mistakes| mistakes.join("\n"))?;
        Ok(all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn every_form_is_understood() {
        for (text, wanted) in [
            ("10.0.0.1", "10.0.0.1:22"),
            ("10.0.0.1:2222, 10.0.0.2", "10.0.0.1:2222 10.0.0.2:22"),
            ("fd00::1,[fd00::2],[fd00::3]:2222", "[fd00::1]:22 [fd00::2]:22 [fd00::3]:2222"),
            ("10.0.9.255-10.0.10.1", "10.0.9.255:22 10.0.10.0:22 10.0.10.1:22"),
            ("10.0.9.1-10.0.9.2:2222", "10.0.9.1:2222 10.0.9.2:2222"),
            ("fd00::f-[fd00::10]:2222", "[fd00::f]:2222 [fd00::10]:2222"),
            ("127.0.0.1", "127.0.0.1:22"),
        ] {
            assert_eq!(parsed(text), Ok(wanted.to_owned()));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("10.0.0.300", "`10.0.0.300`: it is not an address such as 10.0.0.1"),
            ("10.0.0.1,,x", "``: it is not an address such as 10.0.0.1 or 10.0.0.1:22\n`x`: it is a name"),
            ("master-1", "`master-1`: it is a name, and names are not looked up; give the IP address"),
            ("master-1:22", "`master-1:22`: it is a name"),
            ("root@10.0.0.1", "the user is given with --user"),
            ("10.0.0.1:0", "port 0 is no port; SSH servers usually listen on 22"),
            ("[fd00::1]:0", "port 0"),
            ("10.0.0.1:70000", "`70000` is not a port"),
            ("[fd00::1]:x", "`x` is not a port"),
            ("10.0.0.1:ssh", "`ssh` is not a port"),
            ("fe80::1%eth0", "addresses with a zone"),
            ("[fe80::1%3]:22", "addresses with a zone"),
            ("10.0.0.9-10.0.0.2", "the wrong way round; write 10.0.0.2-10.0.0.9"),
            ("10.0.0.0-10.0.1.0", "more than 256 addresses"),
            ("10.0.0.1-fd00::1", "one family"),
            ("10.0.0.1-", "`10.0.0.1-`: it is not an address"),
            ("10.0.0.1:22-10.0.0.3", "the port of a range is written once, at its end"),
            ("::ffff:10.0.0.1", "write 10.0.0.1"),
            ("0.0.0.0", "it is not the address of a host"),
            ("224.0.0.1", "it is not the address of a host"),
            ("223.255.255.255-224.0.0.1", "it is not the address of a host"),
            ("[::]:22", "it is not the address of a host"),
        ] {
            let refusal = parsed(text).unwrap_err();
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
    }
}
