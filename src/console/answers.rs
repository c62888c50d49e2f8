//! What the operators' calls answer, as far as it is shown to people.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) settings: Settings,
    /// Which settings are its own.
    pub(super) set: Vec<String>,
    pub(super) figures: Option<QueueFigures>,
    /// Whether nothing is left to buy.
    pub(super) sold_out: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    pub(super) max_active: i64,
    pub(super) admit_per_second: i64,
    pub(super) active_ttl_seconds: i64,
    pub(super) waiting_ttl_seconds: i64,
    pub(super) hold_ttl_seconds: i64,
    pub(super) opens_at: Option<String>,
    pub(super) paused: bool,
    pub(super) draining: bool,
    pub(super) stock_factor: f64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct QueueFigures {
    pub(super) waiting: i64,
    pub(super) active: i64,
    pub(super) admitted: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Queues {
    pub(super) queues: Vec<Queue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Concerts {
    pub(super) concerts: Vec<Concert>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Concert {
    #[serde(rename = "concertId")]
    pub(super) id: i64,
    pub(super) title: String,
    pub(super) queue: String,
    pub(super) schedules: Vec<Schedule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Schedule {
    pub(super) concert_schedule_id: i64,
    pub(super) date: String,
    pub(super) seats: i64,
    /// Not told of one that was just made.
    #[serde(default)]
    pub(super) sold: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created {
    pub(super) concert_id: i64,
    pub(super) schedules: Vec<Schedule>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) seats: Vec<Seat>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Seat {
    pub(super) concert_seat_id: i64,
    pub(super) section: String,
    pub(super) row: String,
    pub(super) number: i64,
    pub(super) price: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Figures {
    pub(super) schedules: Vec<ScheduleFigures>,
    pub(super) total: usize,
    pub(super) totals: Totals,
}

/// Shown as it came.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScheduleFigures {
    pub(super) concert_schedule_id: i64,
    pub(super) date: String,
    pub(super) free: i64,
    pub(super) held: i64,
    pub(super) sold: i64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Totals {
    pub(super) holds_live: i64,
    pub(super) payments: i64,
    pub(super) won: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Log {
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) at: String,
    pub(super) operator: String,
    pub(super) action: String,
    pub(super) target: String,
    pub(super) request: Value,
}

impl Settings {
    fn is_before_its_opening(&self) -> bool {
        let opens_at = self.opens_at.as_deref().and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        opens_at.is_some_and(|time| time > Utc::now())
    }
}

impl Queue {
    /// In one word, whom it lets in.
    pub(super) fn state(&self) -> &'static str {
        match (self.settings.paused, self.settings.draining) {
            (true, true) => "paused, draining",
            (true, false) => "paused",
            (false, true) => "draining",
            (false, false) if self.settings.is_before_its_opening() => "not open yet",
            (false, false) if self.sold_out => "sold out",
            (false, false) => "open",
        }
    }
}
