//! What `lvscare doctor` finds: each trouble made for real, and a healthy node on which it finds none.
//!
//! Files of Kubernetes are put into a mount namespace of the doctor's own, so that tests run side by side.
//! `-- --nocapture` shows the reports and how long they took.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "reports and times are worth a look")]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tests::apiserver::Behaviour;
use tests::daemon::{Daemon, LIMIT, VIP, VIP6, run_once};
use tests::lab::{Lab, PORT};
use tests::wait::eventually;

/// The machine may be emulated: a handshake that takes a millisecond elsewhere takes fifty here.
const PATIENT: &str = "--timeout=8s";

/// Whoever waits for one who keeps silent without a limit waits much longer.
const BOUND: &str = "120";

/// What works takes milliseconds; who is not served within so long never will be.
const NEVER: Duration = Duration::from_secs(4);

const HOSTS: &str = "127.0.0.1 localhost\n10.103.97.2 apiserver.cluster.local\n";

/// A laboratory, and the files that the doctor sees on its node.
struct Clinic {
    lab: Lab,
    files: TempDir,
}

/// What the doctor said.
struct Said {
    code: Option<i32>,
    report: Value,
}

impl Clinic {
    fn new() -> Self {
        Self::of(Lab::new())
    }

    fn of(lab: Lab) -> Self {
        let clinic = Self { lab, files: tempfile::tempdir().unwrap() };
        clinic.write("etc/hosts", HOSTS);
        fs::create_dir_all(clinic.files.path().join("var/lib")).unwrap();
        clinic
    }

    /// Writes a file of the node, such as `etc/hosts`.
    fn write(&self, path: &str, text: &str) {
        let path = self.files.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn doctor(&self, options: &[&str]) -> Output {
        let files = self.files.path().to_owned();
        let mut command = Command::new("timeout");
        command.args([BOUND, "lvscare", "doctor"]).args(options);
        self.lab.node().enter(move || {
            see(&files);
            command.output().unwrap()
        })
    }

    /// The report of a doctor who has time.
    #[track_caller]
    fn examine(&self, options: &[&str]) -> Said {
        let hurried = options.iter().any(|option| option.starts_with("--timeout"));
        let patience: &[&str] = if hurried { &[] } else { &[PATIENT] };
        let output = self.doctor(&[&["-o", "json"], patience, options].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors, "");
        let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        Said { code: output.status.code(), report }
    }

    /// Exactly these matters, with their severities, and the exit code that goes with them.
    #[track_caller]
    fn finds(&self, options: &[&str], wanted: &[(&str, &str)]) -> Said {
        let said = self.examine(options);
        let wanted: BTreeMap<String, String> =
            wanted.iter().map(|(id, severity)| ((*id).to_owned(), (*severity).to_owned())).collect();
        assert_eq!(said.ids(), wanted, "{:#}", said.report);
        let sick = wanted.values().any(|severity| severity != "note");
        assert_eq!(said.code, Some(i32::from(sick)), "{:#}", said.report);
        said
    }
}

/// Puts the calling thread into a mount namespace of its own with these files.
fn see(files: &Path) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
    for place in ["etc", "var"] {
        let target = Path::new("/").join(place);
        fs::create_dir_all(&target).unwrap();
        mount(Some(&files.join(place)), &target, nothing, MsFlags::MS_BIND, nothing).unwrap();
    }
}

impl Said {
    /// The matters with their severities; the worst, where a matter is found several times.
    fn ids(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let findings = self.report["findings"].as_array().unwrap();
        // The worst come first.
        findings.iter().rev().map(|finding| (text(&finding["id"]), text(&finding["severity"]))).collect()
    }

