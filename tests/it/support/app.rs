//! A service for one test, and calls to it without a socket.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use onsale::app::App;
use onsale::audit::Auditor;
use onsale::http::Front;
use onsale::ids::{ScheduleId, UserId};
use onsale::jobs;
use onsale::postgres::{Connections, Postgres};
use onsale::settings::{Cli, Command, ServeSettings};
use serde_json::{Value, json};
use tokio_cron_scheduler::JobScheduler;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::described::as_described;
use super::{eventually, servers};

/// A running instance. Its jobs run unless it was started without them.
pub struct TestApp {
    pub app: App,
    pub settings: ServeSettings,
    front: Front,
    stop: CancellationToken,
    jobs: Mutex<Option<JobScheduler>>,
    database: Option<Arc<Database>>,
}

/// A test's own database, which goes with the last instance on it: two hundred of them would fill a small disk.
struct Database(String);

impl Drop for Database {
    fn drop(&mut self) {
        let url = std::mem::take(&mut self.0);
        tokio::spawn(async move { servers().await.drop_database(&url).await });
    }
}

/// What a call answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The whole envelope; null if there was no body, or a compressed one.
    pub body: Value,
    /// The body as it came.
    pub bytes: Bytes,
}

impl Answer {
    pub fn data(&self) -> &Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.body["result"], "SUCCESS");
        assert_eq!(self.body["error"], Value::Null);
        &self.body["data"]
    }

    /// The error's code; an empty text for a success.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{self:?}");
        assert_eq!(self.body["result"], "ERROR");
        assert_eq!(self.body["data"], Value::Null);
        assert!(self.body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert_eq!(self.body.as_object().map(serde_json::Map::len), Some(3));
    }
}

/// The settings that `onsale serve` would have from these arguments.
pub fn serve_settings(args: &[&str]) -> ServeSettings {
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let serve = ["onsale", "serve", "--token-key", key];
    match <Cli as clap::Parser>::parse_from(serve.iter().chain(args)).command {
        Command::Serve(settings) => *settings,
        _ => unreachable!(),
    }
}

/// A machine that is busy with other tests may be slower than the service's own patience.
async fn started(settings: &ServeSettings) -> App {
    let begun = Instant::now();
    loop {
        match App::start(settings).await {
            Ok(app) => return app,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "{error}"),
        }
    }
}

impl TestApp {
    /// On a database of its own, with the demo programme.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Likewise, with these options of `onsale serve`.
    pub async fn with(args: &[&str]) -> Self {
        let app = Self::without_jobs(args).await;
        app.start_jobs().await;
        app
    }

    /// Likewise, and nothing happens by itself.
    pub async fn without_jobs(args: &[&str]) -> Self {
        let servers = servers().await;
        let database = servers.seeded_database().await;
        let prefix = database.rsplit('/').next().unwrap().to_owned();
        let redis = servers.redis_url();
        let stores = ["--database-url", &database, "--redis-url", &redis, "--key-prefix", &prefix];
        let fewer_connections = ["--postgres-connections", "8"];
        let mut app = Self::from_settings(serve_settings(&[&stores[..], &fewer_connections, args].concat())).await;
        app.database = Some(Arc::new(Database(database.clone())));
        app
    }

    /// From settings as they are, without jobs.
    pub async fn from_settings(settings: ServeSettings) -> Self {
        let app = started(&settings).await;
        let timeout = Duration::from_millis(settings.service.request_timeout_ms.into());
        let front = app.front(timeout, settings.service.max_in_flight as usize);
        Self { app, settings, front, stop: CancellationToken::new(), jobs: Mutex::new(None), database: None }
    }

    /// Another instance on the same stores, with its jobs.
    pub async fn second(&self) -> Self {
        let mut second = Self::from_settings(self.settings.clone()).await;
        second.database.clone_from(&self.database);
        second.start_jobs().await;
        second
    }

    pub async fn start_jobs(&self) {
        let jobs = jobs::start(&self.app, &self.stop).await.unwrap();
        *self.jobs.lock().unwrap() = Some(jobs);
    }

