use super::*;
use crate::api::Joined;
use crate::fake::Kubeadm;
use crate::paths;

fn request() -> Request {
    Request::Join(Box::new(joining()))
}

/// The token is nowhere: not in the journal, not in any other file.
#[track_caller]
fn holds_no_secret(machine: &Fake) {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(TOKEN);
    for path in machine.files.keys() {
        let text = machine.text(&path.to_string_lossy()).unwrap();
        assert!(!text.contains(TOKEN) && !text.contains(encoded.trim_end_matches('=')), "{}", path.display());
    }
    assert!(machine.text(paths::JOIN).is_none());
}

#[test]
fn a_join_is_told_and_leaves_no_secret() {
    let mut machine = Fake::bare();
    let (done, told) = changed(&mut machine, &request());
    assert_eq!((done.joined, done.guarded), (Some(Joined::Now), Some(false)));
    assert_eq!(machine.calls, [["join", "--config", paths::JOIN]]);
    holds_no_secret(&machine);
    assert!(!format!("{done:?}{told:?}").contains(TOKEN));
    let (again, _) = changed(&mut machine, &request());
    assert_eq!((again.joined, again.changed), (Some(Joined::Already), false));
    assert_eq!(machine.calls.len(), 1);
}

#[test]
fn an_unfinished_join_is_never_taken_for_one() {
    let mut machine = Fake { kubeadm: Kubeadm::FailsHalfWay, ..Fake::bare() };
    refused(&mut machine, &request(), Kind::Kubeadm, "kubeadm join ended with exit status: 1");
    holds_no_secret(&machine);
    for _ in 0..2 {
        refused(&mut machine, &request(), Kind::Kubeadm, "a join of this node was begun");
    }
    let mut dry = joining();
    dry.prepare.change.dry_run = true;
    refused(&mut machine, &Request::Join(Box::new(dry)), Kind::Kubeadm, "a join of this node was begun");
    assert!(status(&mut machine).differences.iter().any(|text| text.contains("a join was begun")));
    assert_eq!(machine.calls.len(), 1);
    // Reset, as it was advised.
    machine.files.remove(std::path::Path::new(paths::KUBELET));
    machine.kubeadm = Kubeadm::Joins;
    let (done, _) = changed(&mut machine, &request());
    assert_eq!(done.joined, Some(Joined::Now));
}

#[test]
fn who_knows_that_it_has_joined_takes_it_as_it_is() {
    let mut machine = Fake { kubeadm: Kubeadm::FailsHalfWay, ..Fake::bare() };
    refused(&mut machine, &request(), Kind::Kubeadm, "ended with");
    changed(&mut machine, &Request::Prepare(Box::new(prepare())));
    assert_eq!(changed(&mut machine, &request()).0.joined, Some(Joined::Already));
}

#[test]
fn a_join_that_did_not_begin_can_be_tried_again() {
    for (kubeadm, kind) in [
        (Kubeadm::Refuses, Kind::Kubeadm),
        (Kubeadm::Lies, Kind::NotVerified),
        (Kubeadm::Absent, Kind::Kubeadm),
    ] {
        let mut machine = Fake { kubeadm, ..Fake::bare() };
        let failure = ask(&mut machine, &request()).0.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        holds_no_secret(&machine);
        machine.kubeadm = Kubeadm::Joins;
        assert_eq!(changed(&mut machine, &request()).0.joined, Some(Joined::Now));
    }
}

#[test]
fn a_run_that_is_killed_at_any_change_leaves_no_secret_for_good() {
    let mut points = 0;
    for number in 0.. {
        let mut machine = Fake { fails: Fails::From(number), ..Fake::bare() };
        if ask(&mut machine, &request()).0.is_ok() {
            break;
        }
        points += 1;
        machine.dies();
        // Whoever comes next, and the way back.
        let again = ask(&mut machine, &request()).0;
        let unfinished = again.as_ref().is_err_and(|failure| failure.kind == Kind::Kubeadm);
        assert!(again.is_ok() || unfinished, "{number}: {again:?}");
        holds_no_secret(&machine);
        changed(&mut machine, &FORCED_UNDO);
        holds_no_secret(&machine);
    }
    assert!(points > 20, "{points}");
}

