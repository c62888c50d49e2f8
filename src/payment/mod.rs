//! Payments: the only place where seats and money meet. Owns the tables `reservation` and `payment_history`.
//!
//! hold → `seat.begin_payment` (nobody can take the seat while money moves) → one statement in Postgres, which alone
//! decides, for many at once → `seat.finish_payment`, which follows. Each step is fenced by the reservation id: it is the key
//! of the reservation's row, so it is paid at most once, whoever asks how often, whatever crashes where. And by the attempt's
//! number: an attempt of which nobody knows whether it will still arrive is stopped by a tombstone, and the next one may pass.

mod batch;
mod control;
mod gathered;
mod history;
mod http;
mod reconcile;
mod refund;
mod store;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

pub use control::Totals;
pub use history::Past;
pub use http::{calls, router};
pub use refund::{RefundError, Refunded};

use crate::concert::Concerts;
use crate::http::carried;
use crate::idempotency::Claim;
use crate::ids::{PaymentId, ReservationId, ScheduleId};
use crate::money::Won;
use crate::postgres::Postgres;
use crate::queue::{Completion, Presented, Queues, Standing};
use crate::reservation::ReservationIds;
use crate::seat::{Attempt, Begun, Finished, Holder, Outcome, Seats};
use crate::store_error::StoreError;
use gathered::Purchases;
use store::{Decision, PayFailure, Purchase, Record};

/// How often it is looked whether a token that has paid may end: each look may find another schedule to look into.
const LOOKS: u32 = 16;

/// Payments, and what they need.
#[derive(Debug)]
pub struct Payments {
    postgres: Postgres,
    concerts: Arc<Concerts>,
    queues: Arc<Queues>,
    seats: Arc<Seats>,
    ids: Arc<ReservationIds>,
    purchases: Purchases,
    tasks: TaskTracker,
}

/// Why a reservation was not paid.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// The token may not pay, and nothing was paid before.
    #[error("the token is not active")]
    NotActive(Standing),
    /// No such reservation, or another user's.
    #[error("there is no such reservation of this user")]
    NoReservation,
    /// The reservation is for a concert of another queue.
    #[error("the token is for another queue than this concert's")]
    WrongQueue,
    /// The hold has lapsed.
    #[error("the hold has lapsed")]
    Lapsed,
    /// Another request is paying for it now.
    #[error("another request is paying for it now")]
    InProgress,
    /// Postgres says that the seat is another's: the hold was lost with Redis, and taken again.
    #[error("the seat was sold to someone else")]
    Taken,
    /// The wallet cannot pay.
    #[error("the wallet cannot pay")]
    Insufficient,
    /// Another request has the same key.
    #[error("another request has the same Idempotency-Key")]
    KeyInUse,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A payment made, now or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// Its id in the history.
    pub id: PaymentId,
    /// What was taken; none if it had been taken before.
    pub taken: Option<Won>,
}

/// How a payment begins.
enum Start {
    /// The seat waits for the money.
    Begun(ScheduleId, Attempt),
    /// It was paid before.
    PaidBefore(Paid),
    /// It was paid before, and the map knows it or has forgotten it.
    SoldBefore(ScheduleId, Paid),
}

/// What became of an attempt.
enum Carried {
    /// The money is taken, now or before.
    Paid(Paid),
    /// It was paid before, and refunded since: the answer is the same, but nothing is sold.
    Refunded(Paid),
    /// Nothing is taken, and nothing will be by this attempt.
    Ended(Outcome, PayError),
}

impl Payments {
    /// Payments run as tasks of `tasks`, so that a shutdown can wait for them.
    #[must_use]
    pub fn new(
        postgres: Postgres,
        concerts: Arc<Concerts>,
        queues: Arc<Queues>,
        seats: Arc<Seats>,
        ids: Arc<ReservationIds>,
        tasks: TaskTracker,
    ) -> Self {
        let purchases = Purchases::new(postgres.clone());
        Self { postgres, concerts, queues, seats, ids, purchases, tasks }
    }

