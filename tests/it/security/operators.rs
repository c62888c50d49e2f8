//! Operators' calls: none of them, as the source lists them, is reached without an operator's own token, whatever else is
//! brought.

use serde_json::Value;

use super::{calls, filled};
use crate::admin::OPERATED;
use crate::support::{Answer, TestApp, block_on};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Their paths, filled with what is there.
fn paths() -> Vec<String> {
    let mut paths: Vec<String> =
        calls().into_iter().map(|(_, path)| path).filter(|path| path.starts_with("/admin/")).collect();
    paths.sort_unstable();
    paths.dedup();
    assert!(paths.len() >= 10, "{paths:?}");
    paths.iter().map(|path| filled(&path.replace("{name}", "default"), "1")).collect()
}

#[test]
fn no_operators_call_is_reached_with_anything_but_an_operators_token() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let before = app.contents().await.1;
        let token = app.enter(1).await;
        let pass = app.get("/api/v1/queues/token/pass", &token).await;
        let pass = pass.data()["pass"].as_str().unwrap().to_owned();
        let in_cookies = format!("onsale_token={token}; onsale_pass={pass}");
        let key = OPERATED[1];
        let brought: [&[(&str, &str)]; 6] = [
            &[],
            &[("userId", "1"), ("token", &token), ("onsale-pass", &pass), ("cookie", &in_cookies)],
            &[("token", key)],
            &[("authorization", key)],
            &[("proxy-authorization", &format!("Bearer {key}"))],
            &[("cookie", &format!("authorization=Bearer {key}"))],
        ];
        for path in paths() {
            for method in METHODS {
                for headers in brought {
                    for path in [path.clone(), format!("{path}?authorization=Bearer%20{key}&token={key}")] {
                        assert_shut(method, &app.call(method, &path, headers, Value::Null).await, &path);
                    }
                }
            }
        }
        assert_eq!(app.contents().await.1, before);
        // These bearers are wrong; after ten a second they are not even looked at, which is no way in either.
        for wrong in [
            format!("Bearer {token}"),
            format!("Bearer {pass}"),
            format!("Bearer {}", &key[..63]),
            "Bearer ".to_owned(),
        ] {
            for (method, path) in calls().into_iter().filter(|(_, path)| path.starts_with("/admin/")) {
                let path = filled(&path.replace("{name}", "default"), "1");
                let answer = app.call(&method, &path, &[("authorization", &wrong)], Value::Null).await;
                assert!(
                    [(401, "INVALID_TOKEN"), (429, "RATE_LIMITED")].contains(&(answer.status.as_u16(), answer.code())),
                    "{answer:?}"
                );
            }
        }
        assert_eq!(app.contents().await.1, before);
        app.operate("GET", "/queues", Value::Null).await.data();
    });
}

#[track_caller]
fn assert_shut(method: &str, answer: &Answer, path: &str) {
    assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
    assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
}
