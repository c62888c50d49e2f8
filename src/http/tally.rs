//! What is counted of each call. The counters are looked up once for each route, method and status, not once for each call.

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram};

/// The statuses whose counters are kept; any other one's is looked up each time.
const STATUSES: [u16; 15] = [200, 302, 304, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503];

/// The counters of one route's calls: of one method, but where any method is answered alike.
#[derive(Debug, Default)]
pub(super) struct Tally {
    first: OnceLock<Kept>,
}

struct Kept {
    method: &'static str,
    route: String,
    duration: Histogram,
    answered: [OnceLock<Counter>; STATUSES.len()],
}

impl Tally {
    /// Counts a call that was answered.
    pub(super) fn count(&self, method: &'static str, route: &str, status: StatusCode, took: Duration) {
        let kept = self.first.get_or_init(|| Kept::new(method, route));
        if kept.method == method && kept.route == route {
            kept.count(status, took);
        } else {
            Kept::new(method, route).count(status, took);
        }
    }
}

impl Kept {
    fn new(method: &'static str, route: &str) -> Self {
        let route = route.to_owned();
        let duration =
            metrics::histogram!("http_request_duration_seconds", "method" => method, "route" => route.clone());
        Self { method, route, duration, answered: Default::default() }
    }

    fn count(&self, status: StatusCode, took: Duration) {
        self.duration.record(took);
        match STATUSES.iter().position(|known| *known == status.as_u16()) {
            Some(at) => self.answered[at].get_or_init(|| self.counter(status)).increment(1),
            None => self.counter(status).increment(1),
        }
    }

    fn counter(&self, status: StatusCode) -> Counter {
        let (route, status) = (self.route.clone(), status.as_str().to_owned());
        metrics::counter!("http_requests_total", "method" => self.method, "route" => route, "status" => status)
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({} {})", self.method, self.route)
    }
}
