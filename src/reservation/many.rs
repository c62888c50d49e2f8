//! Holding several seats at once, all or none.

use super::{HoldError, Reservations};
use crate::ids::{ReservationId, ScheduleId, SeatId, UserId};
use crate::queue::{Presented, Standing};
use crate::seat::{HoldMany, Wanted};
use crate::store_error::StoreError;

/// Seats that are held together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldMany {
    /// Each seat with its reservation: in the order asked for, or of their places.
    pub seats: Vec<(SeatId, ReservationId)>,
    /// Those that were not held by the same user before.
    pub new: Vec<ReservationId>,
    /// When the first of them lapses, in milliseconds since 1970.
    pub expires_ms: i64,
}

impl Reservations {
    /// Holds seats for the user of an active token, all or none, as [`hold`](Self::hold) does one.
    pub async fn hold_many(
        &self,
        pass: &Presented,
        schedule: ScheduleId,
        wanted: &Wanted,
    ) -> Result<HeldMany, HoldError> {
        self.require_open(pass, schedule)?;
        let (holder, terms) = (pass.claim.holder(), self.terms(pass));
        let ids = self.ids.take_many(schedule, wanted.count()).await?;
        let run = || self.seats.hold_many(schedule, wanted, &holder, &ids, terms);
        // As with one seat, a failure leaves it unknown whether the ids were used.
        let outcome = self.queues.ask(&pass.queue, &pass.claim, run).await?;
        let taken: &[(u32, ReservationId)] = if let HoldMany::Held { seats, .. } = &outcome { seats } else { &[] };
        let (new, unused): (Vec<_>, Vec<_>) = ids.iter().partition(|id| taken.iter().any(|(_, taken)| taken == *id));
        // Nor does a token that has ended say that they were not.
        for id in unused.into_iter().filter(|_| !matches!(outcome, HoldMany::NotActive(_))) {
            self.ids.give_back(schedule, id);
        }
        let (held, expires_ms, left) = match outcome {
            HoldMany::Held { seats, expires_ms, token_left } => (seats, expires_ms, token_left),
            HoldMany::Taken => return Err(HoldError::Taken),
            HoldMany::Limit => return Err(HoldError::Limit),
            HoldMany::NoSeat => return Err(HoldError::NoSeat),
            HoldMany::NotActive(standing) => return Err(self.not_active(pass, standing)),
        };
        self.queues.learn_standing(&pass.claim, &Standing::Active { left });
        let plan = self.seats.plan(schedule).await?;
        let seat = |(position, id): (u32, ReservationId)| Some((plan.at(position)?.id, id));
        Ok(HeldMany { seats: held.into_iter().filter_map(seat).collect(), new, expires_ms })
    }

    /// Gives up several holds.
    pub(super) async fn release_all(
        &self,
        schedule: ScheduleId,
        user: UserId,
        reservations: &[ReservationId],
    ) -> Result<(), StoreError> {
        for reservation in reservations {
            self.release(schedule, user, *reservation).await?;
        }
        Ok(())
    }
}
