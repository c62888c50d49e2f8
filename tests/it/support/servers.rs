//! One private Redis and one private PostgreSQL for the whole run. They end with this process, however it ends.

use std::future::Future;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use onsale::concert;
use onsale::dev::{Durability, Home, Install, Programs, Servers};
use onsale::postgres::{Postgres, PostgresSettings};
use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// The program under test, which also guards the servers.
pub const ONSALE: &str = env!("CARGO_BIN_EXE_onsale");

/// One runtime for all tests, so that the servers and the connections to them outlive each.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Runs a test.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(test)
}

/// The servers of this run, with a template database, migrated and seeded.
pub struct TestServers {
    servers: Servers,
    next: AtomicU32,
    _home: Home,
}

/// Starts the servers at the first call.
pub async fn servers() -> &'static TestServers {
    static SERVERS: OnceCell<TestServers> = OnceCell::const_new();
    SERVERS
        .get_or_init(|| async {
            let install = if std::env::var("ONSALE_INSTALL").as_deref() == Ok("0") {
                Install::Forbidden
            } else {
                Install::Allowed
            };
            let programs = Programs::find_or_install(install).await.unwrap();
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
            discard_former(folder).await;
            let home = Home::open(&folder.join(format!("it-{}", std::process::id()))).await.unwrap();
            let servers = Servers::start(&programs, &home, Path::new(ONSALE), Durability::None).await.unwrap();
            seed(servers.postgres.url()).await;
            TestServers { servers, next: AtomicU32::new(1), _home: home }
        })
        .await
}

/// Migrates a database and adds the demo programme, a day later than `onsale seed` would: its first evening stays one
/// that can be given back if midnight comes while the tests run.
pub async fn seed(url: String) {
    let settings = PostgresSettings { url, connections: 1, queue: 0, timeout: std::time::Duration::from_secs(30) };
    Postgres::migrate(&settings).await.unwrap();
    let postgres = Postgres::connect(&settings).await.unwrap();
    concert::seed(&postgres, concert::today(chrono_tz::Asia::Seoul).succ_opt().unwrap()).await.unwrap();
    postgres.close().await;
}

/// Removes the data of runs that have ended: nothing in a test binary runs after the last test, so the next one cleans up.
async fn discard_former(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().filter_map(Result::ok) {
        let name = entry.file_name().into_string().unwrap_or_default();
        let Some(pid) = name.strip_prefix("it-").and_then(|pid| pid.parse().ok()) else { continue };
        let runs = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok();
        if !runs && let Ok(home) = Home::open(&entry.path()).await {
            home.discard().unwrap();
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

impl TestServers {
    pub fn redis_url(&self) -> String {
        self.servers.redis.url()
    }

    /// A new empty database.
    pub async fn empty_database(&self) -> String {
        self.create_database("template1").await
    }

    /// A new database with the demo programme.
    pub async fn seeded_database(&self) -> String {
        self.create_database("onsale").await
    }

    /// Removes a database, and ends whoever is connected to it.
    pub async fn drop_database(&self, url: &str) {
        let (base, name) = url.rsplit_once('/').unwrap();
        let mut connection = PgConnection::connect(&format!("{base}/postgres")).await.unwrap();
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        connection.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
    }

    async fn create_database(&self, template: &str) -> String {
        let url = self.servers.postgres.url();
        let base = url.strip_suffix("/onsale").unwrap();
        let name = format!("test_{}", self.next.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&format!("{base}/postgres")).await.unwrap();
        let create = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
        connection.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
        format!("{base}/{name}")
    }
}
