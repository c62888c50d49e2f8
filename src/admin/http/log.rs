//! Reading the audit log.

use axum::extract::State;
use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Admin, store};
use super::LARGEST_PAGE;
use crate::http::{ApiError, Query, Success, Time};

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Part {
    /// The `nextCursor` of the answer before.
    #[schemars(range(min = 1, max = i64::MAX), example = 42)]
    cursor: Option<i64>,
    /// How many; 20 unless said.
    #[schemars(range(min = 1, max = LARGEST_PAGE), example = 20)]
    size: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogView {
    /// Newest first.
    entries: Vec<EntryView>,
    /// What to ask for as `cursor` to go on; `null` at the end.
    #[schemars(example = 42)]
    next_cursor: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LogEntryView")]
struct EntryView {
    /// The entry's id.
    #[schemars(example = 42)]
    id: i64,
    #[schemars(with = "Time")]
    at: String,
    /// Who did it.
    #[schemars(example = &"ann")]
    operator: String,
    /// What was done.
    #[schemars(example = &"SET_QUEUE")]
    action: String,
    /// To what.
    #[schemars(example = &"queue big")]
    target: String,
    /// What was asked for.
    #[schemars(extend("examples" = [{"maxActive": 500}]))]
    request: Value,
    /// What came of it.
    #[schemars(extend("examples" = [{"before": {}, "after": {}}]))]
    outcome: Value,
    /// The `x-request-id` of the call.
    #[schemars(example = &"c3cae858-630c-43ac-99c3-0a27001d842b")]
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
