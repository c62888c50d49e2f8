//! Servers of a test's own, to be paused and killed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use onsale::dev::{Durability, Home, Install, Programs, Servers};

use super::servers::ONSALE;
use super::{SLACK, TestApp, eventually, serve_settings};

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
        super::servers::seed(servers.postgres.url()).await;
        Self { servers, home }
    }

    /// An instance on them, with its jobs and the time-outs that `onsale serve` has.
    pub async fn app(&self) -> TestApp {
        self.app_at(&self.servers.postgres.url(), &self.servers.redis.url(), &[]).await
    }

    /// Likewise, by way of these addresses, with these options.
    pub async fn app_at(&self, database: &str, redis: &str, args: &[&str]) -> TestApp {
        let stores = ["--database-url", database, "--redis-url", redis, "--postgres-connections", "4"];
        let app = TestApp::from_settings(serve_settings(&[&stores[..], args].concat())).await;
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

    /// Asks Redis past the service.
    pub async fn redis(&self, command: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.servers.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await.unwrap()
    }

    /// How many scripts Redis has run.
    pub async fn scripts_run(&self) -> u64 {
        let redis::Value::BulkString(info) = self.redis(&["INFO", "commandstats"]).await else { unreachable!() };
        let info = String::from_utf8(info).unwrap();
        let calls = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        calls.and_then(|calls| calls.split(',').next()?.parse().ok()).unwrap_or(0)
    }

    /// Kills Redis and starts it again, with the end of its file lost: what it wrote when the file was longer than this.
    pub async fn restart_redis(&mut self, length: u64) {
        kill_at_once(self.servers.redis.pid());
        let file = std::fs::OpenOptions::new().write(true).open(self.append_only_file()).unwrap();
        file.set_len(length).unwrap();
        self.servers.redis.restart().await.unwrap();
    }

    /// How long the file is to which Redis writes all that it does, as a rule before it answers; a busy disk may make it late.
    pub async fn redis_wrote(&self) -> u64 {
        let has_written = async || {
            let redis::Value::BulkString(info) = self.redis(&["INFO", "persistence"]).await else { unreachable!() };
            String::from_utf8(info).unwrap().contains("aof_buffer_length:0\r\n")
        };
        eventually("Redis has written", SLACK, has_written).await;
        self.append_only_file().metadata().unwrap().len()
    }

    fn append_only_file(&self) -> PathBuf {
        let files = std::fs::read_dir(self.home.data().join("redis/appendonlydir")).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        paths.find(|path| path.to_string_lossy().ends_with(".incr.aof")).unwrap()
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

/// Stops a process where it is, until it is sent `SIGCONT`. The signal alone is not enough: threads that wait for a core
/// are stopped when they get it, and what runs may go on until then. One that has ended is left alone.
pub fn suspend(pid: Pid) {
    if kill(pid, Signal::SIGSTOP).is_err() {
        return;
    }
    let begun = Instant::now();
    while !all_are_stopped(pid) {
        assert!(begun.elapsed() < SLACK, "{pid} does not stop");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether no thread of it runs; only Linux tells.
fn all_are_stopped(pid: Pid) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let Ok(told) = std::fs::read_to_string(thread.path().join("stat")) else { return true };
        // Its state comes after its name, which is in brackets: stopped, or at its end.
        told.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't', 'Z', 'X']))
    })
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap())
}

impl Paused {
    fn new(pids: impl IntoIterator<Item = u32>) -> Self {
        let pids: Vec<Pid> = pids.into_iter().map(process).collect();
        for pid in &pids {
            suspend(*pid);
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
