//! Call 7: the price for the seat, once, from whoever holds it.

use std::time::Duration;

use serde_json::Value;

use super::{PRICE, assert_fields};
use crate::support::{LARGEST_BODY, SLACK, TestApp, WAITING, block_on, eventually, schedule};

const PAY: &str = "/api/v1/payment/concert";

/// Cuts the connections of those.
const CUT: &str = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// Time-outs that outlast what these tests let a payment wait for.
const PATIENT: [&str; 4] = ["--postgres-timeout-ms", "10000", "--request-timeout-ms", "15000"];

/// An active user with money for one seat, and a hold on seat 1.
async fn holder(app: &TestApp, user: i64) -> (String, i64) {
    app.charge(user, PRICE).await.data();
    let token = app.enter(user).await;
    let reservation = app.hold(&token, 1, 1).await.reservation();
    (token, reservation)
}

async fn status(app: &TestApp, token: &str) -> Value {
    app.rank(token).await.data()["status"].clone()
}

#[test]
fn the_price_and_not_a_won_more_or_less() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.charge(1, PRICE - 1).await.data();
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        app.pay(&token, reservation).await.assert_error(400, "INSUFFICIENT_BALANCE");
        assert_eq!(app.balance(1).await, PRICE - 1);
        assert_eq!(app.hold(&token, 1, 1).await.reservation(), reservation, "the hold stays as it was");
        app.hold(&app.enter(2).await, 1, 1).await.assert_error(409, "SEAT_TAKEN");
        assert_eq!(app.number("SELECT count(*) FROM reservation").await, 0);

        app.charge(1, 1).await.data();
        let answer = app.pay(&token, reservation).await;
        assert_fields(answer.data(), &["paymentHistoryId"]);
        assert_eq!(app.balance(1).await, 0);
        assert_eq!(status(&app, &token).await, "COMPLETED");
        app.hold(&token, 1, 2).await.assert_error(401, "TOKEN_EXPIRED");
        app.audit().await;
    });
}

#[test]
fn who_never_charged_cannot_pay() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        app.pay(&token, reservation).await.assert_error(400, "INSUFFICIENT_BALANCE");
        assert_eq!(app.number("SELECT count(*) FROM user_wallet").await, 0);
    });
}

#[test]
fn paying_again_takes_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let second = app.second().await;
        let (token, reservation) = holder(&app, 1).await;
        let payment = app.pay(&token, reservation).await.payment();
        app.charge(1, PRICE).await.data();

        assert_eq!(app.pay(&token, reservation).await.payment(), payment, "after the token has ended");
        assert_eq!(second.pay(&token, reservation).await.payment(), payment, "on the other instance");
        let newer = app.enter(1).await;
        assert_ne!(newer, token);
        assert_eq!(app.pay(&newer, reservation).await.payment(), payment, "with another token");
        assert_eq!(app.pay(&token, reservation).await.payment(), payment, "with the old one again");
        app.forget_redis().await;
        assert_eq!(app.pay(&token, reservation).await.payment(), payment, "whatever Redis forgets");
        assert_eq!(app.balance(1).await, PRICE);
        app.audit().await;
    });
}

#[test]
fn only_ones_own_reservation() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, reservation) = holder(&app, 1).await;
        app.charge(2, PRICE).await.data();
        let other = app.enter(2).await;
        let refused = app.pay(&other, reservation).await;
        refused.assert_error(404, "RESERVATION_NOT_FOUND");
        // Given to nobody yet, of a block that is nobody's, and the last there is.
        for unknown in [reservation + 1, reservation + 100_000, 9_007_199_254_740_991] {
            let answer = app.pay(&token, unknown).await;
            assert_eq!(answer.body, refused.body, "another's answers the same as none");
        }
        app.pay(&token, reservation).await.payment();
        app.pay(&other, reservation).await.assert_error(404, "RESERVATION_NOT_FOUND");
        app.leave(&other).await.data();
        app.pay(&other, reservation).await.assert_error(401, "TOKEN_EXPIRED");
        assert_eq!((app.balance(1).await, app.balance(2).await), (0, PRICE));
    });
}

