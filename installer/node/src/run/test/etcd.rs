//! etcd on a master in memory: members of every kind, and snapshots that fail.

use std::path::Path;

use super::*;
use crate::api::etcd::EtcdHealth;
use crate::machine::Machine;
use crate::paths;

const FILE: &str = "/root/etcd.db";

fn master() -> Fake {
    let mut machine = Fake::bare();
    let words = "[etcd, --data-dir=/var/lib/etcd, '--listen-client-urls=https://10.0.0.1:2379,https://127.0.0.1:2379', \
                 --trusted-ca-file=/pki/ca.crt, --cert-file=/pki/server.crt, --key-file=/pki/server.key, --name=m1]";
    machine.has_file(
        paths::ETCD,
        &format!("spec:\n  containers:\n  - image: etcd:3.4.13-0\n    command: {words}\n"),
    );
    let words = words
        .trim_matches(['[', ']'])
        .replace('\'', "")
        .replace("https://10.0.0.1:2379,https", "https://10.0.0.1:2379;https");
    let line = words.split(',').map(|word| word.trim().replace(';', ",") + "\0").collect::<String>();
    machine.has_file("/proc/77/cmdline", &line);
    machine.has_file("/proc/77/status", "Name:\tetcd\nUid:\t0\t0\t0\t0\n");
    machine.has_file("/proc/77/root/usr/local/bin/etcdctl", "program");
    machine.has_directory("/var/lib/etcd/member");
    machine.has_directory("/root");
    let text = |text: &str| Ok(text.to_owned());
    machine.etcdctl = vec![
        (
            "member list",
            text(
                r#"{"header": {}, "members": [
                {"ID": 18446744073709551615, "name": "m1", "peerURLs": ["https://m1:2380"], "clientURLs": ["https://m1:2379"]},
                {"ID": 2, "name": "m2", "peerURLs": ["https://m2:2380"], "clientURLs": ["https://m2:2379"]},
                {"ID": 3, "peerURLs": ["https://m3:2380"]}]}"#,
            ),
        ),
        ("m2:2379", Err("a log\ncontext deadline exceeded".to_owned())),
        (
            "endpoint status",
            text(
                r#"[{"Endpoint": "x", "Status": {"version": "3.4.13", "dbSize": 7, "leader": 18446744073709551615}}]"#,
            ),
        ),
        ("endpoint health", text("[]")),
        ("snapshot save", text("")),
        ("snapshot status", text(r#"{"hash": 1, "revision": 2, "totalKey": 3, "totalSize": 4}"#)),
    ];
    machine
}

fn health(machine: &mut Fake) -> EtcdHealth {
    match ask(machine, &Request::EtcdHealth).0 {
        Ok(Outcome::EtcdHealth(health)) => health,
        other => panic!("{other:?}"),
    }
}

fn save() -> Request {
    Request::EtcdSave { file: FILE.into() }
}

#[test]
fn every_member_is_asked_as_its_certificate_allows() {
    let mut machine = master();
    let found = health(&mut machine);
    let troubles: Vec<_> = found.members.iter().map(|member| member.trouble.as_deref()).collect();
    assert_eq!(
        troubles,
        [None, Some("context deadline exceeded"), Some("it was announced and has not begun")]
    );
    assert!(found.members[0].is_leader && !found.is_fine());
    let first = machine.calls[0].join(" ");
    assert_eq!(
        first,
        "ETCDCTL_API=3 chroot /proc/77/root /usr/local/bin/etcdctl --endpoints=https://127.0.0.1:2379 --write-out=json \
         --cacert=/pki/ca.crt --cert=/pki/server.crt --key=/pki/server.key member list"
    );
    machine.etcdctl.retain(|(part, _)| *part != "endpoint health");
    assert_eq!(
        health(&mut machine).members[0].trouble.as_deref(),
        Some("exit status: 1"),
        "it has lost its majority"
    );
    for nonsense in ["", "{", r#"{"members": 7}"#, "[]"] {
        machine.etcdctl[0].1 = Ok(nonsense.to_owned());
        refused(
            &mut machine,
            &Request::EtcdHealth,
            Kind::Unreachable,
            "etcd does not say who its members are",
        );
    }
    machine.files.remove(Path::new("/proc/77/status"));
    refused(&mut machine, &Request::EtcdHealth, Kind::Unreachable, "etcd does not run on this machine");
    machine.files.remove(Path::new(paths::ETCD));
    refused(&mut machine, &Request::EtcdHealth, Kind::Refused, "etcd is no static pod of this machine");
}

