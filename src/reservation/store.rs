//! The reservations' only SQL before the payment, and the reading of what was bought.

use chrono::NaiveDate;

use crate::ids::{ConcertId, ReservationId, ScheduleId, SeatId, UserId};
use crate::money::Won;
use crate::postgres::Postgres;
use crate::store_error::StoreError;

/// The most that are listed of what a user has bought: the last ones.
const MOST_BOUGHT: i64 = 100;

/// A reservation that was paid, and perhaps refunded since.
#[derive(Debug)]
pub(super) struct Bought {
    pub(super) id: ReservationId,
    pub(super) concert: ConcertId,
    pub(super) schedule: ScheduleId,
    pub(super) date: NaiveDate,
    pub(super) seat: SeatId,
    pub(super) section: String,
    pub(super) row: String,
    pub(super) number: i32,
    pub(super) price: Won,
    pub(super) cancelled: bool,
}

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

/// What a user has bought, the last first; or only this of it.
pub(super) async fn bought(
    postgres: &Postgres,
    user: UserId,
    only: Option<ReservationId>,
) -> Result<Vec<Bought>, StoreError> {
    let read = sqlx::query!(
        "SELECT reservation.id, reservation.price, reservation.status, seat.id AS seat_id, seat.section, seat.row,
                seat.number, schedule.id AS schedule_id, schedule.concert_id, schedule.date
         FROM reservation
         JOIN concert_seat seat ON seat.id = reservation.concert_seat_id
         JOIN concert_schedule schedule ON schedule.id = seat.concert_schedule_id
         WHERE reservation.user_id = $1 AND reservation.status <> 'ABORTED'
           AND ($2::bigint IS NULL OR reservation.id = $2)
         ORDER BY reservation.created_at DESC, reservation.id DESC LIMIT $3",
        user.get(),
        only.map(ReservationId::get),
        MOST_BOUGHT
    )
    .fetch_all(postgres.pool());
    let rows = postgres.timed("reservation.bought", read).await?;
    let bought = rows.into_iter().filter_map(|row| {
        Some(Bought {
            id: row.id.try_into().ok()?,
            concert: row.concert_id.try_into().ok()?,
            schedule: row.schedule_id.try_into().ok()?,
            date: row.date,
            seat: row.seat_id.try_into().ok()?,
            section: row.section,
            row: row.row,
            number: row.number,
            price: Won(row.price),
            cancelled: row.status == "CANCELLED",
        })
    });
    Ok(bought.collect())
}