    /// Pays for a reservation, in a task of its own: a client that goes away does not stop half-way. Under a key, the answer
    /// is stored with the payment.
    pub async fn pay(
        &'static self,
        presented: Presented,
        reservation: ReservationId,
        claim: Option<Arc<Claim>>,
    ) -> Result<Paid, PayError> {
        let paying = async move { self.pay_whole(&presented, reservation, claim.as_deref()).await };
        // It is large, and on its way into the task it is moved several times.
        let task = self.tasks.spawn(carried(Box::pin(paying)));
        task.await
            .unwrap_or_else(|error| Err(StoreError::Unexpected { store: "payment task", source: error.into() }.into()))
    }

    async fn pay_whole(
        &self,
        presented: &Presented,
        reservation: ReservationId,
        claim: Option<&Claim>,
    ) -> Result<Paid, PayError> {
        let start = match self.begin(presented, reservation).await {
            Err(why) => match self.not_active(presented, &why).await? {
                Some(standing) => return self.too_late(presented, reservation, standing).await,
                None => return Err(why),
            },
            Ok(start) => start,
        };
        match start {
            Start::Begun(schedule, attempt) => {
                let outcome = self.carry_out(presented, schedule, &attempt, claim).await?;
                self.follow(presented, schedule, &attempt, outcome).await
            }
            Start::PaidBefore(paid) => Ok(paid),
            Start::SoldBefore(schedule, paid) => {
                self.end_token_again(presented, schedule).await;
                Ok(paid)
            }
        }
    }

    /// From here on nobody else takes the seat while money moves; unless it has moved before.
    async fn begin(&self, presented: &Presented, reservation: ReservationId) -> Result<Start, PayError> {
        let schedule = self.ids.schedule_of(reservation).await?.ok_or(PayError::NoReservation)?;
        self.require_queue(presented, schedule, reservation).await?;
        match self.begin_attempt(presented, schedule, reservation).await? {
            Begun::Begun { position, attempt: number } => {
                Ok(Start::Begun(schedule, Attempt { reservation, user: presented.claim.user, position, number }))
            }
            // It may be that the money has moved and only Redis does not know yet.
            Begun::Paying | Begun::Doubtful => {
                self.replay(presented, reservation).await?.map(Start::PaidBefore).ok_or(PayError::InProgress)
            }
            // The token was not active; should it be so now, the next attempt will pass.
            Begun::OtherToken => Err(PayError::InProgress),
            Begun::Lapsed => self.replay(presented, reservation).await?.map(Start::PaidBefore).ok_or(PayError::Lapsed),
            Begun::Sold | Begun::Unknown => {
                let paid = self.replay(presented, reservation).await?.ok_or(PayError::NoReservation)?;
                Ok(Start::SoldBefore(schedule, paid))
            }
        }
    }

    /// A hold that is the token's own keeps it active to its end, and goes when it is left: so whoever has one may pay, and
    /// the queue need not be asked. With another token than it was taken under, it has to be.
    async fn begin_attempt(
        &self,
        presented: &Presented,
        schedule: ScheduleId,
        reservation: ReservationId,
    ) -> Result<Begun, StoreError> {
        let Holder { user, token, .. } = presented.claim.holder();
        let begun = self.seats.begin_payment(schedule, user, reservation, Some(&token)).await?;
        if begun != Begun::OtherToken
            || !matches!(self.queues.check(&presented.queue, &presented.claim).await?, Standing::Active { .. })
        {
            return Ok(begun);
        }
        self.seats.begin_payment(schedule, user, reservation, None).await
    }

    /// What has become of the token of who was refused, if it may not pay: it may have ended, and its holds with it.
    async fn not_active(&self, presented: &Presented, why: &PayError) -> Result<Option<Standing>, StoreError> {
        if matches!(why, PayError::Store(_)) {
            return Ok(None);
        }
        let standing = self.queues.check(&presented.queue, &presented.claim).await?;
        Ok(Some(standing).filter(|standing| !matches!(standing, Standing::Active { .. })))
    }

