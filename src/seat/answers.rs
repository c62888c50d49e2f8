//! What the seat scripts are asked and answer, in the terms of this program.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::ids::{ReservationId, UserId};
use crate::queue::{Ended, Standing};

/// Which state of a map is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) generation: String,
    pub(super) version: u64,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.generation, self.version)
    }
}

/// What looking at a map gave.
#[derive(Debug)]
pub(super) enum Look {
    /// It has not changed.
    Same,
    /// It has.
    Seats { known: Known, states: Bytes },
}

/// Who takes seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Whose they are to be.
    pub user: UserId,
    /// The place of the token under which they are taken, in the queue that serves the schedule.
    pub place: u64,
    /// Names that token: digits and hyphens that no other token has.
    pub token: String,
}

/// How holding went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It is the user's.
    Held {
        /// Under this reservation.
        reservation: ReservationId,
        /// How long the token is active yet.
        token_left: Duration,
    },
    /// Held or sold to someone else.
    Taken,
    /// The user holds as many as one may.
    Limit,
    /// The schedule has no such seat.
    NoSeat,
    /// The token may not try.
    NotActive(Standing),
}

/// How holding several went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldMany {
    /// All of them are the user's.
    Held {
        /// Each seat's position, and under which reservation it is held.
        seats: Vec<(u32, ReservationId)>,
        /// When the first of them lapses, in milliseconds since 1970 by Redis' clock.
        expires_ms: i64,
        /// How long the token is active yet.
        token_left: Duration,
    },
    /// One of them is held or sold to someone else, or there are not as many.
    Taken,
    /// The user would hold more than one may.
    Limit,
    /// The schedule has not got all of these seats.
    NoSeat,
    /// The token may not try.
    NotActive(Standing),
}

impl From<Ended> for Hold {
    fn from(ended: Ended) -> Self {
        Self::NotActive(ended.into())
    }
}

impl From<Ended> for HoldMany {
    fn from(ended: Ended) -> Self {
        Self::NotActive(ended.into())
    }
}

/// A reservation as the map has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub reservation: ReservationId,
    /// What has become of it.
    pub status: HoldStatus,
    /// Its seat's place in the map.
    pub position: u32,
    /// When it lapses, or would, in milliseconds since 1970 by Redis' clock.
    pub expires_ms: i64,
}

/// What has become of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldStatus {
    /// It is held.
    Held,
    /// It is being paid.
    Paying,
    /// It is paid.
    Sold,
    /// Its user gave it up, or its seat turned out to be sold.
    GivenUp,
    /// It has lapsed, or was refunded.
    Ended,
}

/// How giving up a hold went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// The seat is free.
    Released,
    /// It was given up before.
    GivenUp,
    /// It had ended otherwise.
    Lapsed,
    /// It is being paid.
    Paying,
    /// It is paid.
    Sold,
    /// It is held under a later token than the one that was named, or one of another queue.
    LaterToken,
    /// Not this user's, or not known.
    Unknown,
}

/// How beginning a payment went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// The seat at this position waits for the money.
    Begun {
        /// Its place in the map.
        position: u32,
        /// Counts the attempts to pay for this reservation, from 1.
        attempt: i32,
    },
    /// Another request is paying for it.
    Paying,
    /// It is held under another token than the one that was named.
    OtherToken,
    /// It is paid.
    Sold,
    /// The hold has lapsed or was given up.
    Lapsed,
    /// Not known, or ended; but Redis was lost just now, and a payment that it has forgotten may be under way.
    Doubtful,
    /// Not this user's, or not known.
    Unknown,
}

/// How a payment ended, as Postgres says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The seat is sold.
    Paid,
    /// Nothing was taken: the hold is what it was.
    Refused,
    /// The reservation is never sold any more: what was taken was given back.
    Aborted,
    /// Nothing was taken, since Postgres has the seat as another's: the map did not know, and learns it now.
    SoldToAnother,
}

/// What the map made of a payment's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Sold.
    Sold {
        /// Whether the token has ended with it, or there was none to end.
        is_token_done: bool,
    },
    /// Held again, till its old deadline.
    Held,
    /// Free.
    Freed,
    /// The seat is marked as sold to another.
    Yielded,
    /// There was nothing to end.
    Gone,
    /// Redis has no map; one that is built later will be right.
    Missing,
}

/// An attempt to pay for a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// For this reservation.
    pub reservation: ReservationId,
    /// By this user.
    pub user: UserId,
    /// For the seat at this place in the map.
    pub position: u32,
    /// Counts the attempts for this reservation, from 1.
    pub number: i32,
}

/// A hold of a user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its reservation.
    pub reservation: ReservationId,
    /// Whether it is being paid.
    pub paying: bool,
}

/// What a sweep did and saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Lapsed holds freed.
    pub freed: u32,
    /// Holds that live, those being paid included.
    pub live: u32,
    /// For how long the oldest payment has been under way; nothing if none is.
    pub oldest_payment: Duration,
    /// For the reconciler.
    pub suspicious: Vec<Attempt>,
}

/// A seat as the map has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whose {
    pub(super) position: u32,
    /// F, H, P or S.
    pub(super) state: u8,
    /// Whose it is; none if it is free, or sold to one whom the map does not know.
    pub(super) reservation: Option<ReservationId>,
}
