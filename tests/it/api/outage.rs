//! Redis or PostgreSQL does not answer: 503 in time, with `Retry-After`, nothing lost, and well again by itself.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use onsale::app::App;
use onsale::postgres::ConnectError;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::PRICE;
use crate::support::{Answer, OwnServers, TestApp, block_on, eventually, kill_at_once};

/// The contract's 2 s, and what a busy machine may add.
const IN_TIME: Duration = Duration::from_millis(2000 + 1500);

/// How long the service may take to be well once its stores are.
const WELL_AGAIN: Duration = Duration::from_secs(15);

const BALANCE: &str = "/api/v1/user-wallets/balance";

/// A user with money, a token and a hold on seat 1.
struct Visitor {
    token: String,
    reservation: i64,
}

impl Visitor {
    async fn arrive(app: &TestApp) -> Self {
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        Self { token, reservation }
    }
}

#[track_caller]
pub fn assert_unavailable(answer: &Answer) {
    answer.assert_error(503, "UNAVAILABLE");
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
}

/// That each of these calls is answered 503, all at once and in time.
async fn assert_all_unavailable(calls: impl IntoIterator<Item = impl Future<Output = Answer>>) {
    let begun = Instant::now();
    for answer in join_all(calls).await {
        assert_unavailable(&answer);
    }
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
}

async fn ready(app: &TestApp) {
    let ready = async || app.ask("GET", "/readyz").send().await.status == 200;
    eventually("ready again", WELL_AGAIN, ready).await;
}

/// The calls that need Redis.
async fn need_redis(app: &TestApp, visitor: &Visitor) {
    let hold = json!({"concertScheduleId": 1, "concertSeatId": 2});
    let pay = json!({"concertReservationId": visitor.reservation});
    let calls = [
        ("POST", "/api/v1/queues/token", Value::Null),
        ("GET", "/api/v1/queues/token/rank", Value::Null),
        ("DELETE", "/api/v1/queues/token", Value::Null),
        ("GET", "/api/v1/concerts/1/schedules", Value::Null),
        ("GET", "/api/v1/concerts/schedules/1/seats", Value::Null),
        ("POST", "/api/v1/reservations/concert", hold),
        ("POST", "/api/v1/payment/concert", pay),
        ("GET", "/readyz", Value::Null),
    ];
    let headers = [("token", &*visitor.token), ("userId", "7")];
    assert_all_unavailable(calls.into_iter().map(|(method, path, body)| app.call(method, path, &headers, body))).await;
}

/// The calls that need PostgreSQL.
async fn need_postgres(app: &TestApp, visitor: &Visitor) {
    let pay = json!({"concertReservationId": visitor.reservation});
    let calls = [
        ("GET", BALANCE, Value::Null),
        ("PATCH", BALANCE, json!({"amount": 1000})),
        ("POST", "/api/v1/payment/concert", pay),
        ("GET", "/readyz", Value::Null),
    ];
    let headers = [("token", &*visitor.token), ("userId", "7")];
    assert_all_unavailable(calls.into_iter().map(|(method, path, body)| app.call(method, path, &headers, body))).await;
}

