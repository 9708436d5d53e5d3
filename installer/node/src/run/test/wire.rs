//! Everything goes through JSON both ways, and nothing on the way out holds a secret.

use super::*;
use crate::api::certificates::{AddNamesRequest, RenewRequest, RestoreRequest};
use crate::api::package::InstallPackageRequest;
use crate::spec::secret::revealed;
use crate::step::Content;

#[track_caller]
fn there_and_back<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    value: &T,
) {
    let text = revealed(|| serde_json::to_string(value)).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *value);
}

#[test]
fn requests_are_read_as_they_were_written() {
    for request in [
        Request::Check(CheckRequest { spec: asked(), role: Role::Master, cri_socket: None, visits: true }),
        Request::Prepare(Box::new(prepare())),
        Request::Join(Box::new(joining())),
        set_masters("10.0.0.1,m1"),
        Request::Status,
        UNDO,
        Request::UnsetHost { name: "api".into() },
        Request::RenderPod(asked()),
        Request::RemovePod { change: Change::default() },
        Request::Certificates,
        Request::EtcdHealth,
        Request::EtcdSave { file: "/root/etcd.db".into() },
        Request::EtcdRemove { address: [10, 0, 0, 2].into() },
        Request::EtcdRestoreHelp { file: None },
        Request::Renew(RenewRequest {
            until: 4_918_060_800,
            files: vec!["/etc/kubernetes/admin.conf".into()],
            wait: Duration::from_secs(360),
            change: Change::default(),
        }),
        Request::AddNames(AddNamesRequest {
            names: vec!["api".into()],
            wait: Duration::from_secs(360),
            change: Change::default(),
        }),
        Request::InstallPackage(InstallPackageRequest {
            archive: "/tmp/kube.tar".into(),
            sha256: Content::new("", 0).digest(),
            version: "v1.34.1".parse().ok(),
            unpack_only: true,
            change: Change::default(),
        }),
        Request::Restore(RestoreRequest { wait: Duration::from_secs(360), change: Change::default() }),
    ] {
        there_and_back(&request);
    }
}

#[test]
fn answers_are_read_as_they_were_written_and_hold_no_secret() {
    let mut machine = Fake::bare();
    let mut events = Vec::new();
    let request = Request::Join(Box::new(joining()));
    let outcome = run(&request, &mut machine, &mut |event| events.push(event)).unwrap();
    let text = serde_json::to_string(&(&outcome, &events)).unwrap();
    assert!(!text.contains(TOKEN), "{text}");
    there_and_back(&outcome);
    events.iter().for_each(there_and_back);
    there_and_back(&ask(&mut machine, &Request::Status).0.unwrap());
    there_and_back(&Failure::usage("no"));
}

#[test]
fn a_value_that_is_not_valid_is_none_whoever_sent_it() {
    let request = Request::Join(Box::new(joining()));
    let text = revealed(|| serde_json::to_string(&request)).unwrap().replace(TOKEN, "abcdef.SECRET");
    let refusal = serde_json::from_str::<Request>(&text).unwrap_err().to_string();
    assert!(
        refusal.contains("the token `abcdef.***` has 6 characters") && !refusal.contains("SECRET"),
        "{refusal}"
    );
    // Where secrets are not meant to be read, none can be.
    let text = serde_json::to_string(&request).unwrap();
    assert!(!text.contains(TOKEN) && text.contains(r#""token":"***""#), "{text}");
}
