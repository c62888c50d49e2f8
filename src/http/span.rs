//! The span of a call, for traces: made only where somebody wants spans, so that a call pays nothing for it elsewhere. It
//! says what is ours to say: a method, a route's template, a status, a code.

use std::sync::LazyLock;

use axum::response::Response;
use futures_util::future::Either;
use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::ErrorCode;
use super::call::{self, Call};

/// What the span of a call is called among spans. Traces call it by method and route.
pub const CALL_SPAN: &str = "http";

/// The span of a call, a child of the caller's own if it sends a `traceparent` (W3C Trace Context).
pub(super) fn of(call: &Call, headers: &HeaderMap) -> Span {
    static PROPAGATOR: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);
    let (method, route) = (call.method_label(), call.route());
    let span = tracing::debug_span!(
        CALL_SPAN,
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        request.id = call.id(),
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        error.r#type = Empty,
    );
    if !span.is_disabled() {
        // Refused only where spans are made for the log alone.
        let _ = span.set_parent(PROPAGATOR.extract(&HeaderExtractor(headers)));
    }
    span
}

/// Says in the span how the call was answered.
pub(super) fn answered(span: &Span, response: &Response) {
    if span.is_disabled() {
        return;
    }
    // As OpenTelemetry has it: an integer of theirs has a sign.
    span.record("http.response.status_code", i64::from(response.status().as_u16()));
    if let Some(code) = response.extensions().get::<ErrorCode>() {
        span.record("error.type", code.as_str());
    }
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// What a call leaves to a task of its own is still the call's: what that logs has its request id, and its spans are within
/// the call's.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let work = work.in_current_span();
    match call::current() {
        Some(call) => Either::Left(call::scope(call, work)),
        None => Either::Right(work),
    }
}
