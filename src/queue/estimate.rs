//! How long a wait may be, and when to ask again: computed from what was measured, a range rather than a made-up precision.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::QueueSettings;

/// Admissions from which on a rate is taken to be known.
const ENOUGH: u64 = 4;

/// For how long admissions are counted before a rate is taken to be known.
const LONG_ENOUGH: Duration = Duration::from_secs(5);

/// Of the standard normal distribution, for 95 %.
const Z: f64 = 1.96;

/// Whole seconds from now until the token may be active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct WaitSeconds {
    /// If it goes well, in seconds.
    #[schemars(example = 20)]
    pub low: u64,
    /// If it goes badly, in seconds.
    #[schemars(example = 45)]
    pub high: u64,
}

impl WaitSeconds {
    /// How far a wait was from what was told, in seconds; 0 within it.
    pub(super) fn error(&self, waited: Duration) -> f64 {
        let waited = waited.as_secs_f64();
        (float(self.low) - waited).max(waited - float(self.high)).max(0.0)
    }
}

/// What was counted of late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// Those who were let in.
    pub(super) let_in: u64,
    /// Those who waited and have ended otherwise.
    pub(super) left: u64,
    /// In this time.
    pub(super) over: Duration,
}

/// What is told of a wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook {
    pub(super) measured: Measured,
    /// The most admissions a second; none while nobody is let in.
    pub(super) rate: Option<u32>,
    /// Time until the queue opens.
    pub(super) opens_in: Duration,
}

impl Outlook {
    /// The wait of a token with `ahead` others before it; none if nothing can be said.
    pub(super) fn wait(&self, ahead: u64, settings: &QueueSettings) -> Option<WaitSeconds> {
        let rate = f64::from(self.rate.filter(|rate| *rate > 0)?);
        let Measured { let_in, left, over } = self.measured;
        let comes = if let_in == 0 { 1.0 } else { float(let_in) / float(let_in + left) };
        let (before, with_itself) = (float(ahead) * comes, float(ahead) * comes + 1.0);
        let (low, high) = if let_in >= ENOUGH && over >= LONG_ENOUGH {
            let (fewest, most) = poisson_bounds(let_in);
            let seconds = over.as_secs_f64();
            (before / (most / seconds).min(rate), with_itself / (fewest / seconds).min(rate))
        } else {
            // The cap is turned over once in an active token's time at the slowest.
            let turns = (float(ahead) / f64::from(settings.max_active.max(1))).floor() + 1.0;
            (before / rate, (turns * settings.active_ttl.as_secs_f64()).max(before / rate))
        };
        let opens_in = self.opens_in.as_secs_f64();
        Some(WaitSeconds { low: round_down(opens_in + low), high: round_up(opens_in + high) })
    }
}

/// Between what the expected number is, with 95 % certainty, where so many were counted: Byar's approximation (Breslow and
/// Day, Statistical Methods in Cancer Research, volume II, 1987, page 69).
fn poisson_bounds(counted: u64) -> (f64, f64) {
    let bound = |count: f64, z: f64| count * (1.0 - 1.0 / (9.0 * count) + z / (3.0 * count.sqrt())).powi(3);
    (bound(float(counted), -Z), bound(float(counted + 1), Z))
}

/// The step in which a wait of about so many seconds is told.
fn step(seconds: f64) -> f64 {
    match seconds {
        ..10.0 => 1.0,
        ..60.0 => 5.0,
        ..300.0 => 10.0,
        ..1800.0 => 30.0,
        _ => 60.0,
    }
}

fn round_down(seconds: f64) -> u64 {
    whole((seconds / step(seconds)).floor() * step(seconds))
}

fn round_up(seconds: f64) -> u64 {
    whole((seconds / step(seconds)).ceil() * step(seconds))
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn whole(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_secs()
}

/// Nobody is told to ask less often.
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);

/// By then whoever asks when it was told to has done so, give or take a tenth and what it takes; as `FORMER_FOR` in `lua/queue/token.lua`.
pub(super) const ASKS_WITHIN: Duration = Duration::from_secs(15);

/// When to ask again: 1 s in front, 10 s far behind, less than half of the time that a waiting token lives unseen, so that
/// whoever follows it keeps its place. By the greatest rate that there may be, not by the measured one: after a loss of
/// Redis everybody must have claimed its place before those behind are let in, and that may go at that rate.
#[must_use]
pub(super) fn poll_interval(ahead: u64, settings: &QueueSettings) -> Duration {
    let wait_seconds = ahead / u64::from(settings.admit_per_second.max(1));
    within_life(Duration::from_secs((wait_seconds / 3).max(1)), settings)
}

/// No longer than anybody is told, and than leaves a waiting token alive.
fn within_life(interval: Duration, settings: &QueueSettings) -> Duration {
    interval.min(LONGEST_INTERVAL).min(settings.waiting_ttl.mul_f64(0.45))
}

