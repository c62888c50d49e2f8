//! How the shop went over the last minutes, as this instance saw it: a moment each second, kept in memory, so that whoever
//! begins to look sees where the curves come from. All but the failures, which are this instance's own, is the whole shop's.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::queue::{QueueId, QueueMoment};

/// For how long a moment is kept.
const KEPT: Duration = Duration::from_mins(10);

/// The most moments that are kept: one a second.
pub const MOST_MOMENTS: usize = 600;

/// The shop at a moment, or one of its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub at: i64,
    /// How many wait; none if a queue was not seen lately.
    pub waiting: Option<u64>,
    /// How many may try, likewise.
    pub active: Option<u64>,
    /// How many have been let in so far, likewise.
    pub admitted: Option<u64>,
    /// How many seats are sold of what is not over, likewise.
    pub sold: Option<u64>,
    /// How many calls this instance has failed since it began.
    pub failures: u64,
}

#[derive(Debug)]
struct Kept {
    at: i64,
    queues: Vec<QueueMoment>,
    failures: u64,
}

/// The moments, oldest first.
#[derive(Debug, Default)]
pub(super) struct Course(Mutex<VecDeque<Kept>>);

impl Course {
    pub(super) fn add(&self, at: i64, queues: Vec<QueueMoment>, failures: u64) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(Kept { at, queues, failures });
        let oldest = at.saturating_sub(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX));
        while kept.len() > MOST_MOMENTS || kept.front().is_some_and(|first| first.at < oldest) {
            kept.pop_front();
        }
    }

    /// Those after that time, of one queue or of all together.
    pub(super) fn after(&self, after: i64, queue: Option<QueueId>) -> Vec<Moment> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The newest are asked for, nearly always.
        let newer = kept.iter().rev().take_while(|moment| moment.at > after).count();
        kept.iter().skip(kept.len() - newer).map(|kept| kept.shown(queue)).collect()
    }
}

impl Kept {
    fn shown(&self, queue: Option<QueueId>) -> Moment {
        let chosen = || self.queues.iter().filter(|seen| queue.is_none_or(|queue| seen.queue == queue));
        // What is not known of one is not known of all.
        let sum = |of: fn(&QueueMoment) -> Option<u64>| chosen().map(of).sum();
        Moment {
            at: self.at,
            waiting: sum(|seen| seen.waiting),
            active: sum(|seen| seen.active),
            admitted: sum(|seen| seen.admitted),
            sold: sum(|seen| seen.sold),
            failures: self.failures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(id: i32, waiting: Option<u64>) -> QueueMoment {
        QueueMoment { queue: QueueId(id), waiting, active: Some(1), admitted: Some(2), sold: Some(3) }
    }

    #[test]
    fn ten_minutes_are_kept_and_what_is_new_is_told() {
        let course = Course::default();
        for second in 0..1000 {
            course.add(second * 1000, vec![queue(1, Some(5)), queue(2, Some(6))], 0);
        }
        let all = course.after(0, None);
        assert_eq!((all.len(), all[0].at, all[599].at), (600, 400_000, 999_000));
        assert_eq!((all[0].waiting, all[0].sold), (Some(11), Some(6)));
        let new = course.after(997_000, Some(QueueId(2)));
        assert_eq!(
            new.iter().map(|moment| (moment.at, moment.waiting)).collect::<Vec<_>>(),
            [(998_000, Some(6)), (999_000, Some(6))]
        );
        assert_eq!(course.after(999_000, None), []);
        // A process that was stopped for a while.
        course.add(5_000_000, Vec::new(), 0);
        assert_eq!(course.after(0, None).len(), 1);
    }

    #[test]
    fn what_is_not_known_of_one_queue_is_not_known_of_all() {
        let course = Course::default();
        course.add(1, vec![queue(1, None), queue(2, Some(6))], 7);
        let moment = course.after(0, None)[0];
        assert_eq!((moment.waiting, moment.active, moment.failures), (None, Some(2), 7));
        assert_eq!(course.after(0, Some(QueueId(2)))[0].waiting, Some(6));
    }
}
