//! The gate, as the proxies ask it: by the requests that each of them sends, and behind a real nginx.

mod nginx;
mod pass;
mod proxies;

use crate::support::{Answer, TestApp};

const CHECK: &str = "/gate/check";

/// The gate's answer to somebody with these headers.
async fn check(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    app.call("GET", path, headers, serde_json::Value::Null).await
}

/// The pass that the gate's cookie carries; empty if there is none.
fn cookie_of(answer: &Answer) -> &str {
    let cookie = answer.header("set-cookie").strip_prefix("onsale_pass=").unwrap_or_default();
    cookie.split(';').next().unwrap()
}

#[track_caller]
fn assert_through(answer: &Answer, user: i64) {
    assert!(answer.data().is_null());
    assert_eq!(answer.header("x-onsale-user"), user.to_string());
    assert!(!answer.header("x-onsale-pass").is_empty());
    assert_eq!(answer.header("location"), "");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[track_caller]
fn assert_out(answer: &Answer, status: u16, code: &str) {
    answer.assert_error(status, code);
    for name in ["x-onsale-user", "x-onsale-queue", "x-onsale-pass", "set-cookie"] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert!(answer.header("location").starts_with('/'));
    assert_eq!(answer.header("cache-control"), "no-store");
}
