//! Concerts made by operators can be bought, at once and on every instance.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{KEY, OPERATED, two_seats};
use crate::support::{SLACK, TestApp, at_once, block_on, eventually};

#[test]
fn a_concert_is_made_whole_and_can_be_bought_on_another_instance() {
    block_on(async {
        let app = TestApp::with(&OPERATED).await;
        let other = app.second().await;
        let body = json!({
            "title": "First Snow", "queue": null,
            "schedules": [{ "date": app.day(1), "seats": two_seats() }, { "date": app.day(0), "seats": two_seats() }],
        });
        let created = app.operate("POST", "/concerts", body).await.data().clone();
        let concert = created["concertId"].as_i64().unwrap();
        let schedule = created["schedules"][0]["concertScheduleId"].as_i64().unwrap();
        assert_eq!(created["schedules"][0]["date"], app.day(1));
        assert_eq!(created["schedules"][1]["seats"], 2);

        let token = other.enter(1).await;
        let path = format!("/api/v1/concerts/{concert}/schedules");
        let known = async || other.get(&path, &token).await.status == 200;
        eventually("the other instance knows it", Duration::from_secs(1) + SLACK, known).await;
        let shown = other.get(&path, &token).await;
        assert_eq!(shown.data()["schedules"].as_array().unwrap().len(), 2);

        let seats = app.operate("GET", &format!("/concerts/schedules/{schedule}/seats"), Value::Null).await;
        let seats = seats.data()["seats"].as_array().unwrap().clone();
        let numbers: Vec<_> = seats.iter().map(|seat| seat["number"].as_i64().unwrap()).collect();
        assert_eq!(numbers, [7, 3], "in the order given");
        assert_eq!(
            seats[1],
            json!({
                "concertSeatId": seats[1]["concertSeatId"], "section": "R", "row": "A", "number": 3, "price": 50_000,
            })
        );
        let seat = seats[1]["concertSeatId"].as_i64().unwrap();
        other.charge(1, 50_000).await.data();
        let reservation = other.hold(&token, schedule, seat).await.reservation();
        other.pay(&token, reservation).await.payment();
        assert_eq!(other.balance(1).await, 0, "at its price");

        let listed = app.operate("GET", "/concerts?page=2&size=10", Value::Null).await.data().clone();
        assert_eq!(listed["total"], 11);
        assert_eq!(
            listed["concerts"],
            json!([{
                "concertId": concert, "title": "First Snow", "queue": "default",
                "schedules": [
                    { "concertScheduleId": created["schedules"][1]["concertScheduleId"], "date": app.day(0), "seats": 2, "sold": 0 },
                    { "concertScheduleId": schedule, "date": app.day(1), "seats": 2, "sold": 1 },
                ],
            }])
        );
        app.audit().await;
    });
}

#[test]
fn ten_thousand_seats_in_one_request_and_the_last_is_sold() {
    block_on(async {
        let app = TestApp::with(&OPERATED).await;
        let seats: Vec<Value> = (1..=10_000)
            .map(|number| json!({ "section": "Floor", "row": format!("{}", number / 100), "number": number, "price": 1000 }))
            .collect();
        let begun = Instant::now();
        let body = json!({ "title": "The Stadium", "schedules": [{ "date": app.day(30), "seats": seats }] });
        let created = app.operate("POST", "/concerts", body).await.data().clone();
        let took = begun.elapsed();
        assert_eq!(created["schedules"][0]["seats"], 10_000);
        assert!(took < Duration::from_secs(2) + SLACK, "{took:?}");

        let schedule = created["schedules"][0]["concertScheduleId"].as_i64().unwrap();
        app.refresh().await;
        let token = app.enter(1).await;
        let free = app.free_seats(&token, schedule).await;
        assert_eq!(free.len(), 10_000);
        app.charge(1, 1000).await.data();
        let reservation = app.hold(&token, schedule, free[9_999]).await.reservation();
        app.pay(&token, reservation).await.payment();
        let rows = app.number("SELECT max(octet_length(request::text))::bigint FROM admin_audit").await;
        assert!(rows < 500, "the log keeps no seats");
        app.audit().await;
    });
}