#[test]
fn a_journal_that_was_moved_away_does_not_learn_the_secret() {
    let mut machine = Fake { kubeadm: Kubeadm::Refuses, ..Fake::bare() };
    machine.has_file(paths::JOIN, TOKEN);
    refused(&mut machine, &request(), Kind::Kubeadm, "ended with");
    holds_no_secret(&machine);
    machine.has_file(paths::JOIN, TOKEN);
    changed(&mut machine, &UNDO);
    holds_no_secret(&machine);
}

#[test]
fn kubelet_is_told_the_same_address_and_more() {
    let mut request = joining();
    request.prepare.spec.node_ip = "10.0.0.10".parse().ok();
    request.prepare.kubeadm.kubelet_extra_args = vec![("node-labels".into(), "a=b".into())];
    request.prepare.kubeadm.verbosity = Some(5);
    request.prepare.change.dry_run = true;
    let mut machine = Fake::bare();
    let (planned, _) = changed(&mut machine, &Request::Join(Box::new(request.clone())));
    let [join, remove] = &planned.steps[planned.steps.len() - 2..] else { panic!("two steps") };
    assert_eq!(join.text, format!("run kubeadm join --config {} --v=5", paths::JOIN));
    assert_eq!(remove.text, format!("remove {}", paths::JOIN));
    let config = join.diff.clone().unwrap();
    for part in ["name: node-labels", "value: a=b", "name: node-ip", "10.0.0.10", "token: \"***\""] {
        assert!(config.contains(part), "{part}:\n{config}");
    }
    assert!(!config.contains(TOKEN));
    request.prepare.kubeadm.kubelet_extra_args = vec![("node-ip".into(), "10.0.0.77".into())];
    let two = Request::Join(Box::new(request));
    refused(
        &mut machine,
        &two,
        Kind::Usage,
        "--node-ip 10.0.0.10 and --kubelet-extra-arg node-ip=10.0.0.77 differ",
    );
}

#[test]
fn a_new_master_means_itself_afterwards() {
    let mut request = joining();
    request.prepare.kubeadm.control_plane = true;
    let mut machine = Fake::bare();
    let (done, told) = changed(&mut machine, &Request::Join(Box::new(request)));
    assert_eq!(done.guarded, None);
    assert!(machine.text(paths::HOSTS).unwrap().contains("10.0.0.10 apiserver.cluster.local"));
    assert!(told.iter().any(|line| line.contains("spec.nodeName=worker-1 -l")), "{told:?}");
}

#[test]
fn another_kubeadm_than_was_said_is_refused() {
    let mut request = joining();
    request.prepare.kubeadm.version = "v1.20.2".parse().ok();
    let mut machine = Fake::bare();
    let before = machine.snapshot();
    let request = Request::Join(Box::new(request));
    refused(&mut machine, &request, Kind::Usage, "--kube-version v1.20.2, but kubeadm here is v1.34.1");
    machine.version = "v1.21.0".into();
    changed(&mut machine, &request);
    assert_ne!(machine.snapshot(), before);
}

#[test]
fn what_no_option_says_comes_from_a_file() {
    const CONFIG: &str = "/root/join.yaml";
    let mut request = joining();
    request.prepare.kubeadm.config = Some(CONFIG.to_owned());
    request.prepare.kubeadm.node_name = Some("worker-7".to_owned());
    let mut machine = Fake::bare();
    let join = Request::Join(Box::new(request.clone()));
    let before = machine.snapshot();
    refused(&mut machine, &join, Kind::Usage, "--config /root/join.yaml: there is no such file");
    assert_eq!(machine.snapshot(), before);
    machine.has_file(CONFIG, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\ndiscovery: {}\n");
    let before = machine.snapshot();
    refused(
        &mut machine,
        &join,
        Kind::Invalid,
        "--config /root/join.yaml: options say what it says, so take out discovery",
    );
    assert_eq!(machine.snapshot(), before);
    let taints = "nodeRegistration:\n  taints:\n  - key: a\n    effect: NoSchedule\n";
    machine
        .has_file(CONFIG, &format!("apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\n{taints}"));
    request.prepare.change.dry_run = true;
    let (planned, _) = changed(&mut machine, &Request::Join(Box::new(request)));
    let shown = planned
        .steps
        .iter()
        .find_map(|step| step.diff.clone().filter(|diff| diff.contains("taints")))
        .unwrap();
    for part in
        ["key: a", "effect: NoSchedule", "name: worker-7", "token: \"***\"", "apiserver.cluster.local:6443"]
    {
        assert!(shown.contains(part), "{part}:\n{shown}");
    }
    changed(&mut machine, &join);
    holds_no_secret(&machine);
}
