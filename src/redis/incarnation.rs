//! Which Redis a connection leads to. Every process of Redis has a `run_id` of its own, so a restart or a replica that took
//! over is told from the Redis that was there before, though it may hold nearly the same data. What was opened in another
//! incarnation is compared with Postgres before it answers.

use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{FromRedisValue, RedisError, Value};

/// Names a Redis, or all the masters of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Incarnation(Arc<str>);

impl Incarnation {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Asks who answers there; none if that is a replica, which takes no writes.
    pub(super) async fn ask(connection: &mut impl ConnectionLike) -> Result<Option<Self>, RedisError> {
        let mut runs = Vec::new();
        let info: Value = redis::cmd("INFO").query_async(connection).await?;
        for node in texts(info) {
            if field(&node, "role:") == "master" {
                runs.push(field(&node, "run_id:").to_owned());
            }
        }
        runs.sort_unstable();
        Ok((!runs.is_empty()).then(|| Self::of(&runs)))
    }

    /// A single Redis by its own id, a cluster by the hash of its masters'.
    fn of(runs: &[String]) -> Self {
        match runs {
            [run] => Self(run.as_str().into()),
            runs => Self(blake3::hash(runs.concat().as_bytes()).to_hex().as_str().into()),
        }
    }
}

/// A field of what INFO answers; empty if it is not there.
pub(super) fn field<'a>(info: &'a str, name: &str) -> &'a str {
    info.lines().find_map(|line| line.strip_prefix(name)).map_or("", str::trim)
}

/// The texts of a reply that a cluster gives a node each, and a single server as one.
pub(super) fn texts(value: Value) -> Vec<String> {
    match value {
        Value::Map(nodes) => nodes.into_iter().flat_map(|(_, value)| texts(value)).collect(),
        Value::Array(values) => values.into_iter().flat_map(texts).collect(),
        value => String::from_redis_value(value).into_iter().collect(),
    }
}
