//! Several reservations paid at once: all or none.

use std::time::Duration;

use onsale::ids::ReservationId;
use onsale::seat::{Attempt, Begun};
use serde_json::{Value, json};

use super::{PRICE, assert_fields};
use crate::support::{Answer, Cut, CutProxy, SLACK, TestApp, WAITING, block_on, eventually, schedule, user};

const BATCH: &str = "/api/v1/payment/concert/batch";

/// Time-outs that outlast what these tests let a payment wait for.
const PATIENT: [&str; 4] = ["--postgres-timeout-ms", "10000", "--request-timeout-ms", "15000"];

/// Cuts the connections of those that wait for a lock.
const CUT: &str = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// What a payment writes that this service has made and Redis has forgotten: of seat $3 for reservation $1 of user $2.
const PAY: &str = "
    WITH confirmed AS (
        INSERT INTO reservation (id, user_id, concert_seat_id, status, price, attempt)
        VALUES ($1, $2, $3, 'CONFIRMED', 200000, 1)
    ), debit AS (
        UPDATE user_wallet SET balance = balance - 200000 WHERE user_id = $2 RETURNING balance
    ), paid AS (
        INSERT INTO payment_history (reservation_id, user_id, amount) SELECT $1, $2, 200000 FROM debit RETURNING id
    )
    INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
    SELECT $2, 'PAYMENT', -200000, debit.balance, paid.id FROM paid, debit";

async fn pay_behind(app: &TestApp, reservation: i64, user: i64, seat: i64) {
    let pay = sqlx::query(PAY).bind(reservation).bind(user).bind(seat);
    assert_eq!(pay.execute(app.pool()).await.unwrap().rows_affected(), 1);
}

/// An active user with money for so many seats, and holds on these seats of schedule 1.
async fn holder(app: &TestApp, user: i64, money: i64, seats: &[i64]) -> (String, Vec<i64>) {
    app.charge(user, money).await.data();
    let token = app.enter(user).await;
    let mut held = Vec::new();
    for seat in seats {
        held.push(app.hold(&token, 1, *seat).await.reservation());
    }
    (token, held)
}

async fn status(app: &TestApp, token: &str) -> Value {
    app.rank(token).await.data()["status"].clone()
}

/// The states of the first seats of schedule 1 in the map.
async fn states(app: &TestApp, many: usize) -> String {
    let map = app.app.seats.audit(schedule(1), Duration::from_hours(1)).await.unwrap().unwrap();
    map.states[..many].iter().map(|state| char::from(*state)).collect()
}

/// That nothing was taken and all is held as before.
async fn assert_untouched(app: &TestApp, token: &str, held: &[i64], balance: i64) {
    assert_eq!(app.balance(1).await, balance);
    assert_eq!(app.number("SELECT count(*) FROM payment_history WHERE user_id = 1").await, 0);
    for (reservation, seat) in held.iter().zip(1..) {
        assert_eq!(app.hold(token, 1, seat).await.reservation(), *reservation, "the hold is what it was");
    }
    assert_eq!(status(app, token).await, "ACTIVE");
    app.audit().await;
}

#[test]
fn all_in_the_order_asked_and_the_token_ends() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, mut held) = holder(&app, 1, 3 * PRICE + 1, &[1, 2]).await;
        held.push(app.hold(&token, 4, 151).await.reservation());
        let asked = [held[2], held[0], held[1]];
        let answer = app.pay_many(&token, &asked).await;
        assert_fields(answer.data(), &["payments"]);
        for (payment, reservation) in answer.data()["payments"].as_array().unwrap().iter().zip(asked) {
            assert_fields(payment, &["concertReservationId", "paymentHistoryId"]);
            assert_eq!(payment["concertReservationId"], reservation);
            assert_eq!(app.pay(&token, reservation).await.payment(), payment["paymentHistoryId"]);
        }
        assert_eq!((app.balance(1).await, status(&app, &token).await), (1, "COMPLETED".into()));
        app.audit().await;

        let second = app.second().await;
        let newer = app.enter(1).await;
        for (app, token) in [(&app, &token), (&second, &token), (&app, &newer)] {
            assert_eq!(app.pay_many(token, &asked).await.body, answer.body, "again");
        }
        assert_eq!(status(&app, &newer).await, "ACTIVE", "which has nothing to do with that sale");
        app.forget_redis().await;
        assert_eq!(app.pay_many(&token, &asked).await.body, answer.body, "whatever Redis forgets");
        assert_eq!(app.balance(1).await, 1);
        app.audit().await;
    });
}

