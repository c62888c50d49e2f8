//! Crowds at the queue.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::{CROWD, enter_all, two_instances};
use crate::support::{TestApp, at_once, block_on};

/// A crowd's time-outs, and a queue as narrow as this.
fn narrow<'a>(cap: &'a str, rate: &'a str) -> Vec<&'a str> {
    [&CROWD[..6], &["--max-active", cap, "--admit-per-second", rate]].concat()
}

async fn status(app: &TestApp, token: &str) -> String {
    app.rank(token).await.data()["status"].as_str().unwrap().to_owned()
}

/// Promotes on both instances at once, so many steps each.
async fn promote(apps: &[Arc<TestApp>; 2], steps: usize) {
    let steps_of = |app: &Arc<TestApp>| {
        let app = Arc::clone(app);
        async move {
            for _ in 0..steps {
                app.promote().await;
            }
        }
    };
    at_once(apps.iter().map(steps_of)).await;
}

#[test]
fn a_hundred_times_the_same_user() {
    block_on(async {
        let apps = two_instances(&narrow("2", "100000")).await;
        let first = apps[0].enter(1000).await;
        for user in [1, 2] {
            let calls = (0..100).map(|number| {
                let app = Arc::clone(&apps[number % 2]);
                async move { app.enter(user).await }
            });
            let tokens: HashSet<_> = at_once(calls).await.into_iter().collect();
            assert_eq!(tokens.len(), 1, "one token, active or waiting");
        }
        let audit = apps[0].app.queues.audit(&apps[0].default_queue()).await.unwrap();
        assert_eq!((audit.active, audit.torn.count), (2, 0));
        apps[0].leave(&first).await.data();
        promote(&apps, 1).await;
        assert_eq!(status(&apps[0], &apps[0].enter(2).await).await, "ACTIVE");
        apps[0].audit().await;
    });
}

/// Two hundred who enter at once, in the order of their places.
async fn crowd(apps: &[Arc<TestApp>; 2]) -> Vec<String> {
    let calls = (1..=200).zip(apps.iter().cycle()).map(|(user, app)| {
        let app = Arc::clone(app);
        async move { app.enter(user).await }
    });
    let mut tokens = at_once(calls).await;
    tokens.sort_by_key(|token| apps[0].claim(token).place);
    let places: HashSet<_> = tokens.iter().map(|token| apps[0].claim(token).place).collect();
    assert_eq!(places.len(), 200, "a place each");
    tokens
}

/// Looks at the queue all the time until told to stop: at no instant are there too many, or one before an earlier one.
async fn watch(app: Arc<TestApp>, cap: u32, stop: Arc<AtomicBool>) -> u32 {
    let queue = app.default_queue();
    let mut looks = 0;
    while !stop.load(Ordering::SeqCst) {
        let audit = app.app.queues.audit(&queue).await.unwrap();
        assert!(audit.active <= cap && audit.torn.is_empty() && audit.overtaken.is_empty(), "{audit:?}");
        assert!(audit.first_waiting == 0 || audit.latest_active < audit.first_waiting, "{audit:?}");
        looks += 1;
    }
    looks
}

#[test]
fn ranks_are_places() {
    block_on(async {
        let apps = two_instances(&narrow("7", "100000")).await;
        let tokens = crowd(&apps).await;
        for (number, token) in tokens.iter().enumerate() {
            let answer = apps[number % 2].rank(token).await;
            let (status, rank) = (&answer.data()["status"], answer.data()["rank"].as_u64());
            match number.checked_sub(7) {
                None => assert_eq!((status, rank), (&"ACTIVE".into(), None), "place {number}"),
                Some(before) => assert_eq!((status, rank), (&"WAITING".into(), Some(before as u64)), "place {number}"),
            }
        }
        apps[0].audit().await;
    });
}

