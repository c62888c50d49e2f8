//! Which queues there are, with their settings, and which concert each serves: a snapshot of Postgres, so that no call
//! has to ask.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::ConcertId;
use crate::redis::QueueKeys;

/// A queue's id, inside tokens and Postgres only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub i32);

/// The queue that every database has from its first migration on.
const DEFAULT: QueueId = QueueId(1);

/// How a queue admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// The most active tokens at any time.
    pub max_active: u32,
    /// The most admissions a second, with a burst of one second's worth.
    pub admit_per_second: u32,
    /// How long a token is active.
    pub active_ttl: Duration,
    /// How long a waiting token lives unseen.
    pub waiting_ttl: Duration,
    /// How long a seat is held.
    pub hold_ttl: Duration,
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    /// Its id.
    pub id: QueueId,
    /// Its name, in metrics and keys.
    pub name: String,
    /// How it admits.
    pub settings: QueueSettings,
    /// Its keys in Redis.
    pub keys: QueueKeys,
}

/// All queues at some moment.
#[derive(Debug)]
pub struct Directory {
    queues: HashMap<QueueId, Arc<Queue>>,
    by_concert: HashMap<ConcertId, QueueId>,
}

impl Directory {
    pub(super) fn new(queues: Vec<Queue>, by_concert: HashMap<ConcertId, QueueId>) -> Self {
        let queues = queues.into_iter().map(|queue| (queue.id, Arc::new(queue))).collect();
        Self { queues, by_concert }
    }

    pub(super) fn get(&self, id: QueueId) -> Option<Arc<Queue>> {
        self.queues.get(&id).cloned()
    }

    pub(super) fn named(&self, name: &str) -> Option<Arc<Queue>> {
        self.queues.values().find(|queue| queue.name == name).cloned()
    }

    pub(super) fn default_queue(&self) -> Option<Arc<Queue>> {
        self.get(DEFAULT)
    }

    pub(super) fn serving(&self, concert: ConcertId) -> Option<Arc<Queue>> {
        self.by_concert.get(&concert).and_then(|id| self.get(*id))
    }

    pub(super) fn all(&self) -> Vec<Arc<Queue>> {
        self.queues.values().cloned().collect()
    }
}
