//! The values that people type, each with a parser whose message names what would be right.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

mod text;

#[cfg(test)]
mod tests;

text::form! {
    Listen => "IP:PORT, or none",
    LogFilter => "error, warn, info, debug, trace, or a filter such as info,lvscare::checker=debug",
    NodeAddress => "an IP address",
    RealServers => "IP:PORT[,weight=N], several separated by commas",
    Scheduler => "the kernel's name of an IPVS scheduler, such as rr",
    Time => "a duration such as 200ms, 2s or 1m30s; a bare number is seconds",
    VirtualAddress => "IP:PORT",
}

/// The kernel's schedulers (`net/netfilter/ipvs`) that serve new connections as long as one real server has a weight.
pub const SCHEDULERS: [&str; 12] =
    ["rr", "wrr", "lc", "wlc", "fo", "lblc", "lblcr", "sh", "mh", "sed", "nq", "twos"];

/// Those that do not, and what to use instead.
const UNFIT: [(&str, &str); 2] = [
    (
        "dh",
        "it sends all clients to one real server and refuses them while that one drains; use rr, or mh to keep each \
         client at one server",
    ),
    (
        "ovf",
        "it refuses new connections once every real server has more open ones than its weight; use wlc, or fo for \
         one server after the other",
    ),
];

/// The protocol of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HTTP over TLS
    Https,
    /// HTTP in the clear
    Http,
}

/// The name of a scheduler that some kernel has and that serves in every state of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduler(String);

impl Scheduler {
    /// The kernel's name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether it looks at weights other than zero.
    pub fn heeds_weights(&self) -> bool {
        !matches!(self.0.as_str(), "rr" | "lc")
    }

    /// Whether it picks by the client's address, and must be told to pick another real server where the one picked has
    /// weight 0 (`ip_vs_sh.c`, `ip_vs_mh.c`).
    pub fn needs_fallback(&self) -> bool {
        matches!(self.0.as_str(), "sh" | "mh")
    }
}

impl FromStr for Scheduler {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if SCHEDULERS.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        if let Some((_, why)) = UNFIT.iter().find(|(name, _)| *name == text) {
            return Err((*why).to_owned());
        }
        Err(format!("not an IPVS scheduler that is of use here; give one of {}", SCHEDULERS.join(", ")))
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A real server as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// Its address.
    pub address: SocketAddr,
    /// Its weight while it is alive, 1 to 65535.
    pub weight: u32,
}

/// One or more real servers: `10.0.0.1:6443`, `10.0.0.1:6443,weight=2`, `10.0.0.1:6443,10.0.0.2:6443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealServers(pub Vec<RealServer>);

impl FromStr for RealServers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut servers: Vec<RealServer> = Vec::new();
        for part in text.split(',').map(str::trim) {
            if let Some((key, value)) = part.split_once('=') {
                let server = servers.last_mut().ok_or("an option stands before any address")?;
                if key != "weight" {
                    return Err(format!("unknown option `{key}`; a server has only `weight`"));
                }
                server.weight = weight(value)?;
            } else {
                let address = endpoint(part)?;
                let ip = address.ip();
                if ip.is_unspecified() || ip.is_multicast() {
                    return Err(format!("{ip} is not the address of a host"));
                }
                if ip.is_loopback() {
                    return Err(format!(
                        "{ip} is a loopback address; give the host's address in the cluster"
                    ));
                }
                if is_link_local(ip) {
                    return Err(format!(
                        "{ip} is valid on one link only; give the host's address in the cluster"
                    ));
                }
                servers.push(RealServer { address, weight: 1 });
            }
        }
        Ok(Self(servers))
    }
}

impl fmt::Display for RealServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, RealServer { address, weight }) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{address}")?;
            if *weight != 1 {
                write!(f, ",weight={weight}")?;
            }
        }
        Ok(())
    }
}

fn weight(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(weight @ 1..=65535) => Ok(weight),
        _ => Err(format!("weight `{text}` is not a number from 1 to 65535")),
    }
}

/// The address of a virtual server: one that may be routed locally and is nobody's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualAddress(pub SocketAddr);

impl FromStr for VirtualAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        virtual_server(text).map(Self)
    }
}