    /// Asserts every invariant of the contract.
    #[track_caller]
    pub fn audit(&self) -> impl Future<Output = ()> {
        let auditor = Auditor::new(
            self.app.readiness.postgres.clone(),
            self.app.concerts.clone(),
            self.app.queues.clone(),
            self.app.seats.clone(),
        );
        async move {
            let begun = Instant::now();
            let findings = loop {
                match auditor.audit().await {
                    Ok(findings) => break findings,
                    // So may a machine be that is busy with other tests.
                    Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "{error}"),
                }
            };
            for finding in findings {
                assert!(finding.holds, "{finding:?}");
            }
        }
    }

    pub fn postgres(&self) -> &Postgres {
        &self.app.readiness.postgres
    }

    pub fn pool(&self) -> &Connections {
        self.postgres().pool()
    }

    /// Makes a call, whose answer must be one that the description has.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().to_string(), request.uri().to_string());
        let response = self.front.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let kind = parts.headers.get("content-type").is_some_and(|kind| kind == "application/json");
        let is_json = kind && !bytes.is_empty() && !parts.headers.contains_key("content-encoding");
        let body = if is_json { serde_json::from_slice(&bytes).unwrap() } else { Value::Null };
        let answer = Answer { status: parts.status, headers: parts.headers, body, bytes };
        if let Err(why) = as_described(&method, &path, &answer) {
            panic!("{method} {path} is not answered as /openapi.json says: {why}");
        }
        answer
    }

    /// A call with headers and a JSON body; null sends none.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        };
        self.send(request.body(body).unwrap()).await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.call("GET", path, &[("token", token)], Value::Null).await
    }

    /// Enters the default queue.
    pub async fn enter(&self, user: i64) -> String {
        let answer = self.call("POST", "/api/v1/queues/token", &[("userId", &user.to_string())], Value::Null).await;
        answer.data()["token"].as_str().unwrap().to_owned()
    }

    /// Enters the default queue, and waits for its turn.
    pub async fn enter_active(&self, user: i64) -> String {
        let token = self.enter(user).await;
        let active = async || self.rank(&token).await.data()["status"] == "ACTIVE";
        eventually("active", Duration::from_secs(10), active).await;
        token
    }

    pub async fn rank(&self, token: &str) -> Answer {
        self.get("/api/v1/queues/token/rank", token).await
    }

    pub async fn leave(&self, token: &str) -> Answer {
        self.call("DELETE", "/api/v1/queues/token", &[("token", token)], Value::Null).await
    }

    pub async fn charge(&self, user: i64, amount: i64) -> Answer {
        let body = json!({ "amount": amount });
        self.call("PATCH", "/api/v1/user-wallets/balance", &[("userId", &user.to_string())], body).await
    }

    pub async fn balance(&self, user: i64) -> i64 {
        let headers = [("userId", &*user.to_string())];
        let answer = self.call("GET", "/api/v1/user-wallets/balance", &headers, Value::Null).await;
        answer.data()["balance"].as_i64().unwrap()
    }

    pub async fn hold(&self, token: &str, schedule: i64, seat: i64) -> Answer {
        let body = json!({ "concertScheduleId": schedule, "concertSeatId": seat });
        self.call("POST", "/api/v1/reservations/concert", &[("token", token)], body).await
    }

    /// Holds these seats, all or none.
    pub async fn hold_many(&self, token: &str, schedule: i64, seats: &[i64]) -> Answer {
        let body = json!({ "concertScheduleId": schedule, "concertSeatIds": seats });
        self.call("POST", "/api/v1/reservations/concert/batch", &[("token", token)], body).await
    }

    /// Holds so many of the best seats.
    pub async fn hold_best(&self, token: &str, schedule: i64, count: usize) -> Answer {
        let body = json!({ "concertScheduleId": schedule, "count": count, "bestAvailable": true });
        self.call("POST", "/api/v1/reservations/concert/batch", &[("token", token)], body).await
    }

    /// Gives up a hold.
    pub async fn give_up(&self, token: &str, reservation: i64) -> Answer {
        let path = format!("/api/v1/reservations/{reservation}");
        self.call("DELETE", &path, &[("token", token)], Value::Null).await
    }

    pub async fn pay(&self, token: &str, reservation: i64) -> Answer {
        let body = json!({ "concertReservationId": reservation });
        self.call("POST", "/api/v1/payment/concert", &[("token", token)], body).await
    }

    pub async fn pay_many(&self, token: &str, reservations: &[i64]) -> Answer {
        let body = json!({ "concertReservationIds": reservations });
        self.call("POST", "/api/v1/payment/concert/batch", &[("token", token)], body).await
    }

    pub async fn refund(&self, user: i64, payment: i64) -> Answer {
        let path = format!("/api/v1/payments/{payment}/refund");
        self.call("POST", &path, &[("userId", &user.to_string())], Value::Null).await
    }

    /// The ids of the seats that are free, once all that this instance had seen before is too old to be told.
    pub async fn free_by_now(&self, token: &str, schedule: i64) -> Vec<i64> {
        tokio::time::sleep(Duration::from_millis(160)).await;
        self.free_seats(token, schedule).await
    }

    /// The ids of the seats that are free now, as far as this instance has seen.
    pub async fn free_seats(&self, token: &str, schedule: i64) -> Vec<i64> {
        let answer = self.get(&format!("/api/v1/concerts/schedules/{schedule}/seats"), token).await;
        answer.data()["seats"].as_array().unwrap().iter().map(|seat| seat["concertSeatId"].as_i64().unwrap()).collect()
    }
}

impl Answer {
    /// The reservation of a hold that must have been taken.
    #[track_caller]
    pub fn reservation(&self) -> i64 {
        self.data()["reservationId"].as_i64().unwrap()
    }

    /// Seat and reservation of each of several that must have been held.
    #[track_caller]
    pub fn held_many(&self) -> Vec<(i64, i64)> {
        let held = self.data()["reservations"].as_array().unwrap();
        let number = |held: &Value, field: &str| held[field].as_i64().unwrap();
        held.iter().map(|held| (number(held, "concertSeatId"), number(held, "reservationId"))).collect()
    }

    /// The payment of a payment that must have been made.
    #[track_caller]
    pub fn payment(&self) -> i64 {
        self.data()["paymentHistoryId"].as_i64().unwrap()
    }

    /// The payments of a batch that must have been made, in the order of its answer.
    #[track_caller]
    pub fn payments(&self) -> Vec<i64> {
        let payments = self.data()["payments"].as_array().unwrap().iter();
        payments.map(|payment| payment["paymentHistoryId"].as_i64().unwrap()).collect()
    }
}

/// Lets go of what is not a test's own to keep: left alone, the scheduler would run on, and with it the app's connections.
impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        let jobs = self.jobs.get_mut().ok().and_then(Option::take);
        let app = self.app.clone();
        let database = self.database.take();
        tokio::spawn(async move {
            if let Some(mut jobs) = jobs {
                let _ = jobs.shutdown().await;
            }
            app.readiness.postgres.close().await;
            drop(database);
        });
    }
}

pub fn user(id: i64) -> UserId {
    id.try_into().unwrap()
}

pub fn schedule(id: i64) -> ScheduleId {
    id.try_into().unwrap()
}
