//! The reservations' calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use serde::{Deserialize, Serialize};

use super::{Held, HoldError, Reservations};
use crate::http::{ApiError, ErrorCode, Json, RateLimits, Success};
use crate::idempotency::{Answer, Call, Claim, Idempotency, IdempotencyKey};
use crate::ids::{ReservationId, ScheduleId, SeatId};
use crate::queue::{Presented, Queues};

/// `/api/v1/reservations/concert`, and leaving the queue, which gives up what is held.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Idempotency>: FromRef<S>,
    Arc<Queues>: FromRef<S>,
    Arc<RateLimits>: FromRef<S>,
    Arc<Reservations>: FromRef<S>,
{
    Router::new().route("/api/v1/reservations/concert", post(hold)).route("/api/v1/queues/token", delete(leave))
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct HoldRequest {
    concert_schedule_id: ScheduleId,
    concert_seat_id: SeatId,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HoldView {
    reservation_id: ReservationId,
}

/// Takes any authentic token: one that has ended still gets the answer that its request got before, under the same key. But
/// for that, a token that is not active is refused before the body is looked at.
async fn hold(
    State(reservations): State<Arc<Reservations>>,
    State(queues): State<Arc<Queues>>,
    State(idempotency): State<Arc<Idempotency>>,
    presented: Presented,
    key: IdempotencyKey,
    body: Result<Json<HoldRequest>, ApiError>,
) -> Result<Response, ApiError> {
    let request = match body {
        Ok(Json(request)) => request,
        Err(error) => return Err(require_active(&queues, &presented).await.err().unwrap_or(error)),
    };
    let Some(keyed) = key.on(presented.claim.user, Call::Hold, &request)? else {
        require_active(&queues, &presented).await?;
        return Ok(Success(HoldView::from(take(&reservations, &presented, request).await?)).into_response());
    };
    let run = async move |claim: Arc<Claim>| {
        require_active(&queues, &presented).await?;
        let held = take(&reservations, &presented, request).await;
        settle(&reservations, &presented, request, &claim, held).await
    };
    Ok(idempotency.answer(keyed, run).await?.into_response())
}

async fn require_active(queues: &Queues, presented: &Presented) -> Result<(), ApiError> {
    queues.check_lately(&presented.queue, &presented.claim).await?.require_active()
}

async fn take(reservations: &Reservations, pass: &Presented, request: HoldRequest) -> Result<Held, ApiError> {
    let held = reservations.hold(pass, request.concert_schedule_id, request.concert_seat_id).await;
    let outcome = held.as_ref().map_or_else(HoldError::outcome, |_| "held");
    metrics::counter!("seat_holds_total", "outcome" => outcome).increment(1);
    Ok(held?)
}

/// Stores the answer. Redis gave the hold before; where another request's answer was first, it goes back.
async fn settle(
    reservations: &Reservations,
    pass: &Presented,
    request: HoldRequest,
    claim: &Claim,
    held: Result<Held, ApiError>,
) -> Result<Answer, ApiError> {
    let new = held.as_ref().ok().filter(|held| held.is_new).copied();
    let answer = claim.settle(held.map(HoldView::from)).await;
    if let Some(held) = new {
        let is_ours = match &answer {
            Ok(answer) => answer.is(&HoldView::from(held)),
            Err(error) => error.code() != ErrorCode::IdempotencyKeyReused,
        };
        if !is_ours {
            reservations.release(request.concert_schedule_id, pass.claim.user, held.reservation).await?;
        }
    }
    answer
}

async fn leave(State(reservations): State<Arc<Reservations>>, presented: Presented) -> Result<Success<()>, ApiError> {
    if reservations.leave(&presented).await? { Ok(Success(())) } else { Err(crate::queue::invalid_token()) }
}

impl From<Held> for HoldView {
    fn from(held: Held) -> Self {
        Self { reservation_id: held.reservation }
    }
}

impl HoldError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::NoSchedule | Self::WrongQueue | Self::NoSeat => "not_found",
            Self::Taken => "taken",
            Self::Limit => "limit",
            Self::NotActive(_) => "not_active",
            Self::Store(_) => "error",
        }
    }
}

impl From<HoldError> for ApiError {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::NoSchedule => {
                Self::new(ErrorCode::ScheduleNotFound, "There is no such schedule, or it is over.")
            }
            HoldError::WrongQueue => {
                Self::new(ErrorCode::WrongQueue, "The token is for another queue than this concert's.")
            }
            HoldError::NoSeat => Self::new(ErrorCode::SeatNotFound, "The schedule has no such seat."),
            HoldError::Taken => Self::new(ErrorCode::SeatTaken, "The seat is held or sold to someone else."),
            HoldError::Limit => Self::new(ErrorCode::HoldLimit, "You hold as many seats of this schedule as one may."),
            HoldError::NotActive(standing) => match standing.require_active() {
                Err(error) => error,
                Ok(()) => Self::internal("an active token was found inactive"),
            },
            HoldError::Store(error) => error.into(),
        }
    }
}
