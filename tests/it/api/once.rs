//! Requests under a key that lose their connection, or their race, on the way: carried out once all the same.

use std::sync::Arc;

use super::PRICE;
use super::idempotency::{entries, holder, run};
use crate::support::{Answer, Cut, CutProxy, TestApp, WalletLock, at_once, block_on, lock_keys};

/// Time-outs that outlast what these tests let a request wait for.
const PATIENT: [&str; 4] = ["--postgres-timeout-ms", "10000", "--request-timeout-ms", "15000"];

/// Cuts the connections of whoever waits for a lock, and waits until their transactions are given up: till then a key is in use.
const CUT: &str = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[test]
fn a_request_whose_connection_is_cut_in_the_middle_is_carried_out_once() {
    block_on(async {
        let app = TestApp::without_jobs(&PATIENT).await;
        let (token, reservation) = holder(&app, 1).await;
        let cut = async |lock: WalletLock| {
            app.one_waits().await;
            app.number(CUT).await;
            lock.release().await;
        };
        let lock = app.lock_wallet(1).await;
        let (answer, ()) = tokio::join!(app.charge_under("k", 1, 1000), cut(lock));
        answer.assert_error(503, "UNAVAILABLE");
        assert_eq!((app.balance(1).await, app.stored().await), (PRICE, 0));
        let charged = app.charge_under("k", 1, 1000).await;
        charged.data();
        charged.assert_first();
        assert_eq!(app.balance(1).await, PRICE + 1000);

        let lock = app.lock_wallet(1).await;
        let (answer, ()) = tokio::join!(app.pay_under("k", &token, reservation), cut(lock));
        answer.assert_error(503, "UNAVAILABLE");
        assert_eq!((app.balance(1).await, app.stored().await), (PRICE + 1000, 1));
        let paid = app.pay_under("k", &token, reservation).await;
        paid.payment();
        paid.assert_first();
        app.pay_under("k", &token, reservation).await.assert_replays(&paid);
        assert_eq!(app.balance(1).await, 1000);
        app.audit().await;
    });
}

#[test]
fn a_commit_whose_answer_is_lost_has_happened() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (proxy, cut) = CutProxy::before(&app, Cut::AfterCommit).await;
        proxy.arm();
        cut.charge_under("k", 1, PRICE).await.assert_error(503, "UNAVAILABLE");
        assert_eq!((proxy.cuts(), app.balance(1).await, app.stored().await), (1, PRICE, 1));
        let charged = cut.charge_under("k", 1, PRICE).await;
        charged.data();
        app.charge_under("k", 1, PRICE).await.assert_replays(&charged);
        assert_eq!((app.balance(1).await, entries(&app).await), (PRICE, 1));

        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        proxy.arm();
        let paid = cut.pay_under("k", &token, reservation).await;
        paid.payment();
        assert_eq!((proxy.cuts(), app.balance(1).await, app.stored().await), (2, 0, 2));
        app.pay_under("k", &token, reservation).await.assert_replays(&paid);
        assert_eq!(app.rank(&token).await.data()["status"], "COMPLETED");
        app.audit().await;
    });
}

#[test]
fn a_commit_that_is_lost_has_not_happened() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (proxy, cut) = CutProxy::before(&app, Cut::BeforeCommit).await;
        proxy.arm();
        cut.charge_under("k", 1, PRICE).await.assert_error(503, "UNAVAILABLE");
        assert_eq!((proxy.cuts(), app.balance(1).await, app.stored().await), (1, 0, 0));
        cut.charge_under("k", 1, PRICE).await.assert_first();
        assert_eq!((app.balance(1).await, entries(&app).await), (PRICE, 1));

        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        proxy.arm();
        cut.pay_under("k", &token, reservation).await.assert_error(503, "UNAVAILABLE");
        assert_eq!((proxy.cuts(), app.balance(1).await, app.stored().await), (2, PRICE, 1));
        assert_eq!(app.hold(&token, 1, 1).await.reservation(), reservation, "the hold is what it was");
        let paid = cut.pay_under("k", &token, reservation).await;
        paid.payment();
        paid.assert_first();
        app.pay_under("k", &token, reservation).await.assert_replays(&paid);
        assert_eq!(app.balance(1).await, 0);
        app.audit().await;
    });
}

