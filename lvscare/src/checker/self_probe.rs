//! The end-to-end question: does it work? Every virtual server is asked through itself, as a client would.
//!
//! This is for people and their alarms; it never changes the table. What takes servers out must be evidence about one
//! server, and a probe through the virtual server meets any of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::active_config::ActiveConfig;
use crate::health::{LastProbe, Outcome};
use crate::jitter;
use crate::metrics::Metrics;
use crate::probe::Prober;
use crate::timer;

/// Time between two questions, more or less. Each takes a handshake, the dearest that an apiserver can be asked for.
const INTERVAL: Duration = Duration::from_secs(60);

/// The same while it does not work: whoever mends it wants to see that.
const TROUBLED: Duration = Duration::from_secs(10);

/// How long to wait before the next question; `chance` (0 to 1, random) spreads it.
pub fn pause(all_work: bool, chance: f64) -> Duration {
    jitter::spread(if all_work { INTERVAL } else { TROUBLED }, chance)
}

/// How long to wait before the first question: at a start of all nodes their checkers have handshakes to make.
pub fn first_pause(chance: f64) -> Duration {
    TROUBLED.mul_f64(chance)
}

/// The latest answers.
pub type Answers = BTreeMap<SocketAddr, LastProbe>;

/// Whether a client could work with this.
pub fn works(outcome: &Outcome) -> bool {
    *outcome == Outcome::Ready
}

/// Asks until the task is dropped.
pub async fn run(
    active: watch::Receiver<Arc<ActiveConfig>>,
    answers: watch::Sender<Answers>,
    metrics: Metrics,
) {
    timer::sleep(first_pause(fastrand::f64())).await;
    loop {
        let settings = active.borrow().settings.clone();
        answers.send_modify(|answers| answers.retain(|service, _| settings.contains_key(service)));
        for (service, settings) in settings {
            // A connection of its own each time: a held one would tell about one server only.
            let report = Prober::self_probe(settings, service).probe(None).await;
            if report.outcome.implies().is_none() {
                // This node could not ask, or was late: that says nothing about what clients get.
                continue;
            }
            metrics.self_probed(service, report.took);
            let answer = LastProbe { time: Instant::now(), took: report.took, outcome: report.outcome };
            answers.send_modify(|answers| _ = answers.insert(service, answer));
        }
        let all_work = answers.borrow().values().all(|answer| works(&answer.outcome));
        timer::sleep(pause(all_work, fastrand::f64())).await;
    }
}
