//! What is around every call that the router answers: request id, time-out, load shedding, panics, log line, metrics. Each call pays for it, so it is
//! one layer, it takes no lock and makes no text that nobody reads.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tower::Service;
use tower::layer::layer_fn;
use tracing::{Instrument, Span};

use super::call::{self, Call};
use super::error::Cause;
use super::extract::{is_read_ahead, read_ahead};
use super::span;
use super::tally::Tally;
use super::{ApiError, ErrorCode};

pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the calls are told of the whole service, and what they tell it.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Whether a shutdown has begun.
    pub draining: AtomicBool,
    /// How many calls were answered with a fault of ours: 500 or more.
    pub failures: AtomicU64,
}

/// The bounds around every call.
#[derive(Debug)]
struct Bounds {
    timeout: Duration,
    in_flight: Semaphore,
    pulse: Arc<Pulse>,
}

/// One route of one method, or what answers where there is none, with what is around it. Cloned for each call, on every
/// processor at once, so it counts nobody who uses it.
#[derive(Debug, Clone)]
struct Around {
    route: Route,
    bounds: &'static Bounds,
    tally: &'static Tally,
}

/// The answer for routes that are not there, in the envelope.
#[must_use]
pub fn no_such_route() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "There is no such route.")
}

/// Answers in the envelope for methods that a route does not take.
pub fn method_fallback<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.method_not_allowed_fallback(async || {
        ApiError::new(ErrorCode::MethodNotAllowed, "This route does not take this method; see the header Allow.")
    })
}

/// Puts the layers around the whole service, or a part of it that has bounds of its own. While a shutdown
/// goes on, clients are told to come by another connection next time, before theirs is closed. Lasts from here on
/// as long as the program.
pub fn wrap(router: Router, timeout: Duration, max_in_flight: usize, pulse: Arc<Pulse>) -> Router {
    let bounds = Bounds { timeout, in_flight: Semaphore::new(max_in_flight), pulse };
    let bounds: &_ = Box::leak(Box::new(bounds));
    router.layer(layer_fn(move |route| Around { route, bounds, tally: Box::leak(Box::default()) }))
}

impl Service<Request> for Around {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.route, context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let started = Instant::now();
        let (bounds, tally, call) = (self.bounds, self.tally, Call::of(&request, request_id(request.headers())));
        let span = span::of(&call, request.headers());
        // Boxed before it goes through what is around it, each part of which moves it.
        let answer: BoxFuture<'static, Response> = if is_read_ahead(&request) {
            Box::pin(answer_read_ahead(self.route.clone(), request))
        } else {
            Box::pin(self.route.call(request).map(|Ok(response)| response))
        };
        Box::pin(around(bounds, tally, call, span, started, answer).map(Ok))
    }
}

async fn answer_read_ahead(mut route: Route, request: Request) -> Response {
    match read_ahead(request).await {
        Ok(request) => route.call(request).await.unwrap_or_else(|never| match never {}),
        Err(error) => error.into_response(),
    }
}

async fn around(
    bounds: &Bounds,
    tally: &Tally,
    call: Call,
    span: Span,
    started: Instant,
    answer: BoxFuture<'static, Response>,
) -> Response {
    let id = call.id.clone();
    let (mut response, call) = call::within(call, bounded(bounds, answer).instrument(span.clone())).await;
    span::answered(&span, &response);
    response.headers_mut().insert(&REQUEST_ID, id);
    if bounds.pulse.draining.load(Ordering::Relaxed) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if response.status().is_server_error() {
        bounds.pulse.failures.fetch_add(1, Ordering::Relaxed);
    }
    let took = started.elapsed();
    tally.count(call.method_label(), call.route(), response.status(), took);
    call::say(call, || log(&response, took));
    response
}

async fn bounded(bounds: &Bounds, answer: BoxFuture<'static, Response>) -> Response {
    let Ok(_place) = bounds.in_flight.try_acquire() else {
        return ApiError::unavailable("too many requests are in flight").into_response();
    };
    match tokio::time::timeout(bounds.timeout, AssertUnwindSafe(answer).catch_unwind()).await {
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
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
    let theirs = headers.get(&REQUEST_ID).filter(|value| {
        let bytes = value.as_bytes();
        (1..=128).contains(&bytes.len()) && bytes.iter().copied().all(sane)
    });
    // The system need not be asked for randomness: an id has to be unique, not secret.
    let ours = || {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let text = Bytes::copy_from_slice(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes());
        HeaderValue::from_maybe_shared(text)
    };
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
