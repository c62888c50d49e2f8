//! Serving: the listeners, the jobs, and the way down.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{App, StartError};
use crate::connection::Doors;
use crate::jobs;
use crate::settings::{ServeSettings, ServiceSettings};
use crate::telemetry;

/// Connections that the system may queue up before they are accepted.
const BACKLOG: u32 = 4096;

/// The settings that name the addresses.
const API: &str = "ONSALE_LISTEN";
const METRICS: &str = "ONSALE_METRICS_LISTEN";

/// Files that a process may usually have open if it does not ask for more.
const FILES_AT_THE_START: u64 = 1024;

/// Why the service did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Because of the stores.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address is taken, or not ours.
    #[error("cannot listen on {address} ({variable}): {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The setting.
        variable: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The scheduler did not start.
    #[error("the scheduler did not start: {0}")]
    Jobs(#[from] tokio_cron_scheduler::JobSchedulerError),
    /// The metrics were set up before.
    #[error(transparent)]
    Metrics(#[from] telemetry::MetricsError),
    /// The system failed us.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The addresses of a service, taken so that nobody else can listen there; nor does anybody listen yet.
#[derive(Debug)]
pub struct Addresses {
    api: TcpSocket,
    metrics: TcpSocket,
}

impl Addresses {
    /// Takes both.
    pub fn take(service: &ServiceSettings) -> Result<Self, ServeError> {
        let api = take(service.listen).map_err(listening(service.listen, API))?;
        let metrics = take(service.metrics_listen).map_err(listening(service.metrics_listen, METRICS))?;
        Ok(Self { api, metrics })
    }
}

/// A service that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    app: App,
    api: TcpListener,
    metrics: TcpListener,
    doors: Doors,
    grace: Duration,
    drain: Duration,
    recorded: PrometheusHandle,
}

impl Server {
    /// Connects to the stores and listens at the addresses.
    pub async fn bind(settings: &ServeSettings, addresses: Addresses) -> Result<Self, ServeError> {
        let service = &settings.service;
        let most_files = allow_open_files().unwrap_or_else(|error| {
            tracing::warn!(%error, "no more files may be open than at the start: each stream and connection is one");
            FILES_AT_THE_START
        });
        // Before anything is counted.
        let recorded = telemetry::install_metrics()?;
        let app = App::start(settings).await?;
        app.identity.announce();
        let api = addresses.api.listen(BACKLOG).map_err(listening(service.listen, API))?;
        if let Some(demo) = &app.demo {
            demo.opens_at(api.local_addr()?);
        }
        let metrics = addresses.metrics.listen(BACKLOG).map_err(listening(service.metrics_listen, METRICS))?;
        let request_timeout = Duration::from_millis(service.request_timeout_ms.into());
        let max_in_flight = usize::try_from(service.max_in_flight).unwrap_or(usize::MAX);
        let (calls, refusals) = (app.front(request_timeout, max_in_flight), app.refusals(request_timeout));
        let doors = Doors::new(service.connections, most_files, calls, refusals, app.rate_limits.clone());
        let grace = Duration::from_millis(service.shutdown_grace_ms.into());
        let drain = Duration::from_secs(service.shutdown_timeout_seconds.into());
        Ok(Self { app, api, metrics, doors, grace, drain, recorded })
    }

    /// Where the API is.
    pub fn api_address(&self) -> io::Result<SocketAddr> {
        self.api.local_addr()
    }

    /// Where the metrics are.
    pub fn metrics_address(&self) -> io::Result<SocketAddr> {
        self.metrics.local_addr()
    }

    /// Serves until `stop` is cancelled; then says so at `/readyz` for a moment in which it still serves, finishes what is
    /// under way, stops the jobs and returns, at the latest after the time that a shutdown may take.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServeError> {
        let Self { app, api, metrics, doors, grace, drain, recorded } = self;
        let stop_jobs = CancellationToken::new();
        let mut scheduler = jobs::start(&app, &stop_jobs).await?;
        let sampler = app.sampler.clone();
        let serve_metrics = tokio::spawn(telemetry::serve_metrics(metrics, recorded, move || sampler.tell()));

        let close = CancellationToken::new();
        let mut serve = tokio::spawn(doors.serve(api, close.clone()));
        tokio::select! {
            () = stop.cancelled() => {}
            // It ends when it is told to, or by a fault of ours.
            ended = &mut serve => return ended.map_err(|fault| ServeError::Io(io::Error::other(fault))),
        }

        tracing::info!("shutting down");
        app.begin_drain();
        tokio::time::sleep(grace).await;
        close.cancel();
        stop_jobs.cancel();
        app.tasks.close();
        let finish = async {
            let served = serve.await;
            app.tasks.wait().await;
            // Waits for the connections in use, so it must not be left to wait for more than its time either.
            app.readiness.postgres.close().await;
            served
        };
        if tokio::time::timeout(drain, finish).await.is_err() {
            tracing::warn!("shut down with requests still under way");
        }
        scheduler.shutdown().await?;
        serve_metrics.abort();
        Ok(())
    }
}

/// Lets this process have as many files open as the system allows it: every stream is one, and many systems begin with 1024.
/// Returns how many that is.
pub fn allow_open_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

fn take(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listening(address: SocketAddr, variable: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::Listen { address, variable, source }
}

/// Resolves when somebody asks this program to end.
pub async fn asked_to_stop() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
