//! What a crash leaves behind: a seat that is being paid by nobody. Postgres' truth decides what becomes of it, and where
//! it has none, a tombstone makes one: of an attempt and its tombstone, whoever comes first has decided.

use std::time::Duration;

use super::{Payments, store};
use crate::ids::ScheduleId;
use crate::seat::{Attempt, Outcome};
use crate::store_error::StoreError;

/// From which age a payment is looked into. Longer than any that is well can take: waiting for a connection and for the
/// statement are bounded at less than 2 s each.
pub const SUSPICIOUS_AGE: Duration = Duration::from_secs(5);

impl Payments {
    /// Brings one suspicious attempt to its end: sold, or held again as before.
    pub async fn reconcile(&self, schedule: ScheduleId, attempt: Attempt) -> Result<(), StoreError> {
        let plan = self.seats.plan(schedule).await?;
        if let Some(seat) = plan.at(attempt.position) {
            store::abort(&self.postgres, &attempt, seat.id).await?;
        }
        let outcome = match store::find(&self.postgres, attempt.reservation).await? {
            Some(record) if record.live => Outcome::Paid,
            _ => Outcome::Refused,
        };
        self.seats.finish_payment(schedule, &attempt, outcome).await?;
        tracing::warn!(reservation.id = %attempt.reservation, ?outcome, "a payment that nobody finished was reconciled");
        Ok(())
    }
}
