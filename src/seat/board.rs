//! What an instance knows of a schedule's seats: the plan, and the lists of free and of all seats, each rendered once a
//! change rather than once a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::answers::{Known, Look};
use super::plan::Plan;
use super::render::{render_free, render_map};
use super::store::{self, MapCalls};
use crate::http::Rendered;
use crate::ids::ScheduleId;
use crate::postgres::Postgres;
use crate::redis::{Redis, ScheduleKeys};
use crate::store_error::StoreError;

/// How old a list may be when it is answered; the contract allows 250 ms for another instance's change to show.
const FRESH_FOR: Duration = Duration::from_millis(150);

/// How old a list may be before it is read again although it can still be answered, so that nobody has to wait for that.
const AGES_AT: Duration = Duration::from_millis(75);

/// A schedule's seats, as this instance knows them.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) schedule: ScheduleId,
    pub(super) keys: ScheduleKeys,
    pub(super) calls: MapCalls,
    plan: OnceCell<Arc<Plan>>,
    /// Counts this instance's own changes, so that its next answer shows them.
    changes: AtomicU64,
    list: ArcSwapOption<FreeList>,
    map: ArcSwapOption<SeatMap>,
    refreshing: Mutex<()>,
    /// Whether somebody sees to it that an ageing list is read again.
    renewing: AtomicBool,
    loading: Mutex<()>,
}

/// The free seats of a schedule at some moment.
#[derive(Debug)]
pub struct FreeList {
    /// How many there are.
    pub free: usize,
    /// How many are not sold: free, held or being paid.
    pub unsold: usize,
    /// The answer of `GET …/seats`. Its entity tag is from its content, and so the same on every instance.
    pub answer: Arc<Rendered>,
    pub(super) states: Bytes,
    pub(super) known: Known,
    /// Just before Redis was asked: of two lists, the newer has the later.
    pub(super) asked: Instant,
    changes: u64,
}

/// All seats of a schedule at some moment.
#[derive(Debug)]
pub struct SeatMap {
    /// The answer of `GET …/seat-map`. Its entity tag is from its content, and so the same on every instance.
    pub answer: Rendered,
    known: Known,
}

/// What was known when the list was asked for.
#[derive(Debug)]
pub(super) struct Asking {
    at: Instant,
    changes: u64,
    last: Option<Arc<FreeList>>,
}

impl Asking {
    pub(super) fn known(&self) -> Option<&Known> {
        self.last.as_ref().map(|list| &list.known)
    }
}

/// A list is being read again before it is old; on its end, whatever that was, the next one can be.
pub(super) struct Renewing(pub(super) Arc<Board>);

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.renewing.store(false, Ordering::SeqCst);
    }
}

/// Says on its end, whatever that was (an answer, an error, a dropped request), that the seats may have changed.
pub(super) struct Changing<'a>(&'a AtomicU64);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Board {
    pub(super) fn new(schedule: ScheduleId, queue: &str, redis: &Redis) -> Self {
        let keys = redis.keys().schedule(queue, schedule);
        Self {
            schedule,
            calls: MapCalls::new(redis, &keys),
            keys,
            plan: OnceCell::new(),
            changes: AtomicU64::new(0),
            list: ArcSwapOption::empty(),
            map: ArcSwapOption::empty(),
            refreshing: Mutex::new(()),
            renewing: AtomicBool::new(false),
            loading: Mutex::new(()),
        }
    }

    pub(super) async fn plan(&self, postgres: &Postgres) -> Result<Arc<Plan>, StoreError> {
        let read = async || store::plan(postgres, self.schedule).await.map(Arc::new);
        self.plan.get_or_try_init(read).await.cloned()
    }

    /// Held while a script runs that may change the seats.
    pub(super) fn changing(&self) -> Changing<'_> {
        Changing(&self.changes)
    }

    /// Held while this instance builds the map.
    pub(super) async fn loading(&self) -> MutexGuard<'_, ()> {
        self.loading.lock().await
    }

    /// Held while this instance asks for the list.
    pub(super) async fn refreshing(&self) -> MutexGuard<'_, ()> {
        self.refreshing.lock().await
    }

    /// What is known just before asking.
    pub(super) fn ask(&self) -> Asking {
        Asking { at: Instant::now(), changes: self.changes.load(Ordering::SeqCst), last: self.list.load_full() }
    }

    /// The list, with what asking gave.
    pub(super) fn learn(&self, asking: Asking, plan: &Plan, look: Look) -> Result<Arc<FreeList>, StoreError> {
        let Asking { at, changes, last } = asking;
        let list = match (look, last) {
            (Look::Seats { known, states }, _) => FreeList::render(plan, states, known, at, changes),
            (Look::Same, Some(last)) => last.confirmed(at, changes),
            (Look::Same, None) => {
                let source = "seat.look answered SAME to one who knew nothing".into();
                return Err(StoreError::Unexpected { store: "redis", source });
            }
        };
        let list = Arc::new(list);
        self.list.store(Some(list.clone()));
        Ok(list)
    }

    /// All seats, as the list has them: rendered by whoever asks first after a change.
    pub(super) fn map(&self, plan: &Plan, list: &FreeList) -> Arc<SeatMap> {
        if let Some(map) = self.map.load_full()
            && map.known == list.known
        {
            return map;
        }
        let answer = render_map(plan, self.schedule, &list.states);
        let map = Arc::new(SeatMap { answer, known: list.known.clone() });
        self.map.store(Some(map.clone()));
        map
    }

    /// What the list shows, unless it is old or this instance has changed a seat since.
    pub(super) fn fresh<T>(&self, now: Instant, show: impl FnOnce(&Arc<FreeList>) -> T) -> Option<T> {
        let list = self.list.load();
        let list = list.as_ref()?;
        let fresh = list.changes == self.changes.load(Ordering::SeqCst)
            && now.saturating_duration_since(list.asked) < FRESH_FOR;
        fresh.then(|| show(list))
    }

    /// Whether a list is ageing and nobody sees to it yet; from now on the caller does.
    pub(super) fn is_to_be_renewed(&self, now: Instant) -> bool {
        self.is_ageing(now) && !self.renewing.load(Ordering::Relaxed) && !self.renewing.swap(true, Ordering::SeqCst)
    }

    pub(super) fn is_ageing(&self, now: Instant) -> bool {
        self.list.load().as_ref().is_some_and(|list| now.saturating_duration_since(list.asked) >= AGES_AT)
    }

    /// How many were not sold when the list was asked for, if that is no longer ago.
    pub(super) fn unsold(&self, within: Duration) -> Option<usize> {
        let list = self.list.load();
        list.as_ref().filter(|list| list.asked.elapsed() <= within).map(|list| list.unsold)
    }
}

impl FreeList {
    pub(super) fn render(plan: &Plan, states: Bytes, known: Known, asked: Instant, changes: u64) -> Self {
        let unsold = states.iter().filter(|state| **state != b'S').count();
        let (free, answer) = render_free(plan, &states);
        Self { free, unsold, answer: Arc::new(answer), states, known, asked, changes }
    }

    /// How many are sold.
    #[must_use]
    pub fn sold(&self) -> usize {
        self.states.len() - self.unsold
    }

    fn confirmed(&self, asked: Instant, changes: u64) -> Self {
        let (answer, states, known) = (self.answer.clone(), self.states.clone(), self.known.clone());
        Self { free: self.free, unsold: self.unsold, answer, states, known, asked, changes }
    }
}
