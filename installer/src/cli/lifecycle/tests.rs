//! The command lines of the article that the idea of this program is from, word for word but for the program's name.

use clap::Parser;
use cluster::inventory::{Inventory, Role as HostRole};
use cluster::plan::members::Member;
use cluster::plan::package::Package;
use cluster::plan::{Plan, Step, clean, join};
use node::agent::task::Hook;
use node::facts::machine::MachineFacts;
use node::step::Content;

use super::*;
use crate::cli::{Cli, Command};

const THREE_MASTERS: &str = r"init --master 192.168.0.2 \
  --master 192.168.0.3 \
  --master 192.168.0.4 \
  --node 192.168.0.5 \
  --user root \
  --passwd your-server-password \
  --version v1.14.1 \
  --pkg-url /root/kube1.14.1.tar.gz ";

const ONE_MASTER: &str = r"init --master 192.168.0.2 \
  --node 192.168.0.5 \
  --user root \
  --passwd your-server-password \
  --version v1.14.1 \
  --pkg-url /root/kube1.14.1.tar.gz ";

const WITH_A_KEY: &str = r"init --master 172.16.198.83 \
  --node 172.16.198.84 \
  --pkg-url https://sealyun.oss-cn-beijing.aliyuncs.com/free/kube1.15.0.tar.gz \
  --pk /root/kubernetes.pem \
  --version v1.15.0";

const JOIN: &str = r"join --master 192.168.0.2 \
  --master 192.168.0.3 \
  --master 192.168.0.4 \
  --vip 10.103.97.2 \
  --node 192.168.0.5 \
  --user root \
  --passwd your-server-password \
  --pkg-url /root/kube1.15.0.tar.gz";

const WITH_A_TEMPLATE: &str = r"init --kubeadm-config kubeadm-config.yaml.tmpl \
  --master 192.168.0.2 \
  --master 192.168.0.3 \
  --master 192.168.0.4 \
  --node 192.168.0.5 \
  --user root \
  --passwd your-server-password \
  --version v1.14.1 \
  --pkg-url /root/kube1.14.1.tar.gz ";

const CLEAN: &str = r"clean \
  --master 192.168.0.2 \
  --master 192.168.0.3 \
  --master 192.168.0.4 \
  --node 192.168.0.5 \
  --user root \
  --passwd your-server-password";

/// As it is typed into a shell.
fn request(line: &str) -> LifecycleRequest {
    let line = line.replace("\\\n", " ");
    let words = std::iter::once("lvscare-installer").chain(line.split_whitespace());
    match Cli::try_parse_from(words).unwrap().command {
        Command::Init(args) => args.request(What::Init, Vec::new()),
        Command::Join(args) => args.request(What::Join, Vec::new()),
        Command::Clean(args) => args.lifecycle.request(What::Clean, args.forget),
        other => panic!("{other:?}"),
    }
    .unwrap()
}

/// The hosts that are named, of which so many of the first ones have joined.
fn members(request: &LifecycleRequest, joined: usize) -> Vec<Member> {
    let inventory = Inventory::new(&request.words).unwrap();
    let member = |(place, host): (usize, &cluster::inventory::Host)| {
        let role = host.role.unwrap();
        let has_joined = place < joined;
        let facts = MachineFacts {
            kernel: "6.1.0".to_owned(),
            arch: "x86_64".to_owned(),
            name: format!("host{place}"),
            clock: 0,
            addresses: vec![host.at.ip()],
            joined: has_joined.then(|| "sha256:00".to_owned()),
            is_joining: false,
            has_etcd: has_joined && role == HostRole::Master,
            versions: [].into(),
            units: [].into(),
            cri_sockets: Vec::new(),
            free: None,
            is_prepared: has_joined,
            packages: Vec::new(),
        };
        Member { host: place, name: host.name(), address: host.at.ip(), role, facts }
    };
    inventory.hosts.iter().enumerate().map(member).collect()
}

/// Each phase, and the last parts of the addresses of its hosts.
fn phases(request: &LifecycleRequest, plan: &Plan) -> Vec<String> {
    let hosts = Inventory::new(&request.words).unwrap().hosts;
    let host = |(place, _): &(usize, Vec<Step>)| hosts[*place].name().rsplit('.').next().unwrap().to_owned();
    let line = |phase: &cluster::plan::Phase| {
        let hosts: Vec<_> = phase.work.iter().map(host).collect();
        format!("{}: {}", phase.title, hosts.join(" "))
    };
    plan.phases.iter().map(line).collect()
}

fn joins(line: &str, joined: usize) -> Vec<String> {
    let request = request(line);
    let package = Package {
        sha256: Content::new("", 0).digest(),
        bytes: 1,
        unpacked: 1,
        version: "v1.15.0".parse().unwrap(),
        arch: None,
        hooks: vec![Hook::Init],
    };
    let wanted = join::Wanted {
        version: request.version.unwrap_or(package.version),
        spec: request.spec.clone(),
        cluster: String::new(),
        port: 6443,
        ignore_preflight_errors: Vec::new(),
        until: 0,
        wait: Duration::ZERO,
        token_id: "abcdef".to_owned(),
        snapshot: PathBuf::new(),
        known_to_etcd: Vec::new(),
        package: Some(package),
    };
    phases(&request, &join::plan(&members(&request, joined), &wanted))
}

#[test]
fn what_was_typed_for_sealos_is_understood_and_planned() {
    let three = request(THREE_MASTERS);
    assert_eq!((three.words.user.as_str(), three.words.port), ("root", 22));
    assert_eq!(three.words.masters, ["192.168.0.2", "192.168.0.3", "192.168.0.4"]);
    assert_eq!(three.version, "v1.14.1".parse().ok());
    assert!(format!("{:?}", three.package).contains("/root/kube1.14.1.tar.gz"));
    let all = ["the package: 2 3 4 5", "the first master: 2", "masters: 2 3 2 4 2", "nodes: 5", "the end: 2"];
    assert_eq!(joins(THREE_MASTERS, 0), all);
    assert_eq!(joins(WITH_A_TEMPLATE, 0), all);
    assert_eq!(request(WITH_A_TEMPLATE).kubeadm_config, Some("kubeadm-config.yaml.tmpl".into()));
    assert_eq!(joins(ONE_MASTER, 0), ["the package: 2 5", "the first master: 2", "nodes: 5", "the end: 2"]);
    let key = request(WITH_A_KEY);
    assert_eq!(key.login.key, Some("/root/kubernetes.pem".into()));
    assert_eq!(
        joins(WITH_A_KEY, 0),
        ["the package: 83 84", "the first master: 83", "nodes: 84", "the end: 83"]
    );
    // Masters that are there, named for a node that is new.
    assert_eq!(request(JOIN).spec.vip, "10.103.97.2:6443".parse().unwrap());
    assert_eq!(joins(JOIN, 3), ["the package: 5", "a token: 2", "nodes: 5", "the end: 2"]);
    let clean = request(CLEAN);
    let wanted = clean::Wanted {
        leaving: vec![0, 1, 2, 3],
        forgotten: Vec::new(),
        name: clean.spec.name.clone(),
        masters: Vec::new(),
        wait: Duration::ZERO,
        snapshot: PathBuf::new(),
    };
    let plan = clean::plan(&members(&clean, 4), &[], None, &wanted).unwrap();
    assert_eq!(phases(&clean, &plan), ["nodes leave: 5", "masters leave: 4 3 2"]);
}
