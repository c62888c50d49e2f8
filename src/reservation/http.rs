//! The reservations' calls.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use chrono::{DateTime, NaiveDate, SecondsFormat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GiveUpError, Held, HeldMany, HoldError, Reservation, Reservations, Status};
use crate::http::{ApiError, Date, Described, ErrorCode, IdPath, Json, RateLimits, Success, Time};
use crate::idempotency::{Answer, Call, Claim, Idempotency, IdempotencyKey};
use crate::ids::{self, ConcertId, ReservationId, ScheduleId, SeatId};
use crate::money::Won;
use crate::queue::{Presented, Queues};
use crate::seat::Wanted;

/// The most seats that are held at once.
const MOST_AT_ONCE: usize = 20;

/// `/api/v1/reservations…`, and leaving the queue, which gives up what is held.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    &'static Idempotency: FromRef<S>,
    &'static Queues: FromRef<S>,
    &'static RateLimits: FromRef<S>,
    &'static Reservations: FromRef<S>,
{
    Router::new()
        .route("/api/v1/reservations/concert", post(hold))
        .route("/api/v1/reservations/concert/batch", post(hold_many))
        .route("/api/v1/reservations", get(own))
        .route("/api/v1/reservations/{reservationId}", get(one).delete(give_up))
        .route("/api/v1/queues/token", delete(leave))
}

/// What is said of them.
#[must_use]
pub fn calls() -> Vec<Described> {
    let holding = |call: Described| {
        call.active().keyed().fails(&[
            ErrorCode::WrongQueue,
            ErrorCode::ScheduleNotFound,
            ErrorCode::SeatNotFound,
            ErrorCode::SeatTaken,
            ErrorCode::HoldLimit,
        ])
    };
    let of_one =
        |call: Described| call.token().at::<ReservationId>("reservationId").fails(&[ErrorCode::ReservationNotFound]);
    vec![
        holding(Described::post("/api/v1/reservations/concert", "hold", "Hold a seat."))
            .saying(
                "For five minutes, unless configured otherwise; then it is free again by itself. Exactly one of those who ask \
                 at once gets it. Asking again for a seat that one holds gives the same reservation.",
            )
            .json::<HoldRequest>()
            .gives::<HoldView>()
            .leads_to("pay", "body.concertReservationId", "/data/reservationId")
            .leads_to("reservation", "path.reservationId", "/data/reservationId")
            .leads_to("giveUp", "path.reservationId", "/data/reservationId"),
        holding(Described::post("/api/v1/reservations/concert/batch", "holdMany", "Hold several seats, all or none."))
            .saying("Named ones, or so many of the best. Its `Idempotency-Key`s are those of holding one seat.")
            .json::<HoldManyRequest>()
            .gives::<HoldManyView>(),
        Described::get("/api/v1/reservations", "reservations", "One's own: held in the token's queue, and the last bought.")
            .saying("Takes a token that has ended too.")
            .token()
            .gives::<OwnView>(),
        of_one(Described::get("/api/v1/reservations/{reservationId}", "reservation", "One of one's own."))
            .saying("Takes a token that has ended too.")
            .gives::<ReservationView>(),
        of_one(Described::delete("/api/v1/reservations/{reservationId}", "giveUp", "Give up a hold."))
            .saying("The seat is free at once. Giving up twice is no mistake.")
            .fails(&[ErrorCode::PaymentInProgress, ErrorCode::ReservationExpired]),
        Described::delete("/api/v1/queues/token", "leaveQueue", "Leave the queue.")
            .saying("The place or slot is free at once, and so are the seats that one holds. Leaving twice is no mistake.")
            .token(),
    ]
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct HoldRequest {
    concert_schedule_id: ScheduleId,
    concert_seat_id: SeatId,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct HoldView {
    reservation_id: ReservationId,
}

/// Takes any authentic token: one that has ended still gets the answer that its request got before, under the same key. But
/// for that, a token that is not active is refused before the body is looked at.
async fn hold(
    State(reservations): State<&'static Reservations>,
    State(queues): State<&'static Queues>,
    State(idempotency): State<&'static Idempotency>,
    presented: Presented,
    key: IdempotencyKey,
    body: Result<Json<HoldRequest>, ApiError>,
) -> Result<Response, ApiError> {
    let request = match body {
        Ok(Json(request)) => request,
        Err(error) => return Err(require_active(queues, &presented).await.err().unwrap_or(error)),
    };
    let Some(keyed) = key.on(presented.claim.user, Call::Hold, &request)? else {
        require_active(queues, &presented).await?;
        return Ok(Success(HoldView::from(take(reservations, &presented, request).await?)).into_response());
    };
    let run = async move |claim: Arc<Claim>| {
        require_active(queues, &presented).await?;
        let held = take(reservations, &presented, request).await;
        let new: Vec<_> = held.iter().filter(|held| held.is_new).map(|held| held.reservation).collect();
        let schedule = request.concert_schedule_id;
        settle(reservations, &presented, schedule, &claim, &new, held.map(HoldView::from)).await
    };
    Ok(idempotency.answer(keyed, run).await?.into_response())
}

/// One of two forms: these seats, or so many of the best.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("oneOf" = [
    {"required": ["concertSeatIds"], "properties": {"concertSeatIds": {"type": "array"}, "count": {"type": "null"}, "bestAvailable": {"type": "null"}}},
    {"required": ["count", "bestAvailable"], "properties": {"concertSeatIds": {"type": "null"}, "count": {"type": "integer"}, "bestAvailable": {"const": true}}},
]))]
struct HoldManyRequest {
    concert_schedule_id: ScheduleId,
    /// These seats, each once.
    #[schemars(length(min = 1, max = MOST_AT_ONCE), extend("uniqueItems" = true))]
    concert_seat_ids: Option<Vec<SeatId>>,
    /// So many seats, the best together that are free.
    #[schemars(range(min = 1, max = MOST_AT_ONCE), example = 2)]
    count: Option<usize>,
    /// `true`, together with `count`.
    #[schemars(example = true)]
    best_available: Option<bool>,
}

