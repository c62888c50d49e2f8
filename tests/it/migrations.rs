//! The schema: what it takes to bring a database up to date, what it refuses, and the demo programme.

use std::collections::BTreeMap;
use std::time::Duration;

use onsale::concert::{self, Seeded};
use onsale::postgres::{Connections, MIGRATOR, Postgres, PostgresSettings};
use sqlx::AssertSqlSafe;

use crate::support::{TestApp, block_on, servers};

fn settings(url: String) -> PostgresSettings {
    PostgresSettings { url, connections: 1, queue: 0, timeout: Duration::from_secs(30) }
}

/// Every row of every table, and every table's columns, constraints and indexes.
async fn contents(pool: &Connections) -> BTreeMap<String, Vec<String>> {
    let mut contents = BTreeMap::new();
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.unwrap();
    for table in tables {
        let rows = AssertSqlSafe(format!("SELECT row_to_json(entry)::text FROM {table} AS entry ORDER BY 1"));
        contents.insert(table, sqlx::query_scalar(rows).fetch_all(pool).await.unwrap());
    }
    let schema = "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                  WHERE connamespace = 'public'::regnamespace
                  UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
                  UNION ALL SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns
                  WHERE table_schema = 'public' ORDER BY 1";
    contents.insert("(schema)".to_owned(), sqlx::query_scalar(schema).fetch_all(pool).await.unwrap());
    contents
}

/// That nothing has changed; says only where something has.
async fn assert_unchanged(pool: &Connections, before: &BTreeMap<String, Vec<String>>) {
    let after = contents(pool).await;
    assert!(after.keys().eq(before.keys()));
    for (table, rows) in before {
        assert!(after[table] == *rows, "{table} has changed");
    }
}

#[test]
fn an_empty_database_is_brought_up_to_date_and_stays_so() {
    block_on(async {
        let settings = settings(servers().await.empty_database().await);
        let postgres = Postgres::connect(&settings).await.unwrap();
        assert!(postgres.require_migrated().await.is_err(), "it is empty");
        Postgres::migrate(&settings).await.unwrap();
        postgres.require_migrated().await.unwrap();
        let first = contents(postgres.pool()).await;
        assert_eq!(first["_sqlx_migrations"].len(), MIGRATOR.iter().count());
        assert_eq!((first["queue"].len(), first["concert"].len()), (1, 0), "the default queue and no more");
        Postgres::migrate(&settings).await.unwrap();
        assert_unchanged(postgres.pool(), &first).await;
        postgres.close().await;
    });
}

#[test]
fn many_may_migrate_at_once() {
    block_on(async {
        let settings = settings(servers().await.empty_database().await);
        let migrate = (0..4).map(|_| Postgres::migrate(&settings));
        for migrated in futures_util::future::join_all(migrate).await {
            migrated.unwrap();
        }
        let postgres = Postgres::connect(&settings).await.unwrap();
        postgres.require_migrated().await.unwrap();
        postgres.close().await;
    });
}

/// One payment, one refused, one hold, one who waits.
async fn small_sale(app: &TestApp) {
    app.charge(1, 250_000).await.data();
    app.charge(2, 100).await.data();
    let (buyer, holder) = (app.enter(1).await, app.enter(2).await);
    let reservation = app.hold(&buyer, 1, 1).await.reservation();
    app.pay(&buyer, reservation).await.payment();
    let reservation = app.hold(&holder, 1, 2).await.reservation();
    app.pay(&holder, reservation).await.assert_error(400, "INSUFFICIENT_BALANCE");
}

#[test]
fn a_database_in_use_is_left_as_it_is() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        small_sale(&app).await;
        let before = contents(app.pool()).await;
        assert_eq!((before["payment_history"].len(), before["wallet_ledger"].len()), (1, 3));
        Postgres::migrate(&settings(app.settings.stores.database_url.clone())).await.unwrap();
        assert_unchanged(app.pool(), &before).await;
        app.audit().await;
    });
}

