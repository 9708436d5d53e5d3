use super::*;

const CLUSTER: &str = "kind: ClusterConfiguration\n";

const KEY: &str = "f8902e114ef118304e561c3ecd4d0b543adc226b7a07f675f56564185ffe0c07";

fn rendered(version: &str) -> String {
    let (token, key) = ("abcdef.0123456789abcdef".parse().unwrap(), KEY.parse().unwrap());
    let init = Init {
        advertise_address: [10, 0, 0, 1].into(),
        bind_port: 6443,
        node_name: None,
        cri_socket: Some("/run/containerd/containerd.sock"),
        ignore_preflight_errors: &["NumCPU".to_owned()],
        token: Some(&token),
        certificate_key: Some(&key),
    };
    init.render(version.parse().unwrap(), CLUSTER).unwrap().reveal().to_owned()
}

#[test]
fn the_first_master_of_an_old_cluster() {
    assert_eq!(
        rendered("v1.20.2"),
        r#"# What kubeadm v1.20.2 makes of the first master. Written by lvscare-installer; holds secrets.
apiVersion: kubeadm.k8s.io/v1beta2
bootstrapTokens:
- groups:
  - system:bootstrappers:kubeadm:default-node-token
  token: abcdef.0123456789abcdef
  ttl: "1h0m0s"
  usages:
  - signing
  - authentication
certificateKey: f8902e114ef118304e561c3ecd4d0b543adc226b7a07f675f56564185ffe0c07
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: "10.0.0.1"
  bindPort: 6443
nodeRegistration:
  criSocket: /run/containerd/containerd.sock
  ignorePreflightErrors:
  - NumCPU
---
kind: ClusterConfiguration
"#
    );
}

#[test]
fn nobody_reads_the_key_in_an_argument() {
    let (version, key) = ("v1.14.1".parse().unwrap(), KEY.parse().unwrap());
    let mut init = Init {
        advertise_address: [10, 0, 0, 1].into(),
        bind_port: 6443,
        node_name: None,
        cri_socket: None,
        ignore_preflight_errors: &[],
        token: None,
        certificate_key: Some(&key),
    };
    let refusal = init.render(version, CLUSTER).unwrap_err();
    assert!(refusal.message.contains("needs Kubernetes v1.15"), "{refusal}");
    init.certificate_key = None;
    let alone = init.render(version, CLUSTER).unwrap();
    assert!(alone.reveal().contains("kubeadm.k8s.io/v1beta1"));
    // What is shown has no secret.
    assert!(!format!("{alone:?}").contains("10.0.0.1"));
}
