//! The queue's only SQL: which queues there are, and what must outlive Redis of how far each has come.

use std::collections::HashMap;
use std::time::Duration;

use super::directory::{Directory, Queue, QueueId, QueueSettings};
use super::lost::{Ended, PLACES_A_EPOCH};
use super::token::Claim;
use crate::postgres::Postgres;
use crate::redis::Keys;
use crate::store_error::StoreError;

/// How far a queue has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// The greatest place let in.
    pub(super) admitted: u64,
    /// How many wait.
    pub(super) waiting: u32,
}

/// A new opening of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    /// Counts the openings, from 1.
    pub(super) epoch: u64,
    /// Whether somebody waited just before.
    pub(super) crowded: bool,
}

/// Counts up a queue's openings.
pub(super) async fn next_opening(postgres: &Postgres, queue: &Queue) -> Result<Opening, StoreError> {
    let update = sqlx::query!(
        r#"UPDATE queue SET epoch = epoch + 1 WHERE id = $1
           RETURNING epoch, coalesce((
               SELECT waiting > 0 FROM queue_progress
               WHERE queue_id = $1 AND at > now() - make_interval(secs => $2) ORDER BY at DESC LIMIT 1
           ), false) AS "crowded!""#,
        queue.id.0,
        queue.settings.waiting_ttl.as_secs_f64()
    )
    .fetch_one(postgres.pool());
    let row = postgres.timed("queue.next_opening", update).await?;
    Ok(Opening { epoch: u64::from(row.epoch.unsigned_abs()), crowded: row.crowded })
}

/// Writes down how far a queue has come, if that has changed or somebody waits, but for what another instance has just
/// written; forgets what is over.
pub(super) async fn remember(postgres: &Postgres, queue: QueueId, progress: Progress) -> Result<(), StoreError> {
    let write = sqlx::query!(
        "WITH latest AS (
             SELECT at, admitted FROM queue_progress WHERE queue_id = $1 ORDER BY at DESC LIMIT 1
         ), outdated AS (
             DELETE FROM queue_progress WHERE (queue_id, at) IN (
                 SELECT queue_id, at FROM queue_progress
                 WHERE queue_id = $1 AND at < now() - interval '1 day' ORDER BY at LIMIT 1000)
         )
         INSERT INTO queue_progress (queue_id, admitted, waiting)
         SELECT $1, $2, $3 WHERE NOT EXISTS (
             SELECT FROM latest WHERE at > now() - interval '900 milliseconds' OR ($3 = 0 AND admitted = $2))
         ON CONFLICT DO NOTHING",
        queue.0,
        i64::try_from(progress.admitted).unwrap_or(i64::MAX),
        i32::try_from(progress.waiting).unwrap_or(i32::MAX)
    )
    .execute(postgres.pool());
    postgres.timed("queue.remember", write).await?;
    Ok(())
}

/// The greatest place of an epoch that is known to have been let in or to have paid; 0 if there is none.
pub(super) async fn reached(postgres: &Postgres, queue: QueueId, epoch: u64) -> Result<u64, StoreError> {
    let (first, last) = (epoch * PLACES_A_EPOCH, (epoch + 1) * PLACES_A_EPOCH - 1);
    let read = sqlx::query_scalar!(
        r#"SELECT greatest(
               (SELECT max(admitted) FROM queue_progress WHERE queue_id = $1 AND admitted BETWEEN $2 AND $3),
               (SELECT max(queue_place) FROM payment_history WHERE queue_id = $1 AND queue_place BETWEEN $2 AND $3),
               0) AS "reached!""#,
        queue.0,
        first.cast_signed(),
        last.cast_signed()
    )
    .fetch_one(postgres.pool());
    Ok(postgres.timed("queue.reached", read).await?.unsigned_abs())
}

/// How the turn of a token that was let in has ended, if it has.
pub(super) async fn turn(postgres: &Postgres, queue: &Queue, claim: &Claim) -> Result<Option<Ended>, StoreError> {
    let last = (claim.epoch() + 1) * PLACES_A_EPOCH - 1;
    let read = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM payment_history WHERE queue_id = $1 AND queue_place = $2) AS "paid!",
                  coalesce((
                      SELECT at + make_interval(secs => $4) < now() FROM queue_progress
                      WHERE queue_id = $1 AND admitted BETWEEN $2 AND $3 ORDER BY admitted, at LIMIT 1
                  ), false) AS "over!""#,
        queue.id.0,
        claim.place.cast_signed(),
        last.cast_signed(),
        queue.settings.active_ttl.as_secs_f64()
    )
    .fetch_one(postgres.pool());
    let row = postgres.timed("queue.turn", read).await?;
    Ok(if row.paid { Some(Ended::Completed) } else { row.over.then_some(Ended::Expired) })
}

pub(super) async fn directory(
    postgres: &Postgres,
    keys: &Keys,
    defaults: &QueueSettings,
) -> Result<Directory, StoreError> {
    let read = async {
        let queues = sqlx::query!(
            "SELECT id, name, max_active, admit_per_second, active_ttl_seconds, waiting_ttl_seconds, hold_ttl_seconds
             FROM queue"
        );
        let concerts = sqlx::query!("SELECT id, queue_id FROM concert");
        Ok((queues.fetch_all(postgres.pool()).await?, concerts.fetch_all(postgres.pool()).await?))
    };
    let (queues, concerts) = postgres.timed("queue.directory", read).await?;
    let number = |own: Option<i32>, default: u32| own.map_or(default, i32::unsigned_abs);
    let seconds = |own: Option<i32>, default: Duration| {
        own.map_or(default, |seconds| Duration::from_secs(u64::from(seconds.unsigned_abs())))
    };
    let queues = queues.into_iter().map(|row| Queue {
        id: QueueId(row.id),
        keys: keys.queue(&row.name),
        name: row.name,
        settings: QueueSettings {
            max_active: number(row.max_active, defaults.max_active),
            admit_per_second: number(row.admit_per_second, defaults.admit_per_second),
            active_ttl: seconds(row.active_ttl_seconds, defaults.active_ttl),
            waiting_ttl: seconds(row.waiting_ttl_seconds, defaults.waiting_ttl),
            hold_ttl: seconds(row.hold_ttl_seconds, defaults.hold_ttl),
        },
    });
    let by_concert: HashMap<_, _> =
        concerts.into_iter().filter_map(|row| Some((row.id.try_into().ok()?, QueueId(row.queue_id)))).collect();
    Ok(Directory::new(queues.collect(), by_concert))
}