#[test]
fn a_lapsed_hold_never_pays() {
    block_on(async {
        let app = TestApp::with(&["--hold-ttl-seconds", "1"]).await;
        let (token, reservation) = holder(&app, 1).await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        app.pay(&token, reservation).await.assert_error(409, "RESERVATION_EXPIRED");
        let swept = async || app.free_seats(&token, 1).await.len() == 50;
        eventually("the seat is free", SLACK, swept).await;
        app.pay(&token, reservation).await.assert_error(409, "RESERVATION_EXPIRED");
        assert_eq!(app.balance(1).await, PRICE);

        app.charge(2, PRICE).await.data();
        let other = app.enter(2).await;
        let next = app.hold(&other, 1, 1).await.reservation();
        app.pay(&token, reservation).await.assert_error(409, "RESERVATION_EXPIRED");
        app.pay(&other, next).await.payment();
        app.pay(&token, reservation).await.assert_error(409, "RESERVATION_EXPIRED");
        assert_eq!((app.balance(1).await, app.balance(2).await), (PRICE, 0));
        app.audit().await;
    });
}

#[test]
fn a_token_ends_with_the_last_seat_held_under_it() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.charge(1, 7 * PRICE).await.data();
        // Two seats of one evening, two of two, and both.
        let seats: [&[(i64, i64)]; 3] = [&[(1, 1), (1, 2)], &[(1, 3), (4, 151)], &[(1, 4), (1, 5), (4, 152)]];
        for seats in seats {
            let token = app.enter(1).await;
            let mut held = Vec::new();
            for (schedule, seat) in seats {
                held.push(app.hold(&token, *schedule, *seat).await.reservation());
            }
            for reservation in held {
                assert_eq!(status(&app, &token).await, "ACTIVE");
                app.pay(&token, reservation).await.payment();
            }
            assert_eq!(status(&app, &token).await, "COMPLETED");
        }
        assert_eq!(app.balance(1).await, 0);
        app.audit().await;
    });
}

#[test]
fn leaving_gives_up_what_was_to_be_paid() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, reservation) = holder(&app, 1).await;
        app.leave(&token).await.data();
        app.pay(&token, reservation).await.assert_error(401, "TOKEN_EXPIRED");
        app.pay(&app.enter(1).await, reservation).await.assert_error(409, "RESERVATION_EXPIRED");
        assert_eq!(app.balance(1).await, PRICE);
        assert!(app.free_seats(&app.enter(2).await, 1).await.contains(&1));
    });
}

#[test]
fn who_left_by_way_of_another_instance_pays_nothing_here() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let other = app.second().await;
        for user in 1..=2 {
            let (token, reservation) = holder(&app, user).await;
            other.leave(&token).await.data();
            let answer =
                if user == 1 { app.pay(&token, reservation).await } else { app.pay_many(&token, &[reservation]).await };
            answer.assert_error(401, "TOKEN_EXPIRED");
            assert_eq!(app.balance(user).await, PRICE);
        }
        // With a hold of its next token, the one that it left pays as little.
        let (left, _) = holder(&app, 4).await;
        other.leave(&left).await.data();
        let next = other.hold(&other.enter(4).await, 1, 2).await.reservation();
        app.pay(&left, next).await.assert_error(401, "TOKEN_EXPIRED");
        app.pay_many(&left, &[next]).await.assert_error(401, "TOKEN_EXPIRED");
        // What was paid by way of another is paid here too.
        let (token, reservation) = holder(&app, 3).await;
        let payment = other.pay(&token, reservation).await.payment();
        assert_eq!(app.pay(&token, reservation).await.payment(), payment);
        assert_eq!(app.pay_many(&token, &[reservation]).await.payments(), [payment]);
        app.audit().await;
    });
}

