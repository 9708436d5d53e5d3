//! The laboratory's namespaces, links, addresses and routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::netns::{Namespace, ip};

use super::{NODE, NODE6, POD, POD6};

/// The node's address in the pod network: the pod's gateway.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 0, 1);

/// A machine on the common network.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// Its name, and that of its port at the bridge.
    pub(super) name: String,
    pub(super) namespace: Namespace,
    pub(super) ipv4: Ipv4Addr,
    pub(super) ipv6: Ipv6Addr,
}

impl Machine {
    pub(super) fn addresses(&self) -> [IpAddr; 2] {
        [self.ipv4.into(), self.ipv6.into()]
    }
}

/// All namespaces of a laboratory; dropping it removes them.
pub(super) struct Network {
    pub(super) net: Namespace,
    pub(super) pod: Namespace,
    pub(super) node: Machine,
    pub(super) masters: Vec<Machine>,
}

impl Network {
    /// Builds a network with so many masters, beside any other there may be in this kernel.
    pub(super) fn new(masters: u8) -> Self {
        let prefix = prefix();
        let namespace = |part: &str| Namespace::new(format!("{prefix}-{part}"));
        let master = |number: u8| {
            let name = format!("m{number}");
            Machine {
                namespace: namespace(&name),
                ipv4: Ipv4Addr::new(10, 0, 0, number),
                ipv6: Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, number.into()),
                name,
            }
        };
        let node = Machine { name: "node".to_owned(), namespace: namespace("node"), ipv4: NODE, ipv6: NODE6 };
        let network = Self {
            net: namespace("net"),
            pod: namespace("pod"),
            node,
            masters: (1..=masters).map(master).collect(),
        };
        network.connect();
        network.configure();
        network
    }

    fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.masters.iter().chain([&self.node])
    }

    fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.machines().map(|machine| &machine.namespace).chain([&self.net, &self.pod]).map(Namespace::name)
    }

    /// Namespaces and the cables between them.
    fn connect(&self) {
        let mut script: Vec<String> = self.namespaces().map(|name| format!("netns add {name}")).collect();
        let cable = |from: &Namespace, to: &Namespace, port: &str| {
            let (from, to) = (from.name(), to.name());
            format!("link add eth0 netns {from} type veth peer name {port} netns {to}")
        };
        script.extend(self.machines().map(|machine| cable(&machine.namespace, &self.net, &machine.name)));
        script.push(cable(&self.pod, &self.node.namespace, "pod"));
        ip(&script.join("\n")).expect("namespaces and cables");
    }

    /// What each namespace has to know. Side by side: starting `ip` is slow in an emulated machine.
    fn configure(&self) {
        thread::scope(|scope| {
            scope.spawn(|| self.net.ip(&self.bridge()));
            scope.spawn(|| self.pod.ip(&pod()));
            scope.spawn(|| {
                self.node.namespace.ip(&[join(&self.node), gateway()].join("\n"));
                self.node.namespace.sysctl("net.ipv4.ip_forward", "1");
                // A socket left towards an unplugged master would keep the namespace, and IPVS in it, alive.
                self.node.namespace.sysctl("net.ipv4.tcp_orphan_retries", "1");
                self.node.namespace.sysctl("net.ipv6.conf.all.forwarding", "1");
            });
            for master in &self.masters {
                scope.spawn(|| master.namespace.ip(&[join(master), pod_route()].join("\n")));
            }
        });
    }

    fn bridge(&self) -> String {
        // Snooping would hold back IPv6 neighbour discovery until the bridge has learnt who listens.
        let mut script =
            vec!["link add br0 type bridge mcast_snooping 0".to_owned(), "link set br0 up".to_owned()];
        script.extend(self.machines().map(|machine| format!("link set {} master br0 up", machine.name)));
        script.join("\n")
    }
}

/// A machine's place on the common network. Without `nodad` an IPv6 address is unusable for its first second.
fn join(Machine { ipv4, ipv6, .. }: &Machine) -> String {
    format!(
        "link set lo up\n\
         link set eth0 up\n\
         addr add {ipv4}/24 dev eth0\n\
         addr add {ipv6}/64 dev eth0 nodad"
    )
}

/// The pod's place behind the node.
fn pod() -> String {
    format!(
        "link set lo up\n\
         link set eth0 up\n\
         addr add {POD}/24 dev eth0\n\
         addr add {POD6}/64 dev eth0 nodad\n\
         route add default via {GATEWAY}\n\
         route add default via {GATEWAY6}"
    )
}

/// The node's end of the pod's cable.
fn gateway() -> String {
    format!(
        "link set pod up\n\
         addr add {GATEWAY}/24 dev pod\n\
         addr add {GATEWAY6}/64 dev pod nodad"
    )
}

/// How a master finds the pods.
fn pod_route() -> String {
    format!(
        "route add 10.244.0.0/24 via {NODE}\n\
         route add fd00:244::/64 via {NODE6}"
    )
}

impl Drop for Network {
    fn drop(&mut self) {
        let script: Vec<String> = self.namespaces().map(|name| format!("netns del {name}")).collect();
        // A test that has failed already must not abort over what is left behind.
        let _ = ip(&script.join("\n"));
    }
}

/// Unique among the laboratories of this process and of others.
fn prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("lab{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
