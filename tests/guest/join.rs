//! `lvscare-installer kubeadm join` and `node join`, word for word as in 2019, with a kubeadm of every age.
//!
//! It works on this machine's own `/etc` and `/var`, so only ever in the guest. The kubeadm is `bin/stub-kubeadm.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lvscare::certificate;
use tests::daemon::{LIMIT, VIP, table, wait_table};
use tests::prepared::{Node, POD};
use tests::stub::{Kubeadm, Sampler, TOKEN};
use tests::wait::eventually;

const JOIN: &str = "/var/lib/lvscare-installer/kubeadm-join.yaml";
const KUBELET: &str = "/etc/kubernetes/kubelet.conf";

/// A node on which kubeadm is, and no cluster yet.
struct Ground {
    node: Node,
    kubeadm: Kubeadm,
    hash: String,
}

impl Ground {
    fn new() -> Self {
        let node = Node::new();
        let authority = node.lab.directory().join("ca.crt");
        let hash = certificate::pem_key_hash(&fs::read(&authority).unwrap()).unwrap();
        let kubeadm = Kubeadm::install(node.lab.directory(), &authority);
        // A join brings it.
        fs::remove_dir_all("/etc/kubernetes").unwrap();
        Self { node, kubeadm, hash }
    }

    /// The line of 2019 with the masters of the laboratory, and more.
    fn line<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let line = [
            "lvscare-installer",
            "kubeadm",
            "join",
            "10.103.97.2:6443",
            "--token",
            TOKEN,
            "--master",
            "10.0.0.1:6443",
            "--master",
            "10.0.0.2:6443",
            "--master",
            "10.0.0.3:6443",
            "--discovery-token-ca-cert-hash",
            &self.hash,
        ];
        [&line, more].concat()
    }

    /// Runs it with kubeadm of `version`, which fails like that; it must end with `exit`. Returns what was said.
    #[track_caller]
    fn run(&self, version: &str, fail: &str, exit: i32, words: &[&str]) -> String {
        let words = self.kubeadm.around(version, fail, words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = self.node.lab.node().run(&words);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{version} {fail}: {words:?}:\n{text}");
        text
    }

    /// As `kubeadm reset` and `node undo` do.
    fn reset(&self) {
        let _ = fs::remove_file(KUBELET);
        let _ = fs::remove_dir_all("/etc/kubernetes/pki");
        let _ = fs::remove_file("/etc/kubernetes/manifests/kube-apiserver.yaml");
        self.node.expect(0, &["node", "undo"]);
        for directory in ["/etc/kubernetes/manifests", "/etc/kubernetes"] {
            let _ = fs::remove_dir(directory);
        }
    }
}

#[test]
fn the_line_of_2019_joins_with_every_kubeadm_and_shows_no_secret() {
    let ground = Ground::new();
    let before = ground.node.snapshot();
    for (version, flags) in
        [("v1.14.10", 1), ("v1.20.2", 0), ("v1.22.17", 0), ("v1.30.14", 0), ("v1.34.1", 0)]
    {
        let sampler = Sampler::start("a8uxyaju799qwdjv");
        // Nobody runs the static pod: its image is not here (the deadlock that the rules are made first for).
        let text = ground.run(version, "", 0, &ground.line(&["--wait", "100ms"]));
        let (seen, looks) = sampler.stop();
        assert_eq!(seen, [""; 0], "a secret in a command line");
        assert!(looks > 0, "kubeadm was never looked at");
        if version == "v1.34.1" {
            println!("{text}");
        }
        assert!(text.contains("joined; the rules are in place, but the static pod is not up yet"), "{text}");
        let (words, variables) = ground.kubeadm.calls().pop().unwrap();
        assert_eq!(words[..3], ["join", "--config", JOIN], "{version}");
        assert_eq!(words.len() - 3, flags, "{version}: {words:?}");
        assert_eq!(variables, [""; 0]);
        assert!(!Path::new(JOIN).exists(), "{version}: its secrets are of no use any more");
        assert!(Path::new(KUBELET).exists() && Path::new(POD).exists());
        wait_table(ground.node.lab.node(), VIP, &ground.node.lab.addresses(), 1);

        if version == "v1.34.1" {
            // It has joined, and it is prepared.
            let calls = ground.kubeadm.calls().len();
            let text = ground.run(version, "", 0, &ground.line(&["--wait", "100ms"]));
            assert!(text.contains("\nthis node has joined already"), "{text}");
            assert_eq!(ground.kubeadm.calls().len(), calls);
        }
        ground.reset();
        ground.node.assert_unchanged(&before);
    }
}