#[test]
fn without_money_for_all_none_is_paid() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, held) = holder(&app, 1, 2 * PRICE - 1, &[1, 2]).await;
        app.pay_many(&token, &held).await.assert_error(400, "INSUFFICIENT_BALANCE");
        assert_untouched(&app, &token, &held, 2 * PRICE - 1).await;
        app.charge(1, 1).await.data();
        assert_eq!(app.pay_many(&token, &held).await.payments().len(), 2);
        assert_eq!(app.balance(1).await, 0);
        let poor = app.enter(2).await;
        let reservation = app.hold(&poor, 1, 3).await.reservation();
        app.pay_many(&poor, &[reservation]).await.assert_error(400, "INSUFFICIENT_BALANCE");
        assert_eq!(app.number("SELECT count(*) FROM user_wallet").await, 1, "who never charged");
        app.audit().await;
    });
}

#[test]
fn what_was_paid_before_counts_as_done() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, held) = holder(&app, 1, 3 * PRICE - 1, &[1, 2, 3]).await;
        let first = app.pay(&token, held[0]).await.payment();
        let all = [held[1], held[0], held[2]];
        app.pay_many(&token, &all).await.assert_error(400, "INSUFFICIENT_BALANCE");
        assert_eq!((app.balance(1).await, &*states(&app, 3).await), (2 * PRICE - 1, "SHH"));
        app.charge(1, 1).await.data();
        assert_eq!(app.pay_many(&token, &all).await.payments()[1], first);
        assert_eq!((app.balance(1).await, status(&app, &token).await), (0, "COMPLETED".into()));
        app.audit().await;

        app.refund(1, first).await.data();
        let newer = app.enter(1).await;
        let last = app.hold(&newer, 1, 4).await.reservation();
        assert_eq!(app.pay_many(&newer, &[last, held[0]]).await.payments()[1], first, "given back since");
        assert_eq!((app.balance(1).await, &*states(&app, 4).await), (0, "FSSS"));
        app.audit().await;
    });
}

#[test]
fn one_that_cannot_be_paid_stops_all() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, held) = holder(&app, 1, 4 * PRICE, &[1, 2]).await;
        let (_, others) = holder(&app, 2, PRICE, &[3]).await;
        let refused = app.pay_many(&token, &[held[0], others[0], held[1]]).await;
        refused.assert_error(404, "RESERVATION_NOT_FOUND");
        for unknown in [held[1] + 100, 100_000, 9_007_199_254_740_991] {
            assert_eq!(app.pay_many(&token, &[held[0], unknown, held[1]]).await.body, refused.body);
        }
        assert_untouched(&app, &token, &held, 4 * PRICE).await;
        let (gone, lapsed) = holder(&app, 3, PRICE, &[4]).await;
        app.leave(&gone).await.data();
        let newer = app.enter(3).await;
        let held = app.hold(&newer, 1, 5).await.reservation();
        app.pay_many(&newer, &[held, lapsed[0]]).await.assert_error(409, "RESERVATION_EXPIRED");
        assert_eq!(&*states(&app, 5).await, "HHHFH");
        app.pay_many(&gone, &[lapsed[0]]).await.assert_error(401, "TOKEN_EXPIRED");
        app.audit().await;
    });
}

#[test]
fn one_of_another_queue_stops_all() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.add_queue("own", 2).await;
        let (token, mut held) = holder(&app, 1, 4 * PRICE, &[1]).await;
        let form = app.ask("POST", "/api/v1/queues/token").header("userId", "1");
        let form = form.header("content-type", "application/x-www-form-urlencoded").body("concertId=2");
        let own = form.send().await.data()["token"].as_str().unwrap().to_owned();
        held.push(app.hold(&own, 4, 151).await.reservation());
        for token in [&token, &own] {
            app.pay_many(token, &held).await.assert_error(403, "WRONG_QUEUE");
        }
        assert_untouched(&app, &token, &held[..1], 4 * PRICE).await;
    });
}

