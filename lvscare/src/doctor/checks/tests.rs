use super::*;
use crate::doctor::facts::certificate::Certificate;
use crate::doctor::facts::cluster::{Cluster, KubeProxy};
use crate::doctor::facts::daemon::Daemon;
use crate::doctor::facts::node::Node;
use crate::doctor::facts::process::Guard;
use crate::doctor::facts::table::Table;
use crate::doctor::facts::visit::{Answer, Visit};
use crate::doctor::{Report, Severity};
use crate::health::pool::Mode;
use crate::kernel::address::InterfaceAddress;
use crate::model::RouteOwner;
use crate::status::{Daemon as About, RealServer, Status, VirtualServer};
use crate::survey::LeftBehind;

/// The 1st of September 2026.
const NOW: u64 = 1_788_220_800;
const DAY: u64 = 86_400;
const SERVERS: [&str; 2] = ["10.0.0.1:6443", "10.0.0.2:6443"];

/// Every check has a name of its own.
fn id(finding: &Finding) -> &'static str {
    match finding.id {
        std::borrow::Cow::Borrowed(id) => id,
        std::borrow::Cow::Owned(_) => "told by somebody else",
    }
}

fn visit(address: &str) -> Visit {
    let certificate = Certificate {
        not_before: Some(NOW - 100 * DAY),
        not_after: Some(NOW + 200 * DAY),
        has_vip: true,
        has_name: true,
        is_of_cluster: None,
    };
    Visit {
        address: address.parse().unwrap(),
        certificate: Some(certificate),
        answer: Ok(Answer { status: 200, ahead: Some(-1) }),
    }
}

fn service() -> VirtualServer {
    let server = |address: &str| RealServer {
        address: address.parse().unwrap(),
        weight: Some(1),
        active: 0,
        inactive: 0,
        health: None,
        drained_seconds: None,
    };
    VirtualServer {
        address: "10.103.97.2:6443".parse().unwrap(),
        scheduler: Some("rr".into()),
        route_source: Some([10, 0, 0, 10].into()),
        mode: Some(Mode::Normal),
        self_probe: None,
        masters: None,
        traffic: crate::model::Traffic::default(),
        real_servers: SERVERS.map(server).to_vec(),
    }
}

fn status(repairs: u64) -> Status {
    let about = About {
        version: "0.1.0".into(),
        uptime_seconds: 60.0,
        last_pass_seconds: 0.5,
        repairs,
        problems: Vec::new(),
        notes: Vec::new(),
        configuration: crate::status::Reloads::default(),
        process: "process 7".into(),
    };
    Status { daemon: Some(about), virtual_servers: vec![service()], bare_routes: Vec::new() }
}

fn route(link: &str, subnet: &str) -> (String, crate::doctor::subnet::Subnet) {
    (link.into(), subnet.parse().unwrap())
}

fn guard(name: &str, id: u32) -> Guard {
    Guard { name: name.into(), id, place: format!("process {id}") }
}

/// A node on which all is well.
fn healthy() -> Facts {
    Facts {
        vs: "10.103.97.2:6443".parse().unwrap(),
        name: "apiserver.cluster.local".into(),
        now: NOW,
        daemon: Daemon::Seen { first: status(0), later: Some(status(0)) },
        table: Table::Seen {
            service: service(),
            route: Some(RouteOwner::Ours),
            of_others: None,
            expire_nodest: Some(1),
        },
        servers: SERVERS.map(visit).to_vec(),
        through: Some(visit("10.103.97.2:6443")),
        sources: SERVERS.map(|server| (server.parse().unwrap(), [10, 0, 0, 10].into())).to_vec(),
        node: Node {
            addresses: vec![InterfaceAddress { address: [10, 0, 0, 10].into(), prefix: 24 }],
            links: vec!["lo".into(), "eth0".into()],
            routes: vec![route("eth0", "10.0.0.0/24"), route("eth1", "10.1.0.0/24")],
            strict: vec!["eth0".into(), "eth1".into()],
            forwards: Some(true),
            services: vec!["10.103.97.2:6443".parse().unwrap()],
            left_behind: Vec::new(),
            cuts: Some(true),
            tracked: Some(false),
            liberal: Some(true),
            reuse_mode: Some(0),
        },
        cluster: Cluster {
            services: vec![("10.96.0.0/22".parse().unwrap(), "--service-cidr".into())],
            pods: vec![("10.244.0.0/16".parse().unwrap(), "--pod-cidr".into())],
            dns: vec![[10, 96, 0, 10].into()],
        },
        kube_proxy: Some(KubeProxy {
            mode: "iptables".into(),
            origin: "file".into(),
            ..KubeProxy::default()
        }),
        guards: vec![guard("lvscare", 7)],
        hosts: Some(vec![[10, 103, 97, 2].into()]),
        invalid: Some(0),
    }
}

