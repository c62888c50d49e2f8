//! Scripts as values: a name for metrics and errors, the source that the program carries, a call with keys and arguments.

use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{RedisError, ScriptInvocation, ToRedisArgs};

use super::incarnation::Incarnation;
use super::reply::Reply;

/// A duration as scripts take it.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Put before scripts that take many calls at once.
pub const EACH: &str = include_str!("../../lua/each.lua");

/// A Lua script. Made once, in a `LazyLock`, so that its hash is computed once.
#[derive(Debug)]
pub struct Script {
    op: &'static str,
    script: redis::Script,
}

/// A script with its keys and arguments, ready for [`Redis::run`](super::Redis::run).
pub struct Call<'a> {
    op: &'static str,
    invocation: ScriptInvocation<'a>,
}

impl Script {
    /// `op` is `room.script`, as in `lua/room/script.lua`; its source follows those that it shares with others.
    #[must_use]
    pub fn new(op: &'static str, sources: &[&str]) -> Self {
        Self { op, script: redis::Script::new(&sources.join("\n")) }
    }

    /// The name in metrics and errors.
    #[must_use]
    pub fn op(&self) -> &'static str {
        self.op
    }

    /// Begins a call on these keys.
    pub fn on(&self, keys: impl AsRef<[String]>) -> Call<'_> {
        let mut invocation = self.script.prepare_invoke();
        for key in keys.as_ref() {
            invocation.key(key.as_str());
        }
        Call { op: self.op, invocation }
    }
}

impl Call<'_> {
    /// Adds an argument, or each of several.
    #[must_use]
    pub fn arg(mut self, value: impl ToRedisArgs) -> Self {
        self.invocation.arg(value);
        self
    }

    pub(super) fn op(&self) -> &'static str {
        self.op
    }

    pub(super) fn add(&mut self, value: impl ToRedisArgs) {
        self.invocation.arg(value);
    }

    /// By hash; a Redis that does not know the script is given it and asked again. The last argument of every script says
    /// which Redis the connection leads to.
    pub(super) async fn invoke(
        mut self,
        connection: &mut impl ConnectionLike,
        incarnation: &Incarnation,
    ) -> Result<Reply, RedisError> {
        self.invocation.arg(incarnation.as_str());
        let values = self.invocation.invoke_async(connection).await?;
        Ok(Reply::new(self.op, values))
    }
}
