//! The operators' calls: `/admin/v1/…`, all behind the check of the operator's token.

mod concert;
mod course;
mod described;
mod figure;
mod log;
mod plan;
mod queue;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, FromRequestParts};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use described::calls;

use super::operator::{Operator, Operators, authenticate};
use super::{Act, Action, Admin};
use crate::concert::Concerts;
use crate::http::{ApiError, method_fallback, with_call};
use crate::payment::Payments;
use crate::queue::Queues;
use crate::sample::Sampler;
use crate::seat::Seats;

const LARGEST_PAGE: i64 = 100;

/// The last that a JSON number holds exactly, since the answer repeats it.
const FURTHEST_PAGE: i64 = 9_007_199_254_740_991;

/// `/admin/v1/…`, for these operators.
pub fn router<S>(operators: Arc<Operators>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    &'static Admin: FromRef<S>,
    &'static Concerts: FromRef<S>,
    &'static Payments: FromRef<S>,
    &'static Queues: FromRef<S>,
    &'static Sampler: FromRef<S>,
    &'static Seats: FromRef<S>,
{
    let router = Router::new()
        .route("/admin/v1/concerts", get(concert::list).post(concert::create))
        .route("/admin/v1/concerts/{concertId}/schedules", post(concert::add_schedule))
        .route("/admin/v1/concerts/schedules/{concertScheduleId}/seats", get(concert::seats))
        .route("/admin/v1/queues", get(queue::list).post(queue::create))
        .route("/admin/v1/queues/{name}", get(queue::one).patch(queue::set))
        .route("/admin/v1/queues/{name}/pause", post(queue::pause))
        .route("/admin/v1/queues/{name}/resume", post(queue::resume))
        .route("/admin/v1/queues/{name}/drain", post(queue::drain))
        .route("/admin/v1/figures", get(figure::figures))
        .route("/admin/v1/figures/course", get(course::course))
        .route("/admin/v1/audit", get(log::read));
    method_fallback(router).layer(from_fn_with_state(operators, authenticate))
}

/// Who asks, under which request's id: what the log says of every act.
#[derive(Debug)]
struct Asker {
    operator: Operator,
    request_id: String,
}

impl Asker {
    fn does(self, action: Action) -> Act {
        Act { operator: self.operator, action, request_id: self.request_id }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let operator = Operator::from_request_parts(parts, state).await?;
        let request_id = with_call(|call| call.id.to_owned()).unwrap_or_default();
        Ok(Self { operator, request_id })
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "OperatorsPage")]
struct Page {
    /// Which page, from 1; the first unless said.
    #[schemars(range(min = 1, max = FURTHEST_PAGE), example = 1)]
    page: Option<i64>,
    /// How many on a page; 20 unless said.
    #[schemars(range(min = 1, max = LARGEST_PAGE), example = 20)]
    size: Option<i64>,
}

impl Page {
    /// The page and its size.
    fn read(self) -> Result<(i64, i64), ApiError> {
        let (page, size) = (self.page.unwrap_or(1), self.size.unwrap_or(20));
        if (1..=FURTHEST_PAGE).contains(&page) && (1..=LARGEST_PAGE).contains(&size) {
            Ok((page, size))
        } else {
            Err(ApiError::invalid("page counts from 1, size is from 1 to 100."))
        }
    }
}

/// How many come before a page.
fn offset(page: i64, size: i64) -> i64 {
    (page - 1).saturating_mul(size)
}

/// Likewise for lists in memory.
fn skipped(page: i64, size: i64) -> usize {
    usize::try_from(offset(page, size)).unwrap_or(usize::MAX)
}

/// What the log keeps of a request or an answer.
fn json(value: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string(value).map_err(ApiError::internal)
}
