//! Making, setting, pausing and draining queues, and looking at them.

use std::ops::RangeInclusive;
use std::time::Duration;

use axum::extract::State;
use chrono::{DateTime, Datelike, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::super::{Action, Admin, UnderWay};
use super::figure::FigureView;
use super::log::rfc3339;
use super::plan::QUEUE_NAME;
use super::{Asker, Page, json, offset};
use crate::http::{ApiError, ErrorCode, Json, Query, Success, TextPath, Time};
use crate::queue::{self, Change, ControlError, Controlled, OwnSettings, QueueSettings, Queues, is_name};

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NoSuchQueue => no_such_queue(),
            ControlError::NameTaken => Self::invalid("There is a queue of this name already."),
            ControlError::Store(error) => error.into(),
        }
    }
}

pub(super) fn no_such_queue() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "There is no such queue.")
}

/// The fields of a request, read by hand, so that what is said of a wrong value names its field.
type Fields = serde_json::Map<String, Value>;

/// The change that these fields ask for; `null` is for the server's own setting.
fn change(fields: &Fields) -> Result<Change, ApiError> {
    let mut change = Change::default();
    for (field, value) in fields {
        match field.as_str() {
            "maxActive" => change.max_active = Some(whole(field, value, 1..=10_000_000)?),
            "admitPerSecond" => change.admit_per_second = Some(whole(field, value, 1..=1_000_000)?),
            "activeTtlSeconds" => change.active_ttl_seconds = Some(whole(field, value, SECONDS)?),
            "waitingTtlSeconds" => change.waiting_ttl_seconds = Some(whole(field, value, SECONDS)?),
            "holdTtlSeconds" => change.hold_ttl_seconds = Some(whole(field, value, SECONDS)?),
            "opensAt" => change.opens_at = Some(time(field, value)?),
            "paused" => change.paused = Some(flag(field, value)?),
            "draining" => change.draining = Some(flag(field, value)?),
            "stockFactor" => change.stock_factor = Some(factor(field, value)?),
            _ => return Err(ApiError::invalid("There is no setting of this name; there are: ".to_owned() + SETTINGS)),
        }
    }
    Ok(change)
}

const SECONDS: RangeInclusive<i32> = 1..=86_400;

const SETTINGS: &str = "maxActive, admitPerSecond, activeTtlSeconds, waitingTtlSeconds, holdTtlSeconds, opensAt, paused, \
                        draining, stockFactor.";

/// The years that an opening may be in; Redis and Postgres could take more, and nobody means it.
const YEARS: RangeInclusive<i32> = 2000..=2199;

fn whole(field: &str, value: &Value, range: RangeInclusive<i32>) -> Result<Option<i32>, ApiError> {
    if value.is_null() {
        return Ok(None);
    }
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok()).filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| {
        ApiError::invalid(format!("{field} is a whole number from {} to {}, or null.", range.start(), range.end()))
    })
}

fn time(field: &str, value: &Value) -> Result<Option<DateTime<Utc>>, ApiError> {
    if value.is_null() {
        return Ok(None);
    }
    let time = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok()).map(|time| time.to_utc());
    time.filter(|time| YEARS.contains(&time.year()))
        .map(Some)
        .ok_or_else(|| ApiError::invalid(format!("{field} is a time such as 2026-12-24T20:00:00+09:00, or null.")))
}

fn flag(field: &str, value: &Value) -> Result<bool, ApiError> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        _ => Err(ApiError::invalid(format!("{field} is true, false or null, which is false."))),
    }
}

