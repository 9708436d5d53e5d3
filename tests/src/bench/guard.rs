//! Somebody flushes the kernel's table.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::contender::Way;
use super::measure::{Measure, Results};
use super::rhythm::Rhythm;
use super::stage::{Stage, wait};

/// After the fault before, everybody is done by then.
const CALM: Duration = Duration::from_millis(500);

/// Ours looks at the table this often.
const SECOND: Duration = Duration::from_secs(1);

/// Whoever repairs does so within a few probes.
const LIMIT: Duration = Duration::from_secs(10);

/// Flushes it and measures when all is there again.
pub(super) fn measure(stage: &Stage<'_>, rhythm: Rhythm, results: &Results) {
    let who = stage.contender.name;
    if stage.contender.way != Way::Ipvs || results.is_hopeless(who, Measure::Flush) {
        return;
    }
    sleep(CALM);
    rhythm.wait_anyway(SECOND);
    stage.lab.node().check(&["ipvsadm", "-C"]);
    let at = Instant::now();
    results.add_time(who, Measure::Flush, wait(LIMIT.min(stage.patience), at, || stage.is_usable()));
}
