//! One instance of the service: the program itself, as a process, under the guardian that ends it with this program.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use onsale::queue::{Claim, Signer};
use serde_json::Value;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;

use crate::Outcome;
use crate::programme::{ACTIVE_TTL, HOLD_TTL, WAITING_TTL};
use crate::proxy::Link;
use crate::signals;
use crate::stores::{self, Stores};

/// The program under test, which is also the guardian.
pub const ONSALE: &str = env!("CARGO_BIN_EXE_onsale");
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// How long a start is tried for: the stores may be down themselves.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// What a token says, which clients cannot read; none if it is not authentic.
pub fn claim(token: &str) -> Option<Claim> {
    Signer::new(&hex::decode(KEY).ok()?).verify(token)
}

/// An instance, and the links that it is reached and reaches the stores by.
#[derive(Debug)]
pub struct Instance {
    /// From the clients.
    pub front: Link,
    /// To Redis.
    pub redis: Link,
    /// To PostgreSQL.
    pub postgres: Link,
    name: String,
    folder: PathBuf,
    variables: Vec<(&'static str, String)>,
    starts: AtomicU32,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    guardian: Child,
    /// Closing it has the guardian end the instance.
    pipe: Option<ChildStdin>,
    pid: u32,
    log: PathBuf,
    address: SocketAddr,
}

/// Another clock: libfaketime, and how many seconds it is behind.
#[derive(Debug, Clone)]
pub struct Skew {
    /// The library.
    pub library: PathBuf,
    /// By so much.
    pub behind: Duration,
}

impl Instance {
    /// Prepares one with links of its own; it does not run yet.
    pub async fn prepare(number: u8, stores: &Stores, skew: Option<&Skew>, seed: u64) -> Outcome<Self> {
        let (to_redis, to_postgres) = (stores::address(stores.redis_url())?, stores::address(stores.postgres_url())?);
        let seed = seed.wrapping_add(u64::from(number) * 3);
        let front = Link::to(SocketAddr::from(([127, 0, 0, 1], 9)), seed).await?;
        let redis = Link::to(to_redis, seed + 1).await?;
        let postgres = Link::to(to_postgres, seed + 2).await?;
        let mut variables = settings();
        let through =
            |url: &str, real: SocketAddr, link: &Link| url.replace(&real.to_string(), &link.address().to_string());
        variables.push(("REDIS_URL", through(stores.redis_url(), to_redis, &redis)));
        variables.push(("DATABASE_URL", through(stores.postgres_url(), to_postgres, &postgres)));
        if let Some(Skew { library, behind }) = skew {
            variables.push(("LD_PRELOAD", library.display().to_string()));
            variables.push(("FAKETIME", format!("-{}s", behind.as_secs())));
            variables.push(("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()));
        }
        let folder = stores.folder().to_owned();
        let name = format!("instance-{}", number + 1);
        let (starts, running) = (AtomicU32::new(0), Mutex::default());
        Ok(Self { front, redis, postgres, name, folder, variables, starts, running })
    }

    /// Starts it, as often as it takes until it serves.
    pub async fn start(&self) -> Outcome {
        let mut running = self.running.lock().await;
        let begun = Instant::now();
        loop {
            match self.launch().await {
                Ok(new) => {
                    self.front.lead_to(new.address);
                    *running = Some(new);
                    return Ok(());
                }
                Err(error) if begun.elapsed() > START_PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Kills it; it does not run until it is started again.
    pub async fn kill(&self) -> Outcome {
        if let Some(mut running) = self.running.lock().await.take() {
            signals::send(&[running.pid], Signal::SIGKILL);
            running.guardian.wait().await?;
        }
        Ok(())
    }

    /// Nothing moves in it for a while.
    pub async fn pause(&self, lasting: Duration) {
        let running = self.running.lock().await;
        let pids: Vec<u32> = running.iter().map(|running| running.pid).collect();
        signals::send(&pids, Signal::SIGSTOP);
        tokio::time::sleep(lasting).await;
        signals::send(&pids, Signal::SIGCONT);
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(self) -> Outcome {
        if let Some(mut running) = self.running.into_inner() {
            running.pipe = None;
            running.guardian.wait().await?;
        }
        Ok(())
    }

    /// By how much its clock is behind, as its log tells.
    pub async fn behind(&self) -> Outcome<chrono::TimeDelta> {
        let running = self.running.lock().await;
        let log = running.as_ref().map(|running| std::fs::read_to_string(&running.log)).ok_or("it does not run")??;
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut stamps =
            lines.filter_map(|line| line["timestamp"].as_str()?.parse::<chrono::DateTime<chrono::Utc>>().ok());
        Ok(chrono::Utc::now() - stamps.next_back().ok_or("its log tells no time")?)
    }

    async fn launch(&self) -> Outcome<Running> {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| self.folder.join(format!("{}.{number}.{kind}", self.name));
        let (log, pid_file) = (file("log"), file("pid"));
        let mut command = Command::new(ONSALE);
        command.arg("guard").arg("--dir").arg(&self.folder).arg("--pid-file").arg(&pid_file);
        command.args(["--stop-signal", "TERM", "--", ONSALE, "serve"]);
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value))).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
        let mut guardian = command.spawn()?;
        let pipe = guardian.stdin.take();
        let address = serving(&mut guardian, &log).await?;
        let pid = std::fs::read_to_string(pid_file)?.trim().parse()?;
        Ok(Running { guardian, pipe, pid, log, address })
    }
}

/// Waits until its log says where it serves; fails if it ends before.
async fn serving(guardian: &mut Child, log: &Path) -> Outcome<SocketAddr> {
    loop {
        if let Some(status) = guardian.try_wait()? {
            return Err(format!("an instance ended by itself ({status}), see {}", log.display()).into());
        }
        let text = std::fs::read_to_string(log)?;
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(address) = lines.find_map(|line| line["api"].as_str()?.parse().ok()) {
            return Ok(address);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn settings() -> Vec<(&'static str, String)> {
    let seconds = |time: Duration| time.as_secs().to_string();
    vec![
        ("ONSALE_TOKEN_KEY", KEY.to_owned()),
        ("ONSALE_LISTEN", "127.0.0.1:0".to_owned()),
        ("ONSALE_METRICS_LISTEN", "127.0.0.1:0".to_owned()),
        ("ONSALE_HOLD_TTL_SECONDS", seconds(HOLD_TTL)),
        ("ONSALE_ACTIVE_TTL_SECONDS", seconds(ACTIVE_TTL)),
        ("ONSALE_WAITING_TTL_SECONDS", seconds(WAITING_TTL)),
        ("ONSALE_USER_WRITES_PER_SECOND", "0".to_owned()),
    ]
}
