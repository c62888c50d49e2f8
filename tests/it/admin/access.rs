//! Nobody gets in without a key, and every refusal is in the envelope.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ANN, KEY, OPERATED};
use crate::support::{TestApp, block_on, eventually};

/// Every path, with the methods that it takes.
const ROUTES: [(&str, &[&str]); 10] = [
    ("/admin/v1/concerts", &["GET", "HEAD", "POST"]),
    ("/admin/v1/concerts/1/schedules", &["POST"]),
    ("/admin/v1/concerts/schedules/1/seats", &["GET", "HEAD"]),
    ("/admin/v1/queues", &["GET", "HEAD", "POST"]),
    ("/admin/v1/queues/default", &["GET", "HEAD", "PATCH"]),
    ("/admin/v1/queues/default/pause", &["POST"]),
    ("/admin/v1/queues/default/resume", &["POST"]),
    ("/admin/v1/queues/default/drain", &["POST"]),
    ("/admin/v1/figures", &["GET", "HEAD"]),
    ("/admin/v1/audit", &["GET", "HEAD"]),
];

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"];

#[test]
fn nothing_is_reached_without_a_key() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let before = app.number("SELECT revision FROM programme_revision").await;
        for (path, _) in ROUTES {
            for method in METHODS {
                for body in ["", "{}", "not JSON", r#"{"paused":true,"name":"q","title":"t"}"#] {
                    let answer = app.ask(method, path).json(body).send().await;
                    assert_eq!(answer.status, 401, "{method} {path}");
                    assert_eq!(answer.header("www-authenticate"), "Bearer");
                    assert!(!answer.header("x-request-id").is_empty());
                    if method != "HEAD" {
                        answer.assert_error(401, "INVALID_TOKEN");
                    }
                }
            }
        }
        assert_eq!(app.number("SELECT revision FROM programme_revision").await, before);
        assert_eq!(app.log_rows().await, 0);
    });
}

#[test]
fn a_near_miss_is_a_miss() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let mut flipped = KEY.to_owned();
        flipped.replace_range(63..64, "e");
        let misses = [
            format!("Bearer {}", KEY.to_uppercase()),
            format!("Bearer {flipped}"),
            format!("Bearer {}", &KEY[1..]),
            format!("Bearer {KEY}0"),
            format!("Bearer ann={ANN}"),
            format!("Basic {KEY}"),
            format!("Token {ANN}"),
            KEY.to_owned(),
            "Bearer".to_owned(),
        ];
        for miss in &misses {
            let answer = app.ask("GET", "/admin/v1/queues").header("authorization", miss).send().await;
            answer.assert_error(401, "INVALID_TOKEN");
        }
        let twice = app.ask("GET", "/admin/v1/queues").header("authorization", format!("Bearer {KEY}"));
        twice.header("authorization", format!("Bearer {KEY}")).send().await.assert_error(401, "INVALID_TOKEN");
        for right in [format!("Bearer {KEY}"), format!("bearer {ANN}")] {
            app.ask("GET", "/admin/v1/queues").header("authorization", right).send().await.data();
        }
        // Another call's token is no key either.
        let token = app.enter(1).await;
        app.operate_as(&token, "GET", "/queues", Value::Null).await.assert_error(401, "INVALID_TOKEN");
    });
}

#[test]
fn wrong_keys_run_out_and_nobody_is_locked_out() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let mut refused = 0;
        for _ in 0..60 {
            let answer = app.operate_as("wrong", "GET", "/queues", Value::Null).await;
            if answer.status == 429 {
                answer.assert_error(429, "RATE_LIMITED");
                assert!(!answer.header("retry-after").is_empty());
                refused += 1;
            } else {
                answer.assert_error(401, "INVALID_TOKEN");
            }
        }
        assert!(refused > 0, "sixty at once are more than ten a second");
        app.operate("GET", "/queues", Value::Null).await.data();
    });
}