#[test]
fn one_connection_to_postgres_is_enough() {
    block_on(async {
        let app = TestApp::without_jobs(&PATIENT).await;
        let mut settings = app.settings.clone();
        settings.service.postgres_connections = 1;
        let single = Arc::new(TestApp::from_settings(settings).await);
        let calls = (1..=20).map(|user| {
            let single = Arc::clone(&single);
            async move {
                single.charge_under("k", user, PRICE).await.data();
                let token = single.enter(user).await;
                let held = single.hold_under("k", &token, 1, user).await.reservation();
                single.pay_under("k", &token, held).await.payment();
                single.pay_under("poor", &token, held + 500).await.status
            }
        });
        at_once(calls).await;
        assert_eq!(app.number("SELECT count(*) FROM payment_history").await, 20);
        app.audit().await;
    });
}

#[test]
fn a_transaction_that_was_given_up_leaves_no_trace_on_its_connection() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let mut settings = app.settings.clone();
        settings.service.postgres_connections = 1;
        let single = TestApp::from_settings(settings).await;
        single.charge(1, 1).await.data();
        for round in 1..=3 {
            let lock = app.lock_wallet(1).await;
            single.charge_under("k", 1, 1000).await.assert_error(503, "UNAVAILABLE");
            lock.release().await;
            single.charge(1, 1).await.data();
            assert_eq!(app.balance(1).await, 1 + round, "what came next on the connection is committed");
        }
        app.audit().await;
    });
}

/// A request under `k` that has begun, at the moment in which its answer would be stored.
async fn stopped(app: &TestApp, request: impl Future<Output = Answer>, release: &'static str) -> Answer {
    let lock = lock_keys(app).await;
    let release = async {
        app.one_waits().await;
        lock.release_with(release).await;
    };
    tokio::join!(request, release).0
}

/// Another instance's answer to the request that was stored under `former`, or to the other one, comes first.
const SAME: &str = "UPDATE idempotency_key SET key = 'k' WHERE key = 'former'";
const OTHER: &str = "UPDATE idempotency_key SET key = 'k' WHERE key = 'other'";

#[test]
fn a_charge_that_comes_second_adds_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&PATIENT).await;
        let former = app.charge_under("former", 1, 1000).await;
        stopped(&app, app.charge_under("k", 1, 1000), SAME).await.assert_replays(&former);
        run(&app, "DELETE FROM idempotency_key").await;
        app.charge_under("other", 1, 2000).await.data();
        stopped(&app, app.charge_under("k", 1, 1000), OTHER).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
        assert_eq!((app.balance(1).await, entries(&app).await), (3000, 2));
        app.audit().await;
    });
}

#[test]
fn a_hold_that_comes_second_goes_back() {
    block_on(async {
        let app = TestApp::without_jobs(&PATIENT).await;
        let token = app.enter(1).await;
        let former = app.hold_under("former", &token, 1, 1).await;
        app.leave(&token).await.data();
        let token = app.enter(1).await;
        app.hold_under("other", &token, 1, 2).await.reservation();

        stopped(&app, app.hold_under("k", &token, 1, 1), SAME).await.assert_replays(&former);
        assert!(app.free_seats(&token, 1).await.contains(&1), "it went back");
        run(&app, "DELETE FROM idempotency_key WHERE key = 'k'").await;
        stopped(&app, app.hold_under("k", &token, 1, 3), OTHER).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
        assert!(app.free_seats(&token, 1).await.contains(&3), "it went back");

        // What was held before stays, and what the first answer gave.
        app.hold(&token, 1, 3).await.reservation();
        app.hold_under("other", &token, 1, 4).await.reservation();
        run(&app, "DELETE FROM idempotency_key WHERE key = 'k'").await;
        stopped(&app, app.hold_under("k", &token, 1, 3), OTHER).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
        assert_eq!(app.free_seats(&token, 1).await.len(), 47, "seats 2, 3 and 4");
        app.audit().await;
    });
}

#[test]
fn a_payment_that_comes_second_takes_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&PATIENT).await;
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        let refused = app.pay_under("former", &token, reservation).await;
        refused.assert_error(400, "INSUFFICIENT_BALANCE");
        app.pay_under("other", &token, 999_999).await.assert_error(404, "RESERVATION_NOT_FOUND");
        app.charge(1, PRICE).await.data();

        stopped(&app, app.pay_under("k", &token, reservation), SAME).await.assert_replays(&refused);
        run(&app, "DELETE FROM idempotency_key WHERE key = 'k'").await;
        let answer = stopped(&app, app.pay_under("k", &token, reservation), OTHER).await;
        answer.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
        assert_eq!((app.balance(1).await, app.number("SELECT count(*) FROM reservation").await), (PRICE, 0));
        assert_eq!(app.hold(&token, 1, 1).await.reservation(), reservation, "the hold is what it was");
        app.pay_under("new", &token, reservation).await.payment();
        app.audit().await;
    });
}
