//! The processes: servers and a service of this run's own, on free ports of this machine, in a folder of their own.
//! `cost.rs` is what they are charged with.

pub(crate) mod cost;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use onsale::concert;
use onsale::dev::{Durability, Home, Install, Programs, Servers};
use onsale::postgres::{Postgres, PostgresSettings};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use cost::Meter;

/// What may end a run early.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const ONSALE: &str = env!("CARGO_BIN_EXE_onsale");

/// How long the service may take to begin, or to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How it is to be set.
pub(crate) struct Scene<'a> {
    /// Of the folder.
    pub(crate) name: &'a str,
    pub(crate) durability: Durability,
    /// SQL that adds to the demo programme before the service begins.
    pub(crate) programme: &'a str,
    /// What the service is told beside where its stores are.
    pub(crate) settings: &'a [(&'a str, String)],
}

/// All of them.
pub(crate) struct Stage {
    /// Where the service answers.
    pub(crate) api: SocketAddr,
    pub(crate) service: Child,
    pub(crate) servers: Servers,
    home: Home,
}

impl Stage {
    /// Starts them.
    pub(crate) async fn set(scene: &Scene<'_>) -> Outcome<Self> {
        let forbidden = std::env::var("ONSALE_INSTALL").as_deref() == Ok("0");
        let install = if forbidden { Install::Forbidden } else { Install::Allowed };
        let programs = Programs::find_or_install(install).await?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{}", scene.name, std::process::id()));
        let home = Home::open(&folder).await?;
        let servers = Servers::start(&programs, &home, Path::new(ONSALE), scene.durability).await?;
        let url = servers.postgres.url();
        let settings = PostgresSettings { url, connections: 1, queue: 0, timeout: PATIENCE };
        Postgres::migrate(&settings).await?;
        let postgres = Postgres::connect(&settings).await?;
        concert::seed(&postgres, concert::today(chrono_tz::Asia::Seoul)).await?;
        postgres.close().await;
        let mut connection = PgConnection::connect(&servers.postgres.url()).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(scene.programme)).execute(&mut connection).await?;
        // Now, or PostgreSQL does it by itself while something is measured.
        for tidy in ["VACUUM (ANALYZE)", "CHECKPOINT"] {
            sqlx::raw_sql(tidy).execute(&mut connection).await?;
        }
        connection.close().await?;
        let (service, api) = tokio::time::timeout(PATIENCE, serve(&servers, scene.settings)).await??;
        Ok(Self { api, service, servers, home })
    }

    pub(crate) async fn meter(&self) -> Outcome<Meter> {
        let client = redis::Client::open(self.servers.redis.url())?;
        Ok(Meter {
            server: self.service.id().ok_or("the service has ended")?,
            redis: self.servers.redis.pid(),
            postgres: self.servers.postgres.pid(),
            connection: client.get_multiplexed_async_connection().await?,
        })
    }

    /// Ends all of them, and removes what they kept.
    pub(crate) async fn strike(mut self) -> Outcome {
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
async fn serve(servers: &Servers, settings: &[(&str, String)]) -> Outcome<(Child, SocketAddr)> {
    let mut command = Command::new(ONSALE);
    command.arg("serve").env_clear();
    command.env("DATABASE_URL", servers.postgres.url()).env("REDIS_URL", servers.redis.url());
    command.env("ONSALE_TOKEN_KEY", hex::encode(rand::random::<[u8; 32]>()));
    command.env("ONSALE_LISTEN", "127.0.0.1:0").env("ONSALE_METRICS_LISTEN", "127.0.0.1:0");
    command.envs(settings.iter().map(|(name, value)| (name, value)));
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
