//! Holds whose request is given up, or fails, before it is known that the token is kept for them: a task finds out what became
//! of them. A hold that outlived its token could be paid for by it.

use std::time::Duration;

use super::{HoldError, Reservations};
use crate::ids::{ReservationId, ScheduleId};
use crate::queue::{Presented, Standing};
use crate::seat::HoldStatus;
use crate::store_error::StoreError;

/// When it is looked: what was sent has come by then, as a rule.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Holds that may come to be, until they are settled.
pub(super) struct OnTheirWay {
    reservations: &'static Reservations,
    /// Whose, where, and under which ids; none once they are settled.
    unsettled: Option<(Presented, ScheduleId, Vec<ReservationId>)>,
}

impl OnTheirWay {
    pub(super) fn new(
        reservations: &'static Reservations,
        pass: &Presented,
        schedule: ScheduleId,
        ids: Vec<ReservationId>,
    ) -> Self {
        Self { reservations, unsettled: Some((pass.clone(), schedule, ids)) }
    }

    /// The token's standing is known and was acted upon.
    pub(super) fn settled(&mut self) {
        self.unsettled = None;
    }

    /// Nothing is held.
    pub(super) fn refused(&mut self, why: HoldError) -> HoldError {
        self.settled();
        why
    }
}

impl Drop for OnTheirWay {
    fn drop(&mut self) {
        let Some((pass, schedule, ids)) = self.unsettled.take() else { return };
        let reservations = self.reservations;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let settle = async move {
            tokio::time::sleep(LOOK_AFTER).await;
            if let Err(error) = reservations.keep_or_give_back(&pass, schedule, ids).await {
                tracing::warn!(user.id = %pass.claim.user, %error, "a hold whose request was given up may outlive its token");
            }
        };
        reservations.tasks.spawn_on(settle, &runtime);
    }
}

impl Reservations {
    /// Keeps the token for those of these that are held, or gives them up if it is not active.
    async fn keep_or_give_back(
        &self,
        pass: &Presented,
        schedule: ScheduleId,
        ids: Vec<ReservationId>,
    ) -> Result<(), StoreError> {
        let user = pass.claim.user;
        let mut held = Vec::new();
        for id in ids {
            let found = self.seats.find(schedule, user, Some(id)).await?;
            held.extend(found.iter().filter(|found| found.status == HoldStatus::Held).map(|found| found.reservation));
        }
        if held.is_empty() {
            return Ok(());
        }
        let keeping = self.queues.keeping(&pass.queue, &pass.claim, schedule, pass.queue.settings.hold_ttl);
        let standing = self.queues.keep(&pass.queue, &pass.claim, &keeping, None).await?;
        if matches!(standing, Standing::Active { .. }) { Ok(()) } else { self.release_all(schedule, user, &held).await }
    }
}
