//! Call 4: exactly one takes a seat, for a while.

use std::time::Duration;

use serde_json::{Value, json};

use super::{PRICE, assert_fields};
use crate::support::{LARGEST_BODY, SLACK, TestApp, block_on, eventually};

const HOLD: &str = "/api/v1/reservations/concert";

#[test]
fn a_hold_is_one_users() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let second = app.second().await;
        let (token, other) = (app.enter(1).await, app.enter(2).await);
        let answer = app.hold(&token, 1, 2).await;
        assert_fields(answer.data(), &["reservationId"]);
        let reservation = answer.reservation();
        assert_eq!(app.hold(&token, 1, 2).await.reservation(), reservation, "the same seat, the same reservation");
        assert_eq!(second.hold(&token, 1, 2).await.reservation(), reservation, "on the other instance too");
        app.hold(&other, 1, 2).await.assert_error(409, "SEAT_TAKEN");
        second.hold(&other, 1, 2).await.assert_error(409, "SEAT_TAKEN");
        assert_ne!(second.hold(&other, 1, 3).await.reservation(), reservation);
        app.audit().await;
    });
}

#[test]
fn a_sold_seat_is_taken_even_for_its_owner() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let reservation = app.hold(&token, 1, 1).await.reservation();
        app.pay(&token, reservation).await.payment();
        for user in [1, 2] {
            app.hold(&app.enter(user).await, 1, 1).await.assert_error(409, "SEAT_TAKEN");
        }
    });
}

#[test]
fn there_must_be_such_a_schedule_with_such_a_seat() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        for schedule in [31, 9_007_199_254_740_991] {
            app.hold(&token, schedule, 1).await.assert_error(404, "SCHEDULE_NOT_FOUND");
        }
        // Seat 51 is the first of schedule 2.
        for seat in [51, 1501, 9_007_199_254_740_991] {
            app.hold(&token, 1, seat).await.assert_error(404, "SEAT_NOT_FOUND");
        }
        assert_eq!(app.free_seats(&token, 1).await.len(), 50);
        assert_eq!(app.free_seats(&token, 2).await.len(), 50);
    });
}

#[test]
fn a_bad_body_holds_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        let ask = || app.ask("POST", HOLD).header("token", &token);
        for bad in [
            "",
            "{",
            "null",
            "7",
            "[1]",
            "{}",
            r#"{"concertScheduleId":1}"#,
            r#"{"concertSeatId":1}"#,
            r#"{"concertScheduleId":"1","concertSeatId":1}"#,
            r#"{"concertScheduleId":1,"concertSeatId":"1"}"#,
            r#"{"concertScheduleId":1,"concertSeatId":null}"#,
            r#"{"concertScheduleId":1,"concertSeatId":true}"#,
            r#"{"concertScheduleId":1,"concertSeatId":[1]}"#,
            r#"{"concertScheduleId":1,"concertSeatId":1.0}"#,
            r#"{"concertScheduleId":1,"concertSeatId":1.5}"#,
            r#"{"concertScheduleId":1,"concertSeatId":0}"#,
            r#"{"concertScheduleId":1,"concertSeatId":-1}"#,
            r#"{"concertScheduleId":0,"concertSeatId":1}"#,
            r#"{"concertScheduleId":1,"concertSeatId":9007199254740992}"#,
            r#"{"concertScheduleId":1,"concertSeatId":99999999999999999999}"#,
            r#"{"concertScheduleId":1,"concertSeatId":1,"concertSeatId":2}"#,
            r#"{"concertscheduleid":1,"concertseatid":1}"#,
            r#"{"concertScheduleId":1,"concertSeatId":1} x"#,
            "concertScheduleId=1&concertSeatId=1",
        ] {
            ask().json(bad).send().await.assert_error(400, "INVALID_REQUEST");
        }
        assert_eq!(app.free_seats(&token, 1).await.len(), 50, "nothing is held");
        let spare = r#" {"colour":["red"],"concertSeatId":1,"concertScheduleId":1} "#;
        ask().json(spare).send().await.reservation();
    });
}

