//! What a crash leaves behind: a seat that is being paid by nobody. Postgres' truth decides what becomes of it, and where
//! it has none, a tombstone makes one: whoever inserts the reservation's row first, payment or tombstone, has decided.

use std::time::Duration;

use super::{Payments, store};
use crate::ids::ScheduleId;
use crate::seat::{Outcome, Suspicious};
use crate::store_error::StoreError;

/// From which age a payment is looked into. Longer than any that is well can take: waiting for a connection and for the
/// statement are bounded at less than 2 s each.
pub const SUSPICIOUS_AGE: Duration = Duration::from_secs(5);

impl Payments {
    /// Brings one suspicious payment to its end.
    pub async fn reconcile(&self, schedule: ScheduleId, found: Suspicious) -> Result<(), StoreError> {
        let Suspicious { reservation, user, position } = found;
        let plan = self.seats.plan(schedule).await?;
        if let Some(seat) = plan.at(position) {
            store::abort(&self.postgres, reservation, user, seat.id).await?;
        }
        let outcome = match store::find(&self.postgres, reservation).await? {
            Some(record) if record.live => Outcome::Paid,
            _ => Outcome::Aborted,
        };
        self.seats.finish_payment(schedule, user, reservation, position, outcome).await?;
        tracing::warn!(reservation.id = %reservation, ?outcome, "a payment that nobody finished was reconciled");
        Ok(())
    }
}
