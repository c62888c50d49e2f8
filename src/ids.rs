//! The ids of the API: whole numbers from 1 to 2^53 - 1, so that every client's JSON numbers can hold them, each of a
//! type of its own, so that a seat's id never passes for a schedule's.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The greatest id and amount: 2^53 - 1, the last whole number that a JSON number holds exactly.
pub const GREATEST: i64 = 9_007_199_254_740_991;

/// An id of a `Kind`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id<Kind>(i64, PhantomData<fn() -> Kind>);

/// Marks a user's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum User {}
/// Marks a concert's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Concert {}
/// Marks a schedule's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schedule {}
/// Marks a seat's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seat {}
/// Marks a reservation's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reservation {}
/// Marks a payment's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Payment {}
/// Marks the id of an entry in a wallet's ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transaction {}

/// What an id is of.
pub trait Kind {
    /// What an id of this kind is, for `/openapi.json`.
    const SAYS: &'static str;
}

impl Kind for User {
    const SAYS: &'static str = "A user's id.";
}

impl Kind for Concert {
    const SAYS: &'static str = "A concert's id.";
}

impl Kind for Schedule {
    const SAYS: &'static str = "The id of one evening of a concert.";
}

impl Kind for Seat {
    const SAYS: &'static str = "The id of one seat on one evening.";
}

impl Kind for Reservation {
    const SAYS: &'static str = "A reservation's id, given with the hold and kept by the sale.";
}

impl Kind for Payment {
    const SAYS: &'static str = "The id of a payment in the history.";
}

impl Kind for Transaction {
    const SAYS: &'static str = "The id of an entry in a wallet's ledger.";
}

/// A user's id, the `userId` header.
pub type UserId = Id<User>;
/// A concert's id.
pub type ConcertId = Id<Concert>;
/// The id of one evening of a concert.
pub type ScheduleId = Id<Schedule>;
/// The id of one seat on one evening.
pub type SeatId = Id<Seat>;
/// A reservation's id, given with the hold and kept by the sale.
pub type ReservationId = Id<Reservation>;
/// The id of a payment in the history.
pub type PaymentId = Id<Payment>;
/// The id of an entry in a wallet's ledger.
pub type TransactionId = Id<Transaction>;

/// The number is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is a whole number from 1 to 9007199254740991")]
pub struct NotAnId;

impl<Kind> Id<Kind> {
    /// The number itself.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl<Kind> TryFrom<i64> for Id<Kind> {
    type Error = NotAnId;

    fn try_from(number: i64) -> Result<Self, NotAnId> {
        if (1..=GREATEST).contains(&number) { Ok(Self(number, PhantomData)) } else { Err(NotAnId) }
    }
}

/// Reads decimal digits and nothing else: no sign, no spaces, no leading zero.
impl<Kind> FromStr for Id<Kind> {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAnId);
        }
        text.parse::<i64>().map_err(|_| NotAnId)?.try_into()
    }
}

impl<Kind> fmt::Display for Id<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<Kind> fmt::Debug for Id<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<Kind> Serialize for Id<Kind> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<K: Kind> JsonSchema for Id<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "format": "int64", "minimum": 1, "maximum": GREATEST, "description": K::SAYS, "examples": [1],
        })
    }
}

impl<'de, Kind> Deserialize<'de> for Id<Kind> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer)?.try_into().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_whole_numbers_in_range_are_ids() {
        assert_eq!("1".parse::<UserId>().map(Id::get), Ok(1));
        assert_eq!("9007199254740991".parse::<UserId>().map(Id::get), Ok(GREATEST));
        for bad in
            ["", "0", "-1", "+1", " 1", "1 ", "1.0", "01", "1e3", "９", "9007199254740992", "99999999999999999999"]
        {
            assert_eq!(bad.parse::<UserId>(), Err(NotAnId), "{bad:?}");
        }
    }

    #[test]
    fn json_ids_are_numbers_in_range() {
        assert!(serde_json::from_str::<SeatId>("7").is_ok());
        for bad in ["0", "-1", "1.5", "\"7\"", "null", "9007199254740992", "1e2"] {
            assert!(serde_json::from_str::<SeatId>(bad).is_err(), "{bad}");
        }
    }
}