    /// What is seen of a matter.
    #[track_caller]
    fn seen(&self, id: &str) -> &str {
        let findings = self.report["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["id"] == id);
        finding.unwrap_or_else(|| panic!("no {id} in {:#}", self.report))["seen"].as_str().unwrap()
    }

    #[track_caller]
    fn sees(&self, id: &str, what: &str) {
        assert!(self.seen(id).contains(what), "{:#}", self.report);
    }
}

fn master(number: u8) -> String {
    format!("10.0.0.{number}:6443")
}

// Health

#[test]
fn a_healthy_node_has_no_finding() {
    let clinic = Clinic::new();
    let _daemon = Daemon::judged(&clinic.lab, &[]);
    let began = Instant::now();
    let said = clinic.finds(&["--service-cidr", "10.96.0.0/22", "--pod-cidr", "10.244.0.0/16"], &[]);
    let took = began.elapsed();
    println!("a healthy node took {took:.2?}");
    assert_eq!(said.report["healthy"], true);
    assert_eq!(said.report["passed"].as_array().unwrap().len(), 18, "{:#}", said.report);
    let table = clinic.doctor(&[PATIENT, "--verbose"]);
    println!("{}", String::from_utf8(table.stdout).unwrap());
    assert_eq!(table.status.code(), Some(0));
}

#[test]
fn ipv6_is_no_different() {
    let clinic = Clinic::new();
    clinic.write("etc/hosts", "fd00:103::2 apiserver.cluster.local\n");
    let masters: Vec<SocketAddr> = clinic.lab.masters().iter().map(tests::lab::Master::address6).collect();
    let mut daemon = Daemon::start_for(&clinic.lab, VIP6, &masters, &[]);
    daemon.wait_judged();
    clinic.finds(&["--vs", VIP6], &[]);
}

#[test]
fn without_a_daemon_the_kernel_names_the_servers_and_options_do_before_that() {
    let clinic = Clinic::new();
    let said = clinic.finds(
        &["--rs", "10.0.0.1:6443,10.0.0.2:6443", "--rs", "10.0.0.3:6443"],
        &[("daemon", "error"), ("vip-unreachable", "error")],
    );
    said.sees("daemon", "no lvscare answers on 127.0.0.1:10261, and the kernel has no 10.103.97.2:6443");
    let nobody = [("daemon", "error"), ("vip-unreachable", "error"), ("apiserver-unreachable", "error")];
    clinic.finds(&[], &nobody).sees("apiserver-unreachable", "no real server of 10.103.97.2:6443 is known");
    run_once(&clinic.lab, &[]);
    clinic.finds(&[], &[("daemon", "warning")]).sees("daemon", "the kernel still has");
    clinic.finds(&["--listen", "none"], &[]);
}

#[test]
fn it_ends_in_time_where_nobody_answers_and_changes_nothing() {
    let clinic = Clinic::new();
    run_once(&clinic.lab, &[]);
    for number in 1..=3 {
        clinic.lab.master(number).sigstop();
    }
    let node = clinic.lab.node();
    // Without IPv6, whose link-local addresses come late.
    let state =
        "ipvsadm -Sn; ip -4 route show table all; ip -4 address; sysctl net.ipv4.vs net.ipv4.ip_forward";
    let before = node.check(&["sh", "-c", state]);
    let began = Instant::now();
    let output = clinic.doctor(&[]);
    let took = began.elapsed();
    println!("three silent apiservers took {took:.2?}\n{}", String::from_utf8(output.stdout).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(node.check(&["sh", "-c", state]), before);
    for number in 1..=3 {
        clinic.lab.master(number).sigcont();
    }
}

// Apiservers

#[test]
fn an_apiserver_that_does_not_answer_is_named_with_the_reason() {
    let clinic = Clinic::new();
    let _daemon = Daemon::judged(&clinic.lab, &[]);
    clinic.lab.master(2).kill();
    let id = "apiserver-unreachable";
    let said = clinic.finds(&[], &[(id, "error")]);
    said.sees(id, &format!("{} does not answer: connection refused", master(2)));
    clinic.lab.master(3).control().set(Behaviour::Healthz(500));
    let said = clinic.examine(&["--rs", &master(3)]);
    said.sees(id, &format!("{} answers /healthz with HTTP 500", master(3)));
    clinic.lab.master(3).control().set(Behaviour::TlsGarbage);
    clinic.examine(&["--rs", &master(3)]).sees(id, "TLS:");
    clinic.lab.master(3).control().set(Behaviour::Healthz(401));
    assert_eq!(clinic.examine(&["--rs", &master(3)]).ids(), BTreeMap::new());
}

#[test]
fn certificates_that_do_not_fit() {
    let clinic = Clinic::new();
    let lab = &clinic.lab;
    run_once(lab, &[]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let days = |days: i64| Duration::from_secs(now.saturating_add_signed(days * 86_400));
    let [past, lately, future, far] = [-3650, -10, 365, 3650].map(days);
    let other = 16443;
    let at = SocketAddr::from(([10, 0, 0, 1], other));
    let soon = days(10);
    let without: [&str; 2] = ["kubernetes", "localhost"];
    let both: [&str; 2] = ["apiserver.cluster.local", "10.103.97.2"];
    let cases = [
        ("neither", &without[..], past, far, ("vip-not-in-certificate", "error"), "neither for"),
        ("name", &both[..1], past, far, ("vip-not-in-certificate", "warning"), "but not for 10.103"),
        ("vip", &both[1..], past, far, ("vip-not-in-certificate", "warning"), "not for apiserver."),
        ("expired", &both, past, lately, ("certificate-expired", "error"), "expired on "),
        ("soon", &both, past, soon, ("certificate-expires-soon", "warning"), "expires in 9 days"),
        ("future", &both, future, far, ("clock-skew", "error"), "is not valid yet"),
    ];
    for (name, names, from, to, finding, what) in cases {
        let identity = lab.pki.certificate(name, names, from, to).unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let control = lab.directory().join(format!("{name}.sock"));
        let server = lab.master(1).namespace().spawn(&[
            "fake-apiserver",
            "--listen",
            &at.to_string(),
            "--name",
            name,
            "--cert",
            &path(&identity.certificate),
            "--key",
            &path(&identity.key),
            "--control",
            &path(&control),
        ]);
        eventually(LIMIT, "another apiserver", || control.exists().then_some(()));
        let said = clinic.finds(&["--listen=none", "--rs", &at.to_string()], &[finding]);
        said.sees(finding.0, &at.to_string());
        said.sees(finding.0, what);
        drop(server);
    }
}

#[test]
fn clocks_that_differ() {
    let clinic = Clinic::new();
    let _daemon = Daemon::judged(&clinic.lab, &[]);
    clinic.lab.master(2).control().set(Behaviour::Ahead(Duration::from_secs(300)));
    let said = clinic.finds(&[], &[("clock-skew", "error")]);
    assert!(said.seen("clock-skew").starts_with("the clock of 10.0.0.2:6443 is "), "{:#}", said.report);
    said.sees("clock-skew", " s ahead of this node's");
}

// Addresses

#[test]
fn ranges_of_the_cluster() {
    let clinic = Clinic::new();
    let _daemon = Daemon::judged(&clinic.lab, &[]);
    let manifest = "    - --service-cluster-ip-range=10.96.0.0/12\n";
    let kubelet = "clusterDNS:\n- 10.96.0.10\n";
    clinic.write("var/lib/kubelet/config.yaml", kubelet);
    clinic.finds(&[], &[("vip-in-service-cidr", "note")]);
    clinic.write("etc/kubernetes/manifests/kube-apiserver.yaml", manifest);
    let table = clinic.doctor(&[PATIENT]);
    println!("{}", String::from_utf8(table.stdout).unwrap());
    clinic.write(
        "etc/kubernetes/manifests/kube-controller-manager.yaml",
        "    - --cluster-cidr=10.103.0.0/16\n",
    );
    let both = [("vip-in-service-cidr", "error"), ("vip-in-pod-cidr", "error")];
    let said = clinic.finds(&[], &both);
    said.sees(
        "vip-in-service-cidr",
        "10.96.0.0/12, kubeadm's default (/etc/kubernetes/manifests/kube-apiserver.yaml)",
    );
    clinic.finds(&["--service-cidr=10.96.0.0/22", "--pod-cidr=10.244.0.0/16,fd00:244::/64"], &[]);
}

#[test]
fn the_hosts_file() {
    let clinic = Clinic::new();
    let _daemon = Daemon::judged(&clinic.lab, &[]);
    let line = |address: &str| format!("{address} apiserver.cluster.local api\n");
    for (text, severity, what) in [
        (String::new(), "note", "does not know"),
        (line("10.0.0.1"), "warning", "to 10.0.0.1 and not to 10.103.97.2"),
        (line("10.0.0.10"), "note", "an address of this node"),
        (line("10.103.97.2") + &line("10.0.0.1"), "warning", "2 entries"),
    ] {
        clinic.write("etc/hosts", &text);
        clinic.finds(&[], &[("hosts-entry", severity)]).sees("hosts-entry", what);
    }
    // The other name is fine, but not in the certificates.
    clinic.write("etc/hosts", &line("10.103.97.2"));
    let other = clinic.finds(&["--name", "api"], &[("vip-not-in-certificate", "warning")]);
    other.sees("vip-not-in-certificate", "not for api");
}

// The node

#[test]
fn kube_proxy() {
    let clinic = Clinic::new();
    let node = clinic.lab.node();
    let _daemon = Daemon::judged(&clinic.lab, &[]);
    let id = "kube-proxy-ipvs";
    node.check(&["ipvsadm", "-A", "-t", "10.96.0.1:443", "-s", "rr"]);
    clinic.finds(&[], &[(id, "warning")]).sees(id, "a virtual server of others, such as 10.96.0.1:443");
    node.ip("link add kube-ipvs0 type dummy");
    clinic.finds(&[], &[(id, "warning")]).sees(id, "kube-ipvs0 is here");

    let config = |mode: &str, excluded: &str| {
        let text = format!(
            "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nclusterCIDR: 10.244.0.0/16\nipvs:\n  \
             excludeCIDRs: {excluded}\nkind: KubeProxyConfiguration\nmode: {mode}\n"
        );
        clinic.write("var/lib/kube-proxy/config.conf", &text);
    };
    config("ipvs", "null");
    clinic.finds(&[], &[(id, "error")]).sees(id, "its excludeCIDRs do not hold 10.103.97.2");
    config("ipvs", "[\"10.103.97.2/32\"]");
    clinic.finds(&[], &[]);
    config("nftables", "null");
    clinic.finds(&[], &[(id, "note")]);
    config("\"\"", "null");
    // What it drops then is another matter.
    node.sysctl("net.netfilter.nf_conntrack_tcp_be_liberal", "1");
    clinic.finds(&["--kube-proxy-config", "/var/lib/kube-proxy/config.conf"], &[]);
}

/// Connection tracking does not see the connections of an IPVS with `conntrack=0`, and takes answers for invalid.
#[test]
fn firewalls_that_drop_what_seems_invalid() {
    let clinic = Clinic::new();
    let (node, pod) = (clinic.lab.node(), clinic.lab.pod());
    let mut daemon = Daemon::judged(&clinic.lab, &[]);
    let id = "firewall-drops-invalid";
    let served = |place| clinic.lab.get(place, tests::daemon::URL, LIMIT).is_ok();
    let dropped = |place| clinic.lab.get(place, tests::daemon::URL, NEVER).is_err();
    let filter = |rules: &str| node.check(&["nft", &format!("flush ruleset; table inet f {{ {rules} }}")]);

    let everywhere = ["input", "forward"].map(|hook| {
        format!("chain {hook} {{ type filter hook {hook} priority 0; ct state invalid drop; }};")
    });
    filter(&everywhere.concat());
    assert!(served(node) && served(pod), "lvscare has made the answers valid");
    clinic.finds(&[], &[]);

    // It would not let this happen.
    daemon.terminate();
    let alone = "--listen=none";
    node.sysctl("net.ipv4.vs.conntrack", "0");
    filter(&everywhere[0]);
    assert!(dropped(node) && served(pod), "answers to the node are dropped");
    let said = clinic.finds(&[alone, "--timeout=4s"], &[("vip-unreachable", "error"), (id, "error")]);
    said.sees(id, "packets seemed to belong to no connection: a firewall drops them");
    node.sysctl("net.ipv4.vs.conntrack", "1");
    assert!(served(node), "what mends it");
    clinic.finds(&[alone], &[]);
    node.sysctl("net.ipv4.vs.conntrack", "0");

    // Another rule lets the answers in.
    filter(
        "chain in { type filter hook input priority 0; ip saddr 10.0.0.0/24 accept; ct state invalid drop; };",
    );
    assert!(served(node));
    clinic.finds(&[alone], &[]);

    // As kube-proxy does.
    filter("chain k { ct state invalid drop; }; chain fw { type filter hook forward priority 0; jump k; };");
    clinic.write("var/lib/kube-proxy/config.conf", "kind: KubeProxyConfiguration\nmode: iptables\n");
    assert!(served(node) && dropped(pod), "answers to pods are dropped");
    clinic
        .finds(&[alone], &[(id, "warning")])
        .sees(id, "kube-proxy in mode iptables drops forwarded packets");
    node.sysctl("net.ipv4.vs.conntrack", "1");
    assert!(served(pod), "what mends it");
    clinic.finds(&[alone], &[]);
}

#[test]
fn forwarding_that_is_off() {
    let clinic = Clinic::new();
    let _daemon = Daemon::judged(&clinic.lab, &[]);
    clinic.lab.node().sysctl("net.ipv4.ip_forward", "0");
    clinic.finds(&[], &[("ip-forward", "warning")]);
    // It matters to pods, and only to them.
    assert!(clinic.lab.get(clinic.lab.node(), tests::daemon::URL, LIMIT).is_ok());
    assert!(clinic.lab.get(clinic.lab.pod(), tests::daemon::URL, NEVER).is_err());
}

/// Master 3 has a leg in a second network and is known by its address there.
#[test]
fn two_networks_and_strict_filters() {
    let clinic = Clinic::new();
    let lab = &clinic.lab;
    let (node, master) = (lab.node(), lab.master(3).namespace());
    node.ip(&format!("link add eth1 type veth peer name eth1 netns {}", master.name()));
    node.ip("link set eth1 up\naddr add 10.1.0.10/24 dev eth1");
    master.ip("link set eth1 up\naddr add 10.1.0.3/24 dev eth1");
    // Its answers to 10.0.0.10 take the first network, though they come from an address of the second.
    for setting in ["all", "eth0", "eth1"] {
        node.sysctl(&format!("net.ipv4.conf.{setting}.rp_filter"), "0");
        master.sysctl(&format!("net.ipv4.conf.{setting}.rp_filter"), "0");
    }
    let servers = [lab.master(1).address(), SocketAddr::from(([10, 1, 0, 3], PORT))];
    let mut daemon = Daemon::start_for(lab, VIP, &servers, &[]);
    daemon.wait_judged();
    let through = |limit| (0..4).map(move |_| lab.get(node, tests::daemon::URL, limit));
    assert!(through(LIMIT).all(|answer| answer.is_ok()));
    let said = clinic.finds(&[], &[("different-sources", "warning")]);
    said.sees("different-sources", "10.0.0.1:6443 from 10.0.0.10 and 10.1.0.3:6443 from 10.1.0.10");

    node.sysctl("net.ipv4.conf.eth0.rp_filter", "1");
    assert!(
        through(NEVER).any(|answer| answer.is_err()),
        "strict filtering drops answers that come in by eth0"
    );
    let said = clinic.examine(&[]);
    said.sees(
        "rp-filter",
        "eth0 has strict reverse path filtering (rp_filter=1), and 10.1.0.3:6443 is reached by",
    );
    assert_eq!(said.code, Some(1));
}

#[test]
fn a_setting_that_somebody_turns_back() {
    let clinic = Clinic::new();
    let _daemon = Daemon::judged(&clinic.lab, &["--resync", "5m"]);
    let said = eventually(LIMIT, "a look before the daemon's", || {
        clinic.lab.node().sysctl("net.ipv4.vs.expire_nodest_conn", "0");
        let said = clinic.examine(&[]);
        said.ids().contains_key("kernel-parts").then_some(said)
    });
    said.sees("kernel-parts", "net.ipv4.vs.expire_nodest_conn is 0");
    // Any other reason to look may have the daemon repair it meanwhile, and then that is found as well.
    let mut others = said.ids();
    assert_eq!(others.remove("kernel-parts").as_deref(), Some("warning"), "{:#}", said.report);
    others.remove("another-guard");
    assert!(others.is_empty(), "{:#}", said.report);
}

// Guards

#[test]
fn another_lvscare_for_the_same_address() {
    let clinic = Clinic::new();
    let _daemon = Daemon::judged(&clinic.lab, &[]);
    let _other = Daemon::start(&clinic.lab, &["--listen", "127.0.0.1:10262"]);
    let id = "another-guard";
    let said = eventually(LIMIT, "the second guard", || {
        let said = clinic.examine(&[]);
        said.ids().contains_key(id).then_some(said)
    });
    said.sees(id, "more than one program looks after 10.103.97.2: lvscare (process ");
    assert_eq!(said.ids().len(), 1, "{:#}", said.report);
}

#[test]
fn another_program_that_guards_the_address() {
    let clinic = Clinic::new();
    let _daemon = Daemon::judged(&clinic.lab, &[]);
    // What matters is its name and what it is told.
    let script = "exec -a kube-vip bash -c 'while :; do sleep 1; done'";
    let _other = clinic.lab.node().spawn(&["env", "address=10.103.97.2", "bash", "-c", script]);
    let said = eventually(LIMIT, "the other guard", || {
        let said = clinic.examine(&[]);
        said.ids().contains_key("another-guard").then_some(said)
    });
    said.sees("another-guard", "kube-vip (process ");
}

#[test]
fn an_address_that_is_an_interfaces() {
    let clinic = Clinic::new();
    let daemon = Daemon::judged(&clinic.lab, &[]);
    clinic
        .lab
        .node()
        .ip("link add lvscare type dummy\nlink set lvscare up\naddr add 10.103.97.2/32 dev lvscare");
    let said = clinic.examine(&[]);
    said.sees("another-guard", "10.103.97.2 is an address of an interface of this node");
    drop(daemon);
}

#[test]
fn damage_that_does_not_end() {
    let clinic = Clinic::new();
    let _daemon = Daemon::judged(&clinic.lab, &[]);
    let script = "while :; do ipvsadm -C; sleep 0.2; done";
    let _vandal = clinic.lab.node().spawn(&["sh", "-c", script]);
    let said = eventually(LIMIT, "repairs that rise", || {
        let said = clinic.examine(&[]);
        said.ids().contains_key("another-guard").then_some(said)
    });
    said.sees("another-guard", "repaired foreign changes while it was watched");
}

#[test]
fn a_daemon_with_trouble() {
    let clinic = Clinic::new();
    let mut daemon = Daemon::judged(&clinic.lab, &["--interval=200ms"]);
    let said = clinic.finds(
        &["--vs=10.103.97.3:6443"],
        &[
            ("daemon", "error"),
            ("vip-unreachable", "error"),
            ("apiserver-unreachable", "error"),
            ("hosts-entry", "warning"),
        ],
    );
    said.sees("daemon", "the daemon does not guard 10.103.97.3:6443; it guards 10.103.97.2:6443");

    for master in clinic.lab.masters() {
        master.kill();
    }
    eventually(LIMIT, "an empty pool", || {
        (daemon.mode() == Some(lvscare::health::pool::Mode::Empty)).then_some(())
    });
    let dead = [("daemon", "error"), ("apiserver-unreachable", "error"), ("vip-unreachable", "error")];
    clinic.finds(&[], &dead).sees("daemon", "every apiserver is down");

    daemon.process().signal(Signal::SIGSTOP);
    let said = clinic.examine(&["--timeout=2s", "--rs", "10.0.0.1:6443"]);
    said.sees("daemon", "something listens on 127.0.0.1:10261 and does not answer as lvscare does");
    daemon.process().signal(Signal::SIGCONT);
}
