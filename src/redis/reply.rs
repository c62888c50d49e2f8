//! A script's reply: a word, then values. Every script answers this way.

use redis::{FromRedisValue, Value};

use crate::store_error::StoreError;

/// Whether what Redis refuses by this code is for later.
pub(super) fn is_passing(code: Option<&str>) -> bool {
    let codes =
        ["OOM", "READONLY", "BUSY", "NOREPLICAS", "MISCONF", "LOADING", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN"];
    code.is_some_and(|code| codes.contains(&code))
}

/// A script's reply, read from left to right.
#[derive(Debug)]
pub struct Reply {
    op: &'static str,
    values: std::vec::IntoIter<Value>,
}

impl Reply {
    pub(super) fn new(op: &'static str, values: Vec<Value>) -> Self {
        Self { op, values: values.into_iter() }
    }

    /// The next value, as a number, a text or bytes.
    pub fn take<T: FromRedisValue>(&mut self) -> Result<T, StoreError> {
        let value = self.values.next().unwrap_or(Value::Nil);
        T::from_redis_value(value).map_err(|error| self.unexpected(&error.to_string()))
    }

    /// The next value, a text, as what it spells.
    pub fn parse<T: std::str::FromStr>(&mut self) -> Result<T, StoreError> {
        let text: String = self.take()?;
        text.parse().map_err(|_| self.unexpected(&text))
    }

    /// All values that are left.
    pub fn rest<T: FromRedisValue>(&mut self) -> Result<Vec<T>, StoreError> {
        let mut rest = Vec::with_capacity(self.values.len());
        while self.values.len() > 0 {
            rest.push(self.take()?);
        }
        Ok(rest)
    }

    /// The replies to so many calls, in their order. One that is no list of replies is everybody's.
    pub(super) fn each(self, calls: usize) -> Vec<Result<Self, StoreError>> {
        let Self { op, mut values } = self;
        if !matches!(values.as_slice().first(), Some(Value::Array(_))) {
            return (0..calls).map(|_| Ok(Self::new(op, values.as_slice().to_vec()))).collect();
        }
        let mut reply = || match values.next() {
            Some(Value::Array(values)) => Self::new(op, values).unless_failed(),
            _ => Err(Self::new(op, Vec::new()).unexpected("too few replies")),
        };
        (0..calls).map(|_| reply()).collect()
    }

    /// What a call of several says that failed by itself.
    fn unless_failed(mut self) -> Result<Self, StoreError> {
        match self.values.as_slice().first() {
            Some(Value::BulkString(word)) if word == b"FAILED" => {}
            _ => return Ok(self),
        }
        self.values.next();
        let why: String = self.take()?;
        Err(if is_passing(why.split(' ').next()) {
            StoreError::Unavailable { store: "redis", source: why.into() }
        } else {
            self.unexpected(&why)
        })
    }

    /// For a word that the caller does not know.
    #[must_use]
    pub fn unexpected(&self, what: &str) -> StoreError {
        let source = format!("{} answered {what:?}", self.op).into();
        StoreError::Unexpected { store: "redis", source }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::ids::UserId;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Int),
            vec(any::<u8>(), 0..12).prop_map(Value::BulkString),
            "FAILED|OOM x|[A-Z]{1,8}".prop_map(|word| Value::BulkString(word.into_bytes())),
            "[a-z]{0,8}".prop_map(Value::SimpleString),
            any::<f64>().prop_map(Value::Double),
            Just(Value::Okay),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| vec(inner, 0..4).prop_map(Value::Array))
    }

    proptest! {
        #[test]
        fn whatever_redis_says_is_understood_or_an_error(values in vec(any_value(), 0..6), calls in 0_usize..5) {
            let reply = || Reply::new("room.script", values.clone());
            let _ = reply().take::<String>();
            let _ = reply().take::<u64>();
            let _ = reply().parse::<UserId>();
            let _ = reply().rest::<u64>();
            let _ = reply().rest::<Vec<u8>>();
            prop_assert_eq!(reply().each(calls).len(), calls);
        }
    }
}
