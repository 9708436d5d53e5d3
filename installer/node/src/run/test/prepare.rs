use lvscare::doctor::Severity;

use super::*;
use crate::paths;
use crate::spec::masters::Master;

fn request() -> Request {
    Request::Prepare(Box::new(prepare()))
}

#[test]
fn rules_come_first_then_the_apiservers_are_tried_then_what_lasts() {
    let mut machine = Fake::bare();
    let (done, told) = changed(&mut machine, &request());
    assert!(done.changed && !done.planned);
    let place =
        |part: &str| told.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}"));
    let places = [
        "load module ip_vs",
        "set net.ipv4.ip_forward = 1 (was 0)",
        "add virtual server",
        "set route local",
        "reached 10.103.97.2:6443",
        "write /etc/modules-load.d/lvscare.conf",
        "write /etc/sysctl.d/zz-lvscare.conf",
        "change /etc/hosts",
        "write /etc/kubernetes/manifests/kube-lvscare.yaml",
    ]
    .map(place);
    assert!(places.is_sorted(), "{told:#?}");
    let (again, told) = changed(&mut machine, &request());
    assert_eq!((again.changed, again.steps), (false, Vec::new()), "{told:?}");
}

#[test]
fn a_dry_run_changes_nothing_and_says_the_same() {
    let mut machine = Fake::bare();
    let before = machine.snapshot();
    let mut dry = prepare();
    dry.change.dry_run = true;
    let (planned, _) = changed(&mut machine, &Request::Prepare(Box::new(dry)));
    assert_eq!((machine.snapshot(), machine.changes), (before, 0));
    let (done, _) = changed(&mut machine, &request());
    assert!(planned.planned);
    assert_eq!(planned.steps, done.steps);
}

#[test]
fn a_line_that_somebody_adds_meanwhile_stays() {
    let mut machine = Fake::bare();
    let mut told = Vec::new();
    // As a cloud agent does while the apiservers are asked.
    let mut late = machine.clone();
    late.has_file(paths::HOSTS, "127.0.0.1 localhost\n10.0.0.9 late\n");
    let facts_then = crate::facts::read(&machine, paths::HOSTS).unwrap();
    let edit =
        crate::step::HostsEdit::Set { name: "api".into(), address: [10, 103, 97, 2].into(), force: false };
    let planned = crate::plan::prepare::edit_hosts(edit, facts_then).unwrap().unwrap();
    machine.files.clone_from(&late.files);
    machine.directories.clone_from(&late.directories);
    let mut session = super::super::session::Session::open(&mut machine, "test", &mut |_| {}).unwrap();
    let desired = crate::desired::DesiredNode::nothing(spec().config);
    session.perform(&[planned], &desired, &mut |event| told.push(event)).unwrap();
    session.close().unwrap();
    let text = machine.text(paths::HOSTS).unwrap();
    assert!(text.contains("10.0.0.9 late\n") && text.contains("10.103.97.2 api\n"), "{text}");
    changed(&mut machine, &UNDO);
    assert_eq!(machine.text(paths::HOSTS).unwrap(), "127.0.0.1 localhost\n10.0.0.9 late\n");
}

