//! What holds for any policy and any sequence of outcomes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn any_policy() -> impl Strategy<Value = Policy> {
    (1_u32..=5, 1_u32..=5).prop_map(|(fall, rise)| policy(fall, rise))
}

fn any_condition() -> impl Strategy<Value = Condition> {
    prop::sample::select(vec![Condition::Dead, Condition::Sick, Condition::Draining, Condition::Alive])
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    select(outcomes()).prop_map(|(outcome, _, _)| outcome)
}

proptest! {
    /// The condition changes exactly when the rule says so, to what it says; nothing earlier than the last
    /// change matters.
    #[test]
    fn follows_the_rule(policy in any_policy(), presumed in any_condition(), outcomes in vec(any_outcome(), 0..200)) {
        let start = Instant::now();
        let mut machine = Machine::new(policy, Verdict::presumed(presumed, start));
        let mut history = Vec::new();
        for (outcome, second) in outcomes.iter().zip(1..) {
            let before = machine.verdict().clone();
            let now = start + Duration::from_secs(second);
            history.push(outcome.implies().unwrap());
            let transition = machine.observe(outcome, now);

            let to = rule(policy, before.condition, &history);
            let expected = to.map(|to| Transition { from: before.condition, to, after: now - before.since });
            prop_assert_eq!(&transition, &expected);
            if transition.is_some() {
                history.clear();
            }
        }
    }

    /// All that is ever said is backed by what was just seen.
    #[test]
    fn verdict_is_backed(policy in any_policy(), presumed in any_condition(), outcomes in vec(any_outcome(), 0..200)) {
        let mut machine = Machine::new(policy, Verdict::presumed(presumed, Instant::now()));
        for outcome in &outcomes {
            let before = machine.verdict().clone();
            let transition = machine.observe(outcome, before.since);
            let verdict = machine.verdict();
            let agrees = outcome.implies() == Some(before.condition);

            prop_assert_eq!(verdict.verified, before.verified || agrees || transition.is_some());
            prop_assert!(!verdict.certain || verdict.condition == Condition::Dead);
            prop_assert!(verdict.certain <= (outcome.is_conclusive() || before.certain));
            if let Some(Transition { from, to, .. }) = transition {
                prop_assert_ne!(from, to);
                let seen = outcome.implies().unwrap();
                prop_assert!(if to < from { seen <= to } else { seen >= to }, "{from} to {to} on {seen}");
            }
        }
    }

    /// One outcome out of line, however often, changes nothing.
    #[test]
    fn alternation_changes_nothing(
        fall in 2_u32..=5,
        rise in 2_u32..=5,
        present in select(CONDITIONS.to_vec()),
        outcomes in vec(any_outcome(), 1..50),
    ) {
        let mut machine = machine(policy(fall, rise), present, true);
        for stray in &outcomes {
            prop_assert_eq!(observe(&mut machine, &[stray.clone(), outcome(present)]), None);
        }
        prop_assert_eq!(machine.verdict().condition, present);
    }

    /// Neither does an outcome on each side in turn.
    #[test]
    fn contradiction_changes_nothing(worse in select(vec![REFUSED, SILENCE]), rounds in 1_usize..50) {
        let mut machine = judged(Condition::Draining);
        for _ in 0..rounds {
            prop_assert_eq!(observe(&mut machine, &[worse.clone(), Outcome::Ready]), None);
        }
    }
}
