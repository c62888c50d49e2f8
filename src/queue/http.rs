//! The queue's calls.

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::Utc;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::pass::{Had, Presented, Watching};
use super::view::RankView;
use super::{EnterError, Facts, Queues, Rank};
use crate::http::{
    ApiError, Described, ErrorCode, EventStream, Form, IdPath, RateLimits, Shortcut, Success, Time, rfc3339, schema,
};
use crate::identity::{Identity, User};
use crate::ids::{self, ConcertId};
use crate::veiled::Veiled;

/// The entry number of one who is to be drawn.
static DRAW_ENTRY: HeaderName = HeaderName::from_static("draw-entry");

/// The place of one who was drawn, from 0.
static DRAW_PLACE: HeaderName = HeaderName::from_static("draw-place");

/// `/api/v1/queues/…`, but for leaving, which gives up seats too and so belongs to `reservation`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    &'static Identity: FromRef<S>,
    &'static Queues: FromRef<S>,
    &'static RateLimits: FromRef<S>,
{
    Router::new()
        .route("/api/v1/queues/token", post(issue))
        .route("/api/v1/queues/token/rank", get(rank))
        .route("/api/v1/queues/token/events", get(events))
        .route("/api/v1/queues/draws/{queueName}", get(draw))
        .route("/api/v1/concerts/{concertId}/queue", get(state))
}

/// The rank at once: for a token that waits and is known to.
#[must_use]
pub fn shortcut(queues: &'static Queues) -> Shortcut {
    Shortcut::new("/api/v1/queues/token/rank", |asked| {
        let claim = queues.claim_of(asked)?;
        let directory = queues.directory.load();
        let queue = directory.get(claim.queue)?;
        let rank = queues.waiting_lately(queue, &claim)?;
        let Rank::Waiting { order, .. } = rank else { return None };
        let view = queues.view_of(queue, &claim, rank).ok()?;
        Some(told(view, Queues::entry_of(queue, &claim), queue.draw_place_of(order)))
    })
}

/// What is said of them.
#[must_use]
pub fn calls() -> Vec<Described> {
    let entry = ("Draw-Entry", "The entry in the draw, from 1, of who came before the opening.", "17");
    let place = ("Draw-Place", "The place that was drawn, from 0; once the draw is over.", "4");
    let drawn = |call: Described| call.tells(entry.0, entry.1, entry.2).tells(place.0, place.1, place.2);
    vec![
        drawn(Described::post("/api/v1/queues/token", "enterQueue", "Take a place in the queue, or get the one you have."))
            .saying(
                "The token is active at once if nobody waits and there is room. Asking again gives the same token while it \
                 waits or is active, and counts as a sign of life.",
            )
            .user()
            .header("token", "The token one had: a place that Redis lost comes back.", |generator| {
                TokenText::json_schema(generator)
            })
            .form::<Issue>()
            .gives::<Issued>()
            .fails(&[ErrorCode::ConcertNotFound]),
        drawn(Described::get("/api/v1/queues/token/rank", "rank", "How far a token is, and when to ask again."))
            .saying(
                "Ask again after `pollAfterMillis`. A waiting token that is not seen for `waitingTtlSeconds` has left the queue.",
            )
            .token()
            .gives::<RankView>()
            .tells("Retry-After", "Whole seconds, as `pollAfterMillis` rounded up.", "3"),
        Described::get("/api/v1/queues/token/events", "rankEvents", "The same as a stream: told when it changes.")
            .saying(
                "The state comes first on every connection, so `Last-Event-ID` changes nothing. The stream ends with `expired`, \
                 also of a token that has paid.",
            )
            .watching()
            .gives_events(&[
                ("position", schema::<RankView>),
                ("sold_out", schema::<RankView>),
                ("active", schema::<RankView>),
                ("expired", schema::<RankView>),
            ]),
        Described::get("/api/v1/queues/draws/{queueName}", "draw", "The latest draw of a queue: its promise, then its proof.")
            .saying("The seed's hash is public from the start, the seed after the opening; anyone can recompute every place.")
            .at::<QueueName>("queueName")
            .gives::<Facts>()
            .fails(&[ErrorCode::NotFound]),
        Described::get("/api/v1/concerts/{concertId}/queue", "queueState", "What there is to know before one enters a concert's queue.")
            .at::<ConcertId>("concertId")
            .gives::<StateView>()
            .fails(&[ErrorCode::ConcertNotFound]),
    ]
}

/// A queue's name, in a path.
pub(crate) struct QueueName;

impl JsonSchema for QueueName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "QueueName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$", "description": "A queue's name.",
            "examples": ["big"],
        })
    }
}

/// A token, as it is sent.
struct TokenText;

