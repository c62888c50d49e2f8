//! What this instance can tell without asking Redis, as of a moment ago; and how Redis learns whom it has seen so.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;

use super::estimate::{Outlook, WaitSeconds};
use super::snapshot::{Glimpse, Snapshot};
use super::store::{self, Fate};
use super::view::About;
use super::{Claim, Queue, QueueId, Queues, Rank, Standing};
use crate::store_error::StoreError;

/// The most tokens that Redis is told of in one call.
pub(super) const PAGE: usize = 1000;

impl Queues {
    /// What has become of a token, as of the last second: if it waits, the snapshot says so, and this instance has seen
    /// it not long ago, Redis is told later. Who was not seen here asks Redis, which alone knows whether it has left.
    pub(super) async fn rank_lately(&self, queue: &Queue, claim: &Claim) -> Result<Rank, StoreError> {
        match self.waiting_lately(queue, claim) {
            Some(rank) => Ok(rank),
            None => Box::pin(self.rank(queue, claim)).await,
        }
    }

    /// How far a token is that waits, as of the last second, if it was seen here not long ago.
    pub(super) fn waiting_lately(&self, queue: &Queue, claim: &Claim) -> Option<Rank> {
        self.glimpses.see(queue.id, |glimpse| self.waiting_by(glimpse, queue, claim))
    }

    fn waiting_by(&self, glimpse: &Glimpse, queue: &Queue, claim: &Claim) -> Option<Rank> {
        let waiting_ttl = queue.settings.waiting_ttl;
        let seen = |snapshot: &Arc<Snapshot>| {
            // Who was let in since the snapshot may be known to be active already.
            if !self.sightings.within(claim, waiting_ttl / 2) || self.passes.presume(claim).is_some() {
                return None;
            }
            let order = self.order_of(queue, claim)?;
            let (ahead, expires_ms) = (snapshot.ahead(order)?, snapshot.expiry(waiting_ttl));
            Some(Rank::Waiting { ahead, expires_ms, order, entry: 0 })
        };
        let rank = glimpse.fresh(seen)??;
        self.sightings.note(claim, waiting_ttl);
        glimpse.waited.note();
        Some(rank)
    }

    /// What this instance knows of a queue.
    pub(super) fn glimpse(&self, queue: QueueId) -> Arc<Glimpse> {
        self.glimpses.get(queue, Glimpse::default)
    }

    /// What there is to say of a queue.
    pub(super) fn about(&self, queue: &Queue) -> About {
        let glimpsed = |glimpse: &Glimpse| Some((glimpse.measured(), glimpse.sold_out.is_so()));
        let (measured, sold_out) = self.glimpses.see(queue.id, glimpsed).unwrap_or_default();
        let settings = &queue.settings;
        let rate = (!settings.paused).then_some(settings.admit_per_second);
        let opens_in = settings.opens_at.map(|at| at - Utc::now()).and_then(|left| left.to_std().ok());
        let outlook = Outlook { measured, rate, opens_in: opens_in.unwrap_or_default() };
        About { outlook, sold_out }
    }

    /// Tells Redis whom this instance has seen, as far as it has to know by now.
    pub async fn tell_sightings(&self) -> Result<(), StoreError> {
        let queues = self.all();
        let waiting_ttls = queues.iter().map(|queue| (queue.id, queue.settings.waiting_ttl)).collect();
        let mut taken = self.sightings.take(&waiting_ttls);
        let mut outcome = Ok(());
        for queue in queues {
            let seen = taken.remove(&queue.id).unwrap_or_default();
            for page in seen.chunks(PAGE) {
                let told = self.see(&queue, page).await;
                match told {
                    Ok(Some(_)) => self.sightings.were_told(page),
                    _ => self.sightings.put_back(page),
                }
                outcome = outcome.and(told.map(|_| ()));
            }
        }
        outcome
    }

    /// Forgets of a part of the tokens those that were not seen for as long as they may live unseen; with the last part, those that
    /// have ended.
    pub fn prune(&self) {
        let waiting_ttls = self.all().iter().map(|queue| (queue.id, queue.settings.waiting_ttl)).collect();
        if self.sightings.prune(&waiting_ttls) {
            self.passes.prune();
        }
    }

    /// Tells Redis of at most a page of tokens; returns those whose place it does not know, or none if it does not know
    /// the queue.
    pub(super) async fn see(&self, queue: &Queue, seen: &[(Claim, Instant)]) -> Result<Option<Vec<Claim>>, StoreError> {
        let Some(fates) = store::see(&self.redis, queue, seen).await? else { return Ok(None) };
        let mut lost = Vec::new();
        for (claim, fate) in fates {
            match fate {
                Fate::Known(rank) => self.learn(queue, &claim, &rank),
                Fate::Lost => lost.push(claim),
            }
        }
        Ok(Some(lost))
    }

    /// Takes what Redis has just said of a token.
    pub(super) fn learn(&self, queue: &Queue, claim: &Claim, rank: &Rank) {
        if let Rank::Active { left, .. } = rank
            && let Some((told_at, told)) = self.sightings.told(claim)
        {
            // It has been active as long as its time is short of the whole.
            let active_for = queue.settings.active_ttl.saturating_sub(*left);
            let waited = told_at.elapsed().saturating_sub(active_for);
            let error = told.error(waited);
            metrics::histogram!("queue_estimate_error_seconds", "queue" => queue.name.clone()).record(error);
        }
        match rank {
            Rank::Active { left, .. } => self.passes.learn(claim, &Standing::Active { left: *left }),
            _ => self.passes.forget(claim),
        }
        self.sightings.learn(claim, rank);
        self.hub.learn(self, claim, rank);
    }

    /// Remembers what a token was told of its wait.
    pub(super) fn told(&self, claim: &Claim, wait: Option<WaitSeconds>) {
        self.sightings.tell(claim, wait);
    }
}
