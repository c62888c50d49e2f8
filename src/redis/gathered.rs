//! Calls of one script on one set of keys, gathered: those that come while a batch of them is under way go out together, and
//! the script carries out all of them (see `lua/each.lua`). Redis then starts a script once for many calls.
//!
//! A call may name another one to follow it, of another script on other keys, should its reply ask for it. All that follow
//! a batch go out together as soon as it is answered, so nobody is woken in between.

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

/// What may follow a call.
#[derive(Debug, Clone)]
pub struct Then {
    /// The script.
    pub calls: Gathered,
    /// The call's arguments.
    pub args: Args,
}

impl Then {
    /// The reply that it has had as what followed; else it is called now.
    pub async fn reply(&self, followed: Followed) -> Result<Reply, StoreError> {
        match followed {
            Some(reply) => reply,
            None => self.calls.call(self.args.clone()).await,
        }
    }
}

/// The reply to what followed, if it did.
pub type Followed = Option<Result<Reply, StoreError>>;

/// When there is something to follow.
type Asks = fn(&Reply) -> bool;

struct Job {
    args: Args,
    then: Option<(Then, Asks)>,
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

    /// Calls the script. Bounded by Redis' time-out, once for waiting and once for its own; a failure leaves it unknown whether it
    /// ran.
    pub async fn call(&self, args: Args) -> Result<Reply, StoreError> {
        self.submit(Job { args, then: None }).await.0
    }

    /// Calls the script, and then the other one, if `asks` finds that the reply wants it. What follows a batch belongs to it: its
    /// calls are answered, and the next one begins, after that; and Redis' time-out counts once more.
    pub async fn call_then(
        &self,
        args: Args,
        then: Option<&Then>,
        asks: fn(&Reply) -> bool,
    ) -> Result<(Reply, Followed), StoreError> {
        let (reply, followed) = self.submit(Job { args, then: then.map(|then| (then.clone(), asks)) }).await;
        Ok((reply?, followed))
    }

    async fn submit(&self, job: Job) -> (Result<Reply, StoreError>, Followed) {
        self.0.submit(job).await.unwrap_or_else(|why| {
            let source = why.into();
            (Err(StoreError::Unavailable { store: "redis", source }), None)
        })
    }

    fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self.0.work(), other.0.work())
    }
}

impl Calls {
    /// One call of the script for all of these.
    async fn each(&self, calls: &[&Args]) -> Vec<Result<Reply, StoreError>> {
        let mut call = self.script.on(&self.keys);
        for arg in calls.last().iter().flat_map(|last| &last.shared) {
            call.add(arg);
        }
        for arg in calls.iter().flat_map(|args| &args.own) {
            call.add(arg);
        }
        match self.redis.run(call).await {
            Ok(reply) => reply.each(calls.len()),
            Err(error) => error.repeat().take(calls.len()).map(Err).collect(),
        }
    }
}

/// Calls what is to follow these replies: as a rule one script for all. Each job's, in their order.
async fn follow(jobs: &[Job], replies: &[Result<Reply, StoreError>]) -> Vec<Followed> {
    let mut followed: Vec<Followed> = jobs.iter().map(|_| None).collect();
    let all = jobs.iter().zip(replies).enumerate();
    let mut left: Vec<_> = all.filter_map(|(at, (job, reply))| Some((at, wanted(job, reply)?))).collect();
    while let Some((_, first)) = left.first() {
        let script = &first.calls;
        let (now, later): (Vec<_>, Vec<_>) = left.iter().partition(|(_, then)| then.calls.is(script));
        let calls: Vec<&Args> = now.iter().map(|(_, then)| &then.args).collect();
        for ((at, _), reply) in now.iter().zip(script.0.work().each(&calls).await) {
            followed[*at] = Some(reply);
        }
        left = later;
    }
    followed
}

fn wanted<'a>(job: &'a Job, reply: &Result<Reply, StoreError>) -> Option<&'a Then> {
    let (then, asks) = job.then.as_ref()?;
    reply.as_ref().is_ok_and(asks).then_some(then)
}

impl Work for Calls {
    type Job = Job;
    type Answer = (Result<Reply, StoreError>, Followed);
    type Key = ();

    fn op(&self) -> &'static str {
        self.script.op()
    }

    /// The script itself carries out one after the other.
    fn keys(_: &Job) -> impl IntoIterator<Item = ()> {
        None
    }

    async fn run(&self, jobs: Vec<Job>) -> Vec<Self::Answer> {
        let calls: Vec<&Args> = jobs.iter().map(|job| &job.args).collect();
        let replies = self.each(&calls).await;
        let followed = follow(&jobs, &replies).await;
        replies.into_iter().zip(followed).collect()
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