/// What is found on a node that is healthy but for one thing.
fn found(damage: impl FnOnce(&mut Facts)) -> Vec<(&'static str, Severity, String)> {
    let mut facts = healthy();
    damage(&mut facts);
    let findings = Report::of(&facts).findings;
    findings.into_iter().map(|finding| (id(&finding), finding.severity, finding.seen)).collect()
}

#[track_caller]
fn assert_one(found: &[(&'static str, Severity, String)], id: &str, severity: Severity, seen: &str) {
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].1), (id, severity), "{found:?}");
    assert!(found[0].2.contains(seen), "{found:?}");
}

fn certificate(facts: &mut Facts) -> &mut Certificate {
    facts.servers[1].certificate.as_mut().unwrap()
}

fn about(facts: &mut Facts) -> (&mut About, &mut VirtualServer) {
    let Daemon::Seen { first, .. } = &mut facts.daemon else { panic!("a daemon") };
    (first.daemon.as_mut().unwrap(), &mut first.virtual_servers[0])
}

#[test]
fn a_drained_apiserver_is_a_note_after_a_day() {
    let after = |seconds| found(|facts| about(facts).1.real_servers[0].drained_seconds = Some(seconds));
    assert_eq!(after(80_000.0), []);
    assert_one(&after(100_000.0), "drained", Severity::Note, "drained 10.0.0.1:6443 1d03h ago");
}

#[test]
fn a_healthy_node_has_no_finding_and_every_check_says_so() {
    let report = Report::of(&healthy());
    assert!(report.healthy);
    assert_eq!(report.findings, []);
    assert_eq!(report.passed.len(), ALL.len());
    // Whatever is found on a sick node says why it matters and what mends it.
    let blind = Report::of(&Facts {
        daemon: Daemon::Absent("127.0.0.1:10261".parse().unwrap()),
        table: Table::NotPermitted,
        servers: Vec::new(),
        through: None,
        sources: Vec::new(),
        node: Node::default(),
        cluster: Cluster::default(),
        kube_proxy: None,
        guards: Vec::new(),
        hosts: None,
        ..healthy()
    });
    assert!(blind.findings.iter().all(|finding| finding.why.is_some() && finding.fix.is_some()));
    let ids: Vec<&str> = blind.findings.iter().map(id).collect();
    assert_eq!(ids, ["daemon", "apiserver-unreachable", "kernel-parts"]);
}

#[test]
fn virtual_address_in_a_range_of_the_cluster() {
    let one = found(|facts| facts.cluster.services[0].0 = "10.96.0.0/12".parse().unwrap());
    assert_one(
        &one,
        "vip-in-service-cidr",
        Severity::Error,
        "10.96.0.0/12, kubeadm's default (--service-cidr)",
    );
    let one = found(|facts| facts.cluster.services.clear());
    assert_one(&one, "vip-in-service-cidr", Severity::Note, "the Service CIDR is not known here");
    let one = found(|facts| facts.cluster.pods[0].0 = "10.0.0.0/8".parse().unwrap());
    assert_one(&one, "vip-in-pod-cidr", Severity::Error, "Pod CIDR 10.0.0.0/8");
}

#[test]
fn names_in_the_certificate() {
    let id = "vip-not-in-certificate";
    let one = found(|facts| certificate(facts).has_vip = false);
    assert_one(
        &one,
        id,
        Severity::Warning,
        "the certificate of 10.0.0.2:6443 is for apiserver.cluster.local but not",
    );
    let both = |facts: &mut Facts| (certificate(facts).has_vip, certificate(facts).has_name) = (false, false);
    assert_one(
        &found(both),
        id,
        Severity::Error,
        "10.0.0.2:6443 is neither for 10.103.97.2 nor for apiserver.",
    );
    let one = found(|facts| certificate(facts).has_name = false);
    assert_one(&one, id, Severity::Warning, "not for apiserver.cluster.local");
    // Where nobody uses the name, nobody misses it.
    let note = found(|facts| {
        certificate(facts).has_name = false;
        facts.hosts = Some(Vec::new());
    });
    assert_one(&note, "hosts-entry", Severity::Note, "does not know");
}