#[test]
fn a_failure_of_kubeadm_is_told_with_the_way_on() {
    let ground = Ground::new();
    let before = ground.node.snapshot();
    for fail in ["preflight", "kubelet-start"] {
        let text = ground.run("v1.34.1", fail, 11, &ground.line(&[]));
        println!("{text}");
        assert!(text.contains("error execution phase"), "{text}");
        assert!(
            text.contains(
                "lvscare-installer: kubeadm join ended with exit status: 1, see above; the node stays prepared: run \
                 this again, after `kubeadm reset` if the join had begun, or take it back with `lvscare-installer \
                 node undo`"
            ),
            "{text}"
        );
        wait_table(ground.node.lab.node(), VIP, &ground.node.lab.addresses(), 1);
    }
    let text = ground.run("v1.34.1", "silent", 12, &ground.line(&[]));
    assert!(text.contains("there is no /etc/kubernetes/kubelet.conf"), "{text}");
    // The way on.
    ground.run("v1.34.1", "", 0, &ground.line(&["--wait", "0s"]));
    ground.reset();
    ground.node.assert_unchanged(&before);
}

#[test]
fn the_secrets_may_come_by_file_or_variable_and_the_answer_as_json() {
    let ground = Ground::new();
    let file = ground.node.lab.directory().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let words = [
        "lvscare-installer",
        "node",
        "join",
        "--master",
        "10.0.0.1-10.0.0.3",
        "--discovery-token-ca-cert-hash",
        &ground.hash,
        "--wait",
        "0s",
        "-o",
        "json",
    ];
    let by_file = ["--token-file", file.to_str().unwrap()];
    let words_of_kubeadm = ground.kubeadm.around("v1.34.1", "", &[&words[..], &by_file].concat());
    let words_of_kubeadm: Vec<&str> = words_of_kubeadm.iter().map(String::as_str).collect();
    let output = ground.node.lab.node().run(&words_of_kubeadm);
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["changed"], true);
    ground.reset();

    let variable = format!("LVSCARE_JOIN_TOKEN={TOKEN}");
    ground.run("v1.34.1", "", 0, &[&["env", &variable][..], &words].concat());
    let calls = ground.kubeadm.calls();
    assert!(calls.iter().all(|(_, variables)| variables.is_empty()), "kubeadm needs no variable: {calls:?}");
    ground.reset();
}

#[test]
fn the_pod_takes_over_after_a_join_and_a_second_run_waits_for_the_lock() {
    let ground = Ground::new();
    let words = ground.kubeadm.around("v1.34.1", "hang", &ground.line(&[]));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut first = ground.node.lab.node().spawn(&words);
    eventually(LIMIT, "kubeadm", || {
        ground.kubeadm.calls().iter().any(|(words, _)| words[0] == "join").then_some(())
    });
    let text = ground.node.prepare(9, &[]);
    println!("{text}");
    let id = format!("process {}, `lvscare-installer node join`, since ", first.id());
    assert!(text.contains(&id), "{text}");
    // Whatever happens to the installer: while kubeadm is at work nobody else may be.
    first.signal(nix::sys::signal::Signal::SIGKILL);
    first.wait(LIMIT);
    let text = ground.node.prepare(9, &[]);
    assert!(text.contains(&id), "{text}");
    // The lock ends with kubeadm.
    ground.kubeadm.end();
    eventually(LIMIT, "the end of the lock", || {
        let status = ground.node.run(&["node", "prepare", "--master", "10.0.0.1-10.0.0.3"]).status;
        status.success().then_some(())
    });

    let pod = std::thread::scope(|scope| {
        // As kubelet does once it has its configuration.
        let kubelet = scope.spawn(|| {
            eventually(LIMIT, "the join", || Path::new(KUBELET).exists().then_some(()));
            ground.node.start_pod()
        });
        let text = ground.run("v1.34.1", "", 0, &ground.line(&[]));
        assert!(text.ends_with("joined; lvscare guards the rules\n"), "{text}");
        kubelet.join().unwrap()
    });
    drop(pod);
    ground.reset();
}

