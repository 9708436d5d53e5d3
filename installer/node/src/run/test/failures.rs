use std::path::Path;

use super::*;
use crate::api::Joined;
use crate::fake::Kubeadm;
use crate::machine::Machine as _;
use crate::paths;

/// Every change of `request` fails once, and from then on for ever, as for a run that is killed there; then somebody runs
/// it again, or takes it back.
fn everywhere(begin: impl Fn() -> Fake, request: &Request) -> usize {
    let mut done = begin();
    let before = done.snapshot();
    changed(&mut done, request);
    let after = done.snapshot();
    let mut points = 0;
    for fails in [Fails::Once as fn(usize) -> Fails, Fails::From] {
        for number in 0.. {
            let mut machine = begin();
            let first = machine.changes;
            machine.fails = fails(first + number);
            let outcome = ask(&mut machine, request).0;
            machine.dies();
            if outcome.is_ok() {
                assert_eq!(machine.snapshot(), after, "{number}: it said that all is well");
                break;
            }
            points += 1;
            let mut way_back = machine.clone();
            changed(&mut machine, request);
            assert_eq!(machine.snapshot(), after, "{number}: the second run finishes the job");
            if !matches!(request, Request::Undo(_) | Request::SetMasters(_)) {
                changed(&mut way_back, &UNDO);
                assert_eq!(way_back.snapshot(), before, "{number}: or it is taken back");
            }
        }
    }
    points
}

pub(super) fn bare() -> Fake {
    let mut machine = Fake::bare();
    machine.load("ip_vs");
    machine.load("nf_conntrack");
    machine.load("ip_vs_rr");
    machine
}

#[test]
fn prepare_can_fail_anywhere() {
    let points = everywhere(bare, &Request::Prepare(Box::new(prepare())));
    assert!(points > 60, "{points}");
}

#[test]
fn prepare_can_fail_anywhere_over_files_of_others() {
    let begin = || {
        let mut machine = bare();
        for path in [paths::POD, paths::SYSCTLS, paths::MODULES] {
            machine.has_file(path, "theirs\n");
        }
        machine
    };
    everywhere(begin, &Request::Prepare(Box::new(prepare())));
}

#[test]
fn prepare_can_fail_anywhere_with_an_image() {
    let begin = || {
        let mut machine = bare();
        machine.archived = asked().image;
        machine.has_file("/tmp/lvscare.tar", "an archive");
        machine
    };
    let mut request = prepare();
    request.archive = Some("/tmp/lvscare.tar".into());
    let request = Request::Prepare(Box::new(request));
    let points = everywhere(begin, &request);
    for number in 0..points {
        let mut machine = begin();
        machine.fails = Fails::From(number);
        let _ = ask(&mut machine, &request);
        machine.dies();
        changed(&mut machine, &request);
        // It stays when all else is taken back, and harms nobody.
        assert!(machine.images.is_some_and(|images| images.contains(&asked().image)), "{number}");
    }
}

/// Nothing of kubeadm's stays: neither its file nor, where there was none before, its directory.
fn reset(machine: &mut Fake) {
    let path = Path::new(paths::KUBELET);
    machine.files.remove(path);
    let directory = path.parent().unwrap();
    if machine.entries(directory).is_some_and(|names| names.is_empty()) {
        machine.directories.remove(directory);
    }
}

