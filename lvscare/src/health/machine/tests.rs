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
    Policy { interval: Duration::from_secs(5), fast_interval: Duration::from_millis(200), fall, rise }
}

/// A machine in any condition, without a streak.
fn machine(policy: Policy, condition: Condition, verified: bool) -> Machine {
    let verdict = Verdict { verified, ..Verdict::presumed(condition, Instant::now()) };
    Machine::new(policy, verdict)
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
        assert_eq!(outcome.is_conclusive(), certain, "{outcome}");
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

/// What was observed last, whatever came before.
#[test]
fn what_an_outcome_brings() {
    let shortage = Outcome::Failed(Failure::Local("Too many open files".into()));
    let cases: [(Condition, &[Outcome], News); 17] = [
        (Condition::Alive, &[Outcome::Ready], News::Same),
        (Condition::Alive, &[SILENCE], News::Failure),
        (Condition::Alive, &[SILENCE, Outcome::Ready], News::Same),
        (Condition::Alive, &[SILENCE, SILENCE, SILENCE], News::Changed),
        (Condition::Alive, &[REFUSED], News::FirstRefusal),
        (Condition::Alive, &[SILENCE, REFUSED], News::Failure),
        (Condition::Alive, &[REFUSED, REFUSED], News::Failure),
        (Condition::Alive, &[REFUSED, Outcome::Ready, REFUSED], News::FirstRefusal),
        (Condition::Alive, &[Outcome::Unhealthy(500)], News::Answer),
        (Condition::Alive, &[SILENCE, Outcome::NotReady(500)], News::Answer),
        (Condition::Alive, &[SILENCE, shortage], News::Nothing),
        (Condition::Draining, &[Outcome::NotReady(500)], News::Same),
        (Condition::Draining, &[Outcome::Ready, REFUSED], News::FirstRefusal),
        (Condition::Dead, &[REFUSED], News::Same),
        (Condition::Dead, &[Outcome::Ready], News::Answer),
        (Condition::Dead, &[Outcome::Ready, Outcome::Ready, Outcome::Ready], News::Changed),
        (Condition::Sick, &[Outcome::NotReady(500)], News::Answer),
    ];
    for (condition, outcomes, expected) in cases {
        let mut machine = machine(policy(3, 3), condition, true);
        let transition = observe(&mut machine, outcomes);
        let news = machine.news(outcomes.last().unwrap(), transition.as_ref());
        assert_eq!(news, expected, "{condition}: {outcomes:?}");
    }
}

/// A restart goes through several conditions, and is one outage.
#[test]
fn an_outage_lasts_until_the_server_is_alive() {
    let mut machine = judged(Condition::Alive);
    let start = machine.verdict().since;
    let seconds = |seconds| start + Duration::from_secs(seconds);
    let mut outage = |outcome: &Outcome, second| {
        for _ in 0..2 {
            machine.observe(outcome, seconds(second));
        }
        machine.outage(seconds(second + 1)).as_secs()
    };
    assert_eq!(outage(&Outcome::Ready, 0), 0);
    assert_eq!(outage(&REFUSED, 10), 1);
    assert_eq!(outage(&Outcome::Unhealthy(500), 20), 11);
    assert_eq!(outage(&Outcome::NotReady(500), 30), 21);
    assert_eq!(outage(&Outcome::Ready, 40), 0);
    assert_eq!(outage(&SILENCE, 50), 1);
    // Whoever is found out of the table may just have left it.
    let machine = Machine::new(policy(2, 2), Verdict::presumed(Condition::Dead, start));
    assert_eq!(machine.outage(seconds(5)).as_secs(), 5);
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
        assert_eq!(machine.news(&nothing, None), News::Nothing);
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
