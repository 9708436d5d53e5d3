//! Sleeping without waking twice.
//!
//! Tokio keeps timers in a wheel with slots of 1 ms below slots of 64 ms (`runtime/time/wheel`). A long sleep wakes the
//! thread at the last multiple of 64 ms before its end, only to be put into a finer slot, and once more at its end. One
//! that ends at such a multiple wakes it once. While nothing happens, every other waking was of that kind.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The slots above the finest.
const BEAT: Duration = Duration::from_millis(64);

/// When the runtime's wheel began to turn, or a moment before.
static START: OnceLock<Instant> = OnceLock::new();

/// To be called right before the runtime is built.
pub fn start() {
    // A second runtime in one process sleeps well enough on the first one's beat.
    let _ = START.set(Instant::now());
}

/// Who wants to sleep less than this wants to be woken in time.
const SHORT: Duration = Duration::from_millis(500);

/// Sleeps so long; if that is long, to the nearest beat.
pub async fn sleep(duration: Duration) {
    let end = Instant::now() + duration;
    let start = START.get().filter(|_| duration >= SHORT);
    sleep_until(start.map_or(end, |&start| nearest(start, end))).await;
}

fn nearest(start: Instant, end: Instant) -> Instant {
    let beats = (end - start + BEAT / 2).as_millis() / BEAT.as_millis();
    u32::try_from(beats).map_or(end, |beats| start + BEAT * beats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_beat_more_or_less() {
        let start = Instant::now();
        let slept = |millis| nearest(start, start + Duration::from_millis(millis)) - start;
        assert_eq!(slept(1000).as_millis(), 1024);
        assert_eq!(slept(64 * 31 + 31).as_millis(), 64 * 31);
        assert_eq!(slept(64 * 31 + 33).as_millis(), 64 * 32);
        assert_eq!(slept(64 * 31).as_millis(), 64 * 31);
    }
}
