//! Waking seldom.
//!
//! While nothing happens, waking is the dearest part of what is done then. So long sleeps end on a common beat, and what
//! is due at about the same time is done at once.
//!
//! The beat is a multiple of 64 ms because tokio keeps timers in a wheel with slots of 1 ms below slots of 64 ms
//! (`runtime/time/wheel`): a sleep that ends elsewhere wakes the thread at the last such multiple, only to be put into a
//! finer slot, and once more at its end.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Fine enough for the spread of the default interval, 800 ms.
const BEAT: Duration = Duration::from_millis(256);

/// When the runtime's wheel began to turn, or a moment before.
static START: OnceLock<Instant> = OnceLock::new();

/// To be called right before the runtime is built.
pub fn start() {
    // A second runtime in one process sleeps well enough on the first one's beat.
    let _ = START.set(Instant::now());
}

/// Who wants to sleep less than this wants to be woken in time.
const SHORT: Duration = Duration::from_secs(1);

/// A pause that is longer or shorter by up to a fifth; `chance` (0 to 1, random) keeps thousands of nodes from waking
/// together.
pub fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.8 + 0.4 * chance)
}

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
        assert_eq!(slept(256 * 7 + 127).as_millis(), 256 * 7);
        assert_eq!(slept(256 * 7 + 129).as_millis(), 256 * 8);
        assert_eq!(slept(256 * 7).as_millis(), 256 * 7);
    }
}
