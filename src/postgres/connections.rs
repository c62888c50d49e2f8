//! The pool's connections, lent to one statement at a time. Of a connection whose statement was abandoned half-way (a
//! time-out, a client gone) nobody knows when it will answer, if ever, so it is closed; and no connection is waited for
//! longer than its time when it comes back. sqlx' own pool waits without a limit there, which loses for good whatever
//! connections a network swallows.
//!
//! Nor is a connection that is being made given up with the request that it is made for. In sqlx' pool the wait for a turn
//! and the connecting share one time-out (sqlx#3132): after a restart of PostgreSQL under load, those whose turn comes late
//! have no time left to connect, each gives up half-way, and the next begins anew, until the load ends. So turns are ours:
//! who has one leaves the connecting to a task, and should it go away meanwhile, the next finds the connection idle.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, poll_fn};
use futures_util::{FutureExt, StreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, PgPool, SqlStr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Rows that are read ahead of who reads them.
const AHEAD: usize = 16;

/// Runs single statements, and lends connections to [`Transaction`](super::Transaction). What else sqlx' pool offers, to
/// which this dereferences, is not bounded.
#[derive(Debug, Clone)]
pub struct Connections {
    pool: PgPool,
    /// As many as the pool may have connections.
    turns: Arc<Semaphore>,
    /// The longest to wait for one, and for one that comes back.
    limit: Duration,
}

/// A connection while a statement or a transaction has it.
#[derive(Debug)]
pub(super) struct Loan {
    pub(super) connection: PoolConnection<sqlx::Postgres>,
    turn: Option<OwnedSemaphorePermit>,
    limit: Duration,
    /// Whether it is in order again: unless this is set, it is closed.
    pub(super) answered: bool,
}

impl Connections {
    pub(super) fn new(pool: PgPool, limit: Duration) -> Self {
        let most = usize::try_from(pool.options().get_max_connections()).unwrap_or(Semaphore::MAX_PERMITS);
        Self { pool, turns: Arc::new(Semaphore::new(most)), limit }
    }

    pub(super) async fn lend(&self) -> Result<Loan, Error> {
        let lend = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::PoolClosed)?;
            let pool = self.pool.clone();
            // Dropping the handle does not stop the task.
            let made = tokio::spawn(async move { (pool.acquire().await, turn) });
            made.await.map_err(|_| Error::WorkerCrashed)
        };
        let (connection, turn) = tokio::time::timeout(self.limit, lend).await.map_err(|_| Error::PoolTimedOut)??;
        Ok(Loan { connection: connection?, turn: Some(turn), limit: self.limit, answered: false })
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.answered {
            // Not in sqlx' documentation, but public: what its own drop does, as a future that can be given up.
            let back = tokio::time::timeout(self.limit, self.connection.return_to_pool());
            let turn = self.turn.take();
            tokio::spawn(async move {
                let _ = back.await;
                drop(turn);
            });
        } else {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Connections {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.pool
    }
}

impl<'p> Executor<'p> for &'_ Connections {
    type Database = sqlx::Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        E: 'q + Execute<'q, Self::Database>,
    {
        let connections = self.clone();
        let (rows, mut fetched) = mpsc::channel(AHEAD);
        let fetch = async move {
            let mut loan = match connections.lend().await {
                Ok(loan) => loan,
                Err(error) => {
                    let _ = rows.send(Err(error)).await;
                    return;
                }
            };
            let mut answer = loan.connection.fetch_many(query);
            while let Some(row) = answer.next().await {
                // Who reads them drops this future rather than the receiver alone.
                let _ = rows.send(row).await;
            }
            drop(answer);
            loan.answered = true;
        };
        let mut fetch = fetch.boxed().fuse();
        poll_fn(move |context| {
            let _ = fetch.poll_unpin(context);
            fetched.poll_recv(context)
        })
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        E: 'q + Execute<'q, Self::Database>,
    {
        let connections = self.clone();
        async move {
            let mut loan = connections.lend().await?;
            let row = loan.connection.fetch_optional(query).await;
            loan.answered = true;
            row
        }
        .boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        let connections = self.clone();
        async move {
            let mut loan = connections.lend().await?;
            let statement = loan.connection.prepare_with(sql, parameters).await;
            loan.answered = true;
            statement
        }
        .boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Self::Database>, Error>>
    where
        'p: 'e,
    {
        let connections = self.clone();
        async move {
            let mut loan = connections.lend().await?;
            let description = loan.connection.describe(sql).await;
            loan.answered = true;
            description
        }
        .boxed()
    }
}
