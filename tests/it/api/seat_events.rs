//! What changes in a schedule, as events over a real socket.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{PRICE, assert_fields};
use crate::support::{Event, OwnServers, SLACK, TestApp, block_on, eventually, serve_settings};

/// What another instance's change may take to show.
const SHOWS_WITHIN: Duration = Duration::from_secs(1);

/// Asserts that the event says of these seats what they are, and of no others.
#[track_caller]
fn assert_seats(event: Option<Event>, name: &str, seats: &[(i64, &str)]) -> Event {
    let event = event.unwrap();
    let seats: Vec<Value> = seats.iter().map(|(id, status)| json!({ "concertSeatId": id, "status": status })).collect();
    assert_eq!((&*event.name, &event.data["seats"]), (name, &json!(seats)), "{event:?}");
    assert_fields(&event.data, &["version", "seats"]);
    assert_eq!(event.data["version"], event.id);
    assert!(!event.id.is_empty());
    event
}

#[test]
fn a_stream_tells_what_is_not_free_then_every_change() {
    block_on(async {
        let app = TestApp::start().await;
        let socket = app.serve().await;
        let (token, other) = (app.enter(1).await, app.enter(2).await);
        app.charge(1, PRICE).await.data();
        app.hold(&other, 1, 7).await.reservation();
        let mut events = socket.watch_seats(&token, 1, "").await;
        assert!(events.head.starts_with("HTTP/1.0 200"), "{}", events.head);
        assert!(events.head.contains("content-type: text/event-stream"), "{}", events.head);
        let first = assert_seats(events.next().await, "seats", &[(7, "HELD")]);
        assert!(events.retries.iter().all(|ms| (1000..=3000).contains(ms)) && !events.retries.is_empty());

        let sold = app.hold(&token, 1, 2).await.reservation();
        let held = assert_seats(events.next().await, "changes", &[(2, "HELD")]);
        assert_ne!(held.id, first.id);
        let lock = app.lock_wallet(1).await;
        let pay = app.pay(&token, sold);
        let rest = async {
            assert!(events.next_within(Duration::from_millis(700)).await.is_err(), "being paid for is held");
            lock.release().await;
            assert_seats(events.next().await, "changes", &[(2, "SOLD")]);
        };
        let (paid, ()) = tokio::join!(pay, rest);
        app.refund(1, paid.payment()).await.data();
        assert_seats(events.next().await, "changes", &[(2, "FREE")]);
        app.leave(&other).await.data();
        assert_seats(events.next().await, "changes", &[(7, "FREE")]);

        let token = app.enter(3).await;
        app.hold(&token, 2, 51).await.reservation();
        app.hold_many(&token, 1, &[4, 3]).await.held_many();
        assert_seats(events.next().await, "changes", &[(3, "HELD"), (4, "HELD")]);
    });
}

#[test]
fn a_lapse_shows_by_itself() {
    block_on(async {
        let app = TestApp::with(&["--hold-ttl-seconds", "1"]).await;
        let socket = app.serve().await;
        let token = app.enter(1).await;
        let mut events = socket.watch_seats(&token, 1, "").await;
        assert_seats(events.next().await, "seats", &[]);
        app.hold(&token, 1, 1).await.reservation();
        assert_seats(events.next().await, "changes", &[(1, "HELD")]);
        assert_seats(events.next_within(SHOWS_WITHIN * 2 + SLACK).await.unwrap(), "changes", &[(1, "FREE")]);
    });
}

#[test]
fn another_instances_change_shows_in_time_and_a_loss_as_what_it_changed() {
    block_on(async {
        let app = TestApp::start().await;
        let second = app.second().await;
        let socket = second.serve().await;
        let (watcher, token) = (app.enter(1).await, app.enter(2).await);
        app.charge(2, PRICE).await.data();
        let mut events = socket.watch_seats(&watcher, 1, "").await;
        assert_seats(events.next().await, "seats", &[]);
        let begun = Instant::now();
        let paid = app.hold(&token, 1, 1).await.reservation();
        assert_seats(events.next().await, "changes", &[(1, "HELD")]);
        assert!(begun.elapsed() < SHOWS_WITHIN + SLACK, "{:?}", begun.elapsed());
        app.hold(&token, 1, 2).await.reservation();
        assert_seats(events.next().await, "changes", &[(2, "HELD")]);
        app.pay(&token, paid).await.payment();
        let sold = assert_seats(events.next().await, "changes", &[(1, "SOLD")]);

        app.forget_redis().await;
        let lost = assert_seats(events.next().await, "changes", &[(2, "FREE")]);
        let generation = |event: &Event| event.id.split('-').next().map(str::to_owned);
        assert_ne!(generation(&lost), generation(&sold), "the map was built anew");
    });
}

