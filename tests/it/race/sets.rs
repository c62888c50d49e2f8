//! Payments and charges that are decided together, in sets: each on its own, and nobody waits in a circle.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};

use super::{CROWD, two_instances};
use crate::support::{Answer, SLACK, TestApp, WAITING, at_once, block_on, eventually};

/// What the demo programme asks for the first ten seats of a schedule.
const PRICE: i64 = 200_000;

/// A payment made behind the service's back, in the books as it would be.
const PAY_BEHIND: &str = "
    WITH bought AS (
        INSERT INTO reservation (id, user_id, concert_seat_id, status, price)
        VALUES ($1, $2, $3, 'CONFIRMED', 200000) RETURNING id, price
    ), debit AS (
        UPDATE user_wallet SET balance = balance - 200000 WHERE user_id = $2 RETURNING balance
    ), paid AS (
        INSERT INTO payment_history (reservation_id, user_id, amount) SELECT id, $2, price FROM bought RETURNING id
    )
    INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
    SELECT $2, 'PAYMENT', -200000, balance, id FROM debit, paid";

async fn pay_behind(app: &TestApp, reservation: i64, user: i64, seat: i64) {
    sqlx::query(PAY_BEHIND).bind(reservation).bind(user).bind(seat).execute(app.pool()).await.unwrap();
}

/// Each user from 1 on holds the seat of the same number; returns the tokens and reservations.
async fn holders(app: &TestApp, users: i64) -> Vec<(String, i64)> {
    let mut holders = Vec::new();
    for user in 1..=users {
        let token = app.enter(user).await;
        let reservation = app.hold(&token, 1, user).await.reservation();
        holders.push((token, reservation));
    }
    holders
}

/// Entries of one user's ledger, refused by PostgreSQL itself.
async fn poison(app: &TestApp) {
    let poison = "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
                  BEGIN IF NEW.user_id = 5 THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$;
                  CREATE TRIGGER poison BEFORE INSERT ON wallet_ledger FOR EACH ROW EXECUTE FUNCTION poison()";
    app.pool().execute(poison).await.unwrap();
}

#[test]
fn each_payment_of_a_set_is_decided_on_its_own() {
    block_on(async {
        let app = Arc::new(TestApp::with(&CROWD).await);
        for user in [2, 3, 4, 5, 6, 7, 8, 9, 10, 20] {
            app.charge(user, if user == 2 { PRICE - 1 } else { PRICE }).await.data();
        }
        let holders = holders(&app, 10).await;
        // 1 never charged, 2 is short, 3's seat is sold to another, 4 has paid and Redis does not know, of 5's attempt nobody
        // knew what became, and 6's and 7's wallets are locked. The others are plain.
        let anothers = app.unused_reservations(1).await.next().unwrap().get();
        pay_behind(&app, anothers, 20, 3).await;
        pay_behind(&app, holders[3].1, 4, 4).await;
        let tombstone =
            "INSERT INTO reservation (id, user_id, concert_seat_id, status, price) VALUES ($1, 5, 5, 'ABORTED', 1)";
        sqlx::query(tombstone).bind(holders[4].1).execute(app.pool()).await.unwrap();
        let locks = [app.lock_wallet(6).await, app.lock_wallet(7).await];
        let pay = |(token, reservation): (String, i64)| {
            let app = Arc::clone(&app);
            async move { app.pay(&token, reservation).await }
        };
        let mut locked_out = Vec::new();
        // One after the other: as many as sets may be under way at once.
        for (at, waiting) in [(5, 1), (6, 2)] {
            locked_out.push(tokio::spawn(pay(holders[at].clone())));
            eventually("it waits", 2 * SLACK, async || app.number(WAITING).await == waiting).await;
        }
        let others = holders.iter().enumerate().filter(|(at, _)| ![5, 6].contains(at)).map(|(_, it)| pay(it.clone()));
        let answers = tokio::time::timeout(Duration::from_secs(10), at_once(others)).await;
        let answers = answers.expect("nobody waits for another's wallet");
        let told: Vec<_> = answers.iter().map(Answer::code).collect();
        let refused = ["INSUFFICIENT_BALANCE", "INSUFFICIENT_BALANCE", "SEAT_TAKEN", "", "PAYMENT_IN_PROGRESS"];
        assert_eq!((&told[..5], &told[5..]), (&refused[..], &["", "", ""][..]));
        for lock in locks {
            lock.release().await;
        }
        for paid in locked_out {
            paid.await.unwrap().payment();
        }
        app.pay(&holders[4].0, holders[4].1).await.payment();
        let left = [0, PRICE - 1, PRICE, 0, 0, 0, 0, 0, 0, 0];
        for (user, left) in (1..=10).zip(left) {
            assert_eq!(app.balance(user).await, left, "user {user}");
        }
        app.audit().await;
    });
}

