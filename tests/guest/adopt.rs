//! `lvscare-installer node adopt`: an older lvscare's node is taken over and given back, and no client notices.
//!
//! It works on this machine's own `/etc` and `/var`, so only ever in the guest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use tests::daemon::{
    LIMIT, TableRecorder, URL, VIP, answering, connection_to, names, table, vip, wait_table,
};
use tests::prepared::{HOSTS, Node, POD};
use tests::wait::eventually;

/// As sealos 4 and 5 wrote it.
const OLD: &str = "/etc/kubernetes/manifests/kube-sealos-lvscare.yaml";
const MANIFEST: &str = r#"apiVersion: v1
kind: Pod
metadata:
  creationTimestamp: null
  name: kube-sealos-lvscare
  namespace: kube-system
spec:
  containers:
  - args:
    - care
    - --vs
    - 10.103.97.2:6443
    - --health-path
    - /healthz
    - --health-schem
    - https
    - --rs
    - 10.0.0.1:6443
    - --rs
    - 10.0.0.2:6443
    - --rs
    - 10.0.0.3:6443
    command:
    - /usr/bin/lvscare
    env:
    - name: LVSCARE_NODE_IP
      value: 10.0.0.10
    image: sealos.hub:5000/sealos/lvscare:v4.1.3
    imagePullPolicy: IfNotPresent
    name: kube-sealos-lvscare
    resources: {}
    securityContext:
      privileged: true
    volumeMounts:
    - mountPath: /lib/modules
      name: lib-modules
      readOnly: true
  hostNetwork: true
  volumes:
  - hostPath:
      path: /lib/modules
      type: ""
    name: lib-modules
status: {}
"#;
const KUBELET: &str = "clusters:\n- name: k\n  cluster:\n    server: https://apiserver.cluster.local:6443\n";

/// A node that has joined by an older lvscare: its rules in the kernel, a route by a gateway, a hosts line.
fn old_node() -> Node {
    let node = Node::new();
    fs::create_dir_all("/etc/kubernetes/manifests").unwrap();
    fs::write(OLD, MANIFEST).unwrap();
    fs::write("/etc/kubernetes/kubelet.conf", KUBELET).unwrap();
    fs::write("/etc/hosts", format!("10.103.97.2 apiserver.cluster.local\n{HOSTS}")).unwrap();
    let host = node.lab.node();
    host.sysctl("net.ipv4.ip_forward", "1");
    host.check(&["ipvsadm", "-A", "-t", VIP, "-s", "rr"]);
    for server in node.lab.addresses() {
        host.check(&["ipvsadm", "-a", "-t", VIP, "-r", &server.to_string(), "-m", "-w", "1"]);
    }
    // sealos: the node's own address as the gateway.
    host.check(&["ip", "route", "add", "10.103.97.2/32", "via", "10.0.0.10"]);
    node
}

#[test]
fn an_older_lvscare_is_taken_over_and_comes_back_without_a_failed_request() {
    let node = old_node();
    let before = node.snapshot();
    assert_eq!(answering(&node.lab, node.lab.node()), names(&["m1", "m2", "m3"]));
    let text = node.expect(4, &["node", "check", "--master", "10.0.0.1-10.0.0.3"]);
    // Its lines are broken for people.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(
        "foreign-manifest: /etc/kubernetes/manifests/kube-sealos-lvscare.yaml runs an older lvscare"
    ));
    assert!(text.contains("lvscare-installer node adopt"), "{text}");
    println!("{}", node.expect(10, &["node", "adopt", "--dry-run", "--diff", "--detailed-exitcode"]));
    node.assert_unchanged(&before);

    let mut held = connection_to(&node.lab, node.lab.node(), "m1");
    let load = node.lab.load(node.lab.node(), URL, 4, LIMIT);
    let recorder = TableRecorder::start(node.lab.node(), vip());
    let mut run = node.lab.node().spawn(&["lvscare-installer", "node", "adopt", "--wait", "5m"]);
    // As kubelet does with a new manifest; until the daemon answers, the older one's stays.
    eventually(LIMIT, "our manifest", || Path::new(POD).exists().then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    assert!(Path::new(OLD).exists() && run.ended().is_none(), "{}", run.log());
    let pod = node.start_pod();
    assert!(run.wait(LIMIT).success(), "{}", run.log());
    println!("{}", run.log());
    assert!(!Path::new(OLD).exists());
    let manifest = fs::read_to_string(POD).unwrap();
    assert!(
        manifest.contains("--node-ip=10.0.0.10") && manifest.contains("--rs=10.0.0.3:6443"),
        "{manifest}"
    );
    let text = node.expect(0, &["node", "adopt"]);
    assert_eq!(text, "nothing to do; no older lvscare is left, and ours is here\n");
    println!("{}", node.expect(0, &["node", "status"]));
    assert_eq!(held.get("/", LIMIT).unwrap().body, "m1");

    // The way back, as kubelet does once our manifest is gone.
    let mut undo = node.lab.node().spawn(&["lvscare-installer", "node", "undo"]);
    eventually(LIMIT, "the end of our manifest", || (!Path::new(POD).exists()).then_some(()));
    drop(pod);
    assert!(undo.wait(LIMIT).success(), "{}", undo.log());
    println!("{}", undo.log());
    assert_eq!(held.get("/", LIMIT).unwrap().body, "m1");
    let (report, recorder) = (load.stop(), recorder.stop());
    println!("{} requests, the longest gap {:?}", report.samples.len(), report.longest_gap());
    assert!(report.samples.len() > 20 && report.failures().is_empty(), "{:?}", report.failures());
    assert!(
        recorder.iter().all(|(_, table)| table.as_ref().is_some_and(|table| table.len() == 3)),
        "{recorder:?}"
    );
    drop(held);
    node.assert_unchanged(&before);
}

#[test]
fn a_dead_master_is_left_to_the_guard_and_other_real_servers_are_refused() {
    let node = old_node();
    fs::remove_file("/etc/kubernetes/kubelet.conf").unwrap();
    node.lab.master(3).kill();
    let before = node.snapshot();
    node.lab.node().check(&["ipvsadm", "-a", "-t", VIP, "-r", "10.9.9.9:6443", "-m"]);
    let text = node.expect(13, &["node", "adopt"]);
    assert!(text.contains("has other real servers: 10.9.9.9:6443"), "{text}");
    node.lab.node().check(&["ipvsadm", "-d", "-t", VIP, "-r", "10.9.9.9:6443"]);
    node.assert_unchanged(&before);
    let text = node.expect(0, &["node", "adopt"]);
    assert!(text.contains("! 10.0.0.3:6443 does not answer"), "{text}");
    assert_eq!(table(node.lab.node(), VIP).unwrap().len(), 3, "{text}");
    let pod = node.start_pod();
    wait_table(node.lab.node(), VIP, &node.lab.addresses()[..2], 1);
    drop(pod);
    node.expect(0, &["node", "undo"]);
    node.assert_unchanged(&before);
}
