//! The header, and the answers that are kept.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use serde::Serialize;

use super::{Call, Keyed, Slot};
use crate::http::{ApiError, ErrorCode, single_header, success_body};
use crate::ids::UserId;
use crate::veiled::Veiled;

static KEY: HeaderName = HeaderName::from_static("idempotency-key");
static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The longest key.
const LONGEST: usize = 64;

/// The `Idempotency-Key` header, if there is one.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(Option<Veiled>);

impl IdempotencyKey {
    /// This request of a user under its key; none if it came without one. `fields` is what the call takes.
    pub fn on(self, user: UserId, call: Call, fields: &impl Serialize) -> Result<Option<Keyed>, ApiError> {
        let Some(key) = self.0 else { return Ok(None) };
        let canonical = serde_json::to_vec(fields).map_err(ApiError::internal)?;
        let fingerprint = blake3::hash(&canonical).into();
        Ok(Some(Keyed { slot: Slot { user, call, key }, fingerprint }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if !parts.headers.contains_key(&KEY) {
            return Ok(Self(None));
        }
        let key = single_header(&parts.headers, &KEY).filter(|key| (1..=LONGEST).contains(&key.len()));
        let key = key.filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
        let invalid = || ApiError::invalid("Idempotency-Key is one header of 1 to 64 visible ASCII characters.");
        key.map(|key| Self(Some(key.into()))).ok_or_else(invalid)
    }
}

/// An answer that is kept under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// Whether it was given before.
    pub(super) replayed: bool,
}

impl Answer {
    /// None if a retry could change it.
    pub fn to_be_kept<T: Serialize>(outcome: &Result<T, ApiError>) -> Option<Self> {
        let (status, body) = match outcome {
            Ok(data) => (StatusCode::OK, success_body(data).ok()?),
            Err(error) if is_final(error.code()) => (error.code().status(), error.body()),
            Err(_) => return None,
        };
        Some(Self { status, body, replayed: false })
    }

    /// Whether it says the same, to the letter, first or again.
    pub fn says_what(&self, other: &Self) -> bool {
        self.status == other.status && self.body == other.body
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, [(CONTENT_TYPE, "application/json")], self.body).into_response();
        if self.replayed {
            response.headers_mut().insert(&REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// Whether this is what became of the request, rather than of the attempt to make it: of a token that is not active, of a
/// store that fails, of another request in the way.
fn is_final(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::InvalidAmount
            | ErrorCode::InsufficientBalance
            | ErrorCode::WrongQueue
            | ErrorCode::ConcertNotFound
            | ErrorCode::ScheduleNotFound
            | ErrorCode::SeatNotFound
            | ErrorCode::ReservationNotFound
            | ErrorCode::SeatTaken
            | ErrorCode::HoldLimit
            | ErrorCode::ReservationExpired
    )
}