    /// The crash that made this a repetition may have kept the token from its end. A later token of the same user has
    /// nothing to do with that sale.
    async fn end_token_again(&self, presented: &Presented, schedule: ScheduleId) {
        self.end_token(presented, vec![schedule], Some(schedule)).await;
    }

    /// For a token that may not pay any more: what it has paid, or what is still to be seen.
    async fn too_late(
        &self,
        presented: &Presented,
        reservation: ReservationId,
        standing: Standing,
    ) -> Result<Paid, PayError> {
        if let Some(paid) = self.replay(presented, reservation).await? {
            return Ok(paid);
        }
        let Some(schedule) = self.ids.schedule_of(reservation).await? else {
            return Err(PayError::NotActive(standing));
        };
        let held = self.seats.held(schedule, presented.claim.user).await?;
        if held.iter().any(|held| held.reservation == reservation && held.paying) {
            return Err(PayError::InProgress);
        }
        // Not under way any more: it may have come to its end just now.
        self.replay(presented, reservation).await?.ok_or(PayError::NotActive(standing))
    }

    /// What the same user has paid before for the same reservation.
    async fn replay(&self, presented: &Presented, reservation: ReservationId) -> Result<Option<Paid>, StoreError> {
        match store::find(&self.postgres, reservation).await? {
            Some(Record { user, payment: Some(id), .. }) if user == presented.claim.user => {
                Ok(Some(Paid { id, taken: None }))
            }
            _ => Ok(None),
        }
    }

    /// To others than the holder, a reservation of another queue is as absent as any.
    async fn require_queue(
        &self,
        presented: &Presented,
        schedule: ScheduleId,
        reservation: ReservationId,
    ) -> Result<(), PayError> {
        let queue = self.concerts.schedule(schedule).ok_or(PayError::NoReservation)?.queue;
        if queue == presented.queue.id || self.replay(presented, reservation).await?.is_some() {
            return Ok(());
        }
        let held = self.seats.held(schedule, presented.claim.user).await?;
        Err(if held.iter().any(|held| held.reservation == reservation) {
            PayError::WrongQueue
        } else {
            PayError::NoReservation
        })
    }

    /// Asks Postgres to carry the attempt out. An error means that it is not known what became of it, and that the
    /// reconciler will find out.
    async fn carry_out(
        &self,
        presented: &Presented,
        schedule: ScheduleId,
        attempt: &Attempt,
        claim: Option<&Claim>,
    ) -> Result<Carried, StoreError> {
        let plan = self.seats.plan(schedule).await?;
        let Some(seat) = plan.at(attempt.position) else {
            return Ok(Carried::Ended(Outcome::Aborted, PayError::NoReservation));
        };
        // Nothing is to be taken, but the books want a wallet, which who never charged has not got.
        if seat.price == Won(0)
            && let Err(error) = store::open_wallet(&self.postgres, attempt.user).await
        {
            return Ok(Carried::Ended(Outcome::Refused, error.into()));
        }
        let purchase = Purchase { attempt: *attempt, seat: seat.id, token: presented.claim };
        let decided = match claim {
            None => self.purchases.pay(purchase).await,
            Some(claim) => store::pay_once(&self.postgres, &purchase, claim).await,
        };
        let decision = match decided {
            Ok(Decision::Paid(paid)) => return Ok(Carried::Paid(paid)),
            Ok(Decision::KeyInUse) => return Ok(Carried::Ended(Outcome::Refused, PayError::KeyInUse)),
            Err(PayFailure::NothingHappened(error)) => return Ok(Carried::Ended(Outcome::Refused, error.into())),
            Ok(refusal) => Ok(refusal),
            Err(PayFailure::Unknown(error)) => {
                // Whether it will still arrive is decided now: by its tombstone, unless it was there before.
                store::abort(&self.postgres, attempt, seat.id).await?;
                Err(error)
            }
        };
        // A refusal, too, may only mean that the money was taken before, by a payment that Redis has forgotten: then the
        // wallet is short, or the seat is sold, because of this very reservation.
        let record = store::find(&self.postgres, attempt.reservation).await?;
        if let Some(Record { payment: Some(id), live, .. }) = record {
            let paid = Paid { id, taken: None };
            return Ok(if live { Carried::Paid(paid) } else { Carried::Refunded(paid) });
        }
        let was_aborted = record.is_some_and(|record| record.attempt >= attempt.number);
        Ok(match decision {
            Err(error) => Carried::Ended(Outcome::Refused, error.into()),
            Ok(Decision::SeatSold) => Carried::Ended(Outcome::SoldToAnother, PayError::Taken),
            Ok(_) if was_aborted => Carried::Ended(Outcome::Refused, PayError::InProgress),
            Ok(_) => Carried::Ended(Outcome::Refused, PayError::Insufficient),
        })
    }

