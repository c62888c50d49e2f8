//! The queue: who may try, in order of arrival, never more at once than the cap, never faster than the rate. Owns the
//! `{queue:…}` keys in Redis, the scripts `lua/queue/*`, and Postgres' table `queue`.
//!
//! Order, cap and rate are kept by the scripts alone, each of which runs by itself in Redis; so they hold however many
//! instances there are.

mod directory;
mod estimate;
mod http;
mod pass;
mod promote;
mod store;
mod token;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

pub use directory::{Directory, Queue, QueueId, QueueSettings};
pub use http::router;
pub(crate) use pass::invalid_token;
pub use pass::{ActivePass, Presented};
pub use store::{Completion, Departure, Holdings, QueueAudit, Rank, Standing};
pub use token::{Claim, Signer};

use crate::ids::{ConcertId, ScheduleId, UserId};
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::store_error::StoreError;
use pass::PassCache;

/// All queues.
#[derive(Debug)]
pub struct Queues {
    redis: Redis,
    postgres: Postgres,
    signer: Signer,
    defaults: QueueSettings,
    directory: ArcSwap<Directory>,
    passes: PassCache,
}

impl Queues {
    /// Reads which queues there are. `defaults` serve where a queue has no setting of its own.
    pub async fn start(
        redis: Redis,
        postgres: Postgres,
        signer: Signer,
        defaults: QueueSettings,
    ) -> Result<Self, StoreError> {
        let directory = store::directory(&postgres, redis.keys(), &defaults).await?;
        let passes = PassCache::default();
        Ok(Self { redis, postgres, signer, defaults, directory: ArcSwap::from_pointee(directory), passes })
    }

    /// Reads the queues again, after a change of the programme.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let directory = store::directory(&self.postgres, self.redis.keys(), &self.defaults).await?;
        self.directory.store(Arc::new(directory));
        Ok(())
    }

    /// The queue that serves concerts without one of their own, or this concert; none if there is no such concert.
    #[must_use]
    pub fn serving(&self, concert: Option<ConcertId>) -> Option<Arc<Queue>> {
        let directory = self.directory.load();
        match concert {
            Some(concert) => directory.serving(concert),
            None => directory.default_queue(),
        }
    }

    /// Every queue.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Queue>> {
        self.directory.load().all()
    }

    /// The queue of this id.
    #[must_use]
    pub fn get(&self, id: QueueId) -> Option<Arc<Queue>> {
        self.directory.load().get(id)
    }

    /// Gives the user a place in the queue, or the one it has; returns its token.
    pub async fn enter(&self, queue: &Queue, user: UserId) -> Result<String, StoreError> {
        let place = loop {
            match store::enter(&self.redis, queue, user).await? {
                store::Entry::Unopened => self.open(queue).await?,
                store::Entry::Placed { place, admissions } => {
                    admissions.record(queue);
                    break place;
                }
            }
        };
        Ok(self.signer.sign(&Claim { queue: queue.id, user, place }))
    }

    /// Opens a queue that Redis does not know. Its epoch comes from Postgres, so its places go on above every place given
    /// before Redis lost it.
    async fn open(&self, queue: &Queue) -> Result<(), StoreError> {
        let epoch = store::next_epoch(&self.postgres, queue.id).await?;
        store::open(&self.redis, queue, epoch).await?;
        tracing::info!(queue = queue.name, epoch, "the queue is open");
        Ok(())
    }

    /// What has become of a token, and how many are before it.
    pub async fn rank(&self, queue: &Queue, claim: &Claim) -> Result<Rank, StoreError> {
        store::rank(&self.redis, queue, claim).await
    }

    /// Whether a token may try now, as Redis says.
    pub async fn check(&self, queue: &Queue, claim: &Claim) -> Result<Standing, StoreError> {
        let standing = store::check(&self.redis, queue, claim, None).await?;
        self.passes.learn(claim, &standing);
        Ok(standing)
    }

    /// Whether a token may try now, as Redis said not long ago.
    pub(crate) async fn check_lately(&self, queue: &Queue, claim: &Claim) -> Result<Standing, StoreError> {
        match self.passes.recall(claim) {
            Some(left) => Ok(Standing::Active { left }),
            None => self.check(queue, claim).await,
        }
    }

    /// Keeps an active token alive as long as the seat that its user has just held in this schedule.
    pub async fn keep(
        &self,
        queue: &Queue,
        claim: &Claim,
        schedule: ScheduleId,
        hold: Duration,
    ) -> Result<Standing, StoreError> {
        let standing = store::check(&self.redis, queue, claim, Some((schedule, hold))).await?;
        self.passes.learn(claim, &standing);
        Ok(standing)
    }

    /// Ends a token at its owner's wish.
    pub async fn leave(&self, queue: &Queue, claim: &Claim) -> Result<Departure, StoreError> {
        let departure = store::leave(&self.redis, queue, claim).await?;
        self.passes.forget(claim);
        Ok(departure)
    }

    /// Ends a token that has paid; while seats are held under it, with the last of them.
    pub async fn complete(&self, queue: &Queue, claim: &Claim, holdings: &Holdings) -> Result<Completion, StoreError> {
        let completion = store::complete(&self.redis, queue, claim, holdings).await?;
        self.passes.forget(claim);
        Ok(completion)
    }

    /// A queue's invariants at this instant.
    pub async fn audit(&self, queue: &Queue) -> Result<QueueAudit, StoreError> {
        store::audit(&self.redis, queue).await
    }
}
