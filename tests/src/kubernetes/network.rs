//! The wires between the real apiservers, etcd and the worker.
//!
//! ```text
//!        br0: what the cluster sees                 br1: behind the masters
//!   ┌──────┬──────┬──────┬─────────┐           ┌──────┬──────┬───────┐
//!  m1     m2     m3    worker   laboratory     m1     m2     m3     etcd
//!  10.0.0.1   .2     .3    .10     .100        10.1.0.1   .2     .3     .100
//! ```
//!
//! A master whose cable in `br0` is pulled keeps its way to etcd: it is the same server when the cable is back.

use std::fs;
use std::path::Path;

use crate::netns::{Namespace, ip};

/// Number of masters.
pub const MASTERS: u8 = 3;

/// What the names of its namespaces begin with; the process that uses them follows.
const PREFIX: &str = "kube";

/// Where the worker's emulator is plugged in.
pub const TAP: &str = "tap0";

/// The namespaces; dropping this removes them.
pub struct Network {
    /// The bridges, etcd, and the laboratory's own place.
    pub net: Namespace,
    /// One for each master.
    pub masters: Vec<Namespace>,
}

impl Network {
    /// Builds it, beside any other there may be.
    pub fn new() -> std::io::Result<Self> {
        sweep();
        let namespace = |part: &str| Namespace::new(format!("{PREFIX}{}-{part}", std::process::id()));
        let masters = (1..=MASTERS).map(|number| namespace(&format!("m{number}"))).collect();
        let network = Self { net: namespace("net"), masters };
        let mut script: Vec<String> =
            network.all().map(|namespace| format!("netns add {}", namespace.name())).collect();
        for (number, master) in (1..).zip(&network.masters) {
            let (net, master) = (network.net.name(), master.name());
            for (link, port) in [("eth0", "m"), ("eth1", "b")] {
                script.push(format!(
                    "link add {link} netns {master} type veth peer name {port}{number} netns {net}"
                ));
            }
        }
        ip(&script.join("\n"))?;
        network.configure();
        Ok(network)
    }

    fn all(&self) -> impl Iterator<Item = &Namespace> {
        self.masters.iter().chain([&self.net])
    }

    fn configure(&self) {
        let mut script: Vec<String> = [
            "link set lo up",
            "link add br0 type bridge mcast_snooping 0",
            "link add br1 type bridge mcast_snooping 0",
            "addr add 10.0.0.100/24 dev br0",
            "addr add 10.1.0.100/24 dev br1",
            "link set br0 up",
            "link set br1 up",
        ]
        .map(str::to_owned)
        .to_vec();
        script.push(format!("tuntap add dev {TAP} mode tap"));
        script.push(format!("link set {TAP} master br0 up"));
        for (number, master) in (1..).zip(&self.masters) {
            script.push(format!("link set m{number} master br0 up"));
            script.push(format!("link set b{number} master br1 up"));
            master.ip(&format!(
                "link set lo up\nlink set eth0 up\nlink set eth1 up\n\
                 addr add 10.0.0.{number}/24 dev eth0\naddr add 10.1.0.{number}/24 dev eth1"
            ));
        }
        self.net.ip(&script.join("\n"));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let script: Vec<String> =
            self.all().map(|namespace| format!("netns del {}", namespace.name())).collect();
        // What has failed already must not abort over what is left behind.
        let _ = ip(&script.join("\n"));
    }
}

/// Removes what was left by a run that was killed.
fn sweep() {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let is_left = |name: &String| {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        let owner = owner.and_then(|(owner, _)| owner.parse::<u32>().ok());
        owner.is_some_and(|owner| !Path::new("/proc").join(owner.to_string()).exists())
    };
    for name in names.filter(is_left) {
        let _ = ip(&format!("netns del {name}"));
        let _ = fs::remove_dir_all(Path::new(super::names::PLACE).join(name));
    }
}
