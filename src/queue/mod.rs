//! The queue: who may try, in order of arrival, never more at once than the cap, never faster than the rate. Owns the
//! `{queue:…}` keys in Redis, the scripts `lua/queue/*`, and Postgres' tables `queue`,
//! `queue_progress` and `queue_draw`.
//!
//! Order, cap and rate are kept by the scripts alone, each of which runs by itself in Redis; so they hold however many
//! instances there are.

mod answers;
mod audit;
mod control;
mod directory;
mod draw;
mod estimate;
mod http;
mod hub;
mod last;
mod lately;
mod lost;
mod opening;
mod pass;
mod promote;
mod records;
mod sample;
mod sightings;
mod snapshot;
mod stock;
mod store;
mod token;
mod view;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use chrono_tz::Tz;
use dashmap::DashMap;

pub use answers::{Completion, Departure, Rank, Standing};
pub use audit::QueueAudit;
pub(crate) use control::named_or_new;
pub use control::{Change, ControlError, Controlled, Figures, OwnSettings, create, is_name, set};
pub use directory::{Directory, Queue, QueueId, QueueSettings};
pub use draw::{Draw, Facts, Permutation, UnprovenError};
pub(crate) use http::QueueName;
pub use http::{calls, router, shortcut};
pub use lost::{Asked, Ended};
pub(crate) use pass::invalid_token;
pub use pass::{ActivePass, Presented, Watching};
pub use sample::{QueueGauges, QueueMoment};
pub(crate) use store::{TOKEN, asked, not_active};
pub use token::{Claim, Signer};
pub(crate) use view::RankView;

use crate::http::MAX_STREAMS;
use crate::ids::{ConcertId, ScheduleId, UserId};
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::seat::Seats;
use crate::shelf::Shelf;
use crate::store_error::StoreError;
use crate::veiled::Veiled;
use hub::Hub;
use lost::Losses;
use pass::PassCache;
use records::Progress;
use sightings::Sightings;
use snapshot::Glimpse;
use store::{Entering, QueueCalls, Terms};

/// All queues.
#[derive(Debug)]
pub struct Queues {
    redis: Redis,
    postgres: Postgres,
    signer: Signer,
    seats: Arc<Seats>,
    time_zone: Tz,
    defaults: QueueSettings,
    directory: ArcSwap<Directory>,
    passes: PassCache,
    losses: Losses,
    progress: DashMap<QueueId, Progress>,
    glimpses: Shelf<QueueId, Glimpse>,
    sightings: Sightings,
    hub: Hub,
    /// The draw of each queue that this instance has carried out last, and what was drawn.
    shuffled: DashMap<QueueId, u32>,
    permutations: DashMap<(QueueId, u32), Arc<Permutation>>,
    figures: DashMap<QueueId, Figures>,
    calls: DashMap<String, Arc<QueueCalls>>,
}

/// A user's place in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// The token for it.
    pub token: Veiled,
    /// What the token says.
    pub claim: Claim,
    /// Its entry number, if it is to be drawn.
    pub entry: Option<u64>,
}

