//! The only failure a call can answer with: a code of the contract, its status, a sentence for people.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use schemars::JsonSchema;

use super::envelope::failure_body;
use crate::store_error::StoreError;

/// The contract's failure codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// Malformed JSON, a missing or wrongly typed field, a bad path id, a bad header value.
    InvalidRequest,
    /// The amount is outside its range, or the balance would pass its limit.
    InvalidAmount,
    /// The wallet cannot pay; the hold stays as it was.
    InsufficientBalance,
    /// `userId` is missing or not a positive whole number.
    UserRequired,
    /// The token is missing, forged or not known.
    InvalidToken,
    /// The token is authentic, but its time is over or it was used up.
    TokenExpired,
    /// The token is still waiting.
    TokenNotActive,
    /// The token is for another queue than this concert's.
    WrongQueue,
    /// No such route.
    NotFound,
    /// No such concert.
    ConcertNotFound,
    /// No such schedule.
    ScheduleNotFound,
    /// No such seat.
    SeatNotFound,
    /// No such reservation, or another user's.
    ReservationNotFound,
    /// The route does not take this method.
    MethodNotAllowed,
    /// Held or sold to someone else.
    SeatTaken,
    /// The user holds as many seats of this schedule as one may.
    HoldLimit,
    /// The hold has lapsed.
    ReservationExpired,
    /// Another request is paying for it now.
    PaymentInProgress,
    /// The first request with this `Idempotency-Key` still runs.
    IdempotencyKeyInUse,
    /// The body is over its limit.
    PayloadTooLarge,
    /// A JSON call without `application/json`.
    UnsupportedMediaType,
    /// The same `Idempotency-Key` with another request.
    IdempotencyKeyReused,
    /// Too many requests of one user.
    RateLimited,
    /// Ours; the cause is in the log under the request id only.
    Internal,
    /// A store does not answer in time, or the server sheds load.
    Unavailable,
}

impl ErrorCode {
    /// Every code, for tables and tests.
    pub const ALL: [Self; 25] = [
        Self::InvalidRequest,
        Self::InvalidAmount,
        Self::InsufficientBalance,
        Self::UserRequired,
        Self::InvalidToken,
        Self::TokenExpired,
        Self::TokenNotActive,
        Self::WrongQueue,
        Self::NotFound,
        Self::ConcertNotFound,
        Self::ScheduleNotFound,
        Self::SeatNotFound,
        Self::ReservationNotFound,
        Self::MethodNotAllowed,
        Self::SeatTaken,
        Self::HoldLimit,
        Self::ReservationExpired,
        Self::PaymentInProgress,
        Self::IdempotencyKeyInUse,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::IdempotencyKeyReused,
        Self::RateLimited,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The code as clients read it, and its status.
    #[must_use]
    pub const fn parts(self) -> (&'static str, StatusCode) {
        match self {
            Self::InvalidRequest => ("INVALID_REQUEST", StatusCode::BAD_REQUEST),
            Self::InvalidAmount => ("INVALID_AMOUNT", StatusCode::BAD_REQUEST),
            Self::InsufficientBalance => ("INSUFFICIENT_BALANCE", StatusCode::BAD_REQUEST),
            Self::UserRequired => ("USER_REQUIRED", StatusCode::UNAUTHORIZED),
            Self::InvalidToken => ("INVALID_TOKEN", StatusCode::UNAUTHORIZED),
            Self::TokenExpired => ("TOKEN_EXPIRED", StatusCode::UNAUTHORIZED),
            Self::TokenNotActive => ("TOKEN_NOT_ACTIVE", StatusCode::FORBIDDEN),
            Self::WrongQueue => ("WRONG_QUEUE", StatusCode::FORBIDDEN),
            Self::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
            Self::ConcertNotFound => ("CONCERT_NOT_FOUND", StatusCode::NOT_FOUND),
            Self::ScheduleNotFound => ("SCHEDULE_NOT_FOUND", StatusCode::NOT_FOUND),
            Self::SeatNotFound => ("SEAT_NOT_FOUND", StatusCode::NOT_FOUND),
            Self::ReservationNotFound => ("RESERVATION_NOT_FOUND", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("METHOD_NOT_ALLOWED", StatusCode::METHOD_NOT_ALLOWED),
            Self::SeatTaken => ("SEAT_TAKEN", StatusCode::CONFLICT),
            Self::HoldLimit => ("HOLD_LIMIT", StatusCode::CONFLICT),
            Self::ReservationExpired => ("RESERVATION_EXPIRED", StatusCode::CONFLICT),
            Self::PaymentInProgress => ("PAYMENT_IN_PROGRESS", StatusCode::CONFLICT),
            Self::IdempotencyKeyInUse => ("IDEMPOTENCY_KEY_IN_USE", StatusCode::CONFLICT),
            Self::PayloadTooLarge => ("PAYLOAD_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedMediaType => ("UNSUPPORTED_MEDIA_TYPE", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::IdempotencyKeyReused => ("IDEMPOTENCY_KEY_REUSED", StatusCode::UNPROCESSABLE_ENTITY),
            Self::RateLimited => ("RATE_LIMITED", StatusCode::TOO_MANY_REQUESTS),
            Self::Internal => ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Unavailable => ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// The code as clients read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.parts().0
    }

    /// The status that goes with it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.parts().1
    }

    /// Seconds after which trying again makes sense, where it does.
    pub(crate) const fn retry_after(self) -> Option<u32> {
        match self {
            Self::PaymentInProgress | Self::IdempotencyKeyInUse | Self::RateLimited | Self::Unavailable => Some(1),
            _ => None,
        }
    }
}

/// A failure on its way to the client. Its cause goes to the log, never to the client.
#[derive(Debug)]
pub struct ApiError {
    code: ErrorCode,
    message: Cow<'static, str>,
    cause: Option<Cause>,
}

/// Why, for the log; rides on the response as an extension up to the layer that logs.
#[derive(Debug, Clone)]
pub(super) struct Cause(pub(super) Arc<dyn Error + Send + Sync>);

impl ApiError {
    /// A failure with a sentence that a client's author can act on.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), cause: None }
    }

    /// 400 `INVALID_REQUEST`.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// 503 `UNAVAILABLE`, with its cause.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let message = "The service cannot answer right now. It is safe to try again.";
        Self { cause: Some(Cause(Arc::from(cause.into()))), ..Self::new(ErrorCode::Unavailable, message) }
    }

    /// 500 `INTERNAL`, with its cause.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let message = "Something went wrong on our side.";
        Self { cause: Some(Cause(Arc::from(cause.into()))), ..Self::new(ErrorCode::Internal, message) }
    }

    /// The same with another sentence.
    #[must_use]
    pub fn saying(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The code it will be answered with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The body it will be answered with.
    #[must_use]
    pub fn body(&self) -> Bytes {
        failure_body(self.code, &self.message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::unavailable(error),
            StoreError::Unexpected { .. } => Self::internal(error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.code.status(), [(CONTENT_TYPE, "application/json")], self.body()).into_response();
        if let Some(seconds) = self.code.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self.code);
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}
