//! The processes: servers and a service of this run's own, on free ports of this machine, in a folder of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use onsale::concert;
use onsale::dev::{Durability, Home, Install, Programs, Servers};
use onsale::postgres::{Postgres, PostgresSettings};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::Outcome;
use super::cost::Meter;

const ONSALE: &str = env!("CARGO_BIN_EXE_onsale");

/// How long a turn lasts: longer than a run.
pub(super) const ACTIVE_TTL: Duration = Duration::from_mins(10);

/// How long the service may take to begin, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// All of them.
pub(super) struct Stage {
    /// Where the service answers.
    pub(super) api: SocketAddr,
    service: Child,
    servers: Servers,
    home: Home,
}

impl Stage {
    /// Starts them. The service lets one in, and more when it is told to.
    pub(super) async fn set(rate: u32) -> Outcome<Self> {
        let forbidden = std::env::var("ONSALE_INSTALL").as_deref() == Ok("0");
        let install = if forbidden { Install::Forbidden } else { Install::Allowed };
        let programs = Programs::find_or_install(install).await?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("streams-{}", std::process::id()));
        let home = Home::open(&folder).await?;
        let servers = Servers::start(&programs, &home, Path::new(ONSALE), Durability::None).await?;
        let url = servers.postgres.url();
        let settings = PostgresSettings { url, connections: 1, queue: 0, timeout: PATIENCE };
        Postgres::migrate(&settings).await?;
        let postgres = Postgres::connect(&settings).await?;
        concert::seed(&postgres, concert::today(chrono_tz::Asia::Seoul)).await?;
        postgres.close().await;
        let (service, api) = tokio::time::timeout(PATIENCE, serve(&servers, rate)).await??;
        Ok(Self { api, service, servers, home })
    }

    pub(super) async fn meter(&self) -> Outcome<Meter> {
        let client = redis::Client::open(self.servers.redis.url())?;
        Ok(Meter {
            server: self.service.id().ok_or("the service has ended")?,
            redis: self.servers.redis.pid(),
            connection: client.get_multiplexed_async_connection().await?,
        })
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

    /// Ends all of them, and removes what they kept.
    pub(super) async fn strike(mut self) -> Outcome {
        if self.service.id().is_some() {
            self.service.kill().await?;
        }
        self.servers.stop().await?;
        let folder = self.home.folder().to_owned();
        self.home.discard()?;
        Ok(std::fs::remove_dir_all(folder)?)
    }
}

/// The service, as an operator would start it but for its settings.
async fn serve(servers: &Servers, rate: u32) -> Outcome<(Child, SocketAddr)> {
    let mut command = Command::new(ONSALE);
    command.arg("serve").env_clear();
    command.env("DATABASE_URL", servers.postgres.url()).env("REDIS_URL", servers.redis.url());
    command.env("ONSALE_TOKEN_KEY", hex::encode(rand::random::<[u8; 32]>()));
    command.env("ONSALE_LISTEN", "127.0.0.1:0").env("ONSALE_METRICS_LISTEN", "127.0.0.1:0");
    command.env("ONSALE_MAX_ACTIVE", "1").env("ONSALE_ADMIT_PER_SECOND", rate.to_string());
    command.env("ONSALE_ACTIVE_TTL_SECONDS", ACTIVE_TTL.as_secs().to_string());
    // Nobody who only waits leaves in the course of a run.
    command.env("ONSALE_WAITING_TTL_SECONDS", ACTIVE_TTL.as_secs().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut service = command.spawn()?;
    let mut lines = BufReader::new(service.stdout.take().ok_or("the service says nothing")?).lines();
    let api = loop {
        let line = lines.next_line().await?.ok_or("the service did not start")?;
        let line: Value = serde_json::from_str(&line)?;
        if let Some(api) = line["api"].as_str() {
            break api.parse()?;
        }
    };
    // Read on, or the service would stop at a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((service, api))
}
