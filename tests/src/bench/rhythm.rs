//! When a fault strikes: over the rounds, at every part of the contender's period.
//!
//! Whoever asks once a second finds a fault after half a second on average, and after anything from none to one. Five
//! faults at chance moments would measure chance.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::stage::Stage;
use crate::lab::Master;

/// Between two looks at what the server was asked.
const LOOK: Duration = Duration::from_millis(10);

/// Who has not asked by then never does.
const SILENT: Duration = Duration::from_secs(8);

/// How long a contender is left alone before a fault, where its period is not known.
const CALM: Duration = Duration::from_secs(1);

/// Nobody asks more often. At its start a contender may ask twice: ours asks directly and through the virtual server.
const LEAST: Duration = Duration::from_millis(500);

/// Which part of a contender's period is struck.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    /// Between two questions to one server; none if it does not ask, or seldom.
    period: Option<Duration>,
    part: f64,
}

impl Rhythm {
    /// Listens to what `server` is asked.
    pub(super) fn of(stage: &Stage<'_>, server: &Master, part: f64) -> Self {
        let listen = || {
            let first = next_question(server)?;
            sleep(LEAST);
            Some(next_question(server)? - first)
        };
        Self { period: if stage.contender.turn.is_slow() { None } else { listen() }, part }
    }

    /// Waits for a question to `server` and then the part of the period.
    pub(super) fn wait(self, server: &Master) {
        match self.period {
            Some(period) => {
                next_question(server);
                sleep(period.mul_f64(self.part));
            }
            None => self.wait_anyway(CALM),
        }
    }

    /// Waits the part of a period that is not one of questions.
    pub(super) fn wait_anyway(self, period: Duration) {
        sleep(period.mul_f64(self.part));
    }
}

/// When `server` is asked next.
fn next_question(server: &Master) -> Option<Instant> {
    let began = Instant::now();
    let asked = || server.control().stats().questions();
    let before = asked();
    while asked() == before {
        if began.elapsed() > SILENT {
            return None;
        }
        sleep(LOOK);
    }
    Some(Instant::now())
}
