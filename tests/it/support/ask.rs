//! Calls as an outside client might make them, mistakes included.

use axum::body::Body;
use http::request::Builder;
use http::{HeaderValue, Method, Request};

use super::{Answer, TestApp};

/// The largest body that the contract allows, in bytes.
pub const LARGEST_BODY: usize = 16 * 1024;

/// A call that is put together by hand.
pub struct Ask<'a> {
    app: &'a TestApp,
    request: Builder,
    body: Body,
}

impl TestApp {
    /// Begins a call, without headers or body.
    pub fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Ask { app: self, request: Request::builder().method(method).uri(path), body: Body::empty() }
    }
}

impl Ask<'_> {
    /// Adds a header; a second of the same name stands beside the first.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    /// A body of whatever kind the headers say.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// A body that claims to be JSON.
    pub fn json(self, body: impl Into<Body>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    /// Makes the call.
    pub async fn send(self) -> Answer {
        self.app.send(self.request.body(self.body).unwrap()).await
    }
}
