//! What a crowd costs that waits and watches: `cargo bench --bench streams`, and `-- --json` for a program to read.
//!
//! A Redis, a PostgreSQL and one `onsale serve` of its own, as processes on this machine; a hundred thousand users who
//! wait, ten thousand of them by a stream of events. Told is how long it takes from being let in, by Redis' clock, to the
//! event at the client; what waiting costs Redis in memory; what streams and polls cost in CPU time. The clients run on the
//! same processors, so times are upper bounds.
//!
//! `../stage` is the processes and what they are charged with, `house.rs` what is done with them, `client.rs` who asks,
//! `report.rs` what is told.

mod client;
mod house;
mod report;
#[path = "../stage/mod.rs"]
mod stage;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::{StreamExt, TryStreamExt, stream};

use client::{Connection, Watchers};
use house::per;
use report::{Activation, Polling, Quiet, Report};
use stage::cost::{self, Meter};
use stage::{Outcome, Stage};

/// The longest that a run may take.
const LIMIT: Duration = Duration::from_mins(4);

/// How many enter, and open streams, at a time.
const AT_ONCE: usize = 64;

/// How many poll, for how long, and in which small crowd.
const POLLERS: usize = 32;
const POLLING: Duration = Duration::from_secs(4);
const FEW: i64 = 1000;

/// How long the streams are watched while nobody is let in.
const QUIET: Duration = Duration::from_secs(10);

/// How long the last activation may take to be told of, once the rate has let it in.
const PATIENCE: Duration = Duration::from_secs(20);

/// Files that are open besides the streams, of the service and of the clients.
const OTHER_FILES: u64 = 500;

/// Measures a crowd that waits and watches
#[derive(Debug, Parser)]
#[command(name = "streams", max_term_width = 100)]
struct Arguments {
    /// How many wait
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(i64).range(2000..=1_000_000))]
    waiting: i64,
    /// How many of them watch by a stream, the first of all
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1000..=20_000))]
    streams: u32,
    /// How many are let in while they watch
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
    admitted: u32,
    /// How many a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    rate: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// What cargo says when it is to be measured, not just tried
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.bench {
        return ExitCode::SUCCESS;
    }
    let ended =
        tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(run(&arguments)));
    let told = ended.and_then(|report| Ok(writeln!(std::io::stdout(), "{}", report.text(arguments.json)?)?));
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "streams: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Outcome<Report> {
    let most = onsale::serve::allow_open_files()?.saturating_sub(OTHER_FILES);
    let streams = arguments.streams.min(u32::try_from(most).unwrap_or(u32::MAX));
    let mut stage = Stage::narrow(arguments.rate).await?;
    let measured = tokio::time::timeout(LIMIT, measure(&mut stage, arguments, streams)).await;
    let struck = stage.strike().await;
    let report = measured.map_err(|_| format!("not over after {} s", LIMIT.as_secs()))??;
    struck?;
    Ok(report)
}

async fn measure(stage: &mut Stage, arguments: &Arguments, streams: u32) -> Outcome<Report> {
    let (meter, api) = (stage.meter().await?, stage.api);
    let empty = meter.redis_memory().await?;
    // The first is active at once, and the only one for now.
    enter(api, 1..=1).await?;
    let mut tokens = enter(api, 2..=FEW + 1).await?;
    let few = poll(&meter, api, &tokens).await?;

    let begun = Instant::now();
    tokens.extend(enter(api, FEW + 2..=arguments.waiting + 1).await?);
    let entered_per_second = per(tokens.len() as u64 - u64::try_from(FEW)?, begun.elapsed());
    let redis_bytes_a_token = cost::share(meter.redis_memory().await?.saturating_sub(empty), tokens.len() as u64);
    let many = poll(&meter, api, &tokens).await?;

    let before = meter.server_memory()?;
    let (watchers, opening) = open(api, &tokens[..usize::try_from(streams)?]).await?;
    let quiet = watch(&meter, &watchers).await?;
    let server_bytes_a_stream = cost::share(meter.server_memory()?.saturating_sub(before), streams.into());
    let activation = admit(stage, &meter, &watchers, arguments).await?;
    Ok(Report {
        waiting: tokens.len(),
        streams,
        streams_asked_for: arguments.streams,
        entered_per_second,
        redis_bytes_a_token,
        polling: [few, many],
        streams_opened_per_second: per(streams.into(), opening),
        server_bytes_a_stream,
        server_peak_bytes: meter.server_peak()?,
        quiet,
        activation,
        shutdown_seconds: stage.stop_service().await?.as_secs_f64(),
    })
}

