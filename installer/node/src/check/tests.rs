use lvscare::doctor::Severity;
use lvscare::doctor::facts::certificate::Certificate;
use lvscare::doctor::facts::cluster::Cluster;
use lvscare::doctor::facts::daemon::Daemon;
use lvscare::doctor::facts::node::Node;
use lvscare::doctor::facts::process::Guard;
use lvscare::doctor::facts::table::Table;
use lvscare::doctor::facts::visit::{Answer, Visit};
use lvscare::doctor::{facts as doctor, render};
use proptest::prelude::*;

use super::*;
use crate::facts::cluster::Learned;
use crate::facts::kubelet::Joined;
use crate::machine::Closed;
use crate::render::hosts::Foreign;

const MASTERS: [&str; 3] = ["10.0.0.1:6443", "10.0.0.2:6443", "10.0.0.3:6443"];

fn visit(address: &str) -> Visit {
    let certificate = Certificate { has_vip: true, has_name: true, ..Certificate::default() };
    let answer = Ok(Answer { status: 200, ahead: Some(0) });
    Visit { address: address.parse().unwrap(), certificate: Some(certificate), answer }
}

/// A node on which nothing is wrong and nothing is there yet.
pub(super) fn bare() -> Facts {
    let vs = "10.103.97.2:6443".parse().unwrap();
    Facts {
        doctor: doctor::Facts {
            vs,
            name: "apiserver.cluster.local".into(),
            now: 1_788_220_800,
            daemon: Daemon::Absent("127.0.0.1:10261".parse().unwrap()),
            table: Table::NotLoaded,
            servers: MASTERS.map(visit).to_vec(),
            through: Some(Visit {
                address: vs,
                certificate: None,
                answer: Err("no connection in 0.5 s".into()),
            }),
            sources: MASTERS.map(|master| (master.parse().unwrap(), [10, 0, 0, 10].into())).to_vec(),
            node: Node {
                routes: vec![("eth0".into(), "0.0.0.0/0".parse().unwrap())],
                forwards: Some(true),
                ..Node::default()
            },
            cluster: Cluster::default(),
            kube_proxy: None,
            guards: Vec::new(),
            hosts: Some(Vec::new()),
            invalid: None,
        },
        listen: "127.0.0.1:10261".parse().ok(),
        cluster: Learned::NotAsked,
        kubeadm: None,
        service_cidr_told: true,
        masters: 3,
        is_master: false,
        joins: true,
        has_rules: true,
        impossible: None,
        hosts: Ok(Vec::new()),
        hosts_mounted: false,
        root: true,
        kernel: "6.1.0-18-amd64".into(),
        node_name: "worker-1".into(),
        closed: Vec::new(),
        free: vec![("/etc".into(), 1 << 30), ("/var/lib".into(), 1 << 30)],
        archive: 0,
        joined: None,
        authorities: Vec::new(),
        listening: [].into(),
        runtimes: vec![("/run/containerd/containerd.sock".into(), true)],
        containerd: None,
        manifests: Vec::new(),
        former: Vec::new(),
        ipvs: Some(true),
        contradicted: Vec::new(),
        swap: false,
        proxy: None,
        cgroup_v1: false,
        own_masters: Vec::new(),
        cloud_hosts: None,
        name_sources: Some("files dns".into()),
        firewalls: Vec::new(),
        managers: Vec::new(),
        selinux: false,
    }
}

/// What is found on a node that is fine but for one thing.
fn found(damage: impl FnOnce(&mut Facts)) -> Vec<(String, Severity)> {
    let mut facts = bare();
    damage(&mut facts);
    all(&facts).findings.iter().map(|finding| (finding.id.to_string(), finding.severity)).collect()
}

#[test]
fn nothing_is_wrong_with_a_good_node() {
    assert_eq!(found(|_| {}), []);
    // Outside of kubeadm's default it is of no interest what is Services'.
    let elsewhere = |facts: &mut Facts| {
        facts.service_cidr_told = false;
        facts.doctor.vs = "10.200.0.1:6443".parse().unwrap();
    };
    assert_eq!(found(elsewhere), []);
    refuse(&all(&bare())).unwrap();
}

#[test]
fn a_master_is_its_own_way_and_needs_no_ipvs() {
    let master = |facts: &mut Facts| (facts.ipvs, facts.has_rules) = (Some(false), false);
    assert_eq!(found(master), []);
    assert_eq!(found(|facts| facts.ipvs = Some(false)), [("kernel-parts".to_owned(), Severity::Error)]);
}

