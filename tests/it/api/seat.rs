//! Call 3: the seats that are free now, and how soon a change shows.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{NO_IDS, assert_fields};
use crate::support::{Answer, SLACK, TestApp, block_on, eventually, schedule};

const SEATS: &str = "/api/v1/concerts/schedules/1/seats";

/// What another instance's change may take to show.
const SHOWS_WITHIN: Duration = Duration::from_millis(250);

async fn seats_unless(app: &TestApp, token: &str, etag: &str) -> Answer {
    app.ask("GET", SEATS).header("token", token).header("if-none-match", etag).send().await
}

#[test]
fn seats_are_ids_and_numbers_by_number() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        let (schedule, seats) = app.add_schedule(1, 9, 12).await;
        let path = format!("/api/v1/concerts/schedules/{schedule}/seats");
        let answer = app.get(&path, &token).await;
        assert_fields(answer.data(), &["seats"]);
        let expected: Vec<Value> =
            seats.iter().zip(1..).map(|(id, number)| json!({"concertSeatId": id, "seatNumber": number})).collect();
        assert_eq!(answer.data()["seats"], json!(expected));
        assert_eq!(answer.header("content-type"), "application/json");

        app.hold(&token, schedule, seats[3]).await.reservation();
        let mut left = seats.clone();
        left.remove(3);
        assert_eq!(app.free_seats(&token, schedule).await, left);
    });
}

#[test]
fn unknown_schedules_and_bad_ids() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        for unknown in ["31", "9007199254740991"] {
            let answer = app.get(&format!("/api/v1/concerts/schedules/{unknown}/seats"), &token).await;
            answer.assert_error(404, "SCHEDULE_NOT_FOUND");
        }
        for bad in NO_IDS.iter().chain(&["%20", "%FF"]) {
            let answer = app.get(&format!("/api/v1/concerts/schedules/{bad}/seats"), &token).await;
            answer.assert_error(400, "INVALID_REQUEST");
        }
    });
}

#[test]
fn an_etag_saves_what_has_not_changed() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (token, other) = (app.enter(1).await, app.enter(2).await);
        let first = app.get(SEATS, &token).await;
        let etag = first.header("etag").to_owned();
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");

        for same in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
            let answer = seats_unless(&app, &other, &same).await;
            assert_eq!((answer.status.as_u16(), &answer.body), (304, &Value::Null), "{same}");
            assert_eq!(answer.header("etag"), etag);
            assert!(!answer.header("x-request-id").is_empty());
        }
        seats_unless(&app, &token, "\"x\"").await.data();

        app.hold(&other, 1, 1).await.reservation();
        let changed = seats_unless(&app, &token, &etag).await;
        assert_eq!(changed.data()["seats"].as_array().unwrap().len(), 49);
        assert_ne!(changed.header("etag"), etag);

        app.leave(&token).await.data();
        seats_unless(&app, &token, "*").await.assert_error(401, "TOKEN_EXPIRED");
    });
}

#[test]
fn an_instances_own_change_shows_in_its_next_answer() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let watcher = app.enter(1).await;
        app.charge(2, 10_000_000).await.data();
        assert_eq!(app.free_seats(&watcher, 1).await.len(), 50);
        for seat in 1..=20 {
            let token = app.enter(2).await;
            let reservation = app.hold(&token, 1, seat).await.reservation();
            assert!(!app.free_seats(&watcher, 1).await.contains(&seat), "held");
            if seat % 2 == 0 {
                app.leave(&token).await.data();
                assert!(app.free_seats(&watcher, 1).await.contains(&seat), "given up");
            } else {
                app.pay(&token, reservation).await.payment();
                assert!(!app.free_seats(&watcher, 1).await.contains(&seat), "sold");
            }
        }
    });
}

#[test]
fn another_instances_change_shows_in_time() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let second = app.second().await;
        let (watcher, token) = (app.enter(1).await, app.enter(2).await);
        for seat in 1..=4 {
            assert!(second.free_seats(&watcher, 1).await.contains(&seat));
            app.hold(&token, 1, seat).await.reservation();
            tokio::time::sleep(SHOWS_WITHIN).await;
            assert!(!second.free_seats(&watcher, 1).await.contains(&seat));
        }
        app.leave(&token).await.data();
        tokio::time::sleep(SHOWS_WITHIN).await;
        assert_eq!(second.free_seats(&watcher, 1).await.len(), 50);
    });
}