#[test]
fn whoever_has_seen_the_latest_is_told_only_what_comes_then() {
    block_on(async {
        let app = TestApp::start().await;
        let second = app.second().await;
        let sockets = [app.serve().await, second.serve().await];
        let (token, other) = (app.enter(1).await, app.enter(2).await);
        let mut events = sockets[0].watch_seats(&token, 1, "").await;
        let first = assert_seats(events.next().await, "seats", &[]);
        app.hold(&other, 1, 1).await.reservation();
        let held = assert_seats(events.next().await, "changes", &[(1, "HELD")]);
        drop(events);
        for last in [&*first.id, "0", "nonsense", ""] {
            let mut again = sockets[1].watch_seats(&token, 1, &format!("Last-Event-ID: {last}\r\n")).await;
            assert_eq!(assert_seats(again.next().await, "seats", &[(1, "HELD")]).id, held.id);
        }
        let knows = format!("Last-Event-ID: {}\r\n", held.id);
        for (socket, seat) in sockets.iter().zip(2..) {
            assert!(!second.free_by_now(&token, 1).await.contains(&(seat - 1)));
            let mut again = socket.watch_seats(&token, 1, if seat == 2 { &knows } else { "" }).await;
            if seat == 2 {
                again.next_within(Duration::from_millis(700)).await.unwrap_err();
            } else {
                assert_seats(again.next().await, "seats", &[(1, "HELD"), (2, "HELD")]);
            }
            app.hold(&other, 1, seat).await.reservation();
            assert_seats(again.next().await, "changes", &[(seat, "HELD")]);
        }
    });
}

#[test]
fn seats_are_watched_by_whose_turn_it_is() {
    block_on(async {
        let app = TestApp::without_jobs(&["--max-active", "1"]).await;
        let socket = app.serve().await;
        let (token, waiting) = (app.enter(1).await, app.enter(2).await);
        app.add_queue("other", 2).await;
        let refused = async |token: &str, schedule: &str| {
            let path = format!("/api/v1/concerts/schedules/{schedule}/events?token={token}");
            let events = socket.ask(&path, "").await;
            let status = events.head.split(' ').nth(1).unwrap().to_owned();
            assert_ne!(status, "200", "{path}");
            (status, events.body().await["error"]["code"].as_str().unwrap().to_owned())
        };
        let cases = [
            ("", "1", "401", "INVALID_TOKEN"),
            (&token[1..], "1", "401", "INVALID_TOKEN"),
            (&*waiting, "1", "403", "TOKEN_NOT_ACTIVE"),
            (&*token, "4", "403", "WRONG_QUEUE"),
            (&*token, "31", "404", "SCHEDULE_NOT_FOUND"),
            (&*token, "01", "400", "INVALID_REQUEST"),
        ];
        for (token, schedule, status, code) in cases {
            assert_eq!(refused(token, schedule).await, (status.to_owned(), code.to_owned()), "{schedule}");
        }
        let mut events = socket.ask(&format!("/api/v1/concerts/schedules/1/events?token={token}"), "").await;
        assert_seats(events.next().await, "seats", &[]);
        app.leave(&token).await.data();
        assert_eq!(refused(&token, "1").await, ("401".to_owned(), "TOKEN_EXPIRED".to_owned()));
    });
}