/// A join is killed before each change, kubeadm's own among them, and right after it; or a change fails. Then the second run
/// finishes the job, or says that it cannot know how kubeadm ended; both ways out that it names are gone.
fn join_everywhere(request: &JoinRequest, kubeadm: Kubeadm) -> (usize, usize) {
    let begin = || Fake { kubeadm, ..bare() };
    let before = begin().snapshot();
    let join = Request::Join(Box::new(request.clone()));
    let mut done = Fake { kubeadm: Kubeadm::Joins, ..begin() };
    changed(&mut done, &join);
    let after = done.snapshot();
    let (mut points, mut unknown) = (0, 0);
    for fails in [Fails::Once as fn(usize) -> Fails, Fails::From] {
        for number in 0.. {
            let mut machine = begin();
            machine.fails = fails(number);
            let outcome = ask(&mut machine, &join).0;
            let came_so_far = machine.changes <= number;
            machine.dies();
            machine.kubeadm = Kubeadm::Joins;
            if outcome.is_ok() {
                assert_eq!(machine.snapshot(), after, "{number}: it said that all is well");
                break;
            }
            points += 1;
            let mut way_back = machine.clone();
            match ask(&mut machine, &join).0 {
                Ok(_) => {}
                Err(failure) => {
                    assert_eq!(failure.kind, Kind::Kubeadm, "{number}: {failure}");
                    assert!(failure.message.contains("a join of this node was begun"), "{number}: {failure}");
                    unknown += 1;
                    // One who has looked, and takes it as it is.
                    let mut looked = machine.clone();
                    changed(&mut looked, &Request::Prepare(Box::new(prepare())));
                    assert_eq!(changed(&mut looked, &join).0.joined, Some(Joined::Already), "{number}");
                    reset(&mut machine);
                    changed(&mut machine, &join);
                }
            }
            assert_eq!(machine.snapshot(), after, "{number}: the second run finishes the job");
            assert!(machine.text(paths::JOIN).is_none(), "{number}");
            // Or the machine is to be as it was.
            reset(&mut way_back);
            changed(&mut way_back, &UNDO);
            assert_eq!(way_back.snapshot(), before, "{number}: it is taken back");
            if came_so_far {
                // kubeadm itself has failed, and no change any more.
                break;
            }
        }
    }
    (points, unknown)
}

#[test]
fn join_can_fail_anywhere() {
    let (points, unknown) = join_everywhere(&joining(), Kubeadm::Joins);
    // Only between kubeadm's end and the journal's next word nobody knows how it ended.
    assert!(points > 70 && (1..=2).contains(&unknown), "{points} {unknown}");
    for kubeadm in [Kubeadm::FailsHalfWay, Kubeadm::Refuses, Kubeadm::Lies] {
        let (points, unknown) = join_everywhere(&joining(), kubeadm);
        assert!(points > 70, "{points} {unknown}");
    }
}

#[test]
fn a_masters_join_can_fail_anywhere() {
    let mut request = joining();
    request.prepare.kubeadm.control_plane = true;
    let (points, _) = join_everywhere(&request, Kubeadm::Joins);
    assert!(points > 20, "{points}");
}

#[test]
fn the_way_back_from_a_join_can_fail_anywhere() {
    let begin = || {
        let mut machine = bare();
        changed(&mut machine, &Request::Join(Box::new(joining())));
        reset(&mut machine);
        machine
    };
    let points = everywhere(begin, &UNDO);
    assert!(points > 40, "{points}");
}

#[test]
fn undo_can_fail_anywhere() {
    let points = everywhere(prepared, &UNDO);
    assert!(points > 40, "{points}");
}

#[test]
fn set_masters_can_fail_anywhere() {
    let points = everywhere(prepared, &set_masters("10.0.0.2,10.0.0.4"));
    assert!(points > 8, "{points}");
}

#[test]
fn a_read_only_etc_stops_it_and_the_way_back_is_known() {
    let mut machine = bare();
    let before = machine.snapshot();
    machine.read_only = Some("/etc".into());
    let mut request = prepare();
    request.skip.push(crate::spec::Part::Checks);
    refused(
        &mut machine,
        &Request::Prepare(Box::new(request)),
        Kind::Failed,
        "cannot make directory /etc/modules-load.d: Read-only file system",
    );
    assert!(!machine.kernel.state.services.is_empty() && machine.text(paths::JOURNAL).is_some());
    changed(&mut machine, &UNDO);
    machine.read_only = None;
    assert_eq!(machine.snapshot(), before);
}