/// Why a user was given no place.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The queue is being drained.
    #[error("the queue gives nobody a new place")]
    Closing,
    /// As many wait as may.
    #[error("as many wait as the queue has places for")]
    Full,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Queues {
    /// Reads which queues there are. `defaults` serve where a queue has no setting of its own.
    pub async fn start(
        redis: Redis,
        postgres: Postgres,
        signer: Signer,
        seats: Arc<Seats>,
        time_zone: Tz,
        defaults: QueueSettings,
    ) -> Result<Self, StoreError> {
        let directory = records::directory(&postgres, redis.keys(), &defaults).await?;
        sample::count_from_zero(&directory);
        Ok(Self {
            redis,
            postgres,
            signer,
            seats,
            time_zone,
            defaults,
            directory: ArcSwap::from_pointee(directory),
            passes: PassCache::default(),
            losses: Losses::default(),
            progress: DashMap::new(),
            glimpses: Shelf::default(),
            sightings: Sightings::default(),
            hub: Hub::new(MAX_STREAMS),
            shuffled: DashMap::new(),
            permutations: DashMap::new(),
            figures: DashMap::new(),
            calls: DashMap::new(),
        })
    }

    /// With at most so many streams of events at a time.
    #[must_use]
    pub fn with_max_streams(self, most: u32) -> Self {
        Self { hub: Hub::new(most), ..self }
    }

    /// Reads the queues again, after a change of the programme, and makes the draws that openings need.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.read_again().await?;
        if self.prepare_draws().await? {
            self.read_again().await?;
        }
        let directory = self.directory.load();
        self.permutations.retain(|(queue, number), _| {
            directory.get(*queue).is_some_and(|queue| queue.draws.iter().any(|draw| draw.number == *number))
        });
        Ok(())
    }

    async fn read_again(&self) -> Result<(), StoreError> {
        let directory = records::directory(&self.postgres, self.redis.keys(), &self.defaults).await?;
        sample::count_from_zero(&directory);
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
        self.directory.load().get(id).cloned()
    }

    /// The queue of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Arc<Queue>> {
        self.directory.load().by_name(name)
    }

    fn calls(&self, queue: &Queue) -> Arc<QueueCalls> {
        if let Some(calls) = self.calls.get(&queue.name) {
            return calls.clone();
        }
        let calls = self.calls.entry(queue.name.clone());
        calls.or_insert_with(|| Arc::new(QueueCalls::new(&self.redis, &queue.keys))).clone()
    }

    async fn terms<'a>(&self, queue: &'a Queue) -> Result<Terms<'a>, StoreError> {
        Ok(Terms { queue, room: self.room(queue).await? })
    }

    /// Gives the user a place in the queue, or the one it has.
    pub async fn enter(&self, queue: &Queue, user: UserId) -> Result<Entered, EnterError> {
        for _ in 0..lost::TRIES {
            match store::enter(&self.calls(queue), self.terms(queue).await?, user).await? {
                Asked::Answer(Entering::Closing) => return Err(EnterError::Closing),
                Asked::Answer(Entering::Full) => return Err(EnterError::Full),
                Asked::Answer(Entering::Entered(store::Entry { place, waits, number, admissions })) => {
                    admissions.record(queue);
                    let claim = Claim { queue: queue.id, user, place };
                    if !waits && admissions.has_issued() {
                        self.passes.learn(&claim, &Standing::Active { left: queue.settings.active_ttl });
                    }
                    if waits {
                        self.glimpse(queue.id).waited.note();
                        self.sightings.confirm(&claim);
                    }
                    return Ok(Entered { token: self.signer.sign(&claim).into(), claim, entry: number });
                }
                _ => self.open(queue).await?,
            }
        }
        Err(lost::does_not_stay(queue).into())
    }

    /// What has become of a token, and how many are before it, as Redis says.
    pub async fn rank(&self, queue: &Queue, claim: &Claim) -> Result<Rank, StoreError> {
        let rank = self.ask(queue, claim, || store::rank(&self.redis, queue, claim)).await?;
        if matches!(rank, Rank::Waiting { .. }) {
            self.glimpse(queue.id).waited.note();
        }
        self.learn(queue, claim, &rank);
        Ok(rank)
    }

    /// Whether a token may try now, as Redis says.
    pub async fn check(&self, queue: &Queue, claim: &Claim) -> Result<Standing, StoreError> {
        let standing = self.ask_standing(queue, claim).await?;
        self.passes.learn(claim, &standing);
        Ok(standing)
    }

    async fn ask_standing(&self, queue: &Queue, claim: &Claim) -> Result<Standing, StoreError> {
        let calls = self.calls(queue);
        self.ask(queue, claim, || store::check(&calls, queue, claim)).await
    }

    /// Whether a token may try now, as Redis said not long ago.
    pub(crate) async fn check_lately(&self, queue: &Queue, claim: &Claim) -> Result<Standing, StoreError> {
        match self.passes.recall(claim, Instant::now()) {
            Some(left) => Ok(Standing::Active { left }),
            None => Box::pin(self.check(queue, claim)).await,
        }
    }

    /// Whether a token may try, as far as this instance knows: for what finds out for sure on its way, as a hold does.
    pub(crate) async fn check_first(&self, queue: &Queue, claim: &Claim) -> Result<Standing, StoreError> {
        match self.passes.presume(claim) {
            Some(left) => Ok(Standing::Active { left }),
            None => Box::pin(self.check(queue, claim)).await,
        }
    }

    /// A token has ended by a payment.
    pub(crate) fn has_ended(&self, claim: &Claim) {
        self.passes.forget(claim);
    }

    /// What Redis has said of a token in passing.
    pub(crate) fn learn_standing(&self, claim: &Claim, standing: &Standing) {
        self.passes.learn(claim, standing);
    }

    /// Ends a token at its owner's wish.
    pub async fn leave(&self, queue: &Queue, claim: &Claim) -> Result<Departure, StoreError> {
        let departure = self.ask(queue, claim, || store::leave(&self.redis, queue, claim)).await?;
        self.passes.forget(claim);
        self.sightings.forget(claim);
        Ok(departure)
    }

    /// The schedules in which a user of this queue may hold seats.
    pub async fn holding(&self, queue: &Queue, user: UserId) -> Result<Vec<ScheduleId>, StoreError> {
        store::holding(&self.redis, queue, user).await
    }

    /// Ends a token that has paid, if its user holds nothing in these schedules; while it does, with the last of those holds. With
    /// `only_if_held_in`, the token is left alone unless a seat was held in that schedule under it.
    pub async fn complete(
        &self,
        queue: &Queue,
        claim: &Claim,
        schedules: &[ScheduleId],
        only_if_held_in: Option<ScheduleId>,
    ) -> Result<Completion, StoreError> {
        let complete = || store::complete(&self.redis, queue, claim, schedules, only_if_held_in);
        let completion = self.ask(queue, claim, complete).await?;
        self.passes.forget(claim);
        Ok(completion)
    }
}
