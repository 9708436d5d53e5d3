//! What the API says about its own endpoints: `EndpointSlice`s, or `Endpoints` from before there were slices. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::membership::MOST;

#[cfg(test)]
mod tests;

/// What every apiserver calls its port.
const PORT: &str = "https";

/// In which of its forms an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `EndpointSliceList` of `discovery.k8s.io`, whatever its version.
    Slices,
    /// `Endpoints` of the core API.
    Endpoints,
}

#[derive(Deserialize)]
struct SliceList {
    kind: String,
    #[serde(default)]
    items: Vec<Slice>,
}

#[derive(Deserialize)]
struct Slice {
    endpoints: Option<Vec<Endpoint>>,
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    addresses: Vec<String>,
    conditions: Option<Conditions>,
}

#[derive(Deserialize)]
struct Conditions {
    ready: Option<bool>,
}

#[derive(Deserialize)]
struct Endpoints {
    kind: String,
    subsets: Option<Vec<Subset>>,
}

#[derive(Deserialize)]
struct Subset {
    addresses: Option<Vec<Address>>,
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
struct Address {
    ip: String,
}

#[derive(Deserialize)]
struct Port {
    name: Option<String>,
    port: Option<u16>,
}

/// The masters that `body` names, for the virtual server `at`: ready, of its family, and not itself.
pub(super) fn masters(form: Form, body: &[u8], at: SocketAddr) -> Result<BTreeSet<SocketAddr>, String> {
    let named = match form {
        Form::Slices => {
            let list: SliceList = parse(body)?;
            is(&list.kind, "EndpointSliceList")?;
            list.items.into_iter().flat_map(of_slice).collect::<Vec<_>>()
        }
        Form::Endpoints => {
            let endpoints: Endpoints = parse(body)?;
            is(&endpoints.kind, "Endpoints")?;
            endpoints.subsets.unwrap_or_default().into_iter().flat_map(of_subset).collect()
        }
    };
    let masters: BTreeSet<SocketAddr> = named.into_iter().filter(|server| can_serve(*server, at)).collect();
    let family = if at.is_ipv4() { "IPv4" } else { "IPv6" };
    match masters.len() {
        0 => Err(format!("it names no apiserver that is ready and has an {family} address")),
        1..=MOST => Ok(masters),
        many => Err(format!("it names {many} apiservers; more than {MOST} cannot be true")),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("not the JSON that was asked for: {error}"))
}

fn is(kind: &str, wanted: &str) -> Result<(), String> {
    if kind == wanted { Ok(()) } else { Err(format!("it is of kind {kind:?} instead of {wanted}")) }
}

fn of_slice(slice: Slice) -> Vec<SocketAddr> {
    let Some(port) = port(&slice.ports.unwrap_or_default()) else { return Vec::new() };
    let ready = |endpoint: &Endpoint| {
        // Unknown counts as ready, says the API.
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
    };
    let endpoints = slice.endpoints.unwrap_or_default().into_iter().filter(ready);
    join(endpoints.flat_map(|endpoint| endpoint.addresses), port)
}

/// The addresses that are not ready stand in another field.
fn of_subset(subset: Subset) -> Vec<SocketAddr> {
    let Some(port) = port(&subset.ports.unwrap_or_default()) else { return Vec::new() };
    join(subset.addresses.unwrap_or_default().into_iter().map(|address| address.ip), port)
}

/// The port called `https`, or the only one.
fn port(ports: &[Port]) -> Option<u16> {
    let named = ports.iter().find(|port| port.name.as_deref() == Some(PORT));
    let port = named.or(if let [only] = ports { Some(only) } else { None })?;
    port.port.filter(|&port| port != 0)
}

fn join(hosts: impl Iterator<Item = String>, port: u16) -> Vec<SocketAddr> {
    // A slice may hold names instead of addresses; the kernel cannot send packets to a name.
    hosts.filter_map(|host| Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port))).collect()
}

/// As for a server that a person configures.
fn can_serve(server: SocketAddr, at: SocketAddr) -> bool {
    let ip = server.ip();
    let points_nowhere = ip.is_unspecified() || ip.is_multicast() || ip.is_loopback();
    ip.is_ipv4() == at.is_ipv4() && ip != at.ip() && !points_nowhere
}
