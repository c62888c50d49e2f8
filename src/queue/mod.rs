//! The queue: who may try, in order of arrival, never more at once than the cap, never faster than the rate. Owns the
//! `{queue:…}` keys in Redis, the scripts `lua/queue/*`, and Postgres' tables `queue` and `queue_progress`.
//!
//! Order, cap and rate are kept by the scripts alone, each of which runs by itself in Redis; so they hold however many
//! instances there are.

mod audit;
mod directory;
mod estimate;
mod http;
mod lost;
mod pass;
mod promote;
mod records;
mod store;
mod token;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;

pub use audit::QueueAudit;
pub use directory::{Directory, Queue, QueueId, QueueSettings};
pub use http::router;
pub(crate) use pass::invalid_token;
pub use pass::{ActivePass, Presented, Watching};
pub use store::{Completion, Departure, Holdings, Rank, Standing};
pub use token::{Claim, Signer};

use crate::ids::{ConcertId, ScheduleId, UserId};
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::store_error::StoreError;
use lost::{Asked, Losses};
use pass::PassCache;
use records::Progress;

/// All queues.
#[derive(Debug)]
pub struct Queues {
    redis: Redis,
    postgres: Postgres,
    signer: Signer,
    defaults: QueueSettings,
    directory: ArcSwap<Directory>,
    passes: PassCache,
    losses: Losses,
    progress: DashMap<QueueId, Progress>,
}

impl Queues {
    /// Reads which queues there are. `defaults` serve where a queue has no setting of its own.
    pub async fn start(
        redis: Redis,
        postgres: Postgres,
        signer: Signer,
        defaults: QueueSettings,
    ) -> Result<Self, StoreError> {
        let directory = records::directory(&postgres, redis.keys(), &defaults).await?;
        Ok(Self {
            redis,
            postgres,
            signer,
            defaults,
            directory: ArcSwap::from_pointee(directory),
            passes: PassCache::default(),
            losses: Losses::default(),
            progress: DashMap::new(),
        })
    }

    /// Reads the queues again, after a change of the programme.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let directory = records::directory(&self.postgres, self.redis.keys(), &self.defaults).await?;
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

    /// The queue of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Arc<Queue>> {
        self.directory.load().named(name)
    }

    /// Gives the user a place in the queue, or the one it has; returns its token.
    pub async fn enter(&self, queue: &Queue, user: UserId) -> Result<String, StoreError> {
        for _ in 0..lost::TRIES {
            match store::enter(&self.redis, queue, user).await? {
                Asked::Answer(store::Entry { place, waits, admissions }) => {
                    admissions.record(queue);
                    if waits {
                        self.losses.somebody_waits(queue.id);
                    }
                    return Ok(self.signer.sign(&Claim { queue: queue.id, user, place }));
                }
                _ => self.open(queue).await?,
            }
        }
        Err(lost::does_not_stay(queue))
    }

    /// What has become of a token, and how many are before it.
    pub async fn rank(&self, queue: &Queue, claim: &Claim) -> Result<Rank, StoreError> {
        let rank = self.ask(queue, claim, || store::rank(&self.redis, queue, claim)).await?;
        if matches!(rank, Rank::Waiting { .. }) {
            self.losses.somebody_waits(queue.id);
        }
        Ok(rank)
    }

    /// Whether a token may try now, as Redis says.
    pub async fn check(&self, queue: &Queue, claim: &Claim) -> Result<Standing, StoreError> {
        let standing = self.ask(queue, claim, || store::check(&self.redis, queue, claim, None)).await?;
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
        let keep = Some((schedule, hold));
        let standing = self.ask(queue, claim, || store::check(&self.redis, queue, claim, keep)).await?;
        self.passes.learn(claim, &standing);
        Ok(standing)
    }

    /// Ends a token at its owner's wish.
    pub async fn leave(&self, queue: &Queue, claim: &Claim) -> Result<Departure, StoreError> {
        let departure = self.ask(queue, claim, || store::leave(&self.redis, queue, claim)).await?;
        self.passes.forget(claim);
        Ok(departure)
    }

    /// Ends a token that has paid; while seats are held under it, with the last of them.
    pub async fn complete(&self, queue: &Queue, claim: &Claim, holdings: &Holdings) -> Result<Completion, StoreError> {
        let completion = self.ask(queue, claim, || store::complete(&self.redis, queue, claim, holdings)).await?;
        self.passes.forget(claim);
        Ok(completion)
    }
}
