//! Whole plans, as people see them.

use std::net::SocketAddr;
use std::time::Duration;

use lvscare::doctor::{Finding, Report};
use node::agent::task::Hook;
use node::api::ClusterNode;
use node::api::etcd::{EtcdHealth, EtcdMember};
use node::facts::machine::MachineFacts;
use node::spec::NodeSpec;
use node::spec::masters::Master;
use proptest::prelude::*;

use super::check::check;
use super::credentials::{CHANCE, Credentials};
use super::members::Member;
use super::*;
use crate::inventory::Role;

const AUTHORITY: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn address(host: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(host + 1).unwrap()])
}

fn member(host: usize, role: Role) -> Member {
    let facts = MachineFacts {
        kernel: "6.1.0".to_owned(),
        arch: "x86_64".to_owned(),
        name: format!("host{}", host + 1),
        clock: 1_800_000_000_000,
        addresses: vec![address(host)],
        joined: None,
        is_joining: false,
        has_etcd: false,
        versions: ["kubeadm", "kubelet"].map(|name| (name.to_owned(), "v1.20.2".to_owned())).into(),
        units: [].into(),
        cri_sockets: vec!["/run/containerd/containerd.sock".to_owned()],
        free: None,
        is_prepared: false,
        packages: Vec::new(),
    };
    Member { host, name: address(host).to_string(), address: address(host), role, facts }
}

/// So many masters and nodes, of which the first ones have joined.
fn members(masters: usize, working: usize, nodes: usize, joined: usize) -> Vec<Member> {
    let mut all: Vec<_> = (0..masters).map(|host| member(host, Role::Master)).collect();
    all.extend((masters..masters + nodes).map(|host| member(host, Role::Node)));
    for (index, member) in all.iter_mut().enumerate() {
        let is_in = if index < masters { index < working } else { index - masters < joined };
        member.facts.joined = is_in.then(|| AUTHORITY.to_owned());
        member.facts.has_etcd = is_in && index < masters;
        member.facts.is_prepared = is_in;
    }
    all
}

fn wanted(masters: usize) -> join::Wanted {
    let masters = (0..masters).map(|host| Master::At(SocketAddr::new(address(host), 6443)));
    join::Wanted {
        version: "v1.20.2".parse().unwrap(),
        spec: NodeSpec {
            vip: "10.103.97.2:6443".parse().unwrap(),
            masters: masters.collect(),
            name: "apiserver.cluster.local".to_owned(),
            node_ip: None,
            image: "docker.io/library/lvscare:0.1.0".to_owned(),
            service_cidrs: Vec::new(),
            pod_cidrs: Vec::new(),
            daemon_args: Vec::new(),
        },
        cluster: String::new(),
        port: 6443,
        ignore_preflight_errors: Vec::new(),
        until: 5_000_000_000,
        wait: Duration::from_secs(60),
        token_id: "abcdef".to_owned(),
        snapshot: "/var/lib/lvscare-installer/etcd-run.db".into(),
        known_to_etcd: Vec::new(),
        package: None,
    }
}

#[track_caller]
fn shows(plan: &Plan, expected: &str) {
    let lines = plan.lines(|host| address(host).to_string());
    assert_eq!(format!("\n{}\n", lines.join("\n")), expected);
}