#[test]
fn a_lapsed_hold_frees_its_seat_by_itself() {
    block_on(async {
        let app = TestApp::with(&["--hold-ttl-seconds", "1"]).await;
        let token = app.enter(1).await;
        let begun = Instant::now();
        let lapsing = app.hold(&token, 1, 1).await.reservation();
        // Looking at the map from the side changes nothing, so nobody but the scheduler can free the seat.
        let is_free = async || {
            let map = app.app.seats.audit(schedule(1), Duration::from_hours(1)).await.unwrap();
            map.unwrap().states[0] == b'F'
        };
        assert!(!is_free().await);
        eventually("the seat is free", Duration::from_secs(2) + SLACK, is_free).await;
        let took = begun.elapsed();
        assert!(took > Duration::from_millis(950), "it was held for its second, not {took:?}");
        // The list may be of a moment before.
        eventually("the list has it", SLACK, async || app.free_seats(&token, 1).await.len() == 50).await;
        assert!(app.hold(&app.enter(2).await, 1, 1).await.reservation() != lapsing);
    });
}

#[test]
fn a_lapsed_hold_is_free_to_whoever_asks_even_without_the_scheduler() {
    block_on(async {
        let app = TestApp::without_jobs(&["--hold-ttl-seconds", "2"]).await;
        let (token, other) = (app.enter(1).await, app.enter(2).await);
        app.hold(&token, 1, 1).await.reservation();
        app.hold(&other, 1, 1).await.assert_error(409, "SEAT_TAKEN");
        tokio::time::sleep(Duration::from_millis(2200)).await;
        assert_eq!(app.free_seats(&other, 1).await.len(), 50);
        app.hold(&other, 1, 1).await.reservation();
    });
}

const MAP: &str = "/api/v1/concerts/schedules/1/seat-map";

#[test]
fn the_seat_map_shows_every_seat_by_number() {
    block_on(async {
        let app = TestApp::without_jobs(&["--max-holds-per-user", "20"]).await;
        let (token, other) = (app.enter(1).await, app.enter(2).await);
        app.charge(1, 200_000).await.data();
        let sold = app.hold(&token, 1, 2).await.reservation();
        app.hold(&token, 1, 21).await.reservation();
        app.pay(&token, sold).await.payment();
        let answer = app.get(MAP, &other).await;
        assert_fields(answer.data(), &["concertScheduleId", "seats"]);
        assert_eq!(answer.data()["concertScheduleId"], 1);
        let seats = answer.data()["seats"].as_array().unwrap();
        let seat = |id: i64, section: &str, row: &str, price: i64, status: &str| json!({"concertSeatId": id, "section": section, "row": row, "seatNumber": id, "price": price, "status": status});
        assert_eq!(seats.len(), 50);
        assert_eq!(seats[0], seat(1, "R", "A", 200_000, "FREE"));
        assert_eq!(seats[1], seat(2, "R", "A", 200_000, "SOLD"));
        assert_eq!(seats[20], seat(21, "S", "C", 120_000, "HELD"));
        let numbers: Vec<_> = seats.iter().map(|seat| seat["seatNumber"].as_i64().unwrap()).collect();
        assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
        assert_eq!(seats.iter().filter(|seat| seat["status"] == "FREE").count(), 48);
        assert_eq!(answer.header("cache-control"), "private, no-cache");

        let (schedule, _) = app.add_schedule(1, 9, 12).await;
        let backwards = app.get(&format!("/api/v1/concerts/schedules/{schedule}/seat-map"), &other).await;
        let seats = backwards.data()["seats"].as_array().unwrap();
        assert!(seats.iter().zip(1..).all(|(seat, number)| seat["seatNumber"] == number), "whatever their position");
    });
}

