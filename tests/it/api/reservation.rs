//! Call 4: exactly one takes a seat, for a while.

use std::time::Duration;

use futures_util::poll;
use serde_json::{Value, json};

use super::{PRICE, assert_fields};
use crate::support::{LARGEST_BODY, SLACK, TestApp, block_on, eventually, schedule, user};

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

async fn holds(app: &TestApp, holder: i64) -> usize {
    let mut all = 0;
    for evening in [1, 2] {
        all += app.app.seats.held(schedule(evening), user(holder)).await.unwrap().len();
    }
    all
}

#[test]
fn who_hangs_up_while_leaving_keeps_no_hold_without_a_token() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let mut hung_up = 0;
        for visitor in 1..=16 {
            let token = app.enter(visitor).await;
            for evening in [1, 2] {
                let seats = app.free_seats(&token, evening).await;
                app.hold_many(&token, evening, &seats[..3]).await.held_many();
            }
            assert_eq!(holds(&app, visitor).await, 6);
            // At another moment each time.
            let patience = Duration::from_micros(400 * visitor.cast_unsigned());
            hung_up += u32::from(tokio::time::timeout(patience, app.leave(&token)).await.is_err());
            let nothing_is_left =
                async || app.rank(&token).await.data()["status"] == "ACTIVE" || holds(&app, visitor).await == 0;
            eventually("the token or nothing", SLACK, nothing_is_left).await;
            app.leave(&token).await.data();
            assert_eq!(holds(&app, visitor).await, 0);
        }
        assert!(hung_up > 0, "all were patient");
        app.audit().await;
    });
}

#[test]
fn a_token_that_was_left_elsewhere_takes_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let other = app.second().await;
        let token = app.enter(1).await;
        app.hold(&token, 1, 1).await.reservation();
        other.leave(&token).await.data();
        // This instance has not heard of it.
        app.hold(&token, 1, 2).await.assert_error(401, "TOKEN_EXPIRED");
        other.leave(&app.enter(1).await).await.data();
        app.hold_many(&token, 1, &[1, 2]).await.assert_error(401, "TOKEN_EXPIRED");
        let map = app.app.seats.audit(schedule(1), Duration::from_hours(1)).await.unwrap().unwrap();
        assert_eq!(map.states[..2], *b"FF");
    });
}

#[test]
fn a_hold_whose_request_was_given_up_goes_with_its_token() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let state = async || {
            let map = app.app.seats.audit(schedule(1), Duration::from_hours(1)).await.unwrap();
            map.unwrap().states[1]
        };
        let token = app.enter(2).await;
        app.free_seats(&token, 1).await;
        let mut request = Box::pin(app.hold(&token, 1, 2));
        for _ in 0..100 {
            if poll!(&mut request).is_ready() || state().await == b'H' {
                break;
            }
        }
        drop(request);
        assert_eq!(state().await, b'H');
        app.leave(&token).await.data();
        assert_eq!(state().await, b'F');
    });
}

#[test]
fn leaving_does_not_give_up_what_a_later_token_holds() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        app.hold(&token, 1, 1).await.reservation();
        let place = app.claim(&token).place;
        let mut ids = app.unused_reservations(1).await;
        for (seat, place) in [(2_i64, place + 1), (3, place - 1)] {
            app.hold_named(&token, &format!("1-{place}"), seat, ids.next().unwrap(), Duration::from_mins(1)).await;
        }
        assert_eq!(holds(&app, 1).await, 3);
        app.leave(&token).await.data();
        let map = app.app.seats.audit(schedule(1), Duration::from_hours(1)).await.unwrap().unwrap();
        assert_eq!(map.states[..3], *b"FHF");
    });
}