#[test]
fn a_stream_ends_with_the_turn_and_goes_on_if_that_was_put_off() {
    block_on(async {
        let app = TestApp::with(&["--active-ttl-seconds", "3"]).await;
        let socket = app.serve().await;
        let (idle, holder) = (app.enter(1).await, app.enter(2).await);
        let begun = Instant::now();
        let mut streams = [socket.watch_seats(&idle, 1, "").await, socket.watch_seats(&holder, 1, "").await];
        app.hold(&holder, 1, 1).await.reservation();
        for stream in &mut streams {
            while stream.next().await.is_some() {}
            assert!(begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
            assert!(begun.elapsed() < Duration::from_secs(4) + SLACK, "{:?}", begun.elapsed());
        }
        let mut again = socket.watch_seats(&holder, 1, "").await;
        assert_seats(again.next().await, "seats", &[(1, "HELD")]);
        assert!(socket.watch_seats(&idle, 1, "").await.head.starts_with("HTTP/1.0 401"));
    });
}

#[test]
fn streams_are_bounded_a_user_and_an_instance() {
    block_on(async {
        let app = TestApp::with(&["--max-streams", "6"]).await;
        let (socket, first, second) = (app.serve().await, app.enter(1).await, app.enter(2).await);
        let mut streams = Vec::new();
        for schedule in [1, 2, 1, 2, 1] {
            let mut stream = socket.watch_seats(&second, schedule, "").await;
            assert_seats(stream.next().await, "seats", &[]);
            streams.push(stream);
        }
        assert_eq!(streams[0].next().await, None, "the fifth ends the first");
        for stream in &mut streams[1..] {
            assert!(stream.next_within(Duration::from_millis(100)).await.is_err(), "and no other");
        }
        let _two = [socket.watch_seats(&first, 1, "").await, socket.watch_seats(&first, 3, "").await];
        let refused = socket.watch_seats(&first, 1, "").await;
        assert!(refused.head.starts_with("HTTP/1.0 503") && refused.head.contains("retry-after"), "{}", refused.head);
        assert_eq!(refused.body().await["error"]["code"], "UNAVAILABLE");
        assert!(socket.watch(&first).await.head.starts_with("HTTP/1.0 200"), "a token's streams are counted apart");
        drop(streams);
        let room = async || socket.watch_seats(&first, 1, "").await.head.starts_with("HTTP/1.0 200");
        eventually("who has gone makes room", Duration::from_secs(2), room).await;
    });
}

#[test]
fn a_shutdown_ends_streams_of_seats_and_begins_none() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let (socket, token) = (app.serve().await, app.enter(1).await);
        let mut events = socket.watch_seats(&token, 1, "").await;
        assert_seats(events.next().await, "seats", &[]);
        app.app.begin_drain();
        assert_eq!(events.next_within(Duration::from_secs(1) + SLACK).await, Ok(None));
        assert_eq!(events.retries.len(), 2, "at the beginning and at the end");
        assert!(socket.watch_seats(&token, 1, "").await.head.starts_with("HTTP/1.0 503"));
    });
}

#[test]
fn a_stream_without_changes_shows_that_it_lives() {
    block_on(async {
        let app = TestApp::start().await;
        let (socket, token) = (app.serve().await, app.enter(1).await);
        let mut events = socket.watch_seats(&token, 1, "").await;
        assert_seats(events.next().await, "seats", &[]);
        events.next_within(Duration::from_secs(15)).await.unwrap_err();
        assert!(events.comments >= 1, "a comment at least every 15 s");
    });
}

#[test]
fn two_hundred_streams_of_a_schedule_cost_redis_no_more_than_one() {
    block_on(async {
        let servers = OwnServers::start().await;
        let (database, redis) = (servers.servers.postgres.url(), servers.servers.redis.url());
        let stores = ["--database-url", &database, "--redis-url", &redis, "--admit-per-second", "1000"];
        // Without jobs, so that nothing else is counted.
        let app = TestApp::from_settings(serve_settings(&stores)).await;
        let socket = app.serve().await;
        let looks = async || {
            let before = servers.scripts_run().await;
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                app.app.seats.feed().await.unwrap();
            }
            servers.scripts_run().await - before
        };
        let mut streams = Vec::new();
        for user in 1..=200 {
            let token = app.enter(user).await;
            let mut stream = socket.watch_seats(&token, 1, "").await;
            assert_seats(stream.next().await, "seats", &[]);
            streams.push(stream);
            if user == 1 {
                assert_eq!(looks().await, 5, "one look a run");
            }
        }
        assert_eq!(looks().await, 5, "one look a run");
        app.hold(&app.enter(1).await, 1, 1).await.reservation();
        app.app.seats.feed().await.unwrap();
        for stream in &mut streams {
            assert_seats(stream.next().await, "changes", &[(1, "HELD")]);
        }
        drop(streams);
        let idle = async || looks().await == 0;
        eventually("nobody watches, nobody asks", Duration::from_secs(5), idle).await;
        drop(app);
        servers.stop().await;
    });
}
