//! The masters as people type them: `10.0.0.1`, `10.0.0.1:6443`, `[fd00::1]:6443`, `10.0.0.1-10.0.0.3`, `master-1`,
//! several separated by commas. Pure.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use lvscare::config::value::{self, RealServers};
use serde::{Deserialize, Serialize};

use super::names::check_resolvable;
use crate::failure::Failure;

/// The port of apiservers, when none is typed.
const APISERVER: u16 = 6443;

/// More in one range cannot be meant.
const MOST: u128 = 256;

/// A master as typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Master {
    /// Its address.
    At(SocketAddr),
    /// The name of its host, and the port.
    Called(String, u16),
}

/// One or more masters, in the order in which they were typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masters(pub Vec<Master>);

/// The address of each, none of them twice. A name is looked up once and for all, so it must mean one address of the
/// family of the virtual server.
pub fn addresses(
    masters: &[Master],
    vip: SocketAddr,
    lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>>,
) -> Result<Vec<SocketAddr>, Failure> {
    let wrong = |why: String| Failure::usage(format!("--master: {why}"));
    if masters.is_empty() {
        return Err(wrong("there is none; name every apiserver".to_owned()));
    }
    let mut all: Vec<SocketAddr> = Vec::new();
    for master in masters {
        let address = match master {
            Master::At(address) => *address,
            Master::Called(name, port) => {
                SocketAddr::new(one(name, vip.is_ipv4(), lookup(name)).map_err(wrong)?, *port)
            }
        };
        if all.contains(&address) {
            return Err(wrong(format!("{address} is given twice")));
        }
        check(address, vip)?;
        all.push(address);
    }
    Ok(all)
}

/// Whether a host with this address can stand behind the virtual server.
fn check(address: SocketAddr, vip: SocketAddr) -> Result<(), Failure> {
    let wrong = |why: &str| Err(Failure::usage(format!("--master {address} {why}")));
    if let Err(why) = address.to_string().parse::<RealServers>() {
        return Err(Failure::usage(format!("--master {address}: {why}")));
    }
    if address.is_ipv4() != vip.is_ipv4() {
        return wrong(&format!(
            "and --vip {vip} are of different families; IPVS cannot translate between IPv4 and IPv6"
        ));
    }
    if address.ip() == vip.ip() {
        return wrong("is the virtual address itself; name the apiserver's own address");
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_broadcast() => wrong("is not the address of a host"),
        _ => Ok(()),
    }
}

/// The one address that a name means.
fn one(name: &str, v4: bool, found: io::Result<Vec<IpAddr>>) -> Result<IpAddr, String> {
    let help = "give the IP address";
    let mut all = found.map_err(|error| format!("`{name}` is not found: {error}; {help}"))?;
    all.sort();
    all.dedup();
    let fitting: Vec<_> = all.iter().filter(|ip| ip.is_ipv4() == v4).collect();
    if let [one] = fitting[..] {
        return Ok(*one);
    }
    let family = if v4 { "IPv4" } else { "IPv6" };
    let how_many = if fitting.is_empty() { "no" } else { "more than one" };
    let all: Vec<_> = all.iter().map(ToString::to_string).collect();
    Err(format!("`{name}` means {how_many} {family} address ({}); {help}", all.join(", ")))
}

impl FromStr for Masters {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut masters = Vec::new();
        for word in text.split(',').map(str::trim) {
            let found = match word.split_once('-') {
                Some((first, last)) if first.parse::<IpAddr>().is_ok() => range(first, last),
                _ => match called(word) {
                    Some(master) => master.map(|master| vec![master]),
                    None => with_port(word).map(|master| vec![Master::At(master)]),
                },
            };
            masters.extend(found.map_err(|why| format!("`{word}`: {why}"))?);
        }
        Ok(Self(masters))
    }
}

/// `NAME` or `NAME:PORT`; what consists of digits and dots is an address that somebody has mistyped.
fn called(word: &str) -> Option<Result<Master, String>> {
    let (name, port) = match word.split_once(':') {
        // Colons after the first are those of IPv6.
        Some((_, port)) if port.contains(':') => return None,
        Some((name, port)) => (name, Some(port)),
        None => (word, None),
    };
    let is_name = check_resolvable(name).is_ok() && name.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_name.then(|| Ok(Master::Called(name.to_owned(), port.map_or(Ok(APISERVER), port_number)?)))
}

fn port_number(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| format!("`{text}` is not a port from 1 to 65535"))
}

/// Where a cluster is joined: the virtual server itself, or the name that will mean it, as `kubeadm token create
/// --print-join-command` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `IP:PORT`.
    At(SocketAddr),
    /// `NAME:PORT`.
    Called(String, u16),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Called(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match called(text) {
            Some(Ok(Master::Called(name, port))) if text.contains(':') => Ok(Self::Called(name, port)),
            Some(Ok(_)) => Err(format!("the port is missing; write {text}:{APISERVER}")),
            Some(Err(why)) => Err(why),
            None => value::virtual_server(text).map(Self::At),
        }
    }
}

/// `IP` or `IP:PORT`.
pub fn with_port(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        // An address without a port gets one; whatever else is wrong is the daemon's to say.
        Ok(ip) => value::endpoint(&SocketAddr::new(ip, APISERVER).to_string()),
        Err(_) => value::endpoint(text),
    }
}

/// Both ends and all that lies between.
fn range(first: &str, last: &str) -> Result<Vec<Master>, String> {
    let (first, last) = (with_port(first)?, with_port(last)?);
    let all = between(first.ip(), last.ip())?;
    Ok(all.into_iter().map(|ip| Master::At(SocketAddr::new(ip, last.port()))).collect())
}