/// Statements that must fail, each with the constraint that it breaks. Reservation 1, of user 1 for seat 1, and payment 1
/// are there.
const REFUSED: [(&str, &str); 27] = [
    (
        "INSERT INTO reservation (id, user_id, concert_seat_id, status, price) VALUES (9, 2, 1, 'CONFIRMED', 200000)",
        "reservation_seat_live",
    ),
    (
        "INSERT INTO reservation (id, user_id, concert_seat_id, status, price) VALUES (1, 1, 2, 'ABORTED', 1)",
        "reservation_pkey",
    ),
    (
        "INSERT INTO reservation (id, user_id, concert_seat_id, status, price) VALUES (9, 1, 2, 'HELD', 1)",
        "reservation_status",
    ),
    (
        "INSERT INTO reservation (id, user_id, concert_seat_id, status, price) VALUES (9, 1, 2, 'CONFIRMED', -1)",
        "reservation_price_range",
    ),
    ("UPDATE reservation SET status = 'CANCELLED'", "reservation_cancelled_has_time"),
    (
        "INSERT INTO payment_history (reservation_id, user_id, amount) VALUES (1, 1, 1)",
        "payment_history_reservation_unique",
    ),
    (
        "INSERT INTO payment_history (reservation_id, user_id, amount) VALUES (9, 1, 1)",
        "payment_history_reservation_exists",
    ),
    ("UPDATE payment_history SET amount = -1", "payment_history_amount_range"),
    ("UPDATE payment_history SET status = 'LOST'", "payment_history_status"),
    ("UPDATE payment_history SET status = 'REFUNDED'", "payment_history_refunded_has_time"),
    ("UPDATE user_wallet SET balance = -1", "user_wallet_balance_range"),
    ("UPDATE user_wallet SET balance = 1000000000001", "user_wallet_balance_range"),
    ("INSERT INTO user_wallet VALUES (0, 0)", "user_wallet_user_range"),
    ("INSERT INTO user_wallet VALUES (9007199254740992, 0)", "user_wallet_user_range"),
    ("INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (1, 'GIFT', 1, 1)", "wallet_ledger_kind"),
    (
        "INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (1, 'CHARGE', -1, 1)",
        "wallet_ledger_sign",
    ),
    (
        "INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (1, 'CHARGE', 1, -1)",
        "wallet_ledger_balance_range",
    ),
    (
        "INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (1, 'PAYMENT', -1, 1)",
        "wallet_ledger_payment",
    ),
    (
        "INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
         VALUES (1, 'PAYMENT', -1, 1, 1)",
        "wallet_ledger_once_a_payment",
    ),
    ("UPDATE concert_seat SET price = -1 WHERE id = 1", "concert_seat_price_range"),
    ("UPDATE concert_seat SET number = 2 WHERE id = 1", "concert_seat_number_unique"),
    ("UPDATE concert_seat SET position = 1 WHERE id = 1", "concert_seat_position_unique"),
    (
        "INSERT INTO idempotency_key VALUES (1, 'GIVE', 'k', decode(repeat('00', 32), 'hex'), 200, '')",
        "idempotency_key_call",
    ),
    (
        "INSERT INTO idempotency_key VALUES (1, 'CHARGE', '', decode(repeat('00', 32), 'hex'), 200, '')",
        "idempotency_key_length",
    ),
    (
        "INSERT INTO idempotency_key VALUES (1, 'CHARGE', repeat('k', 65), decode(repeat('00', 32), 'hex'), 200, '')",
        "idempotency_key_length",
    ),
    (
        "INSERT INTO idempotency_key VALUES (1, 'CHARGE', 'k', decode(repeat('00', 31), 'hex'), 200, '')",
        "idempotency_key_fingerprint_length",
    ),
    (
        "INSERT INTO idempotency_key VALUES (1, 'CHARGE', 'k', decode(repeat('00', 32), 'hex'), 503, '')",
        "idempotency_key_status_final",
    ),
];

