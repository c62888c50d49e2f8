//! What the processes are charged with: CPU time and memory, as Linux and Redis count them.

use std::fs;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use serde::Serialize;

use super::Outcome;

/// In which Linux tells CPU time.
const TICK: Duration = Duration::from_millis(10);

/// Watches the service and its stores.
#[derive(Clone)]
pub(crate) struct Meter {
    pub(crate) server: u32,
    pub(crate) redis: u32,
    pub(crate) postgres: u32,
    pub(crate) connection: MultiplexedConnection,
}

/// What they had used at a time.
pub(crate) struct Reading {
    at: Instant,
    server: Duration,
    redis: Duration,
    postgres: Duration,
}

/// What they have used since, in seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spent {
    pub(crate) seconds: f64,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) redis_cpu_seconds: f64,
    pub(crate) postgres_cpu_seconds: f64,
}

impl Meter {
    pub(crate) fn read(&self) -> Outcome<Reading> {
        let (server, redis) = (cpu_time(self.server)?, cpu_time(self.redis)?);
        Ok(Reading { at: Instant::now(), server, redis, postgres: family_cpu_time(self.postgres)? })
    }

    pub(crate) fn since(&self, before: &Reading) -> Outcome<Spent> {
        let now = self.read()?;
        Ok(Spent {
            seconds: (now.at - before.at).as_secs_f64(),
            server_cpu_seconds: now.server.saturating_sub(before.server).as_secs_f64(),
            redis_cpu_seconds: now.redis.saturating_sub(before.redis).as_secs_f64(),
            postgres_cpu_seconds: now.postgres.saturating_sub(before.postgres).as_secs_f64(),
        })
    }

    /// Bytes that Redis has in use.
    pub(crate) async fn redis_memory(&self) -> Outcome<u64> {
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut self.connection.clone()).await?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(used.ok_or("Redis does not tell its memory")?.trim().parse()?)
    }
}

fn cpu_time(pid: u32) -> Outcome<Duration> {
    own(&stat(pid)?)
}

/// Of a process and its children: PostgreSQL has one a connection. Those that have ended are counted in their parent's.
fn family_cpu_time(pid: u32) -> Outcome<Duration> {
    let parent = stat(pid)?;
    let mut all = own(&parent)? + TICK * sum(&parent, 13)?;
    for entry in fs::read_dir("/proc")? {
        let child = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        // It may end while it is looked at.
        let Some(Ok(child)) = child.map(stat) else { continue };
        if child.get(1).is_some_and(|parent| *parent == pid.to_string()) {
            all += own(&child)?;
        }
    }
    Ok(all)
}

/// utime and stime, the 14th and the 15th field.
fn own(stat: &[String]) -> Outcome<Duration> {
    Ok(TICK * sum(stat, 11)?)
}

fn sum(stat: &[String], first: usize) -> Outcome<u32> {
    let fields = stat.iter().skip(first).take(2).map(|field| field.parse::<u32>());
    Ok(fields.sum::<Result<u32, _>>()?)
}

/// The fields that Linux tells of a process, from the third on: the second, the name, is in parentheses and may have spaces.
fn stat(pid: u32) -> Outcome<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("Linux tells nothing of a process")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

/// How much of it is each one's.
pub(crate) fn share(all: u64, count: u64) -> f64 {
    float(all) / float(count.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
