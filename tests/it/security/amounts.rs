//! Amounts: numbers out of any range, wherever one comes in, are refused and change nothing; a price is the server's own; and
//! what got past all that, the tables would refuse.

use serde_json::json;
use sqlx::Executor;

use super::{calls, filled};
use crate::admin::OPERATED;
use crate::lua::source;
use crate::support::{TestApp, block_on};

/// As they stand in JSON.
const NUMBERS: [&str; 14] = [
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "9007199254740992",
    "-1",
    "-0",
    "0.5",
    "1e309",
    "-1e309",
    "1e308",
    "1e-400",
    "999999999999999999999999999999999999999999",
    "0",
];

/// Every field of every body that takes a number.
const FIELDS: [&str; 15] = [
    "amount",
    "concertScheduleId",
    "concertSeatId",
    "concertReservationId",
    "concertSeatIds",
    "concertReservationIds",
    "count",
    "maxActive",
    "admitPerSecond",
    "activeTtlSeconds",
    "waitingTtlSeconds",
    "holdTtlSeconds",
    "price",
    "number",
    "seatsPerRow",
];

/// A body with one field like this, and all others right.
fn body(field: &str, number: &str) -> String {
    let right = [("concertScheduleId", "1"), ("concertSeatId", "2"), ("concertReservationId", "1"), ("amount", "1")];
    let value = if field.ends_with("Ids") { format!("[{number}]") } else { number.to_owned() };
    let others = right.iter().filter(|(other, _)| *other != field).map(|(name, value)| format!("\"{name}\":{value}"));
    let best = (field == "count").then(|| "\"bestAvailable\":true".to_owned());
    let fields: Vec<String> = others.chain(best).chain([format!("\"{field}\":{value}")]).collect();
    format!("{{{}}}", fields.join(","))
}

#[test]
fn no_number_is_too_large_or_too_small_to_be_refused() {
    block_on(async {
        let args = [&OPERATED[..], &["--user-writes-per-second", "0"]].concat();
        let app = TestApp::without_jobs(&args).await;
        let token = app.enter(1).await;
        app.charge(1, 1_000_000).await.data();
        let before = app.contents().await;
        let operator = format!("Bearer {}", OPERATED[1]);
        let changing: Vec<_> =
            calls().into_iter().filter(|(method, _)| ["POST", "PATCH"].contains(&&**method)).collect();
        for (method, path) in &changing {
            for field in FIELDS {
                // What does not heed a field would do what the others say.
                if !takes(method, path, field) {
                    continue;
                }
                for number in NUMBERS {
                    let path = filled(&path.replace("{name}", "default"), "1");
                    let ask = app.ask(method, &path).header("userId", "1").header("token", &token);
                    let answer = ask.header("authorization", &operator).json(body(field, number)).send().await;
                    assert!(answer.status.is_client_error(), "{method} {path} {field}={number}: {answer:?}");
                }
            }
        }
        for (method, path) in calls()
            .into_iter()
            .filter(|(_, path)| path.contains('{') && !path.contains("{name}") && !path.contains("{*"))
        {
            for number in NUMBERS.iter().filter(|number| !number.contains('.')) {
                let path = filled(&path, number);
                let ask = app.ask(&method, &path).header("userId", "1").header("token", &token);
                let answer = ask.header("authorization", &operator).json("{}").send().await;
                assert!(answer.status.is_client_error(), "{method} {path}: {answer:?}");
            }
        }
        for list in [
            "/api/v1/user-wallets/transactions",
            "/api/v1/payments",
            "/api/v1/concerts",
            "/admin/v1/audit",
            "/admin/v1/concerts",
        ] {
            for field in ["size", "cursor", "page"] {
                for number in NUMBERS {
                    let path = format!("{list}?{field}={number}");
                    let ask =
                        app.ask("GET", &path).header("userId", "1").header("authorization", &operator).send().await;
                    assert!(!ask.status.is_server_error(), "{path}: {ask:?}");
                }
            }
        }
        assert_eq!(app.contents().await, before, "nothing is more or less");
        app.audit().await;
    });
}

/// Whether a call heeds a field.
fn takes(method: &str, path: &str, field: &str) -> bool {
    match (method, path) {
        ("PATCH", "/api/v1/user-wallets/balance") => field == "amount",
        ("POST", "/api/v1/reservations/concert") => ["concertScheduleId", "concertSeatId"].contains(&field),
        ("POST", "/api/v1/reservations/concert/batch") => {
            ["concertScheduleId", "concertSeatIds", "count"].contains(&field)
        }
        ("POST", "/api/v1/payment/concert") => field == "concertReservationId",
        ("POST", "/api/v1/payment/concert/batch") => field == "concertReservationIds",
        ("PATCH", "/admin/v1/queues/{name}") => {
            field.ends_with("Seconds") || ["maxActive", "admitPerSecond"].contains(&field)
        }
        _ => false,
    }
}

