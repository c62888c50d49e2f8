//! The extractors, each of which fails with the contract's own error. To name one in a handler is to make the check.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName};
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::{ApiError, ErrorCode};
use crate::ids::Id;

/// How long a body may take to arrive; it is small.
const BODY_PATIENCE: Duration = Duration::from_millis(1200);

/// The largest body, in bytes, but for calls that say otherwise.
pub const BODY_LIMIT: usize = 16 * 1024;

/// The one value of a header; none if it is missing, repeated or not plain ASCII.
pub(crate) fn single_header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// The id in the path.
#[derive(Debug, Clone, Copy)]
pub struct IdPath<Kind>(pub Id<Kind>);

impl<S: Send + Sync, Kind> FromRequestParts<S> for IdPath<Kind> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let id = text.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(|| ApiError::invalid("The id in the path is not a positive whole number."))
    }
}

/// All headers, taken rather than copied: no extractor after this one finds any.
#[derive(Clone)]
pub struct AllHeaders(pub HeaderMap);

impl std::fmt::Debug for AllHeaders {
    /// How many: among them are tokens and cookies.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AllHeaders({})", self.0.len())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AllHeaders {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(std::mem::take(&mut parts.headers)))
    }
}

/// The text in the path.
#[derive(Debug, Clone)]
pub struct TextPath(pub String);

impl<S: Send + Sync> FromRequestParts<S> for TextPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        text.map(|Path(text)| Self(text)).map_err(|_| ApiError::invalid("The name in the path is not UTF-8."))
    }
}

/// The query string, as the fields of `T`.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query: Result<axum::extract::Query<T>, QueryRejection> =
            axum::extract::Query::from_request_parts(parts, state).await;
        query.map(|query| Self(query.0)).map_err(|rejection| {
            let text = rejection.body_text();
            let said = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            ApiError::invalid(format!("The query is not as it should be: {}.", in_plain_words(said)))
        })
    }
}

/// A JSON body, as the fields of `T`; fields that `T` does not name are passed over.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        read_json(request, BODY_LIMIT).await.map(Self)
    }
}

/// Likewise, of up to so many bytes. One over the limit of every other call is read only by the handler: whatever refuses
/// the call before that costs the connection.
#[derive(Debug, Clone, Copy)]
pub struct LargeJson<T, const LIMIT: usize>(pub T);

impl<S: Send + Sync, T: DeserializeOwned, const LIMIT: usize> FromRequest<S> for LargeJson<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        read_json(request, LIMIT).await.map(Self)
    }
}

async fn read_json<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, ApiError> {
    if media_type(request.headers()) != Some("application/json") {
        let message = "Send the header Content-Type: application/json.";
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message));
    }
    let body = read_body(request, limit).await?;
    let text = std::str::from_utf8(&body).map_err(|_| ApiError::invalid("The body is not UTF-8."))?;
    // Left to itself, serde would take an array for the fields in order.
    if !text.trim_start().starts_with('{') {
        return Err(ApiError::invalid("The body is not a JSON object."));
    }
    serde_json::from_str(text).map_err(|error| {
        ApiError::invalid(format!("The body does not fit this call: {}.", in_plain_words(&error.to_string())))
    })
}

/// What a deserializer says, in the words of JSON where it has those of Rust.
fn in_plain_words(said: &str) -> String {
    let words = [
        ("expected i64", "expected a whole number"),
        ("expected i32", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected usize", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected an array"),
        ("expected a map", "expected an object"),
        ("invalid digit found in string", "not a whole number"),
        ("cannot parse integer from empty string", "not a whole number"),
        ("number too large to fit in target type", "too large"),
        ("number too small to fit in target type", "too small"),
    ];
    let said = words.iter().fold(said.to_owned(), |said, (rust, plain)| said.replace(rust, plain));
    let Some((before, rest)) = said.split_once("expected struct ") else { return said };
    format!("{before}expected an object{}", rest.trim_start_matches(char::is_alphanumeric))
}

/// A form body (`application/x-www-form-urlencoded`), as the fields of `T`. No body is an empty form.
#[derive(Debug, Clone, Copy)]
pub struct Form<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let kind = media_type(request.headers()).map(str::to_ascii_lowercase);
        let body = read_body(request, BODY_LIMIT).await?;
        if !body.is_empty() && kind.is_some_and(|kind| kind != "application/x-www-form-urlencoded") {
            let message = "This call takes a form: application/x-www-form-urlencoded.";
            return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message));
        }
        serde_urlencoded::from_bytes(&body).map(Self).map_err(|error| {
            ApiError::invalid(format!("The form does not fit this call: {}.", in_plain_words(&error.to_string())))
        })
    }
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = single_header(headers, &CONTENT_TYPE)?;
    let kind = value.split(';').next().unwrap_or_default().trim();
    // Media types are case-insensitive; almost everybody writes the one we ask for in lower case.
    if kind.eq_ignore_ascii_case("application/json") { Some("application/json") } else { Some(kind) }
}

/// Reads a small body before anything is decided. A refusal then leaves the connection in order: hyper closes one whose
/// request was not read to its end, and in a rush nearly everybody is refused.
pub(super) async fn read_ahead(request: Request) -> Result<Request, ApiError> {
    let (parts, body) = request.into_parts();
    let body = read_body(Request::new(body), BODY_LIMIT).await?;
    Ok(Request::from_parts(parts, body.into()))
}

/// Whether a request has such a body.
pub(super) fn is_read_ahead(request: &Request) -> bool {
    declared_length(request).is_some_and(|length| (1..=BODY_LIMIT as u64).contains(&length))
}

fn declared_length(request: &Request) -> Option<u64> {
    single_header(request.headers(), &CONTENT_LENGTH)?.parse().ok()
}

/// A body that says it is too large is refused before it is read, and one that dawdles before the request's own time is up,
/// which would look like a fault of ours.
async fn read_body(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::new(ErrorCode::PayloadTooLarge, format!("The body is over {limit} bytes."));
    if declared_length(&request).is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let body = Limited::new(request.into_body(), limit).collect();
    match tokio::time::timeout(BODY_PATIENCE, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
        Ok(Err(_)) | Err(_) => Err(ApiError::invalid("The body did not arrive whole, or not in time.")),
    }
}
