//! Reading the audit log.

use axum::extract::State;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Admin, store};
use super::LARGEST_PAGE;
use crate::http::{ApiError, Query, Success};

#[derive(Debug, Deserialize)]
pub(super) struct Part {
    /// The `nextCursor` of the answer before.
    cursor: Option<i64>,
    size: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogView {
    entries: Vec<EntryView>,
    /// `null` at the end.
    next_cursor: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryView {
    id: i64,
    at: String,
    operator: String,
    action: String,
    target: String,
    request: Value,
    outcome: Value,
    request_id: String,
}

impl EntryView {
    fn new(entry: store::Entry) -> Result<Self, ApiError> {
        Ok(Self {
            id: entry.id,
            at: rfc3339(entry.at),
            operator: entry.operator,
            action: entry.action,
            target: entry.target,
            request: serde_json::from_str(&entry.request).map_err(ApiError::internal)?,
            outcome: serde_json::from_str(&entry.outcome).map_err(ApiError::internal)?,
            request_id: entry.request_id,
        })
    }
}

/// Newest first.
pub(super) async fn read(
    State(admin): State<&'static Admin>,
    Query(part): Query<Part>,
) -> Result<Success<LogView>, ApiError> {
    let (cursor, size) = (part.cursor.unwrap_or(i64::MAX), part.size.unwrap_or(20));
    if cursor < 1 || !(1..=LARGEST_PAGE).contains(&size) {
        return Err(ApiError::invalid("cursor is the nextCursor of the answer before, size is from 1 to 100."));
    }
    // One more than shown says whether there are more.
    let mut rows = store::read(&admin.postgres, cursor, size + 1).await?;
    let shown = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > shown;
    rows.truncate(shown);
    let next_cursor = rows.last().filter(|_| more).map(|entry| entry.id);
    let entries = rows.into_iter().map(EntryView::new).collect::<Result<_, _>>()?;
    Ok(Success(LogView { entries, next_cursor }))
}

pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
