//! Order and rate, from every admission that was seen. A Redis that has lost something begins anew, so only what lies
//! between two losses is compared.

use crate::history::{Admission, Records, Span};
use crate::programme::{Programme, Queue};

/// How many admissions away an inversion is looked for.
const WINDOW: usize = 400;
/// Thousandths of an admission that rounding to milliseconds may cost.
const ROUNDING: u64 = 1500;

/// Checks both for every queue.
pub(super) fn check(programme: &Programme, records: &mut Records) {
    for queue in &programme.queues {
        let all = records.admissions.iter().filter(|((name, _), _)| *name == queue.name);
        let mut admissions: Vec<(u64, Admission)> = all.map(|((_, place), admission)| (*place, *admission)).collect();
        admissions.sort_by_key(|(place, admission)| (admission.admitted, *place));
        check_order(queue, &admissions, records);
        check_rate(queue, &admissions, records);
    }
}

/// Nobody was let in while somebody with an earlier place was there and was let in only later.
fn check_order(queue: &Queue, admissions: &[(u64, Admission)], records: &mut Records) {
    for (index, (place, later)) in admissions.iter().enumerate() {
        let before = admissions[index.saturating_sub(WINDOW)..index].iter();
        let overtaker = before
            .filter(|(other, first)| other > place && first.admitted < later.admitted && first.admitted > later.entered)
            .find(|_| !records.lost_within(Span { from: later.entered, to: later.admitted }));
        if let Some(overtaker) = overtaker {
            let detail = format!("{}: {overtaker:?} before place {place}, {later:?}", queue.name);
            records.breach("nobody is let in before who came earlier", detail);
        }
    }
}

/// A bucket of one second's worth, that is filled at the queue's rate, was never overdrawn.
fn check_rate(queue: &Queue, admissions: &[(u64, Admission)], records: &mut Records) {
    let full = queue.rate * 1000;
    // In thousandths of an admission, and one more than there is, so that it is never below nothing.
    let (mut level, mut last) = (full + ROUNDING, 0);
    for (place, admission) in admissions {
        let at = admission.admitted;
        level = (level + (at - last).min(1000) * queue.rate).min(full + ROUNDING);
        if records.lost_within(Span { from: last, to: at }) {
            level = full + ROUNDING;
        }
        last = at;
        if level < 1000 {
            let detail = format!("{}: place {place} at {at} is more than {} a second", queue.name, queue.rate);
            records.breach("never faster than the rate", detail);
            level = full + ROUNDING;
        }
        level -= 1000;
    }
}
