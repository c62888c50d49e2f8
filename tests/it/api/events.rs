//! A token's events, over a real socket.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PRICE;
use crate::support::{Event, Events, OwnServers, SLACK, TestApp, block_on, eventually};

const ONE: [&str; 2] = ["--max-active", "1"];

#[track_caller]
fn assert_event(event: Option<Event>, name: &str, status: &str, rank: &Value) -> Event {
    let Some(event) = event else { unreachable!("the stream has ended") };
    assert_eq!((&*event.name, &event.data["status"], &event.data["rank"]), (name, &json!(status), rank), "{event:?}");
    super::assert_fields(
        &event.data,
        &["status", "rank", "ahead", "estimatedWaitSeconds", "pollAfterMillis", "expiresAt"],
    );
    assert_ne!(event.number(), 0, "every event has an id");
    event
}

#[test]
fn a_stream_tells_the_position_then_the_turn_then_the_end() {
    block_on(async {
        let app = TestApp::with(&ONE).await;
        let socket = app.serve().await;
        let tokens = [app.enter(1).await, app.enter(2).await, app.enter(3).await];
        let mut second = socket.watch(&tokens[1]).await;
        let mut third = socket.watch_by_query(&tokens[2], "").await;
        for head in [&second.head, &third.head] {
            assert!(head.starts_with("HTTP/1.0 200") && head.contains("content-type: text/event-stream"), "{head}");
        }
        assert_event(second.next().await, "position", "WAITING", &json!(0));
        let first = assert_event(third.next().await, "position", "WAITING", &json!(1));

        app.leave(&tokens[0]).await.data();
        let left = Instant::now();
        let active = assert_event(second.next().await, "active", "ACTIVE", &Value::Null);
        assert!(left.elapsed() < Duration::from_secs(1) + SLACK, "{:?}", left.elapsed());
        assert!(active.data["expiresAt"].is_string());
        let moved = assert_event(third.next().await, "position", "WAITING", &json!(0));
        assert!(moved.number() > first.number());

        app.charge(2, PRICE).await.data();
        let reservation = app.hold(&tokens[1], 1, 1).await.reservation();
        app.pay(&tokens[1], reservation).await.payment();
        let end = loop {
            let event = second.next().await;
            // The hold may have put the end off.
            if event.as_ref().is_some_and(|event| event.name != "active") {
                break event;
            }
        };
        assert_event(end, "expired", "COMPLETED", &Value::Null);
        assert_eq!(second.next().await, None, "the stream ends with the token");
        assert_event(third.next().await, "active", "ACTIVE", &Value::Null);
        app.leave(&tokens[2]).await.data();
        assert_event(third.next().await, "expired", "EXPIRED", &Value::Null);
        assert_eq!(third.next().await, None);
        let mut late = socket.watch(&tokens[2]).await;
        assert_event(late.next().await, "expired", "EXPIRED", &Value::Null);
        assert_eq!(late.next().await, None);
    });
}

#[test]
fn whoever_comes_again_is_told_what_is_now() {
    block_on(async {
        let app = TestApp::with(&ONE).await;
        let (socket, _active, token) = (app.serve().await, app.enter(1).await, app.enter(2).await);
        let mut events = socket.watch(&token).await;
        let first = assert_event(events.next().await, "position", "WAITING", &json!(0));
        assert!(events.retries.iter().all(|ms| (1000..=3000).contains(ms)) && !events.retries.is_empty());
        drop(events);
        for last in [first.id.clone(), "0".to_owned(), "nonsense".to_owned()] {
            let mut again = socket.watch_by_query(&token, &format!("Last-Event-ID: {last}\r\n")).await;
            let event = assert_event(again.next().await, "position", "WAITING", &json!(0));
            assert!(event.number() > first.number());
        }
    });
}

#[test]
fn without_a_token_of_this_service_there_is_no_stream() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let socket = app.serve().await;
        let token = app.enter(1).await;
        for events in [socket.watch(&token[1..]).await, socket.watch_by_query("", "").await, socket.watch("").await] {
            assert!(events.head.starts_with("HTTP/1.0 401"), "{}", events.head);
            assert_eq!(events.body().await["error"]["code"], "INVALID_TOKEN");
        }
    });
}

