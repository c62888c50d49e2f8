//! Whom this instance has seen without asking Redis, which is told in batches, and what each was told of its wait.

use std::time::{Duration, Instant};

use dashmap::DashMap;

use super::estimate::WaitSeconds;
use super::token::Claim;
use super::{QueueId, Rank};

/// Who was seen.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    seen: DashMap<Claim, Sighting>,
    /// When those were seen of whom Redis does not know it yet.
    untold: DashMap<Claim, Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Sighting {
    at: Instant,
    /// When, and how long a wait it was told first.
    told: Option<(Instant, WaitSeconds)>,
}

impl Sightings {
    /// Notes that a token that waits was seen, of which Redis does not know.
    pub(super) fn note(&self, claim: &Claim) {
        self.confirm(claim);
        self.untold.insert(*claim, Instant::now());
    }

    /// Notes that Redis has just said that a token waits, or that it does not.
    pub(super) fn learn(&self, claim: &Claim, rank: &Rank) {
        match rank {
            Rank::Waiting { .. } => self.confirm(claim),
            _ => self.forget(claim),
        }
    }

    /// Notes that Redis has just seen a token that waits.
    pub(super) fn confirm(&self, claim: &Claim) {
        let at = Instant::now();
        self.seen.entry(*claim).or_insert(Sighting { at, told: None }).at = at;
    }

    pub(super) fn forget(&self, claim: &Claim) {
        self.untold.remove(claim);
        self.seen.remove(claim);
    }

    /// Whether this instance saw it within that time.
    pub(super) fn within(&self, claim: &Claim, time: Duration) -> bool {
        self.seen.get(claim).is_some_and(|sighting| sighting.at.elapsed() < time)
    }

    /// Remembers what a token was told of its wait first.
    pub(super) fn tell(&self, claim: &Claim, wait: Option<WaitSeconds>) {
        let Some(wait) = wait else { return };
        if let Some(mut sighting) = self.seen.get_mut(claim) {
            sighting.told.get_or_insert((Instant::now(), wait));
        }
    }

    /// When, and how long a wait a token was told first.
    pub(super) fn told(&self, claim: &Claim) -> Option<(Instant, WaitSeconds)> {
        self.seen.get(claim)?.told
    }

    /// Takes those of a queue of whom Redis does not know.
    pub(super) fn take(&self, queue: QueueId) -> Vec<(Claim, Instant)> {
        let mut taken = Vec::new();
        self.untold.retain(|claim, at| {
            if claim.queue == queue {
                taken.push((*claim, *at));
            }
            claim.queue != queue
        });
        taken
    }

    /// Puts those back that Redis could not be told of, unless they were seen again.
    pub(super) fn put_back(&self, seen: &[(Claim, Instant)]) {
        for (claim, at) in seen {
            self.untold.entry(*claim).or_insert(*at);
        }
    }

    /// Forgets who was not seen for its queue's time, or has no queue.
    pub(super) fn prune(&self, waiting_ttl: impl Fn(QueueId) -> Option<Duration>) {
        let lives = |claim: &Claim, at: &Instant| waiting_ttl(claim.queue).is_some_and(|ttl| at.elapsed() < ttl);
        self.seen.retain(|claim, sighting| lives(claim, &sighting.at));
        self.untold.retain(|claim, at| lives(claim, at));
    }
}
