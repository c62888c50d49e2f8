//! The service as a whole: the stores connected, the rooms put together, the routes merged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Admin, Operators};
use crate::concert::{self, Concerts};
use crate::demo::{self, Demo};
use crate::gate::{self, Gate};
use crate::http::{self, ApiError, Described, Front, Pulse, RateLimits, Success};
use crate::idempotency::Idempotency;
use crate::identity::{Identity, IdentityError};
use crate::openapi;
use crate::pages::{self, Pages};
use crate::payment::{self, Payments};
use crate::postgres::{self, Postgres, PostgresSettings};
use crate::queue::{self, Queues, Signer};
use crate::redis::{self, Redis};
use crate::reservation::{self, ReservationIds, Reservations};
use crate::sample::Sampler;
use crate::seat::{self, Seats};
use crate::settings::ServeSettings;
use crate::store_error::StoreError;
use crate::wallet::{self, Wallets};

/// Operators' calls under way at a time. They have places and time of their own, so that an operator gets in when the shop
/// is full, and a hall of seats can be made at once.
const MOST_ADMIN_CALLS: usize = 16;
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Refusals take no time, so there are hardly ever two at once; but each is answered as what it is.
const MOST_REFUSALS: usize = 1_000_000;

/// The running service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// The queues.
    pub queues: Arc<Queues>,
    /// The programme.
    pub concerts: Arc<Concerts>,
    /// The seats.
    pub seats: Arc<Seats>,
    /// The holds.
    pub reservations: Arc<Reservations>,
    /// The wallets.
    pub wallets: Arc<Wallets>,
    /// The payments.
    pub payments: Arc<Payments>,
    /// What was answered to requests under an `Idempotency-Key`.
    pub idempotency: Arc<Idempotency>,
    /// What operators' calls stand on.
    pub admin: Arc<Admin>,
    /// The gate before other sites.
    pub gate: Arc<Gate>,
    /// The demo, where there is one.
    pub demo: Option<Arc<Demo>>,
    /// What people see.
    pub pages: Arc<Pages>,
    /// Who asks.
    pub identity: Arc<Identity>,
    /// How fast a user may go.
    pub rate_limits: Arc<RateLimits>,
    /// The stores, and whether we are ready.
    pub readiness: Arc<Readiness>,
    /// Measures the shop.
    pub sampler: Arc<Sampler>,
    /// What must be finished before the end.
    pub tasks: TaskTracker,
    /// Cancelled when a shutdown begins: streams, which would go on for ever, end then.
    pub streams: CancellationToken,
}

