//! A queue's opening: those who come before it are drawn, those who come later are behind, and nobody is lost; and what an
//! operator changes while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use onsale::queue::Facts;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::program;
use crate::support::{Answer, TestApp, at_once, block_on, eventually};

/// A second's promise on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// Two instances that do nothing by themselves.
async fn idle_pair(cap: &str) -> [Arc<TestApp>; 2] {
    let first = TestApp::without_jobs(&["--max-active", cap, "--admit-per-second", "100000"]).await;
    let second = TestApp::from_settings(first.settings.clone()).await;
    [Arc::new(first), Arc::new(second)]
}

/// Sets the default queue, and has the instances know it.
async fn set(apps: &[Arc<TestApp>], assignment: &'static str) {
    change(&apps[0], assignment).await;
    for app in apps {
        app.refresh().await;
    }
}

async fn change(app: &TestApp, assignment: &'static str) {
    let update = sqlx::AssertSqlSafe(format!("UPDATE queue SET {assignment} WHERE id = 1"));
    sqlx::query(update).execute(app.pool()).await.unwrap();
}

async fn come(app: &TestApp, user: i64) -> Answer {
    app.call("POST", "/api/v1/queues/token", &[("userId", &user.to_string())], Value::Null).await
}

fn token(answer: &Answer) -> String {
    answer.data()["token"].as_str().unwrap().to_owned()
}

fn number(answer: &Answer, header: &str) -> Option<u64> {
    answer.header(header).parse().ok()
}

async fn facts(app: &TestApp) -> Facts {
    let answer = app.call("GET", "/api/v1/queues/draws/default", &[], Value::Null).await;
    serde_json::from_value(answer.data().clone()).unwrap()
}

/// HMAC-SHA256 by the book, so that the service's is not checked against itself.
fn hmac(key: &[u8], message: &str) -> [u8; 32] {
    let pad = |with: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([&pad(0x36), message.as_bytes()].concat());
    Sha256::digest([&pad(0x5c)[..], &inner[..]].concat()).into()
}

/// Each entry's place, recomputed.
fn places(facts: &Facts) -> BTreeMap<u64, u64> {
    let seed = hex::decode(facts.seed.as_ref().unwrap()).unwrap();
    assert_eq!(hex::encode(Sha256::digest(&seed)), facts.seed_sha256);
    let entries = facts.entries.unwrap();
    let mut keyed: Vec<_> =
        (1..=entries).map(|e| (hmac(&seed, &format!("{}:{entries}:{e}", facts.queue)), e)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, entry)| entry).zip(0..).collect()
}

/// What `onsale verify-draw` says of a draw's facts, and whether it ends well.
async fn verified(facts: &Facts, more: &[&str]) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_vec(facts).unwrap()).unwrap();
    let args = ["verify-draw", "--facts", file.path().to_str().unwrap()];
    let ran = program::run(&[&args, more].concat(), &[]).await;
    (ran.code == Some(0), ran.stdout)
}

/// Users who come early, with their tokens and entry numbers.
async fn early(apps: &[Arc<TestApp>], users: impl IntoIterator<Item = i64>) -> Vec<(String, u64)> {
    let mut early = Vec::new();
    for (user, app) in users.into_iter().zip(apps.iter().cycle()) {
        let answer = come(app, user).await;
        early.push((token(&answer), number(&answer, "draw-entry").unwrap()));
    }
    early
}

/// Both instances do at once what opens the queue, until it is open.
async fn open_doors(apps: &[Arc<TestApp>]) {
    let promote = |app: &Arc<TestApp>| {
        let app = Arc::clone(app);
        async move { app.app.queues.promote().await.unwrap() }
    };
    at_once(apps.iter().map(promote)).await;
    at_once(apps.iter().map(promote)).await;
}