/// Likewise, or before an opening in a third of the time to it, if that is longer; give or take a tenth, so that those who came
/// together do not ask together. `jitter` is from 0 to 1.
#[must_use]
pub(super) fn poll_after(ahead: u64, opens_in: Duration, settings: &QueueSettings, jitter: f64) -> Duration {
    poll_interval(ahead, settings).max(within_life(opens_in / 3, settings)).mul_f64(0.9 + 0.2 * jitter)
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
            max_waiting: 1_000_000,
            opens_at: None,
            paused: false,
            draining: false,
            stock_factor: 0.0,
        }
    }

    fn wait(ahead: u64, let_in: u64, left: u64) -> Option<(u64, u64)> {
        let measured = Measured { let_in, left, over: Duration::from_mins(1) };
        let outlook = Outlook { measured, rate: Some(200), opens_in: Duration::ZERO };
        outlook.wait(ahead, &settings()).map(|WaitSeconds { low, high }| (low, high))
    }

    #[test]
    fn where_nothing_was_measured_the_range_contains_the_fastest_and_the_slowest_course() {
        assert_eq!(wait(0, 0, 0), Some((0, 300)));
        assert_eq!(wait(2_000, 0, 0), Some((10, 900)));
        assert_eq!(wait(2_000, 3, 5), wait(2_000 * 3 / 8, 0, 0).map(|(low, _)| (low, 900)), "too few to know a rate");
    }

    #[test]
    fn what_was_measured_narrows_the_range_around_what_it_would_take() {
        // 600 a minute: 100 s, and 600 are known to a twelfth.
        assert_eq!(wait(1_000, 600, 0), Some((90, 110)));
        // Half of those in front never come.
        assert_eq!(wait(1_000, 600, 600), Some((45, 55)));
        // 9 a minute are known less well.
        assert_eq!(wait(9, 9, 0), Some((30, 150)));
        // Never faster than the rate allows.
        assert_eq!(wait(2_000, 60_000, 0), Some((10, 15)));
    }

    #[test]
    fn before_the_opening_the_time_to_it_comes_on_top_and_without_a_rate_nothing_is_said() {
        let outlook = Outlook { measured: Measured::default(), rate: Some(200), opens_in: Duration::from_mins(1) };
        assert_eq!(outlook.wait(0, &settings()), Some(WaitSeconds { low: 60, high: 360 }));
        assert_eq!(Outlook { rate: None, ..outlook }.wait(0, &settings()), None);
        assert_eq!(Outlook { rate: Some(0), ..outlook }.wait(0, &settings()), None);
    }

    #[test]
    fn what_was_told_is_as_wrong_as_the_wait_was_outside_of_it() {
        let told = WaitSeconds { low: 10, high: 20 };
        for (waited, error) in [(4.0, 6.0), (10.0, 0.0), (20.0, 0.0), (21.5, 1.5)] {
            assert!((told.error(Duration::from_secs_f64(waited)) - error).abs() < 1e-9, "{waited}");
        }
    }

    #[test]
    fn the_bounds_are_those_of_the_poisson_distribution() {
        // The exact ones: 4.80 and 18.39 for 10, 81.36 and 121.63 for 100.
        for (counted, fewest, most) in [(10, 4.80, 18.39), (100, 81.36, 121.63)] {
            let (low, high) = poisson_bounds(counted);
            assert!((low - fewest).abs() < 0.1 && (high - most).abs() < 0.1, "{counted}: {low} {high}");
        }
    }

    #[test]
    fn those_behind_ask_less_often_and_often_enough_to_stay() {
        let after = |ahead, jitter| poll_after(ahead, Duration::ZERO, &settings(), jitter);
        assert_eq!(after(0, 0.5), Duration::from_secs(1));
        assert_eq!(after(1_000_000, 0.5), Duration::from_secs(10));
        assert_eq!(after(1_000_000, 1.0), Duration::from_secs(11));
        assert!(after(1_000_000, 1.0) < ASKS_WITHIN);
        for ttl in [1, 5, 20, 30] {
            let settings = QueueSettings { waiting_ttl: Duration::from_secs(ttl), ..settings() };
            for opens_in in [0, 3600] {
                let after = poll_after(1_000_000, Duration::from_secs(opens_in), &settings, 1.0);
                assert!(after < Duration::from_secs(ttl) / 2);
            }
        }
    }

    #[test]
    fn before_an_opening_one_asks_the_more_often_the_nearer_it_is() {
        let after = |opens_in| poll_after(0, Duration::from_secs(opens_in), &settings(), 0.5).as_secs();
        assert_eq!([3600, 30, 15, 6, 3, 1, 0].map(after), [10, 10, 5, 2, 1, 1, 1]);
    }
}
