//! How long a wait may be, and when to ask again: computed from what is known, a range rather than a made-up precision.

use std::time::Duration;

use serde::Serialize;

use super::QueueSettings;

/// Whole seconds from now until the token may be active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct WaitSeconds {
    /// If everyone in front comes in as fast as the rate allows.
    pub low: u64,
    /// If moreover every active user stays for all of its time.
    pub high: u64,
}

/// The wait of a token with `ahead` others before it.
#[must_use]
pub(super) fn wait(ahead: u64, settings: &QueueSettings) -> WaitSeconds {
    let low = ahead / u64::from(settings.admit_per_second.max(1));
    // The cap is turned over once in an active token's time at the slowest.
    let turns = ahead / u64::from(settings.max_active.max(1)) + 1;
    WaitSeconds { low, high: low.max(turns * settings.active_ttl.as_secs()) }
}

/// When to ask again: 1 s in front, 10 s far behind, give or take a tenth, so that those who came together do not ask
/// together. `jitter` is from 0 to 1.
#[must_use]
pub(super) fn poll_after(ahead: u64, settings: &QueueSettings, jitter: f64) -> Duration {
    let wait_seconds = ahead / u64::from(settings.admit_per_second.max(1));
    let base = Duration::from_secs((wait_seconds / 3).clamp(1, 10));
    base.mul_f64(0.9 + 0.2 * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> QueueSettings {
        let seconds = Duration::from_secs;
        QueueSettings {
            max_active: 1000,
            admit_per_second: 200,
            active_ttl: seconds(300),
            waiting_ttl: seconds(120),
            hold_ttl: seconds(300),
            opens_at: None,
            paused: false,
            draining: false,
            stock_factor: 0.0,
        }
    }

    #[test]
    fn the_range_contains_the_fastest_and_the_slowest_course() {
        assert_eq!(wait(0, &settings()), WaitSeconds { low: 0, high: 300 });
        assert_eq!(wait(2_000, &settings()), WaitSeconds { low: 10, high: 900 });
    }

    #[test]
    fn those_behind_ask_less_often() {
        assert_eq!(poll_after(0, &settings(), 0.5), Duration::from_secs(1));
        assert_eq!(poll_after(1_000_000, &settings(), 0.5), Duration::from_secs(10));
        assert_eq!(poll_after(1_000_000, &settings(), 1.0), Duration::from_secs(11));
    }
}
