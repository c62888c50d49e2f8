//! The whole service under faults: Redis, PostgreSQL and three instances as processes of their own, a fault-making TCP
//! proxy on every connection between them and in front of them, and many clients who buy, charge, refund, leave and try
//! again. Afterwards a checker goes over what the clients were told, and over both stores.
//!
//! `arguments.rs` is what the run may be told, `programme.rs` what is on sale, `stores.rs` and `instance.rs` the processes,
//! `proxy.rs` the connections between them, `cluster.rs` all of that together; `faults.rs` is what goes wrong, `shopper/`
//! who buys, `call.rs` how they ask, `observer.rs` who watches the queues; `history.rs` is what all of them saw, `checker/`
//! what must hold of it, `report.rs` what is told. `sabotage.rs` breaks the shop on purpose, to see that the checker sees it.
//!
//! Everything drawn by lot comes from one seed. Real processes do not run the same way twice, so a seed gives the same
//! faults at the same times and the same clients, not the same interleaving.
#![expect(unreachable_pub, reason = "nothing in a test binary is reachable from outside")]

mod arguments;
mod call;
mod checker;
mod cluster;
mod faults;
mod history;
mod instance;
mod observer;
mod programme;
mod proxy;
mod report;
mod sabotage;
mod shopper;
mod signals;
mod stores;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arguments::{Arguments, Asked};
use cluster::Cluster;
use history::History;
use programme::Programme;
use report::Report;
use shopper::Crowd;

/// What may end a run early; none of it is a finding about the service.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long what the faults left unknown may take to become known, once they are over.
const RESOLVING: Duration = Duration::from_secs(40);

fn main() -> ExitCode {
    let arguments = match arguments::read() {
        Asked::Run(arguments) => arguments,
        Asked::Say(text) => {
            if !text.is_empty() {
                say(&text);
            }
            return ExitCode::SUCCESS;
        }
    };
    say(&format!("chaos: seed {}; again with: make chaos SEED={}", arguments.seed, arguments.seed));
    let ended =
        tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(run(&arguments)));
    match ended {
        Ok(report) => {
            say(&if arguments.json { report.json() } else { report.text() });
            ExitCode::from(u8::from(!report.breaches.is_empty()))
        }
        Err(error) => {
            say(&format!("chaos: the run itself failed: {error}"));
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &Arguments) -> Outcome<Report> {
    let history = Arc::new(History::new());
    let programme = Arc::new(Programme::of_size(arguments.seconds));
    let cluster = Arc::new(Cluster::start(arguments, &programme).await?);
    if let Some(sabotage) = arguments.sabotage {
        sabotage.begin(cluster.stores.admin()).await?;
    }
    let watching = observer::watch(cluster.stores.redis_url(), &programme, history.clone());
    let crowd = Crowd::new(arguments, &cluster, &programme, &history)?;

    let begun = Instant::now();
    let shopping = crowd.open(arguments.clients);
    let progress = tokio::spawn(tell_progress(history.clone(), begun));
    faults::inject(&cluster, &history, arguments).await?;
    let under_faults = begun.elapsed();

    history.faults_are_over();
    cluster.heal().await?;
    let ready = checker::liveness::instances_are_ready(&cluster, &history).await;
    let everything_known = crowd.close(shopping, RESOLVING).await?;
    progress.abort();
    if ready && everything_known {
        checker::liveness::everyone_can_buy(&crowd, &history, arguments.instances).await;
    }
    checker::check(&cluster, &programme, &history).await?;
    watching.abort();

    if !history.records().breaches.is_empty() {
        std::fs::write(cluster.stores.folder().join("journal.txt"), history.records().journal.join("\n"))?;
    }
    let report = Report::of(arguments, &cluster, &history, under_faults);
    let cluster = Arc::into_inner(cluster).ok_or("somebody still uses the servers")?;
    cluster.stop(report.breaches.is_empty()).await?;
    Ok(report)
}

/// A line every ten seconds, so that nobody thinks that it hangs.
async fn tell_progress(history: Arc<History>, begun: Instant) {
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        say(&format!("chaos: {:>4} s  {}", begun.elapsed().as_secs(), history.progress()));
    }
}

/// A closed pipe is no reason to fail.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