/// The stores, whether a shutdown has begun, and how many calls we have failed.
#[derive(Debug)]
pub struct Readiness {
    /// Redis.
    pub redis: Redis,
    /// Postgres.
    pub postgres: Postgres,
    pulse: Arc<Pulse>,
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Because of Redis.
    #[error(transparent)]
    Redis(#[from] redis::ConnectError),
    /// Because of Postgres.
    #[error(transparent)]
    Postgres(#[from] postgres::ConnectError),
    /// No key for passes could be made.
    #[error(transparent)]
    Gate(#[from] gate::KeyError),
    /// It cannot be known who asks.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A store failed at the first questions.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The app as the calls' state. Each call asks for several rooms, on every processor at once: a reference is copied, where
/// counts of who uses what would be fought over.
#[derive(Debug, Clone, Copy)]
struct Calls(&'static App);

macro_rules! rooms {
    ($($field:ident: $Room:ty,)*) => {
        $(impl FromRef<Calls> for &'static $Room {
            fn from_ref(calls: &Calls) -> Self {
                &calls.0.$field
            }
        })*
    };
}

rooms! {
    queues: Queues,
    concerts: Concerts,
    seats: Seats,
    reservations: Reservations,
    wallets: Wallets,
    payments: Payments,
    idempotency: Idempotency,
    admin: Admin,
    gate: Gate,
    pages: Pages,
    identity: Identity,
    rate_limits: RateLimits,
    readiness: Readiness,
    sampler: Sampler,
}

impl App {
    /// Connects to the stores and reads the programme. Fails if the schema is not up to date, or may only be read.
    pub async fn start(settings: &ServeSettings) -> Result<Self, StartError> {
        let service = &settings.service;
        let identity = Arc::new(Identity::new(&service.identity)?);
        let stores = &settings.stores;
        let bounds = stores.postgres(service.postgres_connections, service.postgres_timeout_ms);
        let postgres = Postgres::connect(&PostgresSettings { queue: service.postgres_queue, ..bounds }).await?;
        postgres.require_writable().await?;
        let redis = Redis::connect(&stores.redis(service.redis_timeout_ms)).await?;

        let signer = Signer::new(settings.token_key.expose());
        let signer = service.old_token_keys.iter().fold(signer, |signer, key| signer.accepting(key.expose()));
        let seats = Seats::new(redis.clone(), postgres.clone()).with_max_streams(service.max_streams);
        let seats = Arc::new(seats);
        let (zone, defaults) = (service.time_zone, service.queue.into());
        let queues = Queues::start(redis.clone(), postgres.clone(), signer, seats.clone(), zone, defaults)
            .await?
            .with_max_streams(service.max_streams);
        // Openings without a draw get theirs.
        queues.refresh().await?;
        let queues = Arc::new(queues);
        let concerts = Arc::new(Concerts::start(postgres.clone(), service.time_zone).await?);
        let ids = Arc::new(ReservationIds::new(postgres.clone()));
        let tasks = TaskTracker::new();
        let reservations = Reservations::new(
            postgres.clone(),
            concerts.clone(),
            queues.clone(),
            seats.clone(),
            ids.clone(),
            service.max_holds_per_user,
            tasks.clone(),
        );
        let payments =
            Payments::new(postgres.clone(), concerts.clone(), queues.clone(), seats.clone(), ids, tasks.clone());
        let sampler = Sampler::new(redis.clone(), postgres.clone());
        let operators = Operators::new(service.admin_token.as_ref(), service.admin_tokens.as_ref());
        let admin = Admin::new(postgres.clone(), concerts.clone(), queues.clone(), operators);
        let shown = service.demo_operator.clone().filter(|_| service.listen.ip().is_loopback());
        let demo = || Demo::new(postgres.clone(), concerts.clone(), queues.clone(), seats.clone(), shown);
        let demo = service.demo.then(demo).map(Arc::new);
        Ok(Self {
            demo,
            queues,
            concerts,
            seats,
            reservations: Arc::new(reservations),
            wallets: Wallets::new(postgres.clone()),
            payments: Arc::new(payments),
            idempotency: Idempotency::new(postgres.clone(), tasks.clone()),
            admin: Arc::new(admin),
            gate: Arc::new(Gate::new(&settings.gate())?),
            pages: Arc::new(Pages::new(service.demo, service.time_zone)),
            identity,
            rate_limits: Arc::new(RateLimits::new(&service.rates)),
            readiness: Arc::new(Readiness { redis, postgres, pulse: Arc::default() }),
            sampler: Arc::new(sampler),
            tasks,
            streams: CancellationToken::new(),
        })
    }

    /// All calls, with everything that is around them. What they stand on lasts from here on as long as the program.
    pub fn front(&self, request_timeout: Duration, max_in_flight: usize) -> Front {
        let router = Router::new()
            .merge(queue::router())
            .merge(concert::router())
            .merge(seat::router())
            .merge(reservation::router())
            .merge(wallet::router())
            .merge(payment::router())
            .merge(gate::router())
            .merge(openapi::router(self.identity.trust()))
            .merge(pages::router())
            .route("/livez", get(livez))
            .route("/readyz", get(readyz));
        let (calls, pulse) = (Calls(Box::leak(Box::new(self.clone()))), &self.readiness.pulse);
        let router = http::method_fallback(router).fallback(pages::nowhere).with_state(calls);
        let router = match calls.0.demo.as_deref() {
            Some(demo) => router.merge(demo::router(demo)),
            None => router,
        };
        let router = http::wrap(router, request_timeout, max_in_flight, pulse.clone());
        let router = match self.admin.operators() {
            Some(operators) => {
                let admin = admin::router(operators).with_state(calls);
                router.merge(http::wrap(admin, request_timeout.max(ADMIN_TIMEOUT), MOST_ADMIN_CALLS, pulse.clone()))
            }
            None => router,
        };
        let App { queues, concerts, seats, .. } = calls.0;
        let shortcuts = vec![
            queue::shortcut(queues),
            seat::shortcut(concerts, queues, seats),
            concert::shortcut(concerts, queues, seats),
        ];
        Front::new(shortcuts, router, pulse.clone())
    }

    /// What answers calls of addresses that go too fast, whatever they ask for.
    pub fn refusals(&self, request_timeout: Duration) -> Router {
        let router = Router::new().fallback(async || http::too_fast());
        http::wrap(router, request_timeout, MOST_REFUSALS, self.readiness.pulse.clone())
    }

    /// Notes how the shop stands now: one moment of its course.
    pub async fn note(&self) {
        let failures = self.readiness.pulse.failures.load(Ordering::Relaxed);
        self.sampler.note(&self.queues, failures).await;
    }

    /// From now on not ready. Streams end; who comes again is sent elsewhere by the load balancer.
    pub fn begin_drain(&self) {
        self.streams.cancel();
        self.queues.end_streams();
        self.seats.end_streams();
        self.readiness.pulse.draining.store(true, Ordering::SeqCst);
    }
}

/// What is said of the service's own calls.
#[must_use]
pub fn calls() -> Vec<Described> {
    vec![
        Described::get("/livez", "alive", "The service is alive."),
        Described::get("/readyz", "ready", "Redis and Postgres answer, the schema is there, no shutdown has begun."),
    ]
}

async fn livez() -> Success<()> {
    Success(())
}

/// Ready: Redis and Postgres answer, the migrations are applied, it may be written to, no shutdown has begun.
async fn readyz(State(readiness): State<&'static Readiness>) -> Result<Success<()>, ApiError> {
    if readiness.pulse.draining.load(Ordering::SeqCst) {
        return Err(ApiError::unavailable("shutting down"));
    }
    let redis = async { readiness.redis.ping().await.map_err(ApiError::from) };
    let postgres = async { readiness.postgres.require_writable().await.map_err(ApiError::unavailable) };
    tokio::try_join!(redis, postgres)?;
    Ok(Success(()))
}
