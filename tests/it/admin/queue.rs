//! Queues set by operators: what is in force, on every instance within a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::OPERATED;
use crate::support::{SLACK, TestApp, at_once, block_on, eventually};

#[test]
fn a_queue_shows_what_is_in_force_and_what_was_set() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let shown = app.operate("GET", "/queues/default", Value::Null).await.data().clone();
        assert_eq!(
            shown["settings"],
            json!({
                "maxActive": 1000, "admitPerSecond": 200, "activeTtlSeconds": 300, "waitingTtlSeconds": 120,
                "holdTtlSeconds": 300, "opensAt": null, "paused": false, "draining": false, "stockFactor": 0.0,
            })
        );
        assert_eq!((&shown["set"], &shown["figures"]), (&json!(["stockFactor"]), &Value::Null));

        let change = json!({ "maxActive": 5, "opensAt": "2031-01-01T20:00:00+09:00", "stockFactor": 1.5 });
        let set = app.operate("PATCH", "/queues/default", change).await.data().clone();
        assert_eq!((&set["settings"]["maxActive"], &set["settings"]["admitPerSecond"]), (&json!(5), &json!(200)));
        assert_eq!(set["settings"]["opensAt"], "2031-01-01T11:00:00.000Z");
        assert_eq!(set["set"], json!(["maxActive", "opensAt", "stockFactor"]));
        assert_eq!(app.operate("GET", "/queues/default", Value::Null).await.data(), &set);

        let change = json!({ "maxActive": null, "opensAt": null, "stockFactor": null });
        let set = app.operate("PATCH", "/queues/default", change).await.data().clone();
        assert_eq!((&set["settings"]["maxActive"], &set["set"]), (&json!(1000), &json!([])));
        let same = app.operate("PATCH", "/queues/default", json!({})).await.data().clone();
        assert_eq!(same, set, "a change of nothing");
    });
}

#[test]
fn pausing_draining_and_going_on() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let flags = async |act: &str| {
            let set = app.operate("POST", &format!("/queues/default/{act}"), Value::Null).await.data().clone();
            (set["settings"]["paused"].as_bool().unwrap(), set["settings"]["draining"].as_bool().unwrap())
        };
        assert_eq!(flags("pause").await, (true, false));
        assert_eq!(flags("drain").await, (true, true));
        assert_eq!(flags("drain").await, (true, true), "once more");
        assert_eq!(flags("resume").await, (false, false));
        app.operate("POST", "/queues/nobodys/pause", Value::Null).await.assert_error(404, "NOT_FOUND");
        app.operate("PATCH", "/queues/nobodys", json!({})).await.assert_error(404, "NOT_FOUND");
        app.operate("GET", "/queues/No!", Value::Null).await.assert_error(404, "NOT_FOUND");
    });
}

#[test]
fn a_queue_is_made_once() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let body = json!({ "name": "early", "maxActive": 7, "paused": true });
        let made = app.operate("POST", "/queues", body.clone()).await.data().clone();
        assert_eq!((&made["name"], &made["set"]), (&json!("early"), &json!(["maxActive", "paused"])));
        app.operate("POST", "/queues", body).await.assert_error(400, "INVALID_REQUEST");
        for bad in [json!({}), json!({ "name": "No" }), json!({ "name": "x".repeat(64) }), json!({ "name": 7 })] {
            app.operate("POST", "/queues", bad).await.assert_error(400, "INVALID_REQUEST");
        }
        let half = json!({ "name": "half", "maxActive": 0 });
        app.operate("POST", "/queues", half).await.assert_error(400, "INVALID_REQUEST");
        let listed = app.operate("GET", "/queues", Value::Null).await.data().clone();
        let names: Vec<_> =
            listed["queues"].as_array().unwrap().iter().map(|queue| queue["name"].as_str().unwrap()).collect();
        assert_eq!((names, &listed["total"]), (vec!["default", "early"], &json!(2)));
        assert_eq!(app.log_rows().await, 1);
    });
}

#[test]
fn a_setting_out_of_range_is_named_and_changes_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let before = app.operate("GET", "/queues/default", Value::Null).await.data().clone();
        let whole =
            [json!(0), json!(-1), json!(10_000_001), json!(1.5), json!("5"), json!(true), json!([]), json!(1e300)];
        let seconds = [json!(0), json!(86_401), json!(i64::MAX), json!("1m")];
        let cases = [
            ("maxActive", &whole[..]),
            ("admitPerSecond", &[json!(0), json!(1_000_001)]),
            ("activeTtlSeconds", &seconds),
            ("waitingTtlSeconds", &seconds),
            ("holdTtlSeconds", &seconds),
            (
                "opensAt",
                &[
                    json!(5),
                    json!("soon"),
                    json!("2026-12-24"),
                    json!("2026-12-24T20:00:00"),
                    json!("9999-01-01T00:00:00Z"),
                ],
            ),
            ("paused", &[json!(1), json!("true")]),
            ("draining", &[json!(0), json!({})]),
            ("stockFactor", &[json!(-0.1), json!(1000.1), json!("2")]),
            ("maxactive", &[json!(5)]),
            ("epoch", &[json!(5)]),
            ("name", &[json!("other")]),
        ];
        for (field, values) in cases {
            for value in values {
                // Beside one that is right.
                let answer =
                    app.operate("PATCH", "/queues/default", json!({ "holdTtlSeconds": 9, field: value })).await;
                answer.assert_error(400, "INVALID_REQUEST");
                let message = answer.body["error"]["message"].as_str().unwrap();
                assert!(message.contains(field) || message.contains("no setting"), "{field}: {message}");
            }
        }
        for (field, least, greatest) in [
            ("maxActive", 1, 10_000_000),
            ("admitPerSecond", 1, 1_000_000),
            ("activeTtlSeconds", 1, 86_400),
            ("waitingTtlSeconds", 1, 86_400),
            ("holdTtlSeconds", 1, 86_400),
            ("stockFactor", 0, 1000),
        ] {
            for value in [json!(least), json!(greatest)] {
                app.operate("PATCH", "/queues/default", json!({ field: value })).await.data();
            }
            app.operate("PATCH", "/queues/default", json!({ field: null })).await.data();
        }
        app.operate("PATCH", "/queues/default", json!({ "stockFactor": 0 })).await.data();
        assert_eq!(app.operate("GET", "/queues/default", Value::Null).await.data(), &before);
    });
}

