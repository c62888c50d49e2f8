//! The payments' calls.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Paid, Past, PayError, Payments, RefundError, Refunded};
use crate::http::{
    ApiError, Date, Described, ErrorCode, IdPath, Json, Page, PageQuery, RateLimits, Success, Time, rfc3339,
};
use crate::idempotency::{self, Answer, Call, Claim, Idempotency, IdempotencyKey};
use crate::identity::{Identity, User};
use crate::ids::{self, ConcertId, PaymentId, ReservationId, ScheduleId, SeatId};
use crate::money::Won;
use crate::queue::{Presented, Queues};

/// The most that one batch pays for.
const LARGEST_BATCH: usize = 20;

/// `/api/v1/payment/concert…`, `/api/v1/payments…`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    &'static Idempotency: FromRef<S>,
    &'static Identity: FromRef<S>,
    &'static Payments: FromRef<S>,
    &'static Queues: FromRef<S>,
    &'static RateLimits: FromRef<S>,
{
    Router::new()
        .route("/api/v1/payment/concert", post(pay))
        .route("/api/v1/payment/concert/batch", post(pay_many))
        .route("/api/v1/payments", get(history))
        .route("/api/v1/payments/{paymentHistoryId}/refund", post(refund))
}

/// What is said of them.
#[must_use]
pub fn calls() -> Vec<Described> {
    let paying = |call: Described| {
        call.active().keyed().fails(&[
            ErrorCode::ReservationNotFound,
            ErrorCode::WrongQueue,
            ErrorCode::InsufficientBalance,
            ErrorCode::ReservationExpired,
            ErrorCode::PaymentInProgress,
            ErrorCode::SeatTaken,
        ])
    };
    vec![
        paying(Described::post("/api/v1/payment/concert", "pay", "Pay for a seat that one holds."))
            .saying(
                "Takes the seat's price, confirms the reservation and ends the token, all or nothing. Paying again for what one \
                 has paid gives the same payment and takes nothing, also after the token has ended.",
            )
            .json::<PayRequest>()
            .gives::<PaidView>()
            .leads_to("refund", "path.paymentHistoryId", "/data/paymentHistoryId"),
        paying(Described::post("/api/v1/payment/concert/batch", "payMany", "Pay for several seats, all or none."))
            .json::<PayManyRequest>()
            .gives::<PaidManyView>(),
        Described::get("/api/v1/payments", "payments", "The payment history, newest first.")
            .user()
            .query::<PageQuery>()
            .gives::<HistoryView>(),
        Described::post("/api/v1/payments/{paymentHistoryId}/refund", "refund", "Give a seat back for its money.")
            .saying("Before the concert's day (then `RESERVATION_EXPIRED`), once; repeating it answers the same.")
            .user()
            .at::<PaymentId>("paymentHistoryId")
            .gives::<RefundedView>()
            .fails(&[ErrorCode::ReservationNotFound, ErrorCode::ReservationExpired, ErrorCode::InvalidAmount]),
    ]
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PayRequest {
    concert_reservation_id: ReservationId,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PaidView {
    payment_history_id: PaymentId,
}

/// Takes any authentic token: one that has ended still gets the answer to what it has paid.
async fn pay(
    State(payments): State<&'static Payments>,
    State(idempotency): State<&'static Idempotency>,
    presented: Presented,
    key: IdempotencyKey,
    Json(request): Json<PayRequest>,
) -> Result<Response, ApiError> {
    let reservation = request.concert_reservation_id;
    let Some(keyed) = key.on(presented.claim.user, Call::Pay, &request)? else {
        return Ok(Success(take(payments, presented, reservation, None).await?).into_response());
    };
    let run = async move |claim: Arc<Claim>| {
        let paid = take(payments, presented, reservation, Some(Arc::clone(&claim))).await;
        claim.settle(paid).await
    };
    Ok(idempotency.answer(keyed, run).await?.into_response())
}

async fn take(
    payments: &'static Payments,
    presented: Presented,
    reservation: ReservationId,
    claim: Option<Arc<Claim>>,
) -> Result<PaidView, ApiError> {
    let paid = payments.pay(presented, reservation, claim).await;
    count(paid.as_ref().map(std::slice::from_ref), 1);
    Ok(PaidView { payment_history_id: paid?.id })
}

/// Counts what became of so many reservations.
fn count(outcome: Result<&[Paid], &PayError>, asked: u64) {
    let paid = match outcome {
        Ok(paid) => paid,
        Err(error) => return metrics::counter!("payments_total", "outcome" => error.outcome()).increment(asked),
    };
    for Paid { taken, .. } in paid {
        let outcome = if taken.is_some() { "paid" } else { "replayed" };
        metrics::counter!("payments_total", "outcome" => outcome).increment(1);
        if let Some(amount) = taken {
            metrics::counter!("payment_amount_won_total").increment(amount.0.unsigned_abs());
        }
    }
}

/// What a payment answers.
pub(super) fn answer(payment: PaymentId) -> Option<Answer> {
    Answer::to_be_kept(&Ok(PaidView { payment_history_id: payment }))
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PayManyRequest {
    /// Each once.
    #[schemars(length(min = 1, max = LARGEST_BATCH), extend("uniqueItems" = true))]
    concert_reservation_ids: Vec<ReservationId>,
}

impl PayManyRequest {
    fn check(&self) -> Result<(), ApiError> {
        let ids = &self.concert_reservation_ids;
        if !(1..=LARGEST_BATCH).contains(&ids.len()) {
            return Err(ApiError::invalid("concertReservationIds are from 1 to 20."));
        }
        if ids.iter().collect::<HashSet<_>>().len() < ids.len() {
            return Err(ApiError::invalid("concertReservationIds are all different."));
        }
        Ok(())
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct PaidManyView {
    /// In the order asked.
    payments: Vec<PaidOneView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PaidOneView {
    concert_reservation_id: ReservationId,
    payment_history_id: PaymentId,
}

impl PaidManyView {
    fn new(paid: &[(ReservationId, Paid)]) -> Self {
        let view = |(id, paid): &(ReservationId, Paid)| PaidOneView {
            concert_reservation_id: *id,
            payment_history_id: paid.id,
        };
        Self { payments: paid.iter().map(view).collect() }
    }
}

/// Takes any authentic token, as `pay` does.
async fn pay_many(
    State(payments): State<&'static Payments>,
    State(idempotency): State<&'static Idempotency>,
    presented: Presented,
    key: IdempotencyKey,
    Json(request): Json<PayManyRequest>,
) -> Result<Response, ApiError> {
    request.check()?;
    let Some(keyed) = key.on(presented.claim.user, Call::PayMany, &request)? else {
        return Ok(Success(take_many(payments, presented, request, None).await?).into_response());
    };
    let run = async move |claim: Arc<Claim>| {
        let paid = take_many(payments, presented, request, Some(Arc::clone(&claim))).await;
        claim.settle(paid).await
    };
    Ok(idempotency.answer(keyed, run).await?.into_response())
}

async fn take_many(
    payments: &'static Payments,
    presented: Presented,
    request: PayManyRequest,
    claim: Option<Arc<Claim>>,
) -> Result<PaidManyView, ApiError> {
    let asked = request.concert_reservation_ids;
    let many = asked.len() as u64;
    let paid = payments.pay_many(presented, asked, claim).await;
    let each: Result<Vec<Paid>, &PayError> = paid.as_ref().map(|paid| paid.iter().map(|(_, paid)| *paid).collect());
    count(each.as_deref().map_err(|error| *error), many);
    Ok(PaidManyView::new(&paid?))
}

/// What a batch answers.
pub(super) fn answer_many(paid: &[(ReservationId, Paid)]) -> Option<Answer> {
    Answer::to_be_kept(&Ok(PaidManyView::new(paid)))
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

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct HistoryView {
    /// Newest first.
    payments: Vec<PastView>,
    /// What to ask for as `cursor` to go on; `null` at the end.
    #[schemars(example = &"AQAAAAAAAAAq")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PastView {
    payment_history_id: PaymentId,
    concert_reservation_id: ReservationId,
    concert_id: ConcertId,
    concert_schedule_id: ScheduleId,
    #[schemars(with = "Date")]
    date: NaiveDate,
    concert_seat_id: SeatId,
    /// The part of the hall.
    #[schemars(example = &"R")]
    section: String,
    /// The row in it.
    #[schemars(example = &"A")]
    row: String,
    /// The number on the seat.
    #[schemars(example = 11)]
    seat_number: i32,
    /// What was taken, in whole won.
    amount: Won,
    /// Whether it stands.
    #[schemars(extend("enum" = ["PAID", "REFUNDED"]), example = &"PAID")]
    status: String,
    #[schemars(with = "Time")]
    paid_at: String,
    /// `null` unless refunded.
    #[schemars(with = "Option<Time>")]
    refunded_at: Option<String>,
}

impl From<Past> for PastView {
    fn from(past: Past) -> Self {
        Self {
            payment_history_id: past.id,
            concert_reservation_id: past.reservation,
            concert_id: past.concert,
            concert_schedule_id: past.schedule,
            date: past.date,
            concert_seat_id: past.seat,
            section: past.section,
            row: past.row,
            seat_number: past.number,
            amount: past.amount,
            status: past.status,
            paid_at: rfc3339(past.paid_at),
            refunded_at: past.refunded_at.map(rfc3339),
        }
    }
}

async fn history(
    State(payments): State<&'static Payments>,
    User(user): User,
    page: Page,
) -> Result<Success<HistoryView>, ApiError> {
    let (past, next_cursor) = payments.history(user, page).await?;
    Ok(Success(HistoryView { payments: past.into_iter().map(PastView::from).collect(), next_cursor }))
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RefundedView {
    payment_history_id: PaymentId,
    /// What was given back, in whole won.
    amount: Won,
}

async fn refund(
    State(payments): State<&'static Payments>,
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
