//! What is around every call: request id, time-out, load shedding, panics, log line, metrics.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::error::Cause;
use super::extract::read_ahead;
use super::{ApiError, ErrorCode};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the request is called, in its answer and in the log; an extension of every request.
#[derive(Debug, Clone)]
pub struct RequestId(pub HeaderValue);

/// The bounds around every call.
#[derive(Debug)]
struct Bounds {
    timeout: Duration,
    in_flight: Semaphore,
}

/// Answers for routes and methods that are not there, in the envelope.
pub fn fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    method_fallback(router).fallback(async || ApiError::new(ErrorCode::NotFound, "There is no such route."))
}

/// Likewise for methods only, of routes that will be merged with others.
pub fn method_fallback<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.method_not_allowed_fallback(async || {
        ApiError::new(ErrorCode::MethodNotAllowed, "This route does not take this method; see the header Allow.")
    })
}

/// Puts the layers around the whole service, or a part of it that has bounds of its own.
pub fn wrap(router: Router, timeout: Duration, max_in_flight: usize) -> Router {
    let bounds = Arc::new(Bounds { timeout, in_flight: Semaphore::new(max_in_flight) });
    router.layer(from_fn_with_state(bounds, around))
}

async fn around(State(bounds): State<Arc<Bounds>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let id = request_id(&request);
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("http", request.id = id.to_str().unwrap_or_default(), %method, route);

    let mut response = bounded(&bounds, request, next).instrument(span.clone()).await;
    response.headers_mut().insert(&REQUEST_ID, id);
    span.in_scope(|| log(&response, started.elapsed()));
    measure(&method, route, &response, started.elapsed());
    response
}

async fn bounded(bounds: &Bounds, request: Request, next: Next) -> Response {
    let Ok(_place) = bounds.in_flight.try_acquire() else {
        return ApiError::unavailable("too many requests are in flight").into_response();
    };
    let call = async {
        match read_ahead(request).await {
            Ok(request) => next.run(request).await,
            Err(error) => error.into_response(),
        }
    };
    let call = AssertUnwindSafe(call).catch_unwind();
    match tokio::time::timeout(bounds.timeout, call).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => ApiError::internal(panic_message(&*panic)).into_response(),
        Err(_) => ApiError::unavailable("the request ran out of time").into_response(),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", message.unwrap_or_default())
}

/// The client's own id, if it sent a sane one, else one of ours.
fn request_id(request: &Request) -> HeaderValue {
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
    let theirs = request.headers().get(&REQUEST_ID).filter(|value| {
        let bytes = value.as_bytes();
        (1..=128).contains(&bytes.len()) && bytes.iter().copied().all(sane)
    });
    let ours = || HeaderValue::try_from(uuid::Uuid::new_v4().to_string());
    theirs.cloned().unwrap_or_else(|| ours().unwrap_or(HeaderValue::from_static("none")))
}

/// One line for what went wrong on our side, with its cause; what clients do wrong is for `debug`.
fn log(response: &Response, took: Duration) {
    let status = response.status().as_u16();
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let Some(code) = response.extensions().get::<ErrorCode>() else {
        tracing::debug!(status, took_ms, "answered");
        return;
    };
    let code = code.as_str();
    match response.extensions().get::<Cause>() {
        Some(Cause(cause)) if response.status().is_server_error() => {
            tracing::error!(status, code, took_ms, cause = chain(&**cause), "failed");
        }
        _ => tracing::debug!(status, code, took_ms, "refused"),
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Methods outside the usual come as one label, so that clients cannot make up series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn measure(method: &Method, route: String, response: &Response, took: Duration) {
    let method = method_label(method);
    let status = response.status().as_u16().to_string();
    metrics::histogram!("http_request_duration_seconds", "method" => method, "route" => route.clone()).record(took);
    metrics::counter!("http_requests_total", "method" => method, "route" => route, "status" => status).increment(1);
}
