//! Word that nothing new shall be begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How often somebody has said that no new step shall be begun. After the first time what is at work goes on to its end; who
/// says it again wants a program that is at work to end, too. All copies are one.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicU32>);

impl Cancel {
    /// Says so. Saying it twice is no more than saying it once.
    pub fn ask(&self) {
        self.0.fetch_max(1, Ordering::SeqCst);
    }

    /// Says so once more than before. Returns how often that is.
    pub fn ask_again(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst).saturating_add(1)
    }

    /// Takes it back, for the next request.
    pub fn clear(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// Whether it was said.
    pub fn is_asked(&self) -> bool {
        self.times() > 0
    }

    /// How often it was said.
    pub fn times(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether programs that are at work shall end.
    pub fn ends_programs(&self) -> bool {
        self.times() > 1
    }
}
