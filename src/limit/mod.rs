//! Rate limits: a bucket for each user and each address, of each instance's own, that fills at the rate that all instances
//! together allow. Nobody asks Redis before answering. Who has spent a good part of a bucket is told to Redis in batches by
//! a job, and what the other instances let through comes off the bucket then, below empty if need be.
//!
//! So however many instances there are, one user or address gets the rate of one in the long run; at first, and until the
//! instances have heard of each other, up to a burst of each. The memory is bounded: where there are too many buckets the
//! fullest is forgotten, which forgives a little and refuses nobody.

mod address;
mod store;

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use foldhash::fast::RandomState;

use crate::redis::Redis;
use crate::store_error::StoreError;

pub use address::{Address, Network, Proxies, Visitor};

const SHARDS: usize = 1024;

/// Buckets that are remembered: so many in each shard.
const MOST_IN_SHARD: usize = 256;

/// The most buckets that an instance remembers of one limit.
pub const MOST_BUCKETS: usize = SHARDS * MOST_IN_SHARD;

/// Buckets that Redis is told of at a time, and how often at most in a run of the job.
const BATCH: usize = 500;
const BATCHES: usize = 8;

/// How fast, and how much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// What one request costs: the time in which as much is refilled.
    cost_ns: u64,
    /// What a full bucket is worth.
    burst_ns: u64,
    /// How many requests go by before Redis is told.
    untold: u32,
}

impl Rate {
    /// So many a second, with a burst of so many; none for 0 a second.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let per_second = NonZeroU32::new(per_second)?;
        let cost_ns = 1_000_000_000 / u64::from(per_second.get());
        let burst = burst.max(1);
        Some(Self { cost_ns, burst_ns: cost_ns * u64::from(burst), untold: burst.div_ceil(8) })
    }
}

/// What has been taken from a bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    /// When it is full again, ns since the limit's start.
    full_ns: u64,
    /// Requests that Redis does not know of.
    untold: u32,
}

/// One limit for each `Key`.
#[derive(Debug)]
pub struct Limit<Key> {
    name: &'static str,
    rate: Rate,
    start: Instant,
    hasher: RandomState,
    shards: Box<[Mutex<HashMap<Key, Spent, RandomState>>]>,
    /// Whom Redis is to be told of.
    due: Mutex<Vec<Key>>,
}

impl<Key: Copy + Eq + Hash + Display> Limit<Key> {
    /// `name` is that of its key in Redis.
    #[must_use]
    pub fn new(name: &'static str, rate: Rate) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { name, rate, start: Instant::now(), hasher: RandomState::default(), shards, due: Mutex::default() }
    }

    /// Takes one from a bucket, if there is one in it.
    pub fn take(&self, key: Key) -> bool {
        self.take_at(self.now_ns(), key)
    }

    fn take_at(&self, now_ns: u64, key: Key) -> bool {
        let Rate { cost_ns, burst_ns, untold } = self.rate;
        let mut shard = self.shard(&key);
        if shard.len() >= MOST_IN_SHARD && !shard.contains_key(&key) {
            make_room(&mut shard, now_ns);
        }
        let spent = shard.entry(key).or_default();
        let full_ns = spent.full_ns.max(now_ns) + cost_ns;
        if full_ns - now_ns > burst_ns {
            return false;
        }
        spent.full_ns = full_ns;
        spent.untold = spent.untold.saturating_add(1);
        let is_due = spent.untold.is_multiple_of(untold);
        drop(shard);
        if is_due {
            let mut due = locked(&self.due);
            if due.len() < MOST_BUCKETS {
                due.push(key);
            }
        }
        true
    }

    /// Takes off a bucket what all have spent of it, as Redis has just said, and what this instance has since then.
    fn learn_at(&self, now_ns: u64, key: Key, full_in_us: u64) {
        let mut shard = self.shard(&key);
        let Some(spent) = shard.get_mut(&key) else { return };
        let since = u64::from(spent.untold) * self.rate.cost_ns;
        spent.full_ns = spent.full_ns.max(now_ns.saturating_add(full_in_us.saturating_mul(1000)).saturating_add(since));
    }

    /// Tells Redis who has spent a good part of a bucket here, and learns what they have elsewhere. A failure leaves the
    /// buckets as this instance has them.
    pub async fn share(&self, redis: &Redis) -> Result<(), StoreError> {
        for _ in 0..BATCHES {
            let due = self.take_due();
            if due.is_empty() {
                break;
            }
            let told: Vec<String> = due.iter().map(|(key, untold)| format!("{key}:{untold}")).collect();
            let full_in_us = store::share(redis, self.name, self.rate.cost_ns, &told).await?;
            let now_ns = self.now_ns();
            for ((key, _), full_in_us) in due.into_iter().zip(full_in_us) {
                self.learn_at(now_ns, key, full_in_us);
            }
        }
        Ok(())
    }

    /// Some of those who are due, each once, with what Redis has not heard of.
    fn take_due(&self) -> Vec<(Key, u32)> {
        let keys: Vec<Key> = {
            let mut due = locked(&self.due);
            let from = due.len().saturating_sub(BATCH);
            due.split_off(from)
        };
        let mut taken = Vec::with_capacity(keys.len());
        for key in keys {
            let untold = self.shard(&key).get_mut(&key).map_or(0, |spent| std::mem::take(&mut spent.untold));
            if untold > 0 {
                taken.push((key, untold));
            }
        }
        taken
    }

    /// Forgets the buckets that are full.
    pub fn prune(&self) {
        let now_ns = self.now_ns();
        for shard in &self.shards {
            forget_full(&mut locked(shard), now_ns);
        }
    }

    /// How many buckets are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| locked(shard).len()).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash do")]
    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Spent, RandomState>> {
        // The maps hash by seeds of their own: a shard's keys are spread well in it.
        locked(&self.shards[self.hasher.hash_one(key) as usize % SHARDS])
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets what is full, or else whoever has spent least: who is being refused stays.
fn make_room<Key: Copy + Eq + Hash>(shard: &mut HashMap<Key, Spent, RandomState>, now_ns: u64) {
    forget_full(shard, now_ns);
    if shard.len() >= MOST_IN_SHARD {
        let least = shard.iter().min_by_key(|(_, spent)| spent.full_ns).map(|(key, _)| *key);
        least.and_then(|key| shard.remove(&key));
    }
}

fn forget_full<Key: Eq + Hash>(shard: &mut HashMap<Key, Spent, RandomState>, now_ns: u64) {
    shard.retain(|_, spent| spent.full_ns > now_ns);
}
