//! The program: arguments, logs, and one call a verb.

use std::io::{ErrorKind, Read, Write};
use std::process::ExitCode;

use onsale::audit::{self, Auditor};
use onsale::burst::{self, BurstSettings};
use onsale::concert;
use onsale::console::{self, AdminSettings, ConsoleError, TopSettings};
use onsale::dev;
use onsale::health::health;
use onsale::postgres::Postgres;
use onsale::queue::Facts;
use onsale::serve::{Addresses, Server, asked_to_stop};
use onsale::settings::{AuditSettings, Cli, Command, SeedSettings, ServeSettings, StoreSettings, VerifyDrawSettings};
use onsale::telemetry::{Output, Traces, start_logs};
use tokio_util::sync::CancellationToken;

/// Each request makes and drops some dozens of small things, and this does it with the least CPU time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err((text, status)) => return complain(text.trim_end(), status),
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => complain(&format!("error: {error}"), 1),
    }
}

/// Help goes to stdout, complaints to stderr. A closed pipe is no reason to fail twice.
fn complain(text: &str, status: u8) -> ExitCode {
    let _ = if status == 0 { writeln!(std::io::stdout(), "{text}") } else { writeln!(std::io::stderr(), "{text}") };
    ExitCode::from(status)
}

#[tokio::main]
async fn run(cli: Cli) -> Outcome {
    let output = match cli.command {
        Command::Serve(_) | Command::Dev(_) => Output::Stdout,
        _ => Output::Stderr,
    };
    let traces = match &cli.command {
        Command::Serve(settings) => Traces::start(&settings.service.traces)?,
        Command::Dev(settings) => Traces::start(&settings.service.traces)?,
        _ => None,
    };
    start_logs(&cli.log, output, traces.as_ref())?;
    let outcome = carry_out(cli.command).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    outcome
}

async fn carry_out(command: Command) -> Outcome {
    match command {
        Command::Serve(settings) => serve(&settings).await,
        Command::Dev(settings) => Ok(dev::run(*settings).await.map(|()| ExitCode::SUCCESS)?),
        Command::Migrate(stores) => migrate(&stores).await,
        Command::Seed(settings) => seed(&settings).await,
        Command::Audit(settings) => check_invariants(&settings).await,
        Command::Health(settings) => Ok(health(&settings).await.map(|()| ExitCode::SUCCESS)?),
        Command::Burst(settings) => drive(&settings).await,
        Command::Admin(settings) => admin(&settings).await,
        Command::Top(settings) => top(&settings).await,
        Command::VerifyDraw(settings) => verify_draw(&settings),
        Command::Guard(args) => Ok(dev::guard(args).await?),
    }
}

async fn serve(settings: &ServeSettings) -> Outcome {
    let server = Server::bind(settings, Addresses::take(&settings.service)?).await?;
    let (api, metrics) = (server.api_address()?, server.metrics_address()?);
    tracing::info!(%api, %metrics, "serving");
    let stop = CancellationToken::new();
    let serving = server.run(stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => ended?,
        asked = asked_to_stop() => {
            asked?;
            stop.cancel();
            serving.await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn migrate(stores: &StoreSettings) -> Outcome {
    Postgres::migrate(&stores.postgres(1, 60_000)).await?;
    writeln!(std::io::stdout(), "The database is up to date.")?;
    Ok(ExitCode::SUCCESS)
}

async fn seed(settings: &SeedSettings) -> Outcome {
    let postgres = Postgres::connect(&settings.stores.postgres(1, 60_000)).await?;
    postgres.require_migrated().await?;
    let added = concert::seed(&postgres, concert::today(settings.time_zone)).await?;
    let (concerts, schedules, seats) = (added.concerts, added.schedules, added.seats);
    writeln!(std::io::stdout(), "Added {concerts} concerts, {schedules} schedules, {seats} seats.")?;
    Ok(ExitCode::SUCCESS)
}

async fn check_invariants(settings: &AuditSettings) -> Outcome {
    let findings = Auditor::connect(settings).await?.audit().await?;
    if let Some(file) = &settings.metrics_file {
        audit::write_metrics(file, &findings)
            .map_err(|error| format!("{} (ONSALE_AUDIT_METRICS_FILE) cannot be written: {error}", file.display()))?;
    }
    let mut stdout = std::io::stdout().lock();
    for finding in &findings {
        if settings.json {
            writeln!(stdout, "{}", serde_json::to_string(finding)?)?;
        } else {
            writeln!(stdout, "{finding}")?;
        }
    }
    let sound = findings.iter().all(|finding| finding.holds);
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn drive(settings: &BurstSettings) -> Outcome {
    let report = burst::run(settings, until_asked()).await?;
    let mut stdout = std::io::stdout().lock();
    if settings.json {
        writeln!(stdout, "{}", serde_json::to_string(&report)?)?;
    } else {
        write!(stdout, "{report}")?;
    }
    report.complaint().map_or(Ok(ExitCode::SUCCESS), |complaint| Err(complaint.into()))
}

/// Cancelled when somebody asks this program to end; without signals it runs to its end.
fn until_asked() -> CancellationToken {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        if asked_to_stop().await.is_ok() {
            asked.cancel();
        }
    });
    stop
}

async fn admin(settings: &AdminSettings) -> Outcome {
    match console::admin(settings, &mut std::io::stdout().lock()).await {
        // Whoever reads has read enough.
        Err(ConsoleError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        done => Ok(done.map(|()| ExitCode::SUCCESS)?),
    }
}

async fn top(settings: &TopSettings) -> Outcome {
    console::top(settings, until_asked()).await?;
    Ok(ExitCode::SUCCESS)
}

fn verify_draw(settings: &VerifyDrawSettings) -> Outcome {
    let mut text = String::new();
    if settings.facts.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(&settings.facts)?;
    }
    // In the envelope, as it was answered, or bare.
    let mut value: serde_json::Value = serde_json::from_str(&text)?;
    let refusal = value.pointer("/error/message").and_then(serde_json::Value::as_str).map(str::to_owned);
    let bare = value.get_mut("data").map(serde_json::Value::take).unwrap_or(value);
    let facts: Facts = serde_json::from_value(bare)
        .map_err(|error| format!("these are not a draw's facts: {}", refusal.unwrap_or_else(|| error.to_string())))?;
    let drawn = facts.verify()?;
    let mut stdout = std::io::stdout().lock();
    if settings.json {
        writeln!(stdout, "{}", serde_json::to_string(drawn.places())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let entries = drawn.places().len();
    writeln!(
        stdout,
        "The draw of queue {} holds: its seed is the one that was promised; {entries} entries.",
        facts.queue
    )?;
    if let Some(entry) = settings.entry {
        let place =
            drawn.place_of(entry).ok_or_else(|| format!("there is no entry {entry}: they are 1 to {entries}"))?;
        writeln!(stdout, "Entry {entry} has place {place}: {place} of those drawn come before it.")?;
    }
    Ok(ExitCode::SUCCESS)
}
