//! Nobody wants it any more: no step is begun after that was said, and the way on and the way back are there.

use super::*;
use crate::machine::{Machine as _, until};

/// Has `request` cancelled at its step of this number; how it ended, and the steps after that.
fn cancelled_at(machine: &mut Fake, request: &Request, number: usize) -> (Result<Outcome, Failure>, usize) {
    let (cancel, mut told) = (machine.cancel.clone(), 0);
    let outcome = run(request, machine, &mut |event| {
        if matches!(event, Event::Done(_)) {
            told += 1;
            if told == number {
                cancel.ask();
            }
        }
    });
    machine.cancel.clear();
    (outcome, told.saturating_sub(number))
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
            assert!(!machine.is_locked, "{number}");
            stopped += 1;
            let mut way_back = machine.clone();
            changed(&mut machine, &request);
            assert_eq!(machine.snapshot(), whole.snapshot(), "{number}: the second run finishes it");
            if matches!(request, Request::Prepare(_)) {
                changed(&mut way_back, &UNDO);
                assert_eq!(way_back.snapshot(), before, "{number}: or it is taken back");
            }
        }
        let is_step = |text: &&String| !text.starts_with("! ") && !text.starts_with("reached ");
        let steps = told.iter().filter(is_step).count();
        assert_eq!(stopped + 1, steps, "it can be stopped after each but the last: {told:?}");
    }
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
