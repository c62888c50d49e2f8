//! Calls of one script on one set of keys, gathered: those that come while a batch of them is under way go out together, and
//! the script carries out all of them (see `lua/each.lua`). Redis then starts a script once for many calls.

use redis::{RedisWrite, ToRedisArgs};

use super::connection::Redis;
use super::reply::Reply;
use super::script::Script;
use crate::batch::{Batcher, Bounds, Work};
use crate::store_error::StoreError;

/// One batch at a time: while it is under way the next one gathers.
const LANES: usize = 1;

/// No script takes much longer than a millisecond for a whole batch, so that it keeps nobody else waiting.
const SIZE: usize = 128;

/// Seldom are so many there: fewer requests may be in flight.
const WAITING: usize = 16_384;

/// A script that takes many calls at once, on its keys.
#[derive(Debug, Clone)]
pub struct Gathered(Batcher<Calls>);

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// A word.
    Word(&'static str),
}

/// A call's arguments.
#[derive(Debug, Clone)]
pub struct Args {
    /// What the calls of a batch have in common. They come within a moment of each other: the last one's are used.
    pub shared: Vec<Arg>,
    /// What is this call's alone; every call has as many.
    pub own: Vec<Arg>,
}

struct Calls {
    redis: Redis,
    script: &'static Script,
    keys: Vec<String>,
}

impl Gathered {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(redis: Redis, script: &'static Script, keys: impl AsRef<[String]>) -> Self {
        let bounds = Bounds { lanes: LANES, size: SIZE, waiting: WAITING, patience: redis.timeout() };
        let keys = keys.as_ref().to_vec();
        Self(Batcher::new(Calls { redis, script, keys }, bounds))
    }

    /// Calls the script. Bounded by Redis' time-out, once for the batch under way and once for its own; a failure leaves it
    /// unknown whether it ran.
    pub async fn call(&self, args: Args) -> Result<Reply, StoreError> {
        self.0.submit(args).await.map_err(|why| StoreError::Unavailable { store: "redis", source: why.into() })?
    }
}

impl Work for Calls {
    type Job = Args;
    type Answer = Result<Reply, StoreError>;
    type Key = ();

    fn op(&self) -> &'static str {
        self.script.op()
    }

    /// The script itself carries out one after the other.
    fn keys(_: &Args) -> impl IntoIterator<Item = ()> {
        None
    }

    async fn run(&self, jobs: Vec<Args>) -> Vec<Self::Answer> {
        let mut call = self.script.on(&self.keys);
        for arg in jobs.last().iter().flat_map(|last| &last.shared) {
            call.add(arg);
        }
        for arg in jobs.iter().flat_map(|job| &job.own) {
            call.add(arg);
        }
        match self.redis.run(call).await {
            Ok(reply) => reply.each(jobs.len()),
            Err(error) => error.repeat().take(jobs.len()).map(Err).collect(),
        }
    }
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Arg {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Arg {
    /// Nothing that we count comes near the end of an `i64`.
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Arg {
    fn from(is: bool) -> Self {
        Self::Number(is.into())
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&'static str> for Arg {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl ToRedisArgs for Arg {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        match self {
            Self::Number(number) => number.write_redis_args(out),
            Self::Text(text) => text.write_redis_args(out),
            Self::Word(word) => word.write_redis_args(out),
        }
    }
}
