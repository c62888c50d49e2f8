//! The queue's calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, SecondsFormat};
use http::header::{HeaderValue, RETRY_AFTER};
use serde::{Deserialize, Serialize};

use super::estimate::{self, WaitSeconds};
use super::pass::{Had, Presented, invalid_token};
use super::{Queue, Queues, Rank};
use crate::http::{ApiError, ErrorCode, Form, RateLimits, Success, User};
use crate::ids::ConcertId;
use crate::redis::millis;

/// `/api/v1/queues/…`, but for leaving, which gives up seats too and so belongs to `reservation`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Queues>: FromRef<S>,
    Arc<RateLimits>: FromRef<S>,
{
    Router::new().route("/api/v1/queues/token", post(issue)).route("/api/v1/queues/token/rank", get(rank))
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
    let view = RankView::new(rank, &presented.queue)?;
    // Whole seconds, rounded up, say the same as `pollAfterMillis`.
    let retry_after = HeaderValue::from(view.poll_after_millis.div_ceil(1000));
    Ok(([(RETRY_AFTER, retry_after)], Success(view)).into_response())
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
            Rank::Waiting { ahead, expires_ms } => Ok(Self {
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
