use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn at() -> SocketAddr {
    "10.103.97.2:6443".parse().unwrap()
}

/// A slice as kube-apiserver writes it.
fn slice(addresses: &[&str], conditions: &Value) -> Value {
    json!({
        "kind": "EndpointSliceList",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"resourceVersion": "612"},
        "items": [{
            "metadata": {"name": "kubernetes", "namespace": "default",
                         "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": addresses.iter()
                .map(|address| json!({"addresses": [address], "conditions": conditions}))
                .collect::<Vec<_>>(),
            "ports": [{"name": "https", "protocol": "TCP", "port": 6443}],
        }],
    })
}

fn read(form: Form, value: &Value) -> Result<Vec<String>, String> {
    let servers = masters(form, value.to_string().as_bytes(), at())?;
    Ok(servers.iter().map(SocketAddr::to_string).collect())
}

#[test]
fn ready_addresses_sorted_and_once() {
    let slices = slice(&["10.0.0.2", "10.0.0.1", "10.0.0.2"], &json!({"ready": true}));
    assert_eq!(read(Form::Slices, &slices).unwrap(), ["10.0.0.1:6443", "10.0.0.2:6443"]);
}

#[test]
fn readiness_that_is_not_told_counts() {
    for told in [json!({}), json!({"ready": null}), json!(null)] {
        assert_eq!(read(Form::Slices, &slice(&["10.0.0.1"], &told)).unwrap(), ["10.0.0.1:6443"], "{told}");
    }
    let mut slices = slice(&["10.0.0.1", "10.0.0.2"], &json!({"ready": true}));
    slices["items"][0]["endpoints"][0]["conditions"] = json!({"ready": false});
    assert_eq!(read(Form::Slices, &slices).unwrap(), ["10.0.0.2:6443"]);
}

#[test]
fn several_slices_are_one_list() {
    let mut slices = slice(&["10.0.0.1"], &json!({}));
    let other = slice(&["10.0.0.2"], &json!({}))["items"][0].clone();
    slices["items"].as_array_mut().unwrap().push(other);
    assert_eq!(read(Form::Slices, &slices).unwrap(), ["10.0.0.1:6443", "10.0.0.2:6443"]);
}

#[test]
fn the_port_called_https_or_the_only_one() {
    let with = |ports: Value| {
        let mut slices = slice(&["10.0.0.1"], &json!({}));
        slices["items"][0]["ports"] = ports;
        read(Form::Slices, &slices)
    };
    let konnectivity = json!({"name": "konnectivity", "port": 8132});
    assert_eq!(with(json!([konnectivity, {"name": "https", "port": 443}])).unwrap(), ["10.0.0.1:443"]);
    assert_eq!(with(json!([{"port": 7443}])).unwrap(), ["10.0.0.1:7443"]);
    for none in [json!([konnectivity, {"port": 443}]), json!([]), json!(null), json!([{"port": 0}])] {
        assert!(with(none.clone()).is_err(), "{none}");
    }
    assert!(with(json!([{"port": 65536}])).is_err());
}

#[test]
fn endpoints_of_old() {
    let endpoints = json!({
        "kind": "Endpoints", "apiVersion": "v1", "metadata": {"name": "kubernetes"},
        "subsets": [{
            "addresses": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.1"}],
            "notReadyAddresses": [{"ip": "10.0.0.3"}],
            "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
        }],
    });
    assert_eq!(read(Form::Endpoints, &endpoints).unwrap(), ["10.0.0.1:6443", "10.0.0.2:6443"]);
}

#[test]
fn what_cannot_serve_is_passed_over() {
    let others = ["fd00::1", "10.103.97.2", "127.0.0.1", "0.0.0.0", "224.0.0.1", "master-1.example.com"];
    let mut addresses = vec!["10.0.0.1"];
    addresses.extend(others);
    assert_eq!(read(Form::Slices, &slice(&addresses, &json!({}))).unwrap(), ["10.0.0.1:6443"]);
    assert_eq!(
        read(Form::Slices, &slice(&others, &json!({}))).unwrap_err(),
        "it names no apiserver that is ready and has an IPv4 address"
    );
    let six = slice(&["fd00::1", "10.0.0.1"], &json!({})).to_string();
    let six = masters(Form::Slices, six.as_bytes(), "[fd00:103::2]:6443".parse().unwrap()).unwrap();
    assert_eq!(six, BTreeSet::from(["[fd00::1]:6443".parse().unwrap()]));
}

#[test]
fn empty_and_endless_lists_are_refused() {
    for empty in [json!([]), json!([{"endpoints": null, "ports": null}])] {
        let mut slices = slice(&[], &json!({}));
        slices["items"] = empty;
        assert!(read(Form::Slices, &slices).is_err());
    }
    assert!(read(Form::Endpoints, &json!({"kind": "Endpoints"})).is_err());
    let many: Vec<String> = (1..=65).map(|last| format!("10.0.0.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        read(Form::Slices, &slice(&many, &json!({}))).unwrap_err(),
        "it names 65 apiservers; more than 64 cannot be true"
    );
    assert_eq!(read(Form::Slices, &slice(&many[1..], &json!({}))).unwrap().len(), 64);
}

#[test]
fn another_kind_is_refused() {
    let status = json!({"kind": "Status", "status": "Failure"});
    assert_eq!(
        read(Form::Slices, &status).unwrap_err(),
        "it is of kind \"Status\" instead of EndpointSliceList"
    );
    for body in ["", "<html>", "[]", "{}", "null"] {
        let error = masters(Form::Slices, body.as_bytes(), at()).unwrap_err();
        assert!(error.starts_with("not the JSON that was asked for: "), "{error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0_usize..600) {
        let whole = slice(&["10.0.0.1"], &json!({"ready": true})).to_string();
        for form in [Form::Slices, Form::Endpoints] {
            let _ = masters(form, &bytes, at());
            let _ = masters(form, &whole.as_bytes()[..cut.min(whole.len())], at());
        }
    }
}
