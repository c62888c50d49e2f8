//! The API's connections: how many, how long a request's head may take, how long one may idle. What comes over them is the
//! router's business; what is too much of one address is refused before it gets there.
//!
//! Of each connection only its own task knows, and no call costs it a timer: what happened last is noted, and looked at
//! when something could be overdue.

mod activity;

use std::convert::Infallible;
use std::future::Ready;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::future::RouteFuture;
use clap::Args;
use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::argument::whole;
use crate::http::{Front, RateLimits};
use crate::limit::Visitor;
use activity::{Activity, Watched};

/// The largest head of a request, its line and all its headers, in bytes; more is answered 431, as are over 100 headers.
pub const HEAD_LIMIT: usize = 16 * 1024;

/// How long to wait when the system gives no more connections, because too many files are open.
const BREATH: Duration = Duration::from_millis(250);

/// The bounds of connections.
#[derive(Debug, Clone, Copy, Args)]
pub struct ConnectionSettings {
    /// Connections open at a time; more are closed at once
    #[arg(long, env = "ONSALE_MAX_CONNECTIONS", default_value_t = 65_536, value_parser = whole(1..=10_000_000))]
    pub max_connections: u32,
    /// Milliseconds in which a request's headers must arrive whole, the first from connecting on
    #[arg(long, env = "ONSALE_HEADER_TIMEOUT_MS", default_value_t = 10_000, value_parser = whole(100..=600_000))]
    pub header_timeout_ms: u32,
    /// Seconds after which a connection over which nothing moves is closed; streams say something every 15 seconds
    #[arg(long, env = "ONSALE_IDLE_TIMEOUT_SECONDS", default_value_t = 75, value_parser = whole(20..=86_400))]
    pub idle_timeout_seconds: u32,
}

/// What serves connections.
#[derive(Debug)]
pub struct Doors {
    settings: ConnectionSettings,
    /// For calls that are within the limits.
    calls: Front,
    /// For those that are not.
    refusals: Router,
    limits: Arc<RateLimits>,
}

/// What ends a connection before its client does.
#[derive(Debug, Clone, Copy)]
struct Patience {
    head: Duration,
    idle: Duration,
}

/// What a connection's task is woken for besides the connection itself.
enum Wake {
    Look,
    Close,
}

impl Doors {
    /// Calls of an address that goes too fast go to `refusals`. No more connections are let in than there can be files open,
    /// the service's own put aside.
    #[must_use]
    pub fn new(
        settings: ConnectionSettings,
        most_files: u64,
        calls: Front,
        refusals: Router,
        limits: Arc<RateLimits>,
    ) -> Self {
        // Redis, Postgres, the listeners, logs: a few dozen and the pool's; an eighth is more than that on any machine.
        let most = u32::try_from(most_files - most_files / 8).unwrap_or(u32::MAX);
        if most < settings.max_connections {
            tracing::warn!(most, "fewer connections than ONSALE_MAX_CONNECTIONS, since so few files may be open");
        }
        let max_connections = settings.max_connections.min(most).max(1);
        Self { settings: ConnectionSettings { max_connections, ..settings }, calls, refusals, limits }
    }

    /// Serves until `close` is cancelled; then takes nobody in and returns when what is under way is answered.
    pub async fn serve(self, listener: TcpListener, close: CancellationToken) {
        let doors: &'static Self = Box::leak(Box::new(self));
        let places = Arc::new(Semaphore::new(usize::try_from(doors.settings.max_connections).unwrap_or(usize::MAX)));
        let open = TaskTracker::new();
        while let Some(accepted) = close.run_until_cancelled(listener.accept()).await {
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_the_clients(&error) => continue,
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    close.run_until_cancelled(tokio::time::sleep(BREATH)).await;
                    continue;
                }
            };
            match places.clone().try_acquire_owned() {
                Ok(place) => _ = open.spawn(doors.attend(stream, peer, place, close.clone())),
                // It hears so at once, and can go to another instance.
                Err(_) => count_closed("full"),
            }
        }
        drop(listener);
        open.close();
        open.wait().await;
    }

    /// Serves one connection to its end.
    async fn attend(
        &'static self,
        stream: TcpStream,
        peer: SocketAddr,
        _place: OwnedSemaphorePermit,
        close: CancellationToken,
    ) {
        // Without this small answers would wait for the client's acknowledgements.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection without TCP_NODELAY");
        }
        let patience = Patience {
            head: Duration::from_millis(self.settings.header_timeout_ms.into()),
            idle: Duration::from_secs(self.settings.idle_timeout_seconds.into()),
        };
        let activity = Arc::new(Activity::begin());
        let calls = Calls { doors: self, visitor: self.limits.visitor(peer.ip()), activity: activity.clone() };
        let io = TokioIo::new(Watched::new(stream, activity.clone()));
        let connection = http1::Builder::new().max_buf_size(HEAD_LIMIT).serve_connection(io, calls);
        let mut connection = pin!(connection);
        // Asked only when it has something to say: the clock and the token each take a lock that all connections share.
        let mut wakes = FuturesUnordered::from_iter([wake(Instant::now() + patience.head, &close)]);
        loop {
            let wake_for = tokio::select! {
                biased;
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended");
                    }
                    return;
                }
                Some(wake) = wakes.next() => wake,
            };
            if matches!(wake_for, Wake::Close) {
                connection.as_mut().graceful_shutdown();
            }
            match activity.look(patience) {
                Ok(next) => wakes.push(wake(next, &close)),
                Err(overdue) => return count_closed(overdue.as_str()),
            }
        }
    }
}

/// Waits until then, or for the end of all connections; that comes once.
async fn wake(at: Instant, close: &CancellationToken) -> Wake {
    let sleep = tokio::time::sleep_until(at.into());
    if close.is_cancelled() {
        sleep.await;
        return Wake::Look;
    }
    match close.run_until_cancelled(sleep).await {
        Some(()) => Wake::Look,
        None => Wake::Close,
    }
}

fn count_closed(reason: &'static str) {
    metrics::counter!("connections_closed_total", "reason" => reason).increment(1);
}

/// Whether only the one connection failed.
fn is_the_clients(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    kinds.contains(&error.kind())
}

/// The calls of one connection.
struct Calls {
    doors: &'static Doors,
    visitor: Visitor,
    activity: Arc<Activity>,
}

impl hyper::service::Service<Request<Incoming>> for Calls {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Self::Response, Infallible>>, RouteFuture<Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.activity.head_is_read();
        if self.doors.limits.admit_address(&self.visitor, request.headers()) {
            self.doors.calls.answer(request)
        } else {
            Either::Right(self.doors.refusals.clone().call(request))
        }
    }
}
