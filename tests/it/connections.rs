//! The connections to PostgreSQL: which are used again, and which never.

use std::time::Duration;

use futures_util::future::join_all;
use onsale::postgres::{Connections, Postgres, PostgresSettings, Transaction};
use sqlx::{Connection, PgConnection};

use crate::support::{Proxy, block_on, eventually, servers};

const PID: &str = "SELECT pg_backend_pid()";
const SOON: Duration = Duration::from_secs(30);

fn settings(url: String) -> PostgresSettings {
    PostgresSettings { url, connections: 2, queue: 100, timeout: Duration::from_secs(20) }
}

async fn connect() -> (Postgres, PgConnection) {
    let url = servers().await.empty_database().await;
    (Postgres::connect(&settings(url.clone())).await.unwrap(), PgConnection::connect(&url).await.unwrap())
}

async fn close(postgres: &Postgres) {
    tokio::time::timeout(SOON, postgres.close()).await.unwrap();
}

async fn pid(pool: &Connections) -> i32 {
    sqlx::query_scalar(PID).fetch_one(pool).await.unwrap()
}

/// Asks for more at once than one connection can answer.
async fn need_both(pool: &Connections) {
    for slept in join_all((0..20).map(|_| sqlx::query("SELECT pg_sleep(0.01)").execute(pool))).await {
        slept.unwrap();
    }
}

/// Those of the program in the test's own database.
async fn count(other: &mut PgConnection) -> i64 {
    let of = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'onsale' AND datname = current_database()";
    sqlx::query_scalar(of).fetch_one(other).await.unwrap()
}

async fn terminate(other: &mut PgConnection, pid: i32) {
    let end = "SELECT pg_terminate_backend($1, 10000)";
    assert!(sqlx::query_scalar::<_, bool>(end).bind(pid).fetch_one(other).await.unwrap());
}

#[test]
fn one_that_has_answered_is_used_again_whatever_the_answer_was() {
    block_on(async {
        let (postgres, mut other) = connect().await;
        let pool = postgres.pool();
        let first = pid(pool).await;
        assert!(sqlx::query("SELECT 1 / 0").fetch_optional(pool).await.is_err());
        assert!(sqlx::query("SELECT 1 / (5 - n) FROM generate_series(1, 9) n").fetch_all(pool).await.is_err());
        assert_eq!(sqlx::query("SELECT generate_series(1, 999)").fetch_all(pool).await.unwrap().len(), 999);
        let mut transaction = Transaction::begin(&postgres).await.unwrap();
        sqlx::query("SELECT 1").execute(transaction.connection()).await.unwrap();
        transaction.roll_back().await.unwrap();
        assert_eq!(pid(pool).await, first);
        eventually("one at a time needs one", SOON, async || count(&mut other).await == 1).await;
        need_both(pool).await;
        assert_eq!(count(&mut other).await, 2);
        assert_eq!((postgres.in_use().used, postgres.in_use().idle), (0, 2));
        close(&postgres).await;
    });
}

#[test]
fn one_that_may_not_answer_is_never_used_again() {
    block_on(async {
        let (postgres, mut other) = connect().await;
        let pool = postgres.pool();
        let mut last = pid(pool).await;
        let last_words = "SELECT pg_terminate_backend(pg_backend_pid())";
        assert!(sqlx::query(last_words).fetch_optional(pool).await.is_err());
        let mut differs_from_last = async || {
            let now = pid(pool).await;
            std::mem::replace(&mut last, now) != now
        };
        assert!(differs_from_last().await, "its server has said that it ends");
        assert!(sqlx::query(last_words).fetch_all(pool).await.is_err());
        assert!(differs_from_last().await, "likewise, where rows are read one by one");
        let slow = sqlx::query("SELECT pg_sleep(60)").execute(pool);
        assert!(tokio::time::timeout(Duration::from_millis(100), slow).await.is_err());
        assert!(differs_from_last().await, "its statement was given up");
        let mut transaction = Transaction::begin(&postgres).await.unwrap();
        sqlx::query("SELECT 1").execute(transaction.connection()).await.unwrap();
        drop(transaction);
        assert!(differs_from_last().await, "its transaction was not ended");
        // But for the one that still sleeps.
        eventually("the transaction's is closed", SOON, async || count(&mut other).await <= 2).await;
        close(&postgres).await;
    });
}

#[test]
fn one_that_died_while_nobody_used_it_is_replaced_before_anybody_does() {
    block_on(async {
        let (postgres, mut other) = connect().await;
        let first = pid(postgres.pool()).await;
        terminate(&mut other, first).await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_ne!(pid(postgres.pool()).await, first);
        close(&postgres).await;
    });
}

#[test]
fn one_that_nobody_waits_for_any_more_is_made_and_kept() {
    block_on(async {
        let url = servers().await.empty_database().await;
        let proxy = Proxy::before(&url).await;
        let postgres = Postgres::connect(&settings(proxy.url(&url))).await.unwrap();
        let pool = postgres.pool();
        proxy.delay_new(Duration::from_secs(1));
        let first = pid(pool).await;
        let busy = sqlx::query("SELECT pg_sleep(10)").execute(pool);
        let in_a_hurry = async {
            eventually("the first is lent", SOON, async || postgres.in_use().idle == 0).await;
            assert!(tokio::time::timeout(Duration::from_millis(100), pid(pool)).await.is_err());
            eventually("another is kept", SOON, async || postgres.in_use().idle == 1).await;
            assert_ne!(pid(pool).await, first, "the first is at work still");
        };
        let (done, ()) = tokio::join!(busy, in_a_hurry);
        done.unwrap();
        assert_eq!((postgres.in_use().used, postgres.in_use().idle), (0, 2));
        close(&postgres).await;
    });
}

#[test]
fn closing_closes_those_that_are_kept_and_those_that_come_back() {
    block_on(async {
        let (postgres, mut other) = connect().await;
        let pool = postgres.pool();
        need_both(pool).await;
        let closing = async {
            let one_of_two = async || (postgres.in_use().used, postgres.in_use().idle) == (1, 1);
            eventually("one is lent, one is kept", SOON, one_of_two).await;
            close(&postgres).await;
        };
        let (lent, ()) = tokio::join!(sqlx::query("SELECT pg_sleep(2)").execute(pool), closing);
        lent.unwrap();
        eventually("all are closed", SOON, async || count(&mut other).await == 0).await;
        assert!(sqlx::query(PID).execute(pool).await.is_err());
    });
}
