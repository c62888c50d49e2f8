//! A payment given back: before the concert's day, to the one who paid, once.

use serde_json::{Value, json};

use super::{NO_IDS, PRICE, assert_fields};
use crate::support::{Answer, TestApp, block_on};

/// A user who has bought a seat of a schedule, with just the money for it; the token, ended, the reservation, the payment.
async fn buyer(app: &TestApp, user: i64, schedule: i64, seat: i64, price: i64) -> (String, i64, i64) {
    app.charge(user, price).await.data();
    let token = app.enter(user).await;
    let reservation = app.hold(&token, schedule, seat).await.reservation();
    let payment = app.pay(&token, reservation).await.payment();
    (token, reservation, payment)
}

/// The ledger of all, without what was charged.
const ENTRIES: &str = "SELECT count(*) FROM wallet_ledger WHERE kind <> 'CHARGE'";

/// Asserts that nothing has come back: two ledger entries would be a payment and its refund.
async fn assert_kept(app: &TestApp, user: i64) {
    assert_eq!((app.balance(user).await, app.number(ENTRIES).await), (0, 1));
    assert_eq!(app.number("SELECT count(*) FROM reservation WHERE status = 'CONFIRMED'").await, 1);
    app.audit().await;
}

#[test]
fn money_back_and_the_seat_free() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (_, _, payment) = buyer(&app, 1, 1, 1, PRICE).await;
        let other = app.enter(2).await;
        assert!(!app.free_seats(&other, 1).await.contains(&1));

        let answer = app.refund(1, payment).await;
        assert_fields(answer.data(), &["paymentHistoryId", "amount"]);
        assert_eq!(answer.data(), &json!({ "paymentHistoryId": payment, "amount": PRICE }));
        assert!(app.free_seats(&other, 1).await.contains(&1), "in this instance's very next answer");
        assert_eq!(app.balance(1).await, PRICE);
        let entry: (String, i64, i64, i64) = sqlx::query_as(
            "SELECT kind, amount, balance_after, payment_history_id FROM wallet_ledger ORDER BY id DESC LIMIT 1",
        )
        .fetch_one(app.pool())
        .await
        .unwrap();
        assert_eq!(entry, ("REFUND".to_owned(), PRICE, PRICE, payment));
        let row: (String, String) = sqlx::query_as(
            "SELECT payment.status, reservation.status FROM payment_history payment, reservation
             WHERE payment.reservation_id = reservation.id AND refunded_at IS NOT NULL AND cancelled_at IS NOT NULL",
        )
        .fetch_one(app.pool())
        .await
        .unwrap();
        assert_eq!(row, ("REFUNDED".to_owned(), "CANCELLED".to_owned()));
        app.audit().await;

        app.charge(2, PRICE).await.data();
        let reservation = app.hold(&other, 1, 1).await.reservation();
        assert_ne!(app.pay(&other, reservation).await.payment(), payment, "the next one can have it");
        app.audit().await;
    });
}

#[test]
fn refunding_again_answers_the_same_and_changes_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let second = app.second().await;
        let (_, _, payment) = buyer(&app, 1, 1, 1, PRICE).await;
        let first = app.refund(1, payment).await;
        first.data();
        assert_eq!(app.refund(1, payment).await.body, first.body);
        assert_eq!(second.refund(1, payment).await.body, first.body, "on the other instance");
        let (_, _, again) = buyer(&app, 2, 1, 1, PRICE).await;
        assert_eq!(app.refund(1, payment).await.body, first.body, "when the seat is another's");
        app.forget_redis().await;
        assert_eq!(app.refund(1, payment).await.body, first.body, "whatever Redis forgets");
        assert_eq!((app.balance(1).await, app.balance(2).await), (PRICE, 0));
        assert_eq!(app.number(ENTRIES).await, 3);
        app.hold(&app.enter(3).await, 1, 1).await.assert_error(409, "SEAT_TAKEN");
        app.refund(2, again).await.data();
        app.audit().await;
    });
}

#[test]
fn paying_again_for_what_was_refunded_answers_the_same_and_sells_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, reservation, payment) = buyer(&app, 1, 1, 1, PRICE).await;
        app.refund(1, payment).await.data();
        assert_eq!(app.pay(&token, reservation).await.payment(), payment);
        let newer = app.enter(1).await;
        assert_eq!(app.pay(&newer, reservation).await.payment(), payment, "with another token");
        assert_eq!(app.balance(1).await, PRICE, "takes nothing");
        assert!(app.free_seats(&newer, 1).await.contains(&1));
        let anew = app.hold(&newer, 1, 1).await.reservation();
        assert_ne!(app.pay(&newer, anew).await.payment(), payment, "it can be bought again");
        assert_eq!(app.balance(1).await, 0);
        app.audit().await;
    });
}

#[test]
fn only_ones_own_payment() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (_, _, payment) = buyer(&app, 1, 1, 1, PRICE).await;
        let refused = app.refund(2, payment).await;
        refused.assert_error(404, "RESERVATION_NOT_FOUND");
        for unknown in [payment + 1, 9_007_199_254_740_991] {
            assert_eq!(app.refund(1, unknown).await.body, refused.body, "another's answers the same as none");
        }
        assert_kept(&app, 1).await;
        app.refund(1, payment).await.data();
        assert_eq!(app.refund(2, payment).await.body, refused.body, "refunded or not");
        assert_eq!(app.number("SELECT count(*) FROM user_wallet").await, 1);
    });
}