#[test]
fn bad_requests_change_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, held) = holder(&app, 1, PRICE, &[1]).await;
        let many: Vec<i64> = (1..=21).collect();
        let bodies = [
            json!({}),
            json!({ "concertReservationIds": null }),
            json!({ "concertReservationIds": held[0] }),
            json!({ "concertReservationIds": [] }),
            json!({ "concertReservationIds": many }),
            json!({ "concertReservationIds": [held[0], held[0]] }),
            json!({ "concertReservationIds": [held[0], 0] }),
            json!({ "concertReservationIds": [held[0], "2"] }),
            json!({ "concertReservationIds": [held[0], 1.5] }),
            json!({ "concertReservationId": held[0] }),
        ];
        for body in bodies {
            app.call("POST", BATCH, &[("token", &token)], body).await.assert_error(400, "INVALID_REQUEST");
        }
        let twenty: Vec<i64> = (1000..1020).collect();
        app.pay_many(&token, &twenty).await.assert_error(404, "RESERVATION_NOT_FOUND");
        app.pay_many("forged", &held).await.assert_error(401, "INVALID_TOKEN");
        assert_untouched(&app, &token, &held, PRICE).await;
    });
}

#[test]
fn the_token_lives_while_more_is_held_under_it() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, held) = holder(&app, 1, 5 * PRICE, &[1, 2, 3]).await;
        let elsewhere = app.hold(&token, 4, 151).await.reservation();
        app.pay_many(&token, &held[..2]).await.payments();
        assert_eq!(status(&app, &token).await, "ACTIVE", "of this evening");
        app.pay_many(&token, &held[2..]).await.payments();
        assert_eq!(status(&app, &token).await, "ACTIVE", "of another");
        app.pay_many(&token, &[held[0], elsewhere]).await.payments();
        assert_eq!(status(&app, &token).await, "COMPLETED");
        assert_eq!(app.balance(1).await, PRICE);
        app.audit().await;
    });
}

#[test]
fn one_that_is_being_paid_stops_all_and_a_client_may_go_away() {
    block_on(async {
        let app = TestApp::without_jobs(&PATIENT).await;
        let second = app.second().await;
        let (token, held) = holder(&app, 1, 3 * PRICE, &[1, 2, 3]).await;
        let lock = app.lock_wallet(1).await;
        let gone = tokio::time::timeout(Duration::from_millis(300), app.pay_many(&token, &held[1..])).await;
        assert!(gone.is_err(), "it waits for the wallet");
        let refused = second.pay_many(&token, &held).await;
        refused.assert_error(409, "PAYMENT_IN_PROGRESS");
        assert!(refused.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
        assert_eq!(&*states(&app, 3).await, "HPP", "what this one had begun is as before");
        lock.release().await;
        let paid = async || &*states(&app, 3).await == "HSS";
        eventually("both are sold", 2 * SLACK, paid).await;
        app.pay_many(&token, &held).await.payments();
        assert_eq!((app.balance(1).await, status(&app, &token).await), (0, "COMPLETED".into()));
        app.audit().await;
    });
}

#[test]
fn under_a_key_once() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, held) = holder(&app, 1, 2 * PRICE, &[1, 2]).await;
        let paid = app.pay_many_under("k", &token, &held).await;
        assert_eq!(paid.payments().len(), 2);
        paid.assert_first();
        app.pay_many_under("k", &token, &held).await.assert_replays(&paid);
        app.pay_many_under("k", &token, &held[..1]).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
        app.pay_under("k", &token, held[0]).await.assert_first();
        assert_eq!((app.balance(1).await, app.stored().await), (0, 2));
        app.audit().await;
    });
}

#[test]
fn a_commit_that_is_lost_or_whose_answer_is_lost() {
    block_on(async {
        for at in [Cut::BeforeCommit, Cut::AfterCommit] {
            let app = TestApp::without_jobs(&[]).await;
            let (proxy, cut) = CutProxy::before(&app, at).await;
            let (token, held) = holder(&app, 1, 2 * PRICE, &[1, 2]).await;
            proxy.arm();
            let answer = cut.pay_many_under("k", &token, &held).await;
            assert_eq!(proxy.cuts(), 1);
            if at == Cut::BeforeCommit {
                answer.assert_error(503, "UNAVAILABLE");
                assert_eq!(app.number("SELECT count(*) FROM reservation WHERE status = 'ABORTED'").await, 2);
                assert_untouched(&app, &token, &held, 2 * PRICE).await;
            }
            let paid = cut.pay_many_under("k", &token, &held).await;
            assert_eq!(paid.payments().len(), 2);
            app.pay_many_under("k", &token, &held).await.assert_replays(&paid);
            assert_eq!((app.balance(1).await, status(&app, &token).await), (0, "COMPLETED".into()));
            app.audit().await;
        }
    });
}