#[test]
fn a_hall_by_ranges() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let sections = json!([
            { "section": "R", "price": 150_000, "rows": ["A", "B"], "seatsPerRow": 50 },
            { "section": "S", "price": 80_000, "rows": ["A"], "seatsPerRow": 3 },
        ]);
        let body = json!({ "date": app.day(9), "sections": sections });
        let added = app.operate("POST", "/concerts/1/schedules", body.clone()).await.data().clone();
        assert_eq!((&added["seats"], &added["date"]), (&json!(103), &json!(app.day(9))));
        let path = format!("/concerts/schedules/{}/seats", added["concertScheduleId"]);
        let seats = app.operate("GET", &path, Value::Null).await.data()["seats"].as_array().unwrap().clone();
        let numbers: Vec<_> = seats.iter().map(|seat| seat["number"].as_i64().unwrap()).collect();
        assert_eq!(numbers, (1..=103).collect::<Vec<_>>());
        assert_eq!((&seats[50]["row"], &seats[100]["section"]), (&json!("B"), &json!("S")));
        // Once more is the same date once more.
        let again = app.operate("POST", "/concerts/1/schedules", body.clone()).await;
        again.assert_error(400, "INVALID_REQUEST");
        let nowhere = app.operate("POST", "/concerts/99/schedules", body).await;
        nowhere.assert_error(404, "CONCERT_NOT_FOUND");
        let nothing = app.operate("GET", "/concerts/schedules/999999/seats", Value::Null).await;
        nothing.assert_error(404, "SCHEDULE_NOT_FOUND");
        assert_eq!(app.log_rows().await, 1, "what was refused is not in the log");
    });
}

#[test]
fn a_full_stadium_for_a_week() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let rows: Vec<String> = (0..200).map(|row| row.to_string()).collect();
        let sections = json!([{ "section": "All", "price": 1, "rows": rows, "seatsPerRow": 100 }]);
        let schedules: Vec<_> = (0..5).map(|day| json!({ "date": app.day(day), "sections": sections })).collect();
        app.operate("POST", "/concerts", json!({ "title": "A Week", "schedules": schedules })).await.data();
        let whole = "SELECT count(*) FROM (
                         SELECT FROM concert_seat GROUP BY concert_schedule_id
                         HAVING count(*) = 20000 AND max(position) = 19999 AND bool_and(number = position + 1)
                     ) AS schedule";
        assert_eq!(app.number(whole).await, 5);
    });
}

#[test]
fn of_two_who_add_the_same_evening_one_does_and_of_two_who_make_a_queue_both_use_it() {
    block_on(async {
        let app = Arc::new(TestApp::without_jobs(&OPERATED).await);
        let other = Arc::new(app.second().await);
        let calls = (0..8).map(|number| {
            let on = Arc::clone(if number % 2 == 0 { &app } else { &other });
            async move {
                let body = json!({ "date": on.day(20), "seats": two_seats() });
                let added = on.operate("POST", "/concerts/1/schedules", body).await;
                let body = json!({ "title": "t", "queue": "shared" });
                on.operate("POST", "/concerts", body).await.data();
                added
            }
        });
        let added = at_once(calls).await;
        let (made, refused): (Vec<_>, Vec<_>) = added.iter().partition(|answer| answer.status == 200);
        assert_eq!(made.len(), 1);
        for answer in refused {
            answer.assert_error(400, "INVALID_REQUEST");
        }
        let seats =
            "SELECT count(*) FROM concert_seat WHERE section = 'R' AND row = 'A' AND number = 7 AND price = 150000";
        assert_eq!(app.number(seats).await, 1);
        let queues = "SELECT count(DISTINCT queue_id) * 100 + count(*) FROM concert WHERE title = 't'";
        assert_eq!((app.number(queues).await, app.log_rows().await), (108, 9));
    });
}

#[test]
fn a_concert_has_a_queue_of_its_own_made_with_it() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        for _ in 0..2 {
            let body = json!({ "title": "Ours", "queue": "ours", "schedules": [{ "date": app.day(1), "seats": two_seats() }] });
            app.operate("POST", "/concerts", body).await.data();
        }
        assert_eq!(app.number("SELECT count(*) FROM queue WHERE name = 'ours'").await, 1);
        app.refresh().await;
        let form = app.ask("POST", "/api/v1/queues/token").header("userId", "1");
        let form = form.header("content-type", "application/x-www-form-urlencoded").body("concertId=11");
        let token = form.send().await.data()["token"].as_str().unwrap().to_owned();
        app.get("/api/v1/concerts/12/schedules", &token).await.data();
        app.get("/api/v1/concerts/1/schedules", &token).await.assert_error(403, "WRONG_QUEUE");
    });
}

