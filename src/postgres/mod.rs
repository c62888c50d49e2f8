//! The Postgres foundation: the pool, the migrations, how its errors read. What the statements mean is the business of
//! the rooms that run them.

use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection};

use crate::store_error::StoreError;

/// The schema, carried by the program.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// How long the start waits for Postgres.
const FIRST_CONNECTION: Duration = Duration::from_secs(10);

/// Where Postgres is and how much may be asked of it.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// Connections, kept open.
    pub connections: u32,
    /// The longest to wait for a connection, and again for a statement; the server itself ends a statement that takes
    /// longer, so that a time-out here leaves nothing running there.
    pub timeout: Duration,
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
}

/// Postgres, shared by the whole program.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: PgPool,
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
        ]);
        let pool = PgPoolOptions::new()
            .min_connections(settings.connections)
            .max_connections(settings.connections)
            .acquire_timeout(settings.timeout)
            // One that has been idle is asked before it is trusted; a busy one is not, which would double its round trips.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > Duration::from_secs(1) {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options.clone());
        // The first connection may take longer than any later one: the server, or this machine, may be just starting.
        let first = tokio::time::timeout(FIRST_CONNECTION, PgConnection::connect_with(&options)).await;
        let first = first.unwrap_or_else(|elapsed| Err(sqlx::Error::Io(elapsed.into())));
        first.map_err(ConnectError::Unreachable)?.close().await.map_err(ConnectError::Unreachable)?;
        Ok(Self { pool, timeout: settings.timeout })
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
        let applied: Vec<i64> = match sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(&self.pool)
            .await
        {
            Ok(applied) => applied,
            Err(sqlx::Error::Database(_)) => Vec::new(),
            Err(error) => return Err(ConnectError::Unreachable(error)),
        };
        let missing = MIGRATOR.iter().find(|migration| !applied.contains(&migration.version));
        missing.map_or(Ok(()), |migration| Err(ConnectError::NotMigrated(migration.version)))
    }

    /// The connections.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Awaits statements, timed under `op`, no longer than waiting for a connection and for a statement may take: a server
    /// that is stopped does not keep its own time-outs. A time-out leaves it unknown whether they were carried out.
    pub async fn timed<T>(
        &self,
        op: &'static str,
        statements: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let started = Instant::now();
        let answer = tokio::time::timeout(self.timeout * 2, statements).await;
        let answer = answer.unwrap_or_else(|elapsed| Err(sqlx::Error::Io(elapsed.into())));
        metrics::histogram!("postgres_request_duration_seconds", "op" => op).record(started.elapsed());
        answer
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
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

/// Postgres refuses for now: shutting down, out of connections or resources, a time-out of its own, a deadlock broken.
fn is_passing(error: &dyn sqlx::error::DatabaseError) -> bool {
    // Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html
    let classes = ["08", "40", "53", "55", "57", "58"];
    error.code().is_some_and(|code| code == "25006" || classes.iter().any(|class| code.starts_with(class)))
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
