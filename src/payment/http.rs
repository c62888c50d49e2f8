//! The payments' calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::post;
use serde::{Deserialize, Serialize};

use super::{Paid, PayError, Payments};
use crate::http::{ApiError, ErrorCode, Json, RateLimits, Success};
use crate::ids::{PaymentId, ReservationId};
use crate::queue::{Presented, Queues};

/// `/api/v1/payment/concert`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Payments>: FromRef<S>,
    Arc<Queues>: FromRef<S>,
    Arc<RateLimits>: FromRef<S>,
{
    Router::new().route("/api/v1/payment/concert", post(pay))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PayRequest {
    concert_reservation_id: ReservationId,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PaidView {
    payment_history_id: PaymentId,
}

/// Takes any authentic token: one that has ended still gets the answer to what it has paid.
async fn pay(
    State(payments): State<Arc<Payments>>,
    presented: Presented,
    Json(request): Json<PayRequest>,
) -> Result<Success<PaidView>, ApiError> {
    let paid = payments.pay(presented, request.concert_reservation_id).await;
    let outcome = match &paid {
        Ok(Paid { taken: Some(amount), .. }) => {
            metrics::counter!("payment_amount_won_total").increment(amount.0.unsigned_abs());
            "paid"
        }
        Ok(Paid { taken: None, .. }) => "replayed",
        Err(error) => error.outcome(),
    };
    metrics::counter!("payments_total", "outcome" => outcome).increment(1);
    Ok(Success(PaidView { payment_history_id: paid?.id }))
}

impl PayError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::NotActive(_) => "not_active",
            Self::NoReservation | Self::WrongQueue => "not_found",
            Self::Lapsed => "lapsed",
            Self::InProgress => "in_progress",
            Self::Taken => "taken",
            Self::Insufficient => "insufficient",
            Self::Store(_) => "error",
        }
    }
}

impl From<PayError> for ApiError {
    fn from(error: PayError) -> Self {
        match error {
            PayError::NotActive(standing) => match standing.require_active() {
                Err(error) => error,
                Ok(()) => Self::internal("an active token was found inactive"),
            },
            PayError::NoReservation => Self::new(ErrorCode::ReservationNotFound, "You have no such reservation."),
            PayError::WrongQueue => {
                Self::new(ErrorCode::WrongQueue, "The token is for another queue than this concert's.")
            }
            PayError::Lapsed => Self::new(ErrorCode::ReservationExpired, "The hold has lapsed; nothing was taken."),
            PayError::InProgress => {
                Self::new(ErrorCode::PaymentInProgress, "Another request is paying for this reservation now.")
            }
            PayError::Taken => Self::new(ErrorCode::SeatTaken, "The seat was sold to someone else; nothing was taken."),
            PayError::Insufficient => {
                Self::new(ErrorCode::InsufficientBalance, "The balance is less than the seat's price.")
            }
            PayError::Store(error) => error.into(),
        }
    }
}