#[test]
fn dates_of_the_certificate() {
    let end = |days: u64| found(move |facts| certificate(facts).not_after = Some(NOW + days * DAY));
    assert_one(
        &end(29),
        "certificate-expires-soon",
        Severity::Warning,
        "expires in 29 days, on Wed, 30 Sep 2026",
    );
    assert_one(&end(1), "certificate-expires-soon", Severity::Warning, "in 1 day,");
    assert_eq!(end(30), []);
    let one = found(|facts| certificate(facts).not_after = Some(NOW - 1));
    assert_one(&one, "certificate-expired", Severity::Error, "10.0.0.2:6443 expired on Mon, 31 Aug 2026");
    let one = found(|facts| certificate(facts).not_before = Some(NOW + 1));
    assert_one(&one, "clock-skew", Severity::Error, "10.0.0.2:6443 is not valid yet: this node's clock says");
    assert_eq!(found(|facts| certificate(facts).not_after = Some(u64::MAX)), []);
}

#[test]
fn clocks() {
    let skew = |both: [i64; 2]| {
        let mut facts = healthy();
        for (visit, ahead) in facts.servers.iter_mut().zip(both) {
            visit.answer = Ok(Answer { status: 200, ahead: Some(ahead) });
        }
        servers::clocks(&facts).remove(0)
    };
    assert_eq!(skew([60, -60]).severity, Severity::Ok);
    let all = skew([61, 62]);
    assert_eq!(all.severity, Severity::Error);
    assert!(all.seen.contains("the clock of 10.0.0.1:6443 is 61 s ahead of this node's"), "{}", all.seen);
    assert!(all.fix.unwrap().starts_with("on this node"));
    let one = skew([-3600, 0]);
    assert!(one.seen.contains("10.0.0.1:6443 is 3600 s behind this node's"), "{}", one.seen);
    assert!(one.fix.unwrap().starts_with("there"));
}

#[test]
fn apiservers_and_the_way_to_them() {
    let one = found(|facts| facts.servers[1].answer = Err("connection refused".into()));
    assert_one(
        &one,
        "apiserver-unreachable",
        Severity::Error,
        "10.0.0.2:6443 does not answer: connection refused",
    );
    let one = found(|facts| facts.servers[1].answer = Ok(Answer { status: 500, ahead: None }));
    assert_one(&one, "apiserver-unreachable", Severity::Error, "answers /healthz with HTTP 500");
    assert_eq!(found(|facts| facts.servers[1].answer = Ok(Answer { status: 401, ahead: None })), []);
    let one = found(|facts| facts.through.as_mut().unwrap().answer = Err("connection refused".into()));
    assert_one(&one, "vip-unreachable", Severity::Error, "10.103.97.2:6443 does not answer");
}

#[test]
fn kube_proxy() {
    let mode = |mode: &str, excluded: &str| {
        let proxy = KubeProxy {
            mode: mode.into(),
            excluded: crate::doctor::subnet::list(excluded),
            ..KubeProxy::default()
        };
        found(|facts| {
            facts.kube_proxy = Some(proxy);
            facts.node.links.push("kube-ipvs0".into());
        })
    };
    assert_one(&mode("ipvs", "10.0.0.0/24"), "kube-proxy-ipvs", Severity::Error, "excludeCIDRs do not hold");
    assert_eq!(mode("ipvs", "10.103.97.2/32"), []);
    assert_one(&mode("nftables", ""), "kube-proxy-ipvs", Severity::Note, "mode nftables");
    assert_eq!(mode("iptables", ""), []);

    let unknown = |damage: fn(&mut Node)| {
        found(|facts| {
            facts.kube_proxy = None;
            damage(&mut facts.node);
        })
    };
    assert_eq!(unknown(|_| ()), []);
    let one = unknown(|node| node.links.push("kube-ipvs0".into()));
    assert_one(&one, "kube-proxy-ipvs", Severity::Warning, "kube-ipvs0 is here");
    let own = found(|facts| {
        facts.kube_proxy = None;
        let other = VirtualServer { address: "10.103.97.3:6443".parse().unwrap(), ..service() };
        facts.node.services.push(other.address);
        let Daemon::Seen { first, .. } = &mut facts.daemon else { panic!("a daemon") };
        first.virtual_servers.push(other);
    });
    assert_eq!(own, []);
    let one = unknown(|node| node.services.push("10.96.0.1:443".parse().unwrap()));
    assert_one(
        &one,
        "kube-proxy-ipvs",
        Severity::Warning,
        "a virtual server of others, such as 10.96.0.1:443",
    );
}