#[test]
fn the_schema_refuses_what_must_not_be() {
    block_on(async {
        let app = TestApp::without_jobs(&[]).await;
        small_sale(&app).await;
        let before = contents(app.pool()).await;
        for (statement, constraint) in REFUSED {
            let error = sqlx::query(statement).execute(app.pool()).await.expect_err(statement);
            let broken = error.as_database_error().and_then(|error| error.constraint());
            assert_eq!(broken, Some(constraint), "{statement}: {error}");
        }
        for statement in ["UPDATE wallet_ledger SET amount = 1", "DELETE FROM wallet_ledger", "TRUNCATE wallet_ledger"]
        {
            let error = sqlx::query(statement).execute(app.pool()).await.expect_err(statement);
            assert!(error.to_string().contains("append-only"), "{statement}: {error}");
        }
        assert_unchanged(app.pool(), &before).await;
        // Only live reservations exclude each other.
        let beside = "INSERT INTO reservation (id, user_id, concert_seat_id, status, price, cancelled_at)
                      VALUES (9, 2, 1, 'CANCELLED', 1, now()), (10, 2, 1, 'ABORTED', 1, NULL)";
        sqlx::query(beside).execute(app.pool()).await.unwrap();
    });
}

#[test]
fn the_demo_programme_is_added_once_a_day() {
    block_on(async {
        let settings = settings(servers().await.empty_database().await);
        Postgres::migrate(&settings).await.unwrap();
        let postgres = Postgres::connect(&settings).await.unwrap();
        let today = "2025-01-01".parse().unwrap();
        let added = concert::seed(&postgres, today).await.unwrap();
        assert_eq!(added, Seeded { concerts: 10, schedules: 30, seats: 1500 });
        let mut first = contents(postgres.pool()).await;
        let added = concert::seed(&postgres, today).await.unwrap();
        assert_eq!(added, Seeded { concerts: 0, schedules: 0, seats: 0 });
        // Counted up all the same, which makes servers look again.
        first.insert("programme_revision".to_owned(), contents(postgres.pool()).await["programme_revision"].clone());
        assert_unchanged(postgres.pool(), &first).await;

        let number =
            async |query: &'static str| -> i64 { sqlx::query_scalar(query).fetch_one(postgres.pool()).await.unwrap() };
        assert_eq!(number("SELECT count(*) FROM concert WHERE id BETWEEN 1 AND 10").await, 10);
        assert_eq!(number("SELECT count(*) FROM concert_schedule WHERE id BETWEEN 1 AND 30").await, 30);
        let dated = "SELECT count(*) FROM concert_schedule
                     WHERE id = 3 * (concert_id - 1) + (date - DATE '2025-01-01') AND date - DATE '2025-01-01' BETWEEN 1 AND 3";
        assert_eq!(number(dated).await, 30, "three each, from tomorrow on");
        let seated = "SELECT count(*) FROM concert_seat
                      WHERE id = 50 * (concert_schedule_id - 1) + number AND number BETWEEN 1 AND 50
                        AND position = number - 1 AND price BETWEEN 50000 AND 200000";
        assert_eq!(number(seated).await, 1500, "numbered 1 to 50, at 50,000 to 200,000 won");
        assert_eq!(number("SELECT count(DISTINCT section) FROM concert_seat").await, 2);
        assert_eq!(number("SELECT min(price) FROM concert_seat").await, 50_000);
        assert_eq!(number("SELECT max(price) FROM concert_seat").await, 200_000);

        let later = concert::seed(&postgres, "2025-01-02".parse().unwrap()).await.unwrap();
        assert_eq!(later, Seeded { concerts: 0, schedules: 10, seats: 500 }, "a day has come into reach");
        postgres.close().await;
    });
}
