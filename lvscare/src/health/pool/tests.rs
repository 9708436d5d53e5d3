//! Who serves, told as stories; then how long a server lingers; then what holds whatever happens.

mod draining;
mod properties;

use super::*;
use crate::model::Destination;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// A virtual server whose table is always as decided last, with an open connection to every server.
///
/// What is known of each server is a letter: `a` alive, `d` draining, `s` sick, `u` dead by a time-out, `t` the same
/// confirmed by a witness, `x` dead for certain; not verified yet: `A` found serving, `T` found at weight 0 or not at all.
///
/// So is what becomes of it: `W` it has its configured weight, `0` it lingers, `c` it is cut, `-` it is out.
struct World {
    pool: Pool,
    verdicts: Vec<(char, Verdict)>,
    present: BTreeMap<SocketAddr, SeenDestination>,
    active: u32,
    preferred: Option<SocketAddr>,
    drained: Option<SocketAddr>,
    now: Instant,
}

fn server(index: usize) -> SocketAddr {
    let last = u8::try_from(index + 1).unwrap();
    SocketAddr::from(([10, 0, 0, last], 6443))
}

fn configured_weight(index: usize) -> u32 {
    10 + u32::try_from(index).unwrap()
}

fn seen(weight: u32, active: u32) -> SeenDestination {
    SeenDestination { destination: Destination::masqueraded(weight), active, inactive: 0 }
}

fn verdict(letter: char, since: Instant) -> Verdict {
    let condition = match letter {
        'a' | 'A' => Condition::Alive,
        'd' => Condition::Draining,
        's' => Condition::Sick,
        _ => Condition::Dead,
    };
    let (verified, certain, confirmed) = (letter.is_lowercase(), letter == 'x', letter == 't');
    Verdict { verified, certain, confirmed, ..Verdict::presumed(condition, since) }
}

impl World {
    /// The table holds every server with a weight.
    fn new(weights: &[Option<u32>]) -> Self {
        let present = weights.iter().enumerate();
        let present = present.filter_map(|(index, weight)| Some((server(index), seen((*weight)?, 1))));
        Self {
            pool: Pool::default(),
            verdicts: Vec::new(),
            present: present.collect(),
            active: 1,
            preferred: None,
            drained: None,
            now: Instant::now(),
        }
    }

    /// Every server serves.
    fn serving(count: usize) -> Self {
        let weights: Vec<_> = (0..count).map(|index| Some(configured_weight(index))).collect();
        let mut world = Self::new(&weights);
        world.becomes(&"a".repeat(count));
        world
    }

    /// The next decision, a millisecond later, when this is known of the servers.
    fn becomes(&mut self, letters: &str) -> (Mode, String) {
        self.now += Duration::from_millis(1);
        let known = self.verdicts.iter().cloned().map(Some).chain(std::iter::repeat(None));
        let verdicts = letters.chars().zip(known).map(|(letter, known)| match known {
            Some((before, verdict)) if before == letter => (letter, verdict),
            _ => (letter, verdict(letter, self.now)),
        });
        self.verdicts = verdicts.collect();
        self.decide()
    }

    /// The next decision after a while in which nothing happens.
    fn after(&mut self, time: Duration) -> (Mode, String) {
        self.now += time;
        self.decide()
    }

    /// What is known is known anew all the time.
    fn decide(&mut self) -> (Mode, String) {
        self.verdicts.iter_mut().for_each(|(_, verdict)| verdict.seen = self.now);
        self.decide_late()
    }

