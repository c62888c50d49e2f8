//! What a burst came to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::figures::{CALLS, Figures, Moment};
use super::settings::BurstSettings;
use crate::ids::ScheduleId;

/// What a burst came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Of which schedule the seats were.
    pub schedule: ScheduleId,
    /// How many came.
    pub people: u32,
    /// Within how many seconds.
    pub seconds_to_arrive: u32,
    /// How many were let in.
    pub admitted: u64,
    /// How many have a ticket.
    pub sold: u64,
    /// How many left while they waited.
    pub left: u64,
    /// How many held a seat and never paid.
    pub lapsed: u64,
    /// How many have no ticket, by reason.
    pub refused: BTreeMap<String, u64>,
    /// How often somebody else was faster to a seat.
    pub seats_lost: u64,
    /// Answers that a call had to be made again for, and answers that did not come.
    pub errors: u64,
    /// How long all of it took.
    pub seconds: f64,
    /// Answers, and how many a second.
    pub requests: u64,
    /// Likewise.
    pub requests_per_second: f64,
    /// Of each kind of request, from sending it to its answer.
    pub calls: BTreeMap<&'static str, Times>,
    /// From the token to being let in.
    pub waiting: Times,
    /// From arriving to the ticket.
    pub time_to_ticket: Times,
    /// Before sending: long ones mean that this program, not the server, is the narrow place.
    pub connection_wait: Times,
    /// How it went.
    pub timeline: Vec<Moment>,
    gone: bool,
}

/// Half and 99 of 100 took no longer than these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// How many there were.
    pub count: usize,
    /// Milliseconds.
    pub p50_ms: f64,
    /// Milliseconds.
    pub p99_ms: f64,
    /// Milliseconds.
    pub max_ms: f64,
}

impl Report {
    pub(super) fn new(settings: &BurstSettings, figures: &Figures, schedule: ScheduleId, gone: bool) -> Self {
        let now = figures.now();
        let state = &mut *figures.state();
        let seconds = Duration::from_millis(now.ms).as_secs_f64();
        let calls = CALLS.into_iter().map(|(call, name)| (name, Times::of(&mut state.calls[call as usize])));
        let calls = calls.filter(|(_, times)| times.count > 0).collect();
        let [turn, ticket, connection] = &mut state.waits;
        #[expect(clippy::cast_precision_loss, reason = "no burst has 2^53 requests")]
        let requests_per_second = figures.requests() as f64 / seconds.max(0.001);
        Self {
            schedule,
            people: settings.users,
            seconds_to_arrive: settings.seconds,
            admitted: now.admitted,
            sold: now.sold,
            left: state.left,
            lapsed: state.lapsed,
            refused: std::mem::take(&mut state.refused),
            seats_lost: figures.times_too_late(),
            errors: figures.failures(),
            seconds,
            requests: figures.requests(),
            requests_per_second,
            calls,
            waiting: Times::of(turn),
            time_to_ticket: Times::of(ticket),
            connection_wait: Times::of(connection),
            timeline: std::mem::take(&mut state.timeline),
            gone,
        }
    }

    /// What the picture is called.
    #[must_use]
    pub fn title(&self) -> String {
        let (people, seconds, schedule, sold) = (self.people, self.seconds_to_arrive, self.schedule, self.sold);
        format!("{people} people within {seconds} s for schedule {schedule}: {sold} sold")
    }

    /// Why this is no good result, if it is none.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let refused = |reasons: &[&str]| -> u64 { reasons.iter().filter_map(|word| self.refused.get(*word)).sum() };
        if refused(&["SCHEDULE_NOT_FOUND", "WRONG_QUEUE"]) > 0 {
            return Some(format!("schedule {} is not there, or not sold in that queue", self.schedule));
        }
        let unheard = refused(&["no answer", "not onsale's"]);
        match (self.gone, unheard) {
            (true, unheard) => Some(format!("the server has stopped answering; {unheard} people were on their way")),
            (false, 0) => None,
            (false, unheard) => Some(format!("{unheard} people were not answered")),
        }
    }
}

impl Times {
    /// Of microseconds, which are sorted on the way.
    fn of(micros: &mut [u64]) -> Self {
        micros.sort_unstable();
        let at = |percent: usize| {
            // The nearest rank: the least that so many are not above.
            let rank = (micros.len() * percent).div_ceil(100);
            micros.get(rank.saturating_sub(1)).map_or(0.0, |micros| Duration::from_micros(*micros).as_secs_f64() * 1e3)
        };
        Self { count: micros.len(), p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title())?;
        writeln!(f)?;
        for (name, count) in [
            ("people", u64::from(self.people)),
            ("admitted", self.admitted),
            ("sold", self.sold),
            ("left the queue", self.left),
            ("let a hold lapse", self.lapsed),
        ] {
            writeln!(f, "{name:<28}{count:>10}")?;
        }
        for (reason, count) in &self.refused {
            writeln!(f, "{:<28}{count:>10}", format!("refused: {reason}"))?;
        }
        writeln!(f, "{:<28}{:>10}", "lost a seat to another", self.seats_lost)?;
        writeln!(f, "{:<28}{:>10}", "errors, tried again", self.errors)?;
        writeln!(f)?;
        writeln!(f, "{:<18}{:>9}{:>12}{:>12}{:>12}", "milliseconds", "count", "p50", "p99", "longest")?;
        let waits = [
            ("waiting", &self.waiting),
            ("time to ticket", &self.time_to_ticket),
            ("for a connection", &self.connection_wait),
        ];
        // In the order of the visit.
        let calls = CALLS.iter().filter_map(|(_, name)| Some((*name, self.calls.get(name)?)));
        for (name, times) in calls.chain(waits) {
            let Times { count, p50_ms, p99_ms, max_ms } = times;
            writeln!(f, "{name:<18}{count:>9}{p50_ms:>12.1}{p99_ms:>12.1}{max_ms:>12.1}")?;
        }
        writeln!(f)?;
        let (requests, seconds, rate) = (self.requests, self.seconds, self.requests_per_second);
        writeln!(f, "{requests} requests in {seconds:.1} s: {rate:.0} a second")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_nearest_rank() {
        let mut micros: Vec<u64> = (1..=200).rev().map(|ms| ms * 1000).collect();
        let times = Times { count: 200, p50_ms: 100.0, p99_ms: 198.0, max_ms: 200.0 };
        assert_eq!(Times::of(&mut micros), times);
        assert_eq!(Times::of(&mut [7000]), Times { count: 1, p50_ms: 7.0, p99_ms: 7.0, max_ms: 7.0 });
        assert_eq!(Times::of(&mut []), Times::default());
    }
}