impl JsonSchema for TokenText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Token".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "description": "Opaque. Send it as the header `token`.",
            "examples": ["Ab4AAAABAAAAAAAAAAEAAAABAAAAASBt1SUBfy4KMKpfBIP6QcDbDsqXnIiHL1zOFB33NErX"],
        })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Issue {
    /// The concert whose queue it is; the default queue unless said.
    #[schemars(with = "Option<ConcertId>")]
    concert_id: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Issued {
    #[schemars(with = "TokenText")]
    token: Veiled,
}

/// What anybody may know of a queue.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StateView {
    /// Its name, by which to ask for its draw.
    #[schemars(example = &"big")]
    queue_name: String,
    /// The server's time, so that a client whose clock is wrong can count down to the opening.
    #[schemars(with = "Time")]
    now: String,
    /// When it opens, or has opened; `null` if it always was.
    #[schemars(with = "Option<Time>")]
    opens_at: Option<String>,
    /// Whether nobody is let in for now.
    #[schemars(example = false)]
    paused: bool,
    /// Whether nobody new is given a place.
    #[schemars(example = false)]
    draining: bool,
    /// Whether nothing is left of all that it sells, as far as that was looked at.
    #[schemars(example = false)]
    sold_out: bool,
    /// How long a place is kept for who is not seen, in seconds.
    #[schemars(example = 120)]
    waiting_ttl_seconds: u64,
    /// How long a turn lasts, in seconds.
    #[schemars(example = 300)]
    active_ttl_seconds: u64,
}

/// What there is to know of a concert's queue, without a place in it. Asks nobody: everything is known here.
async fn state(
    State(queues): State<&'static Queues>,
    IdPath(concert): IdPath<ids::Concert>,
) -> Result<Success<StateView>, ApiError> {
    let queue = queues.serving(Some(concert)).ok_or_else(no_such_concert)?;
    let settings = &queue.settings;
    Ok(Success(StateView {
        queue_name: queue.name.clone(),
        now: rfc3339(Utc::now()),
        opens_at: settings.opens_at.map(rfc3339),
        paused: settings.paused,
        draining: settings.draining,
        sold_out: queues.sold_out(&queue),
        waiting_ttl_seconds: settings.waiting_ttl.as_secs(),
        active_ttl_seconds: settings.active_ttl.as_secs(),
    }))
}

fn no_such_concert() -> ApiError {
    ApiError::new(ErrorCode::ConcertNotFound, "There is no such concert.")
}

async fn issue(
    State(queues): State<&'static Queues>,
    User(user): User,
    Had(had): Had,
    Form(form): Form<Issue>,
) -> Result<Response, ApiError> {
    let queue = match form.concert_id {
        None => queues.serving(None).ok_or_else(|| ApiError::internal("there is no default queue"))?,
        Some(id) => {
            let concert: ConcertId =
                id.parse().map_err(|_| ApiError::invalid("concertId is not a positive whole number."))?;
            queues.serving(Some(concert)).ok_or_else(no_such_concert)?
        }
    };
    // Who shows the token it had gets its place back, should Redis have lost it.
    if let Some(had) = had.filter(|had| had.queue == queue.id && had.user == user) {
        queues.check(&queue, &had).await?;
    }
    let entered = queues.enter(&queue, user).await?;
    let place = queues.draw_place(&queue, &entered.claim).await?;
    let mut response = Success(Issued { token: entered.token }).into_response();
    tell_draw(&mut response, entered.entry.or_else(|| Queues::entry_of(&queue, &entered.claim)), place);
    Ok(response)
}

/// Says in headers which entry somebody has in a draw, and once it is over, which place it was drawn.
fn tell_draw(response: &mut Response, entry: Option<u64>, place: Option<u64>) {
    for (name, number) in [(&DRAW_ENTRY, entry), (&DRAW_PLACE, place)] {
        if let Some(number) = number {
            response.headers_mut().insert(name, HeaderValue::from(number));
        }
    }
}

impl From<EnterError> for ApiError {
    fn from(error: EnterError) -> Self {
        match error {
            EnterError::Closing => {
                Self::new(ErrorCode::Unavailable, "The queue is closing: it gives nobody a new place.")
            }
            EnterError::Full => {
                Self::new(ErrorCode::Unavailable, "As many wait as the queue has places for; try again soon.")
            }
            EnterError::Store(error) => error.into(),
        }
    }
}

/// The latest draw of a queue: its promise, and once it is over its proof.
async fn draw(
    State(queues): State<&'static Queues>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Success<Facts>, ApiError> {
    let queue = name.ok().and_then(|Path(name)| queues.by_name(&name));
    let facts = queue.and_then(|queue| queue.draw().map(|draw| draw.facts(&queue.name)));
    facts.map(Success).ok_or_else(|| ApiError::new(ErrorCode::NotFound, "There is no such queue, or it has no draw."))
}

async fn rank(State(queues): State<&'static Queues>, presented: Presented) -> Result<Response, ApiError> {
    let Presented { queue, claim } = &presented;
    let (rank, view) = queues.view(&presented).await?;
    let place = match rank {
        Rank::Waiting { order, .. } => queue.draw_place_of(order),
        Rank::Active { .. } => Box::pin(queues.draw_place(queue, claim)).await?,
        _ => None,
    };
    let entry = match rank {
        Rank::Waiting { entry: entry @ 1.., .. } => Some(entry),
        _ => Queues::entry_of(queue, claim),
    };
    Ok(told(view, entry, place))
}

fn told(view: RankView, entry: Option<u64>, place: Option<u64>) -> Response {
    // Whole seconds, rounded up, say the same as `pollAfterMillis`.
    let retry_after = HeaderValue::from(view.poll_after_millis.div_ceil(1000));
    let mut response = Success(view).into_response();
    response.headers_mut().insert(RETRY_AFTER, retry_after);
    tell_draw(&mut response, entry, place);
    response
}

/// A `Last-Event-ID` is welcome and changes nothing: events are state, not history, and the state comes first.
async fn events(State(queues): State<&'static Queues>, Watching(presented): Watching) -> Result<EventStream, ApiError> {
    queues.watch(&presented).await
}
