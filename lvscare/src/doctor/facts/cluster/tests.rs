use std::fs;

use super::*;

const APISERVER: &str = "spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=10.0.0.1
    - --service-cluster-ip-range=10.96.0.0/12,fd00:96::/108
";

const CONTROLLER_MANAGER: &str = "  - command:
    - kube-controller-manager
    - \"--cluster-cidr=10.244.0.0/16\"
    - --service-cluster-ip-range=10.0.0.0/8
";

const PROXY: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1
clusterCIDR: 10.244.0.0/16
detectLocalMode: \"\"
ipvs:
  excludeCIDRs:
  - 10.103.97.2/32
  - \"10.0.0.0/24\"
  minSyncPeriod: 0s
kind: KubeProxyConfiguration
mode: ipvs
";

fn subnets(text: &str) -> Vec<Subnet> {
    list(text)
}

fn process(words: &[&str], root: &Path) -> Process {
    Process {
        id: 7,
        name: "kube-proxy".into(),
        words: words.iter().map(|&word| word.to_owned()).collect(),
        environment: Vec::new(),
        root: root.to_owned(),
    }
}

#[test]
fn ranges_are_found_in_kubeadms_manifests() {
    let directory = tempfile::tempdir().unwrap();
    let kubelet = directory.path().join("config.yaml");
    assert_eq!(files(directory.path(), &kubelet), Cluster::default());

    fs::write(directory.path().join("kube-apiserver.yaml"), APISERVER).unwrap();
    fs::write(directory.path().join("kube-controller-manager.yaml"), CONTROLLER_MANAGER).unwrap();
    fs::write(&kubelet, "cgroupDriver: systemd\nclusterDNS:\n- 10.96.0.10\nclusterDomain: cluster.local\n")
        .unwrap();
    let cluster = files(directory.path(), &kubelet);
    let found = |found: &[(Subnet, String)]| found.iter().map(|(subnet, _)| *subnet).collect::<Vec<_>>();
    assert_eq!(found(&cluster.services), subnets("10.96.0.0/12,fd00:96::/108"));
    assert_eq!(found(&cluster.pods), subnets("10.244.0.0/16"));
    assert!(cluster.services[0].1.ends_with("kube-apiserver.yaml"));
    assert_eq!(cluster.dns, [IpAddr::from([10, 96, 0, 10])]);
}

#[test]
fn kube_proxy_is_read_where_the_process_sees_its_file() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("var/lib/kube-proxy")).unwrap();
    fs::write(root.path().join("var/lib/kube-proxy/config.conf"), PROXY).unwrap();
    let process = process(&["kube-proxy", "--config=/var/lib/kube-proxy/config.conf"], root.path());
    let proxy = kube_proxy(None, &[process]).unwrap();
    let wanted = KubeProxy {
        origin: "/var/lib/kube-proxy/config.conf".into(),
        mode: "ipvs".into(),
        excluded: subnets("10.103.97.2/32,10.0.0.0/24"),
        pods: subnets("10.244.0.0/16"),
    };
    assert_eq!(proxy, wanted);
}

#[test]
fn kube_proxy_may_have_flags_only() {
    let words = ["kube-proxy", "--proxy-mode", "ipvs", "--ipvs-exclude-cidrs=10.103.97.2/32"];
    let proxy = kube_proxy(None, &[process(&words, Path::new("/"))]).unwrap();
    assert_eq!((proxy.mode.as_str(), proxy.excluded), ("ipvs", subnets("10.103.97.2/32")));
    let proxy = kube_proxy(None, &[process(&["kube-proxy"], Path::new("/"))]).unwrap();
    assert_eq!(proxy.mode, "iptables");
}

#[test]
fn a_file_that_is_something_else_tells_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    for text in ["mode: ipvs\n", "{\"kind\": \"KubeProxyConfiguration\", \"mode\": \"ipvs\"}"] {
        fs::write(&path, text).unwrap();
        assert_eq!(kube_proxy(Some(&path), &[]), None);
    }
    assert_eq!(kube_proxy(Some(&directory.path().join("none")), &[]), None);
}

#[test]
fn values_in_every_form() {
    assert_eq!(values("  excludeCIDRs: [\"10.103.97.2/32\", 10.0.0.0/24]\n", "excludeCIDRs").len(), 2);
    for nothing in ["excludeCIDRs: null\n", "excludeCIDRs: []\n", "excludeCIDRs:\nmode: ipvs\n", "other: 1\n"]
    {
        assert_eq!(values(nothing, "excludeCIDRs"), [""; 0], "{nothing}");
    }
    assert_eq!(values("mode: \"nftables\" # new\n", "mode"), ["nftables"]);
}