#[test]
fn what_cannot_be_is_named_and_makes_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let day = app.day(1);
        let seat =
            |number: Value, price: Value| json!({ "section": "R", "row": "A", "number": number, "price": price });
        let schedule = |seats: Value| json!([{ "date": day, "seats": seats }]);
        let section = |rows: Value, a_row: Value| json!([{ "date": day, "sections": [{ "section": "R", "price": 1, "rows": rows, "seatsPerRow": a_row }] }]);
        let fine = || schedule(json!([seat(json!(1), json!(1))]));
        let many: Vec<_> = (0..101).map(|_| fine()[0].clone()).collect();
        let crowd: Vec<_> = (1..=20_001).map(|number| seat(json!(number), json!(1))).collect();
        let gone = (app.app.concerts.today() - chrono::Days::new(1)).to_string();
        let cases = [
            (json!({ "title": "", "schedules": fine() }), "title"),
            (json!({ "title": "x".repeat(201), "schedules": fine() }), "title"),
            (json!({ "title": "a\u{0}b", "schedules": fine() }), "title"),
            (json!({ "title": "  ", "schedules": fine() }), "title"),
            (json!({ "title": "t", "queue": "No!", "schedules": fine() }), "queue"),
            (json!({ "title": "t", "colour": "red", "schedules": fine() }), "colour"),
            (json!({ "title": "t", "schedules": many }), "schedules are 100"),
            (json!({ "title": "t", "schedules": [fine()[0], fine()[0]] }), "twice"),
            (
                json!({ "title": "t", "schedules": [{ "date": "2026-02-30", "seats": two_seats() }] }),
                "schedules[0].date",
            ),
            (json!({ "title": "t", "schedules": [{ "date": gone, "seats": two_seats() }] }), "is over"),
            (json!({ "title": "t", "schedules": [{ "date": day }] }), "one of them"),
            (json!({ "title": "t", "schedules": [{ "date": day, "seats": two_seats(), "sections": [] }] }), "not both"),
            (json!({ "title": "t", "schedules": schedule(json!([])) }), "not 0"),
            (json!({ "title": "t", "schedules": schedule(json!(crowd)) }), "not 20001"),
            (
                json!({ "title": "t", "schedules": schedule(json!([seat(json!(5), json!(1)), seat(json!(5), json!(1))])) }),
                "number 5 twice",
            ),
            (json!({ "title": "t", "schedules": schedule(json!([seat(json!(0), json!(1))])) }), "seats[0].number"),
            (
                json!({ "title": "t", "schedules": schedule(json!([seat(json!(2_147_483_648_i64), json!(1))])) }),
                "seats[0].number",
            ),
            (json!({ "title": "t", "schedules": schedule(json!([seat(json!(1.5), json!(1))])) }), "1.5"),
            (json!({ "title": "t", "schedules": schedule(json!([seat(json!(1), json!(-1))])) }), "seats[0].price"),
            (
                json!({ "title": "t", "schedules": schedule(json!([seat(json!(1), json!(1_000_000_000_001_i64))])) }),
                "seats[0].price",
            ),
            (json!({ "title": "t", "schedules": section(json!([]), json!(5)) }), "sections[0].rows"),
            (json!({ "title": "t", "schedules": section(json!(["A", "A"]), json!(5)) }), "row A of section R twice"),
            (json!({ "title": "t", "schedules": section(json!(["A"]), json!(0)) }), "seatsPerRow"),
            (json!({ "title": "t", "schedules": section(json!(["A"]), json!(i64::MAX)) }), "seatsPerRow"),
            (json!({ "title": "t", "schedules": section(json!(["A", "B"]), json!(10_001)) }), "not 20002"),
        ];
        for (body, named) in cases {
            let answer = app.operate("POST", "/concerts", body).await;
            answer.assert_error(400, "INVALID_REQUEST");
            let message = answer.body["error"]["message"].as_str().unwrap();
            assert!(message.contains(named), "{named}: {message}");
        }
        assert_eq!(app.number("SELECT count(*) FROM concert").await, 10);
        assert_eq!(app.number("SELECT count(*) FROM queue").await, 1);
        assert_eq!(app.log_rows().await, 0);
    });
}

#[test]
fn a_plan_may_be_large_and_nothing_else() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let key = format!("Bearer {KEY}");
        let padded = |bytes: usize| " ".repeat(bytes) + "{}";
        for (path, limit) in [("/concerts", 2 << 20), ("/concerts/1/schedules", 2 << 20), ("/queues", 16 << 10)] {
            let path = format!("/admin/v1{path}");
            let send =
                async |bytes| app.ask("POST", &path).header("authorization", &key).json(padded(bytes)).send().await;
            send(limit - 2).await.assert_error(400, "INVALID_REQUEST");
            send(limit - 1).await.assert_error(413, "PAYLOAD_TOO_LARGE");
        }
    });
}
