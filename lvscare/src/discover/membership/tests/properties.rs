//! Any sequence of answers, in any health.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// One answer: what it lists, how long after the one before, and what is known of everybody's health.
type Moment = (BTreeSet<SocketAddr>, Duration, BTreeMap<SocketAddr, Health>);

fn any_server() -> impl Strategy<Value = SocketAddr> {
    (1_u8..8).prop_map(server)
}

fn any_health() -> impl Strategy<Value = Health> {
    select(vec![Health::Alive, Health::NotAlive, Health::Unknown])
}

fn any_moment() -> impl Strategy<Value = Moment> {
    let gap = (0_u64..40).prop_map(Duration::from_secs);
    (btree_set(any_server(), 0..5), gap, btree_map(any_server(), any_health(), 0..8))
}

fn of(known: &BTreeMap<SocketAddr, Health>) -> impl Fn(SocketAddr) -> Health {
    |server| known.get(&server).copied().unwrap_or(Health::Unknown)
}

proptest! {
    #[test]
    fn no_answer_ever_harms(
        start in btree_set(any_server(), 1..5),
        moments in vec(any_moment(), 0..60),
    ) {
        let mut members = Members::new(start, SPACING);
        let mut now = Instant::now();
        let mut heard: Vec<BTreeSet<SocketAddr>> = Vec::new();
        for (answer, gap, known) in moments {
            now += gap;
            let before = members.servers();
            let step = members.learn(&answer, of(&known), now);
            let after = members.servers();
            if !answer.is_empty() {
                heard.push(answer.clone());
            }

            prop_assert!(!after.is_empty());
            prop_assert!(answer.iter().all(|server| after.contains(server)), "what is listed is probed");
            let alive = |servers: &[SocketAddr]| {
                servers.iter().any(|&server| of(&known)(server) == Health::Alive)
            };
            prop_assert!(alive(&after) || !alive(&before), "somebody alive remains");
            for server in &step.dropped {
                let absences = heard.iter().rev().take_while(|answer| !answer.contains(server)).count();
                prop_assert!(absences >= MISSES_TO_DROP as usize, "{server} left after {absences} answers");
            }
            let mut told = before;
            told.retain(|server| !step.dropped.contains(server));
            told.extend(&step.added);
            told.sort();
            prop_assert_eq!(told, after, "the step tells the difference");
        }
    }

    #[test]
    fn a_stable_answer_prevails(
        start in btree_set(any_server(), 1..5),
        moments in vec(any_moment(), 0..20),
        stable in btree_set(any_server(), 1..5),
        others in any_health(),
    ) {
        let mut members = Members::new(start, SPACING);
        let mut now = Instant::now();
        for (answer, gap, known) in moments {
            now += gap;
            members.learn(&answer, of(&known), now);
        }
        for _ in 0..MISSES_TO_DROP_IF_ALIVE {
            now += SPACING;
            let health = |server| if stable.contains(&server) { Health::Alive } else { others };
            members.learn(&stable, health, now);
        }
        prop_assert_eq!(members.servers(), stable.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn never_more_than_the_limit(
        start in btree_set(any::<u8>().prop_map(server), 1..64),
        answers in vec(btree_set(any::<u8>().prop_map(server), 1..64), 1..10),
        alive in btree_set(any::<u8>().prop_map(server), 0..64),
    ) {
        let mut members = Members::new(start, SPACING);
        let health = |server| if alive.contains(&server) { Health::Alive } else { Health::NotAlive };
        for answer in answers {
            let before = members.servers().into_iter().any(|server| alive.contains(&server));
            members.learn(&answer, health, Instant::now());
            let after = members.servers();
            prop_assert!(after.len() <= MOST);
            prop_assert!(!before || after.iter().any(|server| alive.contains(server)));
        }
        let configured: Vec<SocketAddr> = (0..=255).map(server).collect();
        members.rescue(&configured, |_| Health::NotAlive);
        prop_assert_eq!(members.servers().len(), MOST);
    }
}
