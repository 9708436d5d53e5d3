//! Packages on a machine.

use super::*;
use crate::api::package::InstallPackageRequest;
use crate::machine::Machine;
use crate::package::tests::{IMAGES, Tar, program, saved, sha256};
use crate::paths;

const ARCHIVE: &str = "/tmp/kube.tar";
const KUBELET: &str = "/usr/local/bin/kubelet";
const UNIT: &str = "/etc/systemd/system/kubelet.service";
const DROP_IN: &str = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf";

fn archive(name: &str) -> Vec<u8> {
    let text = |what: &str| [program(62), format!("{what} {name}").into_bytes()].concat();
    Tar::default()
        .file("kube/bin/kubeadm", text("kubeadm"))
        .file("kube/bin/kubectl", text("kubectl"))
        .file("kube/bin/kubelet", text("kubelet"))
        .file("kube/conf/kubelet.service", "[Service]\nExecStart=/usr/local/bin/kubelet\n")
        .file("kube/images/images.tar", saved(&IMAGES))
        .file("kube/shell/init.sh", "true\n")
        .end()
}

/// A machine to which a package was sent, and what is asked of it.
fn sent(name: &str) -> (Fake, InstallPackageRequest) {
    let mut machine = Fake::bare();
    machine.has_file(KUBELET, "kubelet of the administrator");
    machine.has_directory("/etc/systemd/system");
    let bytes = archive(name);
    let request = InstallPackageRequest {
        archive: ARCHIVE.into(),
        sha256: sha256(&bytes),
        version: "v1.34.1".parse().ok(),
        unpack_only: false,
        change: Change::default(),
    };
    machine.files.insert(ARCHIVE.into(), crate::step::Content::new(bytes, 0o600));
    (machine, request)
}

fn install(request: &InstallPackageRequest) -> Request {
    Request::InstallPackage(request.clone())
}