#[test]
fn an_image_is_imported_by_whoever_can_and_looked_for_afterwards() {
    let image = "docker.io/library/lvscare:0.1.0";
    let mut with_archive = prepare();
    with_archive.archive = Some("/tmp/lvscare.tar".into());
    // A name without a registry is the same image.
    with_archive.spec.image = "lvscare:0.1.0".into();
    let import = Request::Prepare(Box::new(with_archive));
    let mut machine = Fake { archived: image.to_owned(), ..Fake::bare() };
    refused(&mut machine, &import, Kind::Image, "/tmp/lvscare.tar: No such file");
    machine.has_directory("/tmp/lvscare.tar");
    refused(&mut machine, &import, Kind::Image, "/tmp/lvscare.tar: it is a directory; nothing was changed");
    machine.directories.remove(std::path::Path::new("/tmp/lvscare.tar"));
    machine.has_file("/tmp/lvscare.tar", "image");
    let before = machine.snapshot();

    let mut without = Fake { images: None, ..machine.clone() };
    refused(&mut without, &import, Kind::Image, "no client of a container runtime can import it");
    assert_eq!(without.snapshot(), before, "nothing was changed");
    let mut other = Fake { archived: "docker.io/library/busybox:1".to_owned(), ..machine.clone() };
    refused(&mut other, &import, Kind::Image, "it holds no image docker.io/library/lvscare:0.1.0");

    let (_, told) = changed(&mut machine, &import);
    assert!(told.contains(&"import the image of /tmp/lvscare.tar".to_owned()), "{told:?}");
    let (again, _) = changed(&mut machine, &import);
    assert!(!again.changed, "it is there already: {again:?}");

    let (bare, _) = changed(&mut Fake::bare(), &request());
    assert!(bare.notes.iter().any(|note| note.contains("is not on this node")), "{bare:?}");
}

#[test]
fn a_daemon_that_is_not_our_pod_is_left_alone() {
    let mut machine = Fake::bare();
    machine.stranger = Some(("127.0.0.1:10261".parse().unwrap(), VIP.parse().unwrap()));
    let before = machine.snapshot();
    refused(
        &mut machine,
        &request(),
        Kind::Foreign,
        "a daemon on 127.0.0.1:10261 guards the virtual server already",
    );
    // The run itself came and went.
    assert_eq!(machine.snapshot(), before);
    // One that guards another virtual server is none of our business.
    machine.stranger = Some(("127.0.0.1:10261".parse().unwrap(), "10.103.97.3:443".parse().unwrap()));
    changed(&mut machine, &request());
}

#[test]
fn options_that_are_forgotten_are_named() {
    let mut told_more = prepare();
    told_more.spec.daemon_args = vec!["--interval=5s".to_owned()];
    let mut machine = Fake::bare();
    changed(&mut machine, &Request::Prepare(Box::new(told_more)));
    let (forgotten, _) = changed(&mut machine, &request());
    let note = "the static pod was told --interval=5s, and is so no more";
    assert!(forgotten.notes.iter().any(|text| text.starts_with(note)), "{forgotten:?}");
}

#[test]
fn a_master_without_a_virtual_server_is_prepared_without_one() {
    let mut request = prepare();
    request.kubeadm.control_plane = true;
    let mut machine = Fake::bare();
    machine.silent.insert("10.0.0.1:6443".parse().unwrap());
    changed(&mut machine, &Request::Prepare(Box::new(request.clone())));
    assert!(machine.kernel.state.services.is_empty() && machine.text(paths::POD).is_none());
    assert!(machine.text(paths::HOSTS).unwrap().contains("10.0.0.2 apiserver.cluster.local"));
    request.kubeadm.bind_port = Some(7443);
    let other_port = Request::Prepare(Box::new(request));
    refused(
        &mut machine,
        &other_port,
        Kind::Usage,
        "--apiserver-bind-port 7443 and the port of the endpoint, 6443",
    );
}

type Damage = fn(&mut Fake, &mut PrepareRequest);

#[test]
fn what_cannot_be_is_refused_before_anything_is_changed() {
    let cases: [(Kind, &str, Damage); 6] = [
        (Kind::Unreachable, "no apiserver answers", |machine, _| {
            machine.silent = spec().masters.into_iter().collect();
        }),
        (Kind::Refused, "not-writable", |machine, _| machine.read_only = Some("/etc".into())),
        (Kind::Invalid, "--vip 10.0.0.77 lies in this node's own subnet", |_, request| {
            request.spec.vip = "10.0.0.77:6443".parse().unwrap();
        }),
        (Kind::Invalid, "--node-ip 10.0.0.11 is not an address of this node", |_, request| {
            request.spec.node_ip = "10.0.0.11".parse().ok();
        }),
        (Kind::Usage, "--discovery-file /nowhere.conf: there is no such file", |_, request| {
            request.kubeadm.discovery_file = Some("/nowhere.conf".into());
        }),
        (Kind::Usage, "--tls-bootstrap-token says nothing without --token", |_, request| {
            request.kubeadm.tls_bootstrap_token = TOKEN.parse().ok();
        }),
    ];
    for (kind, why, damage) in cases {
        let (mut machine, mut request) = (Fake::bare(), prepare());
        damage(&mut machine, &mut request);
        let before = machine.snapshot();
        let failure = ask(&mut machine, &Request::Prepare(Box::new(request))).0.unwrap_err();
        assert!(failure.kind == kind && failure.message.contains(why), "{failure:?}");
        assert_eq!(machine.snapshot(), before, "{why}");
    }
}

