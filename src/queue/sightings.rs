//! Whom this instance has seen without asking Redis, and what each was told of its wait.
//!
//! Redis need not hear of every poll. It hears when somebody was seen last, with the age of that, once what it knows is a
//! quarter of the queue's waiting time old: so nobody whose last poll is within its time is taken to have left, and who
//! stops does not live longer than since its last poll. A crowd's polls cost Redis what the crowd is, not how often it asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use foldhash::quality::RandomState;

use super::estimate::WaitSeconds;
use super::token::Claim;
use super::{QueueId, Rank};
use crate::redis::millis;

/// How finely it is planned when Redis is told, in ms: as often as the job runs that tells it.
const TURN_MS: u64 = 250;

/// In how many parts they are kept, so that no run goes through a million.
const PARTS: usize = 64;

/// Tokens of one queue, and when each was seen.
pub(super) type Seen = Vec<(Claim, Instant)>;

/// Who was seen. A million wait in some hundred megabytes, so times are ms since the start.
#[derive(Debug)]
pub(super) struct Sightings {
    start: Instant,
    /// By place.
    seen: Box<[DashMap<Claim, Sighting, RandomState>; PARTS]>,
    /// The part to be gone through next.
    to_prune: AtomicUsize,
    /// Who is looked at in which turn, since Redis may have to be told of it then.
    turns: Mutex<BTreeMap<u32, Vec<Claim>>>,
    /// What it was planned with last.
    waiting_ttls: Mutex<HashMap<QueueId, Duration>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sighting {
    at_ms: u64,
    /// The latest that Redis knows of.
    known_ms: u64,
    /// The turn that it is looked at in; 0 for none.
    turn: u32,
    /// When, and how long a wait it was told first.
    told: Option<Told>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    at_ms: u64,
    low: u32,
    high: u32,
}

impl Default for Sightings {
    fn default() -> Self {
        let (seen, to_prune) = (Box::new(std::array::from_fn(|_| DashMap::default())), AtomicUsize::default());
        Self { start: Instant::now(), seen, to_prune, turns: Mutex::default(), waiting_ttls: Mutex::default() }
    }
}

/// How old what Redis knows may become.
fn patience(waiting_ttl: Duration) -> Duration {
    waiting_ttl / 4
}

/// The turn in which a time has come.
fn turn_of(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(TURN_MS)).unwrap_or(u32::MAX).max(1)
}

impl Sightings {
    fn now_ms(&self) -> u64 {
        millis(self.start.elapsed())
    }

    fn part(&self, claim: &Claim) -> &DashMap<Claim, Sighting, RandomState> {
        &self.seen[usize::from(claim.place.to_le_bytes()[0]) % PARTS]
    }

    fn turns(&self) -> MutexGuard<'_, BTreeMap<u32, Vec<Claim>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a token looked at once what Redis knows of it is so old.
    fn plan(&self, claim: &Claim, sighting: &mut Sighting, patience: Duration) {
        sighting.turn = turn_of(sighting.known_ms + millis(patience));
        self.turns().entry(sighting.turn).or_default().push(*claim);
    }

    /// Notes that a token that waits was seen, of which Redis does not know.
    pub(super) fn note(&self, claim: &Claim, waiting_ttl: Duration) {
        let at_ms = self.now_ms();
        let mut sighting = self.part(claim).entry(*claim).or_default();
        sighting.at_ms = at_ms;
        if sighting.turn == 0 {
            self.plan(claim, &mut sighting, patience(waiting_ttl));
        }
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
        let now = self.now_ms();
        let mut sighting = self.part(claim).entry(*claim).or_default();
        (sighting.at_ms, sighting.known_ms) = (now, now);
    }

    pub(super) fn forget(&self, claim: &Claim) {
        self.part(claim).remove(claim);
    }

    /// Whether this instance saw it within that time.
    pub(super) fn within(&self, claim: &Claim, time: Duration) -> bool {
        let now = self.now_ms();
        self.part(claim).get(claim).is_some_and(|sighting| now - now.min(sighting.at_ms) < millis(time))
    }

    /// Remembers what a token was told of its wait first.
    pub(super) fn tell(&self, claim: &Claim, wait: Option<WaitSeconds>) {
        let Some(wait) = wait else { return };
        let at_ms = self.now_ms();
        if let Some(mut sighting) = self.part(claim).get_mut(claim) {
            let whole = |seconds: u64| u32::try_from(seconds).unwrap_or(u32::MAX);
            sighting.told.get_or_insert(Told { at_ms, low: whole(wait.low), high: whole(wait.high) });
        }
    }

    /// When, and how long a wait a token was told first.
    pub(super) fn told(&self, claim: &Claim) -> Option<(Instant, WaitSeconds)> {
        let told = self.part(claim).get(claim)?.told?;
        Some((self.instant(told.at_ms), WaitSeconds { low: told.low.into(), high: told.high.into() }))
    }

