//! A server fails in one of three ways, and comes back.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::caller::Caller;
use super::held::Held;
use super::measure::{Measure, Results};
use super::rhythm::Rhythm;
use super::stage::Stage;
use crate::apiserver::Behaviour;
use crate::lab::Master;

/// The server that fails.
pub(super) const VICTIM: usize = 2;

/// A call that was refused is over, and the next one as well.
const SHORTLY: Duration = Duration::from_millis(300);

/// A call that hangs is over.
const LATER: Duration = Duration::from_millis(1100);

/// Longer than that nobody waits for a held connection.
const HELD: Duration = Duration::from_secs(20);

/// How a server fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its process is killed; the kernel closes its connections and refuses new ones.
    Kill,
    /// It answers health requests with 500.
    Sick,
    /// Its machine vanishes: silence.
    BlackHole,
}

impl Fault {
    pub(super) const ALL: [Self; 3] = [Self::Kill, Self::Sick, Self::BlackHole];

    /// Where "out" and "back" are written.
    fn measures(self) -> (Measure, Measure) {
        match self {
            Self::Kill => (Measure::KillOut, Measure::KillBack),
            Self::Sick => (Measure::SickOut, Measure::SickBack),
            Self::BlackHole => (Measure::HoleOut, Measure::HoleBack),
        }
    }

    /// Where the client's failures and its longest time without success are written, if there can be any, and how
    /// long after the removal all of them are known.
    fn outage(self) -> Option<(Measure, Measure, Duration)> {
        match self {
            Self::Kill => Some((Measure::KillFailed, Measure::KillGap, SHORTLY)),
            // It answers clients as before.
            Self::Sick => None,
            Self::BlackHole => Some((Measure::HoleFailed, Measure::HoleGap, LATER)),
        }
    }

    /// Makes it happen, and says from when on it was so.
    fn strike(self, victim: &Master) -> Instant {
        match self {
            Self::Kill => {
                let sent = Instant::now();
                victim.kill();
                return sent;
            }
            Self::Sick => victim.control().set(Behaviour::Healthz(500)),
            Self::BlackHole => victim.link_down(),
        }
        Instant::now()
    }

    /// Makes it good again, and says from when on the server answered.
    fn repair(self, victim: &Master) -> Instant {
        match self {
            Self::Kill => victim.start(),
            Self::Sick => victim.control().set(Behaviour::Healthy),
            Self::BlackHole => victim.link_up(),
        }
        Instant::now()
    }
}

/// Lets `fault` happen to one server and measures what becomes of it.
pub(super) fn measure(stage: &Stage<'_>, fault: Fault, rhythm: Rhythm, results: &Results) {
    let who = stage.contender.name;
    let (out, back) = fault.measures();
    if results.is_hopeless(who, out) {
        return;
    }
    let victim = stage.lab.master(VICTIM);
    let held = (fault == Fault::BlackHole).then(|| Held::open(stage.lab, victim.name())).flatten();
    // The slow ones are tested side by side, with many callers at a time.
    let pace = if stage.contender.turn.is_slow() { 200 } else { 20 };
    let caller = Caller::start(stage.lab, Duration::from_millis(pace));
    rhythm.wait(victim);

    let held = held.map(|held| held.watch(stage.patience.min(HELD)));
    let at = fault.strike(victim);
    let gone = stage.wait_out(victim, &caller, at);
    results.add_time(who, out, gone);
    if let Some((failed, gap, known)) = fault.outage() {
        sleep(known);
        let outage = caller.outage(at);
        results.add(who, failed, outage.failed as f64);
        results.add_time(who, gap, Some(outage.gap));
    }
    if let Some(held) = held.filter(|_| !results.is_hopeless(who, Measure::HeldIdle)) {
        let told = held.told();
        let pairs = [
            (told.idle, Measure::HeldIdle, Measure::HeldIdleAfter),
            (told.writing, Measure::HeldWriting, Measure::HeldWritingAfter),
        ];
        for (told, from_fault, from_removal) in pairs {
            let after = |from: Instant| told.map(|told| told.saturating_duration_since(from));
            results.add_time(who, from_fault, after(at));
            if let Some(gone) = gone {
                results.add_time(who, from_removal, after(at + gone));
            }
        }
    }

    let again = fault.repair(victim);
    if gone.is_some() {
        results.add_time(who, back, stage.wait_back(victim, &caller, again));
    }
}
