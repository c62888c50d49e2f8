//! The demo programme: something to sell on the first day.

use chrono::NaiveDate;

use crate::postgres::{Postgres, Transaction};
use crate::store_error::StoreError;

const TITLES: [&str; 10] = [
    "Opening Night",
    "The Han River Sessions",
    "Strings at Dusk",
    "City of Drums",
    "An Evening with the Choir",
    "Neon Parade",
    "Winter Waltz",
    "The Last Tour",
    "Songs without Words",
    "Encore",
];

/// What was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeded {
    /// Concerts.
    pub concerts: u64,
    /// Schedules.
    pub schedules: u64,
    /// Seats.
    pub seats: u64,
}

/// Adds what is missing of it: concerts 1 to 10, each with schedules on the three days after `today`, each with seats 1 to
/// 50 in two sections. On the same day it adds nothing twice; on a later one it adds the days that have come into reach.
pub async fn seed(postgres: &Postgres, today: NaiveDate) -> Result<Seeded, StoreError> {
    let write = async {
        let mut transaction = Transaction::begin(postgres).await?;
        let connection = transaction.connection();
        // One seeding at a time.
        sqlx::query!("LOCK TABLE concert IN SHARE ROW EXCLUSIVE MODE").execute(&mut *connection).await?;
        let titles = TITLES.map(str::to_owned);
        let concerts = sqlx::query!(
            "INSERT INTO concert (id, title)
             SELECT number, title FROM unnest($1::text[]) WITH ORDINALITY AS programme (title, number)
             ON CONFLICT (id) DO NOTHING",
            &titles[..]
        );
        let concerts = concerts.execute(&mut *connection).await?.rows_affected();
        sqlx::query_scalar!("SELECT setval(pg_get_serial_sequence('concert', 'id'), (SELECT max(id) FROM concert))")
            .fetch_one(&mut *connection)
            .await?;
        let schedules = sqlx::query_scalar!(
            "INSERT INTO concert_schedule (concert_id, date)
             SELECT concert, $1::date + day
             FROM generate_series(1, 10) AS concert, generate_series(1, 3) AS day
             WHERE NOT EXISTS (
                 SELECT FROM concert_schedule had WHERE had.concert_id = concert AND had.date = $1::date + day
             )
             ORDER BY concert, day
             RETURNING id",
            today
        );
        let schedules = schedules.fetch_all(&mut *connection).await?;
        // Five rows of ten: two in section R, three in section S.
        let seats = sqlx::query!(
            "INSERT INTO concert_seat (concert_schedule_id, position, section, row, number, price)
             SELECT schedule, number - 1, CASE WHEN number <= 20 THEN 'R' ELSE 'S' END,
                    chr(65 + (number - 1) / 10), number,
                    (ARRAY[200000, 160000, 120000, 80000, 50000])[(number - 1) / 10 + 1]
             FROM unnest($1::bigint[]) AS schedule, generate_series(1, 50) AS number
             ORDER BY schedule, number",
            &schedules
        );
        let seats = seats.execute(&mut *connection).await?.rows_affected();
        transaction.commit().await?;
        Ok(Seeded { concerts, schedules: schedules.len() as u64, seats })
    };
    Ok(postgres.timed("concert.seed", write).await?)
}