#[test]
fn streams_are_bounded_a_token_and_an_instance() {
    block_on(async {
        let app = TestApp::with(&[&ONE[..], &["--max-streams", "6"]].concat()).await;
        let (socket, first, second) = (app.serve().await, app.enter(1).await, app.enter(2).await);
        let mut streams = Vec::new();
        for _ in 0..5 {
            let mut stream = socket.watch(&second).await;
            assert_event(stream.next().await, "position", "WAITING", &json!(0));
            streams.push(stream);
        }
        assert_eq!(streams[0].next().await, None, "the fifth ends the first");
        let _two: [Events; 2] = [socket.watch(&first).await, socket.watch(&first).await];
        let refused = socket.watch(&first).await;
        assert!(refused.head.starts_with("HTTP/1.0 503") && refused.head.contains("retry-after"), "{}", refused.head);
        assert_eq!(refused.body().await["error"]["code"], "UNAVAILABLE");
        drop(streams);
        let room = async || socket.watch(&first).await.head.starts_with("HTTP/1.0 200");
        eventually("who has gone makes room", Duration::from_secs(2), room).await;
    });
}

#[test]
fn a_shutdown_ends_streams_and_begins_none() {
    block_on(async {
        let app = TestApp::with(&ONE).await;
        let (socket, _active, token) = (app.serve().await, app.enter(1).await, app.enter(2).await);
        let mut events = socket.watch(&token).await;
        assert_event(events.next().await, "position", "WAITING", &json!(0));
        app.app.begin_drain();
        assert_eq!(events.next_within(Duration::from_secs(1) + SLACK).await, Ok(None));
        assert_eq!(events.retries.len(), 2, "at the beginning and at the end");
        assert!(socket.watch(&token).await.head.starts_with("HTTP/1.0 503"));
    });
}

#[test]
fn a_silent_stream_shows_that_it_lives_and_keeps_its_token_alive_until_it_is_gone() {
    block_on(async {
        let app = TestApp::with(&[&ONE[..], &["--waiting-ttl-seconds", "3"]].concat()).await;
        let (socket, _active, token) = (app.serve().await, app.enter(1).await, app.enter(2).await);
        let mut events = socket.watch(&token).await;
        assert_event(events.next().await, "position", "WAITING", &json!(0));
        events.next_within(Duration::from_secs(15)).await.unwrap_err();
        assert!(events.comments >= 1, "a comment at least every 15 s");
        assert_eq!(app.rank(&token).await.data()["status"], "WAITING", "seen long after its 3 s");
        drop(events);
        tokio::time::sleep(Duration::from_secs(3) + SLACK).await;
        assert_eq!(app.rank(&token).await.data()["status"], "EXPIRED", "not seen any more");
    });
}

#[test]
fn a_thousand_streams_cost_redis_no_more_than_one_and_outlive_two_losses() {
    block_on(async {
        let servers = OwnServers::start().await;
        let (database, redis) = (servers.servers.postgres.url(), servers.servers.redis.url());
        let app = servers.app_at(&database, &redis, &ONE).await;
        let socket = app.serve().await;
        let first = app.enter(1).await;
        let mut streams = Vec::new();
        for user in 2..=1001 {
            let mut stream = socket.watch(&app.enter(user).await).await;
            stream.next().await.unwrap();
            streams.push(stream);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = servers.scripts_run().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let run = servers.scripts_run().await - before;
        // The jobs alone take some 30 steps a second, most of them sweeps of 30 schedules.
        assert!(run < 400, "{run} scripts in 3 s");

        for _ in 0..2 {
            servers.redis(&["FLUSHALL"]).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        app.rank(&first).await.data();
        app.leave(&first).await;
        let next = streams[0].next_but_position().await;
        assert_event(next, "active", "ACTIVE", &Value::Null);
        let mut last = streams.pop().unwrap();
        let position = loop {
            let event = last.next().await.unwrap();
            if event.data["ahead"] == 998 {
                break event;
            }
        };
        assert_event(Some(position), "position", "WAITING", &json!(998));
        drop(app);
        servers.stop().await;
    });
}
