//! Who waits, as of a moment ago: the crowd that the scheduler's step brings along, so that ranks are told without asking
//! Redis. And the last minute's admissions, from which waits are estimated: counted in Redis, so that every instance
//! measures the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::estimate::Measured;
use super::last::{self, Last};
use super::stock::SoldOut;
use crate::redis::millis;

/// For how long a rank is told from a snapshot.
const FRESH: Duration = Duration::from_secs(1);

/// For how long after the last question the crowd is fetched on: who waits asks every 11 s or more often.
const WANTED_FOR: Duration = Duration::from_secs(12);

/// Over how long admissions are measured, and how far apart the samples are at least.
const MEASURED_OVER_MS: i64 = 60_000;
const SAMPLE_EVERY_MS: i64 = 1_000;

/// What a step says of the queue.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// Redis' clock.
    pub(super) now_ms: i64,
    /// The place before the first of this opening.
    pub(super) before: u64,
    /// How many wait with an order up to that.
    pub(super) early: u64,
    /// How many were let in since the opening.
    pub(super) let_in: u64,
    /// How many that waited have ended otherwise.
    pub(super) left: u64,
    /// Where in the bitmap the bytes begin.
    pub(super) first_byte: u64,
    /// A bit of each order, the greatest of a byte first. Empty if it was not asked for.
    pub(super) bytes: Vec<u8>,
}

/// Who waits.
#[derive(Debug)]
pub(super) struct Snapshot {
    taken: Instant,
    now_ms: i64,
    before: u64,
    /// The index of the first bit of `words`.
    first: u64,
    words: Vec<u64>,
    /// How many wait before each word's first bit.
    ahead_of: Vec<u64>,
}

impl Snapshot {
    /// `asked` is when Redis was asked: it is not younger than it says.
    pub(super) fn new(asked: Instant, crowd: &Crowd) -> Self {
        let words: Vec<u64> = crowd.bytes.chunks(8).map(word).collect();
        let ahead_of = words.iter().scan(crowd.early, |ahead, word| {
            let before_word = *ahead;
            *ahead += u64::from(word.count_ones());
            Some(before_word)
        });
        let ahead_of = ahead_of.collect();
        let (now_ms, before, first) = (crowd.now_ms, crowd.before, crowd.first_byte * 8);
        Self { taken: asked, now_ms, before, first, words, ahead_of }
    }

    /// How many come before who has this order; none if it does not wait, or has no bit.
    pub(super) fn ahead(&self, order: u64) -> Option<u64> {
        let bit = order.checked_sub(self.before)?.checked_sub(1)?.checked_sub(self.first)?;
        let at = usize::try_from(bit / 64).ok()?;
        let word = self.words.get(at)?;
        let from_front = word.rotate_left(u32::try_from(bit % 64).ok()?);
        if from_front.leading_zeros() > 0 {
            return None;
        }
        // The bits before this one are those that were rotated to the end.
        let earlier = from_front & ((1 << (bit % 64)) - 1);
        Some(self.ahead_of.get(at)? + u64::from(earlier.count_ones()))
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.taken.elapsed() < FRESH
    }

    /// When Redis was asked.
    pub(super) fn taken(&self) -> Instant {
        self.taken
    }

    /// Whether an order has a bit at all.
    pub(super) fn has_bit(&self, order: u64) -> bool {
        order > self.before
    }

    /// When that time from now is over, by Redis' clock.
    pub(super) fn expiry(&self, ttl: Duration) -> i64 {
        self.now_ms.saturating_add_unsigned(millis(self.taken.elapsed() + ttl))
    }
}

fn word(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_be_bytes(all)
}

/// What this instance knows of one queue.
#[derive(Debug, Default)]
pub(super) struct Glimpse {
    latest: ArcSwapOption<Snapshot>,
    samples: Mutex<VecDeque<Sample>>,
    measured: ArcSwap<Measured>,
    wanted: Last,
    /// When this instance saw somebody wait. What is written to Postgres may be a second old, and a crowd comes in less.
    pub(super) waited: Last,
    pub(super) sold_out: SoldOut,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    now_ms: i64,
    before: u64,
    let_in: u64,
    left: u64,
}

