//! What operators say of concerts, schedules and seats, and whether it can be: read once, named where it is wrong.

use std::collections::HashSet;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::concert::{NewConcert, NewSchedule};
use crate::http::{ApiError, Date};
use crate::queue::{QueueName, is_name};
use crate::seat::NewSeat;

/// The largest body, in bytes: 20,000 seats, one by one.
pub(super) const LARGEST_PLAN: usize = 2 * 1024 * 1024;

/// A text in a request, for `/openapi.json`: something to read, without control characters.
const TEXT: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$";

const LONGEST_TITLE: usize = 200;
const LONGEST_NAME: usize = 40;
const MOST_SCHEDULES: usize = 100;
const MOST_SEATS: usize = 20_000;

/// Of all schedules of a request: a second or two of Postgres' time.
const MOST_SEATS_A_REQUEST: usize = 200_000;

const GREATEST_PRICE: i64 = 1_000_000_000_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConcertRequest {
    /// What it is called: no control characters, and not only spaces.
    #[schemars(length(min = 1, max = LONGEST_TITLE), regex(pattern = TEXT), example = &"The Big One")]
    title: String,
    /// The queue that serves it, which is made if there is none; the default queue unless said.
    #[schemars(with = "Option<QueueName>")]
    queue: Option<String>,
    /// Its evenings, each on a date of its own.
    #[schemars(length(max = MOST_SCHEDULES))]
    #[serde(default)]
    schedules: Vec<ScheduleRequest>,
}

/// Its seats are given one by one or by ranges.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["seats"], "properties": {"seats": {"type": "array"}, "sections": {"type": "null"}}},
    {"required": ["sections"], "properties": {"seats": {"type": "null"}, "sections": {"type": "array"}}},
]))]
pub(super) struct ScheduleRequest {
    /// Today or later.
    #[schemars(with = "Date")]
    date: String,
    /// The seats, one by one, each with a number of its own.
    #[schemars(length(min = 1, max = MOST_SEATS))]
    seats: Option<Vec<SeatRequest>>,
    /// Or by ranges.
    #[schemars(length(min = 1))]
    sections: Option<Vec<SectionRequest>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SeatRequest {
    /// The part of the hall.
    #[schemars(length(min = 1, max = LONGEST_NAME), regex(pattern = TEXT), example = &"R")]
    section: String,
    /// The row in it.
    #[schemars(length(min = 1, max = LONGEST_NAME), regex(pattern = TEXT), example = &"A")]
    row: String,
    /// The number on the seat.
    #[schemars(range(min = 1, max = i32::MAX), example = 11)]
    number: i64,
    /// What it costs, in whole won.
    #[schemars(range(min = 0, max = GREATEST_PRICE), example = 150_000)]
    price: i64,
}

/// So many seats in each row; numbers run on through the schedule, from 1.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SectionRequest {
    /// The part of the hall.
    #[schemars(length(min = 1, max = LONGEST_NAME), regex(pattern = TEXT), example = &"R")]
    section: String,
    /// What each seat costs, in whole won.
    #[schemars(range(min = 0, max = GREATEST_PRICE), example = 150_000)]
    price: i64,
    /// The names of its rows.
    #[schemars(length(min = 1), inner(length(min = 1, max = LONGEST_NAME), regex(pattern = TEXT)))]
    #[schemars(extend("examples" = [["A", "B"]]))]
    rows: Vec<String>,
    /// How many seats each row has.
    #[schemars(range(min = 1, max = MOST_SEATS), example = 50)]
    seats_per_row: i64,
}

/// What the log keeps of a concert.
#[derive(Debug, Serialize)]
pub(super) struct ConcertSummary<'a> {
    title: &'a str,
    queue: Option<&'a str>,
    schedules: Vec<ScheduleSummary>,
}

/// What the log keeps of a schedule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScheduleSummary {
    date: NaiveDate,
    seats: usize,
    lowest_price: Option<i64>,
    highest_price: Option<i64>,
}

