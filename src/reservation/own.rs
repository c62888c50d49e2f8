//! A user's own reservations: what is held, from the seat maps; what is bought, from Postgres, which has the last word on it.

use std::collections::HashSet;

use chrono::NaiveDate;

use super::Reservations;
use super::store::{self, Bought};
use crate::ids::{ConcertId, ReservationId, ScheduleId, SeatId, UserId};
use crate::money::Won;
use crate::queue::Presented;
use crate::seat::{Found, HoldStatus, Released};
use crate::store_error::StoreError;

/// A reservation, as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// The concert.
    pub concert: ConcertId,
    /// The evening.
    pub schedule: ScheduleId,
    /// The venue's date.
    pub date: NaiveDate,
    /// The seat.
    pub seat: SeatId,
    /// The part of the hall.
    pub section: String,
    /// The row within it.
    pub row: String,
    /// The seat's number.
    pub number: i32,
    /// What it costs, or what was paid.
    pub price: Won,
    /// What has become of it.
    pub status: Status,
}

/// What has become of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It can be paid.
    Held {
        /// Until then: milliseconds since 1970.
        expires_ms: i64,
    },
    /// It is being paid.
    Paying {
        /// Until then it can be paid if this attempt fails: milliseconds since 1970.
        expires_ms: i64,
    },
    /// It is paid.
    Confirmed,
    /// Its time is over.
    Expired,
    /// It was given up before it was paid, or refunded after.
    Cancelled,
}

/// Why a hold was not given up.
#[derive(Debug, thiserror::Error)]
pub enum GiveUpError {
    /// No such reservation, or another user's.
    #[error("there is no such reservation of this user")]
    NoReservation,
    /// A request is paying for it now.
    #[error("a request is paying for it now")]
    Paying,
    /// It is paid.
    #[error("it is paid")]
    Paid,
    /// It has lapsed, or was refunded.
    #[error("the hold has lapsed")]
    Lapsed,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Reservations {
    /// What the user holds in the token's queue, then the last that it has bought anywhere. What a loss of Redis has taken is
    /// not there.
    pub async fn own(&self, presented: &Presented) -> Result<Vec<Reservation>, StoreError> {
        let user = presented.claim.user;
        let mut held = Vec::new();
        for schedule in self.queues.holding(&presented.queue, user).await? {
            for found in self.seats.find(schedule, user, None).await? {
                held.push((schedule, found));
            }
        }
        held.sort_unstable_by_key(|(_, found)| std::cmp::Reverse((found.expires_ms, found.reservation)));
        // Postgres is asked after Redis: what is paid in between is in the answer, and once.
        let bought: Vec<Reservation> =
            store::bought(&self.postgres, user, None).await?.into_iter().map(Reservation::from).collect();
        let known: HashSet<ReservationId> = bought.iter().map(|bought| bought.id).collect();
        let mut own = Vec::new();
        for (schedule, found) in held {
            if !known.contains(&found.reservation) {
                own.extend(self.held(schedule, &found).await?);
            }
        }
        own.extend(bought);
        Ok(own)
    }

    /// One of a user's own; none if there is none of this id, or it is another's.
    pub async fn find(&self, user: UserId, id: ReservationId) -> Result<Option<Reservation>, StoreError> {
        let Some(schedule) = self.ids.schedule_of(id).await? else { return Ok(None) };
        let found = self.seats.find(schedule, user, Some(id)).await?;
        if let Some(bought) = store::bought(&self.postgres, user, Some(id)).await?.pop() {
            return Ok(Some(bought.into()));
        }
        match found.first() {
            Some(found) => self.held(schedule, found).await,
            None => Ok(None),
        }
    }

    /// Gives up a hold at its user's wish; once more is no mistake.
    pub async fn give_up(&self, user: UserId, id: ReservationId) -> Result<(), GiveUpError> {
        let schedule = self.ids.schedule_of(id).await?.ok_or(GiveUpError::NoReservation)?;
        match self.seats.release(schedule, user, id, None).await? {
            Released::Released | Released::GivenUp => Ok(()),
            Released::Paying => Err(GiveUpError::Paying),
            Released::Sold => Err(GiveUpError::Paid),
            Released::Lapsed | Released::LaterToken => Err(GiveUpError::Lapsed),
            // A map that was built anew does not know of a sale whose it is.
            Released::Unknown => match store::bought(&self.postgres, user, Some(id)).await?.pop() {
                Some(Bought { cancelled: false, .. }) => Err(GiveUpError::Paid),
                Some(Bought { cancelled: true, .. }) => Err(GiveUpError::Lapsed),
                None => Err(GiveUpError::NoReservation),
            },
        }
    }

    /// A reservation that Postgres has not got; none if its seat is not in the programme.
    async fn held(&self, schedule: ScheduleId, found: &Found) -> Result<Option<Reservation>, StoreError> {
        let plan = self.seats.plan(schedule).await?;
        let (Some(seat), Some(evening)) = (plan.at(found.position), self.concerts.schedule(schedule)) else {
            return Ok(None);
        };
        let expires_ms = found.expires_ms;
        let status = match found.status {
            HoldStatus::Held => Status::Held { expires_ms },
            HoldStatus::Paying => Status::Paying { expires_ms },
            // Sold, and not in Postgres, which was asked later, cannot be; it would not be anybody's to use.
            HoldStatus::Sold | HoldStatus::Ended => Status::Expired,
            HoldStatus::GivenUp => Status::Cancelled,
        };
        Ok(Some(Reservation {
            id: found.reservation,
            concert: evening.concert,
            schedule,
            date: evening.date,
            seat: seat.id,
            section: seat.section.clone(),
            row: seat.row.clone(),
            number: seat.number,
            price: seat.price,
            status,
        }))
    }
}

impl From<Bought> for Reservation {
    fn from(bought: Bought) -> Self {
        let Bought { id, concert, schedule, date, seat, section, row, number, price, cancelled } = bought;
        let status = if cancelled { Status::Cancelled } else { Status::Confirmed };
        Self { id, concert, schedule, date, seat, section, row, number, price, status }
    }
}
