//! What is counted while a burst runs: where everybody is, how everybody ended, how long everything took, and how it went
//! over time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::shop::Refusal;

/// How one visit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With a ticket.
    Sold,
    /// By its own will, while it waited.
    Left,
    /// With a seat held and never paid for.
    Lapsed,
    /// Without a ticket, for this reason.
    Refused(Refusal),
}

/// What requests are for, as their times are told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    Enter,
    Poll,
    Look,
    Hold,
    Charge,
    Pay,
    Leave,
}

/// What a visitor waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    Turn,
    Ticket,
    /// One of those that all share.
    Connection,
}

/// In the order of the visit.
pub(super) const CALLS: [(Call, &str); 7] = [
    (Call::Enter, "entering"),
    (Call::Poll, "poll"),
    (Call::Look, "looking"),
    (Call::Hold, "hold"),
    (Call::Charge, "charge"),
    (Call::Pay, "payment"),
    (Call::Leave, "leaving"),
];

/// One moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// Since the beginning.
    pub ms: u64,
    /// Who came and was not let in yet, nor gave up.
    pub waiting: u64,
    /// Who was let in so far.
    pub admitted: u64,
    /// Who has a ticket.
    pub sold: u64,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Figures {
    people: u32,
    begun: Mutex<Instant>,
    arrived: AtomicU64,
    admitted: AtomicU64,
    sold: AtomicU64,
    ended_outside: AtomicU64,
    ended_inside: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    too_late: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) left: u64,
    pub(super) lapsed: u64,
    pub(super) refused: BTreeMap<String, u64>,
    /// Microseconds, by call.
    pub(super) calls: [Vec<u64>; CALLS.len()],
    /// Microseconds, of turn, ticket and connection.
    pub(super) waits: [Vec<u64>; 3],
    pub(super) timeline: Vec<Moment>,
}

impl Figures {
    pub(super) fn new(people: u32) -> Self {
        Self {
            people,
            begun: Mutex::new(Instant::now()),
            arrived: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            sold: AtomicU64::new(0),
            ended_outside: AtomicU64::new(0),
            ended_inside: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            too_late: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// What came before was preparation.
    pub(super) fn begin(&self) {
        *lock(&self.begun) = Instant::now();
        for counter in [&self.requests, &self.failures] {
            counter.store(0, Ordering::Relaxed);
        }
        *self.state() = State::default();
    }

    pub(super) fn elapsed(&self) -> Duration {
        lock(&self.begun).elapsed()
    }

    pub(super) fn people(&self) -> u32 {
        self.people
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn arrives(&self) {
        add(&self.arrived);
    }

    pub(super) fn comes_in(&self, waited: Duration) {
        add(&self.admitted);
        self.waited(Wait::Turn, waited);
    }

    pub(super) fn too_late(&self) {
        add(&self.too_late);
    }

    /// An answer of any kind.
    pub(super) fn answered(&self, call: Call, took: Duration) {
        add(&self.requests);
        self.state().calls[call as usize].push(micros(took));
    }

    /// A call that has to be made again.
    pub(super) fn failed(&self) {
        add(&self.failures);
    }

    pub(super) fn waited(&self, wait: Wait, took: Duration) {
        self.state().waits[wait as usize].push(micros(took));
    }

    pub(super) fn ends(&self, outcome: Outcome, was_in: bool) {
        add(if was_in { &self.ended_inside } else { &self.ended_outside });
        let mut state = self.state();
        match outcome {
            Outcome::Sold => add(&self.sold),
            Outcome::Left => state.left += 1,
            Outcome::Lapsed => state.lapsed += 1,
            Outcome::Refused(refusal) => *state.refused.entry(refusal.word()).or_default() += 1,
        }
    }

    pub(super) fn sold(&self) -> u64 {
        self.sold.load(Ordering::Relaxed)
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended_inside() + self.ended_outside.load(Ordering::Relaxed)
    }

    /// Who was let in, and has ended.
    pub(super) fn ended_inside(&self) -> u64 {
        self.ended_inside.load(Ordering::Relaxed)
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn times_too_late(&self) -> u64 {
        self.too_late.load(Ordering::Relaxed)
    }

    /// How it stands.
    pub(super) fn now(&self) -> Moment {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Who has gone in or home is read first, so that nobody counts as waiting who never was.
        let (admitted, outside, arrived) = (load(&self.admitted), load(&self.ended_outside), load(&self.arrived));
        let waiting = arrived.saturating_sub(admitted).saturating_sub(outside);
        let ms = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        Moment { ms, waiting, admitted, sold: self.sold() }
    }

    /// Writes down how it stands.
    pub(super) fn sample(&self) {
        let now = self.now();
        self.state().timeline.push(now);
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// Counters cannot be left half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
