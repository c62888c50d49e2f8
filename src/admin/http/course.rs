//! How it went over the last ten minutes: what curves are drawn from.

use axum::extract::State;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log::rfc3339;
use super::queue::no_such_queue;
use crate::http::{ApiError, Query, Success, Time};
use crate::queue::{QueueName, Queues};
use crate::sample::{MOST_MOMENTS, Moment, Sampler};

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "CourseAsked")]
pub(super) struct Asked {
    /// Only this queue; all of them together unless said.
    #[schemars(with = "Option<QueueName>")]
    queue: Option<String>,
    /// Only what came after this moment: the last one of the answer before.
    #[schemars(with = "Option<Time>")]
    after: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CourseView {
    /// Names the instance that answers, until it ends.
    #[schemars(example = &"c3cae858-630c-43ac-99c3-0a27001d842b")]
    instance: String,
    /// When it answers, by its clock.
    #[schemars(with = "Time")]
    now: String,
    /// One each second, oldest first.
    #[schemars(length(max = MOST_MOMENTS))]
    moments: Vec<MomentView>,
}

/// A figure is `null` where the instance had not seen it within the second before.
#[derive(Debug, Serialize, JsonSchema)]
struct MomentView {
    #[schemars(with = "Time")]
    at: String,
    /// How many wait.
    #[schemars(example = 1234)]
    waiting: Option<u64>,
    /// How many may try.
    #[schemars(example = 500)]
    active: Option<u64>,
    /// How many have been let in so far; less than before after a loss of Redis.
    #[schemars(example = 7000)]
    admitted: Option<u64>,
    /// How many seats are sold of the schedules that are not over; less than before after a refund, or as a day ends.
    #[schemars(example = 6500)]
    sold: Option<u64>,
    /// How many calls this instance has answered with a status of 500 or more since it began.
    #[schemars(example = 0)]
    failures: u64,
}

impl From<Moment> for MomentView {
    fn from(moment: Moment) -> Self {
        let Moment { at, waiting, active, admitted, sold, failures } = moment;
        let at = rfc3339(DateTime::from_timestamp_millis(at).unwrap_or_default());
        Self { at, waiting, active, admitted, sold, failures }
    }
}

pub(super) async fn course(
    State(sampler): State<&'static Sampler>,
    State(queues): State<&'static Queues>,
    Query(asked): Query<Asked>,
) -> Result<Success<CourseView>, ApiError> {
    let queue = match asked.queue.as_deref() {
        Some(name) => Some(queues.by_name(name).ok_or_else(no_such_queue)?.id),
        None => None,
    };
    let after = match asked.after.as_deref() {
        Some(text) => DateTime::parse_from_rfc3339(text).map_err(|_| ApiError::invalid("after is no time."))?.to_utc(),
        None => DateTime::UNIX_EPOCH,
    };
    let moments = sampler.course(after.timestamp_millis(), queue).into_iter().map(MomentView::from).collect();
    Ok(Success(CourseView { instance: sampler.instance().to_owned(), now: rfc3339(Utc::now()), moments }))
}
