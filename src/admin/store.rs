//! The audit log's only SQL.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Act;
use crate::postgres::Postgres;
use crate::store_error::StoreError;

/// A row of the log.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) at: DateTime<Utc>,
    pub(super) operator: String,
    pub(super) action: String,
    pub(super) target: String,
    /// JSON.
    pub(super) request: String,
    /// JSON.
    pub(super) outcome: String,
    pub(super) request_id: String,
}

/// Written last: every act counts up the programme's revision before, so one waits for the other, and rows are in the order
/// in which they were committed.
pub(super) async fn write(
    postgres: &Postgres,
    connection: &mut PgConnection,
    act: &Act,
    target: &str,
    request: &str,
    outcome: &str,
) -> Result<(), StoreError> {
    let insert = sqlx::query!(
        "INSERT INTO admin_audit (operator, action, target, request, outcome, request_id)
         VALUES ($1, $2, $3, $4::text::jsonb, $5::text::jsonb, $6)",
        &*act.operator.0,
        act.action.as_str(),
        target,
        request,
        outcome,
        act.request_id
    )
    .execute(connection);
    postgres.timed("admin.write", insert).await?;
    Ok(())
}

/// Rows before this one, newest first.
pub(super) async fn read(postgres: &Postgres, before: i64, limit: i64) -> Result<Vec<Entry>, StoreError> {
    let read = sqlx::query_as!(
        Entry,
        r#"SELECT id, at, operator, action, target, request::text AS "request!", outcome::text AS "outcome!", request_id
           FROM admin_audit WHERE id < $1 ORDER BY id DESC LIMIT $2"#,
        before,
        limit
    )
    .fetch_all(postgres.pool());
    Ok(postgres.timed("admin.read", read).await?)
}
