//! The live figures are what they are.

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

        let shown = app.operate("GET", "/figures?concertId=1", Value::Null).await.data().clone();
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
