//! What the processes are charged with: CPU time and memory, as Linux and Redis count them.

use std::fs;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use serde::Serialize;

use super::Outcome;

/// In which Linux tells CPU time.
const TICK: Duration = Duration::from_millis(10);

/// Watches the service and Redis.
pub(super) struct Meter {
    pub(super) server: u32,
    pub(super) redis: u32,
    pub(super) connection: MultiplexedConnection,
}

/// What both had used at a time.
pub(super) struct Reading {
    at: Instant,
    server: Duration,
    redis: Duration,
}

/// What both have used since, in seconds.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spent {
    pub(super) seconds: f64,
    pub(super) server_cpu_seconds: f64,
    pub(super) redis_cpu_seconds: f64,
}

impl Meter {
    pub(super) fn read(&self) -> Outcome<Reading> {
        Ok(Reading { at: Instant::now(), server: cpu_time(self.server)?, redis: cpu_time(self.redis)? })
    }

    pub(super) fn since(&self, before: &Reading) -> Outcome<Spent> {
        let now = self.read()?;
        Ok(Spent {
            seconds: (now.at - before.at).as_secs_f64(),
            server_cpu_seconds: now.server.saturating_sub(before.server).as_secs_f64(),
            redis_cpu_seconds: now.redis.saturating_sub(before.redis).as_secs_f64(),
        })
    }

    /// Bytes that Redis has in use.
    pub(super) async fn redis_memory(&self) -> Outcome<u64> {
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut self.connection.clone()).await?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(used.ok_or("Redis does not tell its memory")?.trim().parse()?)
    }

    /// Bytes of the machine's memory that the service occupies.
    pub(super) fn server_memory(&self) -> Outcome<u64> {
        memory(self.server, "VmRSS:")
    }

    /// The most that it has occupied.
    pub(super) fn server_peak(&self) -> Outcome<u64> {
        memory(self.server, "VmHWM:")
    }
}

fn cpu_time(pid: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, the name, is in parentheses and may have spaces; utime and stime are the 14th and the 15th.
    let (_, fields) = stat.rsplit_once(')').ok_or("Linux tells nothing of a process")?;
    let times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(TICK * times.sum::<Result<u32, _>>()?)
}

fn memory(pid: u32, name: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("Linux does not tell a process' memory")?.parse::<u64>()? * 1024)
}

/// So many a second.
pub(super) fn per(count: u64, time: Duration) -> f64 {
    float(count) / time.as_secs_f64().max(f64::EPSILON)
}

/// How much of it is each one's.
pub(super) fn share(all: u64, count: u64) -> f64 {
    float(all) / float(count.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