#[test]
fn a_daemon_that_does_not_answer_yet_is_no_stranger_at_its_port() {
    let mut facts = bare();
    facts.listening = [10261].into();
    assert!(kubernetes::ports(&facts).iter().any(|finding| finding.severity == Severity::Error));
    facts.doctor.guards.push(Guard { name: "lvscare".into(), id: 7, place: "process 7".into() });
    assert!(kubernetes::ports(&facts).iter().all(|finding| finding.severity == Severity::Ok));
}

#[test]
fn each_thing_that_is_wrong_is_found_and_nothing_else() {
    use Severity::{Error, Note, Warning};
    type Damage = fn(&mut Facts);
    let foreign = |facts: &mut Facts| {
        facts.hosts = Ok(vec![Foreign { line: 2, text: "10.0.0.7 apiserver.cluster.local".into() }]);
    };
    let stranger = |facts: &mut Facts| {
        facts.joined = Some(Joined::default());
        for visit in &mut facts.doctor.servers {
            visit.certificate.as_mut().unwrap().is_of_cluster = Some(false);
        }
    };
    let answered = |facts: &mut Facts| {
        facts.doctor.through.as_mut().unwrap().answer = Err("TLS: unexpected message".into());
    };
    let cases: [(&str, Severity, Damage); 48] = [
        ("permission", Error, |facts| facts.root = false),
        ("kernel-version", Warning, |facts| facts.kernel = "3.10.0-1160.el7".into()),
        ("host-name", Error, |facts| facts.node_name = "Worker_1".into()),
        ("not-writable", Error, |facts| facts.closed = vec![("/etc".into(), Closed::ReadOnly)]),
        ("not-writable", Error, |facts| facts.closed = vec![("/etc/hosts".into(), Closed::Immutable)]),
        ("disk-full", Error, |facts| facts.free[0].1 = 4096),
        ("disk-full", Error, |facts| facts.archive = 1 << 30),
        ("hosts-mounted", Warning, |facts| facts.hosts_mounted = true),
        ("other-cluster", Error, stranger),
        ("port-in-use", Error, |facts| facts.listening = [10250].into()),
        ("port-in-use", Warning, |facts| (facts.listening, facts.joins) = ([10250].into(), false)),
        ("port-in-use", Error, |facts| (facts.listening, facts.is_master) = ([2379].into(), true)),
        ("port-in-use", Error, |facts| facts.listening = [10261].into()),
        ("container-runtime", Error, |facts| facts.runtimes[0].1 = false),
        ("container-runtime", Warning, |facts| (facts.runtimes[0].1, facts.joins) = (false, false)),
        ("container-runtime", Error, |facts| {
            facts.containerd = Some("disabled_plugins = [\"cri\"]\nSystemdCgroup = true\n".into());
        }),
        ("cgroup-driver", Warning, |facts| facts.containerd = Some("version = 2\n".into())),
        ("foreign-manifest", Warning, |facts| facts.manifests = vec!["/m/kube-vip.yaml".into()]),
        ("foreign-manifest", Warning, |facts| facts.former = vec!["/m/kube-sealos-lvscare.yaml".into()]),
        ("vip-in-use", Error, answered),
        ("vip-in-service-cidr", Error, |facts| {
            facts.doctor.cluster.services = vec![("10.96.0.0/12".parse().unwrap(), "told".into())];
        }),
        ("service-cidr-unknown", Warning, |facts| facts.service_cidr_told = false),
        ("service-cidr-unknown", Error, |facts| {
            facts.service_cidr_told = false;
            facts.doctor.vs = "10.96.0.1:6443".parse().unwrap();
        }),
        ("sysctl-contradicted", Warning, |facts| facts.contradicted = vec!["net.ipv4.ip_forward = 0".into()]),
        ("not-writable", Error, |facts| facts.closed = vec![("/etc/hosts".into(), Closed::AppendOnly)]),
        ("kernel-parts", Error, |facts| facts.ipvs = Some(false)),
        ("ip-forward", Note, |facts| {
            facts.doctor.vs = "[fd00::2]:6443".parse().unwrap();
            facts.doctor.node.forwards = Some(false);
        }),
        ("even-masters", Note, |facts| facts.masters = 2),
        ("default-route", Note, |facts| facts.doctor.node.routes.clear()),
        ("cgroup-version", Note, |facts| facts.cgroup_v1 = true),
        ("cgroup-version", Warning, |facts| {
            (facts.cgroup_v1, facts.kubeadm) = (true, "v1.34.1".parse().ok());
        }),
        ("cgroup-version", Error, |facts| {
            (facts.cgroup_v1, facts.kubeadm) = (true, "v1.35.0".parse().ok());
        }),
        ("cgroup-version", Warning, |facts| {
            (facts.cgroup_v1, facts.kubeadm, facts.joins) = (true, "v1.35.0".parse().ok(), false);
        }),
        ("proxy", Warning, |facts| facts.proxy = Some("https_proxy")),
        ("master-is-this-node", Error, |facts| {
            facts.own_masters = facts.doctor.servers[..1].iter().map(|visit| visit.address).collect();
        }),
        ("master-is-this-node", Warning, |facts| {
            facts.own_masters = facts.doctor.servers[..1].iter().map(|visit| visit.address).collect();
            facts.joins = false;
        }),
        ("swap", Warning, |facts| facts.swap = true),
        ("cloud-init-hosts", Warning, |facts| facts.cloud_hosts = Some("/etc/cloud/cloud.cfg".into())),
        ("nsswitch-hosts", Warning, |facts| facts.name_sources = Some("dns files".into())),
        ("firewall", Warning, |facts| facts.firewalls = vec!["ufw"]),
        ("route-manager", Note, |facts| facts.managers = vec!["NetworkManager"]),
        ("selinux", Note, |facts| facts.selinux = true),
        ("addresses", Error, |facts| facts.impossible = Some("--vip 10.0.0.1 is ours".into())),
        ("hosts-entry", Error, foreign),
        ("apiserver-unreachable", Warning, |facts| {
            facts.doctor.servers[0].answer = Err("connection refused".into());
        }),
        ("clock-skew", Error, |facts| {
            facts.doctor.servers[0].answer = Ok(Answer { status: 200, ahead: Some(300) });
        }),
        ("kernel-parts", Error, |facts| facts.doctor.table = Table::NoIpvs),
        ("ip-forward", Note, |facts| facts.doctor.node.forwards = Some(false)),
    ];
    for (id, severity, damage) in cases {
        assert_eq!(found(damage), [(id.to_owned(), severity)], "{id}");
    }
    let all_dead = found(|facts| {
        for visit in &mut facts.doctor.servers {
            visit.answer = Err("connection refused".into());
        }
    });
    assert_eq!(all_dead, std::array::from_fn::<_, 3, _>(|_| ("apiserver-unreachable".to_owned(), Error)));
}

