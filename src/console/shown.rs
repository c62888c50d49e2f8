//! Answers as people read them.

use std::fmt::Write as _;

use serde::Deserialize;

use super::answers::{Concert, Created, Figures, Log, Queue, QueueFigures, Schedule, Seat};
use super::table::{Table, grouped};

/// What is said of a queue that nobody has come to yet.
const NOTHING: &str = "-";

/// A queue among the figures.
#[derive(Debug, Deserialize)]
pub(super) struct NamedFigures {
    name: String,
    figures: Option<QueueFigures>,
}

fn three(figures: Option<QueueFigures>) -> [String; 3] {
    let numbers = |figures: QueueFigures| [figures.waiting, figures.active, figures.admitted].map(grouped);
    figures.map_or_else(|| [NOTHING; 3].map(str::to_owned), numbers)
}

pub(super) fn queues(queues: &[Queue]) -> Table<8> {
    let mut table = Table::new(["QUEUE", "WAITING", "ACTIVE", "MAX ACTIVE", "A SECOND", "ADMITTED", "STATE", "OPENS"]);
    for queue in queues {
        let Queue { name, settings, figures, .. } = queue;
        let [waiting, active, admitted] = three(*figures);
        let [most, rate] = [settings.max_active, settings.admit_per_second].map(grouped);
        let opens = settings.opens_at.clone().unwrap_or_default();
        table.row([name.clone(), waiting, active, most, rate, admitted, queue.state().to_owned(), opens]);
    }
    table
}

pub(super) fn queue(queue: &Queue) -> String {
    let Queue { name, settings, set, figures, .. } = queue;
    let [waiting, active, admitted] = three(*figures);
    let mut text = format!("{name} ({}): {waiting} waiting, {active} active, {admitted} admitted\n\n", queue.state());
    let mut table = Table::new(["SETTING", "VALUE", "OF"]);
    for (setting, value) in [
        ("maxActive", settings.max_active.to_string()),
        ("admitPerSecond", settings.admit_per_second.to_string()),
        ("activeTtlSeconds", settings.active_ttl_seconds.to_string()),
        ("waitingTtlSeconds", settings.waiting_ttl_seconds.to_string()),
        ("holdTtlSeconds", settings.hold_ttl_seconds.to_string()),
        ("stockFactor", settings.stock_factor.to_string()),
        ("opensAt", settings.opens_at.clone().unwrap_or_else(|| "null".to_owned())),
        ("paused", settings.paused.to_string()),
        ("draining", settings.draining.to_string()),
    ] {
        let of = if set.iter().any(|own| own == setting) { "the queue" } else { "the server" };
        table.row([setting.to_owned(), value, of.to_owned()]);
    }
    let _ = write!(text, "{table}");
    text
}

pub(super) fn concerts(concerts: &[Concert]) -> Table<7> {
    let mut table = Table::new(["CONCERT", "QUEUE", "SCHEDULE", "DATE", "SEATS", "SOLD", "TITLE"]);
    for Concert { id, title, queue, schedules } in concerts {
        let mut row = |[schedule, date, seats, sold]: [String; 4]| {
            table.row([id.to_string(), queue.clone(), schedule, date, seats, sold, title.clone()]);
        };
        for Schedule { concert_schedule_id, date, seats, sold } in schedules {
            row([concert_schedule_id.to_string(), date.clone(), grouped(*seats), grouped(*sold)]);
        }
        if schedules.is_empty() {
            row([NOTHING; 4].map(str::to_owned));
        }
    }
    table
}

pub(super) fn created(Created { concert_id, schedules }: &Created) -> String {
    format!("Concert {concert_id} is made.\n\n{}", added(schedules))
}

pub(super) fn added(schedules: &[Schedule]) -> Table<3> {
    let mut table = Table::new(["SCHEDULE", "DATE", "SEATS"]);
    for Schedule { concert_schedule_id, date, seats, .. } in schedules {
        table.row([concert_schedule_id.to_string(), date.clone(), grouped(*seats)]);
    }
    table
}

pub(super) fn seats(seats: &[Seat]) -> Table<5> {
    let mut table = Table::new(["SEAT", "NUMBER", "PRICE", "ROW", "SECTION"]);
    for Seat { concert_seat_id, section, row, number, price } in seats {
        table.row([concert_seat_id.to_string(), number.to_string(), grouped(*price), row.clone(), section.clone()]);
    }
    table
}

pub(super) fn figures(queues: &[NamedFigures], figures: &Figures) -> String {
    let mut of_queues = Table::new(["QUEUE", "WAITING", "ACTIVE", "ADMITTED"]);
    for NamedFigures { name, figures } in queues {
        let [waiting, active, admitted] = three(*figures);
        of_queues.row([name.clone(), waiting, active, admitted]);
    }
    let mut of_schedules = Table::new(["SCHEDULE", "DATE", "FREE", "HELD", "SOLD"]);
    for schedule in &figures.schedules {
        let [free, held, sold] = [schedule.free, schedule.held, schedule.sold].map(grouped);
        of_schedules.row([schedule.concert_schedule_id.to_string(), schedule.date.clone(), free, held, sold]);
    }
    let [holds, payments, won] = [figures.totals.holds_live, figures.totals.payments, figures.totals.won].map(grouped);
    format!("{of_queues}\n{of_schedules}\nthe whole shop: {holds} held, {payments} payments, {won} won\n")
}

pub(super) fn log(log: &Log) -> Table<5> {
    let mut table = Table::new(["AT", "OPERATOR", "ACT", "OF", "REQUEST"]);
    for entry in &log.entries {
        let request = if entry.request.as_object().is_some_and(serde_json::Map::is_empty) {
            String::new()
        } else {
            entry.request.to_string()
        };
        let [at, operator, act, of] = [&entry.at, &entry.operator, &entry.action, &entry.target].map(Clone::clone);
        table.row([at, operator, act, of, request]);
    }
    table
}
