//! This node's network, as `/proc` shows it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::doctor::subnet::Subnet;
use crate::files;
use crate::kernel::address::{self, InterfaceAddress};
use crate::kernel::{Error, sockets, sysctl};
use crate::model::Sysctl;
use crate::survey::LeftBehind;

/// What was seen of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its addresses.
    pub addresses: Vec<InterfaceAddress>,
    /// The names of its interfaces.
    pub links: Vec<String>,
    /// Its IPv4 routes, by interface.
    pub routes: Vec<(String, Subnet)>,
    /// The interfaces with strict reverse path filtering.
    pub strict: Vec<String>,
    /// Whether it forwards packets of the family of the virtual address.
    pub forwards: Option<bool>,
    /// Every virtual server in the kernel's table.
    pub services: Vec<SocketAddr>,
    /// What lvscare made here and nobody guards, besides the virtual server asked about.
    pub left_behind: Vec<LeftBehind>,
    /// Whether idle connections to a dead server can be cut.
    pub cuts: Option<bool>,
    /// `net.ipv4.vs.conntrack`: IPVS shows its connections to connection tracking.
    pub tracked: Option<bool>,
    /// `net.netfilter.nf_conntrack_tcp_be_liberal`: connection tracking takes little for invalid.
    pub liberal: Option<bool>,
    /// `net.ipv4.vs.conn_reuse_mode`, on a kernel where that should be 0.
    pub reuse_mode: Option<u32>,
}

impl Node {
    /// The interface of the best route to an IPv4 address.
    pub fn link_towards(&self, address: IpAddr) -> Option<&str> {
        let fitting = self.routes.iter().filter(|(_, subnet)| subnet.holds(address));
        fitting.max_by_key(|(_, subnet)| subnet.prefix).map(|(link, _)| link.as_str())
    }
}

/// Looks at everything.
pub(super) fn look(vip: IpAddr) -> Node {
    let links = read("/proc/net/dev").map(|text| links(&text)).unwrap_or_default();
    let family = if vip.is_ipv4() { "ipv4/ip_forward" } else { "ipv6/conf/all/forwarding" };
    Node {
        addresses: address::list().unwrap_or_default(),
        strict: strict(&links, |link| setting(&format!("ipv4/conf/{link}/rp_filter"))),
        links,
        routes: read("/proc/net/route").map(|text| routes(&text)).unwrap_or_default(),
        forwards: setting(family).map(|value| value != 0),
        services: read("/proc/net/ip_vs").map(|text| services(&text)).unwrap_or_default(),
        left_behind: Vec::new(),
        cuts: match sockets::warm_up() {
            Ok(()) => Some(true),
            Err(Error::NoSocketDestroy) => Some(false),
            Err(_) => None,
        },
        tracked: setting("ipv4/vs/conntrack").map(|value| value != 0),
        liberal: setting("netfilter/nf_conntrack_tcp_be_liberal").map(|value| value != 0),
        reuse_mode: setting("ipv4/vs/conn_reuse_mode")
            .filter(|_| sysctl::needed().contains(&Sysctl::ConnReuseMode)),
    }
}

/// How many packets connection tracking has taken for invalid so far; `None`: it does not run.
pub(super) fn invalid() -> Option<u64> {
    column(&read("/proc/net/stat/nf_conntrack")?, "invalid")
}

/// The sum of a column of hexadecimal numbers: a line of names, and a line for each processor.
fn column(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let at = lines.next()?.split_whitespace().position(|word| word == name)?;
    let number = |line: &str| u64::from_str_radix(line.split_whitespace().nth(at)?, 16).ok();
    Some(lines.filter_map(number).sum())
}

fn read(path: &str) -> Option<String> {
    files::read_text(Path::new(path)).ok()
}

fn setting(name: &str) -> Option<u32> {
    read(&format!("/proc/sys/net/{name}"))?.trim().parse().ok()
}

/// The addresses that the hosts file at `path` gives `name`, in its order and in one family.
pub(super) fn hosts(path: &Path, name: &str, v4: bool) -> Option<Vec<IpAddr>> {
    let text = files::read_text(path).ok()?;
    let entries = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        (address.is_ipv4() == v4 && words.any(|word| word.eq_ignore_ascii_case(name))).then_some(address)
    });
    Some(entries.collect())
}

