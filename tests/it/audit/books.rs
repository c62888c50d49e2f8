//! Breaches in Postgres, whose constraints are dropped first where they would not let it happen.

use sqlx::AssertSqlSafe;

use super::{Audit, sale};
use crate::program::run;
use crate::support::block_on;

/// What must never be, the invariants that it breaks, and what is named.
const BREACHES: [(&str, &[u64], &[&str]); 15] = [
    (
        "DROP INDEX reservation_seat_live;
         INSERT INTO reservation (id, user_id, concert_seat_id, status, price) VALUES (999, 2, 1, 'CONFIRMED', 200000)",
        &[1, 3],
        &["seat 1", "reservation 999"],
    ),
    ("UPDATE user_wallet SET balance = balance + 1", &[2], &["user 1"]),
    ("INSERT INTO user_wallet VALUES (99, 1)", &[2], &["user 99"]),
    ("DELETE FROM user_wallet", &[2], &["user 1"]),
    (
        "ALTER TABLE user_wallet DROP CONSTRAINT user_wallet_balance_range;
         ALTER TABLE wallet_ledger DROP CONSTRAINT wallet_ledger_balance_range, DROP CONSTRAINT wallet_ledger_sign;
         INSERT INTO user_wallet VALUES (99, -5);
         INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (99, 'CHARGE', -5, -5)",
        &[2],
        &["user 99"],
    ),
    (
        "INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (1, 'CHARGE', 5, 100005)",
        &[2],
        &["user 1"],
    ),
    ("INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (1, 'CHARGE', 0, 7)", &[4], &["entry 3"]),
    ("UPDATE payment_history SET amount = amount - 1", &[3], &["payment 1"]),
    ("UPDATE payment_history SET user_id = 2", &[3], &["payment 1"]),
    ("UPDATE reservation SET price = price - 1", &[3], &["payment 1"]),
    ("UPDATE payment_history SET status = 'REFUNDED', refunded_at = now()", &[3], &["payment 1"]),
    (
        "ALTER TABLE payment_history DROP CONSTRAINT payment_history_reservation_unique;
         INSERT INTO payment_history (reservation_id, user_id, amount) VALUES (1, 1, 200000)",
        &[3],
        &["payment 2", "reservation 1"],
    ),
    (
        "INSERT INTO reservation (id, user_id, concert_seat_id, status, price) VALUES (999, 2, 40, 'CONFIRMED', 80000)",
        &[3, 4],
        &["reservation 999", "schedule 1 seat 40"],
    ),
    ("UPDATE reservation SET status = 'ABORTED'", &[3, 4], &["payment 1", "schedule 1 seat 1"]),
    (
        "INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
         VALUES (1, 'PAYMENT', -100000, 0, 77); UPDATE user_wallet SET balance = 0",
        &[4],
        &["entry 3"],
    ),
];

#[test]
fn a_breach_in_the_books_is_found_and_named() {
    block_on(async {
        for (breach, broken, examples) in BREACHES {
            let app = sale().await;
            Audit::of(&app, &[]).await.assert_broken(&[], &[]);
            sqlx::raw_sql(AssertSqlSafe(breach)).execute(app.pool()).await.unwrap();
            Audit::of(&app, &[]).await.assert_broken(broken, examples);
        }
    });
}

#[test]
fn an_operator_reads_what_is_broken_where_and_what_to_do() {
    block_on(async {
        let app = sale().await;
        sqlx::raw_sql("INSERT INTO user_wallet SELECT id, 1 FROM generate_series(50, 57) AS id")
            .execute(app.pool())
            .await
            .unwrap();
        let stores = &app.settings.stores;
        let variables = [
            ("DATABASE_URL", &*stores.database_url),
            ("REDIS_URL", &*stores.redis_url),
            ("ONSALE_KEY_PREFIX", &*stores.key_prefix),
        ];
        let ran = run(&["audit"], &variables).await;
        assert_eq!((ran.code, ran.stdout.lines().count()), (Some(1), 7), "{ran:?}");
        for (line, number) in ran.stdout.lines().zip(1..) {
            let word = if number == 2 { "BROKEN" } else { "holds " };
            assert!(line.starts_with(&format!("{word} {number}  ")), "{line}");
            assert_eq!(line.contains(" What to do: "), number == 2, "{line}");
        }
        let named = " 8 wrong balances: user 50, user 51, user 52, user 53, user 54, …. What to do: ";
        assert!(ran.stdout.contains(named), "{}", ran.stdout);
        let audit = Audit::of(&app, &[]).await;
        assert!(audit.findings.iter().all(|finding| finding["remedy"].as_str().is_some_and(|text| text.len() > 20)));
    });
}