#[test]
fn a_kernel_without_ipvs_is_named_and_the_way_back_still_works() {
    let mut machine = Fake::bare();
    machine.modules.clear();
    let before = machine.snapshot();
    refused(&mut machine, &request(), Kind::Kernel, "cannot load the module ip_vs");
    assert_eq!(machine.snapshot(), before);

    // A newer kernel without the module was booted since.
    let mut machine = prepared();
    machine.directories.retain(|path| !path.starts_with("/sys/module"));
    machine.kernel.state.services.clear();
    machine.has_directory("/sys/module");
    changed(&mut machine, &UNDO);
    assert_eq!(machine.text("/proc/sys/net/ipv4/ip_forward").unwrap().trim(), "0");
    assert!(machine.kernel.state.routes.is_empty());
}

#[test]
fn only_one_run_is_at_work() {
    let mut machine = Fake { locked_by: Some("process 7".into()), ..Fake::bare() };
    refused(&mut machine, &request(), Kind::Locked, "another run is at work on this node: process 7");
    // One that holds the lock over many requests goes on holding it.
    let mut machine = Fake::bare();
    assert!(crate::machine::Machine::lock(&mut machine, "agent").unwrap());
    changed(&mut machine, &request());
    changed(&mut machine, &UNDO);
    assert!(machine.is_locked);
}

#[test]
fn nothing_is_wrong_with_a_fresh_machine() {
    let check = CheckRequest { spec: asked(), role: Role::Worker, cri_socket: None, visits: true };
    let mut machine = Fake::bare();
    let before = machine.snapshot();
    let Ok(Outcome::Checked(report)) = ask(&mut machine, &Request::Check(check)).0 else {
        panic!("no report")
    };
    assert!(report.healthy, "{report:?}");
    assert_eq!((machine.snapshot(), machine.changes), (before, 0));
}

#[test]
fn what_kubeadm_or_kubelet_will_stumble_over_is_found_before_it_does() {
    type Damage = fn(&mut Fake, &mut NodeSpec);
    let cases: [(&str, &str, Damage); 4] = [
        ("proxy", "HTTPS_PROXY is set, and NO_PROXY does not spare", |machine, _| {
            machine.variables.insert("HTTPS_PROXY".into(), "http://user:canary@proxy:3128".into());
            machine.variables.insert("NO_PROXY".into(), "10.0.0.0/8,.local.example".into());
        }),
        ("proxy", "https_proxy is set", |machine, _| {
            machine.variables.insert("https_proxy".into(), "http://user:canary@proxy:3128".into());
        }),
        ("cgroup-version", "those of version 1", |machine, _| {
            machine.has_directory("/sys/fs/cgroup/memory");
            machine.has_directory("/sys/fs/cgroup/unified");
        }),
        ("master-is-this-node", "the master 10.0.0.10:6443 is this machine", |_, spec| {
            // An odd number of them.
            let Masters(masters) = "10.0.0.1-10.0.0.4,10.0.0.10".parse().unwrap();
            spec.masters = masters;
        }),
    ];
    for (id, seen, damage) in cases {
        let (mut machine, mut spec) = (Fake::bare(), asked());
        damage(&mut machine, &mut spec);
        let check = CheckRequest { spec, role: Role::Worker, cri_socket: None, visits: true };
        let Ok(Outcome::Checked(report)) = ask(&mut machine, &Request::Check(check)).0 else {
            panic!("no report of {id}")
        };
        let wrong: Vec<_> = report.findings.iter().filter(|found| found.severity != Severity::Ok).collect();
        let [found] = &wrong[..] else { panic!("{id}: {wrong:?}") };
        assert!(found.id == id && found.seen.contains(seen), "{found:?}");
        assert!(!format!("{report:?}").contains("canary"), "a proxy's password is nobody's concern");
    }
}

