//! The Postgres foundation: the pool, the gate before it, the migrations, how its errors read. What the statements mean is
//! the business of the rooms that run them.

mod connections;
mod gate;
mod transaction;

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, PgPool};
use tracing::Instrument;

pub use connections::Connections;
pub use gate::unrefused;
pub use transaction::Transaction;

use crate::batch::{Bounds, NotDone};
use crate::store_error::StoreError;
use gate::Gate;

/// The schema, carried by the program.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// How long the start waits for Postgres.
const FIRST_CONNECTION: Duration = Duration::from_secs(10);

/// How long connecting may take, whoever waits for it: hashing a password costs a busy machine time.
const CONNECTING: Duration = Duration::from_secs(3);

/// Sets of one kind under way at once: one is decided while the other waits for the disk. With more, each would be smaller, and
/// what a statement costs, however much it decides, would be paid for more often.
const LANES: usize = 2;

/// What one set decides.
const SET: usize = 128;

/// Where Postgres is and how much may be asked of it.
#[derive(Clone)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// Connections, kept open.
    pub connections: u32,
    /// Statements that may wait for one of them; more are refused.
    pub queue: u32,
    /// The longest to wait for a connection, and again for a statement; the server itself ends a statement that takes
    /// longer, so that a time-out here leaves nothing running there.
    pub timeout: Duration,
}

impl std::fmt::Debug for PostgresSettings {
    /// Without the address, which carries a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("connections", &self.connections)
            .field("queue", &self.queue)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// How much of what may be asked of Postgres is asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// Connections that a statement or a transaction has.
    pub used: u32,
    /// Connections that wait for one.
    pub idle: u32,
    /// Connections that there may be.
    pub most: u32,
    /// Statements under way, those that wait for a connection included, and the jobs' not.
    pub statements: u32,
    /// Statements that may be under way; more are refused.
    pub most_statements: u32,
}

/// Why the start was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error("DATABASE_URL takes postgres://user:password@host:port/database")]
    Address(#[source] sqlx::Error),
    /// Nobody answers there.
    #[error("PostgreSQL does not answer at DATABASE_URL: {0}")]
    Unreachable(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the migrations could not be applied: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The schema is behind this program.
    #[error("the database lacks migration {0}: run `onsale migrate`")]
    NotMigrated(i64),
    /// It follows another server, is still being restored, or is set so.
    #[error(
        "the database may only be read: it follows another, is still being restored, or is set so \
         (default_transaction_read_only)"
    )]
    ReadOnly,
}

/// Postgres, shared by the whole program.
#[derive(Debug, Clone)]
pub struct Postgres {
    connections: Connections,
    gate: Arc<Gate>,
    /// Statements that may be under way, those that wait included.
    places: u32,
    timeout: Duration,
}

impl Postgres {
    /// Connects.
    pub async fn connect(settings: &PostgresSettings) -> Result<Self, ConnectError> {
        let timeout_ms = settings.timeout.as_millis();
        let options = connect_options(settings)?.options([
            ("statement_timeout", format!("{timeout_ms}ms")),
            ("lock_timeout", format!("{timeout_ms}ms")),
            ("idle_in_transaction_session_timeout", format!("{timeout_ms}ms")),
            // Our statements look up by index, whatever their arguments: they are planned once, not at each execution (a
            // millisecond for a set of payments), and never to go through whole tables, as might do while these are small.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            ("enable_seqscan", "off".to_owned()),
            ("jit", "off".to_owned()),
        ]);
        let pool = pool(settings, &options);
        // The first connection may take longer than any later one: the server, or this machine, may be just starting.
        let first = tokio::time::timeout(FIRST_CONNECTION, PgConnection::connect_with(&options)).await;
        let first = first.unwrap_or_else(|elapsed| Err(sqlx::Error::Io(elapsed.into())));
        first.map_err(ConnectError::Unreachable)?.close().await.map_err(ConnectError::Unreachable)?;
        // The first statements find a connection made; the others are made as they are needed.
        let made = tokio::time::timeout(FIRST_CONNECTION, pool.acquire()).await;
        let made = made.unwrap_or_else(|elapsed| Err(sqlx::Error::Io(elapsed.into())));
        let connections = Connections::new(pool, made.map_err(ConnectError::Unreachable)?, settings.timeout);
        let places = settings.connections.saturating_add(settings.queue);
        Ok(Self { connections, gate: Arc::new(Gate::new(places)), places, timeout: settings.timeout })
    }

    /// Brings the schema up to date, however long that takes. Any number may run it at once: one does the work.
    pub async fn migrate(settings: &PostgresSettings) -> Result<(), ConnectError> {
        let options = connect_options(settings)?;
        let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await;
        let pool = pool.map_err(ConnectError::Unreachable)?;
        MIGRATOR.run(&pool).await?;
        pool.close().await;
        Ok(())
    }

    /// Fails unless every migration that this program knows is applied.
    pub async fn require_migrated(&self) -> Result<(), ConnectError> {
        let read = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(self.pool());
        let applied: Vec<i64> = match self.bounded(read).await {
            Ok(applied) => applied,
            Err(sqlx::Error::Database(_)) => Vec::new(),
            Err(error) => return Err(ConnectError::Unreachable(error)),
        };
        let missing = MIGRATOR.iter().find(|migration| !applied.contains(&migration.version));
        missing.map_or(Ok(()), |migration| Err(ConnectError::NotMigrated(migration.version)))
    }

