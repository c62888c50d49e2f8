//! One multiplexed connection, shared by all: what arrives together goes out together, which is faster than a pool of
//! connections used one request each (redis-rs' own advice, redis-rs#1411). The pool makes connections and counts them;
//! we lease one for as long as it lives, since each lease costs a PING, and lease anew when it breaks.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisError, Value};
use tokio::sync::Mutex;
use tracing::Instrument;

use super::incarnation::{Incarnation, field, texts};
use super::keys::Keys;
use super::pools::{Pools, Shared};
use super::reply::{Reply, is_passing};
use super::script::Call;
use crate::store_error::StoreError;

/// Where Redis is and how long it may take.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://` or `rediss://`; several with commas are the nodes of a cluster.
    pub url: String,
    /// The longest a call may take, connecting included.
    pub timeout: Duration,
    /// Begins every key, so that several programs can share a Redis.
    pub key_prefix: String,
}

impl std::fmt::Debug for RedisSettings {
    /// Without the address, which may carry a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSettings")
            .field("timeout", &self.timeout)
            .field("key_prefix", &self.key_prefix)
            .finish_non_exhaustive()
    }
}

/// Why the start was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error("REDIS_URL takes redis://host:port, rediss://host:port, or several with commas for a cluster: {0}")]
    Address(String),
    /// Nobody answers there.
    #[error("Redis does not answer at REDIS_URL as it should: {cause}", cause = source_of(.0))]
    Unreachable(#[source] StoreError),
    /// It may throw away holds and tokens when memory runs short.
    #[error("Redis evicts keys when memory is short (maxmemory-policy {0}): set maxmemory-policy noeviction")]
    Evicts(String),
}

