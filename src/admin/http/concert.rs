//! Making concerts, and looking at them.

use axum::extract::State;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::{Action, Admin};
use super::plan::{ConcertRequest, ConcertSummary, LARGEST_PLAN, ScheduleRequest, ScheduleSummary};
use super::{Asker, Page, json, offset};
use crate::concert::{self, AddedSchedule, Concerts, ControlError, Listed, ListedSchedule};
use crate::http::{ApiError, Date, ErrorCode, IdPath, LargeJson, Query, Success};
use crate::ids::{Concert, ConcertId, Schedule, ScheduleId, SeatId};
use crate::seat::{PlannedSeat, Seats};

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NoSuchConcert => Self::new(ErrorCode::ConcertNotFound, "There is no such concert."),
            ControlError::DateTaken => Self::invalid("The concert has a schedule on this date already."),
            ControlError::Store(error) => error.into(),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedView {
    concert_id: ConcertId,
    /// In the order asked.
    schedules: Vec<AddedView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddedView {
    concert_schedule_id: ScheduleId,
    #[schemars(with = "Date")]
    date: NaiveDate,
    /// How many seats it has.
    #[schemars(example = 100)]
    seats: usize,
}

impl From<AddedSchedule> for AddedView {
    fn from(added: AddedSchedule) -> Self {
        Self { concert_schedule_id: added.id, date: added.date, seats: added.seats }
    }
}

pub(super) async fn create(
    State(admin): State<&'static Admin>,
    State(concerts): State<&'static Concerts>,
    asker: Asker,
    LargeJson(request): LargeJson<ConcertRequest, LARGEST_PLAN>,
) -> Result<Success<CreatedView>, ApiError> {
    let concert = request.read(concerts.today())?;
    let mut act = admin.begin(asker.does(Action::CreateConcert)).await?;
    let (postgres, connection) = act.connection();
    let (concert_id, added) = match concert::create(postgres, connection, &concert).await {
        Ok(created) => created,
        Err(error) => return Err(act.give_up(error).await),
    };
    let created = CreatedView { concert_id, schedules: added.into_iter().map(AddedView::from).collect() };
    act.commit(&format!("concert {concert_id}"), &json(&ConcertSummary::of(&concert))?, &json(&created)?).await?;
    Ok(Success(created))
}

pub(super) async fn add_schedule(
    State(admin): State<&'static Admin>,
    State(concerts): State<&'static Concerts>,
    asker: Asker,
    IdPath(id): IdPath<Concert>,
    LargeJson(request): LargeJson<ScheduleRequest, LARGEST_PLAN>,
) -> Result<Success<AddedView>, ApiError> {
    let schedule = request.read(concerts.today())?;
    let mut act = admin.begin(asker.does(Action::AddSchedule)).await?;
    let (postgres, connection) = act.connection();
    let added = match concert::add_schedules(postgres, connection, id, std::slice::from_ref(&schedule)).await {
        Ok(added) => added,
        Err(error) => return Err(act.give_up(error).await),
    };
    let added = added.into_iter().next().map(AddedView::from);
    let added = added.ok_or_else(|| ApiError::internal("a schedule was asked for and none was added"))?;
    act.commit(&format!("concert {id}"), &json(&ScheduleSummary::of(&schedule))?, &json(&added)?).await?;
    Ok(Success(added))
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OperatorsProgrammeView")]
pub(super) struct ProgrammeView {
    /// By id.
    concerts: Vec<ConcertView>,
    /// Which page this is, from 1.
    #[schemars(example = 1)]
    page: i64,
    /// How many fit on a page.
    #[schemars(example = 20)]
    size: i64,
    /// How many concerts there are on all pages.
    #[schemars(example = 10)]
    total: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OperatorsConcertView")]
struct ConcertView {
    #[schemars(with = "ConcertId")]
    concert_id: i64,
    /// What it is called.
    #[schemars(example = &"The Big One")]
    title: String,
    /// The queue that serves it.
    #[schemars(example = &"big")]
    queue: String,
    /// By date.
    schedules: Vec<ScheduleView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OperatorsScheduleView")]
struct ScheduleView {
    #[schemars(with = "ScheduleId")]
    concert_schedule_id: i64,
    #[schemars(with = "Date")]
    date: NaiveDate,
    /// How many seats it has.
    #[schemars(example = 100)]
    seats: i64,
    /// How many of them are sold.
    #[schemars(example = 42)]
    sold: i64,
}

impl From<Listed> for ConcertView {
    fn from(listed: Listed) -> Self {
        let view = |schedule: ListedSchedule| ScheduleView {
            concert_schedule_id: schedule.id,
            date: schedule.date,
            seats: schedule.seats,
            sold: schedule.sold,
        };
        let schedules = listed.schedules.into_iter().map(view).collect();
        Self { concert_id: listed.id, title: listed.title, queue: listed.queue, schedules }
    }
}

/// As Postgres has it, past schedules too.
pub(super) async fn list(
    State(concerts): State<&'static Concerts>,
    Query(asked): Query<Page>,
) -> Result<Success<ProgrammeView>, ApiError> {
    let (page, size) = asked.read()?;
    let (listed, total) = concerts.listed(offset(page, size), size).await?;
    Ok(Success(ProgrammeView { concerts: listed.into_iter().map(ConcertView::from).collect(), page, size, total }))
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PlanView {
    /// By position.
    seats: Vec<SeatView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SeatView {
    #[schemars(with = "SeatId")]
    concert_seat_id: i64,
    /// The part of the hall.
    #[schemars(example = &"R")]
    section: String,
    /// The row in it.
    #[schemars(example = &"A")]
    row: String,
    /// The number on the seat.
    #[schemars(example = 11)]
    number: i32,
    /// What it costs, in whole won.
    #[schemars(example = 150_000)]
    price: i64,
}

impl From<PlannedSeat> for SeatView {
    fn from(PlannedSeat { id, seat }: PlannedSeat) -> Self {
        Self { concert_seat_id: id, section: seat.section, row: seat.row, number: seat.number, price: seat.price }
    }
}

/// In order of position. A schedule has seats from the moment that there is one, so no seats, no schedule.
pub(super) async fn seats(
    State(seats): State<&'static Seats>,
    IdPath(id): IdPath<Schedule>,
) -> Result<Success<PlanView>, ApiError> {
    let planned = seats.planned(id).await?;
    if planned.is_empty() {
        return Err(ApiError::new(ErrorCode::ScheduleNotFound, "There is no such schedule."));
    }
    Ok(Success(PlanView { seats: planned.into_iter().map(SeatView::from).collect() }))
}
