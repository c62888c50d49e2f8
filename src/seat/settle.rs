//! Telling a seat map what it has missed of Postgres' truth: the end of a payment or a refund that never reached Redis,
//! or that a Redis gone back to an older state has forgotten.
//!
//! What is read is old by the time it is acted upon, so the order of reading matters. Postgres first, then the map: a sale
//! that is read is then sold there, or its payment's end is on its way, or it was missed. Only where the two differ is
//! anything asked again: whose the seat is in the map, and then Postgres. The map calls no seat sold to one whose payment
//! was not committed before, so a sale that is not in the second reading was refunded, and for good. The scripts have their
//! fences besides: what was refunded is never marked as sold again, and a seat is freed only while it has the same owner.
//!
//! A sold seat that names another, or nobody, is left until its sale is refunded: then it is one that only the map has.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{MutexGuard, PoisonError};

use super::Seats;
use super::answers::{Attempt, Look, Outcome};
use super::board::Board;
use super::store;
use crate::ids::ScheduleId;
use crate::store_error::StoreError;

/// Seats of a run. Postgres looks each of them up, sold or not: two milliseconds, in which it does nothing else on that processor.
const PART: u32 = 2500;

/// What a run of settling found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// At how many seats the two differed.
    pub differed: u32,
    /// The position to go on from; none if the schedule has no more.
    pub next: Option<u32>,
}

/// Where settling all schedules in turn has come to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Turn {
    /// Its place among all of them.
    schedule: usize,
    from: u32,
}

impl Seats {
    /// Settles the next part of these schedules, which are the same each time but for a change of the programme. Returns at how
    /// many seats the map differed.
    pub async fn settle_next(
        &self,
        mut schedules: impl ExactSizeIterator<Item = ScheduleId>,
    ) -> Result<u32, StoreError> {
        let turn = *self.turn();
        let place = turn.schedule.checked_rem(schedules.len());
        let Some((place, schedule)) = place.and_then(|place| Some((place, schedules.nth(place)?))) else {
            return Ok(0);
        };
        let settled = self.settle(schedule, turn.from).await;
        // A schedule that cannot be settled now must not keep the others waiting.
        let next = settled.as_ref().ok().and_then(|settled| settled.next);
        *self.turn() = match next {
            Some(from) => Turn { schedule: place, from },
            None => Turn { schedule: place + 1, from: 0 },
        };
        Ok(settled?.differed)
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings a part of the map, if there is one, to Postgres' truth.
    pub async fn settle(&self, schedule: ScheduleId, from: u32) -> Result<Settled, StoreError> {
        let board = self.board(schedule).await?;
        let part = from..from.saturating_add(PART);
        let sold = self.sold_by_position(schedule, &part).await?;
        let Some(Look::Seats { states, .. }) = store::look(&self.redis, &board.keys, None).await? else {
            return Ok(Settled { differed: 0, next: None });
        };
        let at_odds = part.clone().zip(states.iter().skip(from as usize));
        let at_odds = at_odds.filter(|(position, state)| sold.contains_key(position) != (**state == b'S'));
        let at_odds: Vec<u32> = at_odds.map(|(position, _)| position).collect();
        let differed = if at_odds.is_empty() { 0 } else { self.mend(&board, &part, &sold, &at_odds).await? };
        Ok(Settled { differed, next: Some(part.end).filter(|next| (*next as usize) < states.len()) })
    }

    /// Asks again about seats that seemed to differ, and mends those that do. Returns how many.
    async fn mend(
        &self,
        board: &Board,
        part: &Range<u32>,
        sold: &HashMap<u32, Attempt>,
        at_odds: &[u32],
    ) -> Result<u32, StoreError> {
        let schedule = board.schedule;
        let Some(seats) = store::whose(&self.redis, &board.keys, at_odds).await? else { return Ok(0) };
        let still_sold = self.sold_by_position(schedule, part).await?;
        let mut settled = 0;
        for seat in seats {
            match (seat.state, sold.get(&seat.position), still_sold.get(&seat.position)) {
                // Its payment's end is on its way, or the reconciler's business.
                (b'P', Some(sale), _) if seat.reservation == Some(sale.reservation) => continue,
                (b'F' | b'H' | b'P', Some(sale), Some(still)) if sale == still => {
                    self.finish_payment(schedule, sale, Outcome::Paid, None).await?;
                }
                (b'S', None, None) => {
                    let _changes = board.changing();
                    store::refund(&self.redis, &board.keys, seat.reservation, seat.position).await?;
                }
                _ => continue,
            }
            settled += 1;
        }
        if settled > 0 {
            tracing::warn!(schedule.id = %schedule, settled, "the seat map had missed sales or refunds");
        }
        Ok(settled)
    }

    async fn sold_by_position(
        &self,
        schedule: ScheduleId,
        part: &Range<u32>,
    ) -> Result<HashMap<u32, Attempt>, StoreError> {
        let sales = store::sales(&self.postgres, schedule, part).await?;
        Ok(sales.into_iter().map(|sale| (sale.position, sale)).collect())
    }
}
