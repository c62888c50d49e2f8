//! What Redis has lost. A queue that it does not know is opened anew, its places above all given before. A place that it
//! does not know is given back to whoever has the token for it: the token is signed, and says its order. Only what
//! Postgres knows to have ended stays ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashSet;
use tokio::sync::Mutex;

use super::directory::{Queue, QueueId};
use super::estimate::ASKS_WITHIN;
use super::last;
use super::token::Claim;
use super::{Completion, Departure, Queues, Rank, Standing, records, store};
use crate::store_error::StoreError;

/// Places of one epoch, which is one opening of a queue. With the 2^20 epochs that Postgres allows, places stay below 2^52,
/// which sorted sets hold exactly.
pub(super) const PLACES_A_EPOCH: u64 = 1 << 32;

/// For how long nobody is let in after a loss. Those who are next ask about once a second, and those behind them once in a
/// third of the time that they have yet to wait: so all who come before somebody have claimed their places by then.
const CALM: Duration = Duration::from_secs(3);

/// For how long a draw is not ended after a loss: those who are to be drawn ask at random times, and who comes back after
/// the draw comes behind all.
const CALM_BEFORE_DRAW: Duration = WAITS_FOR;

/// For how long somebody who was seen waiting is taken to wait still: who waits asks every 11 s or more often.
const WAITS_FOR: Duration = Duration::from_secs(12);

/// The most tokens that one script looks at.
const PAGE: usize = 1000;

/// How old what is known of an epoch may be. It changes only until the loss.
const REACHED_FOR: Duration = Duration::from_secs(1);

/// How often a call puts right what a script does not find before it gives up.
pub(super) const TRIES: u32 = 4;

/// What a script of a token answers.
#[derive(Debug)]
pub enum Asked<T> {
    /// Redis does not know the queue.
    Unopened,
    /// Redis does not know the place, which may have been given before it was lost, at the latest so long ago.
    Lost {
        /// Time since the queue was opened anew.
        since: Duration,
    },
    /// What was asked for.
    Answer(T),
}

/// How a token ended of which Redis knows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its time was over.
    Expired,
    /// It had paid.
    Completed,
}

/// What this instance remembers of losses.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// When this instance tried last to open each queue, and whether it could.
    opened: Mutex<HashMap<QueueId, (Instant, bool)>>,
    /// Of each epoch, the greatest order that is known to have had its turn.
    reached: Mutex<HashMap<(QueueId, u64), (Instant, u64)>>,
    /// Queues of which a former Redis has left something that is to be compared with Postgres.
    left: DashSet<QueueId>,
}

impl Queues {
    /// Runs a script of a token; opens the queue, or gives the place back, where Redis has lost it.
    pub(crate) async fn ask<T: From<Ended>, Ran: Future<Output = Result<Asked<T>, StoreError>>>(
        &self,
        queue: &Queue,
        claim: &Claim,
        mut run: impl FnMut() -> Ran,
    ) -> Result<T, StoreError> {
        for _ in 0..TRIES {
            match run().await? {
                Asked::Answer(answer) => return Ok(answer),
                Asked::Unopened => self.open(queue).await?,
                Asked::Lost { since } => {
                    if let Some(ended) = self.give_back(queue, claim, since).await? {
                        return Ok(ended.into());
                    }
                }
            }
        }
        Err(does_not_stay(queue))
    }

    /// Opens a queue that Redis does not know. Of those who find it so one tries to and the others wait for the outcome,
    /// failure included.
    pub(super) async fn open(&self, queue: &Queue) -> Result<(), StoreError> {
        let found = Instant::now();
        let mut opened = self.losses.opened.lock().await;
        if let Some((at, could)) = opened.get(&queue.id)
            && *at >= found
        {
            return if *could { Ok(()) } else { Err(does_not_stay(queue)) };
        }
        self.passes.clear();
        self.glimpse(queue.id).clear();
        let outcome = self.try_open(queue).await;
        opened.insert(queue.id, (Instant::now(), outcome.is_ok()));
        outcome
    }