#[test]
fn a_statement_that_is_cut_has_paid_none() {
    block_on(async {
        let app = TestApp::without_jobs(&PATIENT).await;
        let (token, held) = holder(&app, 1, 2 * PRICE, &[1, 2]).await;
        let lock = app.lock_wallet(1).await;
        let cut = async {
            let waits = async || app.number(WAITING).await == 1;
            eventually("the payment waits for the wallet", 2 * SLACK, waits).await;
            app.number(CUT).await;
            lock.release().await;
        };
        let (answer, ()) = tokio::join!(app.pay_many(&token, &held), cut);
        answer.assert_error(503, "UNAVAILABLE");
        assert_untouched(&app, &token, &held, 2 * PRICE).await;
        app.pay_many(&token, &held).await.payments();
        assert_eq!(app.balance(1).await, 0);
        app.audit().await;
    });
}

#[test]
fn what_redis_has_forgotten_to_be_paid_is_found_in_postgres() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, held) = holder(&app, 1, 3 * PRICE, &[1, 2, 3]).await;
        pay_behind(&app, held[1], 1, 2).await;
        let payments = app.pay_many(&token, &held).await.payments();
        assert_eq!(app.pay(&token, held[1]).await.payment(), payments[1]);
        assert_eq!((app.balance(1).await, &*states(&app, 3).await), (0, "SSS"));
        assert_eq!(status(&app, &token).await, "COMPLETED");
        app.audit().await;
    });
}

#[test]
fn a_seat_that_is_sold_to_another_stops_all_and_the_map_learns_it() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, held) = holder(&app, 1, 2 * PRICE, &[1, 2]).await;
        app.charge(2, PRICE).await.data();
        let anothers = app.unused_reservations(1).await.next().unwrap().get();
        pay_behind(&app, anothers, 2, 2).await;
        app.pay_many(&token, &held).await.assert_error(409, "SEAT_TAKEN");
        assert_eq!(&*states(&app, 2).await, "HS");
        assert_untouched(&app, &token, &held[..1], 2 * PRICE).await;
        app.pay_many(&token, &held).await.assert_error(409, "RESERVATION_EXPIRED");
        app.pay_many(&token, &held[..1]).await.payments();
    });
}

#[test]
fn a_tombstone_for_one_stops_all_and_the_next_attempt_passes() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, held) = holder(&app, 1, 2 * PRICE, &[1, 2]).await;
        let tombstone = sqlx::query(
            "INSERT INTO reservation (id, user_id, concert_seat_id, status, price, attempt)
             VALUES ($1, 1, 2, 'ABORTED', 200000, 1)",
        );
        tombstone.bind(held[1]).execute(app.pool()).await.unwrap();
        app.pay_many(&token, &held).await.assert_error(409, "PAYMENT_IN_PROGRESS");
        assert_eq!(app.number("SELECT count(*) FROM reservation").await, 1, "not even the other's row");
        assert_untouched(&app, &token, &held, 2 * PRICE).await;
        app.pay_many(&token, &held).await.payments();
        assert_eq!((app.balance(1).await, &*states(&app, 2).await), (0, "SS"));
        app.audit().await;
    });
}

/// An instance dies after it has begun each, or after Postgres has paid all.
#[test]
fn a_crash_leaves_all_or_none() {
    block_on(async {
        for is_paid in [false, true] {
            let app = TestApp::without_jobs(&[]).await;
            let (token, held) = holder(&app, 1, 2 * PRICE, &[1, 2]).await;
            let mut attempts = Vec::new();
            for (reservation, position) in held.iter().zip(0..) {
                let reservation: ReservationId = (*reservation).try_into().unwrap();
                let begun = app.app.seats.begin_payment(schedule(1), user(1), reservation, None).await.unwrap();
                assert!(matches!(begun, Begun::Begun { .. }), "{begun:?}");
                attempts.push(Attempt { reservation, user: user(1), position, number: 1 });
            }
            let refused: Answer = app.pay_many(&token, &held).await;
            refused.assert_error(409, "PAYMENT_IN_PROGRESS");
            if is_paid {
                pay_behind(&app, held[0], 1, 1).await;
                pay_behind(&app, held[1], 1, 2).await;
            }
            for attempt in attempts {
                app.app.payments.reconcile(schedule(1), attempt).await.unwrap();
            }
            if is_paid {
                assert_eq!((app.balance(1).await, &*states(&app, 2).await), (0, "SS"));
            } else {
                assert_untouched(&app, &token, &held, 2 * PRICE).await;
            }
            assert_eq!(app.pay_many(&token, &held).await.payments().len(), 2);
            assert_eq!((app.balance(1).await, status(&app, &token).await), (0, "COMPLETED".into()));
            app.audit().await;
        }
    });
}