/// Two addresses and all that lie between them, in order; 256 at most.
pub fn between(first: IpAddr, last: IpAddr) -> Result<Vec<IpAddr>, String> {
    if first.is_ipv4() != last.is_ipv4() {
        return Err("a range has one family".to_owned());
    }
    let (from, to) = (number(first), number(last));
    if from > to {
        return Err(format!("the range is the wrong way round; write {last}-{first}"));
    }
    if to - from >= MOST {
        return Err(format!("a range of more than {MOST} addresses cannot be meant"));
    }
    Ok((from..=to).map(|number| address(number, first.is_ipv4())).collect())
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The way back from [`number`].
fn address(number: u128, is_v4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if is_v4 => IpAddr::V4(number.into()),
        _ => IpAddr::V6(number.into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        let Masters(masters) = text.parse()?;
        let vip = if text.contains("::") { "[fd00::99]:6443" } else { "10.103.97.2:6443" };
        let masters = addresses(&masters, vip.parse().unwrap(), |name| match name {
            "one" => Ok(vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()]),
            "two" => Ok(["10.0.0.2", "10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap()).to_vec()),
            "six" => Ok(vec!["fd00::1".parse().unwrap()]),
            _ => Err(io::Error::other("no such name")),
        })
        .map_err(|failure| failure.message)?;
        Ok(masters.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn every_form_is_understood() {
        for (text, masters) in [
            ("10.0.0.1", "10.0.0.1:6443"),
            ("10.0.0.1:7443, 10.0.0.2", "10.0.0.1:7443 10.0.0.2:6443"),
            ("fd00::1,[fd00::2],[fd00::3]:7443", "[fd00::1]:6443 [fd00::2]:6443 [fd00::3]:7443"),
            ("10.0.9.255-10.0.10.1", "10.0.9.255:6443 10.0.10.0:6443 10.0.10.1:6443"),
            ("10.0.9.1-10.0.9.2:7443", "10.0.9.1:7443 10.0.9.2:7443"),
            ("fd00::f-fd00::10", "[fd00::f]:6443 [fd00::10]:6443"),
            ("one,10.0.0.2", "10.0.0.1:6443 10.0.0.2:6443"),
            ("one:7443", "10.0.0.1:7443"),
        ] {
            assert_eq!(parsed(text), Ok(masters.to_owned()));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("10.0.0.1,192.168.0.300", "`192.168.0.300`: not an address with a port"),
            ("10.0.0.9-10.0.0.2", "the wrong way round; write 10.0.0.2-10.0.0.9"),
            ("10.0.0.0-10.0.1.0", "more than 256 addresses"),
            ("10.0.0.1-fd00::1", "one family"),
            ("10.0.0.1-", "`10.0.0.1-`: "),
            ("10.0.0.1:0", "port 0"),
            ("10.0.0.1:70000", "`70000` is not a port"),
            ("10.0.0.1,10.0.0.1:6443", "10.0.0.1:6443 is given twice"),
            ("10.0.0.1-10.0.0.3,10.0.0.2", "10.0.0.2:6443 is given twice"),
            ("two", "`two` means more than one IPv4 address (10.0.0.1, 10.0.0.2); give the IP address"),
            ("six", "`six` means no IPv4 address (fd00::1); give the IP address"),
            ("none:6443", "`none` is not found: no such name; give the IP address"),
            ("10.0.0.1,one", "10.0.0.1:6443 is given twice"),
            ("::ffff:10.0.0.1", "write 10.0.0.1:6443"),
            ("", "``: "),
            ("m1:99999", "`99999` is not a port from 1 to 65535"),
            ("255.255.255.255", "255.255.255.255:6443 is not the address of a host"),
            ("10.103.97.2", "10.103.97.2:6443 is the virtual address itself"),
            ("10.0.0.1,10.0.0.0-10.0.0.2", "10.0.0.1:6443 is given twice"),
        ] {
            let refusal = parsed(text).unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
        }
    }

    #[test]
    fn a_cluster_is_joined_by_address_or_name() {
        for (text, endpoint) in [
            ("10.103.97.2:6443", Ok(Endpoint::At("10.103.97.2:6443".parse().unwrap()))),
            ("apiserver.cluster.local:6443", Ok(Endpoint::Called("apiserver.cluster.local".into(), 6443))),
            ("apiserver.cluster.local", Err("the port is missing; write apiserver.cluster.local:6443")),
            ("apiserver:0", Err("`0` is not a port from 1 to 65535")),
            ("10.103.97.2", Err("the port is missing; write 10.103.97.2:6443")),
            (
                "127.0.0.1:6443",
                Err("127.0.0.1 is a loopback address: packets from it cannot leave the node; use an \
                                    unused one such as 10.103.97.2"),
            ),
        ] {
            assert_eq!(text.parse(), endpoint.map_err(str::to_owned), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_does_harm(text in "[0-9a-f.:,\\[\\]-]{0,40}|.{0,20}") {
            let _ = text.parse::<Masters>();
        }

        #[test]
        fn a_range_has_its_length(first in any::<u32>(), more in 0_u32..256) {
            let last = first.saturating_add(more);
            let show = |number: u32| IpAddr::V4(number.into());
            let Masters(masters) = format!("{}-{}", show(first), show(last)).parse().unwrap();
            prop_assert_eq!(masters.len() as u64, u64::from(last - first) + 1);
        }
    }
}
