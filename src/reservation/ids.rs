//! Reservation ids, taken from Postgres in blocks, so that holding a seat asks only Redis. Postgres never gives a block
//! twice, so an id never repeats, whatever Redis forgets; and each block is one schedule's, so an id tells its schedule.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::Mutex;

use super::store;
use crate::ids::{ReservationId, ScheduleId};
use crate::postgres::Postgres;
use crate::store_error::StoreError;

/// Ids in a block. Fixed for ever: it says which block an id is of.
const BLOCK_SIZE: i64 = 1000;

/// The ids that this instance may give.
#[derive(Debug)]
pub struct ReservationIds {
    postgres: Postgres,
    stocks: DashMap<ScheduleId, Arc<Stock>>,
    /// Which schedule a block is for; it never changes.
    blocks: DashMap<i64, ScheduleId>,
}

#[derive(Debug, Default)]
struct Stock {
    unused: std::sync::Mutex<Vec<ReservationId>>,
    refilling: Mutex<()>,
}

impl Stock {
    fn unused(&self) -> std::sync::MutexGuard<'_, Vec<ReservationId>> {
        self.unused.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl ReservationIds {
    /// With nothing in stock yet.
    #[must_use]
    pub fn new(postgres: Postgres) -> Self {
        Self { postgres, stocks: DashMap::new(), blocks: DashMap::new() }
    }

    /// An id never given before.
    pub async fn take(&self, schedule: ScheduleId) -> Result<ReservationId, StoreError> {
        let stock = self.stock(schedule);
        if let Some(id) = stock.unused().pop() {
            return Ok(id);
        }
        let _one_at_a_time = stock.refilling.lock().await;
        if let Some(id) = stock.unused().pop() {
            return Ok(id);
        }
        let block = store::new_block(&self.postgres, schedule).await?;
        self.blocks.insert(block, schedule);
        let mut ids: Vec<ReservationId> = ids_of(block).filter_map(|id| id.try_into().ok()).rev().collect();
        let first = ids.pop();
        stock.unused().append(&mut ids);
        first.ok_or_else(|| StoreError::Unexpected { store: "postgres", source: "reservation ids have run out".into() })
    }

    /// Several such ids.
    pub async fn take_many(&self, schedule: ScheduleId, many: usize) -> Result<Vec<ReservationId>, StoreError> {
        let mut taken = Vec::with_capacity(many);
        while taken.len() < many {
            match self.take(schedule).await {
                Ok(id) => taken.push(id),
                Err(error) => {
                    self.stock(schedule).unused().append(&mut taken);
                    return Err(error);
                }
            }
        }
        Ok(taken)
    }

    /// Returns an id that was certainly not used.
    pub fn give_back(&self, schedule: ScheduleId, id: ReservationId) {
        self.stock(schedule).unused().push(id);
    }

    /// The schedule of a reservation; none if no such id was ever given.
    pub async fn schedule_of(&self, reservation: ReservationId) -> Result<Option<ScheduleId>, StoreError> {
        let block = block_of(reservation);
        if let Some(schedule) = self.blocks.get(&block) {
            return Ok(Some(*schedule));
        }
        let found = store::schedule_of_block(&self.postgres, block).await?;
        if let Some(schedule) = found {
            self.blocks.insert(block, schedule);
        }
        Ok(found)
    }

    fn stock(&self, schedule: ScheduleId) -> Arc<Stock> {
        self.stocks.entry(schedule).or_default().clone()
    }
}

fn ids_of(block: i64) -> std::ops::RangeInclusive<i64> {
    (block - 1) * BLOCK_SIZE + 1..=block * BLOCK_SIZE
}

fn block_of(reservation: ReservationId) -> i64 {
    (reservation.get() - 1) / BLOCK_SIZE + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_block() {
        for block in [1, 2, 77] {
            for id in ids_of(block) {
                assert_eq!(id.try_into().map(block_of), Ok(block));
            }
        }
        assert_eq!(ids_of(1).next(), Some(1));
    }
}