#[test]
fn early_comers_are_drawn_as_anyone_can_recompute() {
    block_on(async {
        let apps = idle_pair("1").await;
        let none = apps[0].call("GET", "/api/v1/queues/draws/default", &[], Value::Null).await;
        none.assert_error(404, "NOT_FOUND");
        set(&apps, "opens_at = now() + interval '1 hour'").await;
        let promised = facts(&apps[1]).await;
        assert!(promised.seed.is_none() && promised.entries.is_none());

        let mut tokens = early(&apps, 1..=40).await;
        apps[0].leave(&tokens[4].0).await.data();
        tokens[4] = early(&apps, [5]).await.remove(0);
        assert_eq!(tokens[4].1, 41, "coming again is another entry");
        let entries: BTreeSet<_> = tokens.iter().map(|(_, entry)| *entry).collect();
        assert!(entries.into_iter().eq((1..=4).chain(6..=41)));
        apps[0].app.queues.promote().await.unwrap();
        for (token, entry) in &tokens {
            let rank = apps[1].rank(token).await;
            assert_eq!((&rank.data()["status"], number(&rank, "draw-entry")), (&"WAITING".into(), Some(*entry)));
        }

        set(&apps, "opens_at = now() - interval '1 second'").await;
        let late = come(&apps[0], 99).await;
        assert_eq!(number(&late, "draw-entry"), None);
        open_doors(&apps).await;
        let facts = facts(&apps[1]).await;
        assert_eq!((&facts.seed_sha256, facts.entries), (&promised.seed_sha256, Some(41)), "the promise was kept");
        let places = places(&facts);
        assert_eq!(facts.verify().unwrap().places().len(), places.len());
        let (held, said) = verified(&facts, &["--entry", "7"]).await;
        assert!(
            held && said.ends_with(&format!("Entry 7 has place {0}: {0} of those drawn come before it.\n", places[&7]))
        );
        let forged = Facts { seed_sha256: promised.seed_sha256.replace(['0', '1'], "2"), ..facts.clone() };
        assert!(!verified(&forged, &[]).await.0);
        let mut order = Vec::new();
        for (token, entry) in &tokens {
            let rank = apps[0].rank(token).await;
            assert_eq!(number(&rank, "draw-place"), Some(places[entry]), "{entry}");
            assert_eq!(number(&rank, "draw-entry"), Some(*entry), "to check the draw with");
            order.push((places[entry], rank.data()["rank"].as_u64()));
        }
        order.sort_unstable();
        let ranks: Vec<_> = order.into_iter().map(|(_, rank)| rank).collect();
        assert_eq!(ranks, [None].into_iter().chain((0..39).map(Some)).collect::<Vec<_>>(), "the first one is active");
        assert_eq!(apps[0].rank(&token(&late)).await.data()["rank"], 39, "who comes later is behind");
        apps[0].audit().await;
    });
}

#[test]
fn nobody_is_lost_or_doubled_when_the_opening_comes_amid_the_rush() {
    block_on(async {
        let crowd = ["--postgres-timeout-ms", "30000", "--redis-timeout-ms", "30000", "--request-timeout-ms", "60000"];
        let first = TestApp::with(&[&crowd[..], &["--max-active", "5", "--admit-per-second", "100000"]].concat()).await;
        let second = first.second().await;
        let apps = [Arc::new(first), Arc::new(second)];
        set(&apps, "opens_at = now() + interval '1500 milliseconds'").await;
        let enter = |user: i64| {
            let app = Arc::clone(&apps[usize::from(user % 2 == 0)]);
            async move {
                tokio::time::sleep(Duration::from_millis(user.unsigned_abs() * 15)).await;
                let answer = come(&app, user).await;
                (token(&answer), number(&answer, "draw-entry"))
            }
        };
        let tokens = at_once((1..=200).map(enter)).await;
        for app in &apps {
            eventually("the draw", SOON, async || facts(app).await.entries.is_some()).await;
        }
        let drawn = tokens.iter().filter(|(_, entry)| entry.is_some()).count();
        assert!((1..200).contains(&drawn), "{drawn} of 200 came early: the test has missed the moment");
        assert_eq!(facts(&apps[1]).await.entries, Some(drawn as u64));
        let whole = async || apps[0].rank(&tokens[199].0).await.data()["rank"].as_u64() == Some(194);
        eventually("five let in", SOON, whole).await;
        let (mut ranks, mut active) = (BTreeSet::new(), 0);
        for (token, entry) in &tokens {
            let rank = apps[0].rank(token).await;
            assert_eq!(number(&rank, "draw-place").is_some(), entry.is_some());
            match rank.data()["rank"].as_u64() {
                None => active += usize::from(rank.data()["status"] == "ACTIVE"),
                Some(at) => {
                    assert!(ranks.insert(at));
                    assert_eq!(at + 5 < drawn as u64, entry.is_some(), "those drawn come first");
                }
            }
        }
        assert_eq!((ranks.len(), active), (195, 5));
        apps[1].audit().await;
    });
}

