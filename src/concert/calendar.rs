//! Which day it is at the venue. Every call about a schedule asks, so it is worked out once a minute: no zone's midnight is
//! within one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{Datelike, NaiveDate, Utc};
use chrono_tz::Tz;

/// Days, by the clock of a time zone.
#[derive(Debug)]
pub(super) struct Calendar {
    time_zone: Tz,
    /// A minute since 1970, and above it the day of which it is, counted from 1 January of the year 1.
    known: AtomicU64,
}

impl Calendar {
    pub(super) fn new(time_zone: Tz) -> Self {
        Self { time_zone, known: AtomicU64::new(0) }
    }

    pub(super) fn today(&self) -> NaiveDate {
        let minute = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() / 60) & 0xFFFF_FFFF;
        let known = self.known.load(Ordering::Relaxed);
        if known & 0xFFFF_FFFF == minute
            && let Some(today) = i32::try_from(known >> 32).ok().and_then(NaiveDate::from_num_days_from_ce_opt)
        {
            return today;
        }
        let today = today(self.time_zone);
        let days = u64::try_from(today.num_days_from_ce()).unwrap_or_default();
        self.known.store(days << 32 | minute, Ordering::Relaxed);
        today
    }
}

/// Today's date in a time zone.
#[must_use]
pub fn today(time_zone: Tz) -> NaiveDate {
    Utc::now().with_timezone(&time_zone).date_naive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_the_time_zones() {
        for zone in [Tz::Asia__Seoul, Tz::Pacific__Kiritimati, Tz::Pacific__Pago_Pago] {
            let calendar = Calendar::new(zone);
            for _ in 0..2 {
                // Around a midnight either is right.
                let before = today(zone);
                assert!([before, today(zone)].contains(&calendar.today()), "{zone}");
            }
        }
    }
}
