//! The certificates of a cluster on a machine in memory: as kubeadm lays them out, long over, and brought back.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

use super::*;
use crate::api::certificates::{AddNamesRequest, Certificates, FindingKind, RenewRequest, RestoreRequest};
use crate::date::DAY;
use crate::journal::Journal;
use crate::machine::Machine;
use crate::paths;
use crate::pki::certificate::Certificate;
use crate::pki::pem;
use crate::step::Content;

/// 2125-11-06.
const FAR: u64 = 4_918_060_800;
const WAIT: Duration = Duration::from_secs(120);

/// An authority of the cluster.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    key: String,
}

fn authority(name: &str, until: i32) -> Authority {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (parameters.not_before, parameters.not_after) = (date_time_ymd(2016, 9, 1), date_time_ymd(until, 1, 1));
    let pair = KeyPair::generate().unwrap();
    let (pem, key) = (parameters.self_signed(&pair).unwrap().pem(), pair.serialize_pem());
    Authority { issuer: Issuer::new(parameters, pair), pem, key }
}

impl Authority {
    /// A certificate and its key.
    fn signs(&self, name: &str, until: i32) -> (String, String) {
        let names = vec!["apiserver.cluster.local".to_owned(), "10.0.0.1".to_owned()];
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (parameters.not_before, parameters.not_after) =
            (date_time_ymd(2016, 9, 1), date_time_ymd(until, 1, 1));
        let pair = KeyPair::generate().unwrap();
        (parameters.signed_by(&pair, &self.issuer).unwrap().pem(), pair.serialize_pem())
    }

    fn kubeconfig(&self, user: &str, until: i32) -> String {
        let (certificate, key) = self.signs(user, until);
        let [ca, certificate, key] = [&self.pem, &certificate, &key].map(|text| STANDARD.encode(text));
        format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: https://10.0.0.1:6443\n  name: \
             kubernetes\nusers:\n- name: {user}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n"
        )
    }
}

/// A master whose certificates end with the year before this one.
fn master(until: i32) -> Fake {
    cluster(until).0
}

/// The same, and its authority.
fn cluster(until: i32) -> (Fake, Authority) {
    let mut machine = bare_master();
    let (ca, front, etcd) =
        (authority("kubernetes", until), authority("front-proxy-ca", until), authority("etcd-ca", until));
    let mut has = |path: &str, text: &str| machine.has_file(&format!("/etc/kubernetes/{path}"), text);
    for (name, authority) in [("ca", &ca), ("front-proxy-ca", &front), ("etcd/ca", &etcd)] {
        has(&format!("pki/{name}.crt"), &authority.pem);
        has(&format!("pki/{name}.key"), &authority.key);
    }
    for (name, authority) in [
        ("apiserver", &ca),
        ("apiserver-kubelet-client", &ca),
        ("front-proxy-client", &front),
        ("apiserver-etcd-client", &etcd),
        ("etcd/server", &etcd),
        ("etcd/peer", &etcd),
        ("etcd/healthcheck-client", &etcd),
    ] {
        let (certificate, key) = authority.signs(name, until);
        has(&format!("pki/{name}.crt"), &certificate);
        has(&format!("pki/{name}.key"), &key);
    }
    has("pki/sa.pub", "no certificate");
    for name in ["admin", "controller-manager", "scheduler"] {
        has(&format!("{name}.conf"), &ca.kubeconfig(name, until));
    }
    let trust = STANDARD.encode(&ca.pem);
    has(
        "kubelet.conf",
        &format!(
            "clusters:\n- cluster:\n    certificate-authority-data: {trust}\n  name: k\nusers:\n- name: n\n  user:\n    client-certificate: \
             {}\n",
            paths::KUBELET_CLIENT
        ),
    );
    machine.has_file(paths::KUBELET_CONFIG, "kind: KubeletConfiguration\n");
    let (certificate, key) = ca.signs("system:node:m1", until);
    machine.has_file(paths::KUBELET_CLIENT, &(certificate + &key));
    // kubelet has started what there is.
    machine.sleep(Duration::ZERO);
    (machine, ca)
}