#[test]
fn a_plan_takes_no_number_out_of_its_range() {
    block_on(async {
        let app = TestApp::without_jobs(&OPERATED).await;
        let before = app.contents().await.1;
        let plans = [
            r#"{"title":"t","schedules":[{"date":"2050-01-01","seats":[{"section":"s","row":"r","number":1,"price":#}]}]}"#,
            r#"{"title":"t","schedules":[{"date":"2050-01-01","seats":[{"section":"s","row":"r","number":#,"price":1}]}]}"#,
            r#"{"title":"t","schedules":[{"date":"2050-01-01","sections":[{"section":"s","price":#,"rows":["A"],"seatsPerRow":2}]}]}"#,
            r#"{"title":"t","schedules":[{"date":"2050-01-01","sections":[{"section":"s","price":1,"rows":["A"],"seatsPerRow":#}]}]}"#,
        ];
        for plan in plans {
            // A seat may be free of charge.
            for number in
                NUMBERS.iter().filter(|number| !(plan.contains("\"price\":#") && ["0", "-0"].contains(number)))
            {
                let ask =
                    app.ask("POST", "/admin/v1/concerts").header("authorization", format!("Bearer {}", OPERATED[1]));
                let answer = ask.json(plan.replace('#', number)).send().await;
                answer.assert_error(400, "INVALID_REQUEST");
            }
        }
        assert_eq!(app.contents().await.1, before);
    });
}

#[test]
fn the_price_is_the_servers_own() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        app.charge(1, 300_000).await.data();
        let told = [("token", &*token), ("userId", "1")];
        let hold = json!({ "concertScheduleId": 1, "concertSeatId": 1, "price": 1, "amount": 1 });
        let reservation = app.call("POST", "/api/v1/reservations/concert", &told, hold).await.reservation();
        for price in [json!(0), json!(-200_000), json!(1)] {
            let pay = json!({ "concertReservationId": reservation, "price": price, "amount": price });
            app.call("POST", "/api/v1/payment/concert", &told, pay).await.payment();
        }
        assert_eq!(app.balance(1).await, 100_000, "200,000 was taken, once, whatever was said");
        app.audit().await;
    });
}

#[test]
fn what_the_program_would_let_past_the_tables_refuse() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        let token = app.enter(1).await;
        app.charge(1, 300_000).await.data();
        let reservation = app.hold(&token, 1, 1).await.reservation();
        app.pay(&token, reservation).await.payment();
        let before = app.contents().await.1;
        for (statement, constraint) in [
            ("UPDATE user_wallet SET balance = -1", "user_wallet_balance_range"),
            ("UPDATE user_wallet SET balance = 1000000000001", "user_wallet_balance_range"),
            ("UPDATE concert_seat SET price = -1 WHERE id = 2", "concert_seat_price_range"),
            ("UPDATE reservation SET price = -1", "reservation_price_range"),
            ("UPDATE payment_history SET amount = -1", "payment_history_amount_range"),
            (
                "INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (1, 'CHARGE', 1, -1)",
                "wallet_ledger_balance_range",
            ),
            (
                "INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (1, 'CHARGE', -1, 1)",
                "wallet_ledger_sign",
            ),
        ] {
            let refused = app.pool().execute(statement).await.unwrap_err();
            let refused =
                refused.as_database_error().and_then(|error| error.constraint()).unwrap_or_default().to_owned();
            assert_eq!(refused, constraint, "{statement}");
        }
        // What is written in the ledger stays.
        for change in ["UPDATE wallet_ledger SET amount = 0", "DELETE FROM wallet_ledger", "TRUNCATE wallet_ledger"] {
            let refused = app.pool().execute(change).await.unwrap_err();
            assert!(refused.to_string().contains("append-only"), "{change}: {refused}");
        }
        let sold_again =
            "INSERT INTO reservation SELECT (jsonb_populate_record(reservation, '{\"id\": 999}')).* FROM reservation";
        assert!(app.pool().execute(sold_again).await.is_err(), "a seat has one live reservation");
        assert_eq!(app.contents().await.1, before);
    });
}

#[test]
fn arithmetic_that_overflows_stops_in_the_program_that_is_shipped_too() {
    let manifest = std::fs::read_to_string(source::repository("Cargo.toml")).unwrap();
    let release = manifest.split_once("[profile.release]").unwrap().1.split("\n[").next().unwrap();
    assert!(release.lines().any(|line| line.trim() == "overflow-checks = true"), "{release}");
    // And in no build is it wrapped on purpose where money is counted.
    for path in source::files("src") {
        let code = std::fs::read_to_string(&path).unwrap();
        let of_money = ["wallet", "payment", "money.rs"].iter().any(|room| path.to_string_lossy().contains(room));
        assert!(!of_money || !code.contains("wrapping_"), "{}", path.display());
    }
}
