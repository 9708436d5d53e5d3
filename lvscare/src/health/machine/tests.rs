//! The rule of the module, case by case; then for any sequence of outcomes; then over a whole day.

mod properties;
mod simulation;

use super::*;
use crate::health::{Failure, Phase};

const CONDITIONS: [Condition; 4] = [Condition::Dead, Condition::Sick, Condition::Draining, Condition::Alive];

/// One outcome of every kind, with the condition it speaks for and whether it is certain.
fn outcomes() -> Vec<(Outcome, Condition, bool)> {
    let failed = |failure, certain| (Outcome::Failed(failure), Condition::Dead, certain);
    vec![
        (Outcome::Ready, Condition::Alive, false),
        (Outcome::NotReady(500), Condition::Draining, false),
        (Outcome::Unhealthy(500), Condition::Sick, false),
        failed(Failure::Refused, true),
        failed(Failure::Reset, true),
        failed(Failure::Unreachable, false),
        failed(Failure::Unacknowledged, false),
        failed(Failure::TimedOut(Phase::Connect), false),
        failed(Failure::TimedOut(Phase::Handshake), false),
        failed(Failure::TimedOut(Phase::Answer), false),
        failed(Failure::Tls("expired".into()), false),
        failed(Failure::Garbled("SSH-2.0".into()), false),
    ]
}

/// The outcome that speaks for `condition`.
fn outcome(condition: Condition) -> Outcome {
    let silence = Outcome::Failed(Failure::TimedOut(Phase::Answer));
    let all = [silence, Outcome::Unhealthy(500), Outcome::NotReady(503), Outcome::Ready];
    all.into_iter().find(|outcome| outcome.implies() == Some(condition)).unwrap()
}

const REFUSED: Outcome = Outcome::Failed(Failure::Refused);
const SILENCE: Outcome = Outcome::Failed(Failure::TimedOut(Phase::Connect));

fn policy(fall: u32, rise: u32) -> Policy {
    Policy { interval: Duration::from_secs(2), fast_interval: Duration::from_millis(200), fall, rise }
}

/// A machine in any condition, without a streak.
fn machine(policy: Policy, condition: Condition, verified: bool) -> Machine {
    let verdict = Verdict { verified, ..Verdict::presumed(condition, Instant::now()) };
    Machine { policy, verdict, streak: None }
}

/// A machine with the default policy that has just judged `condition`.
fn judged(condition: Condition) -> Machine {
    machine(policy(2, 2), condition, true)
}

/// Shows the machine the outcomes one after another; the last transition, if the last one caused it.
fn observe(machine: &mut Machine, outcomes: &[Outcome]) -> Option<Transition> {
    let now = machine.verdict().since;
    outcomes.iter().map(|outcome| machine.observe(outcome, now)).last().flatten()
}

/// The rule once more, as a look back at everything seen since the last change of condition.
fn rule(policy: Policy, present: Condition, history: &[Condition]) -> Option<Condition> {
    let latest = |side: fn(&Condition, &Condition) -> bool| -> Vec<Condition> {
        history.iter().rev().copied().take_while(|seen| side(seen, &present)).collect()
    };
    let (worse, better) = (latest(Condition::lt), latest(Condition::gt));
    if worse.len() >= policy.fall as usize {
        worse.into_iter().max()
    } else if better.len() >= policy.rise as usize {
        better.into_iter().min()
    } else {
        None
    }
}

#[test]
fn every_outcome_implies_one_condition() {
    for (outcome, condition, certain) in outcomes() {
        assert_eq!(outcome.implies(), Some(condition), "{outcome}");
        assert_eq!(outcome.is_certain(), certain, "{outcome}");
    }
}

/// With `fall` and `rise` of 2. Rows: the first outcome; columns: the second; `.`: the condition stays.
#[test]
fn two_outcomes() {
    const LETTERS: &str = "xsda";
    let table = [
        //                 first:  dead    sick   draining alive
        (Condition::Alive, ["xsd.", "ssd.", "ddd.", "...."]),
        (Condition::Draining, ["xs..", "ss..", "....", "...a"]),
        (Condition::Sick, ["x...", "....", "..dd", "..da"]),
        (Condition::Dead, ["....", ".sss", ".sdd", ".sda"]),
    ];
    for (present, rows) in table {
        for (first, row) in CONDITIONS.into_iter().zip(rows) {
            for (second, expected) in CONDITIONS.into_iter().zip(row.chars()) {
                let mut machine = judged(present);
                let transition = observe(&mut machine, &[outcome(first), outcome(second)]);
                let expected = LETTERS.find(expected).map(|index| CONDITIONS[index]);
                let case = format!("{present}: {first}, {second}");
                assert_eq!(transition.as_ref().map(|it| it.to), expected, "{case}");
                assert_eq!(machine.verdict().condition, expected.unwrap_or(present), "{case}");
            }
        }
    }
}

