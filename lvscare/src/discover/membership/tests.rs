//! The cases of the module's documentation as sequences of answers, then any sequence at all.

use super::*;

mod properties;

/// Between two answers that both count.
const SPACING: Duration = Duration::from_secs(15);

fn server(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 6443))
}

fn set(numbers: &[u8]) -> BTreeSet<SocketAddr> {
    numbers.iter().map(|&number| server(number)).collect()
}

/// A members, a clock, and who is alive or not; of the others nothing is known.
struct Story {
    members: Members,
    now: Instant,
    alive: BTreeSet<SocketAddr>,
    not_alive: BTreeSet<SocketAddr>,
}

impl Story {
    fn of(numbers: &[u8]) -> Self {
        Self {
            members: Members::new(set(numbers), SPACING),
            now: Instant::now(),
            alive: set(numbers),
            not_alive: BTreeSet::new(),
        }
    }

    fn health(&self) -> impl Fn(SocketAddr) -> Health + use<> {
        let (alive, not_alive) = (self.alive.clone(), self.not_alive.clone());
        move |server| match () {
            () if alive.contains(&server) => Health::Alive,
            () if not_alive.contains(&server) => Health::NotAlive,
            () => Health::Unknown,
        }
    }

    fn comes_up(&mut self, number: u8) {
        self.not_alive.remove(&server(number));
        self.alive.insert(server(number));
    }

    fn dies(&mut self, number: u8) {
        self.alive.remove(&server(number));
        self.not_alive.insert(server(number));
    }

    /// The same answer so often, each late enough to count.
    fn hear(&mut self, times: u32, numbers: &[u8]) -> Step {
        let mut step = Step::default();
        for _ in 0..times {
            self.now += SPACING;
            step = self.members.learn(&set(numbers), self.health(), self.now);
        }
        step
    }