#[test]
fn a_payment_is_named_by_a_positive_whole_number_and_asked_for_by_a_user() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (_, _, payment) = buyer(&app, 1, 1, 1, PRICE).await;
        for bad in NO_IDS {
            let path = format!("/api/v1/payments/{bad}/refund");
            app.ask("POST", &path).header("userId", "1").send().await.assert_error(400, "INVALID_REQUEST");
        }
        let path = format!("/api/v1/payments/{payment}/refund");
        app.ask("POST", &path).send().await.assert_error(401, "USER_REQUIRED");
        for bad in NO_IDS {
            app.ask("POST", &path).header("userId", bad).send().await.assert_error(401, "USER_REQUIRED");
        }
        assert_kept(&app, 1).await;
    });
}

#[test]
fn not_on_the_concert_s_day_or_after_it() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        // Today's evening can still be booked, and not be given back.
        let (schedule, seats) = app.add_schedule(new_concert(&app).await, 0, 2).await;
        let (_, _, payment) = buyer(&app, 1, schedule, seats[0], 50_000).await;
        let refused = app.refund(1, payment).await;
        refused.assert_error(409, "RESERVATION_EXPIRED");
        assert_kept(&app, 1).await;
        move_day(&app, schedule, -1).await;
        assert_eq!(app.refund(1, payment).await.body, refused.body, "after it");
        move_day(&app, schedule, 2).await;
        app.refund(1, payment).await.data();
        move_day(&app, schedule, -2).await;
        app.refund(1, payment).await.data();
        assert_eq!(app.balance(1).await, 50_000, "made in time, it is answered any time");
        app.audit().await;
    });
}

/// Today is the venue's date: at the ends of the world it differs at any time by one or two days.
#[test]
fn the_day_is_the_venue_s() {
    block_on(async {
        let app = TestApp::without_jobs(&["--time-zone", "Pacific/Kiritimati"]).await;
        let mut west = app.settings.clone();
        west.service.time_zone = chrono_tz::Pacific::Pago_Pago;
        let west = TestApp::from_settings(west).await;
        // Today in the east is tomorrow at the earliest in the west, where it is a day away yet.
        let (schedule, seats) = app.add_schedule(new_concert(&app).await, 0, 1).await;
        let (_, _, payment) = buyer(&app, 1, schedule, seats[0], 50_000).await;
        app.refund(1, payment).await.assert_error(409, "RESERVATION_EXPIRED");
        west.refund(1, payment).await.data();
    });
}

/// A concert without an evening, so that any day is free for one.
async fn new_concert(app: &TestApp) -> i64 {
    app.number("INSERT INTO concert (title) VALUES ('New') RETURNING id").await
}

/// Moves a schedule's day, by days.
async fn move_day(app: &TestApp, schedule: i64, days: i32) {
    let moved = sqlx::query("UPDATE concert_schedule SET date = date + $2 WHERE id = $1").bind(schedule).bind(days);
    moved.execute(app.pool()).await.unwrap();
}

#[test]
fn a_balance_never_passes_its_limit() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (_, _, payment) = buyer(&app, 1, 1, 1, PRICE).await;
        let full = 1_000_000_000_000 - PRICE + 1;
        sqlx::query(
            "WITH filled AS (UPDATE user_wallet SET balance = $1)
             INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (1, 'CHARGE', $1, $1)",
        )
        .bind(full)
        .execute(app.pool())
        .await
        .unwrap();
        app.refund(1, payment).await.assert_error(400, "INVALID_AMOUNT");
        assert_eq!((app.balance(1).await, app.number(ENTRIES).await), (full, 1));
        app.hold(&app.enter(2).await, 1, 1).await.assert_error(409, "SEAT_TAKEN");
        app.audit().await;

        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 2).await.reservation();
        app.pay(&token, reservation).await.payment();
        app.refund(1, payment).await.data();
        assert_eq!(app.balance(1).await, full);
        app.audit().await;
    });
}

#[test]
fn refunds_count_as_changes_of_their_user() {
    block_on(async {
        let app = TestApp::without_jobs(&["--user-writes-per-second", "1"]).await;
        let calls: Vec<Answer> = futures_util::future::join_all((0..6).map(|_| app.refund(1, 1))).await;
        assert!(calls.iter().any(|answer| answer.code() == "RATE_LIMITED"), "{calls:?}");
        app.refund(2, 1).await.assert_error(404, "RESERVATION_NOT_FOUND");
    });
}

#[test]
fn a_body_is_not_asked_for_and_not_minded() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (_, _, payment) = buyer(&app, 1, 1, 1, PRICE).await;
        let path = format!("/api/v1/payments/{payment}/refund");
        let answer = app.call("POST", &path, &[("userId", "1")], json!({ "amount": 1 })).await;
        assert_eq!(answer.data()["amount"], Value::from(PRICE), "all of it, whatever one asks for");
    });
}
