//! What a crash leaves behind: a seat that is being paid by nobody. Postgres' truth decides what becomes of it, and where
//! it has none, a tombstone makes one: of an attempt and its tombstone, whoever comes first has decided.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Payments, store};
use crate::ids::ScheduleId;
use crate::queue::{Claim, Presented, Queue};
use crate::seat::{Attempt, Outcome};
use crate::store_error::StoreError;

impl Payments {
    /// Brings one suspicious attempt to its end: sold, or free if it was refunded since, or held again as before.
    pub async fn reconcile(&self, schedule: ScheduleId, attempt: Attempt) -> Result<(), StoreError> {
        let plan = self.seats.plan(schedule).await?;
        if let Some(seat) = plan.at(attempt.position) {
            store::abort(&self.postgres, &attempt, seat.id).await?;
        }
        let outcome = match store::find(&self.postgres, attempt.reservation).await? {
            Some(record) if record.live => Outcome::Paid,
            Some(record) if record.payment.is_some() => Outcome::Aborted,
            _ => Outcome::Refused,
        };
        self.seats.finish_payment(schedule, &attempt, outcome, None).await?;
        if outcome == Outcome::Paid
            && let Some(claim) = store::token_of(&self.postgres, attempt.reservation).await?
            && let Some(queue) = self.queues.get(claim.queue)
        {
            let presented = Presented { claim, queue };
            Box::pin(self.end_token(&presented, vec![schedule], None)).await;
        }
        tracing::warn!(reservation.id = %attempt.reservation, ?outcome, "a payment that nobody finished was reconciled");
        Ok(())
    }

    /// Ends the tokens that have paid and that a Redis that came back with less has as live.
    pub async fn end_used_tokens(&self) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        for queue in self.queues.take_left() {
            let ended = self.end_used_tokens_of(&queue).await;
            if ended.is_err() {
                self.queues.put_back(&queue);
            }
            outcome = outcome.and(ended);
        }
        outcome
    }

    async fn end_used_tokens_of(&self, queue: &Arc<Queue>) -> Result<(), StoreError> {
        let mut schedules: HashMap<Claim, Vec<ScheduleId>> = HashMap::new();
        for (claim, schedule) in store::used_up(&self.postgres, queue.id).await? {
            schedules.entry(claim).or_default().push(schedule);
        }
        let paid: Vec<Claim> = schedules.keys().copied().collect();
        for claim in self.queues.use_up(queue, &paid).await? {
            let schedules = schedules.remove(&claim).unwrap_or_default();
            let presented = Presented { claim, queue: Arc::clone(queue) };
            self.end_token(&presented, schedules, None).await;
        }
        Ok(())
    }
}