#[test]
fn the_cluster_of_a_node_is_known_by_its_authority() {
    let joined = |own: &str, told: &str| {
        found(|facts| {
            facts.joined = Some(Joined { pem: None, authority: Some(own.into()) });
            facts.authorities = vec![told.into()];
        })
    };
    assert_eq!(joined("sha256:aa", "sha256:AA"), []);
    assert_eq!(joined("sha256:aa", "sha256:bb"), [("other-cluster".to_owned(), Severity::Error)]);
}

#[test]
fn all_errors_are_told_at_once() {
    let mut facts = bare();
    (facts.root, facts.swap, facts.joined) = (false, true, Some(Joined::default()));
    facts.closed = vec![("/etc".into(), Closed::ReadOnly)];
    let refusal = refuse(&before(&facts)).unwrap_err();
    assert_eq!(refusal.kind, Kind::Refused);
    insta::assert_snapshot!(refusal.message, @r#"
    the checks refuse this node; nothing was changed:
      permission: this is not root
        fix: sudo lvscare-installer ..
      not-writable: /etc is on a file system that is mounted read-only
        fix: findmnt --target /etc, and mount -o remount,rw what it names
    lvscare-installer node check says more; --skip checks goes on in spite of them
    "#);
    insta::assert_snapshot!(render::render(&before(&facts), false), @r#"
    error    permission: this is not root
             why: routes, rules and the files of a node are root's to change; what
                  root may see was left out
             fix: sudo lvscare-installer ..

    error    not-writable: /etc is on a file system that is mounted read-only
             why: the preparation could not be completed
             fix: findmnt --target /etc, and mount -o remount,rw what it names

    warning  swap: swap is on
             why: kubelet refuses to start unless failSwapOn is false
             fix: swapoff -a, and take it out of /etc/fstab

    10.103.97.2:6443: 2 errors, 1 warning; 18 checks passed
    "#);

    facts.joined = Some(Joined { pem: None, authority: Some("sha256:aa".into()) });
    facts.authorities = vec!["sha256:bb".into()];
    assert_eq!(refuse(&before(&facts)).unwrap_err().kind, Kind::Foreign);
}

proptest! {
    #[test]
    fn no_text_does_harm(kernel in ".{0,12}", name in ".{0,12}", config in "(.|\n){0,60}", sources in ".{0,12}") {
        let mut facts = bare();
        (facts.kernel, facts.node_name) = (kernel, name);
        (facts.containerd, facts.name_sources) = (Some(config), Some(sources));
        let _ = all(&facts);
    }
}
