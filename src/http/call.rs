//! The call that is being answered, as log lines and operators' records name it: known to whatever runs for it, without
//! being handed down.

use axum::extract::{MatchedPath, Request};
use http::{HeaderValue, Method};
use serde::Serialize;

/// A call under way.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) id: HeaderValue,
    pub(super) method: Method,
    pub(super) path: Option<MatchedPath>,
}

/// What a log line says of the call that it was written for.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CallFields<'a> {
    /// Its id.
    #[serde(rename = "request.id")]
    pub id: &'a str,
    /// Its method.
    pub method: &'a str,
    /// Its route's template; `none` if there is no such route.
    pub route: &'a str,
}

tokio::task_local! {
    static CALL: Call;
}

impl Call {
    /// What a request asks for.
    pub(super) fn of(request: &Request, id: HeaderValue) -> Self {
        let path = request.extensions().get::<MatchedPath>().cloned();
        Self { id, method: request.method().clone(), path }
    }

    pub(super) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    pub(super) fn route(&self) -> &str {
        self.path.as_ref().map_or("none", MatchedPath::as_str)
    }

    /// Methods outside the usual come as one label, so that clients cannot make up series.
    pub(super) fn method_label(&self) -> &'static str {
        match self.method {
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
}

/// Runs what is done for a call; gives the call back.
pub(super) async fn within<T>(call: Call, work: impl Future<Output = T>) -> (T, Call) {
    let mut scope = std::pin::pin!(CALL.scope(call, work));
    let done = scope.as_mut().await;
    let unknown = || Call { id: HeaderValue::from_static("none"), method: Method::GET, path: None };
    // It is there: only this takes it.
    (done, scope.as_mut().take_value().unwrap_or_else(unknown))
}

/// The call that this runs for.
pub(super) fn current() -> Option<Call> {
    CALL.try_with(Clone::clone).ok()
}

/// Runs what is done for a call, in a task that may outlive it.
pub(super) fn scope<T>(call: Call, work: impl Future<Output = T>) -> impl Future<Output = T> {
    CALL.scope(call, work)
}

/// Says something of a call.
pub(super) fn say(call: Call, words: impl FnOnce()) {
    CALL.sync_scope(call, words);
}

/// Shows the call that this runs for, if it runs for one.
pub fn with_call<T>(show: impl FnOnce(CallFields<'_>) -> T) -> Option<T> {
    let fields = |call: &Call| show(CallFields { id: call.id(), method: call.method.as_str(), route: call.route() });
    CALL.try_with(fields).ok()
}