/// Every condition, verified or not, every policy from 1 to 3, every streak, every next outcome.
#[test]
fn every_short_history() {
    for present in CONDITIONS {
        for verified in [false, true] {
            for (fall, rise) in (1..=3).flat_map(|fall| (1..=3).map(move |rise| (fall, rise))) {
                follow(&machine(policy(fall, rise), present, verified), &[], 4);
            }
        }
    }
}

/// Compares the machine with the rule for every continuation of `history` by up to `depth` outcomes.
fn follow(machine: &Machine, history: &[Condition], depth: usize) {
    let kinds = [REFUSED, SILENCE, Outcome::Unhealthy(500), Outcome::NotReady(503), Outcome::Ready];
    for outcome in kinds.into_iter().filter(|_| depth > 0) {
        let mut machine = machine.clone();
        let before = machine.verdict().clone();
        let now = before.since + Duration::from_secs(1);
        let seen = outcome.implies().unwrap();
        let history = [history, &[seen]].concat();
        let case = || format!("{:?}: {}: {history:?}", machine.policy, before.condition);

        if let Some(to) = rule(machine.policy, before.condition, &history) {
            let transition = Transition { from: before.condition, to, after: Duration::from_secs(1) };
            let certain = to == Condition::Dead && outcome == REFUSED;
            let verdict = Verdict { verified: true, certain, ..Verdict::presumed(to, now) };
            let case = case();
            assert_eq!(machine.observe(&outcome, now), Some(transition), "{case}");
            assert_eq!(*machine.verdict(), verdict, "{case}");
            follow(&machine, &[], depth - 1);
        } else {
            let agrees = seen == before.condition;
            let certain = if agrees { outcome == REFUSED } else { before.certain };
            let seen = if agrees { now } else { before.seen };
            let verdict = Verdict { verified: before.verified || agrees, certain, seen, ..before };
            let case = case();
            assert_eq!(machine.observe(&outcome, now), None, "{case}");
            assert_eq!(*machine.verdict(), verdict, "{case}");
            follow(&machine, &history, depth - 1);
        }
    }
}

/// Found in the table at weight 0, it may be draining: one bad probe must not cut its connections.
#[test]
fn a_presumed_condition_changes_as_a_verified_one() {
    let now = Instant::now();
    for condition in [Condition::Alive, Condition::Sick] {
        let mut machine = Machine::new(policy(2, 2), Verdict::presumed(condition, now));
        assert_eq!(machine.observe(&REFUSED, now), None);
        assert_eq!(*machine.verdict(), Verdict::presumed(condition, now));
        assert_eq!(machine.observe(&REFUSED, now).unwrap().to, Condition::Dead);
    }
}

/// The last word counts: a host that first refused and then fell silent may be cut off, not down.
#[test]
fn certainty_follows_the_latest_evidence() {
    let cases: [(&[Outcome], bool); 5] = [
        (&[REFUSED, REFUSED], true),
        (&[SILENCE, REFUSED], true),
        (&[REFUSED, SILENCE], false),
        (&[SILENCE, SILENCE, REFUSED], true),
        (&[REFUSED, REFUSED, SILENCE], false),
    ];
    for (outcomes, certain) in cases {
        let mut machine = judged(Condition::Alive);
        observe(&mut machine, outcomes);
        assert_eq!(machine.verdict().condition, Condition::Dead);
        assert_eq!(machine.verdict().certain, certain, "{outcomes:?}");
    }
}

#[test]
fn interval_when_fine_fast_interval_otherwise() {
    let interval = Duration::from_secs(2);
    let fast = Duration::from_millis(200);
    let cases: [(Condition, &[Outcome], Duration); 13] = [
        (Condition::Alive, &[Outcome::Ready], interval),
        (Condition::Alive, &[SILENCE], fast),
        (Condition::Alive, &[SILENCE, Outcome::Ready], interval),
        (Condition::Alive, &[SILENCE, SILENCE], fast),
        (Condition::Alive, &[REFUSED, REFUSED], fast),
        (Condition::Alive, &[Outcome::Unhealthy(500)], fast / 4),
        (Condition::Alive, &[Outcome::NotReady(500)], fast / 4),
        (Condition::Draining, &[Outcome::NotReady(500)], fast),
        (Condition::Sick, &[Outcome::Unhealthy(500)], fast),
        (Condition::Dead, &[REFUSED], fast),
        (Condition::Dead, &[Outcome::Ready], fast / 4),
        (Condition::Sick, &[Outcome::NotReady(500)], fast / 4),
        (Condition::Dead, &[Outcome::Ready, Outcome::Ready], interval),
    ];
    for (condition, outcomes, expected) in cases {
        let mut machine = judged(condition);
        observe(&mut machine, outcomes);
        assert_eq!(
            machine.delay(outcomes.last().unwrap(), 0.5, machine.verdict().since),
            expected,
            "{condition}: {outcomes:?}"
        );
    }
}

