//! The log: a row an act, in the act's own transaction, never changed after.

use serde_json::{Value, json};

use super::{ANN, OPERATED, two_seats};
use crate::support::{TestApp, block_on};

#[test]
fn every_act_is_in_the_log_by_its_operators_name() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let concert = json!({ "title": "Snow", "schedules": [{ "date": app.day(1), "seats": two_seats() }] });
        let acts = [
            ("POST", "/concerts", concert, "CREATE_CONCERT", "concert 11"),
            (
                "POST",
                "/concerts/11/schedules",
                json!({ "date": app.day(2), "seats": two_seats() }),
                "ADD_SCHEDULE",
                "concert 11",
            ),
            ("POST", "/queues", json!({ "name": "own" }), "CREATE_QUEUE", "queue own"),
            ("PATCH", "/queues/own", json!({ "maxActive": 9 }), "SET_QUEUE", "queue own"),
            ("POST", "/queues/own/pause", Value::Null, "PAUSE_QUEUE", "queue own"),
            ("POST", "/queues/own/drain", Value::Null, "DRAIN_QUEUE", "queue own"),
            ("POST", "/queues/own/resume", Value::Null, "RESUME_QUEUE", "queue own"),
        ];
        let mut ids = Vec::new();
        for (method, path, body, _, _) in &acts {
            let answer = app.operate_as(ANN, method, path, body.clone()).await;
            answer.data();
            ids.push(answer.header("x-request-id").to_owned());
        }
        for path in ["/concerts", "/queues", "/figures", "/audit"] {
            app.operate("GET", path, Value::Null).await.data();
        }
        let log = app.operate("GET", "/audit", Value::Null).await.data().clone();
        assert_eq!(log["nextCursor"], Value::Null);
        let mut entries = log["entries"].as_array().unwrap().clone();
        entries.reverse();
        assert_eq!(entries.len(), acts.len(), "and reading is no act");
        for ((entry, (_, _, _, action, target)), id) in entries.iter().zip(&acts).zip(&ids) {
            assert_eq!((&entry["action"], &entry["target"]), (&json!(action), &json!(target)));
            assert_eq!((&entry["operator"], &entry["requestId"]), (&json!("ann"), &json!(id)));
        }
        assert_eq!(
            entries[0]["request"],
            json!({
                "title": "Snow", "queue": null,
                "schedules": [{ "date": app.day(1), "seats": 2, "lowestPrice": 50_000, "highestPrice": 150_000 }],
            })
        );
        assert_eq!(entries[0]["outcome"]["concertId"], 11);
        assert_eq!(entries[3]["request"], json!({ "maxActive": 9 }));
        let outcome = &entries[3]["outcome"];
        assert_eq!((&outcome["before"]["maxActive"], &outcome["after"]["maxActive"]), (&Value::Null, &json!(9)));
        assert_eq!(entries[4]["outcome"]["after"]["paused"], true);
    });
}

#[test]
fn the_log_is_read_by_cursor() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        for value in 1..=7 {
            app.operate("PATCH", "/queues/default", json!({ "maxActive": value })).await.data();
        }
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for _ in 0..3 {
            let page = app.operate("GET", &format!("/audit?size=3{cursor}"), Value::Null).await.data().clone();
            let entries = page["entries"].as_array().unwrap().clone();
            seen.extend(entries.iter().map(|entry| entry["request"]["maxActive"].as_i64().unwrap()));
            if page["nextCursor"].is_null() {
                break;
            }
            cursor = format!("&cursor={}", page["nextCursor"]);
            // What is done meanwhile is before the first page.
            app.operate("POST", "/queues/default/pause", Value::Null).await.data();
        }
        assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
        let exact = app.operate("GET", "/audit?size=9", Value::Null).await;
        assert_eq!(exact.data()["nextCursor"], Value::Null, "all nine");
    });
}

/// What the log cannot take is not done, and what is not done is not in the log.
#[test]
fn an_act_and_its_row_are_one() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let state = async || {
            let revision = app.number("SELECT revision FROM programme_revision").await;
            let seats = app.number("SELECT count(*) FROM concert_seat").await;
            (revision, seats, app.number("SELECT count(*) FROM queue").await)
        };
        let before = state().await;
        sqlx::query("ALTER TABLE admin_audit ADD CONSTRAINT nothing CHECK (false)").execute(app.pool()).await.unwrap();
        let concert =
            json!({ "title": "Snow", "queue": "own", "schedules": [{ "date": app.day(1), "seats": two_seats() }] });
        for (method, path, body) in [
            ("POST", "/concerts", concert),
            ("POST", "/concerts/1/schedules", json!({ "date": app.day(9), "seats": two_seats() })),
            ("POST", "/queues", json!({ "name": "own" })),
            ("PATCH", "/queues/default", json!({ "maxActive": 9 })),
            ("POST", "/queues/default/pause", Value::Null),
        ] {
            app.operate(method, path, body).await.assert_error(500, "INTERNAL");
            assert_eq!(state().await, before, "{method} {path}");
        }
        sqlx::query("ALTER TABLE admin_audit DROP CONSTRAINT nothing").execute(app.pool()).await.unwrap();
        // Its last schedule cannot be: nothing of the concert is made, nor its queue.
        let taken = json!({ "date": app.evening(1).await, "seats": two_seats() });
        app.operate("POST", "/concerts/1/schedules", taken).await.assert_error(400, "INVALID_REQUEST");
        assert_eq!((state().await, app.log_rows().await), (before, 0));
    });
}

#[test]
fn nobody_changes_the_log() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        app.operate("POST", "/queues/default/pause", Value::Null).await.data();
        for change in ["UPDATE admin_audit SET operator = 'bob'", "DELETE FROM admin_audit", "TRUNCATE admin_audit"] {
            let refused = sqlx::query(change).execute(app.pool()).await.unwrap_err();
            assert!(refused.to_string().contains("append-only"), "{refused}");
        }
        assert_eq!(app.log_rows().await, 1);
    });
}
