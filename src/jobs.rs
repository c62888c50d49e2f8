//! The scheduler: what is done by the clock rather than for a request. Every job is a bounded step that any number of
//! instances may take at once.
//!
//! tokio-cron-scheduler ticks no faster than twice a second, cuts durations to whole seconds, and does not mind whether
//! the last run has ended. So each job's cron entry, once a second, only sees to it that the job's own loop runs; the loop
//! takes a step an interval, one at a time. Should a loop ever die, the next second starts it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::MissedTickBehavior;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::postgres;
use crate::seat::{HoldGauges, UNDER_WAY};
use crate::store_error::StoreError;

type Step = fn(App) -> BoxFuture<'static, Result<(), StoreError>>;

/// Name, interval, step.
const JOBS: [(&str, Duration, Step); 17] = [
    // Lets in whom cap and rate allow, and reaps: `queue::promote` says how much a run.
    ("queue.promote", Duration::from_millis(200), |app| async move { app.queues.promote().await }.boxed()),
    // Tells those who watch their tokens what is new.
    ("queue.feed", Duration::from_millis(200), |app| async move { app.queues.feed().await }.boxed()),
    // Tells Redis who was seen waiting without its being asked: up to 1000 a call.
    ("queue.see", Duration::from_millis(250), |app| async move { app.queues.tell_sightings().await }.boxed()),
    // Forgets whose time is over, a part at a time and on a thread of its own: of a million it would keep calls waiting.
    ("queue.prune", Duration::from_millis(75), |app| {
        async move {
            if let Err(error) = tokio::task::spawn_blocking(move || app.queues.prune()).await {
                tracing::error!(%error, "forgetting whose time is over has failed");
            }
            Ok(())
        }
        .boxed()
    }),
    // Tells those who watch seats what has changed: one look a schedule that is watched.
    ("seat.feed", Duration::from_millis(200), |app| async move { app.seats.feed().await }.boxed()),
    // Frees lapsed holds and hands unfinished payments to the reconciler: up to 256 a schedule and run.
    ("seat.sweep", Duration::from_millis(500), |app| async move { sweep_seats(&app).await }.boxed()),
    // Tells the seat maps what they missed of Postgres' truth: 2500 seats of one schedule a run, in turn.
    ("seat.settle", Duration::from_millis(250), |app| async move { settle_next(&app).await }.boxed()),
    // Ends tokens that have paid and that a Redis that came back with less has as live.
    ("payment.end_used_tokens", Duration::from_millis(500), |app| {
        async move { app.payments.end_used_tokens().await }.boxed()
    }),
    // Writes down how far each queue has come, for the case that Redis is lost.
    ("queue.remember", Duration::from_secs(1), |app| async move { app.queues.remember().await }.boxed()),
    // Asks Redis whether it is the one it was.
    ("redis.watch", Duration::from_secs(1), |app| async move { app.readiness.redis.watch().await }.boxed()),
    // Reads the programme and the queues' settings again if they have changed: soon, since a queue that is paused must stop.
    ("concert.refresh", Duration::from_millis(250), |app| {
        async move { app.concerts.refresh(&app.queues).await }.boxed()
    }),
    // Forgets what was answered under an Idempotency-Key too long ago: up to 1000 a run.
    ("idempotency.sweep", Duration::from_secs(1), |app| {
        async move { app.idempotency.sweep().await.map(|_| ()) }.boxed()
    }),
    // Reads the keys of bearer tokens again if their file has changed.
    ("identity.refresh", Duration::from_secs(1), |app| {
        async move {
            app.identity.refresh().await;
            Ok(())
        }
        .boxed()
    }),
    // Notes how the shop stands, on every instance, and measures it, on the one that has the lease: of what other jobs saw.
    ("sample.shop", Duration::from_secs(1), |app| {
        async move {
            app.note().await;
            app.sampler.measure(&app.queues, &app.seats).await.map(|_| ())
        }
        .boxed()
    }),
    // Asks both stores whether they answer this instance.
    ("sample.stores", Duration::from_secs(1), |app| {
        async move {
            app.sampler.ask_stores().await;
            Ok(())
        }
        .boxed()
    }),
    // Tells the other instances who has asked for much here: up to 4000 addresses and as many users a run.
    ("http.share_limits", Duration::from_millis(250), |app| {
        async move { app.rate_limits.share(&app.readiness.redis).await }.boxed()
    }),
    // Forgets quiet users and addresses.
    ("http.prune", Duration::from_mins(1), |app| {
        async move {
            app.rate_limits.prune();
            Ok(())
        }
        .boxed()
    }),
];

