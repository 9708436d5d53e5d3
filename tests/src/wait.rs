//! Waiting for what takes an unknown time: asked again and again, and bounded.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Calls `probe` until it answers, and returns the answer. Panics when `limit` has passed without one.
#[track_caller]
pub fn eventually<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(10));
    }
}