#[test]
fn first_come_first_served() {
    block_on(async {
        let apps = two_instances(&narrow("7", "100000")).await;
        let tokens = crowd(&apps).await;
        let stop = Arc::new(AtomicBool::new(false));
        let watch = tokio::spawn(watch(Arc::clone(&apps[1]), 7, Arc::clone(&stop)));
        for (round, turn) in tokens.chunks(7).enumerate() {
            for token in turn {
                assert_eq!(status(&apps[round % 2], token).await, "ACTIVE", "round {round}");
            }
            if let Some(next) = tokens.get(7 * (round + 1)) {
                assert_eq!(apps[0].rank(next).await.data()["rank"], 0, "round {round}");
            }
            let leave = turn.iter().zip(apps.iter().cycle()).map(|(token, app)| {
                let (app, token) = (Arc::clone(app), token.clone());
                async move { app.leave(&token).await.data().is_null() }
            });
            let leave: Vec<_> = leave.collect();
            tokio::join!(at_once(leave), promote(&apps, 4));
            promote(&apps, 1).await;
        }
        stop.store(true, Ordering::SeqCst);
        assert!(watch.await.unwrap() > 10);
        for token in &tokens {
            assert_eq!(status(&apps[0], token).await, "EXPIRED", "everybody had a turn, and left");
        }
        apps[0].audit().await;
    });
}

#[test]
fn no_more_than_the_rate_whoever_promotes() {
    const RATE: f64 = 20.0;
    block_on(async {
        let apps = two_instances(&narrow("100000", "20")).await;
        let queue = apps[0].default_queue();
        let begun = Instant::now();
        enter_all(&apps[0], 1..=150).await;
        let (entered, mut active) = (Instant::now(), 0);
        while entered.elapsed().as_secs_f64() < 2.5 {
            promote(&apps, 20).await;
            active = apps[0].app.queues.audit(&queue).await.unwrap().active;
            // The bucket was full once, with a second's worth.
            let most = RATE + RATE * begun.elapsed().as_secs_f64();
            assert!(f64::from(active) <= most, "{active} active after {:?}", begun.elapsed());
        }
        assert!(f64::from(active) >= RATE * 2.5, "nor much less: {active}");
        apps[0].audit().await;
    });
}

#[test]
fn no_more_than_the_cap_whoever_promotes() {
    block_on(async {
        let apps = two_instances(&narrow("10", "100000")).await;
        let stop = Arc::new(AtomicBool::new(false));
        let watch = tokio::spawn(watch(Arc::clone(&apps[0]), 10, Arc::clone(&stop)));
        // Everybody enters, and leaves as soon as it is let in.
        let visit = |user: i64| {
            let app = Arc::clone(&apps[usize::from(user % 2 == 0)]);
            async move {
                let token = app.enter(user).await;
                while status(&app, &token).await == "WAITING" {
                    app.promote().await;
                }
                assert_eq!(status(&app, &token).await, "ACTIVE", "nobody is lost");
                app.leave(&token).await.data();
            }
        };
        at_once((1..=120).map(visit)).await;
        stop.store(true, Ordering::SeqCst);
        assert!(watch.await.unwrap() > 10);
        let audit = apps[0].app.queues.audit(&apps[0].default_queue()).await.unwrap();
        assert_eq!((audit.active, audit.first_waiting), (0, 0), "nobody is left");
        apps[0].audit().await;
    });
}

#[test]
fn leaving_while_being_let_in() {
    block_on(async {
        let apps = two_instances(&narrow("1", "100000")).await;
        for round in 0..30 {
            let tokens = enter_all(&apps[0], [3 * round + 1]).await;
            let [second, third] = [apps[0].enter(3 * round + 2).await, apps[1].enter(3 * round + 3).await];
            // The first makes room while the second, whose turn it is, leaves, and both instances let in whom they may.
            let leave = [(0, &tokens[0]), (1, &second)].map(|(at, token)| {
                let (app, token) = (Arc::clone(&apps[at]), token.clone());
                async move { app.leave(&token).await.data().is_null() }
            });
            tokio::join!(at_once(leave), promote(&apps, 3));
            promote(&apps, 1).await;
            assert_eq!(status(&apps[1], &second).await, "EXPIRED", "who has left is not let in");
            assert_eq!(status(&apps[0], &third).await, "ACTIVE", "the slot is not lost");
            apps[0].leave(&third).await.data();
        }
        apps[0].audit().await;
    });
}