impl ConcertRequest {
    /// As a concert that can be made, by `today`.
    pub(super) fn read(self, today: NaiveDate) -> Result<NewConcert, ApiError> {
        text("title", &self.title, LONGEST_TITLE)?;
        if let Some(queue) = &self.queue
            && !is_name(queue)
        {
            return Err(ApiError::invalid(format!("queue {QUEUE_NAME}, or null.")));
        }
        if self.schedules.len() > MOST_SCHEDULES {
            return Err(ApiError::invalid(format!("schedules are {MOST_SCHEDULES} at most.")));
        }
        let mut schedules = Vec::with_capacity(self.schedules.len());
        let (mut dates, mut seats) = (HashSet::new(), 0);
        for (schedule, at) in self.schedules.into_iter().zip(0..) {
            let schedule = schedule.read_at(&format!("schedules[{at}]."), today)?;
            if !dates.insert(schedule.date) {
                return Err(ApiError::invalid(format!("schedules has the date {} twice.", schedule.date)));
            }
            seats += schedule.seats.len();
            if seats > MOST_SEATS_A_REQUEST {
                let message =
                    format!("A request makes {MOST_SEATS_A_REQUEST} seats at most; add the other schedules later.");
                return Err(ApiError::invalid(message));
            }
            schedules.push(schedule);
        }
        Ok(NewConcert { title: self.title, queue: self.queue, schedules })
    }
}

/// What a queue's name is.
pub(super) const QUEUE_NAME: &str = "is a name of 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit";

impl ScheduleRequest {
    /// As a schedule that can be added, by `today`.
    pub(super) fn read(self, today: NaiveDate) -> Result<NewSchedule, ApiError> {
        self.read_at("", today)
    }

    /// `place` is where in the request it stands.
    fn read_at(self, place: &str, today: NaiveDate) -> Result<NewSchedule, ApiError> {
        let date = date(&self.date)
            .ok_or_else(|| ApiError::invalid(format!("{place}date is not a date such as 2026-12-24.")))?;
        if date < today {
            return Err(ApiError::invalid(format!("{place}date is over.")));
        }
        let seats = match (self.seats, self.sections) {
            (Some(seats), None) => one_by_one(place, seats)?,
            (None, Some(sections)) => by_ranges(place, sections)?,
            _ => {
                let message = format!("{place}seats, one by one, or {place}sections: one of them, not both.");
                return Err(ApiError::invalid(message));
            }
        };
        Ok(NewSchedule { date, seats })
    }
}

fn date(text: &str) -> Option<NaiveDate> {
    // Four digits for the year, two for the others: chrono itself would take less, and more.
    let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    text.parse().ok().filter(|_| plain)
}

fn one_by_one(place: &str, seats: Vec<SeatRequest>) -> Result<Vec<NewSeat>, ApiError> {
    how_many(place, seats.len())?;
    let mut numbers = HashSet::with_capacity(seats.len());
    let mut read = Vec::with_capacity(seats.len());
    for (seat, at) in seats.into_iter().zip(0..) {
        let field = |name: &str| format!("{place}seats[{at}].{name}");
        text(&field("section"), &seat.section, LONGEST_NAME)?;
        text(&field("row"), &seat.row, LONGEST_NAME)?;
        price(&field("price"), seat.price)?;
        let number = i32::try_from(seat.number).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| {
            ApiError::invalid(format!("{} is a whole number from 1 to {}.", field("number"), i32::MAX))
        })?;
        if !numbers.insert(number) {
            return Err(ApiError::invalid(format!("{place}seats has the number {number} twice.")));
        }
        read.push(NewSeat { section: seat.section, row: seat.row, number, price: seat.price });
    }
    Ok(read)
}