#[test]
fn programs_units_and_images_are_there_once_and_can_be_taken_back() {
    let (mut machine, request) = sent("one");
    let before = machine.snapshot();
    let dry = InstallPackageRequest { change: Change { dry_run: true, force: false }, ..request.clone() };
    let (planned, _) = changed(&mut machine, &install(&dry));
    assert_eq!(planned.steps[0].text, "unpack /tmp/kube.tar");
    assert_eq!(machine.snapshot(), before);

    let (done, told) = changed(&mut machine, &install(&request));
    let top = paths::package(request.sha256).display().to_string();
    let expected = [
        "unpack /tmp/kube.tar".to_owned(),
        "install /usr/bin/kubeadm (mode 0755)".to_owned(),
        "install /usr/bin/kubectl (mode 0755)".to_owned(),
        "install /usr/local/bin/kubelet (mode 0755)".to_owned(),
        format!("write {UNIT} (mode 0644)"),
        "make directory /etc/systemd/system/kubelet.service.d".to_owned(),
        format!("write {DROP_IN} (mode 0644)"),
        format!("import the images of {top}/images/images.tar"),
    ];
    let made = "make directory /usr/bin";
    let told: Vec<_> = told.into_iter().filter(|text| text != made).collect();
    assert!(done.changed);
    assert_eq!(told, expected);
    assert!(machine.text("/usr/bin/kubeadm").unwrap().ends_with("kubeadm one"));
    assert_eq!(machine.text(UNIT).unwrap(), "[Service]\nExecStart=/usr/local/bin/kubelet\n");
    assert!(
        machine.text(DROP_IN).unwrap().contains("ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS ")
    );
    assert!(machine.images.as_ref().unwrap().contains("registry.k8s.io/etcd:3.6.4-0"));
    assert_eq!(status(&mut machine).differences, [""; 0]);

    // By what is there, and not by what is remembered.
    let (again, told) = changed(&mut machine, &install(&request));
    assert_eq!((again.changed, told), (false, vec![]));
    let images = machine.images.as_mut().unwrap();
    images.remove("registry.k8s.io/etcd:3.6.4-0");
    let (again, _) = changed(&mut machine, &install(&request));
    assert_eq!(again.steps.len(), 1, "{again:?}");

    // Another package takes the place of the first, and the way back leads to the beginning.
    let (_, other) = sent("two");
    machine.files.insert(ARCHIVE.into(), crate::step::Content::new(archive("two"), 0o600));
    changed(&mut machine, &install(&other));
    assert!(machine.text(KUBELET).unwrap().ends_with("kubelet two"));
    changed(&mut machine, &UNDO);
    machine.files.insert(ARCHIVE.into(), crate::step::Content::new(archive("one"), 0o600));
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn it_can_be_killed_anywhere_and_goes_on() {
    let (clean, request) = sent("one");
    let before = clean.snapshot();
    let mut points = 0;
    for number in 0.. {
        let mut machine = Fake { fails: Fails::From(number), ..clean.clone() };
        let done = ask(&mut machine, &install(&request)).0;
        machine.dies();
        let mut undone = machine.clone();
        if done.is_ok() {
            break;
        }
        points += 1;
        changed(&mut undone, &UNDO);
        assert_eq!(undone.snapshot(), before);
        changed(&mut machine, &install(&request));
        assert!(!changed(&mut machine, &install(&request)).0.changed);
        changed(&mut machine, &UNDO);
        assert_eq!(machine.snapshot(), before);
    }
    assert!(points > 12, "{points}");
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is() {
    let (clean, request) = sent("one");
    let nothing_else = |machine: &mut Fake| {
        assert!(machine.text("/usr/bin/kubeadm").is_none());
        changed(machine, &UNDO);
    };

    let mut machine = clean.clone();
    machine.files.remove(std::path::Path::new(ARCHIVE));
    refused(&mut machine, &install(&request), Kind::Image, "/tmp/kube.tar: cannot read it: ");

    let mut machine = clean.clone();
    machine.has_file(ARCHIVE, "another");
    refused(&mut machine, &install(&request), Kind::Image, "/tmp/kube.tar: its SHA-256 is ");
    nothing_else(&mut machine);

    for (sockets, images) in [
        (vec![], Some(std::collections::BTreeSet::default())),
        (vec!["/run/containerd/containerd.sock".into()], None),
    ] {
        let mut machine = Fake { sockets: sockets.into_iter().collect(), images, ..clean.clone() };
        refused(&mut machine, &install(&request), Kind::Image, "no client of a container runtime can import");
        nothing_else(&mut machine);
    }

    let bytes = Tar::default().file("kube/bin/kubeadm", program(62)).end();
    let small = InstallPackageRequest { sha256: sha256(&bytes), ..request.clone() };
    let mut machine = clean.clone();
    machine.files.insert(ARCHIVE.into(), crate::step::Content::new(bytes, 0o600));
    refused(
        &mut machine,
        &install(&small),
        Kind::Image,
        "the package has no bin/kubectl; nothing of it was installed",
    );
    nothing_else(&mut machine);

    // Whoever has replaced a program since is asked first.
    let mut machine = clean.clone();
    changed(&mut machine, &install(&request));
    machine.has_file(KUBELET, "upgraded by hand");
    refused(&mut machine, &install(&request), Kind::Foreign, "somebody has changed /usr/local/bin/kubelet");

    let mut machine = Fake { version: "v1.33.0".to_owned(), ..clean.clone() };
    refused(
        &mut machine,
        &install(&request),
        Kind::NotVerified,
        "kubeadm says that it is v1.33.0, not v1.34.1",
    );
}

#[test]
fn units_of_others_stay_and_a_script_does_what_it_does() {
    let (mut machine, request) = sent("one");
    machine.has_file("/usr/lib/systemd/system/kubelet.service", "the distribution's");
    machine.has_file(DROP_IN, "the administrator's");
    changed(&mut machine, &install(&request));
    assert_eq!(machine.text(UNIT), None);
    assert_eq!(machine.text(DROP_IN).unwrap(), "the administrator's");

    let (mut machine, request) = sent("one");
    let request = InstallPackageRequest { unpack_only: true, ..request };
    let (_, told) = changed(&mut machine, &install(&request));
    assert_eq!(told, ["unpack /tmp/kube.tar"]);
    let names = machine.entries(&paths::package(request.sha256)).unwrap();
    assert_eq!(names, ["bin", "conf", "images", "shell"]);
    assert!(!changed(&mut machine, &install(&request)).0.changed);
}
