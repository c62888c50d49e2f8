//! The queue's calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{HeaderValue, RETRY_AFTER};
use serde::{Deserialize, Serialize};

use super::Queues;
use super::pass::{Had, Presented, Watching};
use super::view::RankView;
use crate::http::{ApiError, ErrorCode, EventStream, Form, RateLimits, Success, User};
use crate::ids::ConcertId;

/// `/api/v1/queues/…`, but for leaving, which gives up seats too and so belongs to `reservation`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Queues>: FromRef<S>,
    Arc<RateLimits>: FromRef<S>,
{
    Router::new()
        .route("/api/v1/queues/token", post(issue))
        .route("/api/v1/queues/token/rank", get(rank))
        .route("/api/v1/queues/token/events", get(events))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issue {
    concert_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct Issued {
    token: String,
}

async fn issue(
    State(queues): State<Arc<Queues>>,
    User(user): User,
    Had(had): Had,
    Form(form): Form<Issue>,
) -> Result<Success<Issued>, ApiError> {
    let queue = match form.concert_id {
        None => queues.serving(None).ok_or_else(|| ApiError::internal("there is no default queue"))?,
        Some(id) => {
            let concert: ConcertId =
                id.parse().map_err(|_| ApiError::invalid("concertId is not a positive whole number."))?;
            queues
                .serving(Some(concert))
                .ok_or_else(|| ApiError::new(ErrorCode::ConcertNotFound, "There is no such concert."))?
        }
    };
    // Who shows the token it had gets its place back, should Redis have lost it.
    if let Some(had) = had.filter(|had| had.queue == queue.id && had.user == user) {
        queues.check(&queue, &had).await?;
    }
    let token = queues.enter(&queue, user).await?;
    Ok(Success(Issued { token }))
}

async fn rank(State(queues): State<Arc<Queues>>, presented: Presented) -> Result<Response, ApiError> {
    let Presented { queue, claim } = &presented;
    let rank = queues.rank_lately(queue, claim).await?;
    let view = RankView::new(rank, queue, &queues.about(queue))?;
    queues.told(claim, view.estimated_wait_seconds);
    // Whole seconds, rounded up, say the same as `pollAfterMillis`.
    let retry_after = HeaderValue::from(view.poll_after_millis.div_ceil(1000));
    Ok(([(RETRY_AFTER, retry_after)], Success(view)).into_response())
}

/// A `Last-Event-ID` is welcome and changes nothing: events are state, not history, and the state comes first.
async fn events(State(queues): State<Arc<Queues>>, Watching(presented): Watching) -> Result<EventStream, ApiError> {
    queues.watch(&presented).await
}
