use proptest::prelude::*;

use super::*;

const DIGITS: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn token() -> Token {
    "abcdef.0123456789abcdef".parse().unwrap()
}

fn worker() -> Join {
    Join {
        endpoint: "apiserver.cluster.local:6443".to_owned(),
        discovery_token: Some(token()),
        tls_bootstrap_token: Some(token()),
        ca_cert_hashes: vec![format!("sha256:{DIGITS}").parse().unwrap()],
        ..Join::default()
    }
}

fn everything() -> Join {
    Join {
        node_name: Some("no".to_owned()),
        cri_socket: Some("unix:///run/containerd/containerd.sock".to_owned()),
        ignore_preflight_errors: vec!["Swap".to_owned()],
        kubelet_extra_args: vec![("node-ip".to_owned(), "10.0.0.9".to_owned())],
        patches: Some("/etc/kubernetes/patches".to_owned()),
        skip_phases: vec!["preflight".to_owned()],
        control_plane: Some(ControlPlane {
            advertise_address: Some("10.0.0.9".parse().unwrap()),
            bind_port: Some(6443),
            certificate_key: Some(DIGITS.parse().unwrap()),
        }),
        ..worker()
    }
}

fn render(join: &Join, version: &str) -> Result<Rendered, Error> {
    join.render(version.parse().unwrap())
}

fn yaml(join: &Join, version: &str) -> String {
    render(join, version).unwrap().yaml.reveal().to_owned()
}

/// The examples are what the line of 2019 gives.
#[test]
fn the_examples_are_what_is_rendered() {
    let join = Join {
        endpoint: "apiserver.cluster.local:6443".to_owned(),
        discovery_token: Some("9vr73a.a8uxyaju799qwdjv".parse().unwrap()),
        tls_bootstrap_token: Some("9vr73a.a8uxyaju799qwdjv".parse().unwrap()),
        ca_cert_hashes: vec![
            "sha256:7c2e69131a36ae2a042a339b33381c6d0d43887e2de83720eff5359e26aec866".parse().unwrap(),
        ],
        ..Join::default()
    };
    assert_eq!(yaml(&join, "1.30.14"), include_str!("../../../../../manifests/kubeadm/worker-v1beta3.yaml"));
    assert_eq!(yaml(&join, "1.34.1"), include_str!("../../../../../manifests/kubeadm/worker-v1beta4.yaml"));
}

/// The virtual address is neither a Service's nor one that kube-proxy would take away.
#[test]
fn the_example_of_a_cluster_leaves_the_virtual_address_alone() {
    use lvscare::doctor::subnet::Subnet;
    use serde::Deserialize as _;
    let text = include_str!("../../../../../manifests/kubeadm/cluster.yaml");
    let read = |document| serde_json::Value::deserialize(document).unwrap();
    let [cluster, proxy] = &serde_yaml::Deserializer::from_str(text).map(read).collect::<Vec<_>>()[..] else {
        panic!("two documents")
    };
    let holds = |subnet: &serde_json::Value| {
        subnet.as_str().unwrap().parse::<Subnet>().unwrap().holds("10.103.97.2".parse().unwrap())
    };
    assert!(!holds(&cluster["networking"]["serviceSubnet"]) && !holds(&cluster["networking"]["podSubnet"]));
    assert!(holds(&proxy["ipvs"]["excludeCIDRs"][0]));
    assert_eq!(cluster["controlPlaneEndpoint"], worker().endpoint);
}

#[test]
fn a_worker_of_today() {
    let wanted = "\
# How kubeadm v1.34.1 joins this node. Written by lvscare-installer; holds secrets.
apiVersion: kubeadm.k8s.io/v1beta4
discovery:
  bootstrapToken:
    apiServerEndpoint: apiserver.cluster.local:6443
    caCertHashes:
    - sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
    token: abcdef.0123456789abcdef
  tlsBootstrapToken: abcdef.0123456789abcdef
kind: JoinConfiguration
";
    assert_eq!(yaml(&worker(), "1.34.1"), wanted);
}

#[test]
fn a_master_of_today_with_every_flag() {
    let wanted = "\
controlPlane:
  certificateKey: \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"
  localAPIEndpoint:
    advertiseAddress: \"10.0.0.9\"
    bindPort: 6443
";
    let yaml = yaml(&everything(), "1.31.0");
    assert!(yaml.contains(wanted), "{yaml}");
    let wanted = "\
nodeRegistration:
  criSocket: unix:///run/containerd/containerd.sock
  ignorePreflightErrors:
  - Swap
  kubeletExtraArgs:
  - name: node-ip
    value: \"10.0.0.9\"
  name: \"no\"
patches:
  directory: /etc/kubernetes/patches
skipPhases:
- preflight
";
    assert!(yaml.ends_with(wanted), "{yaml}");
}