    async fn try_open(&self, queue: &Queue) -> Result<(), StoreError> {
        let opening = records::next_opening(&self.postgres, queue).await?;
        let crowded = opening.crowded || self.glimpse(queue.id).waited.is_within(WAITS_FOR + last::EXACT_TO);
        let calm = if queue.draw_under_way().is_some() { CALM_BEFORE_DRAW } else { CALM };
        let calm = if crowded { calm } else { Duration::ZERO };
        self.shuffle_again(queue.id);
        if store::open(&self.redis, queue, opening.epoch, calm).await? {
            self.losses.left.insert(queue.id);
        }
        tracing::info!(queue = queue.name, epoch = opening.epoch, crowded, "the queue is open");
        Ok(())
    }

    /// Takes the queues that this instance has opened with something left of them, which may lack that tokens have paid.
    pub(crate) fn take_left(&self) -> Vec<Arc<Queue>> {
        self.all().into_iter().filter(|queue| self.losses.left.remove(&queue.id).is_some()).collect()
    }

    /// Puts a queue back that could not be compared with Postgres.
    pub(crate) fn put_back(&self, queue: &Queue) {
        self.losses.left.insert(queue.id);
    }

    /// Ends those of these tokens, which have paid, that still wait; returns those that are active.
    pub(crate) async fn use_up(&self, queue: &Queue, paid: &[Claim]) -> Result<Vec<Claim>, StoreError> {
        let mut active = Vec::new();
        for page in paid.chunks(PAGE) {
            active.append(&mut store::use_up(&self.redis, queue, page).await?);
        }
        Ok(active)
    }

    /// Gives a lost place back, unless its token is known to have ended.
    async fn give_back(&self, queue: &Queue, claim: &Claim, since: Duration) -> Result<Option<Ended>, StoreError> {
        let order = self.order(queue, claim.place).await?;
        let reached = match order {
            Some(order) => order <= self.reached(queue.id, order / PLACES_A_EPOCH).await?,
            None => false,
        };
        // Payments are known by place, and so say nothing of how far a drawn order has come.
        let ended = if reached || order != Some(claim.place) {
            records::turn(&self.postgres, queue, claim, order.filter(|_| reached)).await?
        } else {
            None
        };
        // One that waited then must have been seen since: as it was told to, though its time may have been shortened just before.
        let unseen = !reached && since > queue.settings.waiting_ttl.max(ASKS_WITHIN);
        let ended = ended.or(unseen.then_some(Ended::Expired));
        if ended.is_none()
            && let Some(admissions) = store::restore(&self.redis, self.terms(queue).await?, claim, order).await?
        {
            admissions.record(queue);
            metrics::counter!("queue_restored_total", "queue" => queue.name.clone()).increment(1);
        }
        Ok(ended)
    }

    async fn reached(&self, queue: QueueId, epoch: u64) -> Result<u64, StoreError> {
        let mut known = self.losses.reached.lock().await;
        if let Some((at, place)) = known.get(&(queue, epoch))
            && at.elapsed() < REACHED_FOR
        {
            return Ok(*place);
        }
        let place = records::reached(&self.postgres, queue, epoch).await?;
        known.retain(|_, (at, _)| at.elapsed() < REACHED_FOR);
        known.insert((queue, epoch), (Instant::now(), place));
        Ok(place)
    }
}

pub(super) fn does_not_stay(queue: &Queue) -> StoreError {
    let source = format!("the queue {} does not stay open", queue.name).into();
    StoreError::Unavailable { store: "redis", source }
}

impl From<Ended> for Standing {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Expired => Self::Expired,
            Ended::Completed => Self::Completed,
        }
    }
}

impl From<Ended> for Rank {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Expired => Self::Expired,
            Ended::Completed => Self::Completed,
        }
    }
}

impl From<Ended> for Departure {
    fn from(_: Ended) -> Self {
        Self::Gone
    }
}

impl From<Ended> for Completion {
    fn from(_: Ended) -> Self {
        Self::Gone
    }
}