#[test]
fn a_cluster_is_made_of_nothing() {
    shows(
        &join::plan(&members(3, 0, 2, 0), &wanted(3)),
        "
the first master
  10.0.0.1
    let apiserver.cluster.local mean 10.0.0.1
    write kubeadm's configuration
    kubeadm: certificates
    give the certificates a later end
    kubeadm: kubeconfigs
    give the certificates a later end
    kubeadm init
    read the cluster's authority
masters, one by one
  10.0.0.1
    wait until all members of etcd are well
    save etcd to /var/lib/lvscare-installer/etcd-run.db
  10.0.0.2
    let apiserver.cluster.local mean a master, write kubeadm's configuration
    kubeadm join phase control-plane-prepare download-certs --config /var/lib/lvscare-installer/kubeadm-join.yaml
    kubeadm join phase control-plane-prepare certs --config /var/lib/lvscare-installer/kubeadm-join.yaml
    kubeadm join phase control-plane-prepare kubeconfig --config /var/lib/lvscare-installer/kubeadm-join.yaml
    give the certificates a later end
    kubeadm join
    let apiserver.cluster.local mean 10.0.0.2
  10.0.0.1
    wait until all members of etcd are well
  10.0.0.3
    let apiserver.cluster.local mean a master, write kubeadm's configuration
    kubeadm join phase control-plane-prepare download-certs --config /var/lib/lvscare-installer/kubeadm-join.yaml
    kubeadm join phase control-plane-prepare certs --config /var/lib/lvscare-installer/kubeadm-join.yaml
    kubeadm join phase control-plane-prepare kubeconfig --config /var/lib/lvscare-installer/kubeadm-join.yaml
    give the certificates a later end
    kubeadm join
    let apiserver.cluster.local mean 10.0.0.3
  10.0.0.1
    wait until all members of etcd are well
nodes, many at once
  10.0.0.4, 10.0.0.5
    rules for 10.103.97.2:6443, apiserver.cluster.local, the static pod, kubeadm's configuration
    kubeadm join
    wait for the daemon, and look whether all is as it should be
the end
  10.0.0.1
    delete the token
",
    );
}

#[test]
fn only_what_is_missing_joins_and_nodes_learn_of_it() {
    shows(
        &join::plan(&members(2, 1, 2, 1), &wanted(2)),
        "
a token
  10.0.0.1
    read the cluster's authority
    make a token, and leave the certificates for other masters
masters, one by one
  10.0.0.1
    wait until all members of etcd are well
    save etcd to /var/lib/lvscare-installer/etcd-run.db
  10.0.0.2
    let apiserver.cluster.local mean a master, write kubeadm's configuration
    kubeadm join phase control-plane-prepare download-certs --config /var/lib/lvscare-installer/kubeadm-join.yaml
    kubeadm join phase control-plane-prepare certs --config /var/lib/lvscare-installer/kubeadm-join.yaml
    kubeadm join phase control-plane-prepare kubeconfig --config /var/lib/lvscare-installer/kubeadm-join.yaml
    give the certificates a later end
    kubeadm join
    let apiserver.cluster.local mean 10.0.0.2
  10.0.0.1
    wait until all members of etcd are well
nodes
  10.0.0.4
    rules for 10.103.97.2:6443, apiserver.cluster.local, the static pod, kubeadm's configuration
    kubeadm join
    wait for the daemon, and look whether all is as it should be
masters, told to nodes
  10.0.0.3
    know 2 masters
the end
  10.0.0.1
    delete the token
",
    );
    let complete = join::plan(&members(3, 3, 2, 2), &wanted(3));
    shows(&complete, "\nmasters, told to nodes, many at once\n  10.0.0.4, 10.0.0.5\n    know 3 masters\n");
}

#[test]
fn what_a_join_left_half_done_is_taken_back_first() {
    let mut members = members(1, 1, 1, 0);
    members[1].facts.is_joining = true;
    members[1].facts.joined = Some(AUTHORITY.to_owned());
    let plan = join::plan(&members, &wanted(1));
    let titles: Vec<_> = plan.phases[1].work[0].1.iter().map(Step::title).collect();
    assert_eq!(titles[0], "kubeadm reset");
    assert_eq!(titles[2], "kubeadm join");
    // A master may be a member of etcd already, which is asked before anything is done there.
    let mut members = self::members(2, 1, 0, 0);
    members[1].facts.is_joining = true;
    let wanted = join::Wanted { known_to_etcd: vec![address(1)], ..wanted(2) };
    let plan = join::plan(&members, &wanted);
    let titles = |work: usize| plan.phases[1].work[work].1.iter().map(Step::title).collect::<Vec<_>>();
    assert_eq!(
        titles(0)[..2],
        ["let 10.0.0.2 be no member of etcd", "wait until all members of etcd are well"]
    );
    assert_eq!((plan.phases[1].work[1].0, titles(1)[0].as_str()), (1, "kubeadm reset"));
}

fn nodes(members: &[Member]) -> Vec<ClusterNode> {
    let of = |member: &Member| ClusterNode {
        name: member.facts.name.clone(),
        addresses: vec![member.address],
        is_master: member.role == Role::Master,
        kubelet: "v1.20.2".to_owned(),
        is_cordoned: false,
        is_ready: true,
    };
    members.iter().filter(|member| member.has_joined()).map(of).collect()
}

