//! Schemathesis, which makes up calls from the description, right ones and wrong ones, and finds every answer that the
//! description does not have.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::OPERATOR;
use crate::lua::source;
use crate::support::{TestApp, block_on, python};

/// Has it try the service; `settings` comes after the rest of its settings.
async fn explore(app: &TestApp, settings: &str, args: &[&str]) {
    let socket = app.serve().await;
    let python = python().await;
    let folder = TempDir::new().unwrap();
    let base = std::fs::read_to_string(source::repository("tests/it/openapi/schemathesis.toml")).unwrap();
    std::fs::write(folder.path().join("schemathesis.toml"), base.replace("# here", settings)).unwrap();
    std::fs::copy(source::repository("tests/it/openapi/hooks.py"), folder.path().join("hooks.py")).unwrap();
    let mut command = Command::new(python.program("schemathesis"));
    let address = format!("http://{}/openapi.json", socket.address());
    command.args(["run", &address]).args(args).current_dir(folder.path());
    command
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .env("NO_PROXY", "*")
        .env("NO_COLOR", "1")
        .env("OPERATOR", OPERATOR);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ran = tokio::time::timeout(Duration::from_mins(5), command.output()).await.unwrap().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
}

const ROOMY: [&str; 12] = [
    "--max-active",
    "1000000",
    "--admit-per-second",
    "1000000",
    "--user-writes-per-second",
    "0",
    "--postgres-timeout-ms",
    "10000",
    "--redis-timeout-ms",
    "10000",
    "--request-timeout-ms",
    "20000",
];

#[test]
fn it_finds_no_answer_that_is_not_described() {
    block_on(async {
        let app = TestApp::with(&[&ROOMY[..], &["--admin-token", OPERATOR]].concat()).await;
        let operator = [("authorization", &*format!("Bearer {OPERATOR}"))];
        // The queue that the examples name.
        app.call("POST", "/admin/v1/queues", &operator, json!({"name": "big"})).await.data();
        let settings = format!(
            "[auth.openapi.user]\napi_key = \"1\"\n[auth.openapi.operator]\nbearer = \"{OPERATOR}\"\n\
             [auth.openapi.token]\napi_key = \"live\"\n"
        );
        explore(&app, &settings, &["--max-examples", "12"]).await;
        app.audit().await;
    });
}

#[test]
fn nor_does_it_without_a_token() {
    block_on(async {
        let app = TestApp::with(&ROOMY).await;
        explore(&app, "", &["--max-examples", "3", "--exclude-tag", "operators"]).await;
        assert_eq!(app.number("SELECT count(*) FROM reservation").await, 0);
        app.audit().await;
    });
}