#[test]
fn a_payment_that_fails_does_not_take_its_set_along() {
    block_on(async {
        let app = Arc::new(TestApp::with(&CROWD).await);
        for user in 1..=10 {
            app.charge(user, PRICE).await.data();
        }
        let holders = holders(&app, 10).await;
        poison(&app).await;
        let calls = holders.iter().cloned().map(|(token, reservation)| {
            let app = Arc::clone(&app);
            async move { app.pay(&token, reservation).await }
        });
        for (answer, user) in at_once(calls).await.iter().zip(1..) {
            if user == 5 {
                answer.assert_error(500, "INTERNAL");
            } else {
                answer.payment();
            }
        }
        app.pool().execute("DROP TRIGGER poison ON wallet_ledger").await.unwrap();
        assert_eq!(app.balance(5).await, PRICE);
        app.pay(&holders[4].0, holders[4].1).await.payment();
        app.audit().await;
    });
}

#[test]
fn each_charge_of_a_set_is_decided_on_its_own() {
    block_on(async {
        let app = Arc::new(TestApp::with(&CROWD).await);
        let rich = "WITH filled AS (INSERT INTO user_wallet VALUES (1, 999999999990) RETURNING balance)
                    INSERT INTO wallet_ledger (user_id, kind, amount, balance_after) SELECT 1, 'CHARGE', balance, balance FROM filled";
        app.pool().execute(rich).await.unwrap();
        for user in [2, 3, 5] {
            app.charge(user, 7).await.data();
        }
        let locks = [app.lock_wallet(2).await, app.lock_wallet(3).await];
        poison(&app).await;
        let charge = |user: i64| {
            let app = Arc::clone(&app);
            async move { app.charge(user, 100).await }
        };
        let mut locked_out = Vec::new();
        for (user, waiting) in [(2, 1), (3, 2)] {
            locked_out.push(tokio::spawn(charge(user)));
            eventually("it waits", 2 * SLACK, async || app.number(WAITING).await == waiting).await;
        }
        // Twice each from 6 on: of one user's, each in a set of its own.
        let users = || [1, 4, 5].into_iter().chain(6..30).chain(6..30);
        let answers = tokio::time::timeout(Duration::from_secs(10), at_once(users().map(charge))).await;
        let answers = answers.expect("nobody waits for another's wallet");
        for (answer, user) in answers.iter().zip(users()) {
            match user {
                1 => answer.assert_error(400, "INVALID_AMOUNT"),
                5 => answer.assert_error(500, "INTERNAL"),
                _ => assert!(answer.data().is_null()),
            }
        }
        for lock in locks {
            lock.release().await;
        }
        for charged in locked_out {
            charged.await.unwrap().data();
        }
        assert_eq!((app.balance(1).await, app.balance(2).await, app.balance(4).await), (999_999_999_990, 107, 100));
        assert_eq!((app.balance(5).await, app.balance(6).await, app.balance(29).await), (7, 200, 200));
        app.audit().await;
    });
}