/// Has users enter, by way of many connections; their tokens, in the order of the queue as nearly as that goes.
async fn enter(api: SocketAddr, users: std::ops::RangeInclusive<i64>) -> Outcome<Vec<String>> {
    let (first, last) = users.into_inner();
    let share = |at: usize| async move {
        let (mut connection, mut tokens) = (Connection::open(api).await?, Vec::new());
        for user in (first..=last).skip(at).step_by(AT_ONCE) {
            tokens.push((user, connection.enter(user).await?));
        }
        Outcome::Ok(tokens)
    };
    let shares = (0..AT_ONCE).map(|at| tokio::spawn(share(at)));
    let mut all = Vec::new();
    for share in shares.collect::<Vec<_>>() {
        all.extend(share.await??);
    }
    all.sort_unstable();
    Ok(all.into_iter().map(|(_, token)| token).collect())
}

/// Has many ask for ranks without a pause, all tokens in turn.
async fn poll(meter: &Meter, api: SocketAddr, tokens: &[String]) -> Outcome<Polling> {
    let before = meter.read()?;
    let tokens: Arc<[String]> = tokens.into();
    let poller = |at: usize| {
        let tokens = Arc::clone(&tokens);
        async move {
            let (mut connection, mut times) = (Connection::open(api).await?, Vec::new());
            let begun = Instant::now();
            for token in tokens.iter().cycle().skip(at * tokens.len() / POLLERS) {
                let asked = Instant::now();
                if asked.duration_since(begun) >= POLLING {
                    break;
                }
                connection.rank(token).await?;
                times.push(asked.elapsed());
            }
            Outcome::Ok(times)
        }
    };
    let pollers: Vec<_> = (0..POLLERS).map(|at| tokio::spawn(poller(at))).collect();
    let mut times = Vec::new();
    for poller in pollers {
        times.extend(poller.await??);
    }
    Ok(Polling::new(tokens.len(), &meter.since(&before)?, times))
}

/// Opens a stream for each token; every one has told where it stands.
async fn open(api: SocketAddr, tokens: &[String]) -> Outcome<(Arc<Watchers>, Duration)> {
    let (watchers, begun) = (Arc::<Watchers>::default(), Instant::now());
    stream::iter(tokens.iter().cloned())
        .map(|token| Arc::clone(&watchers).open(api, token))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok((watchers, begun.elapsed()))
}

/// What streams cost of which there is nothing to tell.
async fn watch(meter: &Meter, watchers: &Watchers) -> Outcome<Quiet> {
    let (before, told) = (meter.read()?, watchers.comments.load(Ordering::Relaxed));
    tokio::time::sleep(QUIET).await;
    let spent = meter.since(&before)?;
    Ok(Quiet::new(&spent, watchers.comments.load(Ordering::Relaxed) - told))
}

/// Lets some in, and waits until all of them have heard of it.
async fn admit(stage: &Stage, meter: &Meter, watchers: &Watchers, arguments: &Arguments) -> Outcome<Activation> {
    let (before, told) = (meter.read()?, watchers.positions.load(Ordering::Relaxed));
    stage.widen(arguments.admitted + 1).await?;
    let patience = PATIENCE + Duration::from_secs((arguments.admitted / arguments.rate).into());
    let begun = Instant::now();
    while watchers.active() < arguments.admitted as usize && begun.elapsed() < patience {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let spent = meter.since(&before)?;
    let positions = watchers.positions.load(Ordering::Relaxed) - told;
    let delays = watchers.delays(house::ACTIVE_TTL);
    if delays.len() < arguments.admitted as usize {
        return Err(format!("only {} of {} heard that it is their turn", delays.len(), arguments.admitted).into());
    }
    Ok(Activation::new(&spent, arguments.rate, positions, watchers.ended.load(Ordering::Relaxed), delays))
}
