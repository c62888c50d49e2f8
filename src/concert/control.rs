//! What operators do to the programme, and the SQL for it. A schedule is made whole, with all its seats: every instance
//! reads a plan once and keeps it.

use chrono::NaiveDate;
use sqlx::PgConnection;

use super::Concerts;
use crate::ids::{ConcertId, NotAnId, ScheduleId};
use crate::postgres::{Postgres, broken_constraint};
use crate::queue;
use crate::seat::{self, NewSeat};
use crate::store_error::StoreError;

/// A concert to be made; what it says has been checked.
#[derive(Debug)]
pub struct NewConcert {
    /// Its title.
    pub title: String,
    /// The queue that is to serve it, made if there is none of that name; none for the default one.
    pub queue: Option<String>,
    /// Its evenings.
    pub schedules: Vec<NewSchedule>,
}

/// An evening to be added.
#[derive(Debug)]
pub struct NewSchedule {
    /// The venue's date.
    pub date: NaiveDate,
    /// Its seats, in order of position.
    pub seats: Vec<NewSeat>,
}

/// An evening that was added.
#[derive(Debug, Clone, Copy)]
pub struct AddedSchedule {
    /// Its id.
    pub id: ScheduleId,
    /// The venue's date.
    pub date: NaiveDate,
    /// How many seats it has.
    pub seats: usize,
}

/// Why nothing was added.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such concert.
    #[error("there is no such concert")]
    NoSuchConcert,
    /// The concert has a schedule on that date.
    #[error("the concert has a schedule on one of these dates")]
    DateTaken,
    /// Postgres failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ControlError {
    fn from(error: sqlx::Error) -> Self {
        match broken_constraint(&error) {
            Some("concert_schedule_concert_exists") => Self::NoSuchConcert,
            Some("concert_schedule_date_unique") => Self::DateTaken,
            _ => Self::Store(error.into()),
        }
    }
}

/// Makes a concert with its schedules and seats, in the caller's transaction.
pub async fn create(
    postgres: &Postgres,
    connection: &mut PgConnection,
    concert: &NewConcert,
) -> Result<(ConcertId, Vec<AddedSchedule>), ControlError> {
    let queue = match &concert.queue {
        Some(name) => Some(queue::named_or_new(postgres, connection, name).await?),
        None => None,
    };
    let insert = sqlx::query_scalar!(
        "INSERT INTO concert (title, queue_id) VALUES ($1, coalesce($2, 1)) RETURNING id",
        concert.title,
        queue.map(|queue| queue.0)
    )
    .fetch_one(&mut *connection);
    let id = id(postgres.timed("concert.create", insert).await?)?;
    let schedules = add_schedules(postgres, connection, id, &concert.schedules).await?;
    Ok((id, schedules))
}

/// Adds schedules with their seats to a concert, in the caller's transaction.
pub async fn add_schedules(
    postgres: &Postgres,
    connection: &mut PgConnection,
    concert: ConcertId,
    schedules: &[NewSchedule],
) -> Result<Vec<AddedSchedule>, ControlError> {
    let mut added = Vec::with_capacity(schedules.len());
    for NewSchedule { date, seats } in schedules {
        let insert = sqlx::query_scalar!(
            "INSERT INTO concert_schedule (concert_id, date) VALUES ($1, $2) RETURNING id",
            concert.get(),
            date
        )
        .fetch_one(&mut *connection);
        let schedule = id(postgres.timed("concert.add_schedule", insert).await?)?;
        seat::create(postgres, connection, schedule, seats).await?;
        added.push(AddedSchedule { id: schedule, date: *date, seats: seats.len() });
    }
    Ok(added)
}

fn id<Id: TryFrom<i64, Error = NotAnId>>(number: i64) -> Result<Id, StoreError> {
    number.try_into().map_err(|error: NotAnId| StoreError::Unexpected { store: "postgres", source: error.into() })
}

/// A concert as operators see it: as Postgres has it now.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: i64,
    /// Its title.
    pub title: String,
    /// The name of the queue that serves it.
    pub queue: String,
    /// Its evenings, by date.
    pub schedules: Vec<ListedSchedule>,
}

/// One of its evenings.
#[derive(Debug, Clone, Copy)]
pub struct ListedSchedule {
    /// Its id.
    pub id: i64,
    /// The venue's date.
    pub date: NaiveDate,
    /// How many seats it has.
    pub seats: i64,
    /// How many of them are sold.
    pub sold: i64,
}

impl Concerts {
    /// Concerts by id, from the one at `offset` on, and how many there are in all.
    pub async fn listed(&self, offset: i64, limit: i64) -> Result<(Vec<Listed>, i64), StoreError> {
        let read = async {
            let concerts = sqlx::query!(
                "SELECT concert.id, title, queue.name FROM concert JOIN queue ON queue.id = queue_id
                 ORDER BY concert.id OFFSET $1 LIMIT $2",
                offset,
                limit
            );
            let concerts = concerts.fetch_all(self.postgres.pool()).await?;
            let ids: Vec<i64> = concerts.iter().map(|concert| concert.id).collect();
            // Positions have no gaps, so the last one says how many seats there are.
            let schedules = sqlx::query!(
                r#"SELECT id, concert_id, date,
                          coalesce((SELECT max(position) + 1 FROM concert_seat
                                    WHERE concert_schedule_id = schedule.id), 0)::bigint AS "seats!",
                          (SELECT count(*) FROM concert_seat seat
                           JOIN reservation ON concert_seat_id = seat.id AND status = 'CONFIRMED'
                           WHERE concert_schedule_id = schedule.id) AS "sold!"
                   FROM concert_schedule schedule WHERE concert_id = ANY($1) ORDER BY date, id"#,
                &ids
            );
            let schedules = schedules.fetch_all(self.postgres.pool()).await?;
            let total = sqlx::query_scalar!(r#"SELECT count(*) AS "total!" FROM concert"#);
            Ok((concerts, schedules, total.fetch_one(self.postgres.pool()).await?))
        };
        let (concerts, schedules, total) = self.postgres.timed("concert.listed", read).await?;
        let listed = concerts.into_iter().map(|concert| {
            let own = schedules.iter().filter(|schedule| schedule.concert_id == concert.id);
            let own = own.map(|row| ListedSchedule { id: row.id, date: row.date, seats: row.seats, sold: row.sold });
            Listed { id: concert.id, title: concert.title, queue: concert.name, schedules: own.collect() }
        });
        Ok((listed.collect(), total))
    }
}
