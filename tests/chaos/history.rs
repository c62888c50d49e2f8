//! What the clients, the observer and the faults saw: the evidence. Times are milliseconds of the machine's wall clock,
//! which is also Redis' own; the one instance whose clock is wrong has no say in them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// How many breaches are kept in full.
const MOST_BREACHES: usize = 40;
/// What a fault's after-effects may add to how long a request takes.
const AFTERMATH_MS: u64 = 300;

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    pub from: u64,
    pub to: u64,
}

/// How something that was asked for ended, as far as its client knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<T> {
    /// It was done.
    Done(T),
    /// It was not, says this code.
    Refused(String),
    /// No answer told.
    Unknown,
}

/// Money put into a wallet. A user's charges are all of different amounts.
#[derive(Debug, Clone)]
pub struct Charge {
    pub user: i64,
    pub amount: i64,
    pub verdict: Verdict<()>,
}

/// A hold that was acknowledged.
#[derive(Debug, Clone)]
pub struct Hold {
    pub user: i64,
    pub seat: i64,
    #[expect(dead_code, reason = "to be read in a breach")]
    pub reservation: i64,
    /// When it was first asked for: it lives at least its time from then.
    pub asked: u64,
    pub acknowledged: u64,
    /// When it is no longer certain to be valid.
    pub until: u64,
}

/// An attempt to pay, under a key of its own.
#[derive(Debug, Clone)]
pub struct Payment {
    /// Which batch it was asked for in.
    pub batch: Option<usize>,
    pub user: i64,
    pub seat: i64,
    pub reservation: i64,
    #[expect(dead_code, reason = "to be read in a breach")]
    pub key: String,
    pub asked: u64,
    pub verdict: Verdict<i64>,
    /// Whether its first request got no answer.
    #[expect(dead_code, reason = "to be read in a breach")]
    pub was_unknown: bool,
}

/// Money asked back.
#[derive(Debug, Clone)]
pub struct Refund {
    #[expect(dead_code, reason = "to be read in a breach")]
    pub user: i64,
    pub payment: i64,
    pub verdict: Verdict<()>,
}

/// An admission as Redis has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    pub entered: u64,
    pub admitted: u64,
}

/// A request that took long.
#[derive(Debug, Clone, Serialize)]
pub struct Slow {
    pub what: &'static str,
    pub request: String,
    pub instance: usize,
    pub span: Span,
}

/// Something that must not be.
#[derive(Debug, Clone, Serialize)]
pub struct Breach {
    pub rule: &'static str,
    pub detail: String,
}

