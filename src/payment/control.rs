//! What operators ask of the payments, and the SQL for it.

use super::Payments;
use crate::store_error::StoreError;

/// What the payments have come to, refunded ones not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// How many.
    pub payments: i64,
    /// Won taken.
    pub won: i64,
}

impl Payments {
    /// What the payments have come to. Reads all of them.
    pub async fn totals(&self) -> Result<Totals, StoreError> {
        let read = sqlx::query_as!(
            Totals,
            r#"SELECT count(*) AS "payments!", coalesce(sum(amount), 0)::bigint AS "won!"
               FROM payment_history WHERE status = 'PAID'"#
        )
        .fetch_one(self.postgres.pool());
        Ok(self.postgres.timed("payment.totals", read).await?)
    }
}
