//! Nobody wants it any more: no step is begun after that was said, and the way on and the way back are there.

use super::*;
use crate::api::Joined;
use crate::fake::Kubeadm;
use crate::machine::{Machine as _, until};
use crate::paths;

/// Has `request` cancelled at its step of this number; how it ended, and the steps after that.
fn cancelled_at(machine: &mut Fake, request: &Request, number: usize) -> (Result<Outcome, Failure>, usize) {
    let (cancel, mut told) = (machine.cancel.clone(), 0);
    let outcome = run(request, machine, &mut |event| {
        if matches!(&event, Event::Done(step) if !is_tidying(&step.text)) {
            told += 1;
            if told == number {
                cancel.ask();
            }
        }
    });
    machine.cancel.clear();
    (outcome, told.saturating_sub(number))
}

/// What holds secrets goes in any case.
fn is_tidying(step: &str) -> bool {
    step == format!("remove {}", paths::JOIN)
}

#[test]
fn no_step_is_begun_after_it_and_it_can_be_finished_or_taken_back() {
    for (begin, request) in [
        (failures::bare as fn() -> Fake, Request::Prepare(Box::new(prepare()))),
        (Fake::bare, Request::Join(Box::new(joining()))),
        (prepared, UNDO),
        (prepared, set_masters("10.0.0.2,10.0.0.4")),
    ] {
        let before = begin().snapshot();
        let mut whole = begin();
        let (_, told) = changed(&mut whole, &request);
        let mut stopped = 0;
        for number in 1.. {
            let mut machine = begin();
            let (outcome, after) = cancelled_at(&mut machine, &request, number);
            let Err(failure) = outcome else { break };
            assert_eq!((failure.kind, after), (Kind::Cancelled, 0), "{number}: {failure:?}");
            assert!(!machine.is_locked && machine.text(paths::JOIN).is_none(), "{number}");
            stopped += 1;
            let mut way_back = machine.clone();
            changed(&mut machine, &request);
            assert_eq!(machine.snapshot(), whole.snapshot(), "{number}: the second run finishes it");
            if matches!(request, Request::Prepare(_)) {
                changed(&mut way_back, &UNDO);
                assert_eq!(way_back.snapshot(), before, "{number}: or it is taken back");
            }
        }
        let is_step =
            |text: &&String| !text.starts_with("! ") && !text.starts_with("reached ") && !is_tidying(text);
        let steps = told.iter().filter(is_step).count();
        // kubeadm comes after the last step of a join.
        let last = usize::from(!matches!(request, Request::Join(_)));
        assert_eq!(stopped + last, steps, "it can be stopped after each but the last: {told:?}");
    }
}

#[test]
fn a_join_goes_on_to_its_end_and_only_what_comes_after_it_is_left_out() {
    let request = Request::Join(Box::new(joining()));
    let mut whole = Fake::bare();
    changed(&mut whole, &request);
    let mut machine = Fake { kubeadm: Kubeadm::JoinsUnwanted, ..Fake::bare() };
    refused(
        &mut machine,
        &request,
        Kind::Cancelled,
        "this node has joined, and its static pod was not waited for",
    );
    assert_eq!(machine.snapshot(), whole.snapshot());
    machine.cancel.clear();
    assert_eq!(changed(&mut machine, &request).0.joined, Some(Joined::Already));

    // The name of a new master is still to mean itself.
    let mut master = joining();
    master.prepare.kubeadm.control_plane = true;
    let request = Request::Join(Box::new(master));
    let mut machine = Fake { kubeadm: Kubeadm::JoinsUnwanted, ..Fake::bare() };
    refused(&mut machine, &request, Kind::Cancelled, "run it again to finish it");
    machine.cancel.clear();
    changed(&mut machine, &request);
    assert!(machine.text(paths::HOSTS).unwrap().contains("10.0.0.10 apiserver.cluster.local"));
}

#[test]
fn a_join_that_was_ended_is_told_as_unwanted_and_known_as_begun() {
    let request = Request::Join(Box::new(joining()));
    let mut machine = Fake { kubeadm: Kubeadm::IsEnded, ..Fake::bare() };
    let why = "stopped, as was asked: kubeadm join ended with signal: 15 (SIGTERM)";
    refused(&mut machine, &request, Kind::Cancelled, why);
    assert!(machine.text(paths::JOIN).is_none() && !machine.is_locked);
    machine.cancel.clear();
    machine.kubeadm = Kubeadm::Joins;
    refused(&mut machine, &request, Kind::Kubeadm, "a join of this node was begun");
}

#[test]
fn a_wait_is_given_up() {
    let mut machine = Fake::bare();
    let limit = Duration::from_secs(600);
    let mut asked = 0;
    let came_true = until(&mut machine, limit, Duration::from_secs(1), |machine| {
        asked += 1;
        if asked == 3 {
            machine.cancel.ask();
        }
        false
    });
    assert_eq!((came_true, asked), (false, 3));
    assert!(machine.now() < limit);
}
