//! The payments' calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};

use super::{Paid, PayError, Payments, RefundError, Refunded};
use crate::http::{ApiError, ErrorCode, IdPath, Json, RateLimits, Success, User};
use crate::idempotency::{self, Answer, Call, Claim, Idempotency, IdempotencyKey};
use crate::ids::{self, PaymentId, ReservationId};
use crate::money::Won;
use crate::queue::{Presented, Queues};

/// `/api/v1/payment/concert`, `/api/v1/payments/…`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Idempotency>: FromRef<S>,
    Arc<Payments>: FromRef<S>,
    Arc<Queues>: FromRef<S>,
    Arc<RateLimits>: FromRef<S>,
{
    Router::new()
        .route("/api/v1/payment/concert", post(pay))
        .route("/api/v1/payments/{paymentHistoryId}/refund", post(refund))
}

#[derive(Debug, Deserialize, Serialize)]
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
    State(idempotency): State<Arc<Idempotency>>,
    presented: Presented,
    key: IdempotencyKey,
    Json(request): Json<PayRequest>,
) -> Result<Response, ApiError> {
    let reservation = request.concert_reservation_id;
    let Some(keyed) = key.on(presented.claim.user, Call::Pay, &request)? else {
        return Ok(Success(take(&payments, presented, reservation, None).await?).into_response());
    };
    let run = async move |claim: Arc<Claim>| {
        let paid = take(&payments, presented, reservation, Some(Arc::clone(&claim))).await;
        claim.settle(paid).await
    };
    Ok(idempotency.answer(keyed, run).await?.into_response())
}

async fn take(
    payments: &Arc<Payments>,
    presented: Presented,
    reservation: ReservationId,
    claim: Option<Arc<Claim>>,
) -> Result<PaidView, ApiError> {
    let paid = payments.pay(presented, reservation, claim).await;
    let outcome = match &paid {
        Ok(Paid { taken: Some(amount), .. }) => {
            metrics::counter!("payment_amount_won_total").increment(amount.0.unsigned_abs());
            "paid"
        }
        Ok(Paid { taken: None, .. }) => "replayed",
        Err(error) => error.outcome(),
    };
    metrics::counter!("payments_total", "outcome" => outcome).increment(1);
    Ok(PaidView { payment_history_id: paid?.id })
}

/// What a payment answers.
pub(super) fn answer(payment: PaymentId) -> Option<Answer> {
    Answer::to_be_kept(&Ok(PaidView { payment_history_id: payment }))
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
            Self::KeyInUse => "key_in_use",
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
            PayError::KeyInUse => idempotency::in_use(),
            PayError::Store(error) => error.into(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundedView {
    payment_history_id: PaymentId,
    amount: Won,
}

async fn refund(
    State(payments): State<Arc<Payments>>,
    User(user): User,
    IdPath(payment): IdPath<ids::Payment>,
) -> Result<Success<RefundedView>, ApiError> {
    let refunded = payments.refund(user, payment).await;
    let outcome = match &refunded {
        Ok(Refunded { amount, now: true }) => {
            metrics::counter!("refund_amount_won_total").increment(amount.0.unsigned_abs());
            "refunded"
        }
        Ok(Refunded { now: false, .. }) => "replayed",
        Err(error) => error.outcome(),
    };
    metrics::counter!("refunds_total", "outcome" => outcome).increment(1);
    Ok(Success(RefundedView { payment_history_id: payment, amount: refunded?.amount }))
}

impl RefundError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::NoPayment => "not_found",
            Self::TooLate => "too_late",
            Self::BalanceLimit => "balance_limit",
            Self::Store(_) => "error",
        }
    }
}

impl From<RefundError> for ApiError {
    fn from(error: RefundError) -> Self {
        match error {
            RefundError::NoPayment => Self::new(ErrorCode::ReservationNotFound, "You have no such payment."),
            RefundError::TooLate => {
                Self::new(ErrorCode::ReservationExpired, "The concert's day has come; nothing is refunded any more.")
            }
            RefundError::BalanceLimit => {
                Self::new(ErrorCode::InvalidAmount, "The balance would pass its limit of 1,000,000,000,000 won.")
            }
            RefundError::Store(error) => error.into(),
        }
    }
}