#[test]
fn redis_is_lost_before_the_opening() {
    block_on(async {
        let apps = idle_pair("1").await;
        set(&apps, "opens_at = now() + interval '1 hour'").await;
        let tokens = early(&apps, 1..=6).await;
        apps[0].forget_redis().await;
        let mut entries = BTreeSet::new();
        for (token, _) in tokens.iter().rev() {
            let rank = apps[0].rank(token).await;
            assert_eq!(rank.data()["status"], "WAITING");
            entries.insert(number(&rank, "draw-entry").unwrap());
        }
        assert_eq!(entries, (1..=6).collect(), "new numbers");
        set(&apps, "opens_at = now()").await;
        let opened = async || {
            open_doors(&apps[..1]).await;
            facts(&apps[0]).await.entries == Some(6)
        };
        eventually("the draw, once all may have come back", Duration::from_secs(20), opened).await;
        open_doors(&apps).await;
        let mut drawn = BTreeSet::new();
        for (token, _) in &tokens {
            let rank = apps[1].rank(token).await;
            drawn.extend(number(&rank, "draw-place"));
            assert_ne!(rank.data()["status"], "EXPIRED");
        }
        assert!(drawn.len() >= 5, "the one who is active came by a place from before the loss: {drawn:?}");
        apps[0].audit().await;
    });
}

#[test]
fn redis_is_lost_after_the_draw() {
    block_on(async {
        let apps = idle_pair("1").await;
        set(&apps, "opens_at = now() + interval '1 hour'").await;
        let tokens = early(&apps, 1..=6).await;
        set(&apps, "opens_at = now()").await;
        open_doors(&apps).await;
        let late = token(&come(&apps[0], 9).await);
        let places = places(&facts(&apps[0]).await);
        apps[0].app.queues.remember().await.unwrap();
        apps[0].forget_redis().await;
        assert_eq!(apps[1].rank(&late).await.data()["status"], "WAITING");
        for (token, _) in tokens.iter().rev() {
            assert_eq!(apps[1].rank(token).await.data()["status"], "WAITING");
        }
        let mut after = Vec::new();
        for (token, entry) in &tokens {
            let rank = apps[0].rank(token).await;
            assert_eq!(number(&rank, "draw-place"), Some(places[entry]));
            assert_eq!(rank.data()["rank"].as_u64(), Some(places[entry]), "in the order that was drawn");
            after.push(places[entry]);
        }
        assert_eq!(apps[0].rank(&late).await.data()["rank"], 6);
        assert_eq!(after.len(), 6);
        apps[0].audit().await;
    });
}

#[test]
fn what_an_operator_changes_is_so_within_a_second_everywhere() {
    block_on(async {
        let first = TestApp::with(&["--max-active", "1", "--admit-per-second", "100000"]).await;
        let second = first.second().await;
        let (one, other) = (token(&come(&first, 1).await), token(&come(&second, 2).await));
        let status = async |token: &str| second.rank(token).await.data()["status"].as_str().unwrap().to_owned();
        assert_eq!(status(&other).await, "WAITING");

        change(&first, "max_active = 2").await;
        eventually("the cap", SOON, async || status(&other).await == "ACTIVE").await;

        change(&first, "paused = true").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        first.leave(&one).await.data();
        let next = token(&come(&second, 3).await);
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!((status(&next).await, status(&other).await), ("WAITING".to_owned(), "ACTIVE".to_owned()));
        change(&first, "paused = false, draining = true").await;
        eventually("the end of the pause", SOON, async || status(&next).await == "ACTIVE").await;

        for app in [&first, &second] {
            // Each time another one: who is given a place keeps it.
            let newcomer = AtomicI64::new(100);
            let refused = async || come(app, newcomer.fetch_add(1, Ordering::Relaxed)).await.status == 503;
            eventually("the draining", SOON, refused).await;
            let refused = come(app, 4).await;
            refused.assert_error(503, "UNAVAILABLE");
            assert!(!refused.header("retry-after").is_empty());
            assert_eq!(token(&come(app, 3).await), next, "who has a token keeps it");
        }
        first.audit().await;
    });
}
