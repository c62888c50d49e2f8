//! The programme's calls.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::programme::ScheduleView;
use super::{Concert, Concerts};
use crate::http::{ApiError, Date, Described, ErrorCode, IdPath, Query, RateLimits, Shortcut, Success};
use crate::ids::{self, ConcertId};
use crate::queue::{ActivePass, Queues};
use crate::seat::Seats;

const LARGEST_PAGE: usize = 100;

/// The last that a JSON number holds exactly, since the answer repeats it.
const FURTHEST_PAGE: usize = 9_007_199_254_740_991;

/// `/api/v1/concerts` and `/api/v1/concerts/{concertId}/schedules`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    &'static Concerts: FromRef<S>,
    &'static Queues: FromRef<S>,
    &'static RateLimits: FromRef<S>,
    &'static Seats: FromRef<S>,
{
    Router::new()
        .route("/api/v1/concerts", get(programme))
        .route("/api/v1/concerts/{concertId}/schedules", get(schedules))
}

/// The schedules at once: for a token known to be active, if the seats of all dates are known.
#[must_use]
pub fn shortcut(concerts: &'static Concerts, queues: &'static Queues, seats: &'static Seats) -> Shortcut {
    Shortcut::new("/api/v1/concerts/{concertId}/schedules", move |asked| {
        let claim = queues.active_at_once(asked)?;
        let id = asked.id.parse().ok()?;
        let programme = concerts.programme.load();
        let concert = programme.concerts().get(&id).filter(|concert| concert.queue == claim.queue)?;
        let mut bookable = Vec::with_capacity(concert.schedules.len());
        for schedule in concert.upcoming(concerts.today()) {
            if seats.at_once(schedule.id, asked.at, |list| list.free)? > 0 {
                bookable.push(&*schedule.view);
            }
        }
        Some(Success(SchedulesView { schedules: &bookable }).into_response())
    })
}

/// What is said of them.
#[must_use]
pub fn calls() -> Vec<Described> {
    vec![
        Described::get("/api/v1/concerts", "concerts", "The programme.").query::<Page>().gives::<ProgrammeView>(),
        Described::get("/api/v1/concerts/{concertId}/schedules", "schedules", "Dates that can still be booked.")
            .saying("Today or later, with a seat free now, by date.")
            .active()
            .at::<ConcertId>("concertId")
            .gives::<SchedulesView<'_>>()
            .fails(&[ErrorCode::ConcertNotFound, ErrorCode::WrongQueue])
            .leads_to("seats", "path.concertScheduleId", "/data/schedules/0/concertScheduleId"),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Page {
    /// Which page, from 1; the first unless said.
    #[schemars(range(min = 1, max = FURTHEST_PAGE), example = 1)]
    page: Option<usize>,
    /// How many on a page; 20 unless said.
    #[schemars(range(min = 1, max = LARGEST_PAGE), example = 20)]
    size: Option<usize>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ProgrammeView {
    /// By id.
    concerts: Vec<ConcertView>,
    /// Which page this is, from 1.
    #[schemars(example = 1)]
    page: usize,
    /// How many fit on a page.
    #[schemars(example = 20)]
    size: usize,
    /// How many concerts there are on all pages.
    #[schemars(example = 10)]
    total: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ConcertView {
    concert_id: ConcertId,
    /// What it is called.
    #[schemars(example = &"The Big One")]
    title: String,
    /// The dates from today on, sold out or not.
    #[schemars(with = "Vec<Date>")]
    dates: Vec<NaiveDate>,
}

async fn programme(
    State(concerts): State<&'static Concerts>,
    Query(asked): Query<Page>,
) -> Result<Success<ProgrammeView>, ApiError> {
    let (page, size) = (asked.page.unwrap_or(1), asked.size.unwrap_or(20));
    if !(1..=FURTHEST_PAGE).contains(&page) || !(1..=LARGEST_PAGE).contains(&size) {
        return Err(ApiError::invalid("page counts from 1, size is from 1 to 100."));
    }
    let programme = concerts.programme();
    let all = programme.concerts();
    let today = concerts.today();
    let view = |concert: &Arc<Concert>| ConcertView {
        concert_id: concert.id,
        title: concert.title.clone(),
        dates: concert.upcoming(today).map(|schedule| schedule.date).collect(),
    };
    let shown = all.values().skip((page - 1).saturating_mul(size)).take(size);
    Ok(Success(ProgrammeView { concerts: shown.map(view).collect(), page, size, total: all.len() }))
}

#[derive(Debug, Serialize, JsonSchema)]
struct SchedulesView<'a> {
    /// By date.
    #[schemars(with = "Vec<ScheduleView>")]
    schedules: &'a [&'a RawValue],
}

/// Dates that can still be booked: today or later, with a seat free now.
async fn schedules(
    State(concerts): State<&'static Concerts>,
    State(seats): State<&'static Seats>,
    ActivePass(pass): ActivePass,
    IdPath(id): IdPath<ids::Concert>,
) -> Result<Response, ApiError> {
    let concert =
        concerts.concert(id).ok_or_else(|| ApiError::new(ErrorCode::ConcertNotFound, "There is no such concert."))?;
    pass.require_queue(concert.queue)?;
    let now = Instant::now();
    let mut bookable = Vec::new();
    for schedule in concert.upcoming(concerts.today()) {
        if seats.free(schedule.id, now).await? > 0 {
            bookable.push(&*schedule.view);
        }
    }
    Ok(Success(SchedulesView { schedules: &bookable }).into_response())
}
