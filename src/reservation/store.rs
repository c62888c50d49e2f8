//! The reservations' only SQL before the payment.

use crate::ids::ScheduleId;
use crate::postgres::Postgres;
use crate::store_error::StoreError;

/// A new block of ids for a schedule.
pub(super) async fn new_block(postgres: &Postgres, schedule: ScheduleId) -> Result<i64, StoreError> {
    let insert = sqlx::query_scalar!(
        "INSERT INTO reservation_block (concert_schedule_id) VALUES ($1) RETURNING id",
        schedule.get()
    )
    .fetch_one(postgres.pool());
    Ok(postgres.timed("reservation.new_block", insert).await?)
}

/// The schedule that a block of ids is for.
pub(super) async fn schedule_of_block(postgres: &Postgres, block: i64) -> Result<Option<ScheduleId>, StoreError> {
    let read = sqlx::query_scalar!("SELECT concert_schedule_id FROM reservation_block WHERE id = $1", block)
        .fetch_optional(postgres.pool());
    let schedule = postgres.timed("reservation.schedule_of_block", read).await?;
    Ok(schedule.and_then(|id| id.try_into().ok()))
}