/// The kernel takes the stricter of an interface's own setting and that of `all`; 1 is strict, 2 is loose.
fn strict(links: &[String], setting: impl Fn(&str) -> Option<u32>) -> Vec<String> {
    let all = setting("all").unwrap_or(0);
    links.iter().filter(|link| setting(link).is_some_and(|own| own.max(all) == 1)).cloned().collect()
}

/// `eth0: 1234 ..` below two lines of headings.
fn links(text: &str) -> Vec<String> {
    let names = text.lines().skip(2).filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

/// `eth0 0000000A 00000000 0001 0 0 0 00FFFFFF ..`: addresses as the processor stores them.
fn routes(text: &str) -> Vec<(String, Subnet)> {
    let route = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| Some(u32::from_str_radix(words.get(at)?, 16).ok()?.to_ne_bytes());
        let prefix = u32::from_be_bytes(number(7)?).leading_ones();
        let address = Ipv4Addr::from(number(1)?).into();
        Some(((*words.first()?).to_owned(), Subnet { address, prefix: u8::try_from(prefix).ok()? }))
    };
    text.lines().skip(1).filter_map(route).collect()
}

/// `TCP  0A676102:192B rr` or `TCP  [fd00:..:0002]:192B rr`, with `FWM` and destinations in other forms.
fn services(text: &str) -> Vec<SocketAddr> {
    let service = |line: &str| {
        let (protocol, rest) = line.split_once(char::is_whitespace)?;
        let (address, port) = rest.split_whitespace().next()?.rsplit_once(':')?;
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            return None;
        }
        let address = match address.strip_prefix('[') {
            Some(v6) => IpAddr::V6(v6.strip_suffix(']')?.parse().ok()?),
            None => IpAddr::V4(Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?)),
        };
        Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
    };
    text.lines().filter_map(service).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn services_are_read_as_the_kernel_writes_them() {
        let text = "IP Virtual Server version 1.2.1 (size=4096)\n\
                    Prot LocalAddress:Port Scheduler Flags\n  \
                      -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n\
                    TCP  0A676102:192B rr  \n  \
                      -> 0A000001:192B      Masq    1      0          0         \n\
                    UDP  0A60000A:0035 rr  \n\
                    TCP  [fd00:0103:0000:0000:0000:0000:0000:0002]:192B rr \n\
                    FWM  00000001 rr  \n";
        let wanted = ["10.103.97.2:6443", "10.96.0.10:53", "[fd00:103::2]:6443"];
        assert_eq!(services(text), wanted.map(|text| text.parse().unwrap()));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_longest_prefix_shows_the_way() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    eth1\t0000010A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let node = Node { routes: routes(text), ..Node::default() };
        assert_eq!(node.link_towards([10, 1, 0, 7].into()), Some("eth1"));
        assert_eq!(node.link_towards([10, 0, 0, 7].into()), Some("eth0"));
    }

    #[test]
    fn the_stricter_filter_wins() {
        let links = ["eth0", "eth1", "eth2"].map(str::to_owned);
        let filter = |all: u32| {
            strict(&links, move |link| match link {
                "all" => Some(all),
                "eth0" => Some(0),
                "eth1" => Some(1),
                _ => Some(2),
            })
        };
        assert_eq!(filter(0), ["eth1"]);
        assert_eq!(filter(1), ["eth0", "eth1"]);
        assert_eq!(filter(2), [""; 0]);
    }

    #[test]
    fn hosts_of_one_name_and_family() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        let text =
            "127.0.0.1 localhost\n# 10.0.0.9 api\n10.0.0.1 m1 API # first\nfd00::1 api\n10.0.0.2 api api2\n";
        fs::write(&path, text).unwrap();
        let addresses = |v4| hosts(&path, "api", v4).unwrap();
        assert_eq!(addresses(true), [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])]);
        assert_eq!(addresses(false).len(), 1);
        assert_eq!(hosts(&directory.path().join("none"), "api", true), None);
    }

    #[test]
    fn processors_count_apart() {
        let text = "entries  clashres found new invalid ignore\n\
                    00000008  00000000 00000000 00000000 0000000f 00000000\n\
                    00000008  00000000 00000000 00000000 00000002 00000000\n";
        assert_eq!(column(text, "invalid"), Some(17));
        assert_eq!(column(text, "insert"), None);
    }

    #[test]
    fn interfaces_are_named() {
        let text = "Inter-|   Receive\n face |bytes\n    lo: 0 0\nkube-ipvs0:       0       0\n";
        assert_eq!(links(text), ["lo", "kube-ipvs0"]);
    }
}
