//! A queue tied to its stock: no more try than there are seats, and who waits goes on when a seat comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use onsale::queue::Queue;
use serde_json::{Value, json};

use crate::support::{TestApp, at_once, block_on, eventually};

const SOON: Duration = Duration::from_secs(10);

/// A concert with a queue of its own and one evening of so many seats: its id, the schedule's and the seats'.
async fn night(app: &TestApp, seats: i32) -> (i64, i64, Vec<i64>) {
    let concert: i64 = sqlx::query_scalar("INSERT INTO concert (title) VALUES ('Night') RETURNING id")
        .fetch_one(app.pool())
        .await
        .unwrap();
    app.add_queue("night", concert).await;
    let (schedule, seats) = app.add_schedule(concert, 1, seats).await;
    (concert, schedule, seats)
}

fn queue(app: &TestApp) -> Arc<Queue> {
    app.app.queues.by_name("night").unwrap()
}

async fn enter(app: &TestApp, user: i64, concert: i64) -> String {
    let request = Request::post("/api/v1/queues/token")
        .header("userId", user)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(format!("concertId={concert}")));
    app.send(request.unwrap()).await.data()["token"].as_str().unwrap().to_owned()
}

async fn status(app: &TestApp, token: &str) -> String {
    app.rank(token).await.data()["status"].as_str().unwrap().to_owned()
}

#[test]
fn the_waiting_go_on_as_seats_come_back_and_hear_when_all_is_sold() {
    block_on(async {
        let app = TestApp::with(&["--hold-ttl-seconds", "2"]).await;
        let (concert, schedule, seats) = night(&app, 2).await;
        let mut tokens = Vec::new();
        for user in 1..=5 {
            app.charge(user, 50_000).await.data();
            tokens.push(enter(&app, user, concert).await);
        }
        let standing = async |user: usize| status(&app, &tokens[user - 1]).await;
        assert_eq!((standing(2).await, standing(3).await), ("ACTIVE".to_owned(), "WAITING".to_owned()), "two seats");
        app.hold(&tokens[0], schedule, seats[0]).await.reservation();
        app.hold(&tokens[1], schedule, seats[1]).await.reservation();
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(standing(3).await, "WAITING", "nothing is left to try for");
        assert!(!app.app.queues.sold_out(&queue(&app)), "but not sold yet");

        eventually("a hold's end", SOON, async || standing(4).await == "ACTIVE").await;
        assert_eq!(standing(5).await, "WAITING");
        let mut payments = Vec::new();
        for (user, seat) in [(3, seats[0]), (4, seats[1])] {
            let reservation = app.hold(&tokens[user - 1], schedule, seat).await.reservation();
            payments.push(app.pay(&tokens[user - 1], reservation).await.payment());
        }
        eventually("sold out", SOON, async || app.app.queues.sold_out(&queue(&app))).await;
        assert_eq!(standing(5).await, "SOLD_OUT");

        app.refund(3, payments[0]).await.data();
        // Two who held seats before may still try; one of them leaving is not even needed: they count as holders.
        eventually("a seat that came back", SOON, async || standing(5).await == "ACTIVE").await;
        assert!(!app.app.queues.sold_out(&queue(&app)));
        app.audit().await;
    });
}

#[test]
fn who_waits_is_told_when_all_is_sold_and_when_something_has_come_back() {
    block_on(async {
        let app = TestApp::with(&[]).await;
        let (concert, schedule, seats) = night(&app, 1).await;
        let socket = app.serve().await;
        let mut tokens = Vec::new();
        for user in 1..=3 {
            tokens.push(enter(&app, user, concert).await);
        }
        let mut streams = [socket.watch(&tokens[1]).await, socket.watch(&tokens[2]).await];
        for (stream, rank) in streams.iter_mut().zip(0..) {
            let event = stream.next().await.unwrap();
            assert_eq!((&*event.name, &event.data["rank"]), ("position", &json!(rank)));
        }
        app.charge(1, 50_000).await.data();
        let reservation = app.hold(&tokens[0], schedule, seats[0]).await.reservation();
        let payment = app.pay(&tokens[0], reservation).await.payment();
        for (stream, rank) in streams.iter_mut().zip(0..) {
            let event = stream.next_but_position().await.unwrap();
            assert_eq!(event.name, "sold_out");
            let answer = app.rank(&tokens[rank + 1]).await;
            for told in [&event.data, answer.data()] {
                assert_eq!((&told["status"], &told["rank"]), (&json!("SOLD_OUT"), &json!(rank)), "a place is kept");
                assert_eq!(told["estimatedWaitSeconds"], Value::Null);
                assert!(told["expiresAt"].is_string() && told["pollAfterMillis"].is_u64(), "{told}");
            }
        }
        let late = enter(&app, 4, concert).await;
        assert_eq!(status(&app, &late).await, "SOLD_OUT");

        app.refund(1, payment).await.data();
        assert_eq!(streams[0].next_but_position().await.unwrap().name, "active");
        let position = loop {
            let event = streams[1].next().await.unwrap();
            assert_eq!((&*event.name, &event.data["status"]), ("position", &json!("WAITING")));
            if event.data["rank"] == 0 {
                break event.data;
            }
        };
        assert!(position["estimatedWaitSeconds"]["high"].is_u64(), "{position}");
        assert_eq!(status(&app, &late).await, "WAITING");
        app.audit().await;
    });
}

#[test]
fn never_more_try_than_there_are_seats_however_many_come_at_once() {
    block_on(async {
        let first = TestApp::with(&["--redis-timeout-ms", "30000", "--request-timeout-ms", "60000"]).await;
        let (concert, ..) = night(&first, 3).await;
        let apps = [Arc::new(first.second().await), Arc::new(first)];
        let stop = Arc::new(AtomicBool::new(false));
        let watch = {
            let (app, stop) = (Arc::clone(&apps[0]), Arc::clone(&stop));
            async move {
                let mut most = 0;
                while !stop.load(Ordering::SeqCst) {
                    let audit = app.app.queues.audit(&queue(&app)).await.unwrap();
                    assert!(audit.overtaken.is_empty() && audit.torn.is_empty(), "{audit:?}");
                    most = most.max(audit.active);
                }
                most
            }
        };
        let watch = tokio::spawn(watch);
        let come = |user: i64| {
            let app = Arc::clone(&apps[usize::from(user % 2 == 0)]);
            async move { enter(&app, user, concert).await }
        };
        at_once((1..=64).map(come)).await;
        tokio::time::sleep(Duration::from_millis(800)).await;
        stop.store(true, Ordering::SeqCst);
        assert_eq!(watch.await.unwrap(), 3);
        apps[0].audit().await;
    });
}
