//! The floor of charge and payment: the same statement, one a transaction, under pgbench, in a database of its own that has
//! the same tables, in the same server.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use onsale::dev::{Install, Programs};
use onsale::postgres::{Postgres, PostgresSettings};
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use super::programme;
use super::script::Cost;
use super::stage::cost::{Meter, float};
use super::stage::{Outcome, PATIENCE, Stage};

/// As many as the service is asked by.
pub(super) const CLIENTS: usize = 64;
const CLIENTS_FLOAT: f64 = 64.0;

/// Of each client, to find out how fast it goes. pgbench counts its time from before it connects, which may take all of it,
/// so it is told how many to make.
const FIRST: f64 = 16.0;

/// Which statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Statement {
    Charge,
    Payment,
}

/// pgbench and where it works.
pub(super) struct Pgbench {
    program: PathBuf,
    url: String,
    /// The first seat of the next run's.
    base: f64,
    /// The last found of each statement.
    rates: HashMap<Statement, f64>,
}

impl Pgbench {
    pub(super) async fn prepare(stage: &Stage) -> Outcome<Self> {
        let programs = Programs::find_or_install(Install::Forbidden).await?;
        let beside = programs.initdb.with_file_name("pgbench");
        let program = if beside.exists() { beside } else { PathBuf::from("pgbench") };
        let service = stage.servers.postgres.url();
        let mut connection = PgConnection::connect(&service).await?;
        sqlx::raw_sql("CREATE DATABASE floor").execute(&mut connection).await?;
        connection.close().await?;
        let (server, _) = service.rsplit_once('/').ok_or("no database in the URL")?;
        let url = format!("{server}/floor");
        let settings = PostgresSettings { url: url.clone(), connections: 1, queue: 0, timeout: PATIENCE };
        Postgres::migrate(&settings).await?;
        let mut connection = PgConnection::connect(&url).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(programme::sql())).execute(&mut connection).await?;
        connection.close().await?;
        Ok(Self { program, url, base: 0.0, rates: HashMap::new() })
    }

    /// Runs a statement for about a time, once it is known how often that is.
    pub(super) async fn round(&mut self, meter: &Meter, statement: Statement, time: Duration) -> Outcome<Cost> {
        if !self.rates.contains_key(&statement) {
            self.run(meter, statement, FIRST).await?;
        }
        let rate = self.rates.get(&statement).copied().unwrap_or_default();
        self.run(meter, statement, (rate * time.as_secs_f64() / CLIENTS_FLOAT).ceil()).await
    }

    /// So often by each client; all must have done their work.
    async fn run(&mut self, meter: &Meter, statement: Statement, times: f64) -> Outcome<Cost> {
        let (file, table) = match statement {
            Statement::Charge => ("charge.sql", "SELECT count(*) FROM wallet_ledger"),
            Statement::Payment => ("payment.sql", "SELECT count(*) FROM payment_history"),
        };
        let base = self.base;
        if statement == Statement::Payment {
            self.base += times * CLIENTS_FLOAT;
        }
        let had = self.count(table).await?;
        let before = meter.read()?;
        let mut command = Command::new(&self.program);
        command.args(["--no-vacuum", "--protocol=prepared", "--jobs=1"]);
        command.arg(format!("--client={CLIENTS}")).arg(format!("--transactions={times:.0}"));
        command.arg(format!("--define=base={base:.0}")).arg("--define=n=-1");
        command.arg("--file").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/floors").join(file));
        command.arg(&self.url).kill_on_drop(true);
        let output =
            command.output().await.map_err(|error| format!("pgbench ({}): {error}", self.program.display()))?;
        let spent = meter.since(&before)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let number = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.split([' ', '/']).next());
        let (Some(done), Some(rate)) = (number("number of transactions actually processed: "), number("tps = ")) else {
            return Err(format!("pgbench: {said}{complaint}").into());
        };
        let (done, per_second) = (done.parse::<u32>()?, rate.parse()?);
        self.rates.insert(statement, per_second);
        let have = self.count(table).await? - had;
        if have != i64::from(done) {
            return Err(format!("pgbench: {have} of {done} statements did their work").into());
        }
        Ok(Cost { per_second, cpu_us: spent.postgres_cpu_seconds / float(done.into()) * 1e6 })
    }

    async fn count(&self, query: &'static str) -> Outcome<i64> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let count = sqlx::query_scalar(query).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(count)
    }
}