fn source_of(error: &StoreError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Redis, shared by the whole program.
#[derive(Debug, Clone)]
pub struct Redis(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pools: Pools,
    timeout: Duration,
    keys: Keys,
    leased: RwLock<Option<Lease>>,
    leasing: Mutex<Option<Instant>>,
}

/// The lease that is in use, numbered so that only its own failure ends it.
#[derive(Clone)]
struct Lease {
    number: u64,
    connection: Shared,
    incarnation: Incarnation,
}

impl Redis {
    /// Connects, and makes sure that this Redis keeps what it is given.
    pub async fn connect(settings: &RedisSettings) -> Result<Self, ConnectError> {
        let pools = Pools::new(settings).map_err(ConnectError::Address)?;
        let keys = Keys::new(&settings.key_prefix);
        let leased = RwLock::new(None);
        let redis = Self(Arc::new(Inner { pools, timeout: settings.timeout, keys, leased, leasing: Mutex::new(None) }));
        redis.refuse_eviction().await?;
        Ok(redis)
    }

    /// The names of all keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// The longest that a call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Runs a script. Bounded by the time-out; a failure leaves it unknown whether it ran.
    pub async fn run(&self, call: Call<'_>) -> Result<Reply, StoreError> {
        let op = call.op();
        self.timed(op, |mut lease| async move { call.invoke(&mut lease.connection, &lease.incarnation).await }).await
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.timed("ping", |mut lease| async move { redis::cmd("PING").query_async(&mut lease.connection).await }).await
    }

    /// Sees to it that the connection leads where it led before: something between us and Redis may have turned it to
    /// another. If so, the next call leases anew.
    pub async fn watch(&self) -> Result<(), StoreError> {
        let ask = |mut lease: Lease| async move {
            let now = Incarnation::ask(&mut lease.connection).await?;
            Ok((lease.number, now.as_ref() == Some(&lease.incarnation)))
        };
        let (number, same) = self.timed("info", ask).await?;
        if !same {
            self.drop_lease(number);
        }
        Ok(())
    }

    async fn refuse_eviction(&self) -> Result<(), ConnectError> {
        let ask =
            |mut lease: Lease| async move { redis::cmd("INFO").arg("memory").query_async(&mut lease.connection).await };
        let info: Value = self.timed("info", ask).await.map_err(ConnectError::Unreachable)?;
        for node in texts(info) {
            let policy = field(&node, "maxmemory_policy:");
            if field(&node, "maxmemory:") != "0" && policy != "noeviction" {
                return Err(ConnectError::Evicts(policy.to_owned()));
            }
        }
        Ok(())
    }

    async fn timed<T, Asked: Future<Output = Result<T, RedisError>>>(
        &self,
        op: &'static str,
        ask: impl FnOnce(Lease) -> Asked,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let span = tracing::debug_span!("redis", otel.name = op, otel.kind = "client", db.system.name = "redis");
        let mut used = None;
        let outcome = tokio::time::timeout(self.0.timeout, async {
            let lease = self.lease().await?;
            let number = *used.insert(lease.number);
            ask(lease).await.map_err(|error| {
                if leads_nowhere(&error) {
                    self.drop_lease(number);
                }
                store_error(error)
            })
        })
        .instrument(span)
        .await;
        metrics::histogram!("redis_request_duration_seconds", "op" => op).record(started.elapsed());
        outcome.unwrap_or_else(|elapsed| {
            // Nobody knows whether that was Redis or the way to it; a new connection may find another way.
            if let Some(number) = used {
                self.drop_lease(number);
            }
            Err(StoreError::Unavailable { store: "redis", source: elapsed.into() })
        })
    }

    /// The connection in use, or a new one. Of those who find it broken one connects and the others wait for the outcome,
    /// failure included: nobody queues up for attempts of its own.
    async fn lease(&self) -> Result<Lease, StoreError> {
        if let Some(lease) = self.current() {
            return Ok(lease);
        }
        let asked = Instant::now();
        let mut failed = self.0.leasing.lock().await;
        if let Some(lease) = self.current() {
            return Ok(lease);
        }
        if failed.is_some_and(|failed| failed >= asked) {
            let source = "connecting has just failed".into();
            return Err(StoreError::Unavailable { store: "redis", source });
        }
        // Should this future be dropped half-way (a time-out), those who wait behind it must not repeat its attempt.
        *failed = Some(asked + self.0.timeout);
        match self.0.pools.connect(self.0.timeout).await {
            Ok((connection, incarnation)) => {
                *failed = None;
                Ok(self.set_lease(connection, incarnation))
            }
            Err(source) => {
                *failed = Some(Instant::now());
                Err(StoreError::Unavailable { store: "redis", source })
            }
        }
    }

    fn current(&self) -> Option<Lease> {
        self.0.leased.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_lease(&self, connection: Shared, incarnation: Incarnation) -> Lease {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let lease = Lease { number, connection, incarnation };
        *self.0.leased.write().unwrap_or_else(PoisonError::into_inner) = Some(lease.clone());
        lease
    }

    fn drop_lease(&self, number: u64) {
        let mut leased = self.0.leased.write().unwrap_or_else(PoisonError::into_inner);
        if leased.as_ref().is_some_and(|lease| lease.number == number) {
            *leased = None;
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("number", &self.number).finish_non_exhaustive()
    }
}

fn breaks_connection(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

/// Whether a new connection may fare better: this one is broken, or silent.
fn leads_nowhere(error: &RedisError) -> bool {
    breaks_connection(error) || error.is_timeout()
}

/// What a Redis says that is starting, failing over or full is for later; any other refusal is a fault of ours.
fn store_error(error: RedisError) -> StoreError {
    let unavailable = breaks_connection(&error)
        || error.is_timeout()
        || error.is_cluster_error()
        || matches!(error.kind(), ErrorKind::Io)
        || is_passing(error.code());
    if unavailable {
        StoreError::Unavailable { store: "redis", source: error.into() }
    } else {
        StoreError::Unexpected { store: "redis", source: error.into() }
    }
}
