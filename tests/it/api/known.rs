//! What is in memory is told before the router: by a shorter way, but the same, and also when the shop is full.

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, SLACK, TestApp, block_on, eventually};

const SCHEDULES: &str = "/api/v1/concerts/1/schedules";
const SEATS: &str = "/api/v1/concerts/schedules/1/seats";
const RANK: &str = "/api/v1/queues/token/rank";

/// Asks by the way through the router, which a request with a body takes.
async fn by_the_router(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    let ask = app.ask("GET", path).body("x").header("content-length", "1");
    headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value)).send().await
}

/// What does not differ from one answer to the next.
fn lasting(answer: &Answer) -> (StatusCode, HeaderMap, Value, Vec<u8>) {
    let (mut headers, mut body) = (answer.headers.clone(), answer.body.clone());
    let changing = headers.remove("x-request-id").is_some();
    assert!(changing, "{headers:?}");
    headers.remove("retry-after");
    // On the way out every answer gets it.
    headers.remove("content-length");
    if let Some(rank) = body["data"].as_object_mut().filter(|data| data.contains_key("pollAfterMillis")) {
        rank["pollAfterMillis"] = json!(null);
        rank["expiresAt"] = json!(null);
        return (answer.status, headers, body, Vec::new());
    }
    (answer.status, headers, body, answer.bytes.to_vec())
}

#[test]
fn both_ways_tell_the_same() {
    block_on(async {
        let app = TestApp::without_jobs(&["--max-active", "1"]).await;
        let (hall, _) = app.add_schedule(1, 9, 500).await;
        let hall = format!("/api/v1/concerts/schedules/{hall}/seats");
        let (active, waiting) = (app.enter(1).await, app.enter(2).await);
        app.rank(&waiting).await.data();
        app.promote().await;
        let tag = app.get(&hall, &active).await.header("etag").to_owned();
        let [gzip, identity] = [("accept-encoding", "gzip"), ("accept-encoding", "identity")];
        let had = ("if-none-match", &*tag);
        for (path, token, headers) in [
            (SCHEDULES, &active, &[][..]),
            ("/api/v1/concerts/1/schedules?page=2", &active, &[("x-request-id", "mine")]),
            (SEATS, &active, &[]),
            (&hall, &active, &[identity]),
            (&hall, &active, &[gzip]),
            (&hall, &active, &[had]),
            (&hall, &active, &[had, gzip]),
            (RANK, &waiting, &[]),
            // What goes wrong, only the router says.
            (RANK, &"forged".to_owned(), &[]),
            (SCHEDULES, &waiting, &[]),
            ("/api/v1/concerts/0/schedules", &active, &[]),
            ("/api/v1/concerts/999/schedules", &active, &[]),
            ("/api/v1/concerts/schedules/999/seats", &active, &[]),
            ("/api/v1/concerts/schedules/1/seats/", &active, &[]),
        ] {
            let headers = [headers, &[("token", &**token)]].concat();
            let long = by_the_router(&app, path, &headers).await;
            let short = app.call("GET", path, &headers, Value::Null).await;
            assert_eq!(lasting(&short), lasting(&long), "{path}");
            let sent = headers.iter().find(|(name, _)| *name == "x-request-id");
            assert!(sent.is_none_or(|(_, id)| short.header("x-request-id") == *id));
        }
    });
}

#[test]
fn what_is_known_is_told_when_no_place_is_free() {
    block_on(async {
        let args = ["--max-in-flight", "1", "--max-active", "1", "--postgres-timeout-ms", "20000"];
        let app = TestApp::without_jobs(&[&args[..], &["--request-timeout-ms", "25000"]].concat()).await;
        let (active, waiting) = (app.enter(1).await, app.enter(2).await);
        let claim = app.signer().verify(&active).unwrap();
        app.charge(1, 10).await.data();
        let lock = app.lock_wallet(1).await;
        let others = async {
            let full = async || app.ask("GET", "/livez").send().await.status == StatusCode::SERVICE_UNAVAILABLE;
            eventually("the one place is taken", SLACK, full).await;
            // By the router there is no room for it.
            by_the_router(&app, RANK, &[("token", &waiting)]).await.assert_error(503, "UNAVAILABLE");
            for (path, token) in [(SCHEDULES, &active), (SEATS, &active), (RANK, &waiting)] {
                // Known for a moment only: on a busy machine it is read again.
                let told = async || {
                    app.app.seats.free_list(1.try_into().unwrap()).await.unwrap();
                    for schedule in 2..=3 {
                        app.app.seats.free_list(schedule.try_into().unwrap()).await.unwrap();
                    }
                    app.promote().await;
                    app.app.queues.check(&app.default_queue(), &claim).await.unwrap();
                    app.get(path, token).await.status == StatusCode::OK
                };
                eventually(path, SLACK, told).await;
            }
            lock.release().await;
        };
        let (charged, ()) = tokio::join!(app.charge(1, 10), others);
        charged.data();
    });
}

#[test]
fn while_a_shutdown_goes_on_the_router_says_so() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        for closes in ["", "close"] {
            let [first, second] = [app.get(SEATS, &token).await, app.get(SEATS, &token).await];
            first.data();
            assert_eq!(second.header("connection"), closes);
            app.app.begin_drain();
        }
    });
}
