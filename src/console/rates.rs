//! From one look to the next: how things stand, and how fast they go.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use tokio::time::Instant;

use super::answers::{Figures, Queue, ScheduleFigures, Totals};

/// Over how many looks a speed is taken: of one alone it would jump, of many it would lag.
const LOOKS: usize = 6;

/// What the server said at a moment.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) time: DateTime<Utc>,
    pub(super) queues: Vec<Queue>,
    pub(super) figures: Figures,
}

/// The last looks, from which speeds come.
#[derive(Debug, Default)]
pub(super) struct Looks(VecDeque<Look>);

/// How the sale stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    pub(super) at: String,
    pub(super) queues: Vec<QueueView>,
    /// A page of them.
    pub(super) schedules: Vec<ScheduleFigures>,
    /// Of all schedules.
    pub(super) total: usize,
    pub(super) totals: TotalsView,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueueView {
    pub(super) name: String,
    pub(super) paused: bool,
    pub(super) draining: bool,
    pub(super) opens_at: Option<String>,
    /// These are `null` until the queue is opened.
    pub(super) waiting: Option<i64>,
    pub(super) active: Option<i64>,
    pub(super) max_active: i64,
    pub(super) admitted: Option<i64>,
    pub(super) admitted_per_second: Option<f64>,
    /// At this speed; `null` while nobody is let in.
    pub(super) seconds_to_empty: Option<u64>,
    #[serde(skip)]
    pub(super) state: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TotalsView {
    pub(super) holds_live: i64,
    pub(super) payments: i64,
    pub(super) payments_per_second: Option<f64>,
    pub(super) won: i64,
}

impl Looks {
    pub(super) fn add(&mut self, look: Look) {
        if self.0.len() == LOOKS {
            self.0.pop_front();
        }
        self.0.push_back(look);
    }

    /// How things stood at the last look; none if there was none.
    pub(super) fn view(&self) -> Option<View> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let passed = last.at.duration_since(first.at);
        let queues = last.queues.iter().map(|queue| {
            let before = first.queues.iter().find(|before| before.name == queue.name);
            let before = before.and_then(|before| before.figures).map(|figures| figures.admitted);
            queue_view(queue, before, passed)
        });
        let schedules = last.figures.schedules.clone();
        let Totals { holds_live, payments, won } = last.figures.totals;
        let payments_per_second = speed(Some(first.figures.totals.payments), payments, passed);
        Some(View {
            at: last.time.to_rfc3339_opts(SecondsFormat::Millis, true),
            queues: queues.collect(),
            schedules,
            total: last.figures.total,
            totals: TotalsView { holds_live, payments, payments_per_second, won },
        })
    }
}

fn queue_view(queue: &Queue, admitted_before: Option<i64>, passed: Duration) -> QueueView {
    let Queue { name, settings, figures, .. } = queue;
    let admitted_per_second = figures.and_then(|figures| speed(admitted_before, figures.admitted, passed));
    let seconds_to_empty = figures.and_then(|figures| empty_in(figures.waiting, admitted_per_second));
    QueueView {
        name: name.clone(),
        paused: settings.paused,
        draining: settings.draining,
        opens_at: settings.opens_at.clone(),
        waiting: figures.map(|figures| figures.waiting),
        active: figures.map(|figures| figures.active),
        max_active: settings.max_active,
        admitted: figures.map(|figures| figures.admitted),
        admitted_per_second,
        seconds_to_empty,
        state: queue.state(),
    }
}

/// To one decimal place. None from one look alone, and where a counter went back, as after a loss of Redis.
#[expect(clippy::cast_precision_loss, reason = "a speed is an estimate")]
fn speed(before: Option<i64>, now: i64, passed: Duration) -> Option<f64> {
    let more = now.checked_sub(before?).filter(|more| *more >= 0)?;
    (!passed.is_zero()).then(|| (more as f64 / passed.as_secs_f64() * 10.0).round() / 10.0)
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
fn empty_in(waiting: i64, speed: Option<f64>) -> Option<u64> {
    if waiting <= 0 {
        return Some(0);
    }
    speed.filter(|speed| *speed > 0.0).map(|speed| (waiting as f64 / speed).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_of_what_came_since() {
        let second = Duration::from_secs(1);
        assert_eq!(speed(Some(10), 35, 2 * second), Some(12.5));
        assert_eq!(speed(Some(10), 10, second), Some(0.0));
        assert_eq!(speed(Some(10), 9, second), None, "Redis was lost");
        assert_eq!((speed(None, 9, second), speed(Some(9), 9, Duration::ZERO)), (None, None));
    }

    #[test]
    fn a_queue_is_empty_when_all_are_let_in() {
        assert_eq!(empty_in(25, Some(10.0)), Some(3));
        assert_eq!(empty_in(0, None), Some(0));
        assert_eq!((empty_in(25, Some(0.0)), empty_in(25, None)), (None, None));
    }
}
