//! How it goes: who waits, what is sold, what it came to.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::super::Admin;
use super::{FURTHEST_PAGE, LARGEST_PAGE, Page, skipped};
use crate::concert::{Concerts, Schedule};
use crate::http::{ApiError, Date, ErrorCode, Query, Success};
use crate::ids::{ConcertId, ScheduleId};
use crate::payment::{Payments, Totals};
use crate::queue::{Figures, Queues};
use crate::seat::Seats;
use crate::store_error::StoreError;

/// How old the payments' totals may be: every one of them is read for that.
const TOTALS_FRESH_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    /// Only this concert's schedules.
    #[schemars(with = "Option<ConcertId>")]
    concert_id: Option<String>,
    /// Which page, from 1; the first unless said.
    #[schemars(range(min = 1, max = FURTHEST_PAGE), example = 1)]
    page: Option<i64>,
    /// How many on a page; 20 unless said.
    #[schemars(range(min = 1, max = LARGEST_PAGE), example = 20)]
    size: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FiguresView {
    /// By id.
    queues: Vec<QueueFigures>,
    /// Of the schedules that are not over, or of those of one concert; a page of them, by id.
    schedules: Vec<ScheduleFigures>,
    /// Which page this is, from 1.
    #[schemars(example = 1)]
    page: i64,
    /// How many fit on a page.
    #[schemars(example = 20)]
    size: i64,
    /// How many schedules there are on all pages.
    #[schemars(example = 30)]
    total: usize,
    /// Of the whole shop and of all time, whichever concert was asked for.
    totals: TotalsView,
}

#[derive(Debug, Serialize, JsonSchema)]
struct QueueFigures {
    /// The queue's name.
    #[schemars(example = &"default")]
    name: String,
    /// `null` until it is opened.
    figures: Option<FigureView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FigureView {
    /// How many wait.
    #[schemars(example = 1234)]
    waiting: u32,
    /// How many may try now.
    #[schemars(example = 500)]
    active: u32,
    /// How many have been let in so far.
    #[schemars(example = 7000)]
    admitted: u64,
    /// How long ago that was, in milliseconds.
    #[schemars(example = 80)]
    age_millis: u64,
}

impl From<Figures> for FigureView {
    fn from(figures: Figures) -> Self {
        let age_millis = u64::try_from(figures.age().as_millis()).unwrap_or(u64::MAX);
        Self { waiting: figures.waiting, active: figures.active, admitted: figures.admitted, age_millis }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ScheduleFigures {
    concert_schedule_id: ScheduleId,
    #[schemars(with = "Date")]
    date: NaiveDate,
    /// Seats that are free.
    #[schemars(example = 50)]
    free: usize,
    /// Seats that are held.
    #[schemars(example = 8)]
    held: usize,
    /// Seats that are sold.
    #[schemars(example = 42)]
    sold: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TotalsView {
    /// Holds now, of this instance's schedules.
    #[schemars(example = 8)]
    holds_live: u32,
    /// Payments that stand.
    #[schemars(example = 42)]
    payments: i64,
    /// What they came to, in whole won.
    #[schemars(example = 6_300_000)]
    won: i64,
}

pub(super) async fn figures(
    State(admin): State<&'static Admin>,
    State(concerts): State<&'static Concerts>,
    State(queues): State<&'static Queues>,
    State(seats): State<&'static Seats>,
    State(payments): State<&'static Payments>,
    Query(asked): Query<Asked>,
) -> Result<Success<FiguresView>, ApiError> {
    let (page, size) = Page { page: asked.page, size: asked.size }.read()?;
    let upcoming = upcoming(concerts, asked.concert_id.as_deref())?;
    let taken = usize::try_from(size).unwrap_or(usize::MAX);
    let mut schedules = Vec::new();
    for schedule in upcoming.iter().skip(skipped(page, size)).take(taken) {
        let counts = seats.counts(schedule.id).await?;
        schedules.push(ScheduleFigures {
            concert_schedule_id: schedule.id,
            date: schedule.date,
            free: counts.free,
            held: counts.held,
            sold: counts.sold,
        });
    }
    let mut all = queues.all();
    all.sort_unstable_by_key(|queue| queue.id);
    let of_queue = |queue: Arc<crate::queue::Queue>| QueueFigures {
        name: queue.name.clone(),
        figures: queues.figures(queue.id).map(FigureView::from),
    };
    let Totals { payments, won } = totals(admin, payments).await?;
    Ok(Success(FiguresView {
        queues: all.into_iter().map(of_queue).collect(),
        schedules,
        page,
        size,
        total: upcoming.len(),
        totals: TotalsView { holds_live: seats.holds_live(), payments, won },
    }))
}

/// The schedules that are not over, by id: all of them, or a concert's.
fn upcoming(concerts: &Concerts, concert: Option<&str>) -> Result<Vec<Arc<Schedule>>, ApiError> {
    let programme = concerts.programme();
    let today = concerts.today();
    let mut schedules: Vec<Arc<Schedule>> = match concert {
        None => programme.schedules().cloned().collect(),
        Some(text) => {
            let id: ConcertId =
                text.parse().map_err(|_| ApiError::invalid("concertId is not a positive whole number."))?;
            let no_such = || ApiError::new(ErrorCode::ConcertNotFound, "There is no such concert.");
            programme.concert(id).ok_or_else(no_such)?.schedules.clone()
        }
    };
    schedules.retain(|schedule| schedule.date >= today);
    schedules.sort_unstable_by_key(|schedule| schedule.id);
    Ok(schedules)
}

/// Of those who find the totals old, one asks and the others wait for what it gets.
async fn totals(admin: &Admin, payments: &Payments) -> Result<Totals, StoreError> {
    let mut kept = admin.totals.lock().await;
    if let Some((asked, totals)) = *kept
        && asked.elapsed() < TOTALS_FRESH_FOR
    {
        return Ok(totals);
    }
    let asked = Instant::now();
    let totals = payments.totals().await?;
    *kept = Some((asked, totals));
    Ok(totals)
}