    /// Makes Redis follow what Postgres decided. What fails here is mended by the reconciler, or by settling the map, so it
    /// cannot fail the call.
    async fn follow(
        &self,
        presented: &Presented,
        schedule: ScheduleId,
        attempt: &Attempt,
        carried: Carried,
    ) -> Result<Paid, PayError> {
        let (outcome, answer) = match carried {
            Carried::Paid(paid) => (Outcome::Paid, Ok(paid)),
            Carried::Refunded(paid) => (Outcome::Aborted, Ok(paid)),
            Carried::Ended(outcome, error) => (outcome, Err(error)),
        };
        let token = Some(presented).filter(|presented| answer.is_ok() && self.sells(presented, schedule));
        let place = token.map(|presented| presented.claim.place);
        let finished = self.seats.finish_payment(schedule, attempt, outcome, place).await;
        if let Err(error) = &finished {
            tracing::warn!(reservation.id = %attempt.reservation, %error, "the seat map lags behind a payment");
        }
        let paid = answer?;
        match finished {
            // The usual case: it was the only seat.
            Ok(Finished::Sold { is_token_done: true }) => self.queues.has_ended(&presented.claim),
            _ => self.end_token(presented, vec![schedule], None).await,
        }
        Ok(paid)
    }

    /// Ends the token; while its user holds other seats under it, with the last of them. A token that a fault keeps from its
    /// end here ends with its time.
    async fn end_token(&self, presented: &Presented, schedules: Vec<ScheduleId>, only_if_held_in: Option<ScheduleId>) {
        if let Err(error) = self.try_end_token(presented, schedules, only_if_held_in).await {
            tracing::warn!(user.id = %presented.claim.user, %error, "a token that has paid lives on to its time's end");
        }
    }

    /// Looks into `schedules`, then into all of which the queue tells that there may be seats too.
    async fn try_end_token(
        &self,
        presented: &Presented,
        schedules: Vec<ScheduleId>,
        only_if_held_in: Option<ScheduleId>,
    ) -> Result<(), StoreError> {
        let Presented { queue, claim } = presented;
        let mut schedules: Vec<_> = schedules.into_iter().filter(|schedule| self.sells(presented, *schedule)).collect();
        if schedules.is_empty() {
            return Ok(());
        }
        for _ in 0..LOOKS {
            match self.queues.complete(queue, claim, &schedules, only_if_held_in).await? {
                Completion::Holding(all) => schedules = all,
                // Whoever asks has it loaded.
                Completion::Missing(schedule) => _ = self.seats.held(schedule, claim.user).await?,
                Completion::Completed | Completion::Kept | Completion::Gone => return Ok(()),
            }
        }
        let source = "what is held under the token does not come to rest".into();
        Err(StoreError::Unavailable { store: "redis", source })
    }

    /// Whether the token is of the queue that serves this schedule: who has paid before may ask again with another queue's.
    fn sells(&self, presented: &Presented, schedule: ScheduleId) -> bool {
        self.concerts.schedule(schedule).is_some_and(|schedule| schedule.queue == presented.queue.id)
    }
}
