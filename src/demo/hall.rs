//! What the demo opens: a hall that is sold in about a minute, and how its queue is set.

use chrono::{Days, NaiveDate};

use crate::concert::{NewConcert, NewSchedule};
use crate::queue::Change;
use crate::seat::NewSeat;

/// The queue of all that the demo opens.
pub(super) const QUEUE: &str = "demo";

const TITLE: &str = "The Big Night";

/// Section, price, rows, seats a row: 1000 seats.
const SECTIONS: [(&str, i64, &str, usize); 3] =
    [("R", 200_000, "ABCDE", 40), ("S", 140_000, "FGHIJKLM", 50), ("A", 90_000, "NOPQRSTU", 50)];

/// A week from today.
pub(super) fn concert(today: NaiveDate) -> NewConcert {
    let date = today.checked_add_days(Days::new(7)).unwrap_or(today);
    let mut numbers = 1..;
    let mut seats = Vec::new();
    for (section, price, rows, a_row) in SECTIONS {
        for row in rows.chars() {
            let seat = |number| NewSeat { section: section.to_owned(), row: row.to_string(), number, price };
            seats.extend(numbers.by_ref().take(a_row).map(seat));
        }
    }
    NewConcert { title: TITLE.to_owned(), queue: Some(QUEUE.to_owned()), schedules: vec![NewSchedule { date, seats }] }
}

/// Slow enough to be watched, and as it was whatever an operator tried out the last time.
pub(super) fn settings() -> Change {
    Change {
        max_active: Some(Some(250)),
        admit_per_second: Some(Some(20)),
        active_ttl_seconds: Some(Some(120)),
        hold_ttl_seconds: Some(Some(60)),
        opens_at: Some(None),
        paused: Some(false),
        draining: Some(false),
        ..Change::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hall_has_a_thousand_seats() {
        let concert = concert(NaiveDate::from_ymd_opt(2030, 1, 1).unwrap());
        let seats = &concert.schedules[0].seats;
        assert_eq!((seats.len(), seats[999].number, &*seats[999].row), (1000, 1000, "U"));
    }
}
