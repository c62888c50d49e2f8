//! What calls come to first. Who waits asks for its rank again and again, who chooses for the seats: such a call is answered
//! here and now if all that it needs is in memory, before a route is looked up, a future boxed or a place taken for it.
//!
//! A shortcut knows only what goes well. Whatever is not known, not allowed or not as usual goes on to the router, which
//! alone decides what to say of it; so does every call while its log line or its span is wanted.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::HttpBody;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use futures_util::future::Either;
use http::{HeaderMap, Method, Request};
use tower::{BoxError, Service};
use tracing::level_filters::LevelFilter;

use super::Pulse;
use super::layers::{REQUEST_ID, request_id};
use super::tally::Tally;

/// What a call that may take a shortcut asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What stands in the path for the route's parameter; empty if it has none.
    pub id: &'a str,
    /// When it came.
    pub at: Instant,
}

type Answer = dyn Fn(&Asked<'_>) -> Option<Response> + Send + Sync;

/// A short way to answer one route's `GET`, if that is possible without waiting for anything.
pub struct Shortcut {
    route: &'static str,
    /// What stands before the parameter, and what after it; without a parameter, the whole path.
    path: (&'static str, Option<&'static str>),
    answer: Box<Answer>,
    tally: Tally,
}

/// All calls.
#[derive(Debug, Clone)]
pub struct Front {
    shortcuts: &'static [Shortcut],
    router: Router,
    pulse: Arc<Pulse>,
}

impl Shortcut {
    /// For a route with at most one parameter, written as the router's is.
    pub fn new(route: &'static str, answer: impl Fn(&Asked<'_>) -> Option<Response> + Send + Sync + 'static) -> Self {
        let parameter = route.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?.1)));
        let path = parameter.map_or((route, None), |(before, after)| (before, Some(after)));
        Self { route, path, answer: Box::new(answer), tally: Tally::default() }
    }

    /// What stands for the parameter in this path; none if it is another route's.
    fn id<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.path.0)?;
        let Some(after) = self.path.1 else { return rest.is_empty().then_some("") };
        rest.strip_suffix(after).filter(|id| !id.contains('/'))
    }
}

impl std::fmt::Debug for Shortcut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shortcut({})", self.route)
    }
}

impl Front {
    /// The router with these shortcuts, which last from here on as long as the program.
    pub fn new(shortcuts: Vec<Shortcut>, router: Router, pulse: Arc<Pulse>) -> Self {
        Self { shortcuts: Box::leak(shortcuts.into_boxed_slice()), router, pulse }
    }

    /// Answers a call.
    pub fn answer<B>(&self, request: Request<B>) -> Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        match self.at_once(&request) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.router.clone().call(request)),
        }
    }

    fn at_once<B: HttpBody>(&self, request: &Request<B>) -> Option<Response> {
        if request.method() != Method::GET || !request.body().is_end_stream() {
            return None;
        }
        // The router says of each answer that it was given, to who wants to know; and of a shutdown that it has begun.
        if LevelFilter::current() >= LevelFilter::DEBUG || self.pulse.draining.load(Ordering::Relaxed) {
            return None;
        }
        let path = request.uri().path();
        let (shortcut, id) = self.shortcuts.iter().find_map(|shortcut| shortcut.id(path).map(|id| (shortcut, id)))?;
        let asked = Asked { headers: request.headers(), id, at: Instant::now() };
        // What panics here does so again on the long way, and is answered and logged there.
        let mut response = catch_unwind(AssertUnwindSafe(|| (shortcut.answer)(&asked))).ok()??;
        response.headers_mut().insert(&REQUEST_ID, request_id(request.headers()));
        shortcut.tally.count("GET", shortcut.route, response.status(), asked.at.elapsed());
        Some(response)
    }
}

impl<B> Service<Request<B>> for Front
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.answer(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortcut_is_one_routes() {
        let rank = Shortcut::new("/queues/token/rank", |_| None);
        assert_eq!(rank.id("/queues/token/rank"), Some(""));
        for other in ["/queues/token/rank/", "/queues/token/ranks", "/queues/token", "", "/QUEUES/token/rank"] {
            assert_eq!(rank.id(other), None, "{other}");
        }
        let seats = Shortcut::new("/schedules/{concertScheduleId}/seats", |_| None);
        assert_eq!(seats.id("/schedules/42/seats"), Some("42"));
        // What is not an id, the router refuses.
        assert_eq!(seats.id("/schedules/%34/seats"), Some("%34"));
        for other in ["/schedules/4/2/seats", "/schedules/seats", "/schedules/4/seats/", "/schedules/4/seat-map"] {
            assert_eq!(seats.id(other), None, "{other}");
        }
    }
}