#[test]
fn delay_varies_by_a_fifth() {
    let fine = judged(Condition::Alive);
    let delays = [0.0, 0.25, 0.5, 0.75, 1.0]
        .map(|spread| fine.delay(&Outcome::Ready, spread, Instant::now()).as_millis());
    assert_eq!(delays, [1600, 1800, 2000, 2200, 2400]);
}

/// A refusal is confirmed at once, but only the first of a streak, or a dead server would be asked without
/// pause.
#[test]
fn first_refusal_is_confirmed_at_once() {
    let fast = Duration::from_millis(200);
    let cases: [(Condition, &[Outcome], Duration); 6] = [
        (Condition::Alive, &[REFUSED], Duration::ZERO),
        (Condition::Alive, &[SILENCE, REFUSED], fast),
        (Condition::Alive, &[REFUSED, REFUSED], fast),
        (Condition::Alive, &[REFUSED, Outcome::Ready, REFUSED], Duration::ZERO),
        (Condition::Draining, &[Outcome::Ready, REFUSED], Duration::ZERO),
        (Condition::Dead, &[REFUSED], fast),
    ];
    for (condition, outcomes, expected) in cases {
        let mut machine = machine(policy(3, 3), condition, true);
        observe(&mut machine, outcomes);
        assert_eq!(
            machine.delay(outcomes.last().unwrap(), 0.5, machine.verdict().since),
            expected,
            "{condition}: {outcomes:?}"
        );
    }
}

/// Fast for the twelve seconds in which most restarts end, at the normal interval after two minutes.
#[test]
fn a_server_that_is_out_for_long_is_asked_less_often() {
    for condition in [Condition::Dead, Condition::Sick, Condition::Draining] {
        let machine = judged(condition);
        let since = machine.verdict().since;
        let delays = [0, 12, 30, 60, 120, 86_400]
            .map(|age| machine.delay(&SILENCE, 0.5, since + Duration::from_secs(age)).as_millis());
        assert_eq!(delays, [200, 200, 500, 1000, 2000, 2000], "{condition}");
    }
}

/// This node's own trouble: whatever is known stays known, and a streak goes on afterwards.
#[test]
fn what_says_nothing_changes_nothing() {
    let shortage = Outcome::Failed(Failure::Local("Too many open files".into()));
    for nothing in [shortage, Outcome::Failed(Failure::Late)] {
        for condition in CONDITIONS {
            let mut machine = machine(policy(1, 1), condition, false);
            let before = machine.verdict().clone();
            for _ in 0..100 {
                assert_eq!(machine.observe(&nothing, Instant::now()), None);
            }
            assert_eq!(*machine.verdict(), before, "{nothing}");
        }
        let mut machine = judged(Condition::Alive);
        assert_eq!(observe(&mut machine, &[SILENCE, nothing.clone(), nothing.clone()]), None);
        assert_eq!(machine.delay(&nothing, 0.5, Instant::now()), Duration::from_millis(200));
        assert_eq!(observe(&mut machine, &[SILENCE]).unwrap().to, Condition::Dead);
    }
}

/// Only the dead can be lost, and whoever comes back is not lost any more.
#[test]
fn a_witness_confirms_death_alone() {
    let now = Instant::now();
    for condition in CONDITIONS {
        let mut machine = judged(condition);
        machine.confirm(now);
        assert_eq!(machine.verdict().confirmed, condition == Condition::Dead);
        assert_eq!(machine.verdict().seen, now);
    }
    let mut machine = judged(Condition::Dead);
    machine.confirm(now);
    observe(&mut machine, &[SILENCE, Outcome::Ready]);
    assert!(machine.verdict().confirmed);
    observe(&mut machine, &[Outcome::Ready]);
    assert_eq!(machine.verdict().condition, Condition::Alive);
    assert!(!machine.verdict().confirmed);
}
