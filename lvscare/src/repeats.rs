//! What was said lately is not said again: a fight over a rule must not fill a disk.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A message that keeps recurring is repeated this often.
const REMINDER: Duration = Duration::from_secs(300);

/// More different messages than this are not remembered.
const MOST: usize = 1000;

/// Remembers when each message was last said, and how often it was kept back since.
#[derive(Debug, Default)]
pub struct Repeats(HashMap<String, (Instant, u64)>);

impl Repeats {
    /// Whether `message` is to be said at `now`; if so, how often it was kept back since it was last said.
    pub fn admit(&mut self, message: &str, now: Instant) -> Option<u64> {
        if let Some((said, kept_back)) = self.0.get_mut(message) {
            if now.saturating_duration_since(*said) < REMINDER {
                *kept_back += 1;
                return None;
            }
            *said = now;
            return Some(std::mem::take(kept_back));
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, (said, _)| now.saturating_duration_since(*said) < REMINDER);
        }
        if self.0.len() < MOST {
            self.0.insert(message.to_owned(), (now, 0));
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_once_and_reminds() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        assert_eq!(repeats.admit("flushed", start), Some(0));
        for second in 1..300 {
            assert_eq!(repeats.admit("flushed", start + Duration::from_secs(second)), None);
        }
        assert_eq!(repeats.admit("route gone", start + Duration::from_secs(3)), Some(0));
        assert_eq!(repeats.admit("flushed", start + Duration::from_secs(300)), Some(299));
    }

    #[test]
    fn memory_is_bounded() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        for number in 0..5 * MOST {
            repeats.admit(&number.to_string(), start);
        }
        assert_eq!(repeats.0.len(), MOST);
    }
}
