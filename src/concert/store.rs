//! The programme's only SQL.

use std::collections::HashMap;
use std::sync::Arc;

use super::programme::{Concert, Programme, Schedule};
use crate::postgres::Postgres;
use crate::queue::QueueId;
use crate::store_error::StoreError;

pub(super) async fn revision(postgres: &Postgres) -> Result<i64, StoreError> {
    let read = sqlx::query_scalar!("SELECT revision FROM programme_revision").fetch_one(postgres.pool());
    Ok(postgres.timed("concert.revision", read).await?)
}

/// The revision was read before: a change in between only makes the next refresh read again.
pub(super) async fn programme(postgres: &Postgres, revision: i64) -> Result<Programme, StoreError> {
    let read = async {
        let concerts = sqlx::query!("SELECT id, title, queue_id FROM concert");
        let schedules = sqlx::query!("SELECT id, concert_id, date FROM concert_schedule ORDER BY date, id");
        Ok((concerts.fetch_all(postgres.pool()).await?, schedules.fetch_all(postgres.pool()).await?))
    };
    let (concerts, schedules) = postgres.timed("concert.programme", read).await?;

    let mut of_concert: HashMap<i64, Vec<_>> = HashMap::new();
    for row in schedules {
        of_concert.entry(row.concert_id).or_default().push((row.id, row.date));
    }
    let concerts = concerts.into_iter().filter_map(|row| {
        let (concert, queue) = (row.id.try_into().ok()?, QueueId(row.queue_id));
        let schedules = of_concert.remove(&row.id).unwrap_or_default().into_iter();
        let schedules =
            schedules.filter_map(|(id, date)| Schedule::new(id.try_into().ok()?, concert, date, queue).map(Arc::new));
        Some(Concert { id: concert, title: row.title, queue, schedules: schedules.collect() })
    });
    Ok(Programme::new(revision, concerts))
}
