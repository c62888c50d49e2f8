//! The whole: two stores, the instances on them, and a link on every connection.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use onsale::dev::{Home, Install, Programs, faketime};

use crate::Outcome;
use crate::arguments::Arguments;
use crate::instance::{Instance, ONSALE, Skew};
use crate::programme::Programme;
use crate::proxy::{Link, Weather};
use crate::stores::Stores;

/// By how much the last instance's clock is behind.
const BEHIND: Duration = Duration::from_mins(30);

/// Everything that runs.
#[derive(Debug)]
pub struct Cluster {
    /// Redis and PostgreSQL.
    pub stores: Stores,
    /// The instances.
    pub instances: Vec<Instance>,
    /// By how many seconds the last instance's clock was seen to be behind; none where libfaketime is not to be had.
    pub skew: Option<i64>,
}

impl Cluster {
    /// Starts all of it, installing what is missing.
    pub async fn start(arguments: &Arguments, programme: &Programme) -> Outcome<Self> {
        let forbidden = std::env::var("ONSALE_INSTALL").as_deref() == Ok("0");
        let install = if forbidden { Install::Forbidden } else { Install::Allowed };
        let programs = Programs::find_or_install(install).await?;
        let skew = faketime(install).await?.map(|library| Skew { library, behind: BEHIND });
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        discard_former(folder).await?;
        let home = Home::open(&folder.join(format!("chaos-{}", std::process::id()))).await?;
        let stores = Stores::start(&programs, home, programme).await?;
        let mut instances = Vec::new();
        for number in 0..arguments.instances {
            let is_last = number + 1 == arguments.instances;
            let skew = skew.as_ref().filter(|_| is_last);
            let instance = Instance::prepare(number, &stores, skew, arguments.seed).await?;
            instance.start().await?;
            instances.push(instance);
        }
        let skew = match (skew, instances.last()) {
            (Some(_), Some(last)) => Some(seen_behind(last).await?),
            _ => None,
        };
        Ok(Self { stores, instances, skew })
    }

    /// Fair weather everywhere, and PostgreSQL and Redis answering.
    pub async fn heal(&self) -> Outcome {
        for instance in &self.instances {
            for link in [&instance.front, &instance.redis, &instance.postgres] {
                link.turn(Weather::Fair);
            }
        }
        self.stores.tell_redis(&["PING"]).await?;
        sqlx::query("SELECT 1").execute(self.stores.admin()).await?;
        Ok(())
    }

    /// How many connections the proxies have cut.
    pub fn cuts(&self) -> u64 {
        let links = self.instances.iter().flat_map(|instance| [&instance.front, &instance.redis, &instance.postgres]);
        links.map(Link::cuts).sum()
    }

    /// What `onsale audit` says, and whether it holds.
    pub async fn audit(&self) -> Outcome<(bool, String)> {
        let mut audit = tokio::process::Command::new(ONSALE);
        audit.arg("audit").env_clear();
        audit.env("DATABASE_URL", self.stores.postgres_url()).env("REDIS_URL", self.stores.redis_url());
        audit.env("ONSALE_WAITING_TTL_SECONDS", crate::programme::WAITING_TTL.as_secs().to_string());
        let output = audit.output().await?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// Stops all of it; the logs and data stay where they are still of use.
    pub async fn stop(self, discard: bool) -> Outcome {
        for instance in self.instances {
            instance.stop().await?;
        }
        self.stores.stop(discard).await
    }
}

/// A skew that is not seen would be no fault.
async fn seen_behind(instance: &Instance) -> Outcome<i64> {
    let behind = instance.behind().await?.num_seconds();
    let expected = i64::try_from(BEHIND.as_secs())?;
    if (behind - expected).abs() > 60 {
        return Err(format!("libfaketime does not work: a clock is {behind} s behind instead of {expected} s").into());
    }
    Ok(behind)
}

/// Removes what runs have left behind that are over.
async fn discard_former(folder: &Path) -> Outcome {
    for entry in std::fs::read_dir(folder)?.filter_map(Result::ok) {
        let name = entry.file_name().into_string().unwrap_or_default();
        let Some(pid) = name.strip_prefix("chaos-").and_then(|pid| pid.parse().ok()) else { continue };
        let runs = kill(Pid::from_raw(pid), None).is_ok();
        if !runs && let Ok(home) = Home::open(&entry.path()).await {
            home.discard()?;
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
