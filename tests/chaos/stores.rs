//! The two stores as processes, and what is done to them, past every proxy.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use onsale::dev::{Durability, Home, PostgresServer, Programs, RedisServer, Servers};
use onsale::postgres::{Postgres, PostgresSettings};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::history::lock;
use crate::programme::Programme;
use crate::signals;
use crate::{Outcome, instance};

/// How long anything but a start may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a Redis remembers when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// What it had written down when it was killed.
    Kept,
    /// Nothing.
    Lost,
    /// What it had written down so long before, as a replica that lags and is promoted.
    Older(Duration),
}

/// Redis and PostgreSQL.
#[derive(Debug)]
pub struct Stores {
    redis: tokio::sync::Mutex<RedisServer>,
    redis_url: String,
    postgres: tokio::sync::Mutex<PostgresServer>,
    postgres_url: String,
    admin: PgPool,
    home: Home,
    /// How long Redis' append-only file was, and when.
    lengths: Mutex<VecDeque<(Instant, u64)>>,
}

impl Stores {
    /// Starts both, empty, and puts the programme into PostgreSQL.
    pub async fn start(programs: &Programs, home: Home, programme: &Programme) -> Outcome<Self> {
        let Servers { redis, postgres } =
            Servers::start(programs, &home, Path::new(instance::ONSALE), Durability::None).await?;
        let (redis_url, postgres_url) = (redis.url(), postgres.url());
        let settings =
            PostgresSettings { url: postgres_url.clone(), connections: 1, queue: 8, timeout: Duration::from_secs(30) };
        Postgres::migrate(&settings).await?;
        let admin = PgPoolOptions::new().max_connections(4).acquire_timeout(PATIENCE).connect(&postgres_url).await?;
        programme.insert(&admin).await?;
        let (redis, postgres) = (tokio::sync::Mutex::new(redis), tokio::sync::Mutex::new(postgres));
        let stores = Self { redis, redis_url, postgres, postgres_url, admin, home, lengths: Mutex::default() };
        stores.settle_redis().await?;
        Ok(stores)
    }

    /// Connections to PostgreSQL that no proxy is in the way of.
    pub fn admin(&self) -> &PgPool {
        &self.admin
    }

    /// Where PostgreSQL is.
    pub fn postgres_url(&self) -> &str {
        &self.postgres_url
    }

    /// Where Redis is.
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// The folder with the servers' logs.
    pub fn folder(&self) -> &Path {
        self.home.folder()
    }

    /// A connection to Redis that no proxy is in the way of.
    pub async fn redis(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        connect(&self.redis_url).await
    }

    /// Asks Redis for something that answers nothing of interest.
    pub async fn tell_redis(&self, command: &[&str]) -> Outcome {
        let mut told = redis::cmd(command[0]);
        told.arg(&command[1..]).exec_async(&mut self.redis().await?).await?;
        Ok(())
    }

    /// Nothing moves in Redis for a while.
    pub async fn stop_redis(&self, lasting: Duration) {
        let redis = self.redis.lock().await;
        pause(&[redis.pid()], lasting).await;
    }

    /// Nothing moves in PostgreSQL for a while, in none of its processes.
    pub async fn stop_postgres(&self, lasting: Duration) {
        let postgres = self.postgres.lock().await;
        pause(&signals::family(postgres.pid()), lasting).await;
    }

    /// Kills Redis, and starts it again after a while.
    pub async fn kill_redis(&self, away: Duration, memory: Memory) -> Outcome {
        let mut redis = self.redis.lock().await;
        signals::send(&[redis.pid()], Signal::SIGKILL);
        redis.died().await;
        tokio::time::sleep(away).await;
        match memory {
            Memory::Kept => {}
            Memory::Lost => {
                fs::remove_dir_all(self.append_only_folder())?;
                lock(&self.lengths).clear();
            }
            Memory::Older(by) => self.shorten(by)?,
        }
        redis.restart().await?;
        self.settle_redis().await
    }

    /// Kills all of PostgreSQL, and starts it again after a while.
    pub async fn kill_postgres(&self, away: Duration) -> Outcome {
        let mut postgres = self.postgres.lock().await;
        signals::send(&signals::family(postgres.pid()), Signal::SIGKILL);
        postgres.died().await;
        tokio::time::sleep(away).await;
        Ok(postgres.restart().await?)
    }

    /// Remembers how long Redis' append-only file is now.
    pub fn note_length(&self) {
        let Some(length) = self.append_only_file().and_then(|file| Some(fs::metadata(file).ok()?.len())) else {
            return;
        };
        let mut lengths = lock(&self.lengths);
        lengths.push_back((Instant::now(), length));
        if lengths.len() > 100 {
            lengths.pop_front();
        }
    }

    /// Stops both; the data are removed unless they are still of use.
    pub async fn stop(self, discard: bool) -> Outcome {
        self.admin.close().await;
        Servers { redis: self.redis.into_inner(), postgres: self.postgres.into_inner() }.stop().await?;
        if discard {
            let folder = self.home.folder().to_owned();
            self.home.discard()?;
            fs::remove_dir_all(folder)?;
        }
        Ok(())
    }

    /// A rewritten append-only file would no longer tell of the past.
    async fn settle_redis(&self) -> Outcome {
        self.tell_redis(&["CONFIG", "SET", "auto-aof-rewrite-percentage", "0"]).await
    }

    /// Cuts the append-only file to the length that it had so long ago: what Redis then reads is an older state.
    fn shorten(&self, by: Duration) -> Outcome {
        let mut lengths = lock(&self.lengths);
        let old = |noted: &(Instant, u64)| noted.0.elapsed() >= by;
        let length = lengths.iter().rev().find(|noted| old(noted)).or(lengths.front()).map(|(_, length)| *length);
        if let (Some(length), Some(file)) = (length, self.append_only_file()) {
            lengths.retain(|noted| noted.1 <= length);
            OpenOptions::new().write(true).open(file)?.set_len(length)?;
        }
        Ok(())
    }

    fn append_only_folder(&self) -> PathBuf {
        self.home.data().join("redis/appendonlydir")
    }

    fn append_only_file(&self) -> Option<PathBuf> {
        let files = fs::read_dir(self.append_only_folder()).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        files.into_iter().find(|path| path.to_string_lossy().ends_with(".incr.aof"))
    }
}

/// A connection to a Redis.
pub async fn connect(url: &str) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
    let settings =
        redis::AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    redis::Client::open(url)?.get_multiplexed_async_connection_with_config(&settings).await
}

/// Where a store listens, from its URL.
pub fn address(url: &str) -> Outcome<SocketAddr> {
    let host = url.split("://").nth(1).unwrap_or(url).rsplit('@').next().unwrap_or(url);
    Ok(host.split('/').next().unwrap_or(host).parse()?)
}

async fn pause(pids: &[u32], lasting: Duration) {
    signals::send(pids, Signal::SIGSTOP);
    tokio::time::sleep(lasting).await;
    signals::send(pids, Signal::SIGCONT);
}