/// Starts all jobs. They end, each after the step it is at, when `stop` is cancelled; `app.tasks` waits for them.
pub async fn start(app: &App, stop: &CancellationToken) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for (name, interval, step) in JOBS {
        // Counters that begin at 0: one that appears with its first count has no increase to be seen.
        for outcome in ["ok", "error"] {
            metrics::counter!("job_runs_total", "job" => name, "outcome" => outcome).increment(0);
        }
        let runs = Arc::new(AtomicBool::new(false));
        let (app, stop) = (app.clone(), stop.clone());
        let watch = Job::new("* * * * * *", move |_, _| {
            if !stop.is_cancelled() && !runs.swap(true, Ordering::SeqCst) {
                let runs = RunsUntilDropped(runs.clone());
                app.tasks.spawn(run(name, interval, step, app.clone(), stop.clone(), runs));
            }
        })?;
        scheduler.add(watch).await?;
    }
    scheduler.start().await?;
    Ok(scheduler)
}

struct RunsUntilDropped(Arc<AtomicBool>);

impl Drop for RunsUntilDropped {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

async fn run(
    name: &'static str,
    interval: Duration,
    job: Step,
    app: App,
    stop: CancellationToken,
    _runs: RunsUntilDropped,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_well = true;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let started = Instant::now();
        let outcome = postgres::unrefused(job(app.clone())).await;
        metrics::histogram!("job_duration_seconds", "job" => name).record(started.elapsed());
        let word = if outcome.is_ok() { "ok" } else { "error" };
        metrics::counter!("job_runs_total", "job" => name, "outcome" => word).increment(1);
        // A store that is down fails every step; one line when it begins and one when it ends say so.
        match (&outcome, was_well) {
            (Err(error), true) => tracing::warn!(job = name, %error, "a job fails"),
            (Ok(()), false) => tracing::info!(job = name, "a job is well again"),
            _ => {}
        }
        was_well = outcome.is_ok();
    }
}

async fn sweep_seats(app: &App) -> Result<(), StoreError> {
    let programme = app.concerts.programme();
    let (mut holds, mut outcome) = (HoldGauges::default(), Ok(()));
    for schedule in programme.schedules() {
        let Some(sweep) = app.seats.sweep(schedule.id, UNDER_WAY).await? else { continue };
        holds.live += sweep.live;
        holds.oldest_payment = holds.oldest_payment.max(sweep.oldest_payment);
        for suspicious in sweep.suspicious {
            // One that cannot be reconciled now must not keep the other schedules' seats from being freed.
            let reconciled = app.payments.reconcile(schedule.id, suspicious).await;
            let word = if reconciled.is_ok() { "ok" } else { "error" };
            metrics::counter!("payments_reconciled_total", "outcome" => word).increment(1);
            outcome = outcome.and(reconciled);
        }
    }
    app.seats.saw_holds(holds);
    outcome
}

async fn settle_next(app: &App) -> Result<(), StoreError> {
    let programme = app.concerts.programme();
    let differed = app.seats.settle_next(programme.schedules().map(|schedule| schedule.id)).await?;
    metrics::counter!("seats_settled_total").increment(differed.into());
    Ok(())
}