impl Glimpse {
    /// Shows who waits, if that is known as of the last second. Asking for it keeps it being fetched.
    pub(super) fn fresh<T>(&self, show: impl FnOnce(&Arc<Snapshot>) -> T) -> Option<T> {
        self.wanted.note();
        self.latest.load().as_ref().filter(|snapshot| snapshot.is_fresh()).map(show)
    }

    /// Whether somebody asked lately.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.is_within(WANTED_FOR + last::EXACT_TO)
    }

    /// Takes what a step has brought along.
    pub(super) fn learn(&self, asked: Instant, crowd: &Crowd, with_bytes: bool) {
        let snapshot = with_bytes.then(|| Arc::new(Snapshot::new(asked, crowd)));
        self.latest.store(snapshot);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = Sample { now_ms: crowd.now_ms, before: crowd.before, let_in: crowd.let_in, left: crowd.left };
        let follows = |last: &Sample| last.before == sample.before && last.let_in <= sample.let_in;
        // A queue that was opened anew counts from 0 again.
        if !samples.back().is_none_or(follows) {
            samples.clear();
        }
        if samples.back().is_none_or(|last| sample.now_ms - last.now_ms >= SAMPLE_EVERY_MS) {
            samples.push_back(sample);
        }
        while samples.front().is_some_and(|first| sample.now_ms - first.now_ms > MEASURED_OVER_MS) {
            samples.pop_front();
        }
        let measured = samples.front().zip(samples.back()).map(|(first, last)| Measured {
            let_in: last.let_in - first.let_in,
            left: last.left.saturating_sub(first.left),
            over: Duration::from_millis(last.now_ms.abs_diff(first.now_ms)),
        });
        self.measured.store(Arc::new(measured.unwrap_or_default()));
    }

    /// How many came in and went, of late.
    pub(super) fn measured(&self) -> Measured {
        **self.measured.load()
    }

    /// Forgets who waits: Redis has lost it.
    pub(super) fn clear(&self) {
        self.latest.store(None);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const BEFORE: u64 = 1 << 32;

    /// The bitmap from the byte of the first on, as Redis keeps it.
    fn crowd(waiting: &BTreeSet<u64>, early: u64) -> Crowd {
        let first_byte = waiting.first().map_or(0, |index| index / 8);
        let mut bytes = Vec::new();
        for index in waiting {
            let at = usize::try_from(index / 8 - first_byte).unwrap_or_default();
            bytes.resize(bytes.len().max(at + 1), 0);
            bytes[at] |= 0x80 >> (index % 8);
        }
        Crowd { before: BEFORE, early, first_byte, bytes, ..Crowd::default() }
    }

    proptest! {
        #[test]
        fn a_rank_is_the_place_in_the_sorted_list(
            waiting in proptest::collection::btree_set(0_u64..2000, 0..400), skip in 0_u64..500, early in 0_u64..9,
        ) {
            let waiting: BTreeSet<u64> = waiting.into_iter().map(|index| index + skip).collect();
            let snapshot = Snapshot::new(Instant::now(), &crowd(&waiting, early));
            for index in 0..3000 {
                let rank = waiting.contains(&index).then(|| early + waiting.range(..index).count() as u64);
                prop_assert_eq!(snapshot.ahead(BEFORE + 1 + index), rank, "{}", index);
            }
            prop_assert_eq!(snapshot.ahead(BEFORE), None);
            prop_assert_eq!(snapshot.ahead(0), None);
            prop_assert_eq!(snapshot.ahead(u64::MAX), None);
        }
    }

    #[test]
    fn what_was_measured_is_the_last_minutes_and_one_openings() {
        let view = Glimpse::default();
        let learn = |before, seconds: i64, let_in| {
            let crowd = Crowd { now_ms: seconds * 1000, before, let_in, left: let_in / 2, ..Crowd::default() };
            view.learn(Instant::now(), &crowd, false);
        };
        for second in 0..=100_u32 {
            learn(0, second.into(), u64::from(second) * 10);
        }
        let minute = Measured { let_in: 600, left: 300, over: Duration::from_mins(1) };
        assert_eq!(view.measured(), minute);
        learn(BEFORE, 101, 5);
        assert_eq!(view.measured(), Measured::default(), "the counts began anew");
        assert!(view.fresh(Arc::clone).is_none(), "no crowd was brought along");
        assert!(view.is_wanted());
    }
}
