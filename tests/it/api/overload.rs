//! Too much, or stores that stall: 503 at once or in time rather than a pile, and well again by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use onsale::postgres::Transaction;
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use super::PRICE;
use super::outage::assert_unavailable;
use crate::support::{Answer, OwnServers, Proxy, TestApp, at_once, block_on, eventually, serve_settings, user};

/// The contract's 2 s, and what a busy machine may add.
const IN_TIME: Duration = Duration::from_secs(2 + 2);

/// How long the service may take to be well once its stores are.
const WELL_AGAIN: Duration = Duration::from_secs(10);

async fn ask_balance(app: &TestApp, user: i64) -> Answer {
    let user = user.to_string();
    app.call("GET", "/api/v1/user-wallets/balance", &[("userId", &user)], Value::Null).await
}

#[test]
fn five_hundred_at_once_on_a_stopped_postgres_do_not_pile_up() {
    block_on(async {
        let servers = OwnServers::start().await;
        let app = Arc::new(servers.app().await);
        for user in 1..=3 {
            app.charge(user, PRICE).await.data();
        }
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        let paused = servers.pause_postgres(&app).await;
        for _ in 0..2 {
            let begun = Instant::now();
            let calls = (0..500).map(|call| {
                let (app, token) = (app.clone(), token.clone());
                async move {
                    match call % 5 {
                        0 => app.charge(2, 1).await,
                        1 => app.pay(&token, reservation).await,
                        _ => ask_balance(&app, 3).await,
                    }
                }
            });
            for answer in at_once(calls).await {
                // Those who find the payment under way hear that.
                if answer.code() != "PAYMENT_IN_PROGRESS" {
                    assert_unavailable(&answer);
                }
            }
            assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
        }
        drop(paused);
        let well = async || ask_balance(&app, 3).await.status == 200;
        eventually("well again", WELL_AGAIN, well).await;
        let paid = async || app.pay(&token, reservation).await.status == 200;
        eventually("the payment is made", WELL_AGAIN, paid).await;
        assert_eq!((app.balance(1).await, app.balance(3).await), (0, PRICE));
        let charged = app.balance(2).await - PRICE;
        assert!((0..=200).contains(&charged), "once each or not at all: {charged}");
        app.audit().await;
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn more_statements_than_may_wait_are_refused_at_once() {
    block_on(async {
        // A test's app has eight connections.
        let patience = ["--postgres-timeout-ms", "10000", "--request-timeout-ms", "15000"];
        let app = Arc::new(TestApp::without_jobs(&[&["--postgres-queue", "3"], &patience[..]].concat()).await);
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        let lock = app.lock_wallet(1).await;
        // Under a key each is a statement of its own.
        let waiting = (0..8 + 3).map(|number| {
            let app = app.clone();
            tokio::spawn(async move {
                // While they come in, a question below can be in the last one's place for a moment.
                loop {
                    let answer = app.charge_under(&number.to_string(), 1, 1).await;
                    if answer.status != 503 {
                        return answer;
                    }
                }
            })
        });
        let waiting: Vec<_> = waiting.collect();
        // Whoever is let through waits for them.
        let full = async || ask_balance(&app, 9).now_or_never().is_some_and(|answer| answer.status == 503);
        eventually("the gate is full", WELL_AGAIN, full).await;
        assert_unavailable(&ask_balance(&app, 9).await);
        assert_unavailable(&app.pay(&token, reservation).await);
        assert_unavailable(&app.charge(2, 1).await);
        assert_eq!(app.ask("GET", "/api/v1/concerts").send().await.status, 200, "what needs no PostgreSQL is served");
        let balance = app.app.wallets.balance(user(1));
        let mut job = Box::pin(onsale::postgres::unrefused(balance));
        assert!((&mut job).now_or_never().is_none(), "the scheduler's jobs are not refused");
        lock.release().await;
        job.await.unwrap();
        for answer in waiting {
            answer.await.unwrap().data();
        }
        // Nothing had happened to the hold, so it can be paid at once.
        app.pay(&token, reservation).await.payment();
        assert_eq!(app.balance(1).await, 11);
        app.audit().await;
    });
}

/// What a proxied service is asked while its connections are dead, and that it is soon well.
async fn assert_recovers(app: &TestApp, proxy: &Proxy, call: impl AsyncFn() -> Answer) {
    for _ in 0..2 {
        assert_eq!(call().await.status, 200);
        proxy.swallow();
        let begun = Instant::now();
        loop {
            let asked = Instant::now();
            let answer = call().await;
            assert!(asked.elapsed() < IN_TIME, "{:?}", asked.elapsed());
            if answer.status == 200 {
                break;
            }
            assert_unavailable(&answer);
            assert!(begun.elapsed() < WELL_AGAIN, "not well again");
        }
        let ready = async || app.ask("GET", "/readyz").send().await.status == 200;
        eventually("ready again", WELL_AGAIN, ready).await;
    }
}

#[test]
fn connections_to_postgres_that_are_swallowed_are_replaced() {
    block_on(async {
        let servers = OwnServers::start().await;
        let (database, redis) = (servers.servers.postgres.url(), servers.servers.redis.url());
        let proxy = Proxy::before(&database).await;
        let app = Arc::new(servers.app_at(&proxy.url(&database), &redis, &[]).await);
        app.charge(1, PRICE).await.data();
        assert_recovers(&app, &proxy, async || ask_balance(&app, 1).await).await;
        // While they are busy: none is lost for good.
        for _ in 0..4 {
            let (answers, enough) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
            let calls = (0..8).map(|_| {
                let (app, answers, enough) = (app.clone(), answers.clone(), enough.clone());
                async move {
                    while !enough.load(Ordering::SeqCst) {
                        let answer = ask_balance(&app, 1).await;
                        assert!(answer.status == 200 || answer.code() == "UNAVAILABLE", "{answer:?}");
                        answers.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
            let busy = tokio::spawn(at_once(calls.collect::<Vec<_>>()));
            let going = async || answers.load(Ordering::SeqCst) > 100;
            eventually("all are busy", WELL_AGAIN, going).await;
            proxy.swallow();
            enough.store(true, Ordering::SeqCst);
            busy.await.unwrap();
        }
        let all = async || join_all((0..4).map(|_| Transaction::begin(app.postgres()))).await.iter().all(Result::is_ok);
        eventually("there are as many connections as before", WELL_AGAIN, all).await;
        assert_eq!(app.balance(1).await, PRICE);
        app.audit().await;
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn connections_are_made_however_many_wait_and_however_long_it_takes() {
    block_on(async {
        let servers = OwnServers::start().await;
        let (database, redis) = (servers.servers.postgres.url(), servers.servers.redis.url());
        let proxy = Proxy::before(&database).await;
        let app = Arc::new(servers.app_at(&proxy.url(&database), &redis, &[]).await);
        app.charge(1, PRICE).await.data();
        proxy.delay_new(Duration::from_secs(5));
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'onsale'";
        let mut past = PgConnection::connect(&database).await.unwrap();
        sqlx::query(cut).execute(&mut past).await.unwrap();
        let (answers, enough) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        // One after the other, as people come: who is next in line then has little time left when its turn comes.
        let calls = (0..128).map(|caller| {
            let (app, answers, enough) = (app.clone(), answers.clone(), enough.clone());
            async move {
                tokio::time::sleep(Duration::from_millis(caller * 8)).await;
                while !enough.load(Ordering::SeqCst) {
                    if ask_balance(&app, 1).await.status == 200 {
                        answers.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        });
        let busy = tokio::spawn(at_once(calls.collect::<Vec<_>>()));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(answers.load(Ordering::SeqCst), 0);
        // By now everybody has waited for a turn before connecting can begin, and this is much of a request's patience.
        proxy.delay_new(Duration::from_millis(700));
        let going = async || answers.load(Ordering::SeqCst) > 1000;
        eventually("the crowd is served", WELL_AGAIN, going).await;
        enough.store(true, Ordering::SeqCst);
        busy.await.unwrap();
        app.audit().await;
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn an_idle_connection_that_is_dead_is_replaced_before_it_is_used() {
    block_on(async {
        let servers = OwnServers::start().await;
        let (database, redis) = (servers.servers.postgres.url(), servers.servers.redis.url());
        let proxy = Proxy::before(&database).await;
        let stores = ["--database-url", &proxy.url(&database), "--redis-url", &redis, "--postgres-connections", "4"];
        let patience = ["--postgres-timeout-ms", "4000", "--request-timeout-ms", "15000"];
        let app = TestApp::from_settings(serve_settings(&[&stores[..], &patience].concat())).await;
        assert_eq!(ask_balance(&app, 1).await.status, 200);
        // Idle connections are asked after a second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        proxy.swallow();
        assert_eq!(ask_balance(&app, 1).await.status, 200);
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn a_connection_whose_statement_was_abandoned_is_not_used_again() {
    block_on(async {
        let app = TestApp::without_jobs(&["--postgres-timeout-ms", "20000", "--request-timeout-ms", "500"]).await;
        while app.charge(1, PRICE).await.status != 200 {}
        let balance = app.balance(1).await;
        let lock = app.lock_wallet(1).await;
        assert_unavailable(&app.charge(1, 1).await);
        let waiting: Vec<i32> = sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_all(app.pool())
        .await
        .unwrap();
        assert_eq!(waiting.len(), 1);
        lock.release().await;
        let gone = async || {
            let alive = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM pg_stat_activity WHERE pid = $1");
            alive.bind(waiting[0]).fetch_one(app.pool()).await.unwrap() == 0
        };
        eventually("its server process has ended", WELL_AGAIN, gone).await;
        assert_eq!(app.balance(1).await, balance + 1, "a time-out leaves it unknown whether it was carried out");
    });
}

#[test]
fn a_connection_to_redis_that_is_swallowed_is_replaced() {
    block_on(async {
        let servers = OwnServers::start().await;
        let (database, redis) = (servers.servers.postgres.url(), servers.servers.redis.url());
        let proxy = Proxy::before(&redis).await;
        // Less than the client library's own patience.
        let app = servers.app_at(&database, &proxy.url(&redis), &["--redis-timeout-ms", "300"]).await;
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        assert_recovers(&app, &proxy, async || app.rank(&token).await).await;
        app.pay(&token, reservation).await.payment();
        app.audit().await;
        drop(app);
        servers.stop().await;
    });
}
