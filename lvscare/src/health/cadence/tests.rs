//! The table of the module, line by line; then what holds for every situation; then how thousands of nodes spread.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::jitter::SPREAD;

const CONDITIONS: [Condition; 4] = [Condition::Dead, Condition::Sick, Condition::Draining, Condition::Alive];
const NEWS: [News; 6] =
    [News::Same, News::Changed, News::Nothing, News::FirstRefusal, News::Failure, News::Answer];
const OUT: [Condition; 3] = [Condition::Dead, Condition::Sick, Condition::Draining];

fn policy() -> Policy {
    Policy { interval: Duration::from_secs(5), fast_interval: Duration::from_millis(200), fall: 2, rise: 2 }
}

/// A server that is well, asked in turn, beside two others.
const WELL: Situation = Situation {
    condition: Condition::Alive,
    outage: Duration::ZERO,
    others: 2,
    news: News::Same,
    in_turn: true,
};

fn pauses(situation: Situation) -> [u128; 3] {
    [0.0, 0.5, 1.0].map(|chance| situation.pause(&policy(), chance).as_millis())
}

#[test]
fn a_server_that_is_well_has_its_turn() {
    assert_eq!(pauses(WELL), [4800, 5000, 5200]);
    for others in 0..4 {
        assert_eq!(pauses(Situation { others, ..WELL }), pauses(WELL), "{others}");
    }
    assert_eq!(longest_interval(&policy()).as_millis(), 5200);
}

/// A black hole wakes all nodes for the same witnesses, and a restart ends with all of them back.
#[test]
fn what_is_out_of_turn_scatters() {
    assert_eq!(pauses(Situation { in_turn: false, ..WELL }), [0, 2500, 5000]);
    for in_turn in [false, true] {
        assert_eq!(pauses(Situation { in_turn, news: News::Changed, ..WELL }), [5000, 4375, 3750]);
    }
}

/// In whatever condition, needed or not.
#[test]
fn what_must_be_confirmed_is_asked_fast() {
    for condition in CONDITIONS {
        for others in 0..4 {
            let outage = Duration::from_secs(3600);
            let situation = |news| Situation { condition, outage, others, news, in_turn: true };
            assert_eq!(pauses(situation(News::FirstRefusal)), [0, 0, 0]);
            assert_eq!(pauses(situation(News::Failure)), [160, 200, 240]);
            assert_eq!(pauses(situation(News::Nothing)), [160, 200, 240]);
            assert_eq!(pauses(situation(News::Answer)), [40, 50, 60]);
        }
    }
}

/// How many others are well, seconds out, and milliseconds until the next question.
#[test]
fn urgency_follows_redundancy() {
    for (others, outages) in [
        (0, [(0, 200), (20, 200), (40, 400), (100, 1000), (86_400, 1000)]),
        (1, [(0, 200), (20, 200), (40, 400), (100, 1000), (86_400, 1000)]),
        (2, [(0, 200), (2, 200), (30, 3000), (50, 5000), (86_400, 5000)]),
        (9, [(0, 200), (2, 200), (30, 3000), (50, 5000), (86_400, 5000)]),
    ] {
        for (seconds, millis) in outages {
            for (condition, news) in OUT.into_iter().flat_map(|out| [(out, News::Same), (out, News::Changed)])
            {
                let outage = Duration::from_secs(seconds);
                let situation = Situation { condition, outage, others, news, in_turn: false };
                let pause = situation.pause(&policy(), 0.5).as_millis();
                assert_eq!(pause, millis, "{condition} for {seconds} s beside {others}");
            }
        }
    }
}

/// Condition, others, and the longest pause before the first question.
#[test]
fn a_start_is_spread_unless_somebody_is_needed() {
    for (condition, others, millis) in [
        (Condition::Alive, 0, 2500),
        (Condition::Alive, 2, 2500),
        (Condition::Dead, 2, 2500),
        (Condition::Dead, 1, 0),
        (Condition::Sick, 0, 0),
    ] {
        let pauses = [0.0, 1.0].map(|chance| first(&policy(), condition, others, chance).as_millis());
        assert_eq!(pauses, [0, millis], "{condition} {others}");
        let [often, seldom] =
            [1, 300].map(|seconds| Policy { interval: Duration::from_secs(seconds), ..policy() });
        let pauses = [often, seldom].map(|policy| first(&policy, condition, others, 1.0).as_millis());
        assert_eq!(pauses, [millis / 5, millis], "{condition} {others}");
    }
}