#[test]
fn a_member_that_is_elsewhere_is_removed_once() {
    let mut machine = master();
    let text = machine.etcdctl[0]
        .1
        .clone()
        .unwrap()
        .replace("m2:2380", "10.0.0.2:2380")
        .replace("m3:2380", "[fd00::3]:2380/");
    machine.etcdctl[0].1 = Ok(text);
    machine.etcdctl.push(("member remove", Ok(String::new())));
    let remove = |machine: &mut Fake, address: &str| {
        machine.calls.clear();
        let address = address.parse().unwrap();
        ask(machine, &Request::EtcdRemove { address }).0
    };
    for (address, id, said) in [
        ("10.0.0.2", "2", "etcd knows the member m2 at 10.0.0.2 no more"),
        ("fd00::3", "3", "etcd knows the member at fd00::3 no more"),
    ] {
        let Ok(Outcome::Changed(changed)) = remove(&mut machine, address) else { panic!("{address}") };
        assert_eq!(changed.steps[0].text, said);
        assert!(
            machine.calls.last().unwrap().join(" ").ends_with(&format!(" member remove {id}")),
            "{address}"
        );
    }
    // One that nobody knows needs nothing.
    let Ok(Outcome::Changed(changed)) = remove(&mut machine, "10.0.0.9") else { panic!("changed") };
    assert!(!changed.changed && machine.calls.len() == 1);
    let own = remove(&mut machine, "10.0.0.10").unwrap_err();
    assert!(own.kind == Kind::Usage && own.message.contains("is this machine"), "{own:?}");
    machine.etcdctl.retain(|(part, _)| *part != "member remove");
    let refused = remove(&mut machine, "10.0.0.2").unwrap_err();
    assert!(refused.message.starts_with("etcd keeps the member at 10.0.0.2: "), "{refused:?}");
}

#[test]
fn a_snapshot_is_whole_and_roots_or_not_there() {
    let mut machine = master();
    let before = machine.snapshot();
    let outcome = ask(&mut machine, &save()).0.unwrap();
    let Outcome::EtcdSnapshot(saved) = outcome else { panic!("{outcome:?}") };
    assert_eq!((saved.bytes, saved.hash, saved.revision, saved.keys), (10, 1, 2, 3));
    assert_eq!(machine.files[Path::new(FILE)].mode, 0o600);
    refused(&mut machine, &save(), Kind::Usage, "/root/etcd.db is there already; it is not replaced");
    machine.files.remove(Path::new(FILE));
    assert_eq!(machine.snapshot(), before, "nothing else is left");
    for (part, answer) in [
        ("snapshot save", Err("no space left on device".to_owned())),
        ("snapshot status", Err("snapshot file integrity check failed".to_owned())),
        ("snapshot status", Ok("nonsense".to_owned())),
    ] {
        let mut machine = master();
        let place = machine.etcdctl.iter_mut().find(|(known, _)| *known == part).unwrap();
        place.1 = answer;
        let before = machine.snapshot();
        refused(&mut machine, &save(), Kind::Failed, "cannot save etcd to /root/etcd.db: ");
        assert_eq!(machine.snapshot(), before, "{part}");
    }
    // A disk that is full at any moment leaves no half snapshot that looks like a whole one.
    for number in 0.. {
        let mut machine = master();
        machine.fails = Fails::Once(machine.changes + number);
        let outcome = ask(&mut machine, &save()).0;
        machine.dies();
        if outcome.is_ok() {
            assert!(number > 3, "{number}");
            break;
        }
        assert!(machine.read(Path::new(FILE)).unwrap().is_none(), "{number}");
    }
}

#[test]
fn the_way_back_knows_all_members_that_have_begun() {
    let mut machine = master();
    let outcome = ask(&mut machine, &Request::EtcdRestoreHelp { file: Some(FILE.into()) }).0.unwrap();
    let Outcome::Guide { text } = outcome else { panic!("{outcome:?}") };
    assert!(text.contains("--initial-cluster=m1=https://m1:2380,m2=https://m2:2380\n"), "{text}");
    machine.etcdctl.clear();
    let outcome = ask(&mut machine, &Request::EtcdRestoreHelp { file: None }).0.unwrap();
    let Outcome::Guide { text } = outcome else { panic!("{outcome:?}") };
    assert!(text.contains("etcd does not answer here") && text.contains("SNAPSHOT"), "{text}");
}