#[test]
fn the_seat_map_is_sent_again_only_when_it_has_changed() {
    block_on(async {
        let app = TestApp::without_jobs(&["--hold-ttl-seconds", "2"]).await;
        let (token, other) = (app.enter(1).await, app.enter(2).await);
        let ask =
            async |etag: &str| app.ask("GET", MAP).header("token", &token).header("if-none-match", etag).send().await;
        let free = app.get(MAP, &token).await.header("etag").to_owned();
        assert_eq!(ask(&free).await.status.as_u16(), 304);
        app.hold(&other, 1, 1).await.reservation();
        let held = ask(&free).await;
        assert_eq!(held.data()["seats"][0]["status"], "HELD", "an instance's own change shows in its next answer");
        assert_eq!(ask(held.header("etag")).await.status.as_u16(), 304);
        app.leave(&other).await.data();
        assert_eq!(ask(held.header("etag")).await.header("etag"), free, "the same again is the same");

        app.hold(&token, 1, 1).await.reservation();
        app.forget_redis().await;
        let token = app.enter_active(1).await;
        let lost = app.get(MAP, &token).await;
        assert_eq!(lost.data()["seats"][0]["status"], "FREE", "after a loss the map is built anew");
    });
}

#[test]
fn the_seat_map_is_for_whose_turn_it_is() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        app.get("/api/v1/concerts/schedules/31/seat-map", &token).await.assert_error(404, "SCHEDULE_NOT_FOUND");
        app.get("/api/v1/concerts/schedules/x/seat-map", &token).await.assert_error(400, "INVALID_REQUEST");
        app.get(MAP, "x").await.assert_error(401, "INVALID_TOKEN");
        app.add_queue("other", 2).await;
        app.get("/api/v1/concerts/schedules/4/seat-map", &token).await.assert_error(403, "WRONG_QUEUE");
        app.leave(&token).await.data();
        app.get(MAP, &token).await.assert_error(401, "TOKEN_EXPIRED");
    });
}

/// What this call answers to who takes these codings.
async fn taking(app: &TestApp, path: &str, token: &str, codings: &str) -> Answer {
    app.ask("GET", path).header("token", token).header("accept-encoding", codings).send().await
}

#[test]
fn seats_are_compressed_for_who_takes_it_and_only_for_them() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        for path in [SEATS, MAP] {
            let plain = app.get(path, &token).await;
            assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"), "{path}");
            for refusing in ["", "identity", "br", "gzip;q=0", "*;q=0", "identity, gzip;q=0.5"] {
                let answer = taking(&app, path, &token, refusing).await;
                assert_eq!((answer.bytes, answer.headers.get("content-encoding")), (plain.bytes.clone(), None));
            }
            let packed = taking(&app, path, &token, "br, gzip").await;
            assert_eq!((packed.header("content-encoding"), packed.header("vary")), ("gzip", "accept-encoding"));
            assert_eq!(packed.header("content-type"), "application/json");
            assert!(packed.bytes.len() < plain.bytes.len() / 3, "{} of {}", packed.bytes.len(), plain.bytes.len());
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&packed.bytes[..]).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, plain.bytes, "the same to the byte");
            let again = taking(&app, path, &token, "gzip").await;
            assert_eq!(again.bytes.as_ptr(), packed.bytes.as_ptr(), "compressed once");

            let (strong, other) = (plain.header("etag"), packed.header("etag"));
            assert_ne!(strong, other, "another representation, another tag");
            for (known, codings) in [(strong, ""), (strong, "gzip"), (other, ""), (other, "gzip")] {
                let ask = app.ask("GET", path).header("token", &token).header("if-none-match", known);
                let answer = ask.header("accept-encoding", codings).send().await;
                assert_eq!((answer.status.as_u16(), answer.bytes.len()), (304, 0), "{known} {codings}");
                assert_eq!((answer.header("etag"), answer.header("vary")), (known, "accept-encoding"));
            }
        }
        app.hold(&token, 1, 1).await.reservation();
        let changed = taking(&app, SEATS, &token, "gzip").await;
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&changed.bytes[..]).read_to_string(&mut unpacked).unwrap();
        assert!(!unpacked.contains(r#""concertSeatId":1,"#), "an instance's own change shows in its next answer");
    });
}
