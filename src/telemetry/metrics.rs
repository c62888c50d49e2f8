//! Metrics: what a process counts, in Prometheus' text, on a listener of their own. Names and helps are in `names.rs`, buckets
//! here; labels are bounded.
//!
//! Gauges are set when they are asked for, and one that is not set again is not shown: what an instance no longer measures
//! must not go on looking like the truth.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use metrics::gauge;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use tokio::net::TcpListener;

use super::{names, process};

/// Seconds, from a tenth of a millisecond to the longest that a request may take, and beyond.
const CALL_BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Seconds, from at once to hours in a queue.
const WAIT_BUCKETS: [f64; 13] = [0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 7200.0];

/// Requests that were done together.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// For how long a gauge that is not set again is shown: no longer than two who ask at once may be apart.
const GAUGES_STAY: Duration = Duration::from_secs(1);

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
        .idle_timeout(MetricKindMask::GAUGE, Some(GAUGES_STAY))
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Taken)?;
    process::begin();
    names::describe();
    names::count_from_zero();
    *installed = Some(handle.clone());
    Ok(handle)
}

/// Serves `GET /metrics`, and keeps the histograms' memory bounded, until it is dropped. `tell` sets the gauges, each time
/// that somebody asks.
pub async fn serve_metrics(
    listener: TcpListener,
    handle: PrometheusHandle,
    tell: impl Fn() + Clone + Send + Sync + 'static,
) -> io::Result<()> {
    let recorded = handle.clone();
    let router = Router::new().route(
        "/metrics",
        get(async move || {
            let process = tokio::task::spawn_blocking(process::read).await.unwrap_or_default();
            gauge!("build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            tell();
            let text = recorded.render() + &process;
            ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], text)
        }),
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
