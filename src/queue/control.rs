//! What operators do to queues, and the SQL for it. Settings are changed under the row's lock, so that of several changes
//! at once none is lost, and what was there before is known.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{QueueId, QueueSettings, Queues};
use crate::postgres::{Postgres, broken_constraint};
use crate::store_error::StoreError;

/// A queue's own settings; one that is none follows the server's.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OwnSettings {
    /// The most active tokens at any time.
    pub max_active: Option<i32>,
    /// The most admissions a second.
    pub admit_per_second: Option<i32>,
    /// Seconds that a token is active.
    pub active_ttl_seconds: Option<i32>,
    /// Seconds that a waiting token lives unseen.
    pub waiting_ttl_seconds: Option<i32>,
    /// Seconds that a seat is held.
    pub hold_ttl_seconds: Option<i32>,
    /// Nobody is let in before.
    pub opens_at: Option<DateTime<Utc>>,
    /// Nobody is let in.
    pub paused: bool,
    /// Nobody new is given a place.
    pub draining: bool,
    /// So many may try for each free seat; 0: however many seats there are.
    pub stock_factor: Option<f64>,
}

/// A change of settings: of those that are named.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Change {
    /// See [`OwnSettings`].
    pub max_active: Option<Option<i32>>,
    /// See [`OwnSettings`].
    pub admit_per_second: Option<Option<i32>>,
    /// See [`OwnSettings`].
    pub active_ttl_seconds: Option<Option<i32>>,
    /// See [`OwnSettings`].
    pub waiting_ttl_seconds: Option<Option<i32>>,
    /// See [`OwnSettings`].
    pub hold_ttl_seconds: Option<Option<i32>>,
    /// See [`OwnSettings`].
    pub opens_at: Option<Option<DateTime<Utc>>>,
    /// See [`OwnSettings`].
    pub paused: Option<bool>,
    /// See [`OwnSettings`].
    pub draining: Option<bool>,
    /// See [`OwnSettings`].
    pub stock_factor: Option<Option<f64>>,
}

/// A queue as operators see it: as Postgres has it now.
#[derive(Debug, Clone, PartialEq)]
pub struct Controlled {
    /// Its id.
    pub id: QueueId,
    /// Its name.
    pub name: String,
    /// What it has been set to.
    pub own: OwnSettings,
}

/// How a queue was when this instance last let somebody in, or tried to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// How many wait.
    pub waiting: u32,
    /// How many are active.
    pub active: u32,
    /// How many have been let in since Redis last lost the queue.
    pub admitted: u64,
    /// When that was.
    pub(super) seen: Instant,
}

impl Figures {
    /// How long ago it was.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.seen.elapsed()
    }

    /// As of now.
    pub(super) fn new(waiting: u32, active: u32, admitted: u64) -> Self {
        Self { waiting, active, admitted, seen: Instant::now() }
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no queue of this name.
    #[error("there is no such queue")]
    NoSuchQueue,
    /// There is one already.
    #[error("there is a queue of this name already")]
    NameTaken,
    /// Postgres failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ControlError {
    fn from(error: sqlx::Error) -> Self {
        match broken_constraint(&error) {
            Some("queue_name_unique") => Self::NameTaken,
            _ => Self::Store(error.into()),
        }
    }
}

impl OwnSettings {
    fn with(self, change: &Change) -> Self {
        Self {
            max_active: change.max_active.unwrap_or(self.max_active),
            admit_per_second: change.admit_per_second.unwrap_or(self.admit_per_second),
            active_ttl_seconds: change.active_ttl_seconds.unwrap_or(self.active_ttl_seconds),
            waiting_ttl_seconds: change.waiting_ttl_seconds.unwrap_or(self.waiting_ttl_seconds),
            hold_ttl_seconds: change.hold_ttl_seconds.unwrap_or(self.hold_ttl_seconds),
            opens_at: change.opens_at.unwrap_or(self.opens_at),
            paused: change.paused.unwrap_or(self.paused),
            draining: change.draining.unwrap_or(self.draining),
            stock_factor: change.stock_factor.unwrap_or(self.stock_factor),
        }
    }
}

/// Whether a queue may have this name: it stands in metrics and keys.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 63
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|byte| plain(byte) || byte == b'_' || byte == b'-')
}

/// The queue of this name, made if there is none, in the caller's transaction.
pub(crate) async fn named_or_new(
    postgres: &Postgres,
    connection: &mut PgConnection,
    name: &str,
) -> Result<QueueId, StoreError> {
    let find = async {
        // One that is being made at the same time is waited for.
        sqlx::query!("INSERT INTO queue (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", name)
            .execute(&mut *connection)
            .await?;
        sqlx::query_scalar!("SELECT id FROM queue WHERE name = $1", name).fetch_one(&mut *connection).await
    };
    Ok(QueueId(postgres.timed("queue.named_or_new", find).await?))
}