fn factor(field: &str, value: &Value) -> Result<Option<f64>, ApiError> {
    if value.is_null() {
        return Ok(None);
    }
    let factor = value.as_f64().filter(|factor| (0.0..=1000.0).contains(factor));
    factor.map(Some).ok_or_else(|| ApiError::invalid(format!("{field} is a number from 0 to 1000, or null.")))
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueueView {
    /// Its name.
    #[schemars(example = &"big")]
    name: String,
    /// What is in force.
    settings: SettingsView,
    /// Which of them have been set for this queue; the others follow the server.
    #[schemars(extend("examples" = [["maxActive"]]))]
    set: Vec<&'static str>,
    /// As this instance last saw it; `null` until the queue is opened.
    figures: Option<FigureView>,
    /// Whether every seat that it sells is sold, as this instance last saw it: nobody is let in until one comes back.
    #[schemars(example = false)]
    sold_out: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SettingsView {
    /// How many may try at once.
    #[schemars(example = 500)]
    max_active: u32,
    /// How many are let in a second, at the most.
    #[schemars(example = 100)]
    admit_per_second: u32,
    /// How long a turn lasts, in seconds.
    #[schemars(example = 300)]
    active_ttl_seconds: u64,
    /// How long a waiting token lives unseen, in seconds.
    #[schemars(example = 120)]
    waiting_ttl_seconds: u64,
    /// How long a seat is held, in seconds.
    #[schemars(example = 300)]
    hold_ttl_seconds: u64,
    /// Who comes before is drawn into random order then; `null` for first come, first served.
    #[schemars(with = "Option<Time>")]
    opens_at: Option<String>,
    /// Nobody is let in.
    #[schemars(example = false)]
    paused: bool,
    /// Nobody new gets a place.
    #[schemars(example = false)]
    draining: bool,
    /// How many may try for each free seat; 0 for however many seats there are.
    #[schemars(example = 1.0)]
    stock_factor: f64,
}

/// What a queue has been set to, for the log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OwnView {
    max_active: Option<i32>,
    admit_per_second: Option<i32>,
    active_ttl_seconds: Option<i32>,
    waiting_ttl_seconds: Option<i32>,
    hold_ttl_seconds: Option<i32>,
    opens_at: Option<String>,
    paused: bool,
    draining: bool,
    stock_factor: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    before: OwnView,
    after: OwnView,
}

impl OwnView {
    fn new(own: &OwnSettings) -> Self {
        Self {
            max_active: own.max_active,
            admit_per_second: own.admit_per_second,
            active_ttl_seconds: own.active_ttl_seconds,
            waiting_ttl_seconds: own.waiting_ttl_seconds,
            hold_ttl_seconds: own.hold_ttl_seconds,
            opens_at: own.opens_at.map(rfc3339),
            paused: own.paused,
            draining: own.draining,
            stock_factor: own.stock_factor,
        }
    }
}

impl SettingsView {
    fn new(own: &OwnSettings, defaults: &QueueSettings) -> Self {
        let number = |own: Option<i32>, default| own.map_or(default, i32::unsigned_abs);
        let seconds =
            |own: Option<i32>, default: Duration| own.map_or(default.as_secs(), |own| own.unsigned_abs().into());
        Self {
            max_active: number(own.max_active, defaults.max_active),
            admit_per_second: number(own.admit_per_second, defaults.admit_per_second),
            active_ttl_seconds: seconds(own.active_ttl_seconds, defaults.active_ttl),
            waiting_ttl_seconds: seconds(own.waiting_ttl_seconds, defaults.waiting_ttl),
            hold_ttl_seconds: seconds(own.hold_ttl_seconds, defaults.hold_ttl),
            opens_at: own.opens_at.map(rfc3339),
            paused: own.paused,
            draining: own.draining,
            stock_factor: own.stock_factor.unwrap_or(defaults.stock_factor),
        }
    }
}

impl QueueView {
    fn new(queue: Controlled, queues: &Queues) -> Self {
        let own = &queue.own;
        let named = [
            ("maxActive", own.max_active.is_some()),
            ("admitPerSecond", own.admit_per_second.is_some()),
            ("activeTtlSeconds", own.active_ttl_seconds.is_some()),
            ("waitingTtlSeconds", own.waiting_ttl_seconds.is_some()),
            ("holdTtlSeconds", own.hold_ttl_seconds.is_some()),
            ("opensAt", own.opens_at.is_some()),
            ("paused", own.paused),
            ("draining", own.draining),
            ("stockFactor", own.stock_factor.is_some()),
        ];
        Self {
            settings: SettingsView::new(own, queues.defaults()),
            set: named.into_iter().filter_map(|(name, set)| set.then_some(name)).collect(),
            figures: queues.figures(queue.id).map(FigureView::from),
            sold_out: queues.get(queue.id).is_some_and(|queue| queues.sold_out(&queue)),
            name: queue.name,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct QueuesView {
    /// By id.
    queues: Vec<QueueView>,
    /// Which page this is, from 1.
    #[schemars(example = 1)]
    page: i64,
    /// How many fit on a page.
    #[schemars(example = 20)]
    size: i64,
    /// How many queues there are on all pages.
    #[schemars(example = 2)]
    total: i64,
}

pub(super) async fn list(
    State(queues): State<&'static Queues>,
    Query(asked): Query<Page>,
) -> Result<Success<QueuesView>, ApiError> {
    let (page, size) = asked.read()?;
    let (listed, total) = queues.controlled(None, offset(page, size), size).await?;
    let listed = listed.into_iter().map(|queue| QueueView::new(queue, queues)).collect();
    Ok(Success(QueuesView { queues: listed, page, size, total }))
}

pub(super) async fn one(
    State(queues): State<&'static Queues>,
    TextPath(name): TextPath,
) -> Result<Success<QueueView>, ApiError> {
    let (found, _) = queues.controlled(Some(known(&name)?), 0, 1).await?;
    let queue = found.into_iter().next().ok_or_else(no_such_queue)?;
    Ok(Success(QueueView::new(queue, queues)))
}

/// What cannot be a queue's name is none's.
fn known(name: &str) -> Result<&str, ApiError> {
    if is_name(name) { Ok(name) } else { Err(no_such_queue()) }
}

pub(super) async fn create(
    State(admin): State<&'static Admin>,
    State(queues): State<&'static Queues>,
    asker: Asker,
    Json(mut fields): Json<Fields>,
) -> Result<Success<QueueView>, ApiError> {
    let name = fields.remove("name");
    let name = name.as_ref().and_then(Value::as_str).filter(|name| is_name(name));
    let name = name.ok_or_else(|| ApiError::invalid(format!("name {QUEUE_NAME}.")))?;
    let change = change(&fields)?;
    let mut act = admin.begin(asker.does(Action::CreateQueue)).await?;
    let (postgres, connection) = act.connection();
    if let Err(error) = queue::create(postgres, connection, name).await {
        return Err(act.give_up(error).await);
    }
    finish(act, queues, name, &fields, &change).await
}

pub(super) async fn set(
    State(admin): State<&'static Admin>,
    State(queues): State<&'static Queues>,
    asker: Asker,
    TextPath(name): TextPath,
    Json(fields): Json<Fields>,
) -> Result<Success<QueueView>, ApiError> {
    let change = change(&fields)?;
    let name = known(&name)?;
    let act = admin.begin(asker.does(Action::SetQueue)).await?;
    finish(act, queues, name, &fields, &change).await
}

pub(super) async fn pause(
    State(admin): State<&'static Admin>,
    State(queues): State<&'static Queues>,
    asker: Asker,
    TextPath(name): TextPath,
) -> Result<Success<QueueView>, ApiError> {
    let change = Change { paused: Some(true), ..Change::default() };
    let name = known(&name)?;
    let act = admin.begin(asker.does(Action::PauseQueue)).await?;
    finish(act, queues, name, &Fields::new(), &change).await
}

/// From a pause, and from draining.
pub(super) async fn resume(
    State(admin): State<&'static Admin>,
    State(queues): State<&'static Queues>,
    asker: Asker,
    TextPath(name): TextPath,
) -> Result<Success<QueueView>, ApiError> {
    let change = Change { paused: Some(false), draining: Some(false), ..Change::default() };
    let name = known(&name)?;
    let act = admin.begin(asker.does(Action::ResumeQueue)).await?;
    finish(act, queues, name, &Fields::new(), &change).await
}

pub(super) async fn drain(
    State(admin): State<&'static Admin>,
    State(queues): State<&'static Queues>,
    asker: Asker,
    TextPath(name): TextPath,
) -> Result<Success<QueueView>, ApiError> {
    let change = Change { draining: Some(true), ..Change::default() };
    let name = known(&name)?;
    let act = admin.begin(asker.does(Action::DrainQueue)).await?;
    finish(act, queues, name, &Fields::new(), &change).await
}

/// Changes the queue, and with that ends the act.
async fn finish(
    mut act: UnderWay<'_>,
    queues: &Queues,
    name: &str,
    fields: &Fields,
    change: &Change,
) -> Result<Success<QueueView>, ApiError> {
    let (postgres, connection) = act.connection();
    let (before, queue) = match queue::set(postgres, connection, name, change).await {
        Ok(set) => set,
        Err(error) => return Err(act.give_up(error).await),
    };
    let outcome = Outcome { before: OwnView::new(&before), after: OwnView::new(&queue.own) };
    act.commit(&format!("queue {name}"), &json(fields)?, &json(&outcome)?).await?;
    Ok(Success(QueueView::new(queue, queues)))
}
