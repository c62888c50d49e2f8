//! The envelope that every body is in: `{"result":"SUCCESS","data":…,"error":null}`.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use super::{ApiError, ErrorCode};

/// A success with its data.
#[derive(Debug)]
pub struct Success<T>(pub T);

#[derive(Serialize)]
struct SuccessBody<'a, T> {
    result: &'static str,
    data: &'a T,
    error: Option<()>,
}

#[derive(Serialize)]
struct FailureBody<'a> {
    result: &'static str,
    data: Option<()>,
    error: Failure<'a>,
}

#[derive(Serialize)]
struct Failure<'a> {
    code: &'static str,
    message: &'a str,
}

/// The body of a success, for answers that are rendered once and sent often.
pub fn success_body<T: Serialize>(data: &T) -> Result<Bytes, ApiError> {
    render(&SuccessBody { result: "SUCCESS", data, error: None })
}

/// The body of a success whose data is put together elsewhere: JSON of about so many bytes.
pub fn success_around(room: usize, data: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut body = Vec::with_capacity(room + 64);
    body.extend_from_slice(br#"{"result":"SUCCESS","data":"#);
    data(&mut body);
    body.extend_from_slice(br#","error":null}"#);
    body.into()
}

pub(super) fn failure_body(code: ErrorCode, message: &str) -> Bytes {
    let body = FailureBody { result: "ERROR", data: None, error: Failure { code: code.as_str(), message } };
    // Strings always serialize; an empty body would still carry its status.
    render(&body).unwrap_or_default()
}

fn render<T: Serialize>(body: &T) -> Result<Bytes, ApiError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(ApiError::internal)
}

/// A body as 200.
pub(super) fn json_response(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        match success_body(&self.0) {
            Ok(body) => json_response(body),
            Err(error) => error.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_the_contracts_to_the_letter() {
        let success = success_body(&serde_json::json!({"token": "x"})).unwrap_or_default();
        assert_eq!(success, r#"{"result":"SUCCESS","data":{"token":"x"},"error":null}"#);
        assert_eq!(success, success_around(0, |data| data.extend_from_slice(br#"{"token":"x"}"#)));
        let failure = failure_body(ErrorCode::SeatTaken, "gone");
        assert_eq!(failure, r#"{"result":"ERROR","data":null,"error":{"code":"SEAT_TAKEN","message":"gone"}}"#);
    }
}
