//! The reservations' calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::{delete, post};
use serde::{Deserialize, Serialize};

use super::{HoldError, Reservations};
use crate::http::{ApiError, ErrorCode, Json, RateLimits, Success};
use crate::ids::{ReservationId, ScheduleId, SeatId};
use crate::queue::{ActivePass, Presented, Queues};

/// `/api/v1/reservations/concert`, and leaving the queue, which gives up what is held.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Queues>: FromRef<S>,
    Arc<RateLimits>: FromRef<S>,
    Arc<Reservations>: FromRef<S>,
{
    Router::new().route("/api/v1/reservations/concert", post(hold)).route("/api/v1/queues/token", delete(leave))
}

#[derive(Debug, Deserialize)]
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

async fn hold(
    State(reservations): State<Arc<Reservations>>,
    ActivePass(pass): ActivePass,
    Json(request): Json<HoldRequest>,
) -> Result<Success<HoldView>, ApiError> {
    let held = reservations.hold(&pass, request.concert_schedule_id, request.concert_seat_id).await;
    let outcome = held.as_ref().map_or_else(HoldError::outcome, |_| "held");
    metrics::counter!("seat_holds_total", "outcome" => outcome).increment(1);
    Ok(Success(HoldView { reservation_id: held? }))
}

async fn leave(State(reservations): State<Arc<Reservations>>, presented: Presented) -> Result<Success<()>, ApiError> {
    if reservations.leave(&presented).await? { Ok(Success(())) } else { Err(crate::queue::invalid_token()) }
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