/// Makes a queue, in the caller's transaction.
pub async fn create(postgres: &Postgres, connection: &mut PgConnection, name: &str) -> Result<(), ControlError> {
    let insert = sqlx::query!("INSERT INTO queue (name) VALUES ($1)", name).execute(connection);
    postgres.timed("queue.create", insert).await?;
    Ok(())
}

/// Changes a queue's settings, in the caller's transaction; what they were and what they are. No other change comes in
/// between before that ends.
pub async fn set(
    postgres: &Postgres,
    connection: &mut PgConnection,
    name: &str,
    change: &Change,
) -> Result<(OwnSettings, Controlled), ControlError> {
    let read = sqlx::query_as!(
        Row,
        "SELECT id, name, max_active, admit_per_second, active_ttl_seconds, waiting_ttl_seconds, hold_ttl_seconds,
                opens_at, paused, draining, stock_factor
         FROM queue WHERE name = $1 FOR UPDATE",
        name
    )
    .fetch_optional(&mut *connection);
    let queue: Controlled = postgres.timed("queue.lock", read).await?.ok_or(ControlError::NoSuchQueue)?.into();
    let own = queue.own.with(change);
    let update = sqlx::query!(
        "UPDATE queue SET max_active = $2, admit_per_second = $3, active_ttl_seconds = $4, waiting_ttl_seconds = $5,
                          hold_ttl_seconds = $6, opens_at = $7, paused = $8, draining = $9, stock_factor = $10
         WHERE id = $1",
        queue.id.0,
        own.max_active,
        own.admit_per_second,
        own.active_ttl_seconds,
        own.waiting_ttl_seconds,
        own.hold_ttl_seconds,
        own.opens_at,
        own.paused,
        own.draining,
        own.stock_factor
    )
    .execute(&mut *connection);
    postgres.timed("queue.set", update).await?;
    Ok((queue.own, Controlled { own, ..queue }))
}

impl Queues {
    /// Queues by id, from the one at `offset` on, and how many there are in all; or the one of this name.
    pub async fn controlled(
        &self,
        name: Option<&str>,
        offset: i64,
        limit: i64,
    ) -> Result<(Vec<Controlled>, i64), StoreError> {
        let read = async {
            let rows = sqlx::query_as!(
                Row,
                "SELECT id, name, max_active, admit_per_second, active_ttl_seconds, waiting_ttl_seconds,
                        hold_ttl_seconds, opens_at, paused, draining, stock_factor
                 FROM queue WHERE $1::text IS NULL OR name = $1 ORDER BY id OFFSET $2 LIMIT $3",
                name,
                offset,
                limit
            );
            let total = sqlx::query_scalar!(r#"SELECT count(*) AS "total!" FROM queue"#);
            Ok((rows.fetch_all(self.postgres.pool()).await?, total.fetch_one(self.postgres.pool()).await?))
        };
        let (rows, total) = self.postgres.timed("queue.controlled", read).await?;
        Ok((rows.into_iter().map(Controlled::from).collect(), total))
    }

    /// How a queue was when this instance last took a step for it; none if it has not been opened yet.
    #[must_use]
    pub fn figures(&self, id: QueueId) -> Option<Figures> {
        self.figures.get(&id).map(|figures| *figures)
    }

    /// What serves where a queue has no setting of its own.
    #[must_use]
    pub fn defaults(&self) -> &QueueSettings {
        &self.defaults
    }
}

struct Row {
    id: i32,
    name: String,
    max_active: Option<i32>,
    admit_per_second: Option<i32>,
    active_ttl_seconds: Option<i32>,
    waiting_ttl_seconds: Option<i32>,
    hold_ttl_seconds: Option<i32>,
    opens_at: Option<DateTime<Utc>>,
    paused: bool,
    draining: bool,
    stock_factor: Option<f64>,
}

impl From<Row> for Controlled {
    fn from(row: Row) -> Self {
        let own = OwnSettings {
            max_active: row.max_active,
            admit_per_second: row.admit_per_second,
            active_ttl_seconds: row.active_ttl_seconds,
            waiting_ttl_seconds: row.waiting_ttl_seconds,
            hold_ttl_seconds: row.hold_ttl_seconds,
            opens_at: row.opens_at,
            paused: row.paused,
            draining: row.draining,
            stock_factor: row.stock_factor,
        };
        Self { id: QueueId(row.id), name: row.name, own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain() {
        for good in ["default", "a", "0", "the-last_tour-2", &"x".repeat(63)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a b", "a}", "é", &"x".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_change_leaves_alone_what_it_does_not_name() {
        let own = OwnSettings { max_active: Some(5), paused: true, ..OwnSettings::default() };
        assert_eq!(own.with(&Change::default()), own);
        let change = Change { max_active: Some(None), draining: Some(true), ..Change::default() };
        assert_eq!(own.with(&change), OwnSettings { paused: true, draining: true, ..OwnSettings::default() });
    }
}
