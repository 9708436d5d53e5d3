//! Waking seldom.
//!
//! While nothing happens, waking is the dearest part of what is done then. So long sleeps end on a common tick, and what
//! is due at about the same time is done at once.
//!
//! Ticks are multiples of 64 ms because tokio keeps timers in a wheel with slots of 1 ms below slots of 64 ms
//! (`runtime/time/wheel`): a sleep that ends elsewhere wakes the thread at the last such multiple, only to be put into a
//! finer slot, and once more at its end.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Fine enough for the spread of the default interval, 400 ms.
const TICK: Duration = Duration::from_millis(256);

/// When the runtime's wheel began to turn, or a moment before.
static START: OnceLock<Instant> = OnceLock::new();

/// tokio counts in milliseconds, and rounds up: a start that is known as exactly as this makes no difference.
pub(crate) const EXACT: Duration = Duration::from_millis(1);

/// The runtime's wheel has begun to turn at `start`, or within [`EXACT`] after it.
pub(crate) fn start(start: std::time::Instant) {
    // A second runtime in one process sleeps well enough on the first one's ticks.
    let _ = START.set(start.into());
}

/// Who wants to sleep less than this wants to be woken in time.
const SHORT: Duration = Duration::from_secs(1);

/// Sleeps so long; if that is long, to the nearest tick.
pub(crate) async fn sleep(duration: Duration) {
    let end = Instant::now() + duration;
    let start = START.get().filter(|_| duration >= SHORT);
    sleep_until(start.map_or(end, |&start| nearest(start, end))).await;
}

fn nearest(start: Instant, end: Instant) -> Instant {
    let ticks = (end - start + TICK / 2).as_millis() / TICK.as_millis();
    u32::try_from(ticks).map_or(end, |ticks| start + TICK * ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_tick_more_or_less() {
        let start = Instant::now();
        let slept = |millis| nearest(start, start + Duration::from_millis(millis)) - start;
        assert_eq!(slept(1000).as_millis(), 1024);
        assert_eq!(slept(256 * 7 + 127).as_millis(), 256 * 7);
        assert_eq!(slept(256 * 7 + 129).as_millis(), 256 * 8);
        assert_eq!(slept(256 * 7).as_millis(), 256 * 7);
    }
}