#[test]
fn ways_that_differ() {
    let astray = |strict: &'static str| {
        found(move |facts| {
            facts.sources[1] = ("10.1.0.2:6443".parse().unwrap(), [10, 1, 0, 10].into());
            facts.node.strict = vec![strict.into()];
        })
    };
    let both = astray("eth0");
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both[0].2.contains("10.0.0.1:6443 from 10.0.0.10 and 10.1.0.2:6443 from 10.1.0.10"), "{both:?}");
    assert_one(&both[1..], "rp-filter", Severity::Warning, "eth0 has strict reverse path filtering");
    assert_one(&astray("eth1"), "different-sources", Severity::Warning, "");
}

#[test]
fn firewalls_that_drop_what_seems_invalid() {
    let id = "firewall-drops-invalid";
    let silent = |tracked: bool, invalid: u64| {
        found(move |facts| {
            facts.node.tracked = Some(tracked);
            facts.invalid = Some(invalid);
            facts.through.as_mut().unwrap().answer = Err("no connection in 0.8 s".into());
        })
    };
    let both = silent(false, 2);
    assert_eq!(both.len(), 2, "{both:?}");
    assert_one(&both[1..], id, Severity::Error, "meanwhile 2 packets seemed to belong to no connection");
    // Then it is something else.
    assert_eq!(silent(true, 2).len(), 1);
    assert_eq!(silent(false, 0).len(), 1);
    // Invalid packets of others, or an earlier rule that lets the answers in.
    assert_eq!(found(|facts| facts.invalid = Some(2)), []);

    let proxy = |mode: &str, liberal: bool, tracked: bool| {
        let proxy = KubeProxy { mode: mode.into(), ..KubeProxy::default() };
        found(|facts| {
            facts.kube_proxy = Some(proxy);
            (facts.node.liberal, facts.node.tracked) = (Some(liberal), Some(tracked));
        })
    };
    assert_one(&proxy("iptables", false, false), id, Severity::Warning, "kube-proxy in mode iptables drops");
    assert_eq!(proxy("iptables", true, false), []);
    assert_eq!(proxy("iptables", false, true), []);
    assert_eq!(proxy("nftables", false, false).len(), 1);
}

#[test]
fn kernel_and_node() {
    let one = found(|facts| facts.table = Table::NoIpvs);
    assert_one(&one, "kernel-parts", Severity::Error, "no IPVS");
    let one = found(|facts| facts.node.cuts = Some(false));
    assert_one(&one, "kernel-parts", Severity::Warning, "cannot cut connections");
    let zero = |facts: &mut Facts| {
        let Table::Seen { expire_nodest, .. } = &mut facts.table else { panic!("a table") };
        *expire_nodest = Some(0);
    };
    assert_one(&found(zero), "kernel-parts", Severity::Warning, "expire_nodest_conn is 0");
    let one = found(|facts| facts.node.reuse_mode = Some(1));
    assert_one(&one, "kernel-parts", Severity::Note, "conn_reuse_mode is 1 on a kernel before 5.9");
    let one = found(|facts| facts.node.forwards = Some(false));
    assert_one(&one, "ip-forward", Severity::Warning, "net.ipv4.ip_forward is 0");
}

#[test]
fn hosts_entries() {
    let entries = |entries: &[[u8; 4]]| {
        let entries = entries.iter().map(|&entry| entry.into()).collect();
        found(|facts| facts.hosts = Some(entries))
    };
    assert_one(&entries(&[]), "hosts-entry", Severity::Note, "does not know apiserver.cluster.local");
    assert_one(
        &entries(&[[10, 0, 0, 1]]),
        "hosts-entry",
        Severity::Warning,
        "to 10.0.0.1 and not to 10.103.97.2",
    );
    assert_one(&entries(&[[10, 0, 0, 10]]), "hosts-entry", Severity::Note, "an address of this node");
    let twice = [[10, 103, 97, 2], [10, 0, 0, 1]];
    assert_one(&entries(&twice), "hosts-entry", Severity::Warning, "2 entries for apiserver.cluster.local");
}

