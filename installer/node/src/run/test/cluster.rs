//! What the cluster tells of itself refuses a node before anything is changed.

use lvscare::certificate;
use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::fake::Cluster;

const MADE: &str = "controlPlaneEndpoint: apiserver.cluster.local:6443\nkubernetesVersion: v1.34.0\n\
                    networking: {serviceSubnet: 10.96.0.0/22, podSubnet: 10.244.0.0/16}\n";

/// A machine whose masters tell `configuration`, and the join that knows their hash.
fn told(configuration: &str) -> (Fake, JoinRequest) {
    let key = KeyPair::generate().unwrap();
    let authority = CertificateParams::new(Vec::<String>::new()).unwrap().self_signed(&key).unwrap().pem();
    let mut request = joining();
    request.prepare.spec.service_cidrs.clear();
    request.prepare.kubeadm.unsafe_skip_ca = false;
    let hash = certificate::pem_key_hash(authority.as_bytes()).unwrap();
    request.prepare.kubeadm.ca_cert_hashes = vec![hash.parse().unwrap()];
    let cluster = Cluster {
        authority,
        server: "https://apiserver.cluster.local:6443".into(),
        configuration: configuration.into(),
        token: TOKEN.into(),
        asked: Vec::new(),
    };
    (Fake { cluster: Some(cluster), ..Fake::bare() }, request)
}

/// It is refused as a join, as a preparation for one, and as a dry run, and nothing is changed.
#[track_caller]
fn refuses(mut machine: Fake, request: &JoinRequest, why: &[&str]) {
    let before = machine.snapshot();
    let mut dry = request.clone();
    dry.prepare.change.dry_run = true;
    let requests = [
        Request::Join(Box::new(dry)),
        Request::Join(Box::new(request.clone())),
        Request::Prepare(Box::new(request.prepare.clone())),
    ];
    for request in requests {
        let failure = ask(&mut machine, &request).0.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused, "{failure}");
        for why in why {
            assert!(failure.message.contains(why), "{why}: {failure}");
        }
        assert!(!failure.message.contains(TOKEN), "{failure}");
        assert_eq!((machine.snapshot(), machine.calls.len()), (before.clone(), 0));
    }
}

#[test]
fn a_cluster_that_fits_is_joined() {
    let (mut machine, request) = told(MADE);
    machine.silent.insert("10.0.0.1:6443".parse().unwrap());
    let (_, notes) = changed(&mut machine, &Request::Join(Box::new(request)));
    assert_eq!(machine.calls.len(), 1);
    assert!(
        !notes.iter().any(|note| note.contains("service-cidr") || note.contains("cluster-")),
        "{notes:?}"
    );
    // The first that answers: without trust for its authority, then as one of the cluster.
    let asked = machine.cluster.unwrap().asked;
    let asked: Vec<_> = asked.iter().map(|(at, _, trusted)| (at.to_string(), *trusted)).collect();
    assert_eq!(asked, [("10.0.0.2:6443".to_owned(), false), ("10.0.0.2:6443".to_owned(), true)]);
}

#[test]
fn a_virtual_address_of_a_service_or_a_pod_is_refused() {
    for (made, why) in [
        ("{}", None),
        (
            "networking: {serviceSubnet: 10.96.0.0/12}",
            Some("10.103.97.2 lies in the Service CIDR 10.96.0.0/12"),
        ),
        ("networking: {serviceSubnet: \"fd00::/108,10.103.0.0/16\"}", Some("lies in the Service CIDR")),
        ("networking: {podSubnet: 10.103.0.0/16}", Some("10.103.97.2 lies in the Pod CIDR 10.103.0.0/16")),
    ] {
        let (mut machine, request) = told(made);
        match why {
            Some(why) => refuses(machine, &request, &[why, "its kubeadm-config", "--vip"]),
            None => drop(changed(&mut machine, &Request::Join(Box::new(request)))),
        }
    }
    // What was told as well counts beside it, not instead of it.
    let (machine, mut request) = told("networking: {serviceSubnet: 10.96.0.0/12}");
    request.prepare.spec.service_cidrs = asked().service_cidrs;
    refuses(machine, &request, &["10.103.97.2 lies in the Service CIDR 10.96.0.0/12"]);
}

#[test]
fn a_cluster_that_calls_somebody_else_is_refused() {
    let (mut machine, request) = told(MADE);
    machine.cluster.as_mut().unwrap().server = "https://10.0.0.1:6443".into();
    refuses(
        machine,
        &request,
        &["the clients of this cluster call 10.0.0.1:6443", "controlPlaneEndpoint in the"],
    );
    let (machine, request) = told("controlPlaneEndpoint: lb.example\n");
    refuses(machine, &request, &["call lb.example:6443", "give that name: --apiserver lb.example"]);
}

#[test]
fn another_cluster_and_a_token_that_is_not_known_are_refused() {
    let (machine, mut request) = told(MADE);
    request.prepare.kubeadm.ca_cert_hashes = vec![format!("sha256:{}", "0".repeat(64)).parse().unwrap()];
    refuses(machine, &request, &["other-authority", "--discovery-token-ca-cert-hash says sha256:0000"]);
    let (mut machine, request) = told(MADE);
    machine.cluster.as_mut().unwrap().token = "another".into();
    refuses(machine, &request, &["10.0.0.1:6443 does not know the token abcdef.***"]);
    let (machine, request) = told("kubernetesVersion: v1.30.1\n");
    refuses(machine, &request, &["kubeadm here is v1.34.1, and the cluster is of v1.30.1"]);
}

#[test]
fn nothing_is_asked_that_proves_nothing_or_that_was_not_wanted() {
    let (mut machine, mut request) = told(MADE);
    request.prepare.kubeadm.ca_cert_hashes.clear();
    request.prepare.kubeadm.unsafe_skip_ca = true;
    changed(&mut machine, &Request::Join(Box::new(request)));
    assert!(machine.cluster.as_ref().unwrap().asked.is_empty());
    // It has joined: kubelet's own file tells who the cluster is, and a token may be long gone.
    let (_, request) = told(MADE);
    changed(&mut machine, &Request::Join(Box::new(request)));
    assert!(machine.cluster.unwrap().asked.is_empty());
    for part in [crate::spec::Part::Checks, crate::spec::Part::Reach] {
        let (mut machine, mut request) = told("networking: {serviceSubnet: 10.96.0.0/12}");
        request.prepare.skip.push(part);
        changed(&mut machine, &Request::Join(Box::new(request)));
        assert!(machine.cluster.unwrap().asked.is_empty());
    }
}

#[test]
fn who_does_not_tell_is_noted() {
    let (mut machine, request) = told(MADE);
    machine.cluster = None;
    let (_, told) = changed(&mut machine, &Request::Join(Box::new(request)));
    assert!(told.iter().any(|line| line.contains("no master tells how the cluster was made")), "{told:?}");
}
