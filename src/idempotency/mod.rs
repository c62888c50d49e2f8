//! `Idempotency-Key`: what is asked for again under the same key is carried out once, and answered as it was the first
//! time. Owns the table `idempotency_key`.
//!
//! Where money moves, the answer is stored in the transaction that moves it: whoever asks again finds both or neither. The
//! table's primary key alone decides. What comes before it only spares work: [`Idempotency::answer`] looks for a stored
//! answer, this instance remembers which keys it is at, and an advisory lock tells other instances.

mod http;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashSet;
use serde::Serialize;
use sqlx::PgConnection;
use tokio_util::task::TaskTracker;

pub use http::{Answer, IdempotencyKey};

use crate::http::{ApiError, ErrorCode, carried};
use crate::ids::UserId;
use crate::postgres::{Postgres, Transaction};
use crate::store_error::StoreError;
use crate::veiled::Veiled;

/// A call that heeds the key. A key is a user's own, and for each call another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Hold a seat.
    Hold,
    /// Charge the wallet.
    Charge,
    /// Pay for a reservation.
    Pay,
    /// Pay for several.
    PayMany,
}

/// Whose key, and for what: an answer's place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Slot {
    user: UserId,
    call: Call,
    key: Veiled,
}

/// A request under a key, and what it asks for.
#[derive(Debug)]
pub struct Keyed {
    slot: Slot,
    /// BLAKE3 of the fields that the call takes, as it has read them: how they were written does not matter.
    fingerprint: [u8; blake3::OUT_LEN],
}

/// What is stored for a slot.
#[derive(Debug)]
struct Stored {
    fingerprint: Vec<u8>,
    answer: Answer,
}

/// The keys, their answers, and what runs under them.
#[derive(Debug)]
pub struct Idempotency {
    postgres: Postgres,
    running: Arc<DashSet<Slot>>,
    tasks: TaskTracker,
}

/// A request that has its key to itself on this instance, until this is dropped.
#[derive(Debug)]
pub struct Claim {
    postgres: Postgres,
    request: Keyed,
    running: Arc<DashSet<Slot>>,
    is_stored: AtomicBool,
}

/// Work under a key, in a transaction that stores its answer. Given up half-way, it was never done.
#[derive(Debug)]
pub struct Once<'claim> {
    transaction: Transaction,
    claim: &'claim Claim,
}

impl Idempotency {
    /// Requests under a key run as tasks of `tasks`, so that a shutdown can wait for them.
    #[must_use]
    pub fn new(postgres: Postgres, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self { postgres, running: Arc::default(), tasks })
    }

    /// The stored answer, or else what `run` answers: in a task of its own, so that a client that goes away stops nothing
    /// half-way. `run` is to end with [`Claim::settle`].
    pub async fn answer<Run>(
        &self,
        request: Keyed,
        run: impl FnOnce(Arc<Claim>) -> Run + Send,
    ) -> Result<Answer, ApiError>
    where
        Run: Future<Output = Result<Answer, ApiError>> + Send + 'static,
    {
        if let Some(answer) = find(&self.postgres, &request).await? {
            return Ok(answer);
        }
        let claim = self.claim(request).ok_or_else(in_use)?;
        let task = self.tasks.spawn(carried(run(Arc::new(claim))));
        task.await.unwrap_or_else(|error| Err(ApiError::internal(error)))
    }

    /// None if this instance is at a request under the same key.
    fn claim(&self, request: Keyed) -> Option<Claim> {
        let (postgres, running) = (self.postgres.clone(), Arc::clone(&self.running));
        running.insert(request.slot.clone()).then(|| Claim { postgres, request, running, is_stored: false.into() })
    }

    /// Deletes answers whose time is over: one bounded step of the scheduler. Returns how many there were.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        store::sweep(&self.postgres).await
    }
}

impl Claim {
    /// Begins the transaction that does the work and stores its answer; none if another request has the key.
    pub async fn begin(&self) -> Result<Option<Once<'_>>, sqlx::Error> {
        let mut transaction = Transaction::begin(&self.postgres).await?;
        if store::lock(transaction.connection(), &self.request.slot).await? {
            return Ok(Some(Once { transaction, claim: self }));
        }
        transaction.roll_back().await?;
        Ok(None)
    }

    /// The answer that stands: this one, which is stored if it is to be kept and is not yet; or another request's, which
    /// was first.
    pub async fn settle<T: Serialize>(&self, outcome: Result<T, ApiError>) -> Result<Answer, ApiError> {
        let Some(answer) = Answer::to_be_kept(&outcome) else {
            return match outcome.map(|_| ()) {
                Err(error) if error.code() == ErrorCode::IdempotencyKeyInUse => self.first_answer().await,
                Err(error) => Err(error),
                Ok(()) => Err(ApiError::internal("a success could not be rendered")),
            };
        };
        let stands = self.is_stored.load(Ordering::SeqCst) || self.store(&answer).await?;
        if stands { outcome.map(|_| answer) } else { self.first_answer().await }
    }

    async fn store(&self, answer: &Answer) -> Result<bool, StoreError> {
        let insert = store::insert(self.postgres.pool(), &self.request, answer);
        Ok(self.postgres.timed("idempotency.store", insert).await?)
    }

    /// What the request that came first was answered; if it has no answer yet, the key is in use.
    async fn first_answer(&self) -> Result<Answer, ApiError> {
        find(&self.postgres, &self.request).await?.ok_or_else(in_use)
    }
}

impl Once<'_> {
    /// What the work runs on.
    pub fn connection(&mut self) -> &mut PgConnection {
        self.transaction.connection()
    }

    /// Ends it with nothing done.
    pub async fn roll_back(self) -> Result<(), sqlx::Error> {
        self.transaction.roll_back().await
    }

    /// Ends it with all that was done and the answer to it, which must be one to be kept. False if another request had the
    /// key first: then nothing is done.
    pub async fn end(mut self, answer: Option<Answer>) -> Result<bool, sqlx::Error> {
        let answer = answer.ok_or_else(|| sqlx::Error::Encode("this answer cannot be kept".into()))?;
        if !store::insert(self.transaction.connection(), &self.claim.request, &answer).await? {
            return self.transaction.roll_back().await.map(|()| false);
        }
        self.transaction.commit().await?;
        self.claim.is_stored.store(true, Ordering::SeqCst);
        Ok(true)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.running.remove(&self.request.slot);
    }
}

/// The stored answer to this request; an error if the key was used for another one.
async fn find(postgres: &Postgres, request: &Keyed) -> Result<Option<Answer>, ApiError> {
    match store::find(postgres, &request.slot).await? {
        Some(stored) if stored.fingerprint == request.fingerprint => Ok(Some(stored.answer)),
        Some(_) => Err(ApiError::new(
            ErrorCode::IdempotencyKeyReused,
            "This Idempotency-Key was used for another request; nothing was done.",
        )),
        None => Ok(None),
    }
}

/// 409 `IDEMPOTENCY_KEY_IN_USE`.
#[must_use]
pub fn in_use() -> ApiError {
    let message = "The first request with this Idempotency-Key still runs; its answer is there soon.";
    ApiError::new(ErrorCode::IdempotencyKeyInUse, message)
}