impl fmt::Display for VirtualAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As [`VirtualAddress`], bare.
pub fn virtual_server(text: &str) -> Result<SocketAddr, String> {
    let address = endpoint(text)?;
    let ip = address.ip();
    if ip.is_loopback() {
        return Err(format!(
            "{ip} is a loopback address: packets from it cannot leave the node; use an unused one such as 10.103.97.2"
        ));
    }
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    if ip.is_unspecified() || ip.is_multicast() || broadcast || is_link_local(ip) {
        return Err(format!("{ip} cannot be a virtual address; use an unused one such as 10.103.97.2"));
    }
    Ok(address)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// What is wrong with an address such as `[fe80::1%2]:6443`.
const ZONE: &str = "a zone (what follows `%`) is no part of an address that IPVS can use; give one that is valid on \
                    every link";

/// `IP:PORT`, with a message that says which half is wrong.
pub fn endpoint(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        if let IpAddr::V6(ip) = address.ip()
            && let Some(ip) = ip.to_ipv4_mapped()
        {
            return Err(format!("an IPv4 address in IPv6 clothes; write {ip}:{}", address.port()));
        }
        if address.port() == 0 {
            return Err("port 0 is no port; apiservers usually listen on 6443".into());
        }
        if matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0) {
            return Err(ZONE.to_owned());
        }
        return Ok(address);
    }
    if text.contains('%') {
        return Err(ZONE.to_owned());
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Err(format!("the port is missing; write {}", SocketAddr::new(ip, 6443)));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err("not an address with a port, such as 10.0.0.1:6443".into());
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.parse::<IpAddr>().is_ok() {
        return Err(format!("`{port}` is not a port from 1 to 65535"));
    }
    if host.bytes().any(|byte| byte.is_ascii_alphabetic()) && !host.contains(':') {
        return Err(format!(
            "`{host}` is a name; give the IP address, names may not resolve before the join"
        ));
    }
    Err(format!("`{host}` is not an IP address"))
}

/// An address of this node, without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeAddress(pub IpAddr);

impl FromStr for NodeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "not an IP address such as 10.0.0.10".to_owned())
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the daemon serves its status: an address, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "" | "none") {
            return Ok(Self(None));
        }
        endpoint(text).map(|address| Self(Some(address)))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// What is logged: a level, or levels by module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(pub String);

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The words of older lvscare.
        let text = match text.to_ascii_lowercase().as_str() {
            "debg" => "debug".to_owned(),
            "erro" => "error".to_owned(),
            lower => lower.to_owned(),
        };
        let levels = ["error", "warn", "info", "debug", "trace", "off"];
        let known = |part: &str| levels.contains(&part.rsplit('=').next().unwrap_or_default());
        if text.split(',').all(|part| known(part.trim())) {
            return Ok(Self(text));
        }
        Err("not a level (error, warn, info, debug, trace) or a filter such as \
             info,lvscare::checker=debug"
            .to_owned())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For programs, one object a line
    Json,
}

/// A time span as people type it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        duration(text).map(Self)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(self.0))
    }
}

/// A duration as `200ms`, `2s`, `1m30s`; a bare number is seconds, as older lvscare took it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "not a duration such as 200ms, 2s or 1m30s".to_owned();
    let mut total = 0.0;
    let mut rest = text;
    if let Ok(seconds) = text.parse::<u32>() {
        total = f64::from(seconds);
        rest = "";
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let (unit, others) = unit.split_at(unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len()));
        total += number
            * match unit {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(wrong()),
            };
        rest = others;
    }
    if text.is_empty() {
        return Err(wrong());
    }
    if total > 86_400.0 {
        return Err("longer than a day".to_owned());
    }
    Ok(Duration::from_secs_f64(total))
}

/// A duration as people write it: `200ms`, `2s`, `1m30s`, `1m30.5s`. To read it back gives the same one.
pub fn show(duration: Duration) -> String {
    let (minutes, seconds, nanos) =
        (duration.as_secs() / 60, duration.as_secs() % 60, duration.subsec_nanos());
    match (minutes, seconds, nanos) {
        (0, 0, 1..) if nanos % 1_000_000 == 0 => format!("{}ms", nanos / 1_000_000),
        (0, _, 0) => format!("{seconds}s"),
        (_, 0, 0) => format!("{minutes}m"),
        _ => {
            let minutes = if minutes == 0 { String::new() } else { format!("{minutes}m") };
            let fraction = if nanos == 0 { String::new() } else { format!(".{nanos:09}") };
            format!("{minutes}{seconds}{}s", fraction.trim_end_matches('0'))
        }
    }
}

/// A measured time, as exact as anybody cares: `0.4ms`, `87ms`, `1.2s`, `3m04s`, `2h05m`, `4d07h`.
pub fn brief(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    let seconds = duration.as_secs();
    match seconds {
        0 if millis < 9.95 => format!("{millis:.1}ms"),
        0 if millis < 999.5 => format!("{millis:.0}ms"),
        0..60 => format!("{:.1}s", millis / 1000.0),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}
