//! What the queue's scripts are asked and answer of a token, in the terms of this program.

use std::time::Duration;

use crate::ids::ScheduleId;

/// What a token is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may try, for so long yet.
    Active {
        /// Time left.
        left: Duration,
    },
    /// Not its turn.
    Waiting,
    /// Its time is over, or it left.
    Expired,
    /// It has paid.
    Completed,
    /// This queue, as Redis knows it, never gave that place.
    Unknown,
}

/// What a token is now, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// `ahead` others come first; it lapses at that time unless it is seen again.
    Waiting {
        /// How many are before it.
        ahead: u64,
        /// Milliseconds since 1970 by Redis' clock.
        expires_ms: i64,
        /// Its order; 0 if that is to be drawn.
        order: u64,
        /// Its entry number, if it is to be drawn; else 0.
        entry: u64,
    },
    /// It may try until then.
    Active {
        /// Milliseconds since 1970 by Redis' clock.
        expires_ms: i64,
        /// Time left.
        left: Duration,
    },
    /// Its time is over, or it left.
    Expired,
    /// It has paid.
    Completed,
    /// This queue, as Redis knows it, never gave that place.
    Unknown,
}

/// How leaving went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// It left; in these schedules it may hold seats.
    Left(Vec<ScheduleId>),
    /// It had ended before.
    Gone,
    /// This queue, as Redis knows it, never gave that place.
    Unknown,
}

/// How ending a token after a payment went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// It has ended.
    Completed,
    /// It lives on, and ends with the last hold.
    Kept,
    /// It lives on for now: seats may be held in these schedules, which are to be looked into.
    Holding(Vec<ScheduleId>),
    /// It lives on for now: what is held in this schedule is not known, since Redis has not got its map.
    Missing(ScheduleId),
    /// It was not active any more.
    Gone,
}
