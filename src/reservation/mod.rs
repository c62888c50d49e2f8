//! Reservations up to the payment: temporary holds, taken and given up; and a user's own, what it has bought too. Owns
//! Postgres' table `reservation_block`; the holds themselves are in the seat map.

mod http;
mod ids;
mod many;
mod own;
mod store;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

pub use http::{calls, router};
pub use ids::ReservationIds;
pub use many::HeldMany;
pub use own::{GiveUpError, Reservation, Status};

use crate::concert::Concerts;
use crate::http::carried;
use crate::ids::{ReservationId, ScheduleId, SeatId, UserId};
use crate::postgres::Postgres;
use crate::queue::{Departure, Presented, Queues, Standing};
use crate::seat::{Hold, HoldTerms, Holder, Released, Seats};
use crate::store_error::StoreError;

/// Holds, and what they need.
#[derive(Debug)]
pub struct Reservations {
    postgres: Postgres,
    concerts: Arc<Concerts>,
    queues: Arc<Queues>,
    seats: Arc<Seats>,
    ids: Arc<ReservationIds>,
    most_holds: u32,
    tasks: TaskTracker,
}

/// A seat that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Under which id.
    pub reservation: ReservationId,
    /// Whether it was not held by the same user before.
    pub is_new: bool,
}

/// Why a seat was not held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// No such schedule, or it is over.
    #[error("there is no such schedule, or it is over")]
    NoSchedule,
    /// The schedule belongs to another queue.
    #[error("the token is for another queue than this concert's")]
    WrongQueue,
    /// The schedule has no such seat.
    #[error("the schedule has no such seat")]
    NoSeat,
    /// Held or sold to someone else.
    #[error("the seat is held or sold to someone else")]
    Taken,
    /// The user holds as many as one may.
    #[error("the user holds as many seats of this schedule as one may")]
    Limit,
    /// The token may not try.
    #[error("the token is no longer active")]
    NotActive(Standing),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Reservations {
    /// At most `most_holds` a user and schedule. What outlives its request runs as a task of `tasks`.
    #[must_use]
    pub fn new(
        postgres: Postgres,
        concerts: Arc<Concerts>,
        queues: Arc<Queues>,
        seats: Arc<Seats>,
        ids: Arc<ReservationIds>,
        most_holds: u32,
        tasks: TaskTracker,
    ) -> Self {
        Self { postgres, concerts, queues, seats, ids, most_holds, tasks }
    }

    /// Holds a seat for the user of an active token, for the queue's time, and keeps the token alive so long; the same seat
    /// again, the same reservation. One script, so no hold outlives its token, whatever fails and whoever hangs up.
    pub async fn hold(&self, pass: &Presented, schedule: ScheduleId, seat: SeatId) -> Result<Held, HoldError> {
        self.require_open(pass, schedule)?;
        let (holder, terms) = (pass.claim.holder(), self.terms(pass));
        let id = self.ids.take(schedule).await?;
        let run = || self.seats.hold(schedule, seat, &holder, id, terms);
        // A failure leaves it unknown whether the id was used, so it is lost then. Nor do "again" and a token that has ended say
        // that it was not: a connection that repeats a script after a lost answer is told so of what the first run took.
        let hold = self.queues.ask(&pass.queue, &pass.claim, run).await?;
        let is_used = match hold {
            Hold::Held { reservation, .. } => reservation == id,
            Hold::NotActive(_) => true,
            Hold::Taken | Hold::Limit | Hold::NoSeat => false,
        };
        if !is_used {
            self.ids.give_back(schedule, id);
        }
        match hold {
            Hold::Held { reservation, token_left, .. } => {
                self.queues.learn_standing(&pass.claim, &Standing::Active { left: token_left });
                Ok(Held { reservation, is_new: reservation == id })
            }
            Hold::Taken => Err(HoldError::Taken),
            Hold::Limit => Err(HoldError::Limit),
            Hold::NoSeat => Err(HoldError::NoSeat),
            Hold::NotActive(standing) => Err(self.not_active(pass, standing)),
        }
    }

    fn terms(&self, pass: &Presented) -> HoldTerms {
        let settings = &pass.queue.settings;
        HoldTerms { ttl: settings.hold_ttl, most: self.most_holds, waiting_ttl: settings.waiting_ttl }
    }

    fn not_active(&self, pass: &Presented, standing: Standing) -> HoldError {
        self.queues.learn_standing(&pass.claim, &standing);
        HoldError::NotActive(standing)
    }

    /// Fails unless seats of this schedule may be held under this token.
    fn require_open(&self, pass: &Presented, schedule: ScheduleId) -> Result<(), HoldError> {
        let upcoming = self.concerts.upcoming(schedule).ok_or(HoldError::NoSchedule)?;
        if upcoming.queue == pass.queue.id { Ok(()) } else { Err(HoldError::WrongQueue) }
    }

    /// Gives up a hold; one that is being paid stays.
    pub async fn release(
        &self,
        schedule: ScheduleId,
        user: UserId,
        reservation: ReservationId,
    ) -> Result<(), StoreError> {
        let released = self.seats.release(schedule, user, reservation, None).await?;
        tell_of(released, reservation);
        Ok(())
    }

    /// Ends a token at its owner's wish, and gives up the seats held under it; false if this token is not known. In a task of
    /// its own, so that a client that goes away does not leave holds behind that have no token.
    pub async fn leave(&'static self, presented: Presented) -> Result<bool, StoreError> {
        let task = self.tasks.spawn(carried(async move { self.leave_whole(&presented).await }));
        task.await.unwrap_or_else(|error| Err(StoreError::Unexpected { store: "leaving task", source: error.into() }))
    }

    /// The seats first: should this fail half-way, the token is still there to be left again. Then those that were taken
    /// meanwhile.
    async fn leave_whole(&self, presented: &Presented) -> Result<bool, StoreError> {
        let standing = self.queues.check(&presented.queue, &presented.claim).await?;
        if matches!(standing, Standing::Active { .. }) {
            let schedules = self.queues.holding(&presented.queue, presented.claim.user).await?;
            self.give_up_under(presented, schedules).await?;
        }
        match self.queues.leave(&presented.queue, &presented.claim).await? {
            Departure::Left(schedules) => self.give_up_under(presented, schedules).await.map(|()| true),
            Departure::Gone => Ok(true),
            Departure::Unknown => Ok(false),
        }
    }

    /// Gives up what is held in these under this token, or was under an earlier one of this queue; a later one's stay.
    async fn give_up_under(&self, presented: &Presented, schedules: Vec<ScheduleId>) -> Result<(), StoreError> {
        let Holder { user, token, .. } = presented.claim.holder();
        for schedule in schedules {
            for held in self.seats.held(schedule, user).await? {
                let released = self.seats.release(schedule, user, held.reservation, Some(&token)).await?;
                tell_of(released, held.reservation);
            }
        }
        Ok(())
    }
}

fn tell_of(released: Released, reservation: ReservationId) {
    if released == Released::Paying {
        tracing::debug!(reservation.id = %reservation, "given up while paying: the payment decides");
    }
}
