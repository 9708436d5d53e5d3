//! Waiting for what takes an unknown time: asked again and again, and bounded.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Calls `probe` until it answers, and returns the answer. Panics when `limit` has passed without one.
#[track_caller]
pub fn eventually<T>(limit: Duration, what: &str, probe: impl FnMut() -> Option<T>) -> T {
    asked_every(Duration::from_millis(10), limit, what, probe)
}

/// The same, with another `pause` between two calls.
#[track_caller]
pub fn asked_every<T>(
    pause: Duration,
    limit: Duration,
    what: &str,
    mut probe: impl FnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(pause);
    }
}
