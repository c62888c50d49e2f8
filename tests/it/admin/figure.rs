//! The live figures are what they are.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::OPERATED;
use crate::support::{TestApp, block_on};

#[test]
fn the_figures_follow_what_happens() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let (schedule, seats) = app.add_schedule(1, 5, 4).await;
        let (past, _) = app.add_schedule(1, -1, 4).await;
        app.charge(1, 50_000).await.data();
        let (buyer, holder) = (app.enter(1).await, app.enter(2).await);
        let reservation = app.hold(&buyer, schedule, seats[0]).await.reservation();
        app.pay(&buyer, reservation).await.payment();
        app.hold(&holder, schedule, seats[1]).await.reservation();
        app.promote().await;

        let mut shown = app.operate("GET", "/figures?concertId=1", Value::Null).await.data().clone();
        let age = shown["queues"][0]["figures"].as_object_mut().unwrap().remove("ageMillis");
        assert!(age.is_some_and(|age| age.is_u64()), "{shown}");
        assert_eq!(
            shown["queues"],
            json!([{ "name": "default", "figures": { "waiting": 0, "active": 1, "admitted": 2 } }])
        );
        let schedules = shown["schedules"].as_array().unwrap();
        assert_eq!((schedules.len(), &shown["total"]), (4, &json!(4)), "not the one that is over");
        assert!(schedules.iter().all(|shown| shown["concertScheduleId"] != past));
        let ours = schedules.iter().find(|shown| shown["concertScheduleId"] == schedule).unwrap();
        assert_eq!(
            (&ours["free"], &ours["held"], &ours["sold"], &ours["date"]),
            (&json!(2), &json!(1), &json!(1), &json!(app.day(5)))
        );
        assert_eq!((&shown["totals"]["payments"], &shown["totals"]["won"]), (&json!(1), &json!(50_000)));

        let page = app.operate("GET", "/figures?page=2&size=30", Value::Null).await.data().clone();
        assert_eq!((page["schedules"].as_array().unwrap().len(), &page["total"]), (1, &json!(31)));
        app.operate("GET", "/figures?concertId=99", Value::Null).await.assert_error(404, "CONCERT_NOT_FOUND");
    });
}

#[test]
fn the_course_has_each_moment_once_and_says_what_was_failed() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let (schedule, seats) = app.add_schedule(1, 5, 4).await;
        app.charge(1, 50_000).await.data();
        let course = async |query: &str| {
            app.operate("GET", &format!("/figures/course{query}"), Value::Null).await.data().clone()
        };
        assert_eq!(course("").await["moments"], json!([]));
        app.promote().await;
        app.app.note().await;
        let buyer = app.enter(1).await;
        let reservation = app.hold(&buyer, schedule, seats[0]).await.reservation();
        app.pay(&buyer, reservation).await.payment();
        app.promote().await;
        app.app.note().await;

        let whole = course("").await;
        let figures =
            |moment: &Value| ["waiting", "active", "admitted", "sold", "failures"].map(|of| moment[of].as_u64());
        let moments = whole["moments"].as_array().unwrap();
        assert_eq!(moments.len(), 2, "{whole}");
        assert_eq!(figures(&moments[0]), [Some(0), Some(0), Some(0), Some(0), Some(0)]);
        assert_eq!(figures(&moments[1]), [Some(0), Some(0), Some(1), Some(1), Some(0)]);
        let later = course(&format!("?queue=default&after={}", moments[0]["at"].as_str().unwrap())).await;
        assert_eq!(later["moments"], json!([moments[1]]));
        assert_eq!(later["instance"], whole["instance"]);

        // A fault of ours is one of this instance's own.
        app.app.begin_drain();
        app.call("GET", "/readyz", &[], Value::Null).await.assert_error(503, "UNAVAILABLE");
        app.app.note().await;
        let failed: BTreeSet<_> =
            course("").await["moments"].as_array().unwrap().iter().map(|moment| moment["failures"].as_u64()).collect();
        assert_eq!(failed, BTreeSet::from([Some(0), Some(1)]));

        app.operate("GET", "/figures/course?queue=none", Value::Null).await.assert_error(404, "NOT_FOUND");
        app.operate("GET", "/figures/course?after=yesterday", Value::Null).await.assert_error(400, "INVALID_REQUEST");
    });
}

#[test]
fn of_what_was_not_seen_lately_the_course_says_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        app.enter(1).await;
        app.promote().await;
        app.app.note().await;
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        app.app.note().await;
        let course = app.operate("GET", "/figures/course", Value::Null).await.data().clone();
        assert_eq!((&course["moments"][0]["active"], &course["moments"][1]["active"]), (&json!(1), &Value::Null));
    });
}