    fn decide_late(&mut self) -> (Mode, String) {
        let members: Vec<_> = (0..)
            .zip(&self.verdicts)
            .map(|(index, (_, verdict))| Member {
                drained: self.drained == Some(server(index)),
                preferred: self.preferred == Some(server(index)),
                server: server(index),
                weight: configured_weight(index),
                verdict,
            })
            .collect();
        let decision = self.pool.decide(&members, &self.present, DRAIN_TIMEOUT, self.now);
        assert_eq!(decision.mode, self.pool.mode());
        assert_eq!(decision.destinations.is_none(), decision.mode == Mode::Empty);

        let destinations = decision.destinations.unwrap_or_default();
        let fate = |index| match (destinations.get(&server(index)), decision.cut.contains(&server(index))) {
            (Some(&weight), false) if weight == configured_weight(index) => 'W',
            (Some(0), false) => '0',
            (None, true) => 'c',
            (None, false) => '-',
            other => panic!("{index}: {other:?}"),
        };
        let fates = (0..members.len()).map(fate).collect();
        self.present =
            destinations.into_iter().map(|(server, weight)| (server, seen(weight, self.active))).collect();
        (decision.mode, fates)
    }
}

/// Each line: what is known, and what is decided then.
fn story(mut world: World, lines: &[(&str, Mode, &str)]) {
    for (index, &(known, mode, fates)) in lines.iter().enumerate() {
        assert_eq!(world.becomes(known), (mode, fates.to_owned()), "line {index}: {known}");
    }
}

use Mode::{Empty, LastResort, Normal, Unready};

#[test]
fn alive_ones_serve() {
    story(
        World::serving(3),
        &[
            ("aaa", Normal, "WWW"),
            ("axa", Normal, "WcW"),
            ("axa", Normal, "W-W"),
            ("atx", Normal, "W-c"),
            ("aaa", Normal, "WWW"),
            ("sad", Normal, "0W0"),
            ("ada", Normal, "W0W"),
            ("tax", Normal, "cWc"),
        ],
    );
}

#[test]
fn draining_ones_serve_when_nobody_is_ready() {
    story(
        World::serving(3),
        &[
            ("ddd", Unready, "WWW"),
            ("ddx", Unready, "WWc"),
            ("dss", Unready, "W0-"),
            ("dda", Normal, "00W"),
            ("sdx", Unready, "0Wc"),
        ],
    );
}

/// Whatever proves nothing takes nobody out: silence, bad answers, TLS failures.
#[test]
fn last_good_ones_serve_when_nobody_is_healthy() {
    story(World::serving(3), &[("ttt", LastResort, "WWW"), ("sss", LastResort, "WWW")]);
    story(World::serving(3), &[("tsx", LastResort, "WWc"), ("xst", LastResort, "cW-")]);
}

/// Servers that fall to one blow are judged one after another; together they are the last good set.
#[test]
fn one_blow_leaves_all_it_hit() {
    story(
        World::serving(3),
        &[
            ("taa", Normal, "cWW"),
            ("tsa", Normal, "-0W"),
            ("tst", LastResort, "WWW"),
            ("xst", LastResort, "cWW"),
            ("tst", LastResort, "-WW"),
        ],
    );
}

/// Without a witness it may be this node that is cut off: nobody is cut, and whoever is back first serves alone for a
/// moment.
#[test]
fn an_outage_of_this_node_cuts_nobody() {
    story(
        World::serving(3),
        &[
            ("uaa", Normal, "0WW"),
            ("uua", Normal, "00W"),
            ("uuu", LastResort, "WWW"),
            ("uau", Normal, "0W0"),
            ("aaa", Normal, "WWW"),
            ("uaa", Normal, "0WW"),
            ("taa", Normal, "cWW"),
            ("uaa", Normal, "-WW"),
        ],
    );
}

/// The pass was late, or has been waiting for the checker for long: what was true then need not be true now.
#[test]
fn nobody_is_cut_on_an_old_word() {
    for letters in ["ta", "xa"] {
        let mut world = World::serving(2);
        world.verdicts = letters.chars().map(|letter| (letter, verdict(letter, world.now))).collect();
        world.now += FRESH + Duration::from_millis(1);
        assert_eq!(world.decide_late(), (Normal, "0W".to_owned()), "{letters}");
        assert_eq!(world.decide(), (Normal, "cW".to_owned()), "{letters}");
    }
}

