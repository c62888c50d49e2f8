//! The seats' calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap};

use super::Seats;
use crate::concert::Concerts;
use crate::http::{ApiError, ErrorCode, IdPath, RateLimits, matches_etag};
use crate::ids;
use crate::queue::{ActivePass, Queues};

/// `/api/v1/concerts/schedules/{concertScheduleId}/seats`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Concerts>: FromRef<S>,
    Arc<Queues>: FromRef<S>,
    Arc<RateLimits>: FromRef<S>,
    Arc<Seats>: FromRef<S>,
{
    Router::new().route("/api/v1/concerts/schedules/{concertScheduleId}/seats", get(seats))
}

async fn seats(
    State(concerts): State<Arc<Concerts>>,
    State(seats): State<Arc<Seats>>,
    ActivePass(pass): ActivePass,
    IdPath(id): IdPath<ids::Schedule>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let schedule = concerts
        .upcoming(id)
        .ok_or_else(|| ApiError::new(ErrorCode::ScheduleNotFound, "There is no such schedule, or it is over."))?;
    pass.require_queue(schedule.queue)?;
    let list = seats.free_list(schedule.id).await?;
    // Kept by the client alone, and shown again only after asking whether it has changed.
    let caching = [(ETAG, list.etag.as_str()), (CACHE_CONTROL, "private, no-cache")];
    if matches_etag(&headers, &list.etag) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    Ok((caching, [(CONTENT_TYPE, "application/json")], list.body.clone()).into_response())
}
