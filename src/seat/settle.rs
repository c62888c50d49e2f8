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

use super::Seats;
use super::answers::{Attempt, Look, Outcome};
use super::store;
use crate::ids::ScheduleId;
use crate::store_error::StoreError;

/// The most seats that one run asks about again; the next run comes to the others.
const MOST_AT_ODDS: usize = 1000;

impl Seats {
    /// Brings the map, if there is one, to Postgres' truth. Returns at how many seats they differed.
    pub async fn settle(&self, schedule: ScheduleId) -> Result<u32, StoreError> {
        let board = self.board(schedule).await?;
        let sold = self.sold_by_position(schedule).await?;
        let Some(Look::Seats { states, .. }) = store::look(&self.redis, &board.keys, None).await? else {
            return Ok(0);
        };
        let at_odds =
            (0..).zip(states.iter()).filter(|(position, state)| sold.contains_key(position) != (**state == b'S'));
        let at_odds: Vec<u32> = at_odds.map(|(position, _)| position).take(MOST_AT_ODDS).collect();
        if at_odds.is_empty() {
            return Ok(0);
        }
        let Some(seats) = store::whose(&self.redis, &board.keys, &at_odds).await? else { return Ok(0) };
        let still_sold = self.sold_by_position(schedule).await?;
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

    async fn sold_by_position(&self, schedule: ScheduleId) -> Result<HashMap<u32, Attempt>, StoreError> {
        let sales = store::sales(&self.postgres, schedule).await?;
        Ok(sales.into_iter().map(|sale| (sale.position, sale)).collect())
    }
}