fn leaving(hosts: &[usize], masters: usize) -> clean::Wanted {
    clean::Wanted {
        leaving: hosts.to_vec(),
        forgotten: Vec::new(),
        name: "apiserver.cluster.local".to_owned(),
        masters: wanted(masters).spec.masters,
        wait: Duration::from_secs(60),
        snapshot: "/var/lib/lvscare-installer/etcd-run.db".into(),
    }
}

/// Three masters and two nodes are a cluster, of which nobody has named the last master and the last node.
#[test]
fn who_was_not_named_is_known_by_the_cluster_and_stays() {
    let all = members(3, 3, 2, 2);
    let known = nodes(&all);
    let named = [&all[..2], &all[3..4]].concat();
    let at = |hosts: &[usize]| -> Vec<_> {
        hosts.iter().map(|host| Master::At(SocketAddr::new(address(*host), 6443))).collect()
    };
    assert_eq!(members::masters(&named, &known), at(&[0, 1, 2]));
    assert_eq!(members::staying(&named, &known, &[1]), at(&[0, 2]));
    assert_eq!(members::staying(&all, &known, &[0, 2]), at(&[1]));
    assert_eq!(members::unnamed(&named, &known), ["host5 (10.0.0.5)"]);
    assert_eq!(members::unnamed(&all, &known), Vec::<String>::new());
}

#[test]
fn a_node_and_a_master_leave() {
    let members = members(3, 3, 2, 2);
    shows(
        &clean::plan(&members, &nodes(&members), None, &leaving(&[2, 3], 2)).unwrap(),
        "
pods go elsewhere
  10.0.0.1
    drain host3
    drain host4
masters that stay, told to nodes
  10.0.0.5
    know 2 masters
nodes leave
  10.0.0.4
    kubeadm reset
    take back rules, hosts entry and static pod
masters leave, one by one
  10.0.0.1
    save etcd to /var/lib/lvscare-installer/etcd-run.db
    let 10.0.0.3 be no member of etcd
  10.0.0.3
    let apiserver.cluster.local mean 10.0.0.1
    kubeadm reset
    let apiserver.cluster.local mean nothing
    take back rules, hosts entry and static pod
the cluster forgets them
  10.0.0.1
    delete the node host3
    delete the node host4
",
    );
}

#[test]
fn a_master_that_never_comes_back_is_forgotten_by_all() {
    // The second master is not spoken with: only its cluster knows of it.
    let mut members = members(3, 3, 1, 1);
    let nodes = nodes(&members);
    members.remove(1);
    let member = |host: usize, trouble: Option<&str>| EtcdMember {
        name: format!("host{}", host + 1),
        peer_urls: vec![format!("https://{}:2380", address(host))],
        trouble: trouble.map(str::to_owned),
        ..EtcdMember::default()
    };
    let mut health =
        EtcdHealth { members: vec![member(0, None), member(1, Some("silent")), member(2, None)] };
    let wanted = clean::Wanted { forgotten: vec![address(1)], ..leaving(&[], 2) };
    shows(
        &clean::plan(&members, &nodes, Some(&health), &wanted).unwrap(),
        "
masters that stay, told to nodes
  10.0.0.4
    know 2 masters
etcd forgets them
  10.0.0.1
    save etcd to /var/lib/lvscare-installer/etcd-run.db
    let 10.0.0.2 be no member of etcd
the cluster forgets them
  10.0.0.1
    delete the node host2
",
    );
    // A node is no member, and nobody has to learn of it.
    let wanted = clean::Wanted { forgotten: vec![address(3)], ..leaving(&[], 3) };
    let plan = clean::plan(&members[..2], &nodes, Some(&health), &wanted).unwrap();
    shows(&plan, "\nthe cluster forgets them\n  10.0.0.1\n    delete the node host4\n");
    health.members[2].trouble = Some("silent".to_owned());
    let wanted = clean::Wanted { forgotten: vec![address(1)], ..leaving(&[], 2) };
    let refused = clean::plan(&members, &nodes, Some(&health), &wanted).unwrap_err();
    assert!(refused.contains("etcd has no majority"), "{refused}");
}

