//! Ranks that are told without asking Redis: as right as those that it tells, and as good for being seen.

use std::time::Duration;

use serde_json::json;

use super::told::set;
use crate::support::{OwnServers, SLACK, TestApp, block_on, eventually};

const ONE: [&str; 2] = ["--max-active", "1"];

async fn status(app: &TestApp, token: &str) -> String {
    app.rank(token).await.data()["status"].as_str().unwrap().to_owned()
}

/// Who waits, with a short time to live unseen.
async fn short_lived() -> TestApp {
    TestApp::with(&[&ONE[..], &["--waiting-ttl-seconds", "3"]].concat()).await
}

#[test]
fn polls_of_those_who_wait_do_not_ask_redis() {
    block_on(async {
        let servers = OwnServers::start().await;
        let stores = [servers.servers.postgres.url(), servers.servers.redis.url()];
        let settings = ["--database-url", &stores[0], "--redis-url", &stores[1], "--max-active", "1"];
        let app = TestApp::from_settings(crate::support::serve_settings(&settings)).await;
        let mut tokens = Vec::new();
        for user in 1..=50 {
            tokens.push(app.enter(user).await);
        }
        app.rank(&tokens[49]).await.data();
        app.promote().await;
        let paused = servers.pause_redis();
        for (ahead, token) in tokens[1..].iter().enumerate() {
            let answer = app.rank(token).await;
            assert_eq!((&answer.data()["status"], &answer.data()["rank"]), (&json!("WAITING"), &json!(ahead)));
        }
        drop(paused);
        app.leave(&tokens[9]).await.data();
        assert_eq!(status(&app, &tokens[9]).await, "EXPIRED", "at once, where it has left");
        drop(app);
        servers.stop().await;
    });
}

#[test]
fn ranks_follow_within_a_second() {
    block_on(async {
        let app = TestApp::with(&ONE).await;
        let mut tokens = Vec::new();
        for user in 1..=8 {
            tokens.push(app.enter(user).await);
        }
        let ranks = async |of: &[usize]| {
            let mut ranks = Vec::new();
            for at in of {
                ranks.push(app.rank(&tokens[*at]).await.data()["rank"].clone());
            }
            ranks
        };
        assert_eq!(ranks(&[1, 4, 7]).await, [json!(0), json!(3), json!(6)]);
        app.leave(&tokens[2]).await.data();
        let limit = Duration::from_secs(1) + SLACK;
        let left = async || ranks(&[1, 4, 7]).await == [json!(0), json!(2), json!(5)];
        eventually("one has left", limit, left).await;
        app.leave(&tokens[0]).await.data();
        let let_in = async || ranks(&[1, 4, 7]).await == [json!(null), json!(1), json!(4)];
        eventually("one was let in", limit, let_in).await;
    });
}

#[test]
fn polls_that_redis_does_not_see_keep_the_place_and_their_end_ends_it() {
    block_on(async {
        let app = short_lived().await;
        let other = app.second().await;
        let (_active, token) = (app.enter(1).await, app.enter(2).await);
        for _ in 0..14 {
            assert_eq!(status(&app, &token).await, "WAITING");
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        assert_eq!(status(&other, &token).await, "WAITING", "another device, by way of another instance");
        tokio::time::sleep(Duration::from_secs(3) + SLACK).await;
        assert_eq!(status(&other, &token).await, "EXPIRED");
        assert_eq!(status(&app, &token).await, "EXPIRED");
    });
}

#[test]
fn who_follows_what_it_is_told_keeps_its_place() {
    block_on(async {
        let app = short_lived().await;
        let (_active, token) = (app.enter(1).await, app.enter(2).await);
        for _ in 0..6 {
            let answer = app.rank(&token).await;
            assert_eq!(answer.data()["status"], "WAITING");
            let after = answer.data()["pollAfterMillis"].as_u64().unwrap();
            assert!(after < 1500, "less than half of 3 s: {after}");
            tokio::time::sleep(Duration::from_millis(after)).await;
        }
    });
}

#[test]
fn who_asks_again_just_in_time_keeps_its_place_though_redis_was_not_told_of_each_poll() {
    block_on(async {
        let app = short_lived().await;
        let other = app.second().await;
        let (_active, token) = (app.enter(1).await, app.enter(2).await);
        // The first question has the crowd fetched, the next ones are answered here.
        assert_eq!(status(&app, &token).await, "WAITING");
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(status(&app, &token).await, "WAITING");
        }
        tokio::time::sleep(Duration::from_millis(2600)).await;
        assert_eq!(status(&other, &token).await, "WAITING", "the last poll counts, not the last that Redis saw");
    });
}

#[test]
fn a_time_to_live_that_is_shortened_finds_those_who_ask_wherever_and_those_who_come_back_soon() {
    block_on(async {
        let app = TestApp::with(&[&ONE[..], &["--waiting-ttl-seconds", "60"]].concat()).await;
        let other = app.second().await;
        let mut tokens = Vec::new();
        for user in 1..=4 {
            tokens.push(app.enter(user).await);
        }
        let socket = other.serve().await;
        let _watching = socket.watch(&tokens[3]).await;
        let ask_for = async |tenths: u32| {
            for _ in 0..tenths / 4 {
                let told = [status(&app, &tokens[1]).await, status(&other, &tokens[2]).await];
                assert_eq!(told, ["WAITING"; 2]);
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
        };
        let silent = app.enter(5).await;
        ask_for(48).await;
        set(&app, "waiting_ttl_seconds = 3").await;
        ask_for(36).await;
        assert_eq!(status(&app, &silent).await, "WAITING", "it was not told of the new time before");
        ask_for(44).await;
        assert_eq!(status(&app, &silent).await, "EXPIRED", "it was then");
        assert_eq!(status(&app, &tokens[3]).await, "WAITING", "a stream counts as asking");
    });
}