#[test]
fn a_hold_of_another_token_is_paid_with_an_active_one_only() {
    block_on(async {
        let app = TestApp::without_jobs(&["--max-active", "2"]).await;
        let mut ids = app.unused_reservations(1).await;
        let mut held = Vec::new();
        for payer in [3, 1, 2] {
            app.charge(payer, PRICE).await.data();
            let (token, id) = (app.enter(payer).await, ids.next().unwrap());
            app.hold_named(&token, "1-0", payer, id, Duration::from_mins(1)).await;
            if payer == 3 {
                // Its hold stays, as after a fault, and it has to wait again.
                app.app.queues.leave(&app.default_queue(), &app.claim(&token)).await.unwrap();
            }
            held.push((token, id.get()));
        }
        held[0].0 = app.enter(3).await;
        held.rotate_left(1);
        let [(first, seat), (second, next), (waiting, last)] = &held[..] else { unreachable!() };
        app.pay(waiting, *last).await.assert_error(403, "TOKEN_NOT_ACTIVE");
        app.pay_many(waiting, &[*last]).await.assert_error(403, "TOKEN_NOT_ACTIVE");
        app.pay(first, *seat).await.payment();
        assert_eq!(app.pay_many(second, &[*next]).await.payments().len(), 1);
        for (payer, left) in [(1, 0), (2, 0), (3, PRICE)] {
            assert_eq!(app.balance(payer).await, left);
        }
        let map = app.app.seats.audit(schedule(1), Duration::from_hours(1)).await.unwrap().unwrap();
        assert_eq!(map.states[..3], *b"SSH");
    });
}

#[test]
fn one_request_pays_and_another_is_told_so() {
    block_on(async {
        let app = TestApp::without_jobs(&PATIENT).await;
        let second = app.second().await;
        let (token, reservation) = holder(&app, 1).await;
        let rival = app.enter(2).await;
        let lock = app.lock_wallet(1).await;
        let others = async {
            let begun = async || {
                let map = app.app.seats.audit(schedule(1), Duration::from_hours(1)).await.unwrap();
                map.unwrap().states[0] == b'P'
            };
            eventually("the payment has begun", 2 * SLACK, begun).await;
            for instance in [&app, &second] {
                let answer = instance.pay(&token, reservation).await;
                answer.assert_error(409, "PAYMENT_IN_PROGRESS");
                assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
                instance.hold(&rival, 1, 1).await.assert_error(409, "SEAT_TAKEN");
            }
            lock.release().await;
        };
        let (paid, ()) = tokio::join!(app.pay(&token, reservation), others);
        assert_eq!(app.pay(&token, reservation).await.payment(), paid.payment());
        assert_eq!(app.balance(1).await, 0);
        app.audit().await;
    });
}

#[test]
fn a_client_that_goes_away_does_not_stop_a_payment_half_way() {
    block_on(async {
        let app = TestApp::without_jobs(&PATIENT).await;
        let (token, reservation) = holder(&app, 1).await;
        let lock = app.lock_wallet(1).await;
        let gone = tokio::time::timeout(Duration::from_millis(300), app.pay(&token, reservation)).await;
        assert!(gone.is_err(), "it waited for the wallet");
        app.pay(&token, reservation).await.assert_error(409, "PAYMENT_IN_PROGRESS");
        lock.release().await;
        let paid = async || app.balance(1).await == 0;
        eventually("it is paid all the same", SLACK, paid).await;
        let ended = async || status(&app, &token).await == "COMPLETED";
        eventually("the token has ended", SLACK, ended).await;
        app.pay(&token, reservation).await.payment();
        app.audit().await;
    });
}

#[test]
fn a_payment_that_ran_out_of_time_leaves_the_hold_as_it_was() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, reservation) = holder(&app, 1).await;
        let lock = app.lock_wallet(1).await;
        let answer = app.pay(&token, reservation).await;
        answer.assert_error(503, "UNAVAILABLE");
        assert!(!answer.header("retry-after").is_empty());
        lock.release().await;
        assert_eq!(app.balance(1).await, PRICE);
        assert_eq!(app.hold(&token, 1, 1).await.reservation(), reservation);
        app.pay(&token, reservation).await.payment();
        app.audit().await;
    });
}

