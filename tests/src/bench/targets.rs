//! The figures to reach.

use super::contender::{ALL, Contender, FLOOR, FLOOR_SLOWER, Kind, OURS, OURS_TIGHT, OURS_TIGHTEST};
use super::measure::{Measure, Results};
use super::traffic::BY_HAND;

/// A promise and how it was kept.
pub(super) struct Target {
    pub(super) who: &'static str,
    pub(super) measure: Measure,
    pub(super) bound: f64,
    /// Where the bound comes from, if it is not a plain figure.
    pub(super) because: String,
    pub(super) measured: f64,
}

impl Target {
    pub(super) fn is_kept(&self) -> bool {
        if self.measure.more_is_better() { self.measured >= self.bound } else { self.measured <= self.bound }
    }
}

/// Two measurements of the same path differ by a few hundredths.
const SAME: f64 = 0.95;

/// Every target whose parts were measured.
pub(super) fn targets(results: &Results) -> Vec<Target> {
    let mut targets = relative(results);
    // Outages here are of a second or three, of which a tenth is short.
    let absolute: [(Measure, f64, &[&'static str]); 13] = [
        (Measure::HoleOut, 2000.0, &[OURS]),
        (Measure::HoleOut, 450.0, &[OURS_TIGHTEST]),
        (Measure::SickOut, 3200.0, &[OURS]),
        (Measure::KillBack, 400.0, &[OURS, OURS_TIGHT]),
        (Measure::SickBack, 400.0, &[OURS, OURS_TIGHT]),
        (Measure::HoleBack, 400.0, &[OURS, OURS_TIGHT]),
        (Measure::HeldIdleAfter, 200.0, &[OURS, OURS_TIGHT]),
        (Measure::HeldWritingAfter, 200.0, &[OURS, OURS_TIGHT]),
        (Measure::Flush, 1000.0, &[OURS, OURS_TIGHT]),
        (Measure::Memory, 4.0, &[OURS, OURS_TIGHT]),
        // At the defaults most of them are those of the guard, which looks more often than anybody is asked.
        (Measure::Syscalls, 10.0, &[OURS_TIGHT]),
        (Measure::Download, 0.97, &[OURS]),
        (Measure::Cpu, 0.16, &[OURS]),
    ];
    for (measure, bound, contenders) in absolute {
        for &who in contenders {
            targets.extend(results.median(who, measure).map(|measured| Target {
                who,
                measure,
                bound,
                because: String::new(),
                measured,
            }));
        }
    }
    targets
}

/// Those whose bound is what somebody else does.
fn relative(results: &Results) -> Vec<Target> {
    let compare = |who, measure, factor: f64, other: &'static str| {
        let bound = factor * results.median(other, measure)?;
        let because =
            if (factor - 1.0).abs() < 0.01 { other.to_owned() } else { format!("{factor} x {other}") };
        Some(Target { who, measure, bound, because, measured: results.median(who, measure)? })
    };
    let mut targets = vec![
        compare(OURS, Measure::KillOut, 1.5, FLOOR_SLOWER),
        compare(OURS_TIGHT, Measure::KillOut, 1.5, FLOOR),
        compare(OURS, Measure::Cpu, 1.5, FLOOR_SLOWER),
        compare(OURS, Measure::Connections, SAME, BY_HAND),
    ];
    for measure in [Measure::SickOut, Measure::HoleOut] {
        for (who, defaults) in [(OURS, true), (OURS_TIGHT, false)] {
            let rival = best(results, measure, |peer| peer.turn.is_slow() == defaults);
            targets.push(rival.and_then(|(rival, _)| compare(who, measure, 1.0, rival)));
        }
    }
    targets.into_iter().flatten().collect()
}

/// The best median among the peers that `choose` allows, and whose it is.
pub(super) fn best(
    results: &Results,
    measure: Measure,
    choose: impl Fn(&Contender) -> bool,
) -> Option<(&'static str, f64)> {
    let peers = ALL.iter().filter(|one| one.kind == Kind::Peer && choose(one));
    let medians = peers.filter_map(|peer| Some((peer.name, results.median(peer.name, measure)?)));
    let order = |a: &(&str, f64), b: &(&str, f64)| a.1.total_cmp(&b.1);
    if measure.more_is_better() { medians.max_by(order) } else { medians.min_by(order) }
}
