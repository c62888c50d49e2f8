//! The queues as operators watch them: what this instance's last steps saw, and how each queue is set.

use std::time::Duration;

use chrono::Utc;

use super::control::Figures;
use super::directory::{Directory, Queue};
use super::{QueueId, Queues, stock};

/// A queue at a moment.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a gauge of its own")]
pub struct QueueGauges {
    /// Its name.
    pub name: String,
    /// How many wait and how many are active; none if this instance has not seen it lately.
    pub waiting_and_active: Option<(u32, u32)>,
    /// The most that may be active.
    pub max_active: u32,
    /// The most admissions a second.
    pub admit_per_second: u32,
    /// With fewer active than these somebody who waits must be let in: the cap, or what the stock leaves.
    pub room: u32,
    /// Whether its opening is over, or it has none.
    pub open: bool,
    /// Whether nobody is let in.
    pub paused: bool,
    /// Whether nobody new is given a place.
    pub draining: bool,
    /// Whether all that it sells is sold.
    pub sold_out: bool,
    /// Seats that are free, and that are not sold, if it is tied to its stock or somebody waits.
    pub seats: Option<(u32, u32)>,
}

/// A queue at a moment of its course; what was not seen within the last second is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueMoment {
    /// Which.
    pub queue: QueueId,
    /// How many wait.
    pub waiting: Option<u64>,
    /// How many are active.
    pub active: Option<u64>,
    /// How many have been let in so far.
    pub admitted: Option<u64>,
    /// How many seats are sold of what is not over.
    pub sold: Option<u64>,
}

/// Of what is older a moment says nothing.
const LATELY: Duration = Duration::from_secs(1);

impl Queues {
    /// Every queue as it is now.
    pub async fn moments(&self) -> Vec<QueueMoment> {
        let mut moments = Vec::new();
        // A Redis that does not answer is not waited for again for the next queue.
        let mut redis_answers = true;
        for queue in self.all() {
            let sold = if redis_answers { self.sold(&queue, LATELY).await.ok() } else { None };
            redis_answers = sold.is_some();
            // Without figures the queue is not open in Redis: nobody is there.
            let figures = match self.figures(queue.id) {
                Some(figures) => Some(figures).filter(|figures| figures.seen.elapsed() <= LATELY),
                None => Some(Figures::new(0, 0, 0)),
            };
            moments.push(QueueMoment {
                queue: queue.id,
                waiting: figures.map(|figures| figures.waiting.into()),
                active: figures.map(|figures| figures.active.into()),
                admitted: figures.map(|figures| figures.admitted),
                sold,
            });
        }
        moments
    }

    /// Every queue as this instance saw it, no longer ago than that.
    #[must_use]
    pub fn gauges(&self, within: Duration) -> Vec<QueueGauges> {
        self.all().iter().map(|queue| self.gauges_of(queue, within)).collect()
    }

    fn gauges_of(&self, queue: &Queue, within: Duration) -> QueueGauges {
        let settings = &queue.settings;
        // Without figures the queue is not open in Redis: nobody is there.
        let figures = self.figures.get(&queue.id).map(|figures| *figures);
        let waiting_and_active = match figures {
            Some(figures) if figures.seen.elapsed() > within => None,
            Some(figures) => Some((figures.waiting, figures.active)),
            None => Some((0, 0)),
        };
        let seats = self.seats_left(queue, within);
        let room = match seats {
            Some((free, _)) if settings.stock_factor > 0.0 => {
                u32::try_from(stock::room(settings.stock_factor, free)).unwrap_or(u32::MAX).min(settings.max_active)
            }
            _ => settings.max_active,
        };
        let whole = |seats: usize| u32::try_from(seats).unwrap_or(u32::MAX);
        QueueGauges {
            name: queue.name.clone(),
            waiting_and_active,
            max_active: settings.max_active,
            admit_per_second: settings.admit_per_second,
            room,
            open: settings.opens_at.is_none_or(|opens_at| opens_at <= Utc::now()),
            paused: settings.paused,
            draining: settings.draining,
            sold_out: self.sold_out(queue),
            seats: seats.map(|(free, unsold)| (whole(free), whole(unsold))),
        }
    }
}

/// Has each queue's counters begin at 0: a counter that appears with its first count has no increase to be seen.
pub(super) fn count_from_zero(directory: &Directory) {
    for queue in directory.all() {
        for name in ["queue_tokens_issued_total", "queue_promoted_total", "queue_expired_total", "queue_restored_total"]
        {
            metrics::counter!(name, "queue" => queue.name.clone()).increment(0);
        }
        for name in ["queue_wait_seconds", "queue_estimate_error_seconds"] {
            let _ = metrics::histogram!(name, "queue" => queue.name.clone());
        }
    }
}