/// Four static pods and ours, and kubelet.
fn bare_master() -> Fake {
    let mut machine = Fake::bare();
    machine.kubelet = Some(Duration::from_secs(5));
    for (name, port, reads) in [
        ("etcd", 2381, "pki/etcd/server.crt"),
        ("kube-apiserver", 6443, "pki/apiserver.crt"),
        ("kube-controller-manager", 10257, "controller-manager.conf"),
        ("kube-scheduler", 10259, "scheduler.conf"),
        ("someone-elses", 80, "pki/apiserver-but-not.crt"),
    ] {
        let manifest = format!(
            "spec:\n  containers:\n  - command: [x, --file=/etc/kubernetes/{reads}]\n    livenessProbe:\n      httpGet:\n        host: \
             127.0.0.1\n        path: /livez\n        port: {port}\n        scheme: HTTPS\n"
        );
        machine.has_file(&format!("{}/{name}.yaml", paths::MANIFESTS), &manifest);
    }
    machine
}

fn renew() -> RenewRequest {
    RenewRequest { until: FAR, files: Vec::new(), wait: WAIT, change: Change::default() }
}

fn look(machine: &mut Fake) -> Certificates {
    match ask(machine, &Request::Certificates).0 {
        Ok(Outcome::Certificates(certificates)) => certificates,
        other => panic!("{other:?}"),
    }
}

fn findings(machine: &mut Fake, file: &str) -> Vec<FindingKind> {
    let table = look(machine);
    let rows = table.certificates.iter().filter(|row| row.file.ends_with(file));
    rows.flat_map(|row| &row.findings).map(|finding| finding.kind).collect()
}

