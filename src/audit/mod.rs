//! `onsale audit`: the contract's invariants, checked on the live stores. Reads only, a bounded piece at a time.
//!
//! What Postgres alone decides is checked in one snapshot of it. Redis is checked a page at a time, each of which is as of
//! one instant, and proves a breach by itself. What spans both can be under way, so what looks wrong there is looked at again
//! before it is called broken.

mod books;
mod finding;
mod maps;
mod queues;
mod textfile;

use std::sync::Arc;

pub use finding::{Breach, Finding};
pub use textfile::write_metrics;

use crate::concert::Concerts;
use crate::postgres::{self, Postgres};
use crate::queue::{Queues, Signer};
use crate::redis::{self, Redis};
use crate::seat::Seats;
use crate::settings::AuditSettings;
use crate::store_error::StoreError;

/// The audit takes its time: its statements read whole tables.
const STATEMENT_TIMEOUT_MS: u32 = 60_000;

/// Why the audit could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Because of Redis.
    #[error(transparent)]
    Redis(#[from] redis::ConnectError),
    /// Because of Postgres.
    #[error(transparent)]
    Postgres(#[from] postgres::ConnectError),
    /// A store failed on the way.
    #[error("{0}: {source}", source = std::error::Error::source(.0).map(ToString::to_string).unwrap_or_default())]
    Store(#[from] StoreError),
}

/// What is audited.
#[derive(Debug)]
pub struct Auditor {
    postgres: Postgres,
    concerts: Arc<Concerts>,
    queues: Arc<Queues>,
    seats: Arc<Seats>,
}

impl Auditor {
    /// Connects to the stores.
    pub async fn connect(settings: &AuditSettings) -> Result<Self, AuditError> {
        let postgres = Postgres::connect(&settings.stores.postgres(2, STATEMENT_TIMEOUT_MS)).await?;
        postgres.require_migrated().await?;
        let redis = Redis::connect(&settings.stores.redis(5_000)).await?;
        // The audit makes no tokens and reads none, so any key serves.
        let signer = Signer::new(&[0; 32]);
        let seats = Arc::new(Seats::new(redis.clone(), postgres.clone()));
        let (zone, defaults) = (chrono_tz::UTC, settings.queue.into());
        let queues = Queues::start(redis, postgres.clone(), signer, seats.clone(), zone, defaults).await?;
        let concerts = Concerts::start(postgres.clone(), chrono_tz::UTC).await?;
        Ok(Self::new(postgres, Arc::new(concerts), Arc::new(queues), seats))
    }

    /// Over stores that are connected already.
    #[must_use]
    pub fn new(postgres: Postgres, concerts: Arc<Concerts>, queues: Arc<Queues>, seats: Arc<Seats>) -> Self {
        Self { postgres, concerts, queues, seats }
    }

    /// Checks every invariant, in the contract's order.
    pub async fn audit(&self) -> Result<Vec<Finding>, StoreError> {
        let books = books::read(&self.postgres).await?;
        let maps = maps::read(&self.concerts, &self.seats).await?;
        let queues = queues::read(&self.queues).await?;
        Ok(vec![
            books.seats_sold_once(),
            books.balances_are_sums(),
            books.payments_are_whole(),
            maps.nothing_is_lost(&books),
            queues.cap_and_order(),
            queues.one_token_a_user(),
            maps.every_hold_ends(),
        ])
    }
}
