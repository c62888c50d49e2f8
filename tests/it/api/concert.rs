//! Call 2 and the programme: what can still be booked.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use super::{NO_IDS, assert_fields};
use crate::support::{TestApp, block_on};

async fn schedules(app: &TestApp, token: &str, concert: i64) -> Vec<i64> {
    let answer = app.get(&format!("/api/v1/concerts/{concert}/schedules"), token).await;
    let schedules = answer.data()["schedules"].as_array().unwrap();
    schedules.iter().map(|schedule| schedule["concertScheduleId"].as_i64().unwrap()).collect()
}

fn date(value: &Value) -> NaiveDate {
    let text = value.as_str().unwrap();
    assert_eq!(text.len(), "2025-01-01".len());
    text.parse().unwrap()
}

#[test]
fn schedules_are_ids_and_dates_by_date() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        // Added last, but earlier than two of the three that are there.
        let first = app.evening(4).await;
        sqlx::query("UPDATE concert_schedule SET date = date + 10 WHERE id IN (5, 6)")
            .execute(app.pool())
            .await
            .unwrap();
        let (added, _) = app.add_schedule(2, 5, 1).await;

        let answer = app.get("/api/v1/concerts/2/schedules", &token).await;
        assert_fields(answer.data(), &["schedules"]);
        let schedules = answer.data()["schedules"].as_array().unwrap();
        for schedule in schedules {
            assert_fields(schedule, &["concertScheduleId", "date"]);
        }
        let found: Vec<_> = schedules
            .iter()
            .map(|schedule| (schedule["concertScheduleId"].as_i64().unwrap(), date(&schedule["date"])))
            .collect();
        let later = |days| first + Days::new(days);
        let added = (added, app.evening(added).await);
        assert_eq!(found, [(4, first), added, (5, later(11)), (6, later(12))]);
    });
}

#[test]
fn what_is_over_cannot_be_booked() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        let (past, seats) = app.add_schedule(1, -1, 2).await;
        let (today, _) = app.add_schedule(1, 0, 2).await;
        assert_eq!(schedules(&app, &token, 1).await, [today, 1, 2, 3]);
        app.get(&format!("/api/v1/concerts/schedules/{past}/seats"), &token)
            .await
            .assert_error(404, "SCHEDULE_NOT_FOUND");
        app.hold(&token, past, seats[0]).await.assert_error(404, "SCHEDULE_NOT_FOUND");
    });
}

#[test]
fn what_is_sold_out_disappears() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (schedule, seats) = app.add_schedule(1, 30, 2).await;
        let (buyer, holder) = (app.enter(1).await, app.enter(2).await);
        app.charge(1, 50_000).await.data();
        let reservation = app.hold(&buyer, schedule, seats[0]).await.reservation();
        app.pay(&buyer, reservation).await.payment();
        assert_eq!(schedules(&app, &holder, 1).await, [1, 2, 3, schedule]);

        app.hold(&holder, schedule, seats[1]).await.reservation();
        assert_eq!(schedules(&app, &holder, 1).await, [1, 2, 3], "one sold, one held");
        app.leave(&holder).await.data();
        assert_eq!(schedules(&app, &app.enter(3).await, 1).await, [1, 2, 3, schedule], "one given up");
    });
}

#[test]
fn unknown_concerts_and_bad_ids() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        app.get("/api/v1/concerts/11/schedules", &token).await.assert_error(404, "CONCERT_NOT_FOUND");
        app.get("/api/v1/concerts/9007199254740991/schedules", &token).await.assert_error(404, "CONCERT_NOT_FOUND");
        for bad in NO_IDS.iter().chain(&["%20", "1%20", "%FF", "%EF%BC%91", "1%2F"]) {
            let answer = app.get(&format!("/api/v1/concerts/{bad}/schedules"), &token).await;
            answer.assert_error(400, "INVALID_REQUEST");
        }
    });
}

#[test]
fn a_token_serves_the_concerts_of_its_queue() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.add_queue("of-its-own", 2).await;
        let default = app.enter(1).await;
        let form = ("application/x-www-form-urlencoded", "concertId=2");
        let answer = app.ask("POST", "/api/v1/queues/token").header("userId", "1").header("content-type", form.0);
        let own = answer.body(form.1).send().await.data()["token"].as_str().unwrap().to_owned();

        assert_eq!(schedules(&app, &default, 1).await, [1, 2, 3]);
        assert_eq!(schedules(&app, &own, 2).await, [4, 5, 6]);
        for (token, concert, schedule, seat) in [(&default, 2, 4, 151), (&own, 1, 1, 1)] {
            let answer = app.get(&format!("/api/v1/concerts/{concert}/schedules"), token).await;
            answer.assert_error(403, "WRONG_QUEUE");
            let answer = app.get(&format!("/api/v1/concerts/schedules/{schedule}/seats"), token).await;
            answer.assert_error(403, "WRONG_QUEUE");
            app.hold(token, schedule, seat).await.assert_error(403, "WRONG_QUEUE");
        }

        app.charge(1, 400_000).await.data();
        let reservation = app.hold(&own, 4, 151).await.reservation();
        app.pay(&default, reservation).await.assert_error(403, "WRONG_QUEUE");
        assert_eq!(app.balance(1).await, 400_000, "nothing was taken");
        app.pay(&own, reservation).await.payment();
        app.audit().await;
    });
}

#[test]
fn the_programme_is_for_everybody_and_paged() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let page = async |query: &str| app.ask("GET", &format!("/api/v1/concerts{query}")).send().await;
        let ids = async |query: &str| {
            let answer = page(query).await;
            let concerts = answer.data()["concerts"].as_array().unwrap();
            concerts.iter().map(|concert| concert["concertId"].as_i64().unwrap()).collect::<Vec<_>>()
        };
        let all: Vec<i64> = (1..=10).collect();
        assert_eq!(ids("").await, all);
        assert_eq!(ids("?page=1&size=100").await, all);
        assert_eq!(ids("?page=2&size=3").await, [4, 5, 6]);
        assert_eq!(ids("?page=4&size=3").await, [10]);
        assert_eq!(ids("?page=5&size=3").await, [0; 0]);
        assert_eq!(ids("?page=9007199254740991&size=100").await, [0; 0]);
        assert_eq!(ids("?size=1&colour=red").await, [1]);
        for bad in ["?page=0", "?page=-1", "?page=x", "?size=0", "?size=101", "?size=", "?page=99999999999999999999"] {
            page(bad).await.assert_error(400, "INVALID_REQUEST");
        }

        let answer = page("?page=2&size=1").await;
        let concert = &answer.data()["concerts"][0];
        assert_eq!((&answer.data()["page"], &answer.data()["size"]), (&json!(2), &json!(1)));
        assert!(!concert["title"].as_str().unwrap().is_empty());
        assert_eq!(concert["dates"].as_array().unwrap().len(), 3);
    });
}