/// Repeats the payment, as clients are told to, until it is answered otherwise.
async fn pay_in_the_end(app: &TestApp, visitor: &Visitor) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = app.pay(&visitor.token, visitor.reservation).await;
        let passing = answer.status == 503 || answer.code() == "PAYMENT_IN_PROGRESS";
        if !passing || begun.elapsed() > WELL_AGAIN {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[test]
fn redis_pauses() {
    block_on(async {
        let servers = OwnServers::start().await;
        let app = servers.app().await;
        let visitor = Visitor::arrive(&app).await;
        let paused = servers.pause_redis();
        need_redis(&app, &visitor).await;
        assert_eq!(app.balance(1).await, PRICE, "what needs no Redis is served");
        assert_eq!(app.ask("GET", "/livez").send().await.status, 200);
        drop(paused);
        ready(&app).await;
        // The call to leave may have arrived all the same, and then the hold is given up.
        let paid = pay_in_the_end(&app, &visitor).await;
        let taken = if paid.status == 200 { PRICE } else { 0 };
        assert_eq!(app.balance(1).await, PRICE - taken, "{paid:?}");
        app.audit().await;
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn redis_is_killed_and_comes_back() {
    block_on(async {
        let mut servers = OwnServers::start().await;
        let app = servers.app().await;
        let visitor = Visitor::arrive(&app).await;
        // Redis writes to disk once a second.
        tokio::time::sleep(Duration::from_millis(2200)).await;
        kill_at_once(servers.servers.redis.pid());
        need_redis(&app, &visitor).await;
        assert_eq!(app.balance(1).await, PRICE);
        servers.servers.redis.restart().await.unwrap();
        ready(&app).await;
        app.hold(&app.enter_active(2).await, 1, 1).await.assert_error(409, "SEAT_TAKEN");
        app.pay(&visitor.token, visitor.reservation).await.payment();
        assert_eq!(app.balance(1).await, 0);
        app.audit().await;
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn postgres_pauses() {
    block_on(async {
        let servers = OwnServers::start().await;
        let app = servers.app().await;
        let visitor = Visitor::arrive(&app).await;
        let paused = servers.pause_postgres(&app).await;
        need_postgres(&app, &visitor).await;
        let charge = app.charge(8, 1000).await;
        assert_unavailable(&charge);
        let advice = charge.body["error"]["message"].as_str().unwrap();
        assert!(advice.contains("not known") && advice.contains("Idempotency-Key"), "{advice}");
        assert_eq!(app.free_seats(&visitor.token, 1).await.len(), 49, "what needs no PostgreSQL is served");
        app.hold(&app.enter(2).await, 1, 1).await.assert_error(409, "SEAT_TAKEN");
        drop(paused);
        ready(&app).await;
        pay_in_the_end(&app, &visitor).await.payment();
        assert_eq!(app.balance(1).await, 0);
        let charged = app.balance(7).await;
        assert!([0, 1000].contains(&charged), "once or not at all: {charged}");
        app.audit().await;
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn postgres_is_killed_and_comes_back() {
    block_on(async {
        let mut servers = OwnServers::start().await;
        let app = servers.app().await;
        let visitor = Visitor::arrive(&app).await;
        kill_at_once(servers.servers.postgres.pid());
        // Its other processes need a moment to notice.
        let gone = async || app.ask("GET", "/readyz").send().await.status == 503;
        eventually("PostgreSQL is gone", WELL_AGAIN, gone).await;
        need_postgres(&app, &visitor).await;
        servers.servers.postgres.restart().await.unwrap();
        ready(&app).await;
        pay_in_the_end(&app, &visitor).await.payment();
        assert_eq!(app.balance(1).await, 0);
        app.audit().await;
        drop(app);
        servers.stop().await;
    });
}

/// A shop whose database may only be read by all who connect from now on, those who were connected being cut off, and a
/// connection that may write.
async fn read_only() -> (TestApp, PgConnection) {
    let app = TestApp::without_jobs(&[]).await;
    let mut other = PgConnection::connect(&app.settings.stores.database_url).await.unwrap();
    set(&mut other, "SET default_transaction_read_only = on").await;
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(end).execute(&mut other).await.unwrap();
    let postgres = &app.app.readiness.postgres;
    let says_so = async || matches!(postgres.require_writable().await, Err(ConnectError::ReadOnly));
    eventually("it may only be read", WELL_AGAIN, says_so).await;
    // So that it has as many connections as it may, and none of before.
    let read = || async { app.call("GET", BALANCE, &[("userId", "1")], Value::Null).await.status == 200 };
    eventually("it can be read", WELL_AGAIN, async || join_all((0..50).map(|_| read())).await.into_iter().all(|is| is))
        .await;
    (app, other)
}

async fn set(other: &mut PgConnection, setting: &str) {
    let database: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut *other).await.unwrap();
    let alter = format!("ALTER DATABASE {database} {setting}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(alter)).execute(other).await.unwrap();
}

#[test]
fn an_instance_on_a_database_that_may_only_be_read_is_not_ready_until_it_is_on_another() {
    block_on(async {
        let (app, mut other) = read_only().await;
        assert_unavailable(&app.ask("GET", "/readyz").send().await);
        let refused = App::start(&app.settings).await.err().map(|error| error.to_string());
        let why = "the database may only be read: it follows another, is still being restored, or is set so \
                   (default_transaction_read_only)";
        assert_eq!(refused.as_deref(), Some(why));
        set(&mut other, "RESET default_transaction_read_only").await;
        ready(&app).await;
    });
}

#[test]
fn a_connection_that_refuses_to_write_is_not_kept() {
    block_on(async {
        let (app, mut other) = read_only().await;
        assert_unavailable(&app.charge(1, PRICE).await);
        set(&mut other, "RESET default_transaction_read_only").await;
        eventually("charged", WELL_AGAIN, async || app.charge(1, PRICE).await.status == 200).await;
    });
}
