//! The queue's calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, SecondsFormat};
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use serde::{Deserialize, Serialize};

use super::estimate::{self, WaitSeconds};
use super::pass::{Had, Presented, invalid_token};
use super::{EnterError, Facts, Queue, Queues, Rank};
use crate::http::{ApiError, ErrorCode, Form, RateLimits, Success, User};
use crate::ids::ConcertId;
use crate::redis::millis;

/// The entry number of one who is to be drawn.
static DRAW_ENTRY: HeaderName = HeaderName::from_static("draw-entry");

/// The place of one who was drawn, from 0.
static DRAW_PLACE: HeaderName = HeaderName::from_static("draw-place");

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
        .route("/api/v1/queues/draws/{queueName}", get(draw))
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
) -> Result<Response, ApiError> {
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
    let entered = queues.enter(&queue, user).await?;
    let mut response = Success(Issued { token: entered.token }).into_response();
    if let Some(entry) = entered.entry {
        response.headers_mut().insert(&DRAW_ENTRY, HeaderValue::from(entry));
    }
    Ok(response)
}

impl From<EnterError> for ApiError {
    fn from(error: EnterError) -> Self {
        match error {
            EnterError::Closing => {
                Self::new(ErrorCode::Unavailable, "The queue is closing: it gives nobody a new place.")
            }
            EnterError::Store(error) => error.into(),
        }
    }
}

/// The latest draw of a queue: its promise, and once it is over its proof.
async fn draw(
    State(queues): State<Arc<Queues>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Success<Facts>, ApiError> {
    let queue = name.ok().and_then(|Path(name)| queues.by_name(&name));
    let facts = queue.and_then(|queue| queue.draw().map(|draw| draw.facts(&queue.name)));
    facts.map(Success).ok_or_else(|| ApiError::new(ErrorCode::NotFound, "There is no such queue, or it has no draw."))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RankView {
    status: &'static str,
    /// From 0; `null` unless waiting.
    rank: Option<u64>,
    ahead: u64,
    /// `null` once the token has ended.
    estimated_wait_seconds: Option<WaitSeconds>,
    poll_after_millis: u64,
    /// When the token ends: an active one at the latest, a waiting one unless it is seen again; `null` once ended.
    expires_at: Option<String>,
}

async fn rank(State(queues): State<Arc<Queues>>, presented: Presented) -> Result<Response, ApiError> {
    let rank = queues.rank(&presented.queue, &presented.claim).await?;
    let place = match rank {
        Rank::Waiting { order, .. } => presented.queue.draw_place_of(order),
        Rank::Active { .. } => queues.draw_place(&presented.queue, &presented.claim).await?,
        _ => None,
    };
    let drawn = match rank {
        Rank::Waiting { entry: entry @ 1.., .. } => Some((&DRAW_ENTRY, entry)),
        _ => place.map(|place| (&DRAW_PLACE, place)),
    };
    let view = RankView::new(rank, &presented.queue)?;
    // Whole seconds, rounded up, say the same as `pollAfterMillis`.
    let retry_after = HeaderValue::from(view.poll_after_millis.div_ceil(1000));
    let mut response = ([(RETRY_AFTER, retry_after)], Success(view)).into_response();
    if let Some((name, number)) = drawn {
        response.headers_mut().insert(name, HeaderValue::from(number));
    }
    Ok(response)
}

impl RankView {
    fn new(rank: Rank, queue: &Queue) -> Result<Self, ApiError> {
        let ahead = if let Rank::Waiting { ahead, .. } = rank { ahead } else { 0 };
        let poll_after = estimate::poll_after(ahead, &queue.settings, rand::random());
        let ended = |status| Self {
            status,
            rank: None,
            ahead: 0,
            estimated_wait_seconds: None,
            poll_after_millis: millis(poll_after),
            expires_at: None,
        };
        match rank {
            Rank::Waiting { ahead, expires_ms, .. } => Ok(Self {
                rank: Some(ahead),
                ahead,
                estimated_wait_seconds: Some(estimate::wait(ahead, &queue.settings)),
                expires_at: rfc3339(expires_ms),
                ..ended("WAITING")
            }),
            Rank::Active { expires_ms } => Ok(Self {
                estimated_wait_seconds: Some(WaitSeconds { low: 0, high: 0 }),
                expires_at: rfc3339(expires_ms),
                ..ended("ACTIVE")
            }),
            Rank::Expired => Ok(ended("EXPIRED")),
            Rank::Completed => Ok(ended("COMPLETED")),
            Rank::Unknown => Err(invalid_token()),
        }
    }
}

fn rfc3339(ms: i64) -> Option<String> {
    DateTime::from_timestamp_millis(ms).map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}