#[test]
fn a_master_joins_by_another_and_means_itself_afterwards() {
    let ground = Ground::new();
    let before = ground.node.snapshot();
    ground.node.lab.master(1).kill();
    let more = ["--control-plane", "--certificate-key", &"0".repeat(64)];
    // What the name means during the join is told by the join itself: it goes there.
    let text = ground.run("v1.34.1", "", 0, &ground.line(&more));
    println!("{text}");
    assert!(
        text.contains("10.0.0.1:6443 does not answer") && text.contains("means this node from now on"),
        "{text}"
    );
    let hosts = fs::read_to_string("/etc/hosts").unwrap();
    assert!(hosts.contains("10.0.0.10 apiserver.cluster.local"), "{hosts}");
    assert!(table(ground.node.lab.node(), VIP).is_none() && !Path::new(POD).exists());
    assert!(!fs::read_to_string("/etc/modules-load.d/lvscare.conf").is_ok_and(|text| text.contains("ip_vs")));
    let text = ground.run("v1.34.1", "", 0, &ground.line(&more));
    assert!(text.contains("this node has joined already"), "{text}");
    assert_eq!(fs::read_to_string("/etc/hosts").unwrap(), hosts);
    ground.reset();
    ground.node.assert_unchanged(&before);

    // Unless it is asked for.
    let local = [&more[..], &["--prefer-local", "--wait", "0s"]].concat();
    ground.run("v1.34.1", "", 0, &ground.line(&local));
    assert!(fs::read_to_string(POD).unwrap().contains("- --prefer-local"));
    assert!(fs::read_to_string("/etc/hosts").unwrap().contains("10.103.97.2 apiserver.cluster.local"));
    assert_eq!(table(ground.node.lab.node(), VIP).unwrap().len(), 2);
    ground.reset();
    ground.node.assert_unchanged(&before);
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    let ground = Ground::new();
    ground.run("v1.34.1", "", 0, &ground.line(&["--wait", "0s"]));
    let text = ground.node.expect(13, &["node", "undo"]);
    assert!(text.contains("this node has joined a cluster (/etc/kubernetes/kubelet.conf)"), "{text}");
    ground.node.expect(0, &["node", "undo", "--force"]);
    let other = ground.node.lab.directory().join("other");
    fs::create_dir(&other).unwrap();
    tests::pki::Pki::new(&other).unwrap();
    let pem = fs::read(other.join("ca.crt")).unwrap();
    let hash = certificate::pem_key_hash(&pem).unwrap();
    fs::write("/run/other.crt", &pem).unwrap();
    let text =
        "apiVersion: v1\nclusters:\n- name: k\n  cluster:\n    certificate-authority: /run/other.crt\n";
    fs::write(KUBELET, text).unwrap();
    let before = ground.node.snapshot();
    // By the hash that was told, and by the certificates that the masters show.
    let text = ground.run("v1.34.1", "", 13, &ground.line(&[]));
    assert!(text.contains(&format!("whose authority is {hash}")), "{text}");
    let text = ground.node.prepare(13, &[]);
    println!("{text}");
    let signed = format!("whose authority {hash} has not signed the certificate of 10.0.0.1:6443");
    assert!(text.contains(&signed), "{text}");
    ground.node.assert_unchanged(&before);
    fs::remove_dir_all("/etc/kubernetes").unwrap();
}

#[test]
fn what_the_cluster_tells_of_itself_refuses_a_node_before_anything_is_changed() {
    let ground = Ground::new();
    let before = ground.node.snapshot();
    let file = ground.node.lab.directory().join(tests::apiserver::KUBEADM_CONFIG);
    for (made, why) in [
        ("networking: {serviceSubnet: 10.96.0.0/12}", "10.103.97.2 lies in the Service CIDR 10.96.0.0/12"),
        ("networking: {podSubnet: 10.103.0.0/16}", "10.103.97.2 lies in the Pod CIDR 10.103.0.0/16"),
        ("controlPlaneEndpoint: 10.0.0.1:6443", "the clients of this cluster call 10.0.0.1:6443"),
        ("kubernetesVersion: v1.20.2", "kubeadm here is v1.34.1, and the cluster is of v1.20.2"),
    ] {
        fs::write(&file, made).unwrap();
        let text = ground.run("v1.34.1", "", 4, &ground.line(&[]));
        println!("{text}");
        assert!(text.contains(why) && text.contains("nothing was changed"), "{text}");
        ground.node.assert_unchanged(&before);
    }
    fs::remove_file(&file).unwrap();
    let mut other = ground.line(&[]);
    other[5] = "abcdef.0123456789abcdef";
    let text = ground.run("v1.34.1", "", 4, &other);
    assert!(text.contains("10.0.0.1:6443 does not know the token abcdef.***"), "{text}");
    let hash = format!("sha256:{}", "0".repeat(64));
    *other.last_mut().unwrap() = &hash;
    let text = ground.run("v1.34.1", "", 4, &other);
    assert!(text.contains(&format!("--discovery-token-ca-cert-hash says {hash}")), "{text}");
    ground.node.assert_unchanged(&before);
}

#[test]
fn prepare_can_leave_the_configuration_for_kubeadm() {
    let ground = Ground::new();
    let words = [
        "lvscare-installer",
        "node",
        "prepare",
        "--master",
        "10.0.0.1-10.0.0.3",
        "--token",
        TOKEN,
        "--discovery-token-ca-cert-hash",
        &ground.hash,
    ];
    let text = ground.run("v1.14.10", "", 0, &words);
    let line = "join it: kubeadm join --config /var/lib/lvscare-installer/kubeadm-join.yaml \
                --ignore-preflight-errors=DirAvailable--etc-kubernetes-manifests";
    assert!(text.ends_with(&format!("{line}\n")), "{text}");
    assert!(!text.contains(TOKEN), "{text}");
    let stock = line.strip_prefix("join it: ").unwrap();
    ground.run("v1.14.10", "", 0, &stock.split(' ').collect::<Vec<_>>());
    ground.reset();
}