#[test]
fn options_of_kubelet_were_a_map() {
    let yaml = yaml(&everything(), "1.30.0");
    assert!(yaml.contains("  kubeletExtraArgs:\n    node-ip: \"10.0.0.9\"\n"), "{yaml}");
    let mut join = worker();
    join.kubelet_extra_args = vec![("v".to_owned(), "1".to_owned()), ("v".to_owned(), "2".to_owned())];
    let refusal = render(&join, "1.30.0").unwrap_err().to_string();
    assert_eq!(
        refusal,
        "kubelet option `v` is given twice; before Kubernetes v1.31 kubeadm passes each option on once"
    );
    assert!(render(&join, "1.31.0").is_ok());
}

#[test]
fn the_check_of_the_manifests_folder_is_waived_exactly_where_there_is_one() {
    for (version, in_configuration, flags) in [
        ("1.14.0", false, vec!["--ignore-preflight-errors=DirAvailable--etc-kubernetes-manifests"]),
        ("1.15.0", true, vec![]),
        ("1.22.17", true, vec![]),
        ("1.23.0", false, vec![]),
        ("1.34.0", false, vec![]),
    ] {
        let rendered = render(&worker(), version).unwrap();
        assert_eq!(rendered.yaml.reveal().contains(MANIFESTS), in_configuration, "{version}");
        assert_eq!(rendered.flags, flags, "{version}");
    }
    let mut join = worker();
    join.ignore_preflight_errors = vec![MANIFESTS.to_owned()];
    assert_eq!(yaml(&join, "1.20.0").matches(MANIFESTS).count(), 1);
}

#[test]
fn what_a_version_cannot_do_is_named() {
    for (version, refusal) in [
        ("1.14.3", "--certificate-key needs Kubernetes v1.15; this is v1.14.3"),
        ("1.21.0", "--patches needs Kubernetes v1.22; this is v1.21.0"),
    ] {
        assert_eq!(render(&everything(), version).unwrap_err().to_string(), refusal);
    }
    let join = Join { skip_phases: vec!["preflight".to_owned()], ..worker() };
    let refusal = render(&join, "1.21").unwrap_err().to_string();
    assert_eq!(refusal, "--skip-phases needs Kubernetes v1.22; this is v1.21");
}

#[test]
fn the_cluster_is_found_in_one_way() {
    let file = || Some("/root/cluster-info.conf".to_owned());
    let by_file = Join { discovery_token: None, ca_cert_hashes: vec![], discovery_file: file(), ..worker() };
    let yaml = yaml(&by_file, "1.34.1");
    assert!(
        yaml.contains("  file:\n    kubeConfigPath: /root/cluster-info.conf\n  tlsBootstrapToken:"),
        "{yaml}"
    );
    let skipping = Join { ca_cert_hashes: vec![], unsafe_skip_ca: true, ..worker() };
    assert!(
        render(&skipping, "1.34").unwrap().yaml.reveal().contains("    unsafeSkipCAVerification: true\n")
    );

    for (join, why) in [
        (Join { discovery_token: None, ..worker() }, "a join needs --token or --discovery-file"),
        (
            Join { discovery_file: file(), ..worker() },
            "--discovery-file takes the place of --discovery-token",
        ),
        (Join { ca_cert_hashes: vec![], ..worker() }, "give --discovery-token-ca-cert-hash, or"),
        (Join { unsafe_skip_ca: true, ..worker() }, "not both"),
    ] {
        let refusal = render(&join, "1.34").unwrap_err().to_string();
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[test]
fn no_secret_is_shown() {
    let shown = format!("{:?} {:?}", everything(), render(&everything(), "1.34"));
    assert!(!shown.contains("0123456789abcdef") && !shown.contains(&format!("\"{DIGITS}\"")), "{shown}");
}

proptest! {
    #[test]
    fn no_text_breaks_out_of_its_field(text in ".{0,12}", minor in 22_u16..40) {
        let mut join = everything();
        join.node_name = Some(text.clone());
        join.kubelet_extra_args = vec![("node-labels".to_owned(), text.clone())];
        let rendered = join.render(format!("1.{minor}").parse().unwrap()).unwrap();
        let read: serde_json::Value = serde_yaml::from_str(rendered.yaml.reveal()).unwrap();
        prop_assert_eq!(read["nodeRegistration"]["name"].as_str(), Some(text.as_str()));
    }
}
