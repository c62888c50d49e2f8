//! The queue's only SQL: which queues there are, their draws, and what must outlive Redis of how far each has come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::directory::{Directory, Queue, QueueId, QueueSettings};
use super::draw::{Closing, Draw};
use super::lost::{Ended, PLACES_A_EPOCH};
use super::token::Claim;
use crate::postgres::Postgres;
use crate::redis::Keys;
use crate::store_error::StoreError;

/// How far a queue has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// The greatest order let in.
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

/// The greatest order of an epoch that is known to have been let in, or place that has paid; 0 if there is none.
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

/// How the turn of a token has ended, if it has. `order` is the token's, if that is known to have been let in.
pub(super) async fn turn(
    postgres: &Postgres,
    queue: &Queue,
    claim: &Claim,
    order: Option<u64>,
) -> Result<Option<Ended>, StoreError> {
    let last = order.map(|order| (order / PLACES_A_EPOCH + 1) * PLACES_A_EPOCH - 1);
    let read = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM payment_history WHERE queue_id = $1 AND queue_place = $2) AS "paid!",
                  coalesce((
                      SELECT at + make_interval(secs => $5) < now() FROM queue_progress
                      WHERE queue_id = $1 AND admitted BETWEEN $3 AND $4 ORDER BY admitted, at LIMIT 1
                  ), false) AS "over!""#,
        queue.id.0,
        claim.place.cast_signed(),
        order.map(u64::cast_signed),
        last.map(u64::cast_signed),
        queue.settings.active_ttl.as_secs_f64()
    )
    .fetch_one(postgres.pool());
    let row = postgres.timed("queue.turn", read).await?;
    Ok(if row.paid { Some(Ended::Completed) } else { row.over.then_some(Ended::Expired) })
}

/// Makes the draw of a queue's next opening with this seed, unless it has one; the one it has goes with an opening that was
/// moved.
pub(super) async fn prepare_draw(postgres: &Postgres, queue: QueueId, seed: [u8; 32]) -> Result<(), StoreError> {
    let write = sqlx::query!(
        "WITH moved AS (
             UPDATE queue_draw SET opens_at = queue.opens_at FROM queue
             WHERE queue.id = $1 AND queue_id = $1 AND drawn_at IS NULL AND queue_draw.opens_at <> queue.opens_at
         )
         INSERT INTO queue_draw (queue_id, number, opens_at, seed, epoch)
         SELECT id, 1 + coalesce((SELECT max(number) FROM queue_draw WHERE queue_id = $1), 0), opens_at, $2, epoch
         FROM queue WHERE id = $1 AND opens_at IS NOT NULL
             AND NOT EXISTS (SELECT FROM queue_draw WHERE queue_id = $1 AND drawn_at IS NULL)
             AND opens_at IS DISTINCT FROM (
                 SELECT opens_at FROM queue_draw WHERE queue_id = $1 ORDER BY number DESC LIMIT 1)
         ON CONFLICT DO NOTHING",
        queue.0,
        &seed[..]
    )
    .execute(postgres.pool());
    postgres.timed("queue.prepare_draw", write).await?;
    Ok(())
}

/// Writes down how a draw ended, unless that is written already; returns what is written.
pub(super) async fn end_draw(
    postgres: &Postgres,
    queue: QueueId,
    number: u32,
    closing: Closing,
) -> Result<Closing, StoreError> {
    let write = sqlx::query!(
        "UPDATE queue_draw SET base = $3, entries = $4, first_order = $5, drawn_at = now()
         WHERE queue_id = $1 AND number = $2 AND drawn_at IS NULL",
        queue.0,
        number.cast_signed(),
        closing.base.cast_signed(),
        closing.entries.cast_signed(),
        closing.first_order.cast_signed()
    )
    .execute(postgres.pool());
    postgres.timed("queue.end_draw", write).await?;
    let read = sqlx::query!(
        r#"SELECT base AS "base!", entries AS "entries!", first_order AS "first_order!"
           FROM queue_draw WHERE queue_id = $1 AND number = $2"#,
        queue.0,
        number.cast_signed()
    )
    .fetch_one(postgres.pool());
    let row = postgres.timed("queue.ended_draw", read).await?;
    let [base, entries, first_order] = [row.base, row.entries, row.first_order].map(i64::unsigned_abs);
    Ok(Closing { base, entries, first_order })
}

