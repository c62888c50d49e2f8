//! What operators ask of the seats, and the SQL for it: making a schedule's, all at once, and how many are in which state.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::answers::Look;
use super::{Seats, store};
use crate::ids::ScheduleId;
use crate::postgres::Postgres;
use crate::store_error::StoreError;

/// What a sweep of all maps saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HoldGauges {
    /// Holds that live, those being paid included.
    pub live: u32,
    /// For how long the oldest payment has been under way; nothing if none is.
    pub oldest_payment: Duration,
}

/// A seat to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSeat {
    /// Its section.
    pub section: String,
    /// Its row within the section.
    pub row: String,
    /// Its number, one of the schedule's own.
    pub number: i32,
    /// Its price in won.
    pub price: i64,
}

/// A seat as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSeat {
    /// Its id.
    pub id: i64,
    /// The rest.
    pub seat: NewSeat,
}

/// How many seats of a schedule are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Free.
    pub free: usize,
    /// Held, or being paid for.
    pub held: usize,
    /// Sold.
    pub sold: usize,
}

/// Seats that one statement makes: well within the time that a statement may take, on a busy server too.
const SEATS_A_STATEMENT: usize = 5000;

/// Makes the seats of a new schedule, in the order of their positions, in the caller's transaction.
pub async fn create(
    postgres: &Postgres,
    connection: &mut PgConnection,
    schedule: ScheduleId,
    seats: &[NewSeat],
) -> Result<(), StoreError> {
    for (part, begin) in seats.chunks(SEATS_A_STATEMENT).zip((0_i64..).step_by(SEATS_A_STATEMENT)) {
        let sections: Vec<String> = part.iter().map(|seat| seat.section.clone()).collect();
        let rows: Vec<String> = part.iter().map(|seat| seat.row.clone()).collect();
        let numbers: Vec<i32> = part.iter().map(|seat| seat.number).collect();
        let prices: Vec<i64> = part.iter().map(|seat| seat.price).collect();
        let insert = sqlx::query!(
            "INSERT INTO concert_seat (concert_schedule_id, position, section, row, number, price)
             SELECT $1, $2 + at - 1, section, in_row, number, price
             FROM unnest($3::text[], $4::text[], $5::integer[], $6::bigint[])
                  WITH ORDINALITY AS plan (section, in_row, number, price, at)
             ORDER BY at",
            schedule.get(),
            begin,
            &sections,
            &rows,
            &numbers,
            &prices
        )
        .execute(&mut *connection);
        postgres.timed("seat.create", insert).await?;
    }
    Ok(())
}

impl Seats {
    /// Holds that live, those being paid included, as the last sweep of all maps saw it.
    #[must_use]
    pub fn holds_live(&self) -> u32 {
        self.swept.lock().unwrap_or_else(PoisonError::into_inner).map_or(0, |(_, holds)| holds.live)
    }

    /// What a sweep of all maps has just seen.
    pub fn saw_holds(&self, holds: HoldGauges) {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), holds));
    }

    /// What the last sweep of all maps saw, if it was no longer ago than that.
    #[must_use]
    pub fn gauges(&self, within: Duration) -> Option<HoldGauges> {
        let swept = *self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        swept.filter(|(at, _)| at.elapsed() <= within).map(|(_, holds)| holds)
    }

    /// The seats of a schedule in order of position, with all that is printed on a ticket.
    pub async fn planned(&self, schedule: ScheduleId) -> Result<Vec<PlannedSeat>, StoreError> {
        let read = sqlx::query!(
            "SELECT id, section, row, number, price FROM concert_seat WHERE concert_schedule_id = $1 ORDER BY position",
            schedule.get()
        )
        .fetch_all(self.postgres.pool());
        let rows = self.postgres.timed("seat.planned", read).await?;
        let planned = rows.into_iter().map(|row| {
            let seat = NewSeat { section: row.section, row: row.row, number: row.number, price: row.price };
            PlannedSeat { id: row.id, seat }
        });
        Ok(planned.collect())
    }

    /// How many seats are in which state now.
    pub async fn counts(&self, schedule: ScheduleId) -> Result<Counts, StoreError> {
        let board = self.board(schedule).await?;
        match self.on_map(&board, || store::look(&self.redis, &board.keys, None)).await? {
            Look::Seats { states, .. } => {
                let count = |of: &[u8]| states.iter().filter(|state| of.contains(state)).count();
                Ok(Counts { free: count(b"F"), held: count(b"HP"), sold: count(b"S") })
            }
            Look::Same => {
                let source = "seat.look answered SAME to one who knew nothing".into();
                Err(StoreError::Unexpected { store: "redis", source })
            }
        }
    }
}
