//! Several reservations paid at once: all of them or none.
//!
//! `seat.begin_payment` for each, in the order of their ids, so that of two batches over the same ones one comes through →
//! one statement in Postgres for all, which alone decides → `seat.finish_payment` for each. Every attempt has the fences
//! that it has when it is paid alone; since they share a transaction, one that is stopped by its tombstone stops all. What
//! a crash leaves is reconciled one by one: each finds the same decision.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::store::{self, Decision, Found, Order, PayFailure};
use super::{Paid, PayError, Payments, Start, http};
use crate::http::carried;
use crate::idempotency::Claim;
use crate::ids::{ReservationId, ScheduleId};
use crate::money::Won;
use crate::queue::{Presented, Standing};
use crate::seat::{Finished, Outcome};
use crate::store_error::StoreError;

/// A batch on its way.
#[derive(Debug)]
struct Batch {
    /// In the order asked, no two alike.
    asked: Vec<ReservationId>,
    /// Begun, and not yet decided. What is left here at the end is the reconciler's.
    open: Vec<Order>,
    /// Decided; the map is yet to follow.
    ended: Vec<(Order, Outcome)>,
    /// Paid, now or before.
    paid: HashMap<ReservationId, Paid>,
    /// Where something was found to be sold before it began.
    sold_in: BTreeSet<ScheduleId>,
}

impl Payments {
    /// Pays for several reservations, no two alike, in a task of its own: a client that goes away does not stop half-way.
    /// What was paid before takes nothing; of the rest all is paid or none. Under a key, the answer is stored with the
    /// payments. Returns them in the order asked.
    pub async fn pay_many(
        &'static self,
        presented: Presented,
        reservations: Vec<ReservationId>,
        claim: Option<Arc<Claim>>,
    ) -> Result<Vec<(ReservationId, Paid)>, PayError> {
        let task =
            self.tasks.spawn(carried(async move { self.pay_all(&presented, reservations, claim.as_deref()).await }));
        task.await
            .unwrap_or_else(|error| Err(StoreError::Unexpected { store: "payment task", source: error.into() }.into()))
    }

    async fn pay_all(
        &self,
        presented: &Presented,
        asked: Vec<ReservationId>,
        claim: Option<&Claim>,
    ) -> Result<Vec<(ReservationId, Paid)>, PayError> {
        let mut batch = Batch::new(asked);
        if let Err(error) = self.begin_all(presented, &mut batch).await {
            let why = batch.end(error);
            self.follow_all(&batch, None).await;
            return match self.not_active(presented, &why).await? {
                Some(standing) => self.all_too_late(presented, batch, standing).await,
                None => Err(why),
            };
        }
        let carried = self.carry_out_all(presented, &mut batch, claim).await;
        let token = carried.is_ok().then_some(presented);
        let is_token_done = self.follow_all(&batch, token).await;
        carried?;
        if !is_token_done {
            self.end_token_after(presented, &batch).await;
        }
        batch.answer()
    }

    /// For a token that may not pay any more: what it has paid, if that was all of it.
    async fn all_too_late(
        &self,
        presented: &Presented,
        mut batch: Batch,
        standing: Standing,
    ) -> Result<Vec<(ReservationId, Paid)>, PayError> {
        for reservation in batch.in_order() {
            let paid = self.too_late(presented, reservation, standing).await?;
            batch.paid.insert(reservation, paid);
        }
        batch.answer()
    }

    /// Begins each that is not paid yet. At the first that cannot begin it stops.
    async fn begin_all(&self, presented: &Presented, batch: &mut Batch) -> Result<(), PayError> {
        for reservation in batch.in_order() {
            match self.begin(presented, reservation).await? {
                Start::Begun(schedule, attempt) => {
                    let plan = self.seats.plan(schedule).await?;
                    let seat = plan.at(attempt.position).ok_or(PayError::NoReservation)?;
                    batch.open.push(Order { schedule, attempt, seat: seat.id, price: seat.price });
                }
                Start::PaidBefore(paid) => _ = batch.paid.insert(reservation, paid),
                Start::SoldBefore(schedule, paid) => {
                    batch.paid.insert(reservation, paid);
                    batch.sold_in.insert(schedule);
                }
            }
        }
        Ok(())
    }

    /// Asks Postgres to carry all attempts out. An error that leaves some open means that it is not known what became of
    /// them, and that the reconciler will find out.
    async fn carry_out_all(
        &self,
        presented: &Presented,
        batch: &mut Batch,
        claim: Option<&Claim>,
    ) -> Result<(), PayError> {
        let user = presented.claim.user;
        if batch.open.iter().any(|order| order.price == Won(0))
            && let Err(error) = store::open_wallet(&self.postgres, user).await
        {
            return Err(batch.end(error.into()));
        }
        while !batch.open.is_empty() {
            let once = claim.map(|claim| (claim, |now: &[_]| http::answer_many(&batch.answer_with(now)?)));
            let refusal = match store::pay_many(&self.postgres, user, &batch.open, &presented.claim, once).await {
                Ok(Decision::Paid(paid)) => {
                    batch.paid.extend(paid);
                    batch.ended.extend(batch.open.drain(..).map(|order| (order, Outcome::Paid)));
                    return Ok(());
                }
                Ok(Decision::KeyInUse) => return Err(batch.end(PayError::KeyInUse)),
                Err(PayFailure::NothingHappened(error)) => return Err(batch.end(error.into())),
                Ok(Decision::Refused) => PayError::Insufficient,
                Ok(Decision::SeatSold) => PayError::Taken,
                Err(PayFailure::Unknown(error)) => {
                    // Whether it will still arrive is decided now: by the tombstones, unless it was there before.
                    store::abort_many(&self.postgres, user, &batch.open).await?;
                    PayError::Store(error)
                }
            };
            // A refusal, too, may only mean that some were paid before, by payments that Redis has forgotten.
            let found = store::find_many(&self.postgres, &batch.open).await?;
            if !batch.has_found_paid(&found) || matches!(refusal, PayError::Store(_)) && !batch.open.is_empty() {
                return Err(batch.end_as_found(refusal, &found));
            }
        }
        Ok(())
    }