/// The whole directory, judged by openssl: every certificate by its authority, at the real time of this machine.
fn verify(machine: &Fake) {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = directory.path().join(name.replace('/', "-"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let ca = |name: &str| {
        let content = &machine.files[&PathBuf::from(format!("/etc/kubernetes/pki/{name}.crt"))];
        file(name, &content.bytes)
    };
    let check = |authority: &Path, certificate: &Path| {
        let mut command = Command::new("openssl");
        let output = command.arg("verify").arg("-CAfile").arg(authority).arg(certificate).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    };
    let authorities = [ca("ca"), ca("front-proxy-ca"), ca("etcd/ca")];
    let mut checked = 0;
    for (path, content) in machine.files.iter().filter(|(path, _)| path.starts_with("/etc/kubernetes")) {
        let authority = match path.to_str().unwrap() {
            text if text.contains("/etcd/") || text.ends_with("apiserver-etcd-client.crt") => &authorities[2],
            text if text.contains("front-proxy") => &authorities[1],
            _ => &authorities[0],
        };
        let text = String::from_utf8_lossy(&content.bytes).into_owned();
        if path.extension().is_some_and(|end| end == "crt") {
            check(authority, &file("it", &content.bytes));
            checked += 1;
        } else if let Some(data) =
            text.lines().find_map(|line| line.trim().strip_prefix("client-certificate-data: "))
        {
            check(authority, &file("it", &STANDARD.decode(data).unwrap()));
            // As kubeadm compares it.
            let trust = text
                .lines()
                .find_map(|line| line.trim().strip_prefix("certificate-authority-data: "))
                .unwrap();
            assert_eq!(STANDARD.decode(trust).unwrap(), std::fs::read(&authorities[0]).unwrap());
            checked += 1;
        }
    }
    assert_eq!(checked, 13, "three authorities, seven certificates, three kubeconfigs");
}

#[test]
fn a_cluster_in_which_all_is_over_is_brought_back() {
    let mut machine = master(2026);
    let before = machine.clone();
    let table = look(&mut machine);
    assert_eq!(table.certificates.len(), 14);
    assert!(
        table.certificates.iter().all(|row| row.findings.iter().any(|it| it.kind == FindingKind::Expired))
    );

    let (outcome, told) = changed(&mut machine, &Request::Renew(renew()));
    let (renewed, restarted) = told.split_at(15);
    assert_eq!(renewed[0], "renew /etc/kubernetes/pki/ca.crt: ends 2126-11-06 (was 2026-01-01)");
    assert!(renewed[..3].iter().all(|step| step.contains("ca.crt:")), "authorities first: {renewed:?}");
    assert_eq!(
        renewed[3],
        "renew /etc/kubernetes/pki/apiserver-etcd-client.crt: ends 2125-11-06 (was 2026-01-01)"
    );
    assert_eq!(renewed[12], "renew /etc/kubernetes/kubelet.conf: the authority that it trusts");
    assert_eq!(
        restarted,
        [
            "restart kubelet",
            "restart the static pod etcd",
            "restart the static pod kube-apiserver",
            "restart the static pod kube-controller-manager",
            "restart the static pod kube-scheduler",
        ]
    );
    // One after the other: each has ended before it begins again, and before the next one ends.
    let mut wanted = vec!["restart kubelet.service".to_owned()];
    for name in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        wanted.extend([format!("{name} ends"), format!("{name} begins")]);
    }
    assert_eq!(machine.lives[before.lives.len()..], wanted);
    assert!(outcome.changed && look(&mut machine).is_fine(), "{:#?}", look(&mut machine));
    verify(&machine);
    for (path, content) in before.files.iter().filter(|(path, _)| path.starts_with("/etc/kubernetes")) {
        let now = &machine.files[path];
        assert_eq!(now.mode, content.mode);
        assert!(
            path.extension().is_none_or(|end| end == "crt" || end == "conf") || now == content,
            "{path:?}"
        );
    }
    // Nothing to do any more, and nothing of ours but the former files.
    assert_eq!(changed(&mut machine, &Request::Renew(renew())).1, [""; 0]);
    assert_eq!(machine.text(paths::JOURNAL), None);
    let former = paths::former(Path::new("/etc/kubernetes/admin.conf"));
    assert_eq!(machine.files[&former], before.files[Path::new("/etc/kubernetes/admin.conf")]);
}

#[test]
fn no_key_is_told_by_what_is_known_of_files() {
    let machine = master(2035);
    let found = crate::pki::find::find(&machine).unwrap();
    let (entries, _) = crate::pki::table::entries(&found);
    assert!(found.keys.len() == 10 && entries.len() == 14);
    let key = machine.text("/etc/kubernetes/pki/ca.key").unwrap();
    // Beyond its first line, which is much like that of a certificate.
    let key = format!("{:?}", &key.as_bytes()[60..90]);
    let key = key.trim_matches(['[', ']']);
    for text in
        [format!("{found:?}"), format!("{entries:?}"), format!("{:?}", crate::pki::table::seen(&entries))]
    {
        assert!(text.contains("pki/ca.crt") && !text.contains(key) && !text.contains("PRIVATE"), "{text}");
    }
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    let mut machine = master(2026);
    let before = machine.snapshot();
    let request = RenewRequest { change: Change { dry_run: true, force: false }, ..renew() };
    let (planned, _) = changed(&mut machine, &Request::Renew(request));
    assert_eq!(machine.snapshot(), before);
    let (_, told) = changed(&mut machine, &Request::Renew(renew()));
    assert_eq!(planned.steps.iter().map(|step| step.text.clone()).collect::<Vec<_>>(), told);
    let text = serde_json::to_string(&planned).unwrap();
    assert!(!text.contains("KEY") && !text.contains("client-key-data"), "{text}");
}

/// A disk that is full, or a process that is killed, at every change: what is left always works, and the next run finishes
/// it.
#[test]
fn a_renewal_can_end_anywhere() {
    let begin = master(2026);
    let manifests = |machine: &Fake| machine.entries(Path::new(paths::MANIFESTS)).unwrap().len();
    let mut points = 0;
    for fails in [Fails::Once as fn(usize) -> Fails, Fails::From] {
        for number in 0.. {
            let mut machine = begin.clone();
            machine.fails = fails(machine.changes + number);
            let outcome = ask(&mut machine, &Request::Renew(renew())).0;
            machine.dies();
            if outcome.is_ok() {
                break;
            }
            points += 1;
            // Old and new go together, whatever was renewed.
            let rows = look(&mut machine).certificates;
            assert!(rows.iter().all(|row| row.authority.is_some()), "{number}: {rows:#?}");
            machine.lives.clear();
            changed(&mut machine, &Request::Renew(renew()));
            assert_eq!(manifests(&machine), 5, "{number}: no manifest is lost");
            assert!(look(&mut machine).is_fine(), "{number}");
            let journal = Journal::of(&machine).unwrap();
            assert!(
                journal.restarts().is_empty() && machine.entries(Path::new(paths::MOVED)).is_none(),
                "{number}"
            );
        }
    }
    assert!(points > 100, "{points}");
}

#[test]
fn any_later_run_puts_a_manifest_back_and_status_tells_what_is_left() {
    let mut machine = master(2026);
    machine.kubelet = None;
    let pod = format!("{}/kube-apiserver.yaml", paths::MANIFESTS);
    let text = machine.text(&pod).unwrap();
    machine.others.clear();
    refused(
        &mut machine,
        &Request::Renew(renew()),
        Kind::NotVerified,
        "etcd does not answer at 127.0.0.1:2381/livez",
    );
    let left = status(&mut machine).differences;
    assert!(left.len() == 4 && left[0].contains("etcd.yaml has not read yet"), "{left:?}");
    machine.files.remove(Path::new(&pod));
    machine.has_file(&format!("{}/kube-apiserver.yaml", paths::MOVED), &text);
    changed(&mut machine, &Request::UnsetHost { name: "nobody".into() });
    assert_eq!(machine.text(&pod).unwrap(), text);
    machine.kubelet = Some(Duration::from_secs(5));
    let (_, told) = changed(&mut machine, &Request::Renew(renew()));
    assert_eq!(told.len(), 4, "only what was left: {told:?}");
    assert_eq!(status(&mut machine).differences, [""; 0]);
}

#[test]
fn a_pod_that_does_not_end_gets_its_manifest_back() {
    let mut machine = master(2026);
    machine.kubelet = Some(Duration::from_secs(1000));
    refused(
        &mut machine,
        &Request::Renew(renew()),
        Kind::NotVerified,
        "kubelet has not ended the static pod etcd in 120 s",
    );
    assert!(machine.text(&format!("{}/etcd.yaml", paths::MANIFESTS)).is_some());
}

#[test]
fn an_authority_that_is_kept_elsewhere_is_named_with_the_ways_out() {
    let mut machine = master(2026);
    machine.files.remove(Path::new("/etc/kubernetes/pki/etcd/ca.key"));
    let before = machine.snapshot();
    refused(
        &mut machine,
        &Request::Renew(renew()),
        Kind::Refused,
        "/etc/kubernetes/pki/etcd/ca.key is not here, and signs /etc/kubernetes/pki/apiserver-etcd-client.crt, ",
    );
    assert_eq!(machine.snapshot().lines().count(), before.lines().count(), "nothing was changed");
    // By name, the others are.
    let files = vec!["/etc/kubernetes/admin.conf".into(), paths::CA.into()];
    let (_, told) = changed(&mut machine, &Request::Renew(RenewRequest { files, ..renew() }));
    let restarts = told.iter().filter(|step| step.starts_with("restart")).count();
    assert_eq!(
        (told.len(), restarts),
        (8, 3),
        "its authority, and it, and who trusts the authority: {told:?}"
    );
    let nobody = RenewRequest { files: vec!["/etc/kubernetes/pki/apisever.crt".into()], ..renew() };
    refused(&mut machine, &Request::Renew(nobody), Kind::Usage, "apisever.crt is none of the certificates");
    let over = RenewRequest { until: 1_700_000_000, ..renew() };
    refused(&mut machine, &Request::Renew(over), Kind::Usage, "2023-11-14 is over by now, 2026-09-01");
    for path in [paths::CA, "/etc/kubernetes/pki/apiserver.crt"] {
        let mut machine = Fake::bare();
        machine.has_file(path, &authority("kubernetes", 2030).pem);
        refused(&mut machine, &Request::Renew(renew()), Kind::Refused, "is no master");
    }
    refused(&mut Fake::bare(), &Request::Renew(renew()), Kind::Refused, "this machine is no master");
}

#[test]
fn a_damaged_file_stops_it_before_anything_changes() {
    for (path, text, why) in [
        ("/etc/kubernetes/pki/apiserver.crt", "-----BEGIN CERTIFICATE-----", "has no end"),
        ("/etc/kubernetes/pki/apiserver.crt", "", "there is no certificate in it"),
        ("/etc/kubernetes/scheduler.conf", "users: 7", "it is not a kubeconfig"),
        ("/etc/kubernetes/pki/ca.key", "nothing", "there is no private key in it"),
    ] {
        let mut machine = master(2026);
        machine.has_file(path, text);
        let before = machine.files.clone();
        refused(&mut machine, &Request::Renew(renew()), Kind::Invalid, why);
        machine.files.remove(Path::new(paths::LOCK));
        assert_eq!(machine.files, before);
        assert!(!look(&mut machine).is_fine());
    }
    // The key of another cluster's authority.
    let mut machine = master(2026);
    machine.has_file("/etc/kubernetes/pki/ca.key", &authority("kubernetes", 2030).key);
    refused(
        &mut machine,
        &Request::Renew(renew()),
        Kind::Invalid,
        "the key of the authority does not belong to its certificate",
    );
    assert!(findings(&mut machine, "pki/ca.crt").contains(&FindingKind::OtherKey));
}

#[test]
fn what_is_wrong_is_found() {
    let (mut machine, own) = cluster(2035);
    assert!(look(&mut machine).is_fine(), "{:#?}", look(&mut machine));
    // A later master with certificates of a year, one that outlives its authority, and one of another cluster.
    machine.has_file("/etc/kubernetes/scheduler.conf", &own.kubeconfig("scheduler", 2027));
    assert_eq!(findings(&mut machine, "scheduler.conf"), [FindingKind::Mixture]);
    machine.has_file(
        "/etc/kubernetes/scheduler.conf",
        &authority("kubernetes", 2035).kubeconfig("scheduler", 2035),
    );
    assert_eq!(
        findings(&mut machine, "scheduler.conf"),
        [FindingKind::OtherAuthority, FindingKind::OtherAuthority]
    );
    machine.has_file("/etc/kubernetes/scheduler.conf", &own.kubeconfig("scheduler", 2036));
    assert_eq!(findings(&mut machine, "scheduler.conf"), [FindingKind::OutlivesAuthority]);
    let (certificate, key) = own.signs("apiserver", 2035);
    machine.has_file(paths::APISERVER, &certificate);
    assert_eq!(findings(&mut machine, "apiserver.crt"), [FindingKind::OtherKey]);
    machine.has_file("/etc/kubernetes/pki/apiserver.key", &key);
    assert_eq!(findings(&mut machine, "apiserver.crt"), []);
    machine.files.remove(Path::new("/etc/kubernetes/pki/apiserver.key"));
    assert_eq!(findings(&mut machine, "apiserver.crt"), [FindingKind::NoKey]);
    // 2034-12-20: twelve days before all of it is over.
    machine.clock.set(Duration::from_secs(2_050_012_800 - DAY).saturating_sub(machine.unix_time()));
    assert_eq!(findings(&mut machine, "pki/ca.crt"), [FindingKind::EndsSoon]);
    // Root's own kubeconfig may be about other clusters, too.
    machine.has_file(paths::ROOTS_KUBECONFIG, &authority("kubernetes", 2020).kubeconfig("another", 2020));
    assert_eq!(findings(&mut machine, "config"), []);
    machine.has_file(paths::ROOTS_KUBECONFIG, &own.kubeconfig("kubernetes-admin", 2020));
    assert_eq!(findings(&mut machine, "config"), [FindingKind::Expired, FindingKind::Mixture]);
}

#[test]
fn undo_of_a_preparation_brings_no_certificate_back() {
    let mut machine = master(2026);
    for path in
        machine.files.keys().filter(|path| path.starts_with(paths::MANIFESTS)).cloned().collect::<Vec<_>>()
    {
        machine.files.remove(&path);
    }
    machine.files.remove(Path::new(paths::KUBELET));
    changed(&mut machine, &Request::Prepare(Box::new(prepare())));
    changed(&mut machine, &Request::Renew(renew()));
    let pki = |machine: &Fake| {
        let all = machine
            .files
            .iter()
            .filter(|(path, _)| path.starts_with("/etc/kubernetes/pki") || path.ends_with("admin.conf"));
        all.map(|(path, content)| (path.clone(), content.clone())).collect::<Vec<(PathBuf, Content)>>()
    };
    let renewed = pki(&machine);
    changed(&mut machine, &FORCED_UNDO);
    assert_eq!(pki(&machine), renewed);
}

#[test]
fn the_former_certificates_can_be_had_again_while_they_are_valid() {
    let request = Request::Restore(RestoreRequest { wait: WAIT, change: Change::default() });
    let mut machine = master(2027);
    assert!(!changed(&mut machine, &request).0.changed);
    let before = machine.files.clone();
    changed(&mut machine, &Request::Renew(renew()));
    machine.clock.set(Duration::from_secs(60));
    let (_, told) = changed(&mut machine, &request);
    assert_eq!(told.last().unwrap(), "restart the static pod kube-scheduler");
    assert!(told.contains(&"put back /etc/kubernetes/pki/ca.crt".to_owned()), "{told:?}");
    machine.files.retain(|path, _| !path.starts_with(paths::STATE));
    assert_eq!(machine.files, before);
    changed(&mut machine, &Request::Renew(renew()));
    machine.clock.set(Duration::from_secs(3 * 365 * DAY));
    refused(&mut machine, &request, Kind::Refused, "was over on 2027-01-01 before it was renewed");
}

#[test]
fn the_apiserver_gets_more_names_and_keeps_those_it_has() {
    let mut machine = master(2035);
    let before = machine.clone();
    let names = |names: &[&str]| {
        let names = names.iter().map(ToString::to_string).collect();
        Request::AddNames(AddNamesRequest { names, wait: WAIT, change: Change::default() })
    };
    let (_, told) =
        changed(&mut machine, &names(&["sealyun.com", "10.0.0.1", "10.103.97.2", "*.example.org"]));
    assert_eq!(
        told,
        [
            "renew /etc/kubernetes/pki/apiserver.crt: for sealyun.com, 10.103.97.2, *.example.org, too",
            "restart the static pod kube-apiserver"
        ]
    );
    let der = pem::certificates(&machine.files[Path::new(paths::APISERVER)].bytes).unwrap().remove(0);
    let certificate = Certificate::read(&der).unwrap();
    let names_now: Vec<_> = certificate.alternative_names().iter().map(ToString::to_string).collect();
    assert_eq!(
        names_now,
        ["apiserver.cluster.local", "10.0.0.1", "sealyun.com", "10.103.97.2", "*.example.org"]
    );
    let key = Path::new("/etc/kubernetes/pki/apiserver.key");
    assert_eq!(machine.files[key], before.files[key], "the same key");
    assert!(look(&mut machine).is_fine());
    assert!(!changed(&mut machine, &names(&["sealyun.com"])).0.changed);
    refused(&mut machine, &names(&["UPPER"]), Kind::Usage, "\"UPPER\" is not a name for a host");
    refused(&mut Fake::bare(), &names(&["x"]), Kind::Refused, "this machine has no apiserver of kubeadm's");
    machine.files.remove(Path::new("/etc/kubernetes/pki/ca.key"));
    refused(&mut machine, &names(&["x.y"]), Kind::Refused, "/etc/kubernetes/pki/ca.key is not here");
}
