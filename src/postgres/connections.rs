//! The pool's connections, lent to one statement at a time. Of a connection whose statement was abandoned half-way (a
//! time-out, a client gone) nobody knows when it will answer, if ever, so it is closed.
//!
//! What sqlx' pool makes is kept here and never goes back to it. It would ask each connection for a sign of life when its statement
//! has just been answered: another round trip for every statement, without a limit of time, which loses for good whatever connections a
//! network swallows.
//!
//! Nor is a connection that is being made given up with the request that it is made for. In sqlx' pool the wait for a turn
//! and the connecting share one time-out (sqlx#3132): after a restart of PostgreSQL under load, those whose turn comes late
//! have no time left to connect, each gives up half-way, and the next begins anew, until the load ends. So turns are ours:
//! who has one leaves the connecting to a task, and should it go away before that is done, the next finds the connection kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, poll_fn};
use futures_util::{FutureExt, StreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgQueryResult, PgRow, PgSeverity, PgStatement, PgTypeInfo};
use sqlx::{Connection, Describe, Either, Error, Execute, Executor, PgConnection, PgPool, SqlStr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::READ_ONLY;

/// Rows that are read ahead of who reads them.
const AHEAD: usize = 16;

/// A connection that was idle for longer is asked whether it is alive, before it is lent.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A connection that is older is closed at the next chance: its server's memory for statements only grows.
const LIFETIME: Duration = Duration::from_mins(30);

/// Runs single statements, and lends connections to [`Transaction`](super::Transaction).
#[derive(Debug, Clone)]
pub struct Connections {
    pool: PgPool,
    /// As many as the pool may have connections.
    turns: Arc<Semaphore>,
    /// The longest to wait for one.
    limit: Duration,
    idle: Arc<Idle>,
}

/// Those that nobody has now; none once they are closed. The last used is the next: so in quiet times few are in use.
#[derive(Debug)]
struct Idle(Mutex<Option<Vec<Kept>>>);

/// Closed when it is dropped.
#[derive(Debug)]
struct Kept {
    connection: PoolConnection<sqlx::Postgres>,
    made: Instant,
    used: Instant,
}

/// A connection while a statement or a transaction has it. Unless it is given back, it is closed.
#[derive(Debug)]
pub(super) struct Loan {
    kept: Kept,
    idle: Arc<Idle>,
    /// Ends after the connection is back.
    _turn: OwnedSemaphorePermit,
}

impl Connections {
    /// With this first connection of the pool.
    pub(super) fn new(pool: PgPool, first: PoolConnection<sqlx::Postgres>, limit: Duration) -> Self {
        let most = usize::try_from(pool.options().get_max_connections()).unwrap_or(Semaphore::MAX_PERMITS);
        let idle = Idle(Mutex::new(Some(vec![Kept::new(first)])));
        Self { pool, turns: Arc::new(Semaphore::new(most)), limit, idle: Arc::new(idle) }
    }

    pub(super) async fn lend(&self) -> Result<Loan, Error> {
        let lend = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::PoolClosed)?;
            match self.kept().await {
                Some(kept) => Ok(Loan { kept, idle: Arc::clone(&self.idle), _turn: turn }),
                None => self.make(turn).await.unwrap_or(Err(Error::WorkerCrashed)),
            }
        };
        tokio::time::timeout(self.limit, lend).await.map_err(|_| Error::PoolTimedOut)?
    }

    /// One that is there, if it is alive. It has to say so soon enough to leave time for a new one.
    async fn kept(&self) -> Option<Kept> {
        let mut kept = self.idle.take()?;
        if kept.used.elapsed() > TRUSTED_FOR {
            tokio::time::timeout(self.limit / 4, kept.connection.ping()).await.ok()?.ok()?;
        }
        Some(kept)
    }

    /// A new one, made by a task that goes on if nobody waits for it any more.
    fn make(&self, turn: OwnedSemaphorePermit) -> oneshot::Receiver<Result<Loan, Error>> {
        let (made, receiver) = oneshot::channel();
        let (pool, idle) = (self.pool.clone(), Arc::clone(&self.idle));
        tokio::spawn(async move {
            let loan = pool.acquire().await.map(|connection| Loan { kept: Kept::new(connection), idle, _turn: turn });
            if let Err(Ok(loan)) = made.send(loan) {
                loan.give_back();
            }
        });
        receiver
    }

    /// How many there are, and how many of them nobody has now.
    pub(super) fn count(&self) -> (u32, u32) {
        let idle = self.idle.all().as_ref().map_or(0, Vec::len);
        (self.pool.size(), u32::try_from(idle).unwrap_or(u32::MAX))
    }

    /// How many there may be.
    pub(super) fn most(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    /// How each is made.
    pub(super) fn options(&self) -> PgConnectOptions {
        (*self.pool.connect_options()).clone()
    }

    /// Closes all, those that are lent when they come back.
    pub(super) async fn close(&self) {
        drop(self.idle.all().take());
        self.pool.close().await;
    }
}

impl Idle {
    fn all(&self) -> MutexGuard<'_, Option<Vec<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Kept> {
        self.all().as_mut()?.pop()
    }
}

impl Kept {
    fn new(mut connection: PoolConnection<sqlx::Postgres>) -> Self {
        connection.close_on_drop();
        let now = Instant::now();
        Self { connection, made: now, used: now }
    }
}

impl Loan {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.kept.connection
    }

    /// It has answered all that it was asked. With it those go that nobody has needed until they were too old.
    pub(super) fn give_back(mut self) {
        self.kept.used = Instant::now();
        if let Some(idle) = &mut *self.idle.all() {
            idle.push(self.kept);
            idle.retain(|kept| kept.made.elapsed() < LIFETIME);
        }
    }

    /// Likewise, if this was one.
    fn give_back_after<T>(self, answer: &Result<T, Error>) {
        if is_answer(answer) {
            self.give_back();
        }
    }
}

/// An error of the server's is an answer too, unless it is its last word, or that it may only be read: another may have taken over
/// meanwhile, and the next connection be to that one. After any other, nobody knows what is still on its way.
fn is_answer<T>(answer: &Result<T, Error>) -> bool {
    let Err(error) = answer else { return true };
    let theirs = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    let is_last = |error: &PgDatabaseError| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
    theirs.is_some_and(|error| !is_last(error) && error.code() != READ_ONLY)
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
            let mut is_in_order = true;
            let mut answer = loan.connection().fetch_many(query);
            while let Some(row) = answer.next().await {
                is_in_order = is_answer(&row);
                // Who reads them drops this future rather than the receiver alone.
                let _ = rows.send(row).await;
            }
            drop(answer);
            if is_in_order {
                loan.give_back();
            }
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
            let row = loan.connection().fetch_optional(query).await;
            loan.give_back_after(&row);
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
            let statement = loan.connection().prepare_with(sql, parameters).await;
            loan.give_back_after(&statement);
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
            let description = loan.connection().describe(sql).await;
            loan.give_back_after(&description);
            description
        }
        .boxed()
    }
}