#[test]
fn without_keys_there_are_no_such_routes() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        for (path, _) in ROUTES {
            for method in METHODS {
                let answer = app.ask(method, path).header("authorization", format!("Bearer {KEY}")).send().await;
                assert_eq!(answer.status, 404, "{method} {path}");
            }
        }
        let only_named = TestApp::without_jobs(&OPERATED[2..]).await;
        only_named.operate_as(ANN, "GET", "/queues", Value::Null).await.data();
        only_named.operate("GET", "/queues", Value::Null).await.assert_error(401, "INVALID_TOKEN");
    });
}

#[test]
fn a_route_says_which_methods_it_takes() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        for (path, methods) in ROUTES {
            for method in METHODS.into_iter().filter(|method| !methods.contains(method)) {
                let answer = app.ask(method, path).header("authorization", format!("Bearer {KEY}")).send().await;
                assert_eq!(answer.status, 405, "{method} {path}");
                let mut allowed: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
                allowed.sort_unstable();
                assert_eq!(allowed, methods, "{method} {path}");
            }
        }
        for path in ["/admin/v1", "/admin/v1/queues/", "/admin/v1/queues/default/stop", "/admin/v2/queues"] {
            let answer = app.ask("GET", path).header("authorization", format!("Bearer {KEY}")).send().await;
            answer.assert_error(404, "NOT_FOUND");
        }
    });
}

#[test]
fn whatever_is_sent_is_answered_in_the_envelope_and_changes_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let before = app.number("SELECT revision FROM programme_revision").await;
        let nested = format!("{{\"title\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        let bodies = [
            "",
            "{",
            "[]",
            "null",
            "1",
            "\"x\"",
            "{\"a\":1}",
            "{\"title\":1}",
            "{\"title\":\"t\",\"title\":\"t\"}",
            "{\"title\":\"t\",\"schedules\":[{}]}",
            "{\"name\":null}",
            "{\"name\":\"\\u0000\"}",
            "{\"maxActive\":1e99}",
            "{\"opensAt\":\"0000-00-00\"}",
            "{\"date\":\"2026-99-99\",\"seats\":[]}",
            "\u{feff}{}",
            &nested,
        ];
        let key = format!("Bearer {KEY}");
        for (path, methods) in ROUTES {
            if path.ends_with("pause") || path.ends_with("resume") || path.ends_with("drain") {
                continue;
            }
            for method in methods.iter().filter(|method| ["POST", "PATCH"].contains(method)) {
                for body in bodies.iter().map(|body| body.as_bytes().to_vec()).chain([vec![0xff, 0xfe]]) {
                    let answer = app.ask(method, path).header("authorization", &key).json(body.clone()).send().await;
                    answer.assert_error(400, "INVALID_REQUEST");
                    let answer = app.ask(method, path).header("authorization", &key).body(body).send().await;
                    answer.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
                }
            }
        }
        for path in [
            "/concerts/schedules/x/seats",
            "/concerts?page=0",
            "/concerts?size=101",
            "/queues?page=x",
            "/audit?cursor=0",
            "/audit?size=101",
            "/figures?concertId=x",
            "/figures?size=0",
        ] {
            app.operate("GET", path, Value::Null).await.assert_error(400, "INVALID_REQUEST");
        }
        app.operate("POST", "/concerts/0/schedules", json!({})).await.assert_error(400, "INVALID_REQUEST");
        app.operate("GET", "/queues/%FF", Value::Null).await.assert_error(400, "INVALID_REQUEST");
        assert_eq!(app.number("SELECT revision FROM programme_revision").await, before);
        assert_eq!(app.log_rows().await, 0);
    });
}

#[test]
fn operators_get_in_when_the_shop_is_full() {
    block_on(async {
        let app = Arc::new(TestApp::without_jobs(&[&OPERATED[..], &["--max-in-flight", "1"]].concat()).await);
        app.charge(1, 1000).await.data();
        let lock = app.lock_wallet(1).await;
        let waits = tokio::spawn({
            let app = Arc::clone(&app);
            // A question below can be in the one place when it comes, and it does not wait for ever.
            async move { while app.charge(1, 1000).await.status == 503 {} }
        });
        let full = async || app.ask("GET", "/livez").send().await.status == 503;
        eventually("the one place is taken", Duration::from_secs(5), full).await;
        app.operate("POST", "/queues/default/pause", Value::Null).await.data();
        lock.release().await;
        waits.await.unwrap();
    });
}