#[test]
fn guards_of_the_same_address() {
    let id = "another-guard";
    let one = found(|facts| facts.guards.push(guard("lvscare", 8)));
    assert_one(&one, id, Severity::Warning, "lvscare (process 7) and lvscare (process 8)");
    let one = found(|facts| facts.guards = vec![guard("keepalived", 8)]);
    assert_one(&one, id, Severity::Warning, "keepalived (process 8)");
    let one = found(|facts| {
        facts.node.addresses.push(InterfaceAddress { address: [10, 103, 97, 2].into(), prefix: 32 });
    });
    assert_one(&one, id, Severity::Error, "an address of an interface");
    let one = found(|facts| facts.daemon = Daemon::Seen { first: status(3), later: Some(status(4)) });
    assert_one(&one, id, Severity::Warning, "while it was watched (4 since it started)");
}

#[test]
fn the_daemon() {
    let listen = "127.0.0.1:10261".parse().unwrap();
    let one = found(|facts| facts.daemon = Daemon::Absent(listen));
    assert_one(&one, "daemon", Severity::Warning, "the kernel still has 10.103.97.2:6443");
    let one = found(|facts| {
        facts.daemon = Daemon::Absent(listen);
        facts.table = Table::Failed("x".into());
    });
    assert_eq!(one.len(), 2);
    assert!(one[0].2.contains("and the kernel has no 10.103.97.2:6443"), "{one:?}");
    let one = found(|facts| facts.daemon = Daemon::Silent(listen, "no answer in 0.8 s".into()));
    assert_one(&one, "daemon", Severity::Error, "does not answer as lvscare does: no answer");
    let one = found(|facts| about(facts).0.problems.push("contested".into()));
    assert_one(&one, "daemon", Severity::Error, "the daemon says: contested");
    let one = found(|facts| about(facts).1.mode = Some(Mode::LastResort));
    assert_one(&one, "daemon", Severity::Error, "no apiserver is healthy");
    let one = found(|facts| about(facts).1.address = "10.103.97.3:6443".parse().unwrap());
    assert_one(&one, "daemon", Severity::Error, "it guards 10.103.97.3:6443");
    assert_eq!(found(|facts| facts.daemon = Daemon::NotAsked), []);
}

#[test]
fn what_nobody_guards() {
    let id = "left-behind";
    let left = |left: LeftBehind| found(|facts| facts.node.left_behind.push(left));
    let service = LeftBehind::Service("10.103.97.3:5000".parse().unwrap());
    assert_one(&left(service), id, Severity::Warning, "virtual server 10.103.97.3:5000 was made by lvscare");
    let route = LeftBehind::Route([10, 103, 97, 3].into());
    assert_one(&left(route), id, Severity::Warning, "local route 10.103.97.3 was made by lvscare");
}

#[test]
fn a_virtual_server_of_somebody_else() {
    let theirs = |facts: &mut Facts| {
        let Table::Seen { of_others, route, .. } = &mut facts.table else { panic!("a table") };
        (*of_others, *route) = (Some("scheduler wlc, persistent, no real server".into()), None);
    };
    // Whoever guards it has said so.
    assert_eq!(found(theirs), []);
    let one = found(|facts| {
        theirs(facts);
        facts.daemon = Daemon::NotAsked;
    });
    assert_one(&one, "foreign-virtual-server", Severity::Warning, "not known to be lvscare's: scheduler wlc");
}

/// Masters that were all replaced look like masters that are all down.
#[test]
fn a_list_that_may_be_old() {
    let mut facts = healthy();
    for visit in facts.servers.iter_mut().chain(&mut facts.through) {
        visit.answer = Err("connection refused".into());
    }
    let report = Report::of(&facts);
    let through = report.findings.iter().find(|finding| finding.id == "vip-unreachable").unwrap();
    assert!(through.fix.as_ref().is_some_and(|fix| fix.contains("--rs")), "{through:?}");
}