#[test]
fn a_whole_cluster_goes_and_the_first_master_last() {
    let members = members(2, 2, 1, 1);
    let plan = clean::plan(&members, &nodes(&members), None, &leaving(&[0, 1, 2], 0)).unwrap();
    let order: Vec<_> = plan
        .phases
        .iter()
        .map(|phase| (phase.title, phase.work.iter().map(|it| it.0).collect::<Vec<_>>()))
        .collect();
    assert_eq!(order, [("nodes leave", vec![2]), ("masters leave", vec![1, 0])]);
}

#[test]
fn etcd_keeps_its_majority_as_its_own_members_say() {
    let members = members(3, 3, 0, 0);
    let member = |host: usize, trouble: Option<&str>| EtcdMember {
        name: format!("host{}", host + 1),
        peer_urls: vec![format!("https://{}:2380", address(host))],
        trouble: trouble.map(str::to_owned),
        ..EtcdMember::default()
    };
    let health = EtcdHealth { members: vec![member(0, None), member(1, None), member(2, Some("silent"))] };
    let refused = clean::plan(&members, &nodes(&members), Some(&health), &leaving(&[1], 2)).unwrap_err();
    assert!(refused.contains("without that of 10.0.0.2 etcd has no majority"), "{refused}");
    for (goes, stay) in [(&[2][..], 2), (&[0, 1, 2], 0)] {
        assert!(
            clean::plan(&members, &nodes(&members), Some(&health), &leaving(goes, stay)).is_ok(),
            "{goes:?}"
        );
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let asked = (1_800_000_000_000, 1_800_000_001_000);
    let now = check::Wanted { version: "v1.20.2".parse().ok(), package: None, asked };
    let mut members = members(2, 1, 3, 1);
    assert_eq!(check(&members, &now), [""; 0]);
    members[1].facts.name = "HOST1".to_owned();
    members[2].facts.joined = Some("sha256:00".to_owned());
    members[3].facts.clock += 300_000;
    members[4].facts.versions = [("kubeadm".to_owned(), "v1.19.0".to_owned())].into();
    assert_eq!(
        check(&members, &now),
        [
            "10.0.0.1, 10.0.0.2: all of them are called `host1`; give each a name of its own, with hostnamectl set-hostname",
            "10.0.0.3: it belongs to another cluster than 10.0.0.1; take it out of that one first, with `lvscare-installer \
             clean` or `kubeadm reset`",
            "10.0.0.4: its clock is 300 s away from the one here; set it, with chrony or systemd-timesyncd",
            "10.0.0.5: kubeadm is v1.19.0, and --version is v1.20.2",
            "10.0.0.5: kubelet is not installed, or does not run",
        ]
    );
}

fn a_package() -> package::Package {
    let sha256 = node::step::Content::new("", 0).digest();
    package::Package {
        sha256,
        bytes: 49_920_703,
        unpacked: 179_100_145,
        version: "v1.20.2".parse().unwrap(),
        arch: node::package::program::Arch::named("amd64"),
        hooks: vec![Hook::Init, Hook::Master],
    }
}

#[test]
fn a_package_comes_before_everything_else_and_once() {
    let mut members = members(3, 1, 2, 1);
    members[1].facts.packages.push(a_package().sha256);
    members[4].facts.units.insert("kubelet".to_owned(), "inactive".to_owned());
    let wanted = join::Wanted { package: Some(a_package()), ..wanted(3) };
    let plan = join::plan(&members, &wanted);
    let first = Plan { phases: vec![plan.phases[0].clone()] };
    shows(
        &first,
        "
the package, many at once
  10.0.0.2
    unpack the package
    run the package's init.sh
    run the package's master.sh
    install kubeadm, kubectl, kubelet and the images
  10.0.0.3
    send the package, 50 MB
    unpack the package
    run the package's init.sh
    run the package's master.sh
    install kubeadm, kubectl, kubelet and the images
  10.0.0.5
    send the package, 50 MB
    unpack the package
    run the package's init.sh
    install kubeadm, kubectl, kubelet and the images
    systemctl --no-ask-password daemon-reload
    systemctl --no-ask-password enable --now kubelet.service
",
    );
    // A script that fails on one host keeps the cluster from being begun without it.
    assert_eq!(plan.phases[0].on_failure, OnFailure::StopAll);
}

#[test]
fn a_package_must_fit_and_brings_what_is_missing() {
    let mut members = members(1, 0, 2, 0);
    for member in &mut members {
        member.facts.versions.clear();
    }
    members[0].facts.arch = "aarch64".to_owned();
    members[1].facts.free = Some(400_000_000);
    members[2].facts.free = Some(400_000_000);
    members[2].facts.packages.push(a_package().sha256);
    let asked = (1_800_000_000_000, 1_800_000_001_000);
    let wanted = check::Wanted { version: None, package: Some(a_package()), asked };
    assert_eq!(
        check(&members, &wanted),
        [
            "10.0.0.1: it is of arm64, and the package is for amd64",
            "10.0.0.2: the package needs 409 MB below /var/lib/lvscare-installer, and 400 MB are free",
        ]
    );
    let runtime = Finding::error(node::check::kubernetes::RUNTIME, "no", "why", "fix");
    let report = Report::new("10.103.97.2:6443".parse().unwrap(), [runtime].into_iter());
    assert_eq!(check::sort(&report, Some(&a_package())).0, [""; 0]);
    let bare = package::Package { hooks: Vec::new(), ..a_package() };
    assert_eq!(check::sort(&report, Some(&bare)).0, ["container-runtime: no; fix"]);
}

#[test]
fn whoever_is_to_join_is_checked_by_itself_first() {
    let mut members = members(3, 1, 2, 1);
    members[2].facts.is_joining = true;
    let spec = wanted(3).spec;
    let asked = |working: &[Master]| {
        let requests = check::requests(&members, &spec, working).into_iter();
        let told = |(host, request): (usize, node::api::CheckRequest)| {
            (host, request.role, request.visits, request.spec.masters)
        };
        requests.map(told).collect::<Vec<_>>()
    };
    // Not those who have joined, nor one where a join is to be taken back before.
    let (master, worker) = (node::spec::Role::Master, node::spec::Role::Worker);
    let working = &spec.masters[..1];
    assert_eq!(asked(working), [(1, master, true, working.to_vec()), (4, worker, true, working.to_vec())]);
    // A cluster that is yet to be made has nobody who answers.
    let all = spec.masters.clone();
    assert_eq!(asked(&[]), [(1, master, false, all.clone()), (4, worker, false, all)]);
}

proptest! {
    #[test]
    fn chance_makes_what_kubeadm_takes(chance in prop::collection::vec(any::<u8>(), CHANCE)) {
        let chance: [u8; CHANCE] = chance.try_into().unwrap();
        let made = Credentials::new(&chance).unwrap();
        let mut kubeadm = node::spec::kubeadm::KubeadmSpec::default();
        made.fill(&mut kubeadm);
        prop_assert!(kubeadm.token.is_some() && kubeadm.certificate_key.is_none());
        kubeadm.control_plane = true;
        made.fill(&mut kubeadm);
        prop_assert!(kubeadm.certificate_key.is_some());
        // What chance gave is nothing that a debug print shows.
        let shown = format!("{made:?}");
        prop_assert!(!shown.contains(made.certificate_key.reveal()));
    }

    /// Whatever is there already: nobody joins who has joined, nobody joins twice, and nodes never before a master.
    #[test]
    fn whoever_is_missing_joins_once(masters in 1_usize..5, working in 0_usize..5, nodes in 0_usize..6, joined in 0_usize..6) {
        let working = working.min(masters);
        let members = members(masters, working, nodes, if working == 0 { 0 } else { joined.min(nodes) });
        let plan = join::plan(&members, &wanted(masters));
        let is_join = |step: &&Step| matches!(
            step,
            Step::Task(Task::Kubeadm(Kubeadm::Join { .. } | Kubeadm::Init { .. }))
        );
        let mut seen = Vec::new();
        for phase in &plan.phases {
            for (host, steps) in &phase.work {
                seen.extend(steps.iter().filter(is_join).map(|_| *host));
            }
        }
        let mut missing: Vec<_> =
            members.iter().filter(|it| !it.has_joined()).map(|it| it.host).collect();
        missing.sort_unstable();
        // Masters have the lower places, so that the order is checked as well.
        prop_assert_eq!(seen, missing);
    }
}