/// The draws of all queues, the last one of each and those whose tokens may live, by number.
async fn draws(postgres: &Postgres) -> Result<HashMap<QueueId, Vec<Arc<Draw>>>, StoreError> {
    let read = sqlx::query!(
        "SELECT queue_id, number, opens_at, seed, epoch, base, entries, first_order FROM queue_draw AS draw
         WHERE drawn_at IS NULL OR drawn_at > now() - interval '2 days'
             OR number = (SELECT max(number) FROM queue_draw WHERE queue_id = draw.queue_id)
         ORDER BY queue_id, number"
    )
    .fetch_all(postgres.pool());
    let mut draws: HashMap<_, Vec<_>> = HashMap::new();
    for row in postgres.timed("queue.draws", read).await? {
        let seed = row.seed.try_into().map_err(|_| {
            let source = "queue_draw has a seed that is not 32 bytes".into();
            StoreError::Unexpected { store: "postgres", source }
        })?;
        let closing = row.base.zip(row.entries).zip(row.first_order).map(|((base, entries), first_order)| Closing {
            base: base.unsigned_abs(),
            entries: entries.unsigned_abs(),
            first_order: first_order.unsigned_abs(),
        });
        let number = row.number.unsigned_abs();
        let draw = Draw { number, opens_at: row.opens_at, seed, epoch: u64::from(row.epoch.unsigned_abs()), closing };
        draws.entry(QueueId(row.queue_id)).or_default().push(Arc::new(draw));
    }
    Ok(draws)
}

pub(super) async fn directory(
    postgres: &Postgres,
    keys: &Keys,
    defaults: &QueueSettings,
) -> Result<Directory, StoreError> {
    let read = async {
        let queues = sqlx::query!(
            "SELECT id, name, max_active, admit_per_second, active_ttl_seconds, waiting_ttl_seconds, hold_ttl_seconds,
                    opens_at, paused, draining, stock_factor
             FROM queue"
        );
        let concerts = sqlx::query!(
            r#"SELECT concert.id AS "id!", queue_id AS "queue_id!", schedule.id AS "schedule?", date AS "date?"
               FROM concert LEFT JOIN concert_schedule AS schedule ON concert_id = concert.id"#
        );
        Ok((queues.fetch_all(postgres.pool()).await?, concerts.fetch_all(postgres.pool()).await?))
    };
    let (queues, concerts) = postgres.timed("queue.directory", read).await?;
    let mut draws = draws(postgres).await?;
    let mut schedules: HashMap<_, Vec<_>> = HashMap::new();
    for row in &concerts {
        if let Some((id, date)) = row.schedule.and_then(|id| id.try_into().ok()).zip(row.date) {
            schedules.entry(QueueId(row.queue_id)).or_default().push((id, date));
        }
    }
    let number = |own: Option<i32>, default: u32| own.map_or(default, i32::unsigned_abs);
    let seconds = |own: Option<i32>, default: Duration| {
        own.map_or(default, |seconds| Duration::from_secs(u64::from(seconds.unsigned_abs())))
    };
    let queues = queues.into_iter().map(|row| Queue {
        id: QueueId(row.id),
        keys: keys.queue(&row.name),
        name: row.name,
        draws: draws.remove(&QueueId(row.id)).unwrap_or_default(),
        schedules: schedules.remove(&QueueId(row.id)).unwrap_or_default(),
        settings: QueueSettings {
            max_active: number(row.max_active, defaults.max_active),
            admit_per_second: number(row.admit_per_second, defaults.admit_per_second),
            active_ttl: seconds(row.active_ttl_seconds, defaults.active_ttl),
            waiting_ttl: seconds(row.waiting_ttl_seconds, defaults.waiting_ttl),
            hold_ttl: seconds(row.hold_ttl_seconds, defaults.hold_ttl),
            max_waiting: defaults.max_waiting,
            opens_at: row.opens_at,
            paused: row.paused,
            draining: row.draining,
            stock_factor: row.stock_factor.unwrap_or(defaults.stock_factor),
        },
    });
    let by_concert: HashMap<_, _> =
        concerts.into_iter().filter_map(|row| Some((row.id.try_into().ok()?, QueueId(row.queue_id)))).collect();
    Ok(Directory::new(queues.collect(), by_concert))
}