#[test]
fn a_worker_that_is_its_own_master_is_refused_where_it_is_to_join_and_warned_else() {
    let own = Master::At("10.0.0.10:6443".parse().unwrap());
    let mut machine = Fake::bare();
    let before = machine.snapshot();
    let mut joining = joining();
    joining.prepare.spec.masters.push(own.clone());
    refused(&mut machine, &Request::Join(Box::new(joining.clone())), Kind::Refused, "master-is-this-node");
    assert_eq!(machine.snapshot(), before);
    let mut preparing = prepare();
    preparing.spec.masters.push(own);
    let (done, _) = changed(&mut machine, &Request::Prepare(Box::new(preparing)));
    assert!(done.notes.iter().any(|note| note.starts_with("master-is-this-node: ")), "{done:?}");
    // A master is one, or will be.
    joining.prepare.kubeadm.control_plane = true;
    changed(&mut Fake::bare(), &Request::Join(Box::new(joining)));
}

#[test]
fn another_virtual_server_and_another_name_take_the_place_of_the_former() {
    let mut machine = Fake::bare();
    machine.load("ip_vs");
    let before = machine.snapshot();
    changed(&mut machine, &request());
    let mut other = prepare();
    other.spec.vip = "10.103.97.9:6443".parse().unwrap();
    other.spec.name = "api.example".to_owned();
    let mut dry = other.clone();
    dry.change.dry_run = true;
    let (planned, _) = changed(&mut machine, &Request::Prepare(Box::new(dry)));
    let (done, _) = changed(&mut machine, &Request::Prepare(Box::new(other.clone())));
    let sorted = |steps: &[crate::api::StepReport]| -> std::collections::BTreeSet<String> {
        steps.iter().map(|step| step.text.clone()).collect()
    };
    assert_eq!(sorted(&planned.steps), sorted(&done.steps));
    let services: Vec<_> = machine.kernel.state.services.keys().map(ToString::to_string).collect();
    let routes: Vec<_> = machine.kernel.state.routes.keys().map(ToString::to_string).collect();
    assert_eq!((services, routes), (vec!["10.103.97.9:6443".to_owned()], vec!["10.103.97.9".to_owned()]));
    let hosts = machine.text(paths::HOSTS).unwrap();
    assert!(
        hosts.contains("10.103.97.9 api.example") && !hosts.contains("apiserver.cluster.local"),
        "{hosts}"
    );
    assert_eq!(status(&mut machine).differences, [""; 0]);
    assert!(!changed(&mut machine, &Request::Prepare(Box::new(other))).0.changed);
    changed(&mut machine, &UNDO);
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn a_former_virtual_server_stays_while_a_daemon_guards_it() {
    let mut machine = prepared();
    machine.stranger = Some(("127.0.0.1:10261".parse().unwrap(), VIP.parse().unwrap()));
    let mut other = prepare();
    other.spec.vip = "10.103.97.9:6443".parse().unwrap();
    let other = Request::Prepare(Box::new(other));
    let (done, _) = changed(&mut machine, &other);
    assert!(
        done.notes.iter().any(|note| note.contains("still guards the former virtual server")),
        "{done:?}"
    );
    assert_eq!(machine.kernel.state.services.len(), 2);
    machine.stranger = None;
    changed(&mut machine, &other);
    assert_eq!(machine.kernel.state.services.len(), 1);
}
