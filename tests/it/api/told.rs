//! What those who wait are told when it is not only a matter of time: before the opening, while the queue is paused, and by
//! way of several instances.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::PRICE;
use crate::support::{Event, Events, SLACK, TestApp, block_on, eventually};

const ONE: [&str; 2] = ["--max-active", "1"];

/// What an instance knows is a second old at the most.
const SOON: Duration = Duration::from_secs(2);

pub(super) async fn set(app: &TestApp, assignment: &'static str) {
    let update = sqlx::AssertSqlSafe(format!("UPDATE queue SET {assignment} WHERE id = 1"));
    sqlx::query(update).execute(app.pool()).await.unwrap();
    app.refresh().await;
}

/// The next event, which must come soon.
async fn soon(events: &mut Events) -> Event {
    events.next_within(SOON + SLACK).await.unwrap().unwrap()
}

#[test]
fn while_a_queue_is_paused_no_wait_is_made_up() {
    block_on(async {
        let app = TestApp::with(&ONE).await;
        let (socket, active, token) = (app.serve().await, app.enter(1).await, app.enter(2).await);
        assert!(app.rank(&token).await.data()["estimatedWaitSeconds"]["high"].is_u64());
        set(&app, "paused = true").await;
        for events in [None, Some(socket.watch(&token).await)] {
            let told = match events {
                Some(mut events) => soon(&mut events).await.data,
                None => app.rank(&token).await.data().clone(),
            };
            assert_eq!((&told["status"], &told["rank"]), (&json!("WAITING"), &json!(0)), "{told}");
            assert_eq!(told["estimatedWaitSeconds"], Value::Null, "nobody knows");
            assert!(told["expiresAt"].is_string() && told["pollAfterMillis"].is_u64(), "{told}");
        }
        let whose_turn_it_is = app.rank(&active).await;
        assert_eq!(whose_turn_it_is.data()["estimatedWaitSeconds"], json!({"low": 0, "high": 0}));
        set(&app, "paused = false").await;
        assert!(app.rank(&token).await.data()["estimatedWaitSeconds"]["high"].is_u64());
    });
}

#[test]
fn before_the_opening_all_others_come_first_at_worst_and_the_wait_is_longer_than_to_the_opening() {
    block_on(async {
        let app = TestApp::with(&ONE).await;
        let socket = app.serve().await;
        set(&app, "opens_at = now() + interval '1 hour'").await;
        let tokens = [app.enter(1).await, app.enter(2).await, app.enter(3).await];
        let mut streams = Vec::new();
        for (token, entry) in tokens.iter().zip(1..) {
            let mut events = socket.watch(token).await;
            let event = soon(&mut events).await;
            // A poll is not the last one: each asks Redis, since the order is not known yet.
            for rank in [app.rank(token).await, app.rank(token).await] {
                assert_eq!(rank.header("draw-entry"), entry.to_string());
                assert_eq!(rank.header("draw-place"), "");
                for told in [rank.data(), &event.data] {
                    assert_eq!((&told["status"], &told["rank"]), (&json!("WAITING"), &json!(2)), "{told}");
                    let low = told["estimatedWaitSeconds"]["low"].as_u64().unwrap();
                    assert!((3500..=3600).contains(&low), "{told}");
                }
            }
            streams.push(events);
        }

        set(&app, "opens_at = now() - interval '1 second'").await;
        let mut ranks = Vec::new();
        for ((token, events), entry) in tokens.iter().zip(&mut streams).zip(1..) {
            let drawn = async || !app.rank(token).await.header("draw-place").is_empty();
            eventually("the draw", SOON + SLACK, drawn).await;
            let rank = app.rank(token).await;
            assert_eq!(rank.header("draw-entry"), entry.to_string(), "to check the draw with");
            let place: u64 = rank.header("draw-place").parse().unwrap();
            let expected = if place == 0 { Value::Null } else { json!(place - 1) };
            let settled = async || app.rank(token).await.data()["rank"] == expected;
            eventually("those before it are let in", SOON + SLACK, settled).await;
            // At first it may be told how it was before anybody was let in.
            let event = loop {
                let event = soon(events).await;
                if event.data["rank"] == expected {
                    break event;
                }
            };
            assert_eq!(event.name, if place == 0 { "active" } else { "position" });
            ranks.push(place);
        }
        ranks.sort_unstable();
        assert_eq!(ranks, [0, 1, 2]);
        app.audit().await;
    });
}

#[test]
fn whoever_asks_now_here_now_there_has_one_rank_and_keeps_it() {
    block_on(async {
        let here = TestApp::with(&[&ONE[..], &["--waiting-ttl-seconds", "3"]].concat()).await;
        let there = here.second().await;
        let mut tokens = Vec::new();
        for user in 1..=4 {
            tokens.push(here.enter(user).await);
        }
        let polls = async |app: &TestApp, ranks: &[u64]| {
            for (token, rank) in tokens[tokens.len() - ranks.len()..].iter().zip(ranks) {
                let answer = app.rank(token).await;
                let told = (&answer.data()["status"], &answer.data()["rank"]);
                assert_eq!(told, (&json!("WAITING"), &json!(rank)));
            }
        };
        // Longer than anyone lives unseen: what one instance has seen keeps the place that the other tells of.
        for turn in 0..9 {
            polls([&here, &there][turn % 2], &[0, 1, 2]).await;
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
        there.leave(&tokens[1]).await.data();
        tokio::time::sleep(Duration::from_secs(1)).await;
        polls(&here, &[0, 1]).await;
        polls(&there, &[0, 1]).await;
        here.audit().await;
    });
}

#[test]
fn a_stream_tells_what_another_instance_has_done() {
    // By the snapshot of its own scheduler; and without one, by asking Redis.
    for with_jobs in [true, false] {
        block_on(async {
            let here = TestApp::without_jobs(&ONE).await;
            let there = here.second().await;
            let queues = Arc::clone(&here.app.queues);
            let feed = async move {
                loop {
                    queues.feed().await.unwrap();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            if with_jobs {
                here.start_jobs().await;
            }
            let feed = tokio::spawn(async move { if with_jobs { std::future::pending().await } else { feed.await } });
            let (socket, first, token) = (here.serve().await, there.enter(1).await, there.enter(2).await);
            let mut events = socket.watch(&token).await;
            assert_eq!(soon(&mut events).await.name, "position");
            there.leave(&first).await.data();
            there.promote().await;
            let active = soon(&mut events).await;
            assert_eq!((&*active.name, &active.data["status"]), ("active", &json!("ACTIVE")));

            there.charge(2, PRICE).await.data();
            let reservation = there.hold(&token, 1, 1).await.reservation();
            there.pay(&token, reservation).await.payment();
            let end = loop {
                // The hold may have put the end off.
                let event = soon(&mut events).await;
                if event.name != "active" {
                    break event;
                }
            };
            assert_eq!((&*end.name, &end.data["status"]), ("expired", &json!("COMPLETED")));
            assert_eq!(events.next().await, None);
            feed.abort();
        });
    }
}
