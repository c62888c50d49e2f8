//! Calls 5 and 6: the balance, and adding to it.

use serde_json::{Value, json};

use super::{NO_IDS, assert_fields};
use crate::support::{Answer, LARGEST_BODY, TestApp, block_on};

const BALANCE: &str = "/api/v1/user-wallets/balance";

async fn charge(app: &TestApp, user: &str, body: &str) -> Answer {
    app.ask("PATCH", BALANCE).header("userId", user).json(body.to_owned()).send().await
}

/// Entries in all ledgers.
async fn entries(app: &TestApp) -> i64 {
    app.number("SELECT count(*) FROM wallet_ledger").await
}

/// A wallet with a balance that takes long to charge.
async fn fill(app: &TestApp, user: i64, balance: i64) {
    sqlx::query(
        "WITH filled AS (INSERT INTO user_wallet (user_id, balance) VALUES ($1, $2))
         INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES ($1, 'CHARGE', $2, $2)",
    )
    .bind(user)
    .bind(balance)
    .execute(app.pool())
    .await
    .unwrap();
}

#[test]
fn a_user_that_never_charged_has_nothing() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let answer = app.ask("GET", BALANCE).header("USERID", "9007199254740991").send().await;
        assert_fields(answer.data(), &["userId", "balance"]);
        assert_eq!(answer.data(), &json!({"userId": 9_007_199_254_740_991_i64, "balance": 0}));
        assert_eq!(app.number("SELECT count(*) FROM user_wallet").await, 0, "asking makes no wallet");
    });
}

#[test]
fn a_charge_adds_to_the_balance() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let second = app.second().await;
        assert_eq!(app.charge(1, 1).await.data(), &Value::Null);
        assert_eq!(second.charge(1, 100_000_000).await.data(), &Value::Null);
        assert_eq!((app.balance(1).await, second.balance(1).await), (100_000_001, 100_000_001));
        assert_eq!(app.balance(2).await, 0, "nobody else's");
        charge(&app, "1", r#" {"currency":"KRW","amount":7} "#).await.data();
        assert_eq!(app.balance(1).await, 100_000_008);
        app.audit().await;
    });
}

#[test]
fn only_whole_won_within_the_range() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        app.charge(1, 1000).await.data();
        for amount in
            ["0", "-1", "-1000", "100000001", "9007199254740992", "9223372036854775808", "1000000000000000000000"]
        {
            charge(&app, "1", &format!("{{\"amount\":{amount}}}")).await.assert_error(400, "INVALID_AMOUNT");
        }
        for amount in
            ["1.5", "1000.0", "\"1000\"", "null", "true", "[]", "{}", "[1000]", "1e2", "NaN", "0x10", "007", "+1"]
        {
            charge(&app, "1", &format!("{{\"amount\":{amount}}}")).await.assert_error(400, "INVALID_REQUEST");
        }
        for body in ["", "{", "null", "1000", "{}", r#"{"Amount":1000}"#, r#"{"amount":1,"amount":2}"#, "amount=1"] {
            charge(&app, "1", body).await.assert_error(400, "INVALID_REQUEST");
        }
        assert_eq!((app.balance(1).await, entries(&app).await), (1000, 1), "nothing was added");
    });
}

#[test]
fn a_balance_never_passes_its_limit() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        fill(&app, 1, 999_999_999_990).await;
        app.charge(1, 11).await.assert_error(400, "INVALID_AMOUNT");
        assert_eq!((app.balance(1).await, entries(&app).await), (999_999_999_990, 1));
        app.charge(1, 10).await.data();
        app.charge(1, 1).await.assert_error(400, "INVALID_AMOUNT");
        app.charge(1, 100_000_000).await.assert_error(400, "INVALID_AMOUNT");
        assert_eq!((app.balance(1).await, entries(&app).await), (1_000_000_000_000, 2));
        app.audit().await;
    });
}

#[test]
fn a_user_is_a_positive_whole_number() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        for bad in NO_IDS.iter().chain(&["", "1 1", "1,2"]) {
            app.ask("GET", BALANCE).header("userId", bad).send().await.assert_error(401, "USER_REQUIRED");
            charge(&app, bad, r#"{"amount":1000}"#).await.assert_error(401, "USER_REQUIRED");
        }
        app.ask("GET", BALANCE).send().await.assert_error(401, "USER_REQUIRED");
        app.ask("PATCH", BALANCE).json(r#"{"amount":1000}"#).send().await.assert_error(401, "USER_REQUIRED");
        let twice = app.ask("PATCH", BALANCE).header("userId", "1").header("userId", "2");
        twice.json(r#"{"amount":1000}"#).send().await.assert_error(401, "USER_REQUIRED");
        assert_eq!(entries(&app).await, 0);
    });
}

#[test]
fn a_body_is_small_and_says_what_it_is() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let ask = || app.ask("PATCH", BALANCE).header("userId", "1");
        let small = r#"{"amount":1000}"#;
        ask().body(small).send().await.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
        ask().header("content-type", "text/plain").body(small).send().await.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
        let padded = |length: usize| format!("{small}{}", " ".repeat(length - small.len()));
        ask().json(padded(LARGEST_BODY + 1)).send().await.assert_error(413, "PAYLOAD_TOO_LARGE");
        assert_eq!(entries(&app).await, 0);
        ask().json(padded(LARGEST_BODY)).send().await.data();
        assert_eq!(app.balance(1).await, 1000);
    });
}