/// A breach, unless Redis may have forgotten in this time who has this seat.
#[derive(Debug, Clone)]
pub struct Suspicion {
    pub span: Span,
    pub seat: i64,
    pub breach: Breach,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Records {
    /// Calls by what was called and how it was answered.
    pub answers: BTreeMap<(&'static str, String), u64>,
    pub slow: Vec<Slow>,
    pub slowest_ms: u64,
    pub charges: Vec<Charge>,
    pub holds: Vec<Hold>,
    /// The reservations that were to be paid together.
    pub batches: Vec<Vec<i64>>,
    pub payments: Vec<Payment>,
    pub refunds: Vec<Refund>,
    /// By queue, then by place.
    pub admissions: BTreeMap<(&'static str, u64), Admission>,
    /// Whose each place of a queue is, as their tokens say.
    pub places: BTreeMap<(i32, u64), i64>,
    /// By kind of fault.
    pub faults: BTreeMap<&'static str, u64>,
    /// When Redis may have forgotten something.
    pub losses: Vec<Span>,
    /// When an instance, by number, could not be expected to answer in time.
    pub troubles: Vec<(usize, Span)>,
    /// When this program itself, and so probably all of the machine, stood still.
    pub stalls: Vec<Span>,
    /// Every request with its answer, for whoever looks into a breach.
    pub journal: Vec<String>,
    /// Whatever else is counted.
    pub counts: BTreeMap<&'static str, u64>,
    pub suspicions: Vec<Suspicion>,
    pub breaches: Vec<Breach>,
    pub breaches_by_rule: BTreeMap<&'static str, u64>,
}

/// The records, shared.
#[derive(Debug)]
pub struct History {
    records: Mutex<Records>,
    faults: AtomicBool,
}

impl History {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self { records: Mutex::default(), faults: AtomicBool::new(true) }
    }

    /// The records, for a moment.
    pub fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    /// Whether faults go on.
    pub fn under_faults(&self) -> bool {
        self.faults.load(Ordering::SeqCst)
    }

    /// From now on everything works.
    pub fn faults_are_over(&self) {
        self.faults.store(false, Ordering::SeqCst);
    }

    /// Counts something.
    pub fn count(&self, what: &'static str) {
        *self.records().counts.entry(what).or_default() += 1;
    }

    /// Writes down what must not be.
    pub fn breach(&self, rule: &'static str, detail: String) {
        self.records().breach(rule, detail);
    }

    /// Writes down that a user was given a place.
    pub fn placed(&self, queue: i32, place: u64, user: i64) {
        let mut records = self.records();
        let first = *records.places.entry((queue, place)).or_insert(user);
        if first != user {
            let detail = format!("place {place} of queue {queue} to user {first} and then to user {user}");
            records.breach("a place is given once", detail);
        }
    }

    /// Writes down what must not be, unless Redis has forgotten something meanwhile.
    pub fn suspect(&self, seat: i64, span: Span, rule: &'static str, detail: String) {
        self.records().suspect(seat, span, rule, detail);
    }

    /// Where it stands, in a line.
    pub fn progress(&self) -> String {
        let records = self.records();
        let faults: u64 = records.faults.values().sum();
        let paid = records.payments.iter().filter(|payment| matches!(payment.verdict, Verdict::Done(_))).count();
        let tried = records.counts.get(TRIED).copied().unwrap_or_default();
        let breaches: u64 = records.breaches_by_rule.values().sum();
        format!("{faults} faults, {tried} purchases tried, {paid} paid, {breaches} breaches")
    }
}

/// What a purchase that was tried is counted as.
pub const TRIED: &str = "purchases tried";

impl Hold {
    /// From then on it is not certain to be valid.
    pub fn ends(&mut self, then: u64) {
        self.until = self.until.min(then);
    }
}

impl Records {
    /// Writes down what must not be.
    pub fn breach(&mut self, rule: &'static str, detail: String) {
        *self.breaches_by_rule.entry(rule).or_default() += 1;
        if self.breaches.len() < MOST_BREACHES {
            self.breaches.push(Breach { rule, detail });
        }
    }

    /// Writes down what must not be, unless Redis has forgotten something meanwhile. Judged in the end, when all is known.
    pub fn suspect(&mut self, seat: i64, span: Span, rule: &'static str, detail: String) {
        self.suspicions.push(Suspicion { span, seat, breach: Breach { rule, detail } });
    }

    /// Whether Redis may have forgotten what a suspicion is about: the hold itself, or the sale of its seat before, so that
    /// the seat was offered until its map was compared with PostgreSQL.
    pub fn excuses(&self, Suspicion { span, seat, .. }: &Suspicion) -> bool {
        let sales =
            self.payments.iter().filter(|sale| sale.seat == *seat && !matches!(sale.verdict, Verdict::Refused(_)));
        let mut begins = sales.map(|sale| sale.asked).chain([span.from]).filter(|begin| *begin <= span.to);
        begins.any(|from| self.lost_within(Span { from, to: span.to }))
    }

    /// Whether Redis may have forgotten something in this time.
    pub fn lost_within(&self, span: Span) -> bool {
        self.losses.iter().any(|loss| loss.overlaps(span))
    }

    /// Whether an instance could not be expected to answer in time in this time.
    pub fn troubled_within(&self, instance: usize, span: Span) -> bool {
        let widened = |trouble: Span| Span { from: trouble.from, to: trouble.to + AFTERMATH_MS };
        self.troubles.iter().any(|(troubled, trouble)| *troubled == instance && widened(*trouble).overlaps(span))
    }

    /// How long of this time the machine stood still, in milliseconds.
    pub fn stalled_within(&self, span: Span) -> u64 {
        let within = self.stalls.iter().filter(|stall| stall.overlaps(span));
        within.map(|stall| stall.to.min(span.to) - stall.from.max(span.from)).sum()
    }
}

impl Span {
    /// From a time until now.
    pub fn since(from: u64) -> Self {
        Self { from, to: now_ms() }
    }

    /// Whether two have a moment in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }

    /// Its length in milliseconds.
    pub fn ms(self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

/// The wall clock.
pub fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A duration in milliseconds.
pub fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// A lock that a panic elsewhere does not spoil.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
