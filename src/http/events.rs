//! Server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>): a response whose body goes on, fed
//! in chunks by whoever holds its other end. Many streams cost no timer and no task of their own: one task feeds them all.

use std::fmt::Display;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::poll_fn;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use serde::Serialize;
use tokio::sync::mpsc;

use super::ApiError;

/// Tells proxies such as nginx to pass each event on at once.
static BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A line that clients pass over; it keeps the connection alive, and finds out whether the client is still there.
pub const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// The most streams of a kind at a time, unless said otherwise.
pub const MAX_STREAMS: u32 = 20_000;

/// A stream is not silent for longer than this and half of it.
const SILENCE: Duration = Duration::from_secs(8);

/// The end of a stream that is fed. When it is dropped, the response ends.
#[derive(Debug)]
pub struct EventSink(mpsc::Sender<Bytes>);

/// The end of a stream that is a response.
#[derive(Debug)]
pub struct EventStream(mpsc::Receiver<Bytes>);

/// A stream that may be behind by so many chunks.
#[must_use]
pub fn event_stream(behind: usize) -> (EventSink, EventStream) {
    let (sink, stream) = mpsc::channel(behind);
    (EventSink(sink), EventStream(stream))
}

/// How long a stream may be silent; differs from stream to stream, so that they are not all written to together.
#[must_use]
pub fn silence() -> Duration {
    SILENCE.mul_f64(1.0 + 0.5 * rand::random::<f64>())
}

/// Tells a client when to come again if its connection is lost: not all together.
#[must_use]
pub fn retry() -> Bytes {
    let ms = 1000 + rand::random_range(0..=2000);
    format!("retry: {ms}\n\n").into()
}

/// One event: its name, the id that the client repeats as `Last-Event-ID` if its connection is lost, its data as JSON.
pub fn event(name: &str, id: Option<impl Display>, data: &impl Serialize) -> Result<Bytes, ApiError> {
    let data = serde_json::to_string(data).map_err(ApiError::internal)?;
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Ok(format!("event: {name}\n{id}data: {data}\n\n").into())
}

impl EventSink {
    /// Sends a chunk. False if the client has gone, or is so far behind that it had better come again: drop the sink then.
    #[must_use]
    pub fn send(&self, chunk: Bytes) -> bool {
        self.0.try_send(chunk).is_ok()
    }

    /// Whether the client has gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl IntoResponse for EventStream {
    fn into_response(mut self) -> Response {
        let chunks = poll_fn(move |context| {
            self.0.poll_recv(context).map(|chunk| chunk.map(Ok::<Bytes, std::convert::Infallible>))
        });
        let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store"), (BUFFERING.clone(), "no")];
        (headers, Body::from_stream(chunks)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_lines() {
        let event = event("active", Some(7), &serde_json::json!({"status": "ACTIVE"})).unwrap_or_default();
        assert_eq!(event, "event: active\nid: 7\ndata: {\"status\":\"ACTIVE\"}\n\n");
    }

    #[test]
    fn one_that_is_too_far_behind_is_told_from_one_that_is_not() {
        let (sink, stream) = event_stream(1);
        assert!(sink.send(COMMENT));
        assert!(!sink.send(COMMENT));
        drop(stream);
        assert!(sink.is_closed());
    }
}
