//! The keys' only SQL. Time is Postgres' own.

use bytes::Bytes;
use http::StatusCode;
use sqlx::{PgConnection, PgExecutor};

use super::{Answer, Call, Keyed, Slot, Stored};
use crate::postgres::Postgres;
use crate::store_error::StoreError;

/// How long an answer is kept.
const HOURS: i32 = 24;

/// The most that one sweep deletes.
const SWEEP: i64 = 1000;

impl Call {
    fn word(self) -> &'static str {
        match self {
            Self::Hold => "HOLD",
            Self::Charge => "CHARGE",
            Self::Pay => "PAY",
            Self::PayMany => "PAY_MANY",
        }
    }
}

/// What is stored and not yet too old.
pub(super) async fn find(postgres: &Postgres, slot: &Slot) -> Result<Option<Stored>, StoreError> {
    let read = sqlx::query!(
        "SELECT fingerprint, status, body FROM idempotency_key
         WHERE user_id = $1 AND call = $2 AND key = $3 AND created_at > now() - make_interval(hours => $4)",
        slot.user.get(),
        slot.call.word(),
        &*slot.key,
        HOURS
    )
    .fetch_optional(postgres.pool());
    let Some(row) = postgres.timed("idempotency.find", read).await? else { return Ok(None) };
    let status = u16::try_from(row.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let unexpected = || StoreError::Unexpected { store: "postgres", source: "a stored status is none".into() };
    let answer = Answer { status: status.ok_or_else(unexpected)?, body: Bytes::from(row.body), replayed: true };
    Ok(Some(Stored { fingerprint: row.fingerprint, answer }))
}

/// Whether the key is free; if so, nobody else's until the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection, slot: &Slot) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!("SELECT pg_try_advisory_xact_lock($1) AS \"free!\"", lock_id(slot)).fetch_one(connection).await
}

/// Two slots may share one, and then one request is told once in a while that its key is in use.
fn lock_id(slot: &Slot) -> i64 {
    let name = format!("idempotency {} {} {}", slot.user, slot.call.word(), &*slot.key);
    blake3::hash(name.as_bytes()).as_bytes().first_chunk().map_or(0, |first| i64::from_be_bytes(*first))
}

/// Whether it is stored now: not if there is an answer that is not yet too old. One that is just being stored is waited for.
pub(super) async fn insert(
    executor: impl PgExecutor<'_>,
    request: &Keyed,
    answer: &Answer,
) -> Result<bool, sqlx::Error> {
    let slot = &request.slot;
    let write = sqlx::query!(
        "INSERT INTO idempotency_key AS had (user_id, call, key, fingerprint, status, body)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (user_id, call, key) DO UPDATE
             SET fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body, created_at = now()
             WHERE had.created_at <= now() - make_interval(hours => $7)",
        slot.user.get(),
        slot.call.word(),
        &*slot.key,
        &request.fingerprint[..],
        i16::try_from(answer.status.as_u16()).unwrap_or_default(),
        &*String::from_utf8_lossy(&answer.body),
        HOURS
    );
    Ok(write.execute(executor).await?.rows_affected() == 1)
}

/// Deletes some of what is too old; any number may do so at once.
pub(super) async fn sweep(postgres: &Postgres) -> Result<u64, StoreError> {
    let delete = sqlx::query!(
        "DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM idempotency_key WHERE created_at <= now() - make_interval(hours => $1)
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        HOURS,
        SWEEP
    )
    .execute(postgres.pool());
    Ok(postgres.timed("idempotency.sweep", delete).await?.rows_affected())
}
