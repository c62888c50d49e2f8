//! What is said of the operators' calls.

use schemars::JsonSchema;

use super::Page;
use super::concert::{AddedView, CreatedView, PlanView, ProgrammeView};
use super::course::{Asked as CourseAsked, CourseView};
use super::figure::{Asked, FiguresView};
use super::log::{LogView, Part};
use super::plan::{ConcertRequest, ScheduleRequest};
use super::queue::{QueueView, QueuesView};
use crate::http::{Described, ErrorCode, Time};
use crate::ids::{ConcertId, ScheduleId};
use crate::queue::QueueName;

/// A queue's settings, to be set; one that is missing stays as it is, `null` follows the server.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only described: the fields are read by hand")]
struct SettingsRequest {
    /// How many may try at once.
    #[schemars(range(min = 1, max = 10_000_000), example = 500)]
    max_active: Option<i32>,
    /// How many are let in a second, at the most.
    #[schemars(range(min = 1, max = 1_000_000), example = 100)]
    admit_per_second: Option<i32>,
    /// How long a turn lasts, in seconds.
    #[schemars(range(min = 1, max = 86_400), example = 300)]
    active_ttl_seconds: Option<i32>,
    /// How long a waiting token lives unseen, in seconds. If it is shortened, the former time holds for 15 s more for who was seen before.
    #[schemars(range(min = 1, max = 86_400), example = 120)]
    waiting_ttl_seconds: Option<i32>,
    /// How long a seat is held, in seconds.
    #[schemars(range(min = 1, max = 86_400), example = 300)]
    hold_ttl_seconds: Option<i32>,
    /// When it opens, in the years 2000 to 2199; who comes before is drawn into random order.
    #[schemars(with = "Option<Time>")]
    opens_at: Option<String>,
    /// Nobody is let in; `null` is `false`.
    #[schemars(example = true)]
    paused: Option<bool>,
    /// Nobody new gets a place; `null` is `false`.
    #[schemars(example = true)]
    draining: Option<bool>,
    /// How many may try for each free seat; 0 for however many seats there are.
    #[schemars(range(min = 0, max = 1000), example = 1.5)]
    stock_factor: Option<f64>,
}

/// A queue to be made, with whatever of its settings.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "likewise")]
struct QueueRequest {
    #[schemars(with = "QueueName")]
    name: String,
    #[schemars(flatten)]
    settings: SettingsRequest,
}

/// What is said of them.
#[must_use]
pub fn calls() -> Vec<Described> {
    [of_concerts(), of_queues(), of_figures()].into_iter().flatten().map(Described::operator).collect()
}

fn of_concerts() -> Vec<Described> {
    let concerts = "/admin/v1/concerts";
    vec![
        Described::get(concerts, "listConcerts", "The programme with seats and sold, past schedules too.")
            .query::<Page>()
            .gives::<ProgrammeView>(),
        Described::post(concerts, "createConcert", "A concert with its schedules and seats.")
            .saying("Up to 2 MiB and 200,000 seats a request. Seats are given one by one, or by sections.")
            .json::<ConcertRequest>()
            .gives::<CreatedView>(),
        Described::post("/admin/v1/concerts/{concertId}/schedules", "addSchedule", "One more schedule, whole.")
            .at::<ConcertId>("concertId")
            .json::<ScheduleRequest>()
            .gives::<AddedView>()
            .fails(&[ErrorCode::ConcertNotFound]),
        Described::get("/admin/v1/concerts/schedules/{concertScheduleId}/seats", "plan", "The plan of a schedule.")
            .at::<ScheduleId>("concertScheduleId")
            .gives::<PlanView>()
            .fails(&[ErrorCode::ScheduleNotFound]),
    ]
}

fn of_queues() -> Vec<Described> {
    let (queues, queue) = ("/admin/v1/queues", "/admin/v1/queues/{name}");
    let named = |call: Described| call.at::<QueueName>("name").gives::<QueueView>().fails(&[ErrorCode::NotFound]);
    vec![
        Described::get(queues, "listQueues", "The queues: what is in force, and what is set.")
            .query::<Page>()
            .gives::<QueuesView>(),
        Described::post(queues, "createQueue", "A new queue.").json::<QueueRequest>().gives::<QueueView>(),
        named(Described::get(queue, "queue", "One queue.")),
        named(Described::patch(queue, "setQueue", "Set some of its settings.").json::<SettingsRequest>()),
        named(Described::post("/admin/v1/queues/{name}/pause", "pauseQueue", "Nobody is let in from now on.")),
        named(Described::post("/admin/v1/queues/{name}/resume", "resumeQueue", "The end of a pause and of draining.")),
        named(Described::post("/admin/v1/queues/{name}/drain", "drainQueue", "Nobody new gets a place from now on.")),
    ]
}

fn of_figures() -> Vec<Described> {
    vec![
        Described::get("/admin/v1/figures", "figures", "Waiting and active; free, held and sold; totals.")
            .query::<Asked>()
            .gives::<FiguresView>()
            .fails(&[ErrorCode::ConcertNotFound]),
        Described::get(
            "/admin/v1/figures/course",
            "course",
            "How it went, second by second, over the last ten minutes.",
        )
        .saying("As the instance that answers saw it. Ask again each second for what came after the last moment.")
        .query::<CourseAsked>()
        .gives::<CourseView>()
        .fails(&[ErrorCode::NotFound]),
        Described::get("/admin/v1/audit", "log", "Every act, newest first.").query::<Part>().gives::<LogView>(),
    ]
}
