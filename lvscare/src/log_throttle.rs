//! What was said lately is not said again: a fight over a rule must not fill a disk.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A message that keeps recurring is repeated this often.
const REMINDER: Duration = Duration::from_secs(300);

/// More different messages than this are not remembered.
const MOST: usize = 1000;

/// Remembers when each message was said, and how often it was kept back since.
#[derive(Debug)]
pub(crate) struct LogThrottle {
    /// So often a message is said before it is kept back.
    burst: u32,
    said: HashMap<String, Said>,
}

#[derive(Debug)]
struct Said {
    since: Instant,
    times: u32,
    kept_back: u64,
}

impl Default for LogThrottle {
    /// Whoever has said a thing once does not say it again for a while.
    fn default() -> Self {
        Self::after(1)
    }
}

impl LogThrottle {
    /// Messages are kept back when they were said so often lately.
    pub(crate) fn after(burst: u32) -> Self {
        Self { burst, said: HashMap::new() }
    }

    /// Whether `message` is to be said at `now`; if so, how often it was kept back since it was last said.
    pub(crate) fn allow(&mut self, message: &str, now: Instant) -> Option<u64> {
        let fresh = |said: &Said| now.saturating_duration_since(said.since) < REMINDER;
        if let Some(said) = self.said.get_mut(message) {
            if !fresh(said) {
                let kept_back = said.kept_back;
                *said = Said { since: now, times: 1, kept_back: 0 };
                return Some(kept_back);
            }
            if said.times < self.burst {
                said.times += 1;
                return Some(0);
            }
            said.kept_back += 1;
            return None;
        }
        if self.said.len() >= MOST {
            self.said.retain(|_, said| fresh(said));
        }
        if self.said.len() < MOST {
            self.said.insert(message.to_owned(), Said { since: now, times: 1, kept_back: 0 });
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_once_and_reminds() {
        let mut throttle = LogThrottle::default();
        let start = Instant::now();
        assert_eq!(throttle.allow("flushed", start), Some(0));
        for second in 1..300 {
            assert_eq!(throttle.allow("flushed", start + Duration::from_secs(second)), None);
        }
        assert_eq!(throttle.allow("route gone", start + Duration::from_secs(3)), Some(0));
        assert_eq!(throttle.allow("flushed", start + Duration::from_secs(300)), Some(299));
    }

    /// A server that flaps for a day: the first times tell the story, the rest would fill a disk.
    #[test]
    fn a_day_of_flapping_is_a_short_story() {
        let mut throttle = LogThrottle::after(10);
        let start = Instant::now();
        let said =
            (0..86_400).filter_map(|second| throttle.allow("down", start + Duration::from_secs(second)));
        let said: Vec<u64> = said.collect();
        assert_eq!(said[..11], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 290]);
        assert_eq!(said.len(), 288 * 10);
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = LogThrottle::default();
        let start = Instant::now();
        for number in 0..5 * MOST {
            throttle.allow(&number.to_string(), start);
        }
        assert_eq!(throttle.said.len(), MOST);
    }
}