/// Seconds between questions, and the seconds that a connection is held.
#[test]
fn connections_are_renewed_seldom() {
    for (interval, seconds) in
        [(0.2, [45, 60, 75]), (1.0, [45, 60, 75]), (5.0, [225, 300, 375]), (60.0, [225, 300, 375])]
    {
        let policy = Policy { interval: Duration::from_secs_f64(interval), ..policy() };
        let held = [0.0, 0.5, 1.0].map(|chance| renewal(&policy, chance).as_secs());
        assert_eq!(held, seconds, "{interval}");
    }
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (20_u64..300_000, 20_u64..300_000).prop_map(|(interval, fast)| Policy {
        interval: Duration::from_millis(interval),
        fast_interval: Duration::from_millis(fast.min(interval)),
        ..policy()
    })
}

fn any_situation() -> impl Strategy<Value = Situation> {
    let outage = (0_u64..1 << 40).prop_map(Duration::from_millis);
    (select(CONDITIONS.to_vec()), outage, 0_usize..5, select(NEWS.to_vec()), any::<bool>()).prop_map(
        |(condition, outage, others, news, in_turn)| Situation { condition, outage, others, news, in_turn },
    )
}

proptest! {
    /// Never later than the interval; and a server that nobody doubts is not asked without pause.
    #[test]
    fn no_pause_is_out_of_bounds(policy in any_policy(), situation in any_situation(), chance in 0.0..=1.0) {
        let pause = situation.pause(&policy, chance);
        prop_assert!(pause <= policy.interval.mul_f64(1.0 + SPREAD));
        if situation.condition != Condition::Alive && matches!(situation.news, News::Same | News::Changed) {
            prop_assert!(pause >= policy.fast_interval.mul_f64(1.0 - SPREAD));
        }
        prop_assert!(first(&policy, situation.condition, situation.others, chance) <= policy.interval / 2);
    }

    /// The longer it is out, the less often it is asked; the fewer others there are, the more often.
    #[test]
    fn urgency_is_monotonous(
        policy in any_policy(),
        one in any_situation(),
        more in (0_u64..1 << 40).prop_map(Duration::from_millis),
        others in 0_usize..5,
    ) {
        let longer = Situation { outage: one.outage + more, ..one };
        prop_assert!(longer.backoff(&policy) >= one.backoff(&policy));
        let other = Situation { others: one.others + others, ..one };
        prop_assert!(other.backoff(&policy) >= one.backoff(&policy));
    }
}

/// How many of 1,000 nodes are in each tenth of their time between two questions, which `part` (0 to 1) tells.
fn tenths(mut part: impl FnMut(&mut fastrand::Rng) -> f64) -> [usize; 10] {
    let mut random = fastrand::Rng::with_seed(31);
    let mut tenths = [0; 10];
    for _ in 0..1000 {
        let part = part(&mut random);
        tenths[(0..10_u8).rfind(|&tenth| part * 10.0 >= f64::from(tenth)).map(usize::from).unwrap()] += 1;
    }
    tenths
}

/// Thousands of nodes that were woken in step do not stay in step.
#[test]
fn nodes_spread_out() {
    let woken = tenths(|random| {
        let mut pause = |situation: Situation| situation.pause(&policy(), random.f64()).as_secs_f64();
        let time = pause(Situation { in_turn: false, ..WELL }) + pause(WELL);
        (time / policy().interval.as_secs_f64()).fract()
    });
    assert!(woken.iter().all(|nodes| (60..150).contains(nodes)), "{woken:?}");
    // A server that all saw fall at the same moment is met by them at different moments half a minute later.
    let back = Duration::from_secs(30);
    let fallen = tenths(|random| {
        let mut outage = Duration::ZERO;
        loop {
            let out = Situation { condition: Condition::Dead, outage, ..WELL };
            let pause = out.pause(&policy(), random.f64());
            if outage + pause > back {
                break back.saturating_sub(outage).as_secs_f64() / pause.as_secs_f64();
            }
            outage += pause;
        }
    });
    assert!(fallen.iter().all(|nodes| (60..150).contains(nodes)), "{fallen:?}");
}
