//! Forged tokens: whatever is altered, whoever has signed it, they are refused alike, and nothing comes of them.

use onsale::queue::{Claim, QueueId, Signer};
use onsale::secret::Secret;
use serde_json::Value;

use super::{calls, filled};
use crate::support::{Answer, TestApp, block_on, serve_settings};

const OLD: &str = "aa112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Shows a token on every call that takes one.
async fn show_everywhere(app: &TestApp, token: &str, mut look: impl FnMut(&str, Answer)) {
    for (method, path) in with_token() {
        let path = filled(&path, "1");
        let body = r#"{"concertScheduleId":1,"concertSeatId":1,"concertReservationId":1,"concertSeatIds":[1],"concertReservationIds":[1]}"#;
        let ask = app.ask(&method, &path).header("token", token).json(body);
        look(&format!("{method} {path}"), ask.send().await);
        if path.ends_with("/events") {
            look(&path, app.ask(&method, &format!("{path}?token={token}")).send().await);
        }
    }
}

/// The calls that take a token.
fn with_token() -> Vec<(String, String)> {
    let with_user = ["/api/v1/user-wallets/", "/api/v1/payments"];
    let free =
        ["/api/v1/queues/draws/", "/livez", "/readyz", "/.well-known/", "/admin/", "/gate/", "/openapi.json", "/docs"];
    let pages = ["/me", "/console", "/demo", "/assets/", "/concerts/"];
    let mut calls = calls();
    calls.retain(|(method, path)| {
        let is_free = free.iter().chain(&with_user).chain(&pages).any(|start| path.starts_with(start));
        let told_to_anybody = ["/", "/api/v1/concerts", "/api/v1/concerts/{concertId}/queue"];
        let gives_one = method == "POST" && path == "/api/v1/queues/token";
        !(is_free || gives_one || told_to_anybody.contains(&path.as_str()))
    });
    assert!(calls.len() >= 14, "{calls:?}");
    calls
}

#[test]
fn any_flipped_bit_is_a_forgery_on_every_call() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let good = app.enter(1).await;
        app.hold(&good, 1, 1).await.data();
        let mut forged: Vec<Vec<u8>> = Vec::new();
        for at in 0..good.len() {
            for bit in 0..7 {
                let mut flipped = good.clone().into_bytes();
                flipped[at] ^= 1 << bit;
                // What no header can hold never comes here.
                if flipped[at].is_ascii_graphic() {
                    forged.push(flipped);
                }
            }
        }
        assert!(forged.len() > 300);
        for token in forged.iter().map(|bytes| std::str::from_utf8(bytes).unwrap()) {
            app.rank(token).await.assert_error(401, "INVALID_TOKEN");
        }
        // One of each kind of byte, on every call.
        for token in forged.iter().step_by(61).map(|bytes| std::str::from_utf8(bytes).unwrap()) {
            show_everywhere(&app, token, |call, answer| {
                assert_eq!((answer.status.as_u16(), answer.code()), (401, "INVALID_TOKEN"), "{call} {answer:?}");
            })
            .await;
        }
        app.rank(&good).await.data();
        assert_eq!(app.contents().await.1, app.contents().await.1);
    });
}

#[test]
fn a_token_of_another_key_or_queue_is_refused_and_changes_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.add_queue("own", 2).await;
        let good = app.enter(1).await;
        app.rank(&good).await.data();
        let claim = app.claim(&good);
        let forged = [
            Signer::new(&[7; 32]).sign(&claim),
            Signer::new(&[]).sign(&claim),
            app.signer().sign(&Claim { queue: QueueId(4711), ..claim }),
            format!("{good}{good}"),
            format!("{good}="),
            good.to_lowercase(),
        ];
        let before = app.contents().await;
        for token in &forged {
            show_everywhere(&app, token, |call, answer| {
                assert_eq!((answer.status.as_u16(), answer.code()), (401, "INVALID_TOKEN"), "{call} {token:?}");
            })
            .await;
        }
        assert_eq!(app.contents().await, before, "not a key and not a row more or less");
        // Authentic, but of the default queue: it opens no concert that has its own.
        let schedule: i64 = app.number("SELECT min(id) FROM concert_schedule WHERE concert_id = 2").await;
        for path in
            [format!("/api/v1/concerts/{}/schedules", 2), format!("/api/v1/concerts/schedules/{schedule}/seats")]
        {
            app.get(&path, &good).await.assert_error(403, "WRONG_QUEUE");
        }
        let seat: i64 = app.number("SELECT min(id) FROM concert_seat WHERE concert_schedule_id IN (SELECT min(id) FROM concert_schedule WHERE concert_id = 2)").await;
        app.hold(&good, schedule, seat).await.assert_error(403, "WRONG_QUEUE");
    });
}

#[test]
fn a_former_keys_tokens_are_good_while_it_is_kept_and_no_longer() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let mut settings = app.settings.clone();
        settings.token_key = Secret::new(hex::decode(OLD).unwrap()).unwrap();
        settings.service.postgres_connections = 2;
        let without = TestApp::from_settings(settings.clone()).await;
        let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        let args = ["--database-url", "x", "--redis-url", "x", "--old-token-keys", key];
        settings.service.old_token_keys = serve_settings(&args).service.old_token_keys;
        let keeping = TestApp::from_settings(settings).await;

        let former = app.enter(1).await;
        assert_eq!(keeping.rank(&former).await.data()["status"], "ACTIVE");
        without.rank(&former).await.assert_error(401, "INVALID_TOKEN");
        let latter = keeping.enter(1).await;
        assert_ne!(former, latter, "it signs with the new key");
        app.rank(&latter).await.assert_error(401, "INVALID_TOKEN");
        keeping.hold(&latter, 1, 1).await.reservation();
        // The same place by either name: what one holds the other pays for.
        let held = keeping.call("GET", "/api/v1/reservations", &[("token", &former)], Value::Null).await;
        assert_eq!(held.data()["reservations"].as_array().map(Vec::len), Some(1));
    });
}
