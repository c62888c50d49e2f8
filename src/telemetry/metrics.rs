//! Metrics: what a process counts, in Prometheus' text. Names, helps and buckets are all here; labels are bounded.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

/// Seconds, from a tenth of a millisecond to the longest that a request may take, and beyond.
const CALL_BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Seconds, from at once to hours in a queue.
const WAIT_BUCKETS: [f64; 13] = [0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 7200.0];

/// Requests that were done together.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// The metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Their description is wrong.
    #[error("the metrics could not be set up: {0}")]
    Build(#[from] BuildError),
    /// Something else in this process records metrics.
    #[error("this process records metrics already")]
    Taken,
}

/// Starts counting; a second start in one process gets the first's handle.
pub fn install_metrics() -> Result<PrometheusHandle, MetricsError> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("queue_wait_seconds".to_owned()), &WAIT_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full("queue_estimate_error_seconds".to_owned()), &WAIT_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full("batch_size".to_owned()), &BATCH_BUCKETS)?
        .set_buckets(&CALL_BUCKETS)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Taken)?;
    describe();
    gauge!("build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    *installed = Some(handle.clone());
    Ok(handle)
}

/// Serves `GET /metrics`, and keeps the histograms' memory bounded, until it is dropped.
pub async fn serve_metrics(listener: TcpListener, handle: PrometheusHandle) -> io::Result<()> {
    let render = handle.clone();
    let router = Router::new().route(
        "/metrics",
        get(async move || ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], render.render())),
    );
    let upkeep = async {
        // What was recorded since is gone through in one go, which must not take long.
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        loop {
            ticks.tick().await;
            handle.run_upkeep();
        }
    };
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served,
        () = upkeep => Ok(()),
    }
}

fn describe() {
    describe_gauge!("build_info", "1, with the version as a label.");
    describe_counter!("http_requests_total", "Requests answered, by method, route template and status.");
    describe_histogram!("http_request_duration_seconds", "From a request's head to its answer.");
    describe_counter!(
        "connections_closed_total",
        "Connections closed before their clients did: full, head (took too long), idle."
    );
    describe_gauge!("queue_waiting", "Tokens waiting.");
    describe_gauge!("queue_active", "Tokens active.");
    describe_counter!("queue_tokens_issued_total", "Tokens given, not counting repeated answers.");
    describe_counter!("queue_promoted_total", "Tokens let in.");
    describe_counter!("queue_expired_total", "Tokens ended by their time, active or waiting.");
    describe_histogram!("queue_wait_seconds", "From entering to being active.");
    describe_histogram!(
        "queue_estimate_error_seconds",
        "How far a real wait was from the range that was told first; 0 within it."
    );
    describe_gauge!("queue_streams", "Streams of queue events that are open.");
    describe_gauge!("seat_streams", "Streams of seat changes that are open.");
    describe_counter!("seat_holds_total", "Holds asked for, by outcome.");
    describe_gauge!("seat_holds_live", "Holds that live, those being paid included.");
    describe_counter!("payments_total", "Payments asked for, by outcome.");
    describe_counter!("payment_amount_won_total", "Won taken.");
    describe_counter!("refunds_total", "Refunds asked for, by outcome.");
    describe_counter!("refund_amount_won_total", "Won given back.");
    describe_counter!("wallet_charges_total", "Charges.");
    describe_histogram!("redis_request_duration_seconds", "A call to Redis, by script.");
    describe_histogram!("postgres_request_duration_seconds", "A call to PostgreSQL, by statement.");
    describe_counter!("postgres_refused_total", "Calls to PostgreSQL refused, since too many were under way.");
    describe_histogram!("batch_size", "Requests that were done together, by what was done.");
    describe_counter!("job_runs_total", "Runs of the scheduler's jobs, by outcome.");
    describe_histogram!("job_duration_seconds", "A run of a job.");
}