#[test]
fn a_body_is_small_and_says_what_it_is() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        let ask = || app.ask("POST", HOLD).header("token", &token);
        let small = json!({"concertScheduleId": 1, "concertSeatId": 1}).to_string();
        let padded = |length: usize| format!("{small}{}", " ".repeat(length - small.len()));

        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/json", ""] {
            let answer = ask().header("content-type", kind).body(small.clone()).send().await;
            answer.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
        }
        ask().body(small.clone()).send().await.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
        ask().json(padded(LARGEST_BODY + 1)).send().await.assert_error(413, "PAYLOAD_TOO_LARGE");
        ask().json(padded(1024 * 1024)).send().await.assert_error(413, "PAYLOAD_TOO_LARGE");
        assert_eq!(app.free_seats(&token, 1).await.len(), 50, "nothing is held");

        let reservation = ask().json(padded(LARGEST_BODY)).send().await.reservation();
        for kind in ["application/json; charset=utf-8", "Application/JSON"] {
            let answer = ask().header("content-type", kind).body(small.clone()).send().await;
            assert_eq!(answer.reservation(), reservation);
        }
    });
}

#[test]
fn a_user_holds_so_many_seats_of_a_schedule_and_no_more() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.charge(1, PRICE).await.data();
        let token = app.enter(1).await;
        let mut held = Vec::new();
        for seat in 1..=4 {
            held.push(app.hold(&token, 1, seat).await.reservation());
        }
        app.hold(&token, 1, 5).await.assert_error(409, "HOLD_LIMIT");
        assert!(app.free_seats(&token, 1).await.contains(&5));
        assert_eq!(app.hold(&token, 1, 4).await.reservation(), held[3], "what it has it may ask for again");
        app.hold(&token, 2, 51).await.reservation();

        app.pay(&token, held[0]).await.payment();
        app.hold(&token, 1, 5).await.reservation();
        app.hold(&token, 1, 6).await.assert_error(409, "HOLD_LIMIT");
    });
}

#[test]
fn lapsed_holds_do_not_count() {
    block_on(async {
        let app = TestApp::without_jobs(&["--hold-ttl-seconds", "2", "--max-holds-per-user", "1"]).await;
        let token = app.enter(1).await;
        let first = app.hold(&token, 1, 1).await.reservation();
        app.hold(&token, 1, 2).await.assert_error(409, "HOLD_LIMIT");
        tokio::time::sleep(Duration::from_millis(2200)).await;
        assert_ne!(app.hold(&token, 1, 2).await.reservation(), first);
    });
}

#[test]
fn a_hold_keeps_its_token_alive() {
    block_on(async {
        let app = TestApp::with(&["--active-ttl-seconds", "4", "--hold-ttl-seconds", "15"]).await;
        let holder = app.enter(1).await;
        app.hold(&holder, 1, 1).await.reservation();
        let idler = app.enter(2).await;
        let status = async |token| app.rank(token).await.data()["status"].clone();
        let idler_is_out = async || status(&idler).await == "EXPIRED";
        eventually("a token without a hold ends", Duration::from_secs(4) + SLACK, idler_is_out).await;
        assert_eq!(status(&holder).await, "ACTIVE");
        let holder_is_out = async || status(&holder).await == "EXPIRED";
        eventually("it ends with the hold", Duration::from_secs(15) + SLACK, holder_is_out).await;
        let is_free = async || app.free_seats(&app.enter(3).await, 1).await.len() == 50;
        eventually("so does the hold", Duration::from_secs(1) + SLACK, is_free).await;
    });
}

#[test]
fn an_id_never_repeats() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let second = app.second().await;
        let mut ids = std::collections::HashSet::new();
        for user in 1..=20 {
            for instance in [&app, &second] {
                let token = instance.enter_active(user).await;
                let id = instance.hold(&token, 1, user).await.reservation();
                instance.leave(&token).await.data();
                assert!(ids.insert(id), "{id} was given twice");
                assert!((1..=9_007_199_254_740_991).contains(&id));
            }
            app.forget_redis().await;
        }
        assert_eq!(app.balance(1).await, 0);
        assert_eq!(app.hold(&app.enter_active(1).await, 1, 1).await.body["error"], Value::Null);
    });
}