#[test]
fn a_setting_is_in_force_on_every_instance_within_a_second() {
    block_on(async {
        let app = TestApp::with(&OPERATED).await;
        let other = app.second().await;
        let caps = async || [&app, &other].map(|app| app.default_queue().settings.max_active);
        app.operate("PATCH", "/queues/default", json!({ "maxActive": 2 })).await.data();
        eventually("both know", Duration::from_secs(1) + SLACK, async || caps().await == [2, 2]).await;

        let tokens = [other.enter(1).await, app.enter(2).await, other.enter(3).await, app.enter(4).await];
        assert_eq!(other.rank(&tokens[1]).await.data()["status"], "ACTIVE");
        assert_eq!(other.rank(&tokens[3]).await.data()["status"], "WAITING", "two at most");
        let figures = async |expected: Value| {
            let mut shown = app.operate("GET", "/queues/default", Value::Null).await.data()["figures"].clone();
            shown.as_object_mut().is_some_and(|shown| shown.remove("ageMillis").is_some()) && shown == expected
        };
        let two = async || figures(json!({ "waiting": 2, "active": 2, "admitted": 2 })).await;
        eventually("the figures say so", Duration::from_secs(1) + SLACK, two).await;

        app.leave(&tokens[2]).await.data();
        app.operate("PATCH", "/queues/default", json!({ "maxActive": 3 })).await.data();
        let in_now = async || other.rank(&tokens[3]).await.data()["status"] == "ACTIVE";
        eventually("the next is let in", Duration::from_secs(2) + SLACK, in_now).await;
        let three = async || figures(json!({ "waiting": 0, "active": 3, "admitted": 3 })).await;
        eventually("who has left was not let in", Duration::from_secs(1) + SLACK, three).await;
        app.audit().await;
    });
}

#[test]
fn of_many_changes_at_once_none_is_lost() {
    block_on(async {
        let app = Arc::new(TestApp::without_jobs(&OPERATED).await);
        let other = Arc::new(app.second().await);
        let fields = ["maxActive", "admitPerSecond", "activeTtlSeconds", "waitingTtlSeconds", "holdTtlSeconds"];
        let calls = (0..30).map(|number| {
            let on = Arc::clone(if number % 2 == 0 { &app } else { &other });
            let body = json!({ fields[number % 5]: 100 + number });
            async move {
                // Who waits for the row longer than Postgres' time asks again.
                let begun = Instant::now();
                while on.operate("PATCH", "/queues/default", body.clone()).await.status == 503 {
                    assert!(begun.elapsed() < Duration::from_secs(20));
                }
            }
        });
        at_once(calls).await;
        let set = app.operate("GET", "/queues/default", Value::Null).await.data().clone();
        for (field, at) in fields.iter().zip(0..) {
            let value = set["settings"][field].as_u64().unwrap();
            assert!(value >= 100 && (value - 100) % 5 == at, "{field} is {value}");
        }
        // Each row begins where the one before it ended: nobody changed what another had not seen.
        let broken = "SELECT count(*) FROM (
                          SELECT outcome->'before' AS before, lag(outcome->'after') OVER (ORDER BY id) AS had FROM admin_audit
                      ) AS acts WHERE before <> had";
        assert_eq!((app.log_rows().await, app.number(broken).await), (30, 0));
    });
}

#[test]
fn nobody_is_let_in_once_a_pause_is_in_force() {
    block_on(async {
        let app = Arc::new(TestApp::with(&[&OPERATED[..], &["--admit-per-second", "50"]].concat()).await);
        let other = Arc::new(app.second().await);
        let crowd = (1..=400).map(|user| {
            let on = Arc::clone(if user % 2 == 0 { &app } else { &other });
            async move { on.enter(user).await }
        });
        let crowd = tokio::spawn(at_once(crowd.collect::<Vec<_>>()));
        app.operate("POST", "/queues/default/pause", Value::Null).await.data();
        tokio::time::sleep(Duration::from_secs(1) + SLACK).await;
        let tokens = crowd.await.unwrap();
        let active = async || app.app.queues.audit(&app.default_queue()).await.unwrap().active;
        let at_pause = active().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(active().await, at_pause);
        app.operate("POST", "/queues/default/resume", Value::Null).await.data();
        let all_in = async || active().await == 400;
        eventually("all are let in after", Duration::from_secs(12), all_in).await;
        assert_eq!(tokens.len(), 400);
        app.audit().await;
    });
}