/// The last good set is who served lately, not everybody.
#[test]
fn last_resort_keeps_out_who_was_out() {
    let mut world = World::serving(3);
    for (known, mode, fates) in [
        ("saa", Normal, "0WW"),
        ("sat", Normal, "0Wc"),
        ("stt", LastResort, "0W-"),
        // An answer, even a bad one, is better than silence.
        ("sxt", LastResort, "Wc-"),
        ("txt", LastResort, "W--"),
    ] {
        assert_eq!(world.becomes(known), (mode, fates.to_owned()), "{known}");
        world.after(SAME_BLOW);
    }
}

/// The first server is this node's own apiserver.
#[test]
fn a_preferred_server_serves_alone_while_it_is_alive() {
    let mut world = World::serving(3);
    world.preferred = Some(server(0));
    story(
        world,
        &[
            ("aaa", Normal, "W00"),
            ("aas", Normal, "W00"),
            ("saa", Normal, "0WW"),
            ("xaa", Normal, "cWW"),
            ("xda", Normal, "-0W"),
            ("aaa", Normal, "W00"),
            ("ddd", Unready, "WWW"),
        ],
    );
}

#[test]
fn a_drained_server_serves_only_when_nobody_else_can() {
    let mut world = World::serving(3);
    world.drained = Some(server(0));
    story(
        world,
        &[
            ("aaa", Normal, "0WW"),
            ("ada", Normal, "00W"),
            ("add", Unready, "0WW"),
            ("axx", Unready, "Wcc"),
            ("dxx", Unready, "W--"),
            ("sxx", LastResort, "W--"),
            ("axa", Normal, "0-W"),
            ("xxx", Empty, "c-c"),
            ("axx", Unready, "W--"),
        ],
    );
}

#[test]
fn a_preferred_server_can_be_drained() {
    let mut world = World::serving(3);
    (world.preferred, world.drained) = (Some(server(0)), Some(server(0)));
    story(world, &[("aaa", Normal, "0WW"), ("axx", Unready, "Wcc"), ("axa", Normal, "0-W")]);
}

#[test]
fn nobody_serves_when_all_are_certainly_dead() {
    story(World::serving(3), &[("xxx", Empty, "ccc"), ("xxx", Empty, "---")]);
    story(World::serving(1), &[("x", Empty, "c"), ("a", Normal, "W")]);
    story(
        World::serving(2),
        &[("xa", Normal, "cW"), ("xt", LastResort, "-W"), ("xx", Empty, "-c"), ("tx", Empty, "--")],
    );
}

/// Silence and bad answers do not fill an emptied pool: an instant refusal is better than a hang.
#[test]
fn the_way_back() {
    story(
        World::serving(2),
        &[
            ("xx", Empty, "cc"),
            ("tx", Empty, "--"),
            ("ts", Empty, "--"),
            ("td", Unready, "-W"),
            ("ad", Normal, "W0"),
            ("ss", LastResort, "WW"),
        ],
    );
    story(World::serving(2), &[("uu", LastResort, "WW"), ("ua", Normal, "0W"), ("aa", Normal, "WW")]);
}

#[test]
fn unverified_ones_stay_as_they_were_found() {
    let found = || World::new(&[Some(10), Some(0), None]);
    story(found(), &[("ATT", Normal, "W0-"), ("aTT", Normal, "W0-"), ("att", Normal, "Wc-")]);
    story(found(), &[("ATT", Normal, "W0-"), ("Aaa", Normal, "WWW")]);
    story(found(), &[("ATT", Normal, "W0-"), ("Asd", Normal, "W0-")]);
    story(found(), &[("ATT", Normal, "W0-"), ("xTT", LastResort, "cWW")]);
}

/// A table of nothing but weights 0 serves nobody; it cannot get worse.
#[test]
fn found_with_nobody_serving() {
    story(World::new(&[Some(0), Some(0)]), &[("TT", LastResort, "WW"), ("xT", LastResort, "cW")]);
}

#[test]
fn nobody_configured_is_nobody_serving() {
    story(World::new(&[Some(10)]), &[("", Empty, "")]);
}
