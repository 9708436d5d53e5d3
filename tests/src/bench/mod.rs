//! The benchmark: lvscare, the least program that could do its job, and its peers, at the same work in one boot.
//!
//! ```text
//! contender, config   who takes part, and how the peers are set up
//! stage               one contender at work in a laboratory of its own
//! caller, held        clients: one that keeps connecting, two that stay connected
//! failover, guard     what breaks, and what becomes of it
//! rhythm              when it breaks
//! cost, family        what a contender takes while nothing happens
//! traffic, plain      what the data path does to throughput
//! measure, series     what is measured, and all that was measured
//! report, targets     how it is told
//! ```

#![expect(clippy::cast_precision_loss, reason = "what is counted here stays far below 2^52")]

mod caller;
mod config;
mod contender;
mod cost;
mod failover;
mod family;
mod guard;
mod held;
mod measure;
mod plain;
mod report;
mod rhythm;
mod series;
mod stage;
mod targets;
mod traffic;

use std::thread;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use contender::{Contender, Kind, Turn};
use failover::{Fault, VICTIM};
use measure::Measure;
pub use measure::Results;
pub use report::report;
use rhythm::Rhythm;
use stage::Stage;

/// Settings of minutes need patience.
const SLOW: Duration = Duration::from_secs(200);

/// How much to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How often each contender is put to the test.
    pub rounds: usize,
    /// What has not happened after so long counts as never.
    pub patience: Duration,
    /// Leave out contenders that take long.
    pub quick: bool,
    /// Only contenders whose names begin with one of these; all if there are none.
    pub only: Vec<String>,
}

impl Plan {
    fn contenders(&self) -> Vec<&'static Contender> {
        let wanted =
            |name: &str| self.only.is_empty() || self.only.iter().any(|start| name.starts_with(start));
        let in_time = |one: &Contender| !self.quick || one.turn == Turn::Always;
        contender::ALL.iter().filter(|one| in_time(one) && wanted(one.name)).collect()
    }
}

/// Measures everything and says on the way what it does.
pub fn run(plan: &Plan) -> Results {
    let began = Instant::now();
    let say = |what: &str| println!("bench: {:5.0} s: {what}", began.elapsed().as_secs_f64());
    let results = Results::default();
    let contenders = plan.contenders();

    if plan.rounds > 0 {
        say("the data path");
        traffic::measure(plan.rounds, &results);
    }

    // The peers would keep the machine busy all the time.
    let (peers, quiet): (Vec<_>, Vec<_>) = contenders.iter().copied().partition(|one| one.kind == Kind::Peer);
    for together in [quiet, peers] {
        say("the cost of doing nothing, side by side");
        thread::scope(|scope| {
            for contender in together {
                let results = &results;
                scope.spawn(move || cost::measure(contender, results));
            }
        });
    }

    let (slow, fast): (Vec<_>, Vec<_>) = contenders.iter().copied().partition(|one| one.turn.is_slow());
    for round in 0..plan.rounds {
        for &contender in &fast {
            say(&format!("round {} of {}: {}", round + 1, plan.rounds, contender.name));
            let part = (round as f64 + 0.5) / plan.rounds as f64;
            turn(contender, &Fault::ALL, part, plan.patience, &results);
        }
    }

    if !slow.is_empty() {
        say("the slow ones, side by side");
        thread::scope(|scope| {
            for &contender in &slow {
                let together = if contender.turn == Turn::Apart { 1 } else { Fault::ALL.len() };
                for faults in Fault::ALL.chunks(together) {
                    let results = &results;
                    scope.spawn(move || turn(contender, faults, 0.5, SLOW, results));
                }
            }
        });
    }
    say("done");
    results
}

/// One contender in a new laboratory: started, and put through what can go wrong.
fn turn(contender: &'static Contender, faults: &[Fault], part: f64, patience: Duration, results: &Results) {
    let lab = Lab::new();
    let (stage, usable) = Stage::start(&lab, contender, patience);
    results.add_time(contender.name, Measure::Usable, usable);
    if usable.is_some() {
        let rhythm = Rhythm::of(&stage, lab.master(VICTIM), part);
        for &fault in faults {
            failover::measure(&stage, fault, rhythm, results);
        }
        guard::measure(&stage, rhythm, results);
        cost::size(&stage, results);
        stage.stop();
    } else {
        let log = stage.process.log();
        let last = log.lines().last().unwrap_or("it said nothing");
        results.note(format!("{}: not usable: {last}", contender.name));
    }
}
