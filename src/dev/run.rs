//! `onsale dev`: private servers, migrated and seeded, and the service on them, until somebody stops it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::told::Told;
use super::{DevError, Durability, Home, Install, Programs, Servers};
use crate::concert;
use crate::postgres::{self, Postgres};
use crate::secret::Secret;
use crate::serve::{Addresses, ServeError, Server, asked_to_stop};
use crate::settings::{DevSettings, ServeSettings, ServiceSettings, StoreSettings};
use crate::store_error::StoreError;

/// Where the key that authenticates tokens is kept, and the operators' token.
const TOKEN_KEY: &str = "token-key";
const OPERATOR: &str = "operator-token";

/// Why it did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Because of the private servers.
    #[error(transparent)]
    Servers(#[from] DevError),
    /// Because of the database.
    #[error(transparent)]
    Database(#[from] postgres::ConnectError),
    /// The demo programme could not be added.
    #[error("the demo programme could not be added: {0}")]
    Seed(#[from] StoreError),
    /// Because of the service.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The system failed us.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs until asked to stop, or until one of the servers ends by itself. Leaves no process behind, and its data for the
/// next time.
pub async fn run(settings: DevSettings) -> Result<(), RunError> {
    let parent = settings.stop_with_parent.then(std::os::unix::process::parent_id);
    let stop = CancellationToken::new();
    let _stop_when_asked = tokio::spawn(cancel_when_asked(stop.clone(), parent));

    // One that is taken is found before anything is started.
    let addresses = Addresses::take(&settings.service)?;
    // Dropped half-way, starting leaves nothing behind: the guardians see to it.
    let Some(started) = stop.run_until_cancelled(start(&settings)).await else { return Ok(()) };
    let (home, mut servers) = started?;
    let outcome = serve_on(&mut servers, &home, &settings, addresses, stop).await;
    let stopped = servers.stop().await;
    outcome?;
    Ok(stopped?)
}

async fn start(settings: &DevSettings) -> Result<(Home, Servers), RunError> {
    let install = if settings.install { Install::Allowed } else { Install::Forbidden };
    let programs = Programs::find_or_install(install).await?;
    let home = Home::open(&settings.home).await?;
    let servers = Servers::start(&programs, &home, &std::env::current_exe()?, Durability::Full).await?;
    Ok((home, servers))
}

async fn serve_on(
    servers: &mut Servers,
    home: &Home,
    settings: &DevSettings,
    addresses: Addresses,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let stores = StoreSettings {
        database_url: servers.postgres.url(),
        redis_url: servers.redis.url(),
        key_prefix: "onsale".to_owned(),
    };
    let for_setup = stores.postgres(1, 60_000);
    Postgres::migrate(&for_setup).await?;
    let database = Postgres::connect(&for_setup).await?;
    concert::seed(&database, concert::today(settings.service.time_zone)).await?;
    database.close().await;

    let token_key = match &settings.token_key {
        Some(key) => key.clone(),
        None => kept_key(home.folder(), TOKEN_KEY)?,
    };
    // Nobody stands in front who would know the visitors.
    let service = ServiceSettings { demo: true, ..operated(&settings.service, home.folder())? };
    let operator = service.demo_operator.clone();
    let serve_settings = ServeSettings { stores: stores.clone(), service, token_key };
    let server = Server::bind(&serve_settings, addresses).await?;
    let _told = Told::write(home.folder(), server.api_address()?, &stores, &settings.service)?;
    greet(server.api_address()?, server.metrics_address()?, &stores, home, operator.as_ref())?;
    let serving = server.run(stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => Ok(ended?),
        died = servers.died() => {
            stop.cancel();
            serving.await?;
            Err(died.into())
        }
    }
}

async fn cancel_when_asked(stop: CancellationToken, parent: Option<u32>) {
    let parent_gone = async {
        match parent {
            Some(parent) => {
                while std::os::unix::process::parent_id() == parent {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        asked = asked_to_stop() => {
            if let Err(error) = asked {
                tracing::warn!(%error, "signals cannot be heard");
            }
        }
        () = parent_gone => {}
    }
    stop.cancel();
}

/// With operators: where none were named there is one with a token of this folder's, so that the console can be tried. The
/// demo shows that one; what was given is never shown.
fn operated(service: &ServiceSettings, folder: &Path) -> io::Result<ServiceSettings> {
    if service.admin_token.is_some() || service.admin_tokens.is_some() {
        return Ok(service.clone());
    }
    let key = kept_key(folder, OPERATOR)?;
    let token = Secret::new(hex::encode(key.expose()).into_bytes());
    Ok(ServiceSettings { admin_token: token.clone(), demo_operator: token, ..service.clone() })
}

/// A key of this folder, so that tokens outlive a restart.
fn kept_key(folder: &Path, name: &str) -> io::Result<Secret> {
    let path = folder.join(name);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = hex::encode(rand::random::<[u8; 32]>());
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())?;
            text
        }
        Err(error) => return Err(error),
    };
    let key = hex::decode(text.trim()).ok().and_then(Secret::new);
    key.ok_or_else(|| io::Error::other(format!("{} is damaged: remove it for a new key", path.display())))
}

fn greet(
    api: SocketAddr,
    metrics: SocketAddr,
    stores: &StoreSettings,
    home: &Home,
    operator: Option<&Secret>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let (redis, postgres) = (&stores.redis_url, &stores.database_url);
    let (data, key) = (home.data().display(), home.folder().join(TOKEN_KEY));
    let key = key.display();
    let operator = operator.map(|token| String::from_utf8_lossy(token.expose()));
    let operator = operator.as_deref().unwrap_or("as ONSALE_ADMIN_TOKEN or ONSALE_ADMIN_TOKENS say");
    writeln!(
        out,
        "
  onsale serves  http://{api}
  metrics        http://{metrics}/metrics
  Redis          {redis}
  PostgreSQL     {postgres}
  data           {data}
  token key      {key}
  operator       {operator}

  Try:  open http://{api}/demo in a browser, and watch a sale from both sides; or
        curl -X POST -H 'userId: 1' http://{api}/api/v1/queues/token

  Ctrl-C stops all of it; the data stays for the next time.
"
    )?;
    out.flush()
}
