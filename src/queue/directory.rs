//! Which queues there are, with their settings, and which concert each serves: a snapshot of Postgres, so that no call
//! has to ask.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use foldhash::fast::RandomState;

use super::draw::Draw;
use crate::ids::{ConcertId, ScheduleId};
use crate::redis::QueueKeys;

/// A queue's id, inside tokens and Postgres only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub i32);

/// The queue that every database has from its first migration on.
const DEFAULT: QueueId = QueueId(1);

/// How a queue admits.
#[derive(Debug, Clone, PartialEq)]
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
    /// The most people whose places it keeps: who wait, who try, and as long as there is room, whose turn has ended.
    pub max_waiting: u32,
    /// Nobody is let in before; who comes earlier is drawn into random order then.
    pub opens_at: Option<DateTime<Utc>>,
    /// Nobody is let in.
    pub paused: bool,
    /// Nobody new is given a place.
    pub draining: bool,
    /// So many may try for each free seat; 0: however many seats there are.
    pub stock_factor: f64,
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
    /// Its draws, the last one and those whose tokens may live, by number.
    pub(super) draws: Vec<Arc<Draw>>,
    /// What it sells: schedules with their dates.
    pub(super) schedules: Vec<(ScheduleId, NaiveDate)>,
}

impl Queue {
    /// A queue that sells nothing and has no draw.
    #[must_use]
    pub fn new(id: QueueId, name: String, settings: QueueSettings, keys: QueueKeys) -> Self {
        Self { id, name, settings, keys, draws: Vec::new(), schedules: Vec::new() }
    }

    /// Its latest draw, over or not.
    #[must_use]
    pub fn draw(&self) -> Option<&Arc<Draw>> {
        self.draws.last()
    }

    /// The draw that is under way.
    pub(super) fn draw_under_way(&self) -> Option<&Arc<Draw>> {
        self.draw().filter(|draw| draw.closing.is_none())
    }

    /// Which place, from 0, was drawn for who has this order, if it was drawn.
    pub(super) fn draw_place_of(&self, order: u64) -> Option<u64> {
        self.draws
            .iter()
            .rev()
            .filter_map(|draw| draw.closing)
            .find_map(|closing| order.checked_sub(closing.first_order + 1).filter(|place| *place < closing.entries))
    }
}

/// All queues at some moment.
#[derive(Debug)]
pub struct Directory {
    queues: HashMap<QueueId, Arc<Queue>, RandomState>,
    by_concert: HashMap<ConcertId, QueueId>,
}

impl Directory {
    pub(super) fn new(queues: Vec<Queue>, by_concert: HashMap<ConcertId, QueueId>) -> Self {
        let queues = queues.into_iter().map(|queue| (queue.id, Arc::new(queue))).collect();
        Self { queues, by_concert }
    }

    pub(super) fn get(&self, id: QueueId) -> Option<&Arc<Queue>> {
        self.queues.get(&id)
    }

    pub(super) fn default_queue(&self) -> Option<Arc<Queue>> {
        self.get(DEFAULT).cloned()
    }

    pub(super) fn serving(&self, concert: ConcertId) -> Option<Arc<Queue>> {
        self.by_concert.get(&concert).and_then(|id| self.get(*id).cloned())
    }

    pub(super) fn by_name(&self, name: &str) -> Option<Arc<Queue>> {
        self.queues.values().find(|queue| queue.name == name).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Queue>> {
        self.queues.values().cloned().collect()
    }
}