#[test]
fn a_bad_body_takes_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, reservation) = holder(&app, 1).await;
        let ask = || app.ask("POST", PAY).header("token", &token);
        for bad in [
            "",
            "{",
            "null",
            "1",
            "{}",
            r#"{"reservationId":1}"#,
            r#"{"concertReservationId":1,"concertReservationId":1}"#,
        ] {
            ask().json(bad).send().await.assert_error(400, "INVALID_REQUEST");
        }
        for bad in ["\"1\"", "null", "true", "[1]", "1.0", "1.5", "0", "-1", "9007199254740992", "1e400"] {
            let body = format!("{{\"concertReservationId\":{bad}}}");
            ask().json(body).send().await.assert_error(400, "INVALID_REQUEST");
        }
        let good = format!("{{\"concertReservationId\":{reservation},\"tip\":1}}");
        ask().body(good.clone()).send().await.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
        let padded = |length: usize| format!("{good}{}", " ".repeat(length - good.len()));
        ask().json(padded(LARGEST_BODY + 1)).send().await.assert_error(413, "PAYLOAD_TOO_LARGE");
        assert_eq!(app.balance(1).await, PRICE);
        assert_eq!(app.hold(&token, 1, 1).await.reservation(), reservation);
        ask().json(padded(LARGEST_BODY)).send().await.payment();
        assert_eq!(app.balance(1).await, 0);
    });
}

#[test]
fn a_token_that_has_paid_ends_with_its_last_hold_when_that_lapses() {
    block_on(async {
        let app = TestApp::with(&["--hold-ttl-seconds", "2", "--active-ttl-seconds", "300"]).await;
        app.charge(1, 1_000_000).await.data();
        let token = app.enter(1).await;
        let first = app.hold(&token, 1, 1).await.reservation();
        app.hold(&token, 4, 151).await.reservation();
        app.pay(&token, first).await.payment();
        assert_eq!(app.rank(&token).await.data()["status"], "ACTIVE", "a seat of another schedule is held yet");
        let ended = async || app.rank(&token).await.data()["status"] == "EXPIRED";
        eventually("the token ends", Duration::from_secs(2) + SLACK, ended).await;
        app.hold(&token, 1, 2).await.assert_error(401, "TOKEN_EXPIRED");
        app.audit().await;
    });
}

#[test]
fn repeating_an_old_payment_takes_nothing_from_a_new_token() {
    block_on(async {
        let app = TestApp::start().await;
        app.charge(1, 1_000_000).await.data();
        let old = app.enter(1).await;
        let reservation = app.hold(&old, 1, 1).await.reservation();
        let payment = app.pay(&old, reservation).await.payment();

        let new = app.enter(1).await;
        assert_eq!(app.pay(&new, reservation).await.payment(), payment);
        assert_eq!(app.rank(&new).await.data()["status"], "ACTIVE");
        app.hold(&new, 1, 2).await.reservation();
        app.audit().await;
    });
}

#[test]
fn a_payment_whose_connection_is_cut_leaves_the_hold_as_it_was() {
    block_on(async {
        let app = TestApp::start().await;
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        let lock = app.lock_wallet(1).await;
        let cut = async {
            let waits = async || app.number(WAITING).await == 1;
            eventually("the payment waits for the lock", SLACK, waits).await;
            app.number(CUT).await;
            lock.release().await;
        };
        let (answer, ()) = tokio::join!(app.pay(&token, reservation), cut);
        answer.assert_error(503, "UNAVAILABLE");
        assert_eq!(app.balance(1).await, PRICE);
        app.pay(&token, reservation).await.payment();
        assert_eq!(app.balance(1).await, 0);
        app.audit().await;
    });
}

#[test]
fn a_free_seat_is_for_those_who_never_charged_too() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        sqlx::query("UPDATE concert_seat SET price = 0 WHERE id IN (1, 2, 3)").execute(app.pool()).await.unwrap();
        let token = app.enter(1).await;
        let free = app.hold(&token, 1, 1).await.reservation();
        app.pay(&token, free).await.payment();
        let token = app.enter(2).await;
        let free = [app.hold(&token, 1, 2).await.reservation(), app.hold(&token, 1, 3).await.reservation()];
        assert_eq!(app.pay_many(&token, &free).await.payments().len(), 2);
        assert_eq!((app.balance(1).await, app.balance(2).await), (0, 0));
        app.audit().await;
    });
}
