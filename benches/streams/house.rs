//! What this run does with the house: lets more in, ends the service, looks at its memory.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use onsale::dev::Durability;
use sqlx::{Connection, PgConnection};

use super::stage::cost::Meter;
use super::stage::{Outcome, PATIENCE, Scene, Stage};

/// How long a turn lasts: longer than a run.
pub(super) const ACTIVE_TTL: Duration = Duration::from_mins(10);

impl Stage {
    /// Lets one in, and more when it is told to.
    pub(super) async fn narrow(rate: u32) -> Outcome<Self> {
        let ttl = ACTIVE_TTL.as_secs().to_string();
        let settings = [
            ("ONSALE_MAX_ACTIVE", "1".to_owned()),
            ("ONSALE_ADMIT_PER_SECOND", rate.to_string()),
            ("ONSALE_ACTIVE_TTL_SECONDS", ttl.clone()),
            // Nobody who only waits leaves in the course of a run.
            ("ONSALE_WAITING_TTL_SECONDS", ttl),
        ];
        Self::set(&Scene { name: "streams", durability: Durability::None, programme: "", settings: &settings }).await
    }

    /// Has so many be active.
    pub(super) async fn widen(&self, cap: u32) -> Outcome {
        let mut connection = PgConnection::connect(&self.servers.postgres.url()).await?;
        let widen = sqlx::query("UPDATE queue SET max_active = $1 WHERE id = 1").bind(i32::try_from(cap)?);
        widen.execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Ends the service as an operator does; how long that took.
    pub(super) async fn stop_service(&mut self) -> Outcome<Duration> {
        let pid = self.service.id().ok_or("the service has ended by itself")?;
        let begun = Instant::now();
        kill(Pid::from_raw(pid.try_into()?), Signal::SIGTERM)?;
        tokio::time::timeout(PATIENCE, self.service.wait()).await??;
        Ok(begun.elapsed())
    }
}

impl Meter {
    /// Bytes of the machine's memory that the service occupies.
    pub(super) fn server_memory(&self) -> Outcome<u64> {
        memory(self.server, "VmRSS:")
    }

    /// The most that it has occupied.
    pub(super) fn server_peak(&self) -> Outcome<u64> {
        memory(self.server, "VmHWM:")
    }
}

fn memory(pid: u32, name: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("Linux does not tell a process' memory")?.parse::<u64>()? * 1024)
}

/// So many a second.
pub(super) fn per(count: u64, time: Duration) -> f64 {
    super::stage::cost::float(count) / time.as_secs_f64().max(f64::EPSILON)
}
