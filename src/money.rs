//! Whole won. The arithmetic on balances is Postgres' own, under CHECK constraints; here amounts are only read, bounded
//! and passed on.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::ids::GREATEST;

/// An amount in whole won (KRW).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Won(pub i64);

/// The most that one charge adds.
pub const GREATEST_CHARGE: Won = Won(100_000_000);

/// The most that a wallet holds.
pub const GREATEST_BALANCE: Won = Won(1_000_000_000_000);

/// The amount of a charge as it came in: a whole number, not yet known to be in range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RawAmount(Option<i64>);

/// The amount is not one that can be charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount is a whole number from 1 to 100000000")]
pub struct OutOfRange;

impl JsonSchema for Won {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Won".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "format": "int64", "minimum": -GREATEST, "maximum": GREATEST,
            "description": "An amount in whole won (KRW).", "examples": [150_000],
        })
    }
}

impl JsonSchema for RawAmount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "format": "int64", "minimum": 1, "maximum": GREATEST_CHARGE.0,
            "description": "An amount to add, in whole won (KRW).", "examples": [200_000],
        })
    }
}

impl RawAmount {
    /// The amount, if it is in range.
    pub fn to_charge(self) -> Result<Won, OutOfRange> {
        self.0.map(Won).filter(|amount| (Won(1)..=GREATEST_CHARGE).contains(amount)).ok_or(OutOfRange)
    }
}

/// Whole numbers of any size are amounts, if perhaps out of range; anything else is no amount at all.
impl<'de> Deserialize<'de> for RawAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        if let Some(amount) = number.as_i64() {
            return Ok(Self(Some(amount)));
        }
        // Numbers too large for 64 bits arrive as floating-point ones, all of which are whole from 2^53 on.
        let too_large = number.as_f64().is_some_and(|number| number.abs() >= 9_007_199_254_740_992.0);
        if too_large { Ok(Self(None)) } else { Err(D::Error::custom("amount is not a whole number")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_amounts_and_only_some_are_in_range() {
        let read = |text: &str| serde_json::from_str::<RawAmount>(text).ok().map(RawAmount::to_charge);
        assert_eq!(read("1"), Some(Ok(Won(1))));
        assert_eq!(read("100000000"), Some(Ok(GREATEST_CHARGE)));
        for out in
            ["0", "-1", "100000001", "9223372036854775807", "-9223372036854775808", "18446744073709551616", "1e300"]
        {
            assert_eq!(read(out), Some(Err(OutOfRange)), "{out}");
        }
        for no_amount in ["1.5", "1000.0", "\"1000\"", "null", "true", "[]", "{}", "1e309", "1e2"] {
            assert_eq!(read(no_amount), None, "{no_amount}");
        }
    }
}