    fn instant(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Takes those of whom Redis is to be told now, by queue; `waiting_ttls` is of all queues there are.
    pub(super) fn take(&self, waiting_ttls: &HashMap<QueueId, Duration>) -> HashMap<QueueId, Seen> {
        self.take_at(self.now_ms(), waiting_ttls)
    }

    fn take_at(&self, now_ms: u64, waiting_ttls: &HashMap<QueueId, Duration>) -> HashMap<QueueId, Seen> {
        let this_turn = u32::try_from(now_ms / TURN_MS).unwrap_or(u32::MAX);
        let last = if self.is_hurried(waiting_ttls) { u32::MAX } else { this_turn.saturating_add(1) };
        let due = {
            let mut turns = self.turns();
            let later = turns.split_off(&last);
            std::mem::replace(&mut *turns, later)
        };
        let due = due.into_iter().flat_map(|(turn, claims)| claims.into_iter().map(move |claim| (turn, claim)));
        let mut taken: HashMap<QueueId, Seen> = HashMap::new();
        for (turn, claim) in due {
            let Some(patience) = waiting_ttls.get(&claim.queue).copied().map(patience) else { continue };
            let Some(mut sighting) = self.part(&claim).get_mut(&claim).filter(|sighting| sighting.turn == turn) else {
                continue;
            };
            sighting.turn = 0;
            if sighting.at_ms <= sighting.known_ms {
                continue;
            }
            if now_ms < sighting.known_ms + millis(patience) {
                // Redis has heard of it otherwise.
                self.plan(&claim, &mut sighting, patience);
            } else {
                taken.entry(claim.queue).or_default().push((claim, self.instant(sighting.at_ms)));
            }
        }
        taken
    }

    /// Whether some queue's tokens live unseen for a shorter time than when it was asked last: then all are looked at.
    fn is_hurried(&self, waiting_ttls: &HashMap<QueueId, Duration>) -> bool {
        let mut last = self.waiting_ttls.lock().unwrap_or_else(PoisonError::into_inner);
        let hurried = waiting_ttls.iter().any(|(queue, ttl)| last.get(queue).is_some_and(|last| ttl < last));
        last.clone_from(waiting_ttls);
        hurried
    }

    /// Notes that Redis has been told of these.
    pub(super) fn were_told(&self, seen: &[(Claim, Instant)]) {
        for (claim, at) in seen {
            if let Some(mut sighting) = self.part(claim).get_mut(claim) {
                sighting.known_ms = sighting.known_ms.max(millis(at.duration_since(self.start)));
            }
        }
    }

    /// Has those told in the next turn of whom Redis could not be told.
    pub(super) fn put_back(&self, seen: &[(Claim, Instant)]) {
        for (claim, _) in seen {
            if let Some(mut sighting) = self.part(claim).get_mut(claim).filter(|sighting| sighting.turn == 0) {
                self.plan(claim, &mut sighting, Duration::ZERO);
            }
        }
    }

    /// Forgets who was not seen for its queue's time, or has no queue: in one part, and in the next the next time. Whether it was
    /// the last.
    pub(super) fn prune(&self, waiting_ttls: &HashMap<QueueId, Duration>) -> bool {
        let now = self.now_ms();
        let part = self.to_prune.fetch_add(1, Ordering::Relaxed) % PARTS;
        self.seen[part].retain(|claim, sighting| {
            waiting_ttls.get(&claim.queue).is_some_and(|ttl| now - now.min(sighting.at_ms) < millis(*ttl))
        });
        part + 1 == PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: QueueId = QueueId(1);
    const TTL: Duration = Duration::from_mins(2);

    fn claim(place: u64) -> Claim {
        Claim { queue: QUEUE, user: 7.try_into().unwrap(), place }
    }

    /// Who is taken at that time since the start, and how long after the start each was seen, in ms.
    fn taken(sightings: &Sightings, seconds: u64, ttl: Duration) -> Vec<(u64, u64)> {
        let taken = sightings.take_at(seconds * 1000, &HashMap::from([(QUEUE, ttl)]));
        let at = |(claim, at): (Claim, Instant)| (claim.place, millis(at.duration_since(sightings.start)));
        taken.into_values().flatten().map(at).collect()
    }

    fn see_at(sightings: &Sightings, place: u64, seconds: u64) {
        sightings.note(&claim(place), TTL);
        sightings.part(&claim(place)).get_mut(&claim(place)).unwrap().at_ms = seconds * 1000;
    }

    #[test]
    fn redis_is_told_once_a_quarter_of_the_time_however_often_somebody_asks() {
        let sightings = Sightings::default();
        sightings.confirm(&claim(1));
        let mut told = Vec::new();
        for second in 1..=120 {
            see_at(&sightings, 1, second);
            let seen = sightings.take_at(second * 1000, &HashMap::from([(QUEUE, TTL)]));
            for seen in seen.into_values() {
                sightings.were_told(&seen);
                told.push(second);
            }
        }
        assert!(matches!(told[..], [30..=31, 60..=62, 90..=93] | [30..=31, 60..=62, 90..=93, 120]), "{told:?}");
    }

    #[test]
    fn who_is_seen_once_and_no_more_is_told_of_in_time_with_that_age() {
        let sightings = Sightings::default();
        sightings.confirm(&claim(1));
        see_at(&sightings, 1, 10);
        assert_eq!(taken(&sightings, 29, TTL), [], "what Redis knows is good enough yet");
        assert_eq!(taken(&sightings, 31, TTL), [(1, 10_000)]);
        assert_eq!(taken(&sightings, 300, TTL), [], "and not again");
    }

    #[test]
    fn who_was_not_seen_for_its_time_is_forgotten_a_part_at_a_time() {
        let (sightings, minute) = (Sightings::default(), Duration::from_mins(1));
        for place in 0..1000 {
            sightings.confirm(&claim(place));
        }
        let left = || sightings.seen.iter().map(DashMap::len).sum::<usize>();
        let prune = |ttl| sightings.prune(&HashMap::from([(QUEUE, ttl)]));
        let lasts: Vec<usize> = (0..2 * PARTS).filter(|_| prune(minute)).collect();
        assert_eq!(lasts, [PARTS - 1, 2 * PARTS - 1], "whether it was the last");
        assert_eq!(left(), 1000, "all have been seen");
        let mut before = left();
        for _ in 0..PARTS {
            prune(Duration::ZERO);
            assert!((1..=1000 / PARTS + PARTS).contains(&(before - left())), "{before} {}", left());
            before = left();
        }
        assert_eq!(left(), 0);
        sightings.confirm(&claim(1));
        (0..PARTS).for_each(|_| _ = sightings.prune(&HashMap::new()));
        assert_eq!(left(), 0, "there is no such queue");
    }

    #[test]
    fn of_whom_redis_could_not_be_told_it_is_told_in_the_next_turn() {
        let sightings = Sightings::default();
        sightings.confirm(&claim(1));
        see_at(&sightings, 1, 10);
        let seen = sightings.take_at(31_000, &HashMap::from([(QUEUE, TTL)])).remove(&QUEUE).unwrap();
        sightings.put_back(&seen);
        assert_eq!(taken(&sightings, 31, TTL), [(1, 10_000)]);
        sightings.forget(&claim(1));
        sightings.put_back(&seen);
        assert_eq!(taken(&sightings, 99, TTL), [], "one that has ended is not told of");
    }

    #[test]
    fn what_redis_has_heard_otherwise_puts_it_off() {
        let sightings = Sightings::default();
        sightings.confirm(&claim(1));
        see_at(&sightings, 1, 10);
        sightings.part(&claim(1)).get_mut(&claim(1)).unwrap().known_ms = 10_000;
        assert_eq!(taken(&sightings, 31, TTL), [], "it knows the latest");
        see_at(&sightings, 1, 35);
        assert_eq!(taken(&sightings, 39, TTL), []);
        assert_eq!(taken(&sightings, 40, TTL), [(1, 35_000)]);
    }

    #[test]
    fn a_shorter_time_hurries() {
        let sightings = Sightings::default();
        sightings.confirm(&claim(1));
        see_at(&sightings, 1, 10);
        assert_eq!(taken(&sightings, 11, TTL), []);
        assert_eq!(taken(&sightings, 12, TTL / 10), [(1, 10_000)]);
    }

    #[test]
    fn those_seen_while_redis_is_told_are_not_forgotten() {
        let sightings = std::sync::Arc::new(Sightings::default());
        let ttls = HashMap::from([(QUEUE, Duration::from_millis(1200))]);
        let polls = 4;
        let asking = (0..polls).map(|thread| {
            let sightings = sightings.clone();
            std::thread::spawn(move || {
                for round in 0..200_u64 {
                    sightings.note(&claim(thread * 50 + round % 50), Duration::from_millis(1200));
                    std::thread::sleep(Duration::from_millis(5));
                }
            })
        });
        let asking: Vec<_> = asking.collect();
        let mut told = HashMap::new();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(2200) {
            for seen in sightings.take(&ttls).into_values() {
                sightings.were_told(&seen);
                told.extend(seen);
            }
        }
        for thread in asking {
            thread.join().unwrap();
        }
        for sighting in sightings.seen.iter().flatten() {
            let told = told.get(sighting.key()).copied().map(|at: Instant| millis(at.duration_since(sightings.start)));
            assert_eq!(told, Some(sighting.at_ms), "of each its last");
        }
    }
}
