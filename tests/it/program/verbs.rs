//! `migrate`, `seed` and `audit` on a database of their own.

use super::run;
use crate::support::{TestApp, block_on, servers};

#[test]
fn migrate_and_seed_may_be_repeated() {
    block_on(async {
        let (database, redis) = (servers().await.empty_database().await, servers().await.redis_url());
        let stores = [("DATABASE_URL", &*database), ("REDIS_URL", &*redis), ("ONSALE_KEY_PREFIX", "verbs")];
        let ran = run(&["seed"], &stores).await;
        assert!(ran.code != Some(0) && ran.stderr.contains("onsale migrate"), "{ran:?}");
        for _ in 0..2 {
            let ran = run(&["migrate"], &stores).await;
            assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 1), "{ran:?}");
        }
        for added in ["Added 10 concerts, 30 schedules, 1500 seats.\n", "Added 0 concerts, 0 schedules, 0 seats.\n"] {
            let ran = run(&["seed"], &stores).await;
            assert_eq!((ran.code, &*ran.stdout), (Some(0), added), "{ran:?}");
        }
        let ran = run(&["audit"], &stores).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    });
}

/// What the audit says of an app's stores: its exit code, and the invariants that it calls broken.
async fn audit(app: &TestApp, args: &[&str]) -> (Option<i32>, Vec<u64>) {
    let stores = &app.settings.stores;
    let variables = [
        ("DATABASE_URL", &*stores.database_url),
        ("REDIS_URL", &*stores.redis_url),
        ("ONSALE_KEY_PREFIX", &*stores.key_prefix),
    ];
    let text = run(&[&["audit"], args].concat(), &variables).await;
    let json = run(&[&["audit", "--json"], args].concat(), &variables).await;
    assert_eq!(text.code, json.code);
    let (mut broken, mut all) = (Vec::new(), Vec::new());
    for (line, json) in text.stdout.lines().zip(json.stdout.lines()) {
        let finding: serde_json::Value = serde_json::from_str(json).unwrap();
        let invariant = finding["invariant"].as_u64().unwrap();
        let word = if finding["holds"] == true { "holds" } else { "BROKEN" };
        assert!(line.starts_with(word) && line.contains(&format!(" {invariant} ")), "{line}: {json}");
        all.push(invariant);
        if finding["holds"] == false {
            broken.push(invariant);
        }
    }
    assert_eq!(all, [1, 2, 3, 4, 5, 6, 7], "a line each: {text:?}");
    (text.code, broken)
}

/// An app that has sold seat 1 to user 1, and where user 2 holds seat 2.
async fn sale() -> TestApp {
    let app = TestApp::without_jobs(&[]).await;
    app.charge(1, 300_000).await.data();
    let (buyer, holder) = (app.enter(1).await, app.enter(2).await);
    let reservation = app.hold(&buyer, 1, 1).await.reservation();
    app.hold(&holder, 1, 2).await.reservation();
    app.pay(&buyer, reservation).await.payment();
    app
}

/// What must never be, and the invariants that it breaks.
const BREACHES: [(&str, &[u64]); 9] = [
    ("UPDATE user_wallet SET balance = balance + 1", &[2]),
    ("INSERT INTO user_wallet VALUES (99, 1)", &[2]),
    ("INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (1, 'CHARGE', 5, 100005)", &[2]),
    ("INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) VALUES (1, 'CHARGE', 0, 7)", &[4]),
    ("UPDATE payment_history SET amount = amount - 1", &[3]),
    ("UPDATE payment_history SET user_id = 2", &[3]),
    ("UPDATE reservation SET price = price - 1", &[3]),
    (
        "INSERT INTO reservation (id, user_id, concert_seat_id, status, price) VALUES (999, 2, 40, 'CONFIRMED', 80000)",
        &[3, 4],
    ),
    ("UPDATE reservation SET status = 'ABORTED'", &[3, 4]),
];

#[test]
fn a_breach_in_the_books_is_found() {
    block_on(async {
        for (breach, broken) in BREACHES {
            let app = sale().await;
            assert_eq!(audit(&app, &[]).await, (Some(0), vec![]));
            sqlx::query(breach).execute(app.pool()).await.unwrap();
            assert_eq!(audit(&app, &[]).await, (Some(1), broken.to_vec()), "{breach}");
        }
    });
}

#[test]
fn a_seat_sold_twice_is_found() {
    block_on(async {
        let app = sale().await;
        for breach in [
            "DROP INDEX reservation_seat_live",
            "INSERT INTO reservation (id, user_id, concert_seat_id, status, price) VALUES (999, 2, 1, 'CONFIRMED', 200000)",
        ] {
            sqlx::query(breach).execute(app.pool()).await.unwrap();
        }
        assert_eq!(audit(&app, &[]).await, (Some(1), vec![1, 3]));
    });
}

#[test]
fn a_breach_in_redis_is_found() {
    block_on(async {
        let breaches: [(&[&str], &[u64]); 5] = [
            // The sold seat is free, a free seat is sold, a hold has no end, two are one user's, and one is out of turn.
            (&["SETRANGE", "{schedule:1}:seats", "0", "F"], &[4]),
            (&["SETRANGE", "{schedule:1}:seats", "9", "S"], &[4]),
            (&["DEL", "{schedule:1}:lapses"], &[7]),
            (&["ZADD", "{queue:default}:waiting", "1", "2"], &[6]),
            (&["HSET", "{queue:default}:tokens", "2", "W:1:1:1"], &[6]),
        ];
        for (breach, broken) in breaches {
            let app = sale().await;
            app.redis(breach).await;
            assert_eq!(audit(&app, &[]).await, (Some(1), broken.to_vec()), "{breach:?}");
        }
        let app = sale().await;
        app.enter(3).await;
        assert_eq!(audit(&app, &["--max-active", "1"]).await, (Some(1), vec![5]), "two are active");
    });
}