    /// Makes Redis follow what Postgres decided. Whether this token has ended with it. What fails here is mended by the
    /// reconciler, or by settling the map.
    async fn follow_all(&self, batch: &Batch, token: Option<&Presented>) -> bool {
        let mut is_token_done = false;
        for (Order { schedule, attempt, .. }, outcome) in &batch.ended {
            let of_queue = token.filter(|presented| self.sells(presented, *schedule));
            let place = of_queue.map(|presented| presented.claim.place);
            match self.seats.finish_payment(*schedule, attempt, *outcome, place).await {
                Ok(Finished::Sold { is_token_done: true }) => is_token_done = true,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(reservation.id = %attempt.reservation, %error, "the seat map lags behind a payment");
                }
            }
        }
        if let Some(presented) = token.filter(|_| is_token_done) {
            self.queues.has_ended(&presented.claim);
        }
        is_token_done
    }

    /// Ends the token, unless its user holds more under it.
    async fn end_token_after(&self, presented: &Presented, batch: &Batch) {
        if batch.ended.is_empty() {
            for schedule in &batch.sold_in {
                self.end_token_again(presented, *schedule).await;
            }
            return;
        }
        let sold_in: BTreeSet<ScheduleId> = batch.ended.iter().map(|(order, _)| order.schedule).collect();
        self.end_token(presented, sold_in.into_iter().collect(), None).await;
    }
}

impl Batch {
    fn new(asked: Vec<ReservationId>) -> Self {
        let (open, ended, paid, sold_in) = (Vec::new(), Vec::new(), HashMap::new(), BTreeSet::new());
        Self { asked, open, ended, paid, sold_in }
    }

    /// The order in which they are begun.
    fn in_order(&self) -> Vec<ReservationId> {
        let mut ids = self.asked.clone();
        ids.sort_unstable();
        ids
    }

    /// The holds that are open are what they were; passes the reason on.
    fn end(&mut self, why: PayError) -> PayError {
        self.ended.extend(self.open.drain(..).map(|order| (order, Outcome::Refused)));
        why
    }

    /// Takes out of the open ones those that are paid, now or before. Whether there were any.
    fn has_found_paid(&mut self, found: &[Found]) -> bool {
        let before = self.open.len();
        let mut rest = Vec::with_capacity(before);
        for (order, found) in self.open.drain(..).zip(found) {
            let Some(id) = found.payment else {
                rest.push(order);
                continue;
            };
            self.paid.insert(order.attempt.reservation, Paid { id, taken: None });
            // One that was refunded since is never sold any more.
            self.ended.push((order, if found.live { Outcome::Paid } else { Outcome::Aborted }));
        }
        self.open = rest;
        self.open.len() < before
    }

    /// Ends the open ones, of which none is paid, after a refusal. `found` is of all that were open when it came.
    fn end_as_found(&mut self, refusal: PayError, found: &[Found]) -> PayError {
        let unpaid: Vec<_> = found.iter().filter(|found| found.payment.is_none()).collect();
        let (aborted, sold) = (unpaid.iter().any(|it| it.was_aborted), unpaid.iter().any(|it| it.seat_sold));
        let ended = self
            .open
            .drain(..)
            .zip(unpaid)
            .map(|(order, found)| (order, if found.seat_sold { Outcome::SoldToAnother } else { Outcome::Refused }));
        self.ended.extend(ended);
        match refusal {
            PayError::Store(error) => PayError::Store(error),
            _ if sold => PayError::Taken,
            // Somebody has put a tombstone, or the seat's sale was undone again: the next attempt may pass.
            _ if aborted => PayError::InProgress,
            PayError::Taken => PayError::InProgress,
            refusal => refusal,
        }
    }

    /// All in the order asked; none if one is not paid.
    fn answer_with(&self, now: &[(ReservationId, Paid)]) -> Option<Vec<(ReservationId, Paid)>> {
        let now: HashMap<_, _> = now.iter().copied().collect();
        let paid = |id: &ReservationId| Some((*id, *now.get(id).or_else(|| self.paid.get(id))?));
        self.asked.iter().map(paid).collect()
    }

    fn answer(&self) -> Result<Vec<(ReservationId, Paid)>, PayError> {
        let unexpected = || StoreError::Unexpected { store: "postgres", source: "a batch was paid in part".into() };
        Ok(self.answer_with(&[]).ok_or_else(unexpected)?)
    }
}
