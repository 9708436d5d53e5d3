//! How long a server lingers that no longer serves.

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// A millisecond less.
fn nearly(time: Duration) -> Duration {
    time.saturating_sub(MILLISECOND)
}

fn fates(expected: &str) -> (Mode, String) {
    (Normal, expected.to_owned())
}

#[test]
fn open_connections_may_finish_within_the_drain_timeout() {
    for letters in ["sa", "da"] {
        let mut world = World::serving(2);
        assert_eq!(world.becomes(letters), fates("0W"));
        assert_eq!(world.after(nearly(DRAIN_TIMEOUT)), fates("0W"));
        assert_eq!(world.after(MILLISECOND), fates("cW"));
    }
}

#[test]
fn a_drained_one_is_alive_and_yet_it_leaves() {
    let mut world = World::serving(2);
    world.drained = Some(server(0));
    assert_eq!(world.becomes("aa"), fates("0W"));
    assert_eq!(world.after(nearly(DRAIN_TIMEOUT)), fates("0W"));
    assert_eq!(world.after(MILLISECOND), fates("cW"));
    assert_eq!(world.after(MILLISECOND), fates("-W"));
    world.drained = None;
    assert_eq!(world.after(MILLISECOND), fates("WW"));
}

/// One may just be opening: the kernel counts it as active only later.
#[test]
fn without_connections_a_moment_is_enough() {
    let mut world = World::serving(2);
    world.active = 0;
    assert_eq!(world.becomes("sa"), fates("0W"));
    assert_eq!(world.after(nearly(SETTLE)), fates("0W"));
    assert_eq!(world.after(MILLISECOND), fates("cW"));
}

#[test]
fn the_last_connection_ends_the_wait() {
    let mut world = World::serving(2);
    assert_eq!(world.becomes("sa"), fates("0W"));
    world.active = 0;
    assert_eq!(world.after(SETTLE * 2), fates("0W"));
    assert_eq!(world.after(MILLISECOND), fates("cW"));
}

/// From draining to sick is no reason to start counting anew.
#[test]
fn getting_worse_does_not_extend_the_wait() {
    let mut world = World::serving(2);
    assert_eq!(world.becomes("da"), fates("0W"));
    world.after(DRAIN_TIMEOUT / 2);
    assert_eq!(world.becomes("sa"), fates("0W"));
    assert_eq!(world.after(DRAIN_TIMEOUT / 2), fates("cW"));
}

/// A server that served for want of a better one is relieved as gently as any other, however long it has been
/// sick.
#[test]
fn relief_is_gentle() {
    for letters in ["ss", "dd"] {
        let mut world = World::serving(2);
        world.becomes(letters);
        world.after(DRAIN_TIMEOUT * 10);
        let relieved = letters.replacen(|_| true, "a", 1);
        assert_eq!(world.becomes(&relieved), fates("W0"));
        assert_eq!(world.after(nearly(DRAIN_TIMEOUT)), fates("W0"));
        assert_eq!(world.after(MILLISECOND), fates("Wc"));
    }
}

/// Whoever served as a last resort is probably back in a moment, as the first one is; if not, there is a witness now.
#[test]
fn the_end_of_a_last_resort_is_gentle() {
    let mut world = World::serving(3);
    world.becomes("uuu");
    world.after(DRAIN_TIMEOUT * 10);
    assert_eq!(world.becomes("auu"), fates("W00"));
    assert_eq!(world.becomes("aux"), fates("W0c"));
    assert_eq!(world.after(DRAIN_TIMEOUT * 10), fates("W0-"));
    assert_eq!(world.becomes("atx"), fates("Wc-"));
}

/// It has stood by for an hour; its open connections are as good as anybody's.
#[test]
fn whoever_stands_by_drains_from_when_it_stops() {
    for letters in ["da", "sa"] {
        let mut world = World::serving(2);
        world.preferred = Some(server(1));
        assert_eq!(world.becomes("aa"), fates("0W"));
        world.after(DRAIN_TIMEOUT * 120);
        assert_eq!(world.becomes(letters), fates("0W"));
        assert_eq!(world.after(nearly(DRAIN_TIMEOUT)), fates("0W"));
        assert_eq!(world.after(MILLISECOND), fates("cW"));
    }
}

/// It has been alive for an hour when an administrator takes it out, serving or standing by.
#[test]
fn whoever_is_taken_out_by_hand_drains_from_then() {
    for preferred in [None, Some(server(1))] {
        let mut world = World::serving(2);
        world.preferred = preferred;
        world.becomes("aa");
        world.after(DRAIN_TIMEOUT * 120);
        world.drained = Some(server(0));
        assert_eq!(world.decide(), fates("0W"));
        assert_eq!(world.after(nearly(DRAIN_TIMEOUT)), fates("0W"));
        assert_eq!(world.after(MILLISECOND), fates("cW"));
    }
}

/// The same when the configuration does not name it any more.
#[test]
fn whoever_stands_by_and_is_removed_drains_from_then() {
    let mut world = World::serving(2);
    world.preferred = Some(server(1));
    world.becomes("aa");
    world.after(DRAIN_TIMEOUT * 120);
    world.verdicts[0] = ('d', Verdict::leaving(world.now));
    assert_eq!(world.decide(), fates("0W"));
    assert_eq!(world.after(nearly(DRAIN_TIMEOUT)), fates("0W"));
    assert_eq!(world.after(MILLISECOND), fates("cW"));
}

#[test]
fn dead_ones_never_linger() {
    let mut world = World::serving(2);
    assert_eq!(world.becomes("sa"), fates("0W"));
    assert_eq!(world.becomes("ta"), fates("cW"));
    assert_eq!(world.becomes("sa"), fates("-W"));
}

/// Somebody drained it before this daemon started; how long ago nobody knows.
#[test]
fn found_at_weight_zero_drains_from_its_first_verdict() {
    let mut world = World::new(&[Some(0), Some(11)]);
    world.becomes("TA");
    assert_eq!(world.after(DRAIN_TIMEOUT * 2), fates("0W"));
    assert_eq!(world.becomes("sa"), fates("0W"));
    assert_eq!(world.after(nearly(DRAIN_TIMEOUT)), fates("0W"));
    assert_eq!(world.after(MILLISECOND), fates("cW"));
}
