//! Holding several seats: all of them or none.

use std::time::Duration;

use serde_json::{Value, json};

use super::assert_fields;
use crate::support::{TestApp, block_on};

const BATCH: &str = "/api/v1/reservations/concert/batch";

#[test]
fn the_named_are_held_in_the_order_asked_for() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, other) = (app.enter(1).await, app.enter(2).await);
        let single = app.hold(&token, 1, 7).await.reservation();
        let answer = app.hold_many(&token, 1, &[9, 7, 3]).await;
        assert_fields(answer.data(), &["reservations", "expiresAt"]);
        assert_fields(&answer.data()["reservations"][0], &["reservationId", "concertSeatId"]);
        let held = answer.held_many();
        assert_eq!(held.iter().map(|(seat, _)| *seat).collect::<Vec<_>>(), [9, 7, 3]);
        assert_eq!(held[1].1, single, "what it had already keeps its reservation");
        let expires = chrono::DateTime::parse_from_rfc3339(answer.data()["expiresAt"].as_str().unwrap()).unwrap();
        let left = (expires.to_utc() - chrono::Utc::now()).num_seconds();
        assert!((290..=300).contains(&left), "{left}");
        assert_eq!(app.hold_many(&token, 1, &[9, 7, 3]).await.held_many(), held, "and so does all of it");
        assert_eq!(app.free_seats(&token, 1).await.len(), 47);

        app.hold_many(&other, 1, &[10, 9]).await.assert_error(409, "SEAT_TAKEN");
        assert!(app.free_seats(&token, 1).await.contains(&10), "all or none");
        app.hold_many(&token, 1, &[11, 12]).await.assert_error(409, "HOLD_LIMIT");
        assert_eq!(app.free_seats(&token, 1).await.len(), 47);
        for (_, reservation) in held {
            app.charge(1, 200_000).await.data();
            app.pay(&token, reservation).await.payment();
        }
        app.audit().await;
    });
}

#[test]
fn the_best_are_side_by_side() {
    block_on(async {
        let app = TestApp::without_jobs(&["--max-holds-per-user", "20"]).await;
        let (token, other) = (app.enter(1).await, app.enter(2).await);
        let seats = |held: Vec<(i64, i64)>| held.into_iter().map(|(seat, _)| seat).collect::<Vec<_>>();
        assert_eq!(seats(app.hold_best(&token, 1, 4).await.held_many()), [1, 2, 3, 4]);
        assert_eq!(seats(app.hold_best(&other, 1, 6).await.held_many()), [5, 6, 7, 8, 9, 10]);
        assert_eq!(seats(app.hold_best(&token, 1, 9).await.held_many()), (11..=19).collect::<Vec<_>>());
        assert_eq!(
            seats(app.hold_best(&other, 1, 2).await.held_many()),
            [21, 22],
            "seat 20 has none beside it in its row"
        );
        app.hold_best(&token, 1, 8).await.assert_error(409, "HOLD_LIMIT");

        let (schedule, few) = app.add_schedule(1, 9, 3).await;
        app.hold_best(&token, schedule, 4).await.assert_error(409, "SEAT_TAKEN");
        assert_eq!(app.free_seats(&token, schedule).await, few);
        app.audit().await;
    });
}

#[test]
fn what_cannot_be_asked_for() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        let twenty_one: Vec<i64> = (1..=21).collect();
        let seats = |seats: Value| json!({"concertScheduleId": 1, "concertSeatIds": seats});
        let bad = [
            json!({}),
            json!({"concertSeatIds": [1]}),
            json!({"concertScheduleId": 1}),
            seats(json!([])),
            seats(json!([1, 2, 1])),
            seats(json!([0])),
            seats(json!("1")),
            seats(json!(twenty_one)),
            json!({"concertScheduleId": 1, "count": 2}),
            json!({"concertScheduleId": 1, "count": 2, "bestAvailable": false}),
            json!({"concertScheduleId": 1, "bestAvailable": true}),
            json!({"concertScheduleId": 1, "count": 0, "bestAvailable": true}),
            json!({"concertScheduleId": 1, "count": 21, "bestAvailable": true}),
            json!({"concertScheduleId": 1, "count": -1, "bestAvailable": true}),
            json!({"concertScheduleId": 1, "count": 1.5, "bestAvailable": true}),
            json!({"concertScheduleId": 1, "concertSeatIds": [1], "count": 1, "bestAvailable": true}),
            json!({"concertScheduleId": 1, "concertSeatIds": [1], "bestAvailable": true}),
        ];
        for body in bad {
            let answer = app.call("POST", BATCH, &[("token", &token)], body.clone()).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (400, "INVALID_REQUEST"), "{body}: {answer:?}");
        }
        app.hold_many(&token, 99, &[1]).await.assert_error(404, "SCHEDULE_NOT_FOUND");
        app.hold_many(&token, 1, &[1, 51]).await.assert_error(404, "SEAT_NOT_FOUND");
        app.call("POST", BATCH, &[], seats(json!([1]))).await.assert_error(401, "INVALID_TOKEN");
        app.call("GET", BATCH, &[("token", &token)], Value::Null).await.assert_error(405, "METHOD_NOT_ALLOWED");
        app.add_queue("other", 2).await;
        app.hold_best(&token, 4, 2).await.assert_error(403, "WRONG_QUEUE");
        app.leave(&token).await.data();
        app.hold_best(&token, 1, 2).await.assert_error(401, "TOKEN_EXPIRED");
        assert_eq!(app.free_seats(&app.enter(2).await, 1).await.len(), 50);
    });
}

#[test]
fn several_lapse_together_and_keep_their_token_alive() {
    block_on(async {
        let app = TestApp::without_jobs(&["--hold-ttl-seconds", "2", "--active-ttl-seconds", "1"]).await;
        let (token, other) = (app.enter(1).await, app.enter_active(2).await);
        app.hold_best(&token, 1, 3).await.held_many();
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(app.rank(&token).await.data()["status"], "ACTIVE");
        assert_eq!(app.rank(&other).await.data()["status"], "EXPIRED");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(app.free_seats(&app.enter_active(3).await, 1).await.len(), 50);
    });
}

#[test]
fn under_a_key_the_same_seats_again() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        let best = json!({"concertScheduleId": 1, "count": 2, "bestAvailable": true});
        let first = app.batch_under("k", &token, best.clone()).await;
        first.assert_first();
        let again = app.batch_under("k", &token, best).await;
        again.assert_replays(&first);
        assert_eq!(app.free_seats(&token, 1).await.len(), 48);
        app.hold_under("k", &token, 1, 5).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
        let other = json!({"concertScheduleId": 1, "concertSeatIds": [5, 6]});
        app.batch_under("k", &token, other).await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
        assert_eq!(app.free_seats(&token, 1).await.len(), 48);
    });
}

#[test]
fn held_many_are_lost_with_redis_and_can_be_had_anew() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        let before = app.hold_many(&token, 1, &[1, 2]).await.held_many();
        app.forget_redis().await;
        let token = app.enter_active(1).await;
        let after = app.hold_many(&token, 1, &[1, 2]).await.held_many();
        assert!(before.iter().all(|(_, id)| after.iter().all(|(_, other)| other != id)), "ids never repeat");
    });
}
