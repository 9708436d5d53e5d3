//! What holds for any servers, any table, and whatever happened before.

use proptest::bool::weighted;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// What is known of each server and whether it is drained, what the table holds, and the seconds until then.
type Happening = (Vec<(char, bool)>, BTreeMap<SocketAddr, SeenDestination>, u64);

/// What is known of up to five servers and whether each is drained, and what the table holds, now and several times more.
fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let known = vec((select("adstuxAT".chars().collect::<Vec<_>>()), weighted(0.2)), 1..=5);
    let present = btree_map((0..7_usize).prop_map(server), (0..3_u32, 0..2_u32), 0..7).prop_map(|table| {
        table.into_iter().map(|(at, (weight, active))| (at, seen(weight, active))).collect()
    });
    vec((known, present, 0..40_u64), 1..20)
}

proptest! {
    #[test]
    fn never_emptied_by_mistake(happenings in happenings()) {
        let mut pool = Pool::default();
        let mut now = Instant::now();
        for (known, present, seconds) in happenings {
            now += Duration::from_secs(seconds);
            let verdicts: Vec<_> = known.iter().map(|&(letter, _)| verdict(letter, now)).collect();
            let members: Vec<_> = (0..)
                .zip(verdicts.iter().zip(&known))
                .map(|(index, (verdict, &(_, drained)))| Member {
                    server: server(index),
                    weight: configured_weight(index),
                    preferred: false,
                    drained,
                    verdict,
                })
                .collect();
            let before = pool.mode();
            let decision = pool.decide(&members, &present, DRAIN_TIMEOUT, now);
            let again = pool.decide(&members, &present, DRAIN_TIMEOUT, now);
            prop_assert_eq!(&again, &decision, "not idempotent");

            let any = |condition| verdicts.iter().any(|verdict| verdict.condition == condition);
            let lost = verdicts.iter().all(|verdict| verdict.certain);
            let helpful = any(Condition::Alive) || any(Condition::Draining);
            prop_assert_eq!(decision.destinations.is_none(), lost || before == Empty && !helpful);

            let member = |at: &SocketAddr| members.iter().find(|member| member.server == *at);
            for at in &decision.cut {
                let member = member(at).expect("only members are cut");
                prop_assert!(member.verdict.condition != Condition::Alive || member.drained);
                prop_assert!(member.verdict.verified);
                prop_assert!(present.contains_key(at));
                let verdict = member.verdict;
                let is_proved = verdict.certain || verdict.confirmed;
                prop_assert!(verdict.condition != Condition::Dead || is_proved, "no witness against {}", at);
            }
            let Some(destinations) = decision.destinations else { continue };
            prop_assert!(destinations.values().any(|&weight| weight > 0));
            for (at, &weight) in &destinations {
                let member = member(at).expect("only members are listed");
                prop_assert!(weight == member.weight || weight == 0 && present.contains_key(at));
                prop_assert!(!member.verdict.certain);
                prop_assert!(!decision.cut.contains(at));
            }
            let alive =
                |member: &Member<'_>| member.verdict.condition == Condition::Alive && !member.drained;
            for member in &members {
                let weight = destinations.get(&member.server).copied();
                if alive(member) {
                    prop_assert_eq!(weight, Some(member.weight));
                } else if members.iter().any(alive) {
                    prop_assert_ne!(weight, Some(member.weight));
                }
                let leaves = present.contains_key(&member.server) && weight.is_none();
                prop_assert_eq!(decision.cut.contains(&member.server), leaves);
            }
        }
    }
}