fn by_ranges(place: &str, sections: Vec<SectionRequest>) -> Result<Vec<NewSeat>, ApiError> {
    let mut read = Vec::new();
    let mut rows_seen = HashSet::new();
    let mut numbers = 1..;
    for (section, at) in sections.into_iter().zip(0..) {
        let field = |name: &str| format!("{place}sections[{at}].{name}");
        text(&field("section"), &section.section, LONGEST_NAME)?;
        price(&field("price"), section.price)?;
        let a_row = usize::try_from(section.seats_per_row).ok().filter(|a_row| (1..=MOST_SEATS).contains(a_row));
        let a_row = a_row.ok_or_else(|| {
            ApiError::invalid(format!("{} is a whole number from 1 to {MOST_SEATS}.", field("seatsPerRow")))
        })?;
        if section.rows.is_empty() {
            return Err(ApiError::invalid(format!("{} names no row.", field("rows"))));
        }
        how_many(place, section.rows.len().saturating_mul(a_row).saturating_add(read.len()))?;
        for row in section.rows {
            text(&field("rows"), &row, LONGEST_NAME)?;
            let seat =
                |number| NewSeat { section: section.section.clone(), row: row.clone(), number, price: section.price };
            read.extend(numbers.by_ref().take(a_row).map(seat));
            if !rows_seen.insert((section.section.clone(), row.clone())) {
                let message = format!("{place}sections has the row {row} of section {} twice.", section.section);
                return Err(ApiError::invalid(message));
            }
        }
    }
    how_many(place, read.len())?;
    Ok(read)
}

fn how_many(place: &str, seats: usize) -> Result<(), ApiError> {
    if (1..=MOST_SEATS).contains(&seats) {
        return Ok(());
    }
    let of = if place.is_empty() { "A schedule" } else { place.trim_end_matches('.') };
    Err(ApiError::invalid(format!("{of} has from 1 to {MOST_SEATS} seats, not {seats}.")))
}

fn price(field: &str, price: i64) -> Result<(), ApiError> {
    if (0..=GREATEST_PRICE).contains(&price) {
        return Ok(());
    }
    Err(ApiError::invalid(format!("{field} is a whole number of won from 0 to {GREATEST_PRICE}.")))
}

/// Something to read: Postgres keeps no NUL, and tickets no line breaks.
fn text(field: &str, text: &str, longest: usize) -> Result<(), ApiError> {
    let chars = text.chars().count();
    if (1..=longest).contains(&chars) && !text.chars().any(char::is_control) && !text.trim().is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(format!("{field} is a text of 1 to {longest} characters, without control characters.")))
}

impl<'a> ConcertSummary<'a> {
    pub(super) fn of(concert: &'a NewConcert) -> Self {
        Self {
            title: &concert.title,
            queue: concert.queue.as_deref(),
            schedules: concert.schedules.iter().map(ScheduleSummary::of).collect(),
        }
    }
}

impl ScheduleSummary {
    pub(super) fn of(schedule: &NewSchedule) -> Self {
        let prices = || schedule.seats.iter().map(|seat| seat.price);
        Self {
            date: schedule.date,
            seats: schedule.seats.len(),
            lowest_price: prices().min(),
            highest_price: prices().max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_dates_are_dates() {
        assert_eq!(date("2028-02-29"), NaiveDate::from_ymd_opt(2028, 2, 29));
        for bad in
            ["", "2026-02-29", "2026-2-1", "20260201", "+12026-02-01", "2026-13-01", " 2026-02-01", "2026-02-01Z"]
        {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_run_on_through_the_ranges() {
        let section = |section: &str, rows: &[&str], seats_per_row| SectionRequest {
            section: section.to_owned(),
            price: 5,
            rows: rows.iter().map(|row| (*row).to_owned()).collect(),
            seats_per_row,
        };
        let seats = by_ranges("", vec![section("R", &["A", "B"], 2), section("S", &["A"], 3)]).unwrap();
        let shown: Vec<_> = seats.iter().map(|seat| format!("{}{}{}", seat.section, seat.row, seat.number)).collect();
        assert_eq!(shown, ["RA1", "RA2", "RB3", "RB4", "SA5", "SA6", "SA7"]);
        assert!(by_ranges("", vec![section("R", &["A"], 2), section("R", &["A"], 2)]).is_err(), "twice");
        assert!(by_ranges("", vec![section("R", &["A", "B"], 10_001)]).is_err(), "too many");
    }
}