    #[track_caller]
    fn has(&self, numbers: &[u8]) {
        assert_eq!(self.members.servers(), set(numbers).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_new_master_joins_at_once() {
    let mut story = Story::of(&[1, 2, 3]);
    let step = story.hear(1, &[1, 2, 3, 4]);
    assert_eq!(step, Step { added: vec![server(4)], ..Step::default() });
    story.has(&[1, 2, 3, 4]);
}

#[test]
fn a_removed_master_leaves_after_a_few_answers() {
    let mut story = Story::of(&[1, 2, 3]);
    let step = story.hear(MISSES_TO_DROP - 1, &[1, 2]);
    assert_eq!(step, Step { kept: vec![server(3)], ..Step::default() });
    story.has(&[1, 2, 3]);
    let step = story.hear(1, &[1, 2]);
    assert_eq!(step, Step { dropped: vec![server(3)], ..Step::default() });
    story.has(&[1, 2]);
}

#[test]
fn a_dead_master_whose_lease_ran_out_leaves_and_returns() {
    let mut story = Story::of(&[1, 2, 3]);
    story.dies(3);
    story.hear(MISSES_TO_DROP, &[1, 2]);
    story.has(&[1, 2]);
    story.hear(1, &[1, 2, 3]);
    story.has(&[1, 2, 3]);
}

#[test]
fn a_rolling_replacement_ends_with_the_new_masters() {
    let mut story = Story::of(&[1, 2, 3]);
    for (gone, new) in [(1, 4), (2, 5), (3, 6)] {
        let listed: Vec<u8> = (gone + 1..=new).collect();
        story.hear(1, &[&[gone], &listed[..]].concat());
        story.comes_up(new);
        story.hear(2, &[&[gone], &listed[..]].concat());
        story.dies(gone);
        story.hear(MISSES_TO_DROP, &listed);
        story.has(&listed);
    }
    story.has(&[4, 5, 6]);
}

#[test]
fn a_hasty_replacement_ends_as_well() {
    let mut story = Story::of(&[1, 2, 3]);
    story.comes_up(4);
    story.comes_up(5);
    story.comes_up(6);
    story.hear(1, &[2, 3, 4]);
    story.hear(1, &[3, 4, 5]);
    story.has(&[1, 2, 3, 4, 5]);
    story.hear(MISSES_TO_DROP_IF_ALIVE, &[4, 5, 6]);
    story.has(&[4, 5, 6]);
}

#[test]
fn the_old_ones_stay_until_half_of_the_new_ones_are_alive() {
    let mut story = Story::of(&[1, 2, 3]);
    story.hear(100, &[4, 5, 6]);
    story.has(&[1, 2, 3, 4, 5, 6]);
    // An old one that is away for a while would not be listed again.
    story.dies(1);
    story.comes_up(4);
    story.hear(100, &[4, 5, 6]);
    story.has(&[1, 2, 3, 4, 5, 6]);
    story.comes_up(5);
    story.hear(1, &[4, 5, 6]);
    story.has(&[4, 5, 6]);
}

#[test]
fn a_partitioned_apiserver_among_others_changes_nothing() {
    let mut story = Story::of(&[1, 2, 3]);
    for _ in 0..100 {
        story.hear(2, &[1]);
        story.hear(1, &[1, 2, 3]);
        story.has(&[1, 2, 3]);
    }
}

#[test]
fn more_than_half_leave_only_after_many_answers() {
    let mut story = Story::of(&[1, 2, 3]);
    story.hear(MISSES_TO_DROP_IF_ALIVE - 1, &[1]);
    story.has(&[1, 2, 3]);
    story.hear(1, &[1]);
    story.has(&[1]);
}

#[test]
fn the_dead_among_more_than_half_leave_sooner() {
    let mut story = Story::of(&[1, 2, 3]);
    story.dies(2);
    story.hear(MISSES_TO_DROP, &[1]);
    story.has(&[1, 3]);
    // The one that is left still belongs to more than half.
    story.hear(MISSES_TO_DROP_IF_ALIVE - MISSES_TO_DROP - 1, &[1]);
    story.has(&[1, 3]);
    story.hear(1, &[1]);
    story.has(&[1]);
}

#[test]
fn answers_in_quick_succession_count_once() {
    let mut story = Story::of(&[1, 2, 3]);
    for _ in 0..100 {
        story.now += SPACING / 100;
        story.members.learn(&set(&[1, 2]), story.health(), story.now);
    }
    story.has(&[1, 2, 3]);
    story.hear(2, &[1, 2]);
    story.has(&[1, 2]);
}

#[test]
fn an_empty_answer_is_no_answer() {
    let mut story = Story::of(&[1, 2, 3]);
    assert_eq!(story.hear(100, &[]), Step::default());
    story.has(&[1, 2, 3]);
}

#[test]
fn the_first_answer_after_a_start_drops_nobody() {
    let mut story = Story::of(&[1, 2, 3]);
    story.alive.clear();
    story.hear(100, &[1, 4]);
    story.has(&[1, 2, 3, 4]);
}

#[test]
fn configured_servers_are_tried_when_all_others_are_dead() {
    let configured = [server(1), server(9)];
    let mut story = Story::of(&[1, 2]);
    story.dies(1);
    assert_eq!(story.members.rescue(&configured, story.health()), []);
    story.dies(2);
    assert_eq!(story.members.rescue(&configured, story.health()), [server(9)]);
    assert_eq!(story.members.rescue(&configured, story.health()), []);
    story.has(&[1, 2, 9]);
    // The one that was tried leads to the truth, which need not hold it.
    story.comes_up(9);
    story.hear(1, &[3]);
    story.comes_up(3);
    story.hear(MISSES_TO_DROP_IF_ALIVE, &[3]);
    story.has(&[3]);
}

#[test]
fn among_too_many_the_listed_and_one_that_is_alive_remain() {
    let old: Vec<u8> = (1..=64).collect();
    let new: Vec<u8> = (101..=164).collect();
    let mut story = Story::of(&old);
    story.hear(1, &new);
    story.has(&[&[1], &new[..63]].concat());
}
