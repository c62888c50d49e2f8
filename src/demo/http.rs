//! The calls of the demo's page. They are not in `/openapi.json`: no service has them.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::header::{HOST, HeaderMap};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::{Demo, DemoError, MOST_A_SECOND, MOST_FANS, Sent, Wanted};
use crate::burst::is_loopback;
use crate::http::{ApiError, ErrorCode, Json, Success, method_fallback};
use crate::ids::ConcertId;

impl From<DemoError> for ApiError {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::OneAtATime => Self::invalid("A crowd is there already: send it home first."),
            DemoError::NoSuchConcert => Self::new(ErrorCode::ConcertNotFound, "There is no such concert."),
            DemoError::SoldOut => Self::invalid("Nothing is left of this concert."),
            DemoError::NotOpen => Self::unavailable(error),
            DemoError::Control(error) => error.into(),
            DemoError::Queue(error) => error.into(),
            DemoError::Crowd(error) => Self::internal(error),
            DemoError::Store(error) => error.into(),
        }
    }
}

/// What the page asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    /// A new one if none.
    concert_id: Option<ConcertId>,
    fans: u32,
    per_second: u32,
}

impl Request {
    fn read(self) -> Result<Wanted, ApiError> {
        let Self { concert_id: concert, fans, per_second } = self;
        if !(1..=MOST_FANS).contains(&fans) {
            return Err(ApiError::invalid(format!("fans is a whole number from 1 to {MOST_FANS}.")));
        }
        if !(1..=MOST_A_SECOND).contains(&per_second) {
            return Err(ApiError::invalid(format!("perSecond is a whole number from 1 to {MOST_A_SECOND}.")));
        }
        Ok(Wanted { concert, fans, per_second })
    }
}

/// The crowd that was sent last.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CrowdView {
    concert_id: ConcertId,
    fans: u32,
    per_second: u32,
    waiting: u64,
    admitted: u64,
    sold: u64,
    /// Who is through, with a ticket or without, let in or not.
    ended: u64,
    /// Who of those who were let in is through.
    through: u64,
    /// Calls that had to be made again.
    failures: u64,
    /// Whether it is there still.
    is_there: bool,
}

impl From<&Sent> for CrowdView {
    fn from(sent: &Sent) -> Self {
        let standing = sent.standing();
        Self {
            concert_id: sent.concert,
            fans: sent.wanted.fans,
            per_second: sent.wanted.per_second,
            waiting: standing.waiting,
            admitted: standing.admitted,
            sold: standing.sold,
            ended: standing.ended,
            through: standing.through,
            failures: standing.failures,
            is_there: sent.is_there(),
        }
    }
}

/// The operators' token, where it may be shown.
#[derive(Debug, Serialize)]
struct OperatorView {
    token: Option<String>,
}

/// `/demo/…`, of this demo.
pub fn router(demo: &'static Demo) -> Router {
    let router = Router::new()
        .route("/demo/crowd", get(shown).post(send).delete(stop))
        .route("/demo/operator", get(operator))
        .with_state(demo);
    method_fallback(router)
}

async fn shown(State(demo): State<&'static Demo>) -> Success<Option<CrowdView>> {
    Success(demo.sent.lock().await.as_ref().map(CrowdView::from))
}

async fn send(
    State(demo): State<&'static Demo>,
    Json(request): Json<Request>,
) -> Result<Success<Option<CrowdView>>, ApiError> {
    demo.send(request.read()?).await?;
    Ok(shown(State(demo)).await)
}

async fn stop(State(demo): State<&'static Demo>) -> Success<Option<CrowdView>> {
    demo.stop().await;
    shown(State(demo)).await
}

/// Only under one of the machine's own names: a site that has its own name point here is not told.
async fn operator(State(demo): State<&'static Demo>, headers: HeaderMap) -> Success<OperatorView> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_here = Url::parse(&format!("http://{host}")).is_ok_and(|url| is_loopback(&url));
    let token = demo.operator.as_ref().filter(|_| is_here);
    Success(OperatorView { token: token.and_then(|token| String::from_utf8(token.expose().to_vec()).ok()) })
}
