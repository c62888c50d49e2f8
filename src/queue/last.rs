//! When something happened last that many notice at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::redis::millis;

/// How exactly that is known. It is not written each time: what all processors write, they wait for.
pub(super) const EXACT_TO: Duration = Duration::from_secs(1);

/// When something happened last, if ever.
#[derive(Debug)]
pub(super) struct Last {
    start: Instant,
    /// Since the start, and one more; 0 for never.
    at_ms: AtomicU64,
}

impl Default for Last {
    fn default() -> Self {
        Self { start: Instant::now(), at_ms: AtomicU64::new(0) }
    }
}

impl Last {
    /// It happens now.
    pub(super) fn note(&self) {
        if !self.is_within(EXACT_TO) {
            self.at_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// Whether it happened within that time.
    pub(super) fn is_within(&self, time: Duration) -> bool {
        let at_ms = self.at_ms.load(Ordering::Relaxed);
        at_ms > 0 && self.now_ms().saturating_sub(at_ms) < millis(time)
    }

    fn now_ms(&self) -> u64 {
        millis(self.start.elapsed()) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_happened_or_it_did_just_now() {
        let last = Last::default();
        assert!(!last.is_within(Duration::MAX));
        last.note();
        assert!(last.is_within(EXACT_TO));
        assert!(!last.is_within(Duration::ZERO));
    }

    #[test]
    fn it_is_noted_again_once_that_says_something_new() {
        let ago = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        let last = Last { start: ago, at_ms: AtomicU64::new(1000) };
        assert!(last.is_within(Duration::from_secs(62)));
        assert!(!last.is_within(Duration::from_secs(50)));
        last.note();
        assert!(last.is_within(EXACT_TO));
        let noted = last.at_ms.load(Ordering::Relaxed);
        last.note();
        assert_eq!(last.at_ms.load(Ordering::Relaxed), noted);
    }
}
