//! One key, many requests at once, on two instances.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use super::{CROWD, two_instances};
use crate::support::{Answer, TestApp, at_once, block_on};

const PRICE: i64 = 200_000;
const TIMES: usize = 50;

/// Whether the client is to ask again.
fn is_passing(answer: &Answer) -> bool {
    ["IDEMPOTENCY_KEY_IN_USE", "PAYMENT_IN_PROGRESS"].contains(&answer.code())
}

/// The same request from all sides at once; then that all are answered with the same bytes, or to ask again, and that asking
/// again gives those bytes too.
async fn from_all_sides<Asked>(apps: &[Arc<TestApp>; 2], ask: impl Fn(Arc<TestApp>) -> Asked) -> Answer
where
    Asked: Future<Output = Answer> + Send + 'static,
{
    let answers = at_once(apps.iter().cycle().take(TIMES).map(|app| ask(Arc::clone(app)))).await;
    let (passing, answered): (Vec<_>, Vec<_>) = answers.into_iter().partition(is_passing);
    for answer in &passing {
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (409, "1"));
    }
    let bodies: HashSet<_> = answered.iter().map(|answer| answer.bytes.clone()).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let first = answered[0].clone();
    first.data();
    for app in apps {
        ask(Arc::clone(app)).await.assert_replays(&first);
    }
    first
}

#[test]
fn fifty_charges_under_one_key() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        for user in 1..=5 {
            from_all_sides(&apps, |app| async move { app.charge_under("k", user, 1000).await }).await;
            assert_eq!(apps[0].balance(user).await, 1000);
        }
        assert_eq!(apps[0].number("SELECT count(*) FROM wallet_ledger").await, 5);
        apps[0].audit().await;
    });
}

#[test]
fn fifty_different_charges_under_one_key() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let calls = (1..=50).zip(apps.iter().cycle()).map(|(amount, app)| {
            let app = Arc::clone(app);
            async move { (amount, app.charge_under("k", 1, amount).await) }
        });
        let answers = at_once(calls).await;
        let charged: Vec<i64> =
            answers.iter().filter(|(_, answer)| answer.status == 200).map(|(amount, _)| *amount).collect();
        assert_eq!(charged.len(), 1);
        for (_, answer) in answers.iter().filter(|(_, answer)| answer.status != 200) {
            assert!(["IDEMPOTENCY_KEY_IN_USE", "IDEMPOTENCY_KEY_REUSED"].contains(&answer.code()), "{answer:?}");
        }
        assert_eq!(apps[0].balance(1).await, charged[0]);
        assert_eq!(apps[0].number("SELECT count(*) FROM wallet_ledger").await, 1);
        apps[0].audit().await;
    });
}

#[test]
fn fifty_holds_and_fifty_payments_under_one_key() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        apps[0].charge(1, 5 * PRICE).await.data();
        for seat in 1..=5 {
            let token = apps[0].enter(1).await;
            let key = format!("k{seat}");
            let held = from_all_sides(&apps, |app| {
                let (key, token) = (key.clone(), token.clone());
                async move { app.hold_under(&key, &token, 1, seat).await }
            });
            let reservation = held.await.reservation();
            let free = apps[0].free_by_now(&apps[0].enter(2).await, 1).await;
            assert_eq!(free.len(), 50 - usize::try_from(seat).unwrap());
            let paid = from_all_sides(&apps, |app| {
                let (key, token) = (key.clone(), token.clone());
                async move { app.pay_under(&key, &token, reservation).await }
            });
            paid.await.payment();
            assert_eq!(apps[0].balance(1).await, (5 - seat) * PRICE, "taken once");
        }
        apps[0].audit().await;
    });
}

/// Ends the instances' connections to the database, busy or not, until told to stop; says how many. Its own it leaves.
async fn saboteur(app: Arc<TestApp>, stop: Arc<AtomicBool>, ended: Arc<AtomicI64>) {
    const END: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                       WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.3";
    let mut own = PgConnection::connect(&app.settings.stores.database_url).await.unwrap();
    while !stop.load(Ordering::SeqCst) {
        let now = sqlx::query_scalar::<_, i64>(END).fetch_one(&mut own).await.unwrap();
        ended.fetch_add(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How long it may take: a payment that was cut off is looked into after eight seconds, and may be cut off again then.
const PATIENCE: Duration = Duration::from_mins(2);

/// Asks again, as clients are told to, until it is answered for good.
async fn in_the_end<Asked: Future<Output = Answer>>(ask: impl Fn() -> Asked) -> Answer {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let answer = ask().await;
        if answer.status != 503 && !is_passing(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not answered for good");
}

/// One user charges, holds and pays, each under a key, until it is done.
async fn buy(app: Arc<TestApp>, token: String, user: i64) {
    for round in ["a", "b", "c"] {
        in_the_end(|| app.charge_under(round, user, PRICE)).await.data();
    }
    let reservation = in_the_end(|| app.hold_under("k", &token, 1, user)).await.reservation();
    let payment = in_the_end(|| app.pay_under("k", &token, reservation)).await.payment();
    assert_eq!(in_the_end(|| app.pay_under("k", &token, reservation)).await.payment(), payment);
}

#[test]
fn whatever_breaks_each_key_is_carried_out_once() {
    block_on(async {
        let apps = two_instances(&CROWD).await;
        let tokens = super::enter_all(&apps[0], 1..=10).await;
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::new(AtomicI64::new(0));
        let saboteur = tokio::spawn(saboteur(Arc::clone(&apps[0]), Arc::clone(&stop), Arc::clone(&ended)));
        let buyers = (1..=10).zip(tokens).zip(apps.iter().cycle());
        at_once(buyers.map(|((user, token), app)| buy(Arc::clone(app), token, user))).await;
        // Who was quick is answered again, until connections enough were cut.
        while ended.load(Ordering::SeqCst) <= 10 {
            in_the_end(|| apps[0].charge_under("a", 1, PRICE)).await.data();
        }
        stop.store(true, Ordering::SeqCst);
        saboteur.await.unwrap();
        // Connections that have been idle for a second are asked before they are trusted.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        for user in 1..=10 {
            assert_eq!(apps[0].balance(user).await, 2 * PRICE, "user {user}");
        }
        assert_eq!(apps[0].number("SELECT count(*) FROM payment_history").await, 10);
        apps[0].audit().await;
    });
}
