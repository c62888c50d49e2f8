//! The seats' calls.

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::Response;
use axum::routing::get;
use http::header::{HeaderMap, HeaderName};

use super::Seats;
use super::hub::{ChangesView, Watcher};
use super::render::{FreeSeatsView, SeatMapView};
use crate::concert::Concerts;
use crate::http::{
    AllHeaders, ApiError, Described, ErrorCode, EventStream, IdPath, RateLimits, Shortcut, schema, single_header,
};
use crate::ids::{self, ScheduleId};
use crate::queue::{ActivePass, Presented, Queues, Watching};

static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// `/api/v1/concerts/schedules/{concertScheduleId}/seats`, `…/seat-map` and `…/events`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    &'static Concerts: FromRef<S>,
    &'static Queues: FromRef<S>,
    &'static RateLimits: FromRef<S>,
    &'static Seats: FromRef<S>,
{
    Router::new()
        .route("/api/v1/concerts/schedules/{concertScheduleId}/seats", get(seats))
        .route("/api/v1/concerts/schedules/{concertScheduleId}/seat-map", get(seat_map))
        .route("/api/v1/concerts/schedules/{concertScheduleId}/events", get(events))
}

/// The free seats at once: for a token known to be active, if the list is known.
#[must_use]
pub fn shortcut(concerts: &'static Concerts, queues: &'static Queues, seats: &'static Seats) -> Shortcut {
    Shortcut::new("/api/v1/concerts/schedules/{concertScheduleId}/seats", move |asked| {
        let claim = queues.active_at_once(asked)?;
        let id = asked.id.parse().ok()?;
        if !concerts.sells(claim.queue, id) {
            return None;
        }
        seats.at_once(id, asked.at, |list| list.answer.at_once(asked.headers))?
    })
}

/// What is said of them.
#[must_use]
pub fn calls() -> Vec<Described> {
    let of_schedule = |call: Described| {
        call.at::<ScheduleId>("concertScheduleId").fails(&[ErrorCode::ScheduleNotFound, ErrorCode::WrongQueue])
    };
    vec![
        of_schedule(Described::get(
            "/api/v1/concerts/schedules/{concertScheduleId}/seats",
            "seats",
            "The seats that are free now, by number.",
        ))
        .saying("Changes of this instance show at once, those of others within 250 ms. Send the `ETag` back.")
        .active()
        .tagged()
        .gives::<FreeSeatsView>()
        .leads_to("hold", "body.concertSeatId", "/data/seats/0/concertSeatId"),
        of_schedule(Described::get(
            "/api/v1/concerts/schedules/{concertScheduleId}/seat-map",
            "seatMap",
            "Every seat: where it is, what it costs, whether it is free.",
        ))
        .active()
        .tagged()
        .gives::<SeatMapView>(),
        of_schedule(Described::get(
            "/api/v1/concerts/schedules/{concertScheduleId}/events",
            "seatEvents",
            "What changes in the seats, as a stream.",
        ))
        .saying("First all that is not free, or what changed since `Last-Event-ID`; then what changes.")
        .watching()
        .fails(&[ErrorCode::TokenExpired, ErrorCode::TokenNotActive])
        .gives_events(&[("seats", schema::<ChangesView>), ("changes", schema::<ChangesView>)]),
    ]
}

async fn seats(
    State(concerts): State<&'static Concerts>,
    State(seats): State<&'static Seats>,
    ActivePass(pass): ActivePass,
    IdPath(id): IdPath<ids::Schedule>,
    AllHeaders(headers): AllHeaders,
) -> Result<Response, ApiError> {
    require_open(concerts, &pass, id)?;
    let list = seats.free_list(id).await?;
    Ok(list.answer.answer(&headers).await)
}

async fn seat_map(
    State(concerts): State<&'static Concerts>,
    State(seats): State<&'static Seats>,
    ActivePass(pass): ActivePass,
    IdPath(id): IdPath<ids::Schedule>,
    AllHeaders(headers): AllHeaders,
) -> Result<Response, ApiError> {
    require_open(concerts, &pass, id)?;
    let map = seats.seat_map(id).await?;
    Ok(map.answer.answer(&headers).await)
}

/// A stream of what changes. It lasts as long as the token is known to be active when it begins: whoever holds a seat in the
/// meantime, and so is active for longer, comes again and goes on.
async fn events(
    State(concerts): State<&'static Concerts>,
    State(queues): State<&'static Queues>,
    State(seats): State<&'static Seats>,
    Watching(pass): Watching,
    IdPath(id): IdPath<ids::Schedule>,
    headers: HeaderMap,
) -> Result<EventStream, ApiError> {
    let standing = queues.check_lately(&pass.queue, &pass.claim).await?;
    standing.require_active()?;
    require_open(concerts, &pass, id)?;
    let last = single_header(&headers, &LAST_EVENT_ID);
    seats.watch(id, Watcher { user: pass.claim.user, left: standing.left(), last }).await
}

/// Fails unless this is a schedule of the pass' queue that is not over.
fn require_open(concerts: &Concerts, pass: &Presented, id: ScheduleId) -> Result<(), ApiError> {
    let schedule = concerts
        .upcoming(id)
        .ok_or_else(|| ApiError::new(ErrorCode::ScheduleNotFound, "There is no such schedule, or it is over."))?;
    pass.require_queue(schedule.queue)
}
