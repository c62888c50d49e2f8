//! The floor of every call: plain axum that answers the same bodies to the same requests, and does nothing else. A process
//! of its own, this program started again.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use super::stage::Outcome;

/// What it answers that is not made anew for each request.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Bodies {
    pub(super) schedules: String,
    /// Of each schedule, with its `ETag`.
    pub(super) seats: HashMap<u64, (String, String)>,
    /// Of those that are offered compressed.
    pub(super) gzip: HashMap<u64, Vec<u8>>,
    pub(super) token: String,
}

/// The process.
pub(super) struct Bare {
    pub(super) child: Child,
    pub(super) address: SocketAddr,
}

impl Bare {
    pub(super) async fn start(bodies: &Bodies) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--bare").env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut input = child.stdin.take().ok_or("no way to tell it")?;
        input.write_all(&serde_json::to_vec(bodies)?).await?;
        drop(input);
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("it says nothing")?).read_line(&mut line).await?;
        Ok(Self { child, address: line.trim().parse()? })
    }

    pub(super) async fn stop(mut self) -> Outcome {
        Ok(self.child.kill().await?)
    }
}

#[derive(Serialize)]
struct Envelope<T> {
    result: &'static str,
    data: T,
    error: Option<()>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    status: &'static str,
    rank: Option<u64>,
    ahead: u64,
    estimated_wait_seconds: Option<Wait>,
    poll_after_millis: u64,
    expires_at: String,
}

#[derive(Serialize)]
struct Wait {
    low: u64,
    high: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Balance {
    user_id: u64,
    balance: u64,
}

#[derive(Serialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hold {
    concert_schedule_id: u64,
    concert_seat_id: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    reservation_id: u64,
}

#[derive(Clone)]
struct Shop {
    schedules: Bytes,
    seats: Arc<HashMap<u64, (Bytes, String)>>,
    gzip: Arc<HashMap<u64, Bytes>>,
    token: String,
}

#[expect(clippy::disallowed_types, reason = "the floor is axum as it comes")]
type Json<T> = axum::Json<T>;

fn success<T>(data: T) -> Json<Envelope<T>> {
    axum::Json(Envelope { result: "SUCCESS", data, error: None })
}

/// Serves until it is ended.
pub(super) async fn serve() -> Outcome {
    let bodies: Bodies = serde_json::from_reader(std::io::stdin().lock())?;
    let seats = bodies.seats.into_iter().map(|(id, (body, etag))| (id, (body.into(), etag)));
    let gzip = bodies.gzip.into_iter().map(|(id, body)| (id, body.into()));
    let (seats, gzip) = (Arc::new(seats.collect()), Arc::new(gzip.collect()));
    let shop = Shop { schedules: bodies.schedules.into(), seats, gzip, token: bodies.token };
    let router = Router::new()
        .route("/api/v1/concerts/{id}/schedules", get(schedules))
        .route("/api/v1/concerts/schedules/{id}/seats", get(seats_of))
        .route("/api/v1/queues/token", post(token))
        .route("/api/v1/queues/token/rank", get(rank))
        .route("/api/v1/reservations/concert", post(hold))
        .route("/api/v1/user-wallets/balance", get(balance))
        .with_state(shop);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    Ok(axum::serve(listener, router).await?)
}

async fn schedules(State(shop): State<Shop>, Path(_): Path<u64>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], shop.schedules)
}

async fn seats_of(State(shop): State<Shop>, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    let Some((body, etag)) = shop.seats.get(&id) else { return StatusCode::NOT_FOUND.into_response() };
    let etag_header = [(ETAG, etag.clone())];
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, etag_header).into_response();
    }
    let json = [(CONTENT_TYPE, "application/json")];
    match shop.gzip.get(&id).filter(|_| headers.contains_key(ACCEPT_ENCODING)) {
        Some(body) => (etag_header, json, [(CONTENT_ENCODING, "gzip")], body.clone()).into_response(),
        None => (etag_header, json, body.clone()).into_response(),
    }
}

async fn token(State(shop): State<Shop>) -> Json<Envelope<Token>> {
    success(Token { token: shop.token })
}

async fn rank() -> Json<Envelope<Standing>> {
    success(Standing {
        status: "WAITING",
        rank: Some(123_456),
        ahead: 123_456,
        estimated_wait_seconds: Some(Wait { low: 600, high: 700 }),
        poll_after_millis: 9876,
        expires_at: "2030-01-01T00:00:00.000Z".to_owned(),
    })
}

async fn balance() -> Json<Envelope<Balance>> {
    success(Balance { user_id: 12_345, balance: 1_000_000_000 })
}

async fn hold(body: Json<Hold>) -> Json<Envelope<Held>> {
    success(Held { reservation_id: body.0.concert_schedule_id.max(body.0.concert_seat_id) })
}
