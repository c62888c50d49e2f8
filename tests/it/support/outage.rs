//! Servers of a test's own, to be paused and killed.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use onsale::concert;
use onsale::dev::{Durability, Home, Install, Programs, Servers};
use onsale::postgres::{Postgres, PostgresSettings};

use super::servers::ONSALE;
use super::{TestApp, serve_settings};

/// A Redis and a PostgreSQL, migrated and with the demo programme.
pub struct OwnServers {
    pub servers: Servers,
    home: Home,
}

/// Processes that do nothing until this is dropped.
pub struct Paused(Vec<Pid>);

impl OwnServers {
    pub async fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        // The shared servers have installed them where they were missing.
        super::servers().await;
        let programs = Programs::find_or_install(Install::Forbidden).await.unwrap();
        let name = format!("it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let home = Home::open(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)).await.unwrap();
        let servers = Servers::start(&programs, &home, Path::new(ONSALE), Durability::None).await.unwrap();
        let timeout = std::time::Duration::from_secs(30);
        let settings = PostgresSettings { url: servers.postgres.url(), connections: 1, timeout };
        Postgres::migrate(&settings).await.unwrap();
        let postgres = Postgres::connect(&settings).await.unwrap();
        concert::seed(&postgres, concert::today(chrono_tz::Asia::Seoul)).await.unwrap();
        postgres.close().await;
        Self { servers, home }
    }

    /// An instance on them, with its jobs and the time-outs that `onsale serve` has.
    pub async fn app(&self) -> TestApp {
        let (database, redis) = (self.servers.postgres.url(), self.servers.redis.url());
        let stores = ["--database-url", &database, "--redis-url", &redis, "--postgres-connections", "4"];
        let app = TestApp::from_settings(serve_settings(&stores)).await;
        app.start_jobs().await;
        app
    }

    pub fn pause_redis(&self) -> Paused {
        Paused::new([self.servers.redis.pid()])
    }

    /// All of PostgreSQL's processes: its first one only makes connections.
    pub async fn pause_postgres(&self, app: &TestApp) -> Paused {
        let backends: Vec<i32> =
            sqlx::query_scalar("SELECT pid FROM pg_stat_activity").fetch_all(app.pool()).await.unwrap();
        let backends = backends.into_iter().map(i32::unsigned_abs);
        Paused::new(backends.chain([self.servers.postgres.pid()]))
    }

    /// Ends them and removes their data.
    pub async fn stop(self) {
        let folder = self.home.folder().to_owned();
        self.servers.stop().await.unwrap();
        self.home.discard().unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// Kills a process without a warning.
pub fn kill_at_once(pid: u32) {
    kill(process(pid), Signal::SIGKILL).unwrap();
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap())
}

impl Paused {
    fn new(pids: impl IntoIterator<Item = u32>) -> Self {
        let pids: Vec<Pid> = pids.into_iter().map(process).collect();
        for pid in &pids {
            // One of PostgreSQL's may have ended since it was named.
            let _ = kill(*pid, Signal::SIGSTOP);
        }
        Self(pids)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = kill(*pid, Signal::SIGCONT);
        }
    }
}