impl HoldManyRequest {
    fn wanted(&self) -> Result<Wanted, ApiError> {
        let wanted = match (&self.concert_seat_ids, self.count, self.best_available) {
            (Some(seats), None, None) => Wanted::Seats(seats.clone()),
            (None, Some(count), Some(true)) => Wanted::Best(count),
            _ => {
                let message = "Send either concertSeatIds, or count and bestAvailable: true.";
                return Err(ApiError::invalid(message));
            }
        };
        if !(1..=MOST_AT_ONCE).contains(&wanted.count()) {
            return Err(ApiError::invalid(format!("From 1 to {MOST_AT_ONCE} seats can be held at once.")));
        }
        if let Wanted::Seats(seats) = &wanted
            && seats.iter().collect::<HashSet<_>>().len() < seats.len()
        {
            return Err(ApiError::invalid("A seat is named twice."));
        }
        Ok(wanted)
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct HoldManyView {
    /// In the order asked, or by row and number.
    reservations: Vec<SeatHoldView>,
    /// When the first of these holds lapses.
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SeatHoldView {
    reservation_id: ReservationId,
    concert_seat_id: SeatId,
}

/// As [`hold`], of several seats. Its keys are those of [`hold`]: the requests differ, so their keys must.
async fn hold_many(
    State(reservations): State<&'static Reservations>,
    State(queues): State<&'static Queues>,
    State(idempotency): State<&'static Idempotency>,
    presented: Presented,
    key: IdempotencyKey,
    body: Result<Json<HoldManyRequest>, ApiError>,
) -> Result<Response, ApiError> {
    let request = body.and_then(|Json(request)| request.wanted().map(|wanted| (request, wanted)));
    let (request, wanted) = match request {
        Ok(request) => request,
        Err(error) => return Err(require_active(queues, &presented).await.err().unwrap_or(error)),
    };
    let schedule = request.concert_schedule_id;
    let Some(keyed) = key.on(presented.claim.user, Call::Hold, &request)? else {
        require_active(queues, &presented).await?;
        let held = take_many(reservations, &presented, schedule, &wanted).await?;
        return Ok(Success(HoldManyView::from(held)).into_response());
    };
    let run = async move |claim: Arc<Claim>| {
        require_active(queues, &presented).await?;
        let held = take_many(reservations, &presented, schedule, &wanted).await;
        let new = held.as_ref().map(|held| held.new.clone()).unwrap_or_default();
        settle(reservations, &presented, schedule, &claim, &new, held.map(HoldManyView::from)).await
    };
    Ok(idempotency.answer(keyed, run).await?.into_response())
}

async fn take_many(
    reservations: &'static Reservations,
    pass: &Presented,
    schedule: ScheduleId,
    wanted: &Wanted,
) -> Result<HeldMany, ApiError> {
    let held = reservations.hold_many(pass, schedule, wanted).await;
    let outcome = held.as_ref().map_or_else(HoldError::outcome, |_| "held");
    metrics::counter!("seat_holds_total", "outcome" => outcome).increment(wanted.count() as u64);
    Ok(held?)
}

async fn require_active(queues: &Queues, presented: &Presented) -> Result<(), ApiError> {
    queues.check_first(&presented.queue, &presented.claim).await?.require_active()
}

async fn take(reservations: &'static Reservations, pass: &Presented, request: HoldRequest) -> Result<Held, ApiError> {
    let held = reservations.hold(pass, request.concert_schedule_id, request.concert_seat_id).await;
    let outcome = held.as_ref().map_or_else(HoldError::outcome, |_| "held");
    metrics::counter!("seat_holds_total", "outcome" => outcome).increment(1);
    Ok(held?)
}

/// Stores the answer. Redis gave what is new before; where another request's answer was first, it goes back.
async fn settle<T: Serialize>(
    reservations: &Reservations,
    pass: &Presented,
    schedule: ScheduleId,
    claim: &Claim,
    new: &[ReservationId],
    held: Result<T, ApiError>,
) -> Result<Answer, ApiError> {
    let ours = Answer::to_be_kept(&held);
    let answer = claim.settle(held).await;
    let is_ours = match &answer {
        Ok(answer) => ours.is_some_and(|ours| answer.says_what(&ours)),
        Err(error) => error.code() != ErrorCode::IdempotencyKeyReused,
    };
    if !is_ours {
        reservations.release_all(schedule, pass.claim.user, new).await?;
    }
    answer
}

#[derive(Debug, Serialize, JsonSchema)]
struct OwnView {
    /// Those held, and the last 100 bought.
    reservations: Vec<ReservationView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReservationView {
    reservation_id: ReservationId,
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
    /// What it costs, in whole won.
    price: Won,
    /// What has become of it.
    #[schemars(extend("enum" = ["HELD", "PAYING", "CONFIRMED", "EXPIRED", "CANCELLED"]), example = &"HELD")]
    status: &'static str,
    /// When the hold lapses; `null` unless held.
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
}

/// Takes any authentic token: who has paid has none that is active any more.
async fn own(
    State(reservations): State<&'static Reservations>,
    presented: Presented,
) -> Result<Success<OwnView>, ApiError> {
    let own = reservations.own(&presented).await?;
    Ok(Success(OwnView { reservations: own.into_iter().map(ReservationView::from).collect() }))
}

async fn one(
    State(reservations): State<&'static Reservations>,
    presented: Presented,
    IdPath(id): IdPath<ids::Reservation>,
) -> Result<Success<ReservationView>, ApiError> {
    let found = reservations.find(presented.claim.user, id).await?;
    Ok(Success(found.ok_or_else(no_reservation)?.into()))
}

async fn give_up(
    State(reservations): State<&'static Reservations>,
    presented: Presented,
    IdPath(id): IdPath<ids::Reservation>,
) -> Result<Success<()>, ApiError> {
    reservations.give_up(presented.claim.user, id).await?;
    Ok(Success(()))
}

fn no_reservation() -> ApiError {
    ApiError::new(ErrorCode::ReservationNotFound, "You have no such reservation.")
}

fn rfc3339(ms: i64) -> Option<String> {
    DateTime::from_timestamp_millis(ms).map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

async fn leave(
    State(reservations): State<&'static Reservations>,
    presented: Presented,
) -> Result<Success<()>, ApiError> {
    if reservations.leave(presented).await? { Ok(Success(())) } else { Err(crate::queue::invalid_token()) }
}

impl From<Held> for HoldView {
    fn from(held: Held) -> Self {
        Self { reservation_id: held.reservation }
    }
}

impl From<HeldMany> for HoldManyView {
    fn from(held: HeldMany) -> Self {
        let view = |(seat, reservation)| SeatHoldView { reservation_id: reservation, concert_seat_id: seat };
        Self { reservations: held.seats.into_iter().map(view).collect(), expires_at: rfc3339(held.expires_ms) }
    }
}

impl From<Reservation> for ReservationView {
    fn from(own: Reservation) -> Self {
        let (status, expires_ms) = match own.status {
            Status::Held { expires_ms } => ("HELD", Some(expires_ms)),
            Status::Paying { expires_ms } => ("PAYING", Some(expires_ms)),
            Status::Confirmed => ("CONFIRMED", None),
            Status::Expired => ("EXPIRED", None),
            Status::Cancelled => ("CANCELLED", None),
        };
        Self {
            reservation_id: own.id,
            concert_id: own.concert,
            concert_schedule_id: own.schedule,
            date: own.date,
            concert_seat_id: own.seat,
            section: own.section,
            row: own.row,
            seat_number: own.number,
            price: own.price,
            status,
            expires_at: expires_ms.and_then(rfc3339),
        }
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
            HoldError::Limit => {
                Self::new(ErrorCode::HoldLimit, "One person may not hold so many seats of this schedule.")
            }
            HoldError::NotActive(standing) => match standing.require_active() {
                Err(error) => error,
                Ok(()) => Self::internal("an active token was found inactive"),
            },
            HoldError::Store(error) => error.into(),
        }
    }
}

impl From<GiveUpError> for ApiError {
    fn from(error: GiveUpError) -> Self {
        match error {
            GiveUpError::NoReservation => no_reservation(),
            GiveUpError::Paying => {
                Self::new(ErrorCode::PaymentInProgress, "A request is paying for it now; it cannot be given up.")
            }
            GiveUpError::Paid => Self::new(ErrorCode::ReservationExpired, "It is paid; have it refunded instead."),
            GiveUpError::Lapsed => Self::new(ErrorCode::ReservationExpired, "The hold has lapsed."),
            GiveUpError::Store(error) => error.into(),
        }
    }
}
