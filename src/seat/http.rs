//! The seats' calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap};

use super::Seats;
use crate::concert::Concerts;
use crate::http::{ApiError, ErrorCode, IdPath, RateLimits, matches_etag};
use crate::ids::{self, ScheduleId};
use crate::queue::{ActivePass, Presented, Queues};

/// `/api/v1/concerts/schedules/{concertScheduleId}/seats` and `…/seat-map`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Concerts>: FromRef<S>,
    Arc<Queues>: FromRef<S>,
    Arc<RateLimits>: FromRef<S>,
    Arc<Seats>: FromRef<S>,
{
    Router::new()
        .route("/api/v1/concerts/schedules/{concertScheduleId}/seats", get(seats))
        .route("/api/v1/concerts/schedules/{concertScheduleId}/seat-map", get(seat_map))
}

async fn seats(
    State(concerts): State<Arc<Concerts>>,
    State(seats): State<Arc<Seats>>,
    ActivePass(pass): ActivePass,
    IdPath(id): IdPath<ids::Schedule>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    require_open(&concerts, &pass, id)?;
    let list = seats.free_list(id).await?;
    Ok(unless_known(&headers, &list.etag, &list.body))
}

async fn seat_map(
    State(concerts): State<Arc<Concerts>>,
    State(seats): State<Arc<Seats>>,
    ActivePass(pass): ActivePass,
    IdPath(id): IdPath<ids::Schedule>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    require_open(&concerts, &pass, id)?;
    let map = seats.seat_map(id).await?;
    Ok(unless_known(&headers, &map.etag, &map.body))
}

/// Fails unless this is a schedule of the pass' queue that is not over.
fn require_open(concerts: &Concerts, pass: &Presented, id: ScheduleId) -> Result<(), ApiError> {
    let schedule = concerts
        .upcoming(id)
        .ok_or_else(|| ApiError::new(ErrorCode::ScheduleNotFound, "There is no such schedule, or it is over."))?;
    pass.require_queue(schedule.queue)
}

/// The body; or 304 if the client has it. Kept by the client alone, and shown again only after asking whether it has changed.
fn unless_known(headers: &HeaderMap, etag: &str, body: &Bytes) -> Response {
    let caching = [(ETAG, etag), (CACHE_CONTROL, "private, no-cache")];
    if matches_etag(headers, etag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(CONTENT_TYPE, "application/json")], body.clone()).into_response()
}