    /// Fails likewise, and where nothing may be changed: a server is there before it has been restored, and before it takes
    /// over. The connection that says so is closed; the next may be to another server.
    pub async fn require_writable(&self) -> Result<(), ConnectError> {
        self.require_migrated().await?;
        let read = async {
            let mut loan = self.connections.lend().await?;
            let asked = sqlx::query_scalar("SELECT current_setting('transaction_read_only')::bool");
            let is_read_only: bool = asked.fetch_one(loan.connection()).await?;
            if !is_read_only {
                loan.give_back();
            }
            Ok(is_read_only)
        };
        if self.bounded(read).await.map_err(ConnectError::Unreachable)? { Err(ConnectError::ReadOnly) } else { Ok(()) }
    }

    /// The connections.
    #[must_use]
    pub fn pool(&self) -> &Connections {
        &self.connections
    }

    /// Awaits statements, timed under `op`. Refused as if there had been no connection in time, which there would not have
    /// been, if too many are under way already: then they were certainly not carried out. A time-out leaves that unknown.
    pub async fn timed<T>(
        &self,
        op: &'static str,
        statements: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let Some(_place) = self.gate.enter() else { return Err(sqlx::Error::PoolTimedOut) };
        let started = Instant::now();
        let span =
            tracing::debug_span!("postgres", otel.name = op, otel.kind = "client", db.system.name = "postgresql");
        let answer = self.bounded(statements).instrument(span).await;
        metrics::histogram!("postgres_request_duration_seconds", "op" => op).record(started.elapsed());
        answer
    }

    /// No longer than waiting for a connection and for a statement may take: a server that is stopped does not keep its own
    /// time-outs.
    fn bounded<T>(
        &self,
        statements: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> impl Future<Output = Result<T, sqlx::Error>> {
        let answer = tokio::time::timeout(self.timeout * 2, statements);
        answer.map(|answer| answer.unwrap_or_else(|elapsed| Err(sqlx::Error::Io(elapsed.into()))))
    }

    /// How what one statement decides for many is gathered. As many sets may wait as single statements may.
    #[must_use]
    pub fn sets(&self) -> Bounds {
        let waiting = usize::try_from(self.places).unwrap_or(usize::MAX).saturating_mul(SET);
        Bounds { lanes: LANES, size: SET, waiting, patience: self.timeout }
    }

    /// How much is in use now.
    #[must_use]
    pub fn in_use(&self) -> InUse {
        let (all, idle) = self.connections.count();
        InUse {
            used: all.saturating_sub(idle),
            idle,
            most: self.connections.most(),
            statements: self.gate.under_way(),
            most_statements: self.places,
        }
    }

    /// A connection that all of this program's statements leave alone, in a transaction that sees one instant, changes
    /// nothing, and may take so long for each statement.
    pub async fn snapshot(&self, limit: Duration) -> Result<PgConnection, sqlx::Error> {
        let limit = format!("{}ms", limit.as_millis());
        // It reads whole tables.
        let options = self.connections.options().options([("statement_timeout", &*limit), ("enable_seqscan", "on")]);
        let mut connection = options.connect().await?;
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        Ok(connection)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.connections.close().await;
    }
}

/// No least number of connections: keeping to it, sqlx would wait for minutes for one that a network swallows. What it makes is
/// kept, and tried, by [`Connections`].
fn pool(settings: &PostgresSettings, options: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(settings.connections)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(settings.timeout.max(CONNECTING))
        .test_before_acquire(false)
        .connect_lazy_with(options.clone())
}

fn connect_options(settings: &PostgresSettings) -> Result<PgConnectOptions, ConnectError> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| settings.url.starts_with(scheme)) {
        return Err(ConnectError::Address(sqlx::Error::Configuration("not a postgres:// address".into())));
    }
    let options = PgConnectOptions::from_str(&settings.url).map_err(ConnectError::Address)?;
    Ok(options.application_name("onsale"))
}

/// The named constraint that a statement broke, if that is why it failed.
#[must_use]
pub fn broken_constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|error| error.constraint())
}

/// Whether what failed was certainly not carried out. An error that Postgres itself reports has rolled back, but for being
/// shut down, where its last word may be cut short.
#[must_use]
pub fn rolled_back(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(error) => !error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// Whether a set failed in a way that may be one member's fault: then it was rolled back, and each is decided by itself.
#[must_use]
pub fn may_be_a_members(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_)) && rolled_back(error)
}

/// What became of a job that its set has not answered. One that was refused counts as a statement that was.
#[must_use]
pub fn not_decided(why: NotDone) -> StoreError {
    match why {
        NotDone::Full | NotDone::Late => {
            metrics::counter!("postgres_refused_total").increment(1);
            sqlx::Error::PoolTimedOut.into()
        }
        NotDone::Lost => StoreError::Unexpected { store: "postgres", source: why.into() },
    }
}

/// What PostgreSQL says where nothing may be changed. By
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>, like all codes here.
const READ_ONLY: &str = "25006";

/// Postgres refuses for now: shutting down, out of connections or resources, a time-out of its own (a transaction's too),
/// a deadlock broken.
fn is_passing(error: &dyn sqlx::error::DatabaseError) -> bool {
    let classes = ["08", READ_ONLY, "25P03", "40", "53", "55", "57", "58"];
    error.code().is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let unavailable = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(error) => is_passing(&**error),
            _ => false,
        };
        let (store, source) = ("postgres", error.into());
        if unavailable { Self::Unavailable { store, source } } else { Self::Unexpected { store, source } }
    }
}
