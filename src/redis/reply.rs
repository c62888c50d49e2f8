//! A script's reply: a word, then values. Every script answers this way.

use redis::{FromRedisValue, Value};

use crate::store_error::StoreError;

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

    /// For a word that the caller does not know.
    #[must_use]
    pub fn unexpected(&self, what: &str) -> StoreError {
        let source = format!("{} answered {what:?}", self.op).into();
        StoreError::Unexpected { store: "redis", source }
    }
}
