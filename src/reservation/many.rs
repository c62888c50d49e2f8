//! Holding several seats at once, all or none.

use super::abandoned::OnTheirWay;
use super::{HoldError, Reservations};
use crate::ids::{ReservationId, ScheduleId, SeatId, UserId};
use crate::queue::{Presented, Standing};
use crate::seat::{HoldMany, HoldTerms, Wanted};
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
        &'static self,
        pass: &Presented,
        schedule: ScheduleId,
        wanted: &Wanted,
    ) -> Result<HeldMany, HoldError> {
        self.require_open(pass, schedule)?;
        let user = pass.claim.user;
        let terms = HoldTerms { ttl: pass.queue.settings.hold_ttl, most: self.most_holds };
        let ids = self.ids.take_many(schedule, wanted.count()).await?;
        let mut on_their_way = OnTheirWay::new(self, pass, schedule, ids.clone());
        // As with one seat, a failure leaves it unknown whether the ids were used.
        let outcome = self.seats.hold_many(schedule, wanted, &pass.claim.holder(), &ids, terms).await?;
        let taken: &[(u32, ReservationId)] = if let HoldMany::Held { seats, .. } = &outcome { seats } else { &[] };
        let (new, unused): (Vec<_>, Vec<_>) =
            ids.into_iter().partition(|id| taken.iter().any(|(_, taken)| taken == id));
        for id in unused {
            self.ids.give_back(schedule, id);
        }
        let (held, expires_ms) = match outcome {
            HoldMany::Held { seats, expires_ms } => (seats, expires_ms),
            HoldMany::Taken => return Err(on_their_way.refused(HoldError::Taken)),
            HoldMany::Limit => return Err(on_their_way.refused(HoldError::Limit)),
            HoldMany::NoSeat => return Err(on_their_way.refused(HoldError::NoSeat)),
        };
        let keeping = self.queues.keeping(&pass.queue, &pass.claim, schedule, terms.ttl);
        let standing = self.queues.keep(&pass.queue, &pass.claim, &keeping, None).await?;
        if !matches!(standing, Standing::Active { .. }) {
            self.release_all(schedule, user, &new).await?;
            return Err(on_their_way.refused(HoldError::NotActive(standing)));
        }
        on_their_way.settled();
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
