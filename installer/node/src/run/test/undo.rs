use super::*;
use crate::paths;

#[test]
fn a_machine_is_as_it_was() {
    let mut machine = Fake::bare();
    machine.load("ip_vs");
    let before = machine.snapshot();
    changed(&mut machine, &Request::Prepare(Box::new(prepare())));
    let mut planned = changed(&mut machine, &Request::Undo(UndoRequest { change: DRY })).0;
    let done = changed(&mut machine, &UNDO).0;
    assert_eq!(machine.snapshot(), before);
    planned.planned = false;
    assert_eq!(planned.steps, done.steps);
    assert!(!changed(&mut machine, &UNDO).0.changed);
}

const DRY: Change = Change { dry_run: true, force: false };

#[test]
fn the_daemon_is_gone_before_its_rules_go_whatever_was_made_first() {
    let write = Request::WritePod { spec: asked(), change: Change::default() };
    let mut silent = prepare();
    silent.spec.daemon_args = vec!["--listen=none".to_owned()];
    let mut elsewhere = prepare();
    elsewhere.spec.daemon_args = vec!["--listen=127.0.0.1:10333".to_owned()];
    let [silent, elsewhere] = [silent, elsewhere].map(|request| Request::Prepare(Box::new(request)));
    let prepare = Request::Prepare(Box::new(prepare()));
    // The pod first, another place to listen, and none at all.
    for requests in [[&write, &prepare], [&prepare, &elsewhere], [&prepare, &silent], [&silent, &silent]] {
        let mut machine = Fake::bare();
        machine.load("ip_vs");
        let before = machine.snapshot();
        for request in requests {
            changed(&mut machine, request);
        }
        // kubelet starts the pod, and takes its time to end it.
        machine.kubelet = Some(Duration::from_secs(25));
        crate::machine::Machine::sleep(&mut machine, Duration::from_secs(1));
        changed(&mut machine, &UNDO);
        crate::machine::Machine::sleep(&mut machine, Duration::from_secs(60));
        assert_eq!(machine.snapshot(), before, "{requests:?}");
    }
}

#[test]
fn a_daemon_that_does_not_end_is_named_and_what_is_left_is_kept_for_the_next_run() {
    let mut machine = prepared();
    machine.kubelet = Some(Duration::from_secs(3600));
    crate::machine::Machine::sleep(&mut machine, Duration::from_secs(1));
    refused(&mut machine, &UNDO, Kind::NotVerified, "the daemon on 127.0.0.1:10261 is still at work");
    machine.kubelet = Some(Duration::ZERO);
    crate::machine::Machine::sleep(&mut machine, Duration::from_secs(3600));
    changed(&mut machine, &UNDO);
    assert!(machine.kernel.state.services.is_empty());
    assert!(crate::machine::Machine::entries(&machine, std::path::Path::new(paths::STATE)).is_none());
}

#[test]
fn a_node_that_has_joined_is_asked_twice_and_keeps_its_pods_network() {
    let mut machine = prepared();
    machine.has_file(paths::KUBELET, "clusters: []\n");
    let before = machine.snapshot();
    refused(&mut machine, &UNDO, Kind::Foreign, "this node has joined a cluster");
    let dry = Request::Undo(UndoRequest { change: DRY });
    refused(&mut machine, &dry, Kind::Foreign, "add --force");
    assert_eq!(machine.snapshot(), before);
    let (done, _) = changed(&mut machine, &FORCED_UNDO);
    assert!(done.notes[0].contains("net.ipv4.ip_forward stays as it is"), "{done:?}");
    assert_eq!(machine.text("/proc/sys/net/ipv4/ip_forward").unwrap().trim(), "1");
    assert!(machine.kernel.state.services.is_empty());
}

#[test]
fn what_somebody_has_changed_is_refused_and_stays() {
    let mut machine = prepared();
    let pod = machine.text(paths::POD).unwrap().replace("memory: 32Mi", "memory: 99Mi") + "# mine\n";
    machine.has_file(paths::POD, &pod);
    let differs = status(&mut machine).differences;
    assert_eq!(differs, [format!("{} was changed by somebody else", paths::POD)]);
    let mut other = prepare();
    other.spec.image = "docker.io/library/lvscare:0.2.0".into();
    let other = Request::Prepare(Box::new(other));
    refused(&mut machine, &other, Kind::Foreign, "somebody has changed what was written here");
    refused(&mut machine, &UNDO, Kind::Foreign, paths::POD);
    assert_eq!(machine.text(paths::POD).unwrap(), pod);
    changed(&mut machine, &FORCED_UNDO);
    assert!(machine.text(paths::POD).is_none());
}

#[test]
fn what_was_written_over_by_force_is_ours_again() {
    let mut machine = prepared();
    machine.has_file(paths::POD, &(machine.text(paths::POD).unwrap() + "# mine\n"));
    let mut other = prepare();
    other.spec.image = "docker.io/library/lvscare:0.2.0".into();
    other.change.force = true;
    changed(&mut machine, &Request::Prepare(Box::new(other)));
    assert_eq!(status(&mut machine).differences, [""; 0]);
    changed(&mut machine, &UNDO);
    assert!(machine.text(paths::POD).is_none());
}

#[test]
fn a_name_that_was_set_before_means_the_same_again() {
    let mut machine = Fake::bare();
    machine.load("ip_vs");
    let address = "10.0.0.1".parse().unwrap();
    let set = SetHostRequest { name: "apiserver.cluster.local".into(), address, force: false };
    changed(&mut machine, &Request::SetHost(set));
    let before = machine.snapshot();
    changed(&mut machine, &Request::Prepare(Box::new(prepare())));
    changed(&mut machine, &UNDO);
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn a_hosts_file_that_was_not_there_goes_with_our_name_and_stays_with_others() {
    for more in ["", "10.0.0.7 mine\n"] {
        let mut machine = Fake::bare();
        machine.files.remove(std::path::Path::new(paths::HOSTS));
        changed(&mut machine, &Request::Prepare(Box::new(prepare())));
        let text = format!("{more}{}", machine.text(paths::HOSTS).unwrap());
        machine.has_file(paths::HOSTS, &text);
        changed(&mut machine, &UNDO);
        assert_eq!(machine.text(paths::HOSTS).unwrap_or_default(), more);
    }
}

#[test]
fn whoever_only_looks_mends_nothing() {
    let mut machine = prepared();
    machine.mended.clear();
    let dry = Change { dry_run: true, force: true };
    let mut joining = joining();
    joining.prepare.change = dry;
    let Request::SetMasters(masters) = set_masters("10.0.0.2,10.0.0.4") else { panic!() };
    for request in [
        Request::Status,
        Request::ListHosts,
        Request::Check(CheckRequest { spec: asked(), role: Role::Worker, cri_socket: None, visits: true }),
        Request::Prepare(Box::new(joining.prepare.clone())),
        Request::Join(Box::new(joining)),
        Request::SetMasters(SetMastersRequest { change: dry, ..masters }),
        Request::Undo(UndoRequest { change: dry }),
    ] {
        assert!(!request.changes(), "{request:?}");
        ask(&mut machine, &request).0.unwrap();
        assert_eq!(machine.mended, [""; 0].map(std::path::PathBuf::from), "{request:?}");
    }
    changed(&mut machine, &UNDO);
    assert!(machine.mended.contains(&std::path::PathBuf::from(crate::paths::HOSTS)));
}
