//! A queue tied to its stock: no more are let in to try than there are seats left to try for, and when all is sold it says
//! so. It asks the seats; they know nothing of queues.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;

use super::directory::Queue;
use super::{QueueId, Queues};
use crate::store_error::StoreError;

/// How often a queue that is not tied to its stock is asked whether it is sold out.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is left of a queue's upcoming schedules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stock {
    schedules: usize,
    /// Seats that can be held now.
    free: usize,
    /// Seats that are free, held or being paid.
    unsold: usize,
    sold: usize,
}

/// Whether a queue was sold out when it was last looked.
#[derive(Debug, Default)]
pub(super) struct SoldOut {
    is_so: AtomicBool,
    seen: Mutex<Option<(Instant, Stock)>>,
}

impl SoldOut {
    pub(super) fn is_so(&self) -> bool {
        self.is_so.load(Ordering::Relaxed)
    }

    fn seen(&self, within: Duration) -> Option<Stock> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.filter(|(at, _)| at.elapsed() <= within).map(|(_, stock)| stock)
    }
}

impl Queues {
    /// How many may try who hold nothing yet; none if the queue is not tied to its stock, or sells nothing.
    pub(super) async fn room(&self, queue: &Queue) -> Result<Option<u64>, StoreError> {
        let factor = queue.settings.stock_factor;
        if factor <= 0.0 || queue.settings.paused {
            return Ok(None);
        }
        let stock = self.stock(queue).await?;
        self.learn_stock(queue.id, stock);
        Ok((stock.schedules > 0).then(|| room(factor, stock.free)))
    }

    /// Whether every seat of all that the queue sells is sold, as it was a moment ago.
    #[must_use]
    pub fn sold_out(&self, queue: &Queue) -> bool {
        self.glimpse(queue.id).sold_out.is_so()
    }

    /// How many of its seats are free and how many unsold, if it sells any and that was looked at lately.
    pub(super) fn seats_left(&self, queue: &Queue, within: Duration) -> Option<(usize, usize)> {
        let stock = self.glimpse(queue.id).sold_out.seen(within)?;
        (stock.schedules > 0).then_some((stock.free, stock.unsold))
    }

    /// How many of its seats are sold, looked at within that time or now.
    pub(super) async fn sold(&self, queue: &Queue, within: Duration) -> Result<u64, StoreError> {
        let stock = match self.glimpse(queue.id).sold_out.seen(within) {
            Some(stock) => stock,
            None => self.stock(queue).await?,
        };
        Ok(stock.sold as u64)
    }

    /// Looks whether the queue is sold out: at each call if it is tied to its stock, else once a second while somebody waits.
    pub(super) async fn look_at_stock(&self, queue: &Queue) -> Result<(), StoreError> {
        let tied = queue.settings.stock_factor > 0.0;
        let waits = self.progress.get(&queue.id).is_some_and(|progress| progress.waiting > 0);
        let lately = self.glimpse(queue.id).sold_out.seen(LOOK_EVERY).is_some();
        if tied || (waits && !lately) {
            let stock = self.stock(queue).await?;
            self.learn_stock(queue.id, stock);
        }
        Ok(())
    }

    fn learn_stock(&self, queue: QueueId, stock: Stock) {
        let known = &self.glimpse(queue).sold_out;
        known.is_so.store(stock.schedules > 0 && stock.unsold == 0, Ordering::Relaxed);
        *known.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), stock));
    }

    async fn stock(&self, queue: &Queue) -> Result<Stock, StoreError> {
        let today = Utc::now().with_timezone(&self.time_zone).date_naive();
        let mut stock = Stock::default();
        for (schedule, _) in queue.schedules.iter().filter(|(_, date)| *date >= today) {
            let list = self.seats.free_list(*schedule).await?;
            stock.schedules += 1;
            stock.free += list.free;
            stock.unsold += list.unsold;
            stock.sold += list.sold();
        }
        Ok(stock)
    }
}

/// So many for each free seat, and one at least while there is a seat.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]
pub(super) fn room(factor: f64, free: usize) -> u64 {
    ((factor * free as f64).floor() as u64).max(u64::from(free > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_there_is_a_seat_somebody_may_try() {
        assert_eq!([room(1.0, 0), room(0.2, 1), room(0.5, 5), room(1.5, 2), room(1000.0, 0)], [0, 1, 2, 3, 0]);
    }
}
