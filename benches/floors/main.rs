//! What a call costs beside the least it could cost: `cargo bench --bench floors`; see docs/performance.md.
//!
//! A Redis, a PostgreSQL and one `onsale serve` of its own, as processes on this machine, and beside them the floors: plain
//! axum with the same answers, the service's own scripts on bare Redis, the service's own statements under pgbench. All are
//! asked by the same client in the same run, in turns, and CPU time is what the operating system says of each process. It
//! tells and never asserts.
//!
//! `../stage` is the processes and what they are charged with, `client.rs` who asks, `programme.rs` what is on sale,
//! `bare.rs`, `script.rs` and `pgbench.rs` the floors, `call.rs` how a call is measured, `session.rs` and `crowd.rs` what
//! is measured, `memory.rs` what the machine's memory takes, `report.rs` what is told.

mod bare;
mod call;
mod client;
mod crowd;
mod memory;
mod pgbench;
mod programme;
mod report;
mod script;
mod session;
#[path = "../stage/mod.rs"]
mod stage;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use report::{Machine, Report};
use session::Session;
use stage::Outcome;

/// What there is to measure.
const NAMES: [&str; 10] =
    ["schedules", "seats", "hall", "rank", "balance", "token", "hold", "charge", "payment", "crowd"];

/// Measures calls beside their floors
#[derive(Debug, Parser)]
#[command(name = "floors", max_term_width = 100)]
struct Arguments {
    /// Only these, with commas
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(NAMES))]
    only: Vec<String>,
    /// Seconds a round
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// How often a call and its floor take turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many wait in the crowd
    #[arg(long, default_value_t = 1_000_000)]
    waiting: usize,
    /// Where to write all figures as JSON
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench/floors.json"))]
    json: PathBuf,
    /// Be the plain axum
    #[arg(long, hide = true)]
    bare: bool,
    /// What cargo says when it is to be measured, not just tried
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.bench && !arguments.bare {
        return ExitCode::SUCCESS;
    }
    let run = async { if arguments.bare { bare::serve().await } else { run(&arguments).await } };
    match tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            call::tell(&format!("floors: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Outcome {
    onsale::serve::allow_open_files()?;
    let mut session = Session::begin(arguments).await?;
    let measured = session.measure().await;
    let machine = machine(&session).await;
    let (calls, crowd) = (std::mem::take(&mut session.rows), std::mem::take(&mut session.crowd));
    let ended = session.end().await;
    let report = Report { machine: machine?, calls, crowd };
    // What was measured before something went wrong is worth being told.
    writeln!(std::io::stdout(), "\n{}", report.text()?)?;
    measured?;
    ended?;
    if let Some(folder) = arguments.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(&arguments.json, serde_json::to_vec_pretty(&report)?)?)
}

async fn machine(session: &Session<'_>) -> Outcome<Machine> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut session.meter.connection.clone()).await?;
    let redis = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown");
    let mut postgres = <sqlx::PgConnection as sqlx::Connection>::connect(&session.stage.servers.postgres.url()).await?;
    Ok(Machine {
        cpu: cpu.map_or("unknown", |(_, name)| name).to_owned(),
        cores: std::thread::available_parallelism()?.get(),
        memory_ns: memory::access_ns(),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        redis: redis.trim().to_owned(),
        postgres: sqlx::query_scalar("SHOW server_version").fetch_one(&mut postgres).await?,
    })
}
