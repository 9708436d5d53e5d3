//! Waiting for what takes an unknown time, and bounded.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Whether `is_so` came true within `limit`; asked at once, and then after each `pause`.
pub fn until(limit: Duration, pause: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if begin.elapsed() > limit {
            return false;
        }
        sleep(pause);
    }
}