/// The order of locks, seen one by one: a seat and its reservation are free to be locked as long as the wallet is waited for.
#[test]
fn who_waits_for_a_wallet_has_no_reservation_yet() {
    block_on(async {
        let app = Arc::new(TestApp::with(&CROWD).await);
        app.charge(1, 10 * PRICE).await.data();
        let token = app.enter(1).await;
        let mut held = Vec::new();
        for seat in 1..=4 {
            held.push(app.hold(&token, 1, seat).await.reservation());
        }
        let payment = app.pay(&token, held[0]).await.payment();
        let mut other = PgConnection::connect(&app.settings.stores.database_url).await.unwrap();
        for way in ["alone", "under a key", "batch", "refund"] {
            let lock = app.lock_wallet(1).await;
            let (app_, token, held) = (Arc::clone(&app), token.clone(), held.clone());
            let waiting = tokio::spawn(async move {
                match way {
                    "alone" => app_.pay(&token, held[1]).await,
                    "under a key" => app_.pay_under("once", &token, held[2]).await,
                    "batch" => app_.pay_many(&token, &held[3..]).await,
                    _ => app_.refund(1, payment).await,
                }
            });
            eventually("it waits for the wallet", 2 * SLACK, async || app.number(WAITING).await == 1).await;
            other.execute("BEGIN; SET LOCAL lock_timeout = '1s'; SELECT FROM reservation FOR UPDATE").await.unwrap();
            let rival = "INSERT INTO reservation (id, user_id, concert_seat_id, status, price)
                         SELECT 900 + id, 2, id, 'CONFIRMED', price FROM concert_seat
                         WHERE id IN (2, 3, 4) AND id NOT IN (SELECT concert_seat_id FROM reservation)";
            other.execute(rival).await.unwrap_or_else(|error| panic!("{way}: {error}"));
            other.execute("ROLLBACK").await.unwrap();
            lock.release().await;
            waiting.await.unwrap().data();
        }
        app.audit().await;
    });
}

/// One of many requests about what a user holds, by its number.
async fn ask_somehow(app: &TestApp, way: usize, key: &str, user: i64, token: &str, held: [i64; 2]) {
    _ = match way {
        0 | 1 => app.pay(token, held[way]).await,
        2 | 3 => app.pay_under(key, token, held[way - 2]).await,
        4 => app.pay_many(token, &held).await,
        5 => app.pay_many(token, &[held[1], held[0]]).await,
        6 => app.charge(user, 1).await,
        _ => app.charge_under(key, user, 1).await,
    };
}

/// All ways in which money moves, over a few users and seats, on two instances.
#[test]
fn nobody_ever_waits_in_a_circle() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let mut payments: Vec<(i64, i64)> = Vec::new();
        for round in 0..10_i64 {
            let mut holders = Vec::new();
            for user in 1..=5_i64 {
                apps[0].charge(user, 2 * PRICE).await.data();
                let token = apps[0].enter(user).await;
                // Others every round: those of the last are being given back meanwhile.
                let seat = 1 + round % 2 * 10 + (user + round) % 5 * 2;
                let held = [
                    apps[0].hold(&token, 1, seat).await.reservation(),
                    apps[0].hold(&token, 1, seat + 1).await.reservation(),
                ];
                holders.push((user, token, held));
            }
            let mut tasks = tokio::task::JoinSet::new();
            for (number, (user, token, held)) in holders.iter().cloned().enumerate() {
                for way in 0..8 {
                    let (app, token) = (Arc::clone(&apps[(number + way) % 2]), token.clone());
                    let key = format!("{round}-{way}");
                    tasks.spawn(async move { ask_somehow(&app, way, &key, user, &token, held).await });
                }
            }
            for (at, (user, payment)) in payments.drain(..).enumerate() {
                let app = Arc::clone(&apps[at % 2]);
                tasks.spawn(async move { _ = app.refund(user, payment).await.data() });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
            for (user, token, held) in holders {
                for reservation in held {
                    payments.push((user, apps[0].pay(&token, reservation).await.payment()));
                }
            }
        }
        // What a connection has counted is seen within a second.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        assert_eq!(apps[0].number(deadlocks).await, 0);
        apps[0].audit().await;
    });
}
