//! The queue's only script calls and SQL.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use super::directory::{Directory, Queue, QueueId, QueueSettings};
use super::token::Claim;
use crate::ids::{ScheduleId, UserId};
use crate::postgres::Postgres;
use crate::redis::{Call, Keys, Redis, Script, millis};
use crate::store_error::StoreError;

const TOKEN: &str = include_str!("../../lua/queue/token.lua");
const ADMIT: &str = include_str!("../../lua/queue/admit.lua");

static OPEN: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.open", &[TOKEN, include_str!("../../lua/queue/open.lua")]));
static ENTER: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.enter", &[TOKEN, ADMIT, include_str!("../../lua/queue/enter.lua")]));
static PROMOTE: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.promote", &[TOKEN, ADMIT, include_str!("../../lua/queue/promote.lua")]));
static RANK: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.rank", &[TOKEN, include_str!("../../lua/queue/rank.lua")]));
static CHECK: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.check", &[TOKEN, include_str!("../../lua/queue/check.lua")]));
static LEAVE: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.leave", &[TOKEN, include_str!("../../lua/queue/leave.lua")]));
static COMPLETE: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.complete", &[TOKEN, include_str!("../../lua/queue/complete.lua")]));

static AUDIT: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.audit", &[TOKEN, include_str!("../../lua/queue/audit.lua")]));

/// Places of one epoch: an epoch's first place is `epoch << EPOCH_BITS`. With the 2^20 epochs that Postgres allows, places
/// stay below 2^52, which sorted sets hold exactly.
const EPOCH_BITS: u32 = 32;

/// How many may be let in, and reaped, on the way of one entering.
const ENTER_LIMIT: u32 = 64;

/// The most that one step admits, ends, reaps or forgets, of each: a bound on how long the script keeps Redis busy.
const STEP_LIMIT: u32 = 1000;

/// How long an ended token's record is kept, to say what became of it.
const ENDED_RETENTION: Duration = Duration::from_hours(1);

/// What the scripts let in or ended on the way.
#[derive(Debug, Default)]
pub(super) struct Admissions {
    issued: u64,
    expired: u64,
    abandoned: u64,
    /// Of each admitted, from entering to being active.
    waits_ms: Vec<u64>,
}

impl Admissions {
    /// Counts them.
    pub(super) fn record(&self, queue: &Queue) {
        let name = queue.name.clone();
        metrics::counter!("queue_tokens_issued_total", "queue" => name.clone()).increment(self.issued);
        metrics::counter!("queue_expired_total", "queue" => name.clone()).increment(self.expired + self.abandoned);
        metrics::counter!("queue_promoted_total", "queue" => name.clone()).increment(self.waits_ms.len() as u64);
        let waits = metrics::histogram!("queue_wait_seconds", "queue" => name);
        for wait in &self.waits_ms {
            waits.record(Duration::from_millis(*wait));
        }
    }
}

/// How entering went.
pub(super) enum Entry {
    /// Redis does not know the queue: open it.
    Unopened,
    /// The user has this place.
    Placed { place: u64, admissions: Admissions },
}

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
    },
    /// It may try until then.
    Active {
        /// Milliseconds since 1970 by Redis' clock.
        expires_ms: i64,
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

/// What is known of the seats that a user holds under a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Schedules in which it holds none.
    pub none_in: Vec<ScheduleId>,
    /// Schedules in which it holds some.
    pub some_in: Vec<ScheduleId>,
    /// Time until the last of those holds ends.
    pub left: Duration,
    /// If set, the token is left alone unless a seat was held in this schedule under it.
    pub only_if_held_in: Option<ScheduleId>,
}

/// How ending a token after a payment went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// It has ended.
    Completed,
    /// It lives on, and ends with the last hold.
    Kept,
    /// It lives on for now: seats may be held in these schedules too.
    Holding(Vec<ScheduleId>),
    /// It was not active any more.
    Gone,
}

/// How a scheduler's step went.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) waiting: u32,
    pub(super) active: u32,
    pub(super) more: bool,
    pub(super) admissions: Admissions,
}

/// A queue's invariants at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueAudit {
    /// Tokens active.
    pub active: u32,
    /// The greatest place among them; 0 if there are none.
    pub latest_active: u64,
    /// The least place of those who wait and are there; 0 if there are none.
    pub first_waiting: u64,
    /// Users with two live tokens, or with a token that is not what its place says.
    pub torn: u32,
}

pub(super) async fn open(redis: &Redis, queue: &Queue, epoch: i32) -> Result<(), StoreError> {
    let before_first = u64::from(epoch.unsigned_abs()) << EPOCH_BITS;
    redis.run(OPEN.on(&queue.keys).arg(before_first)).await?;
    Ok(())
}

pub(super) async fn enter(redis: &Redis, queue: &Queue, user: UserId) -> Result<Entry, StoreError> {
    let call = admission_args(ENTER.on(&queue.keys).arg(user.get()), &queue.settings).arg(ENTER_LIMIT);
    let mut reply = redis.run(call).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "UNOPENED" => Ok(Entry::Unopened),
        "WAITING" | "ACTIVE" => {
            let place = reply.parse()?;
            let (issued, expired, abandoned) = (reply.take()?, reply.take()?, reply.take()?);
            let waits_ms = reply.rest()?;
            Ok(Entry::Placed { place, admissions: Admissions { issued, expired, abandoned, waits_ms } })
        }
        word => Err(reply.unexpected(word)),
    }
}

pub(super) async fn promote(redis: &Redis, queue: &Queue) -> Result<Option<Step>, StoreError> {
    let call = admission_args(PROMOTE.on(&queue.keys), &queue.settings).arg(STEP_LIMIT).arg(millis(ENDED_RETENTION));
    let mut reply = redis.run(call).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "UNOPENED" => Ok(None),
        "STEPPED" => {
            let (waiting, active) = (reply.take()?, reply.take()?);
            let (expired, abandoned, more) = (reply.take()?, reply.take()?, reply.take()?);
            let admissions = Admissions { issued: 0, expired, abandoned, waits_ms: reply.rest()? };
            Ok(Some(Step { waiting, active, more, admissions }))
        }
        word => Err(reply.unexpected(word)),
    }
}

fn admission_args<'a>(call: Call<'a>, settings: &QueueSettings) -> Call<'a> {
    call.arg(settings.max_active)
        .arg(settings.admit_per_second)
        .arg(millis(settings.active_ttl))
        .arg(millis(settings.waiting_ttl))
}

fn claim_args<'a>(script: &'a Script, queue: &Queue, claim: &Claim) -> Call<'a> {
    script.on(&queue.keys).arg(claim.user.get()).arg(claim.place).arg(millis(queue.settings.waiting_ttl))
}

pub(super) async fn rank(redis: &Redis, queue: &Queue, claim: &Claim) -> Result<Rank, StoreError> {
    let mut reply = redis.run(claim_args(&RANK, queue, claim)).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "WAITING" => Ok(Rank::Waiting { ahead: reply.take()?, expires_ms: reply.take()? }),
        "ACTIVE" => Ok(Rank::Active { expires_ms: reply.take()? }),
        "EXPIRED" => Ok(Rank::Expired),
        "COMPLETED" => Ok(Rank::Completed),
        "UNKNOWN" => Ok(Rank::Unknown),
        word => Err(reply.unexpected(word)),
    }
}

pub(super) async fn check(
    redis: &Redis,
    queue: &Queue,
    claim: &Claim,
    keep: Option<(ScheduleId, Duration)>,
) -> Result<Standing, StoreError> {
    let (schedule, keep) = keep.map_or((0, 0), |(schedule, keep)| (schedule.get(), millis(keep)));
    let mut reply = redis.run(claim_args(&CHECK, queue, claim).arg(keep).arg(schedule)).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "ACTIVE" => Ok(Standing::Active { left: Duration::from_millis(reply.take()?) }),
        "WAITING" => Ok(Standing::Waiting),
        "EXPIRED" => Ok(Standing::Expired),
        "COMPLETED" => Ok(Standing::Completed),
        "UNKNOWN" => Ok(Standing::Unknown),
        word => Err(reply.unexpected(word)),
    }
}

pub(super) async fn leave(redis: &Redis, queue: &Queue, claim: &Claim) -> Result<Departure, StoreError> {
    let mut reply = redis.run(claim_args(&LEAVE, queue, claim)).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "LEFT" => Ok(Departure::Left(schedules(&reply.take::<String>()?))),
        "GONE" => Ok(Departure::Gone),
        "UNKNOWN" => Ok(Departure::Unknown),
        word => Err(reply.unexpected(word)),
    }
}

pub(super) async fn complete(
    redis: &Redis,
    queue: &Queue,
    claim: &Claim,
    holdings: &Holdings,
) -> Result<Completion, StoreError> {
    let list = |schedules: &[ScheduleId]| {
        let ids: Vec<String> = schedules.iter().map(ScheduleId::to_string).collect();
        ids.join(" ")
    };
    let call = COMPLETE.on(&queue.keys).arg(claim.user.get()).arg(claim.place);
    let call = call.arg(list(&holdings.none_in)).arg(list(&holdings.some_in)).arg(millis(holdings.left));
    let call = call.arg(holdings.only_if_held_in.map_or(0, ScheduleId::get));
    let mut reply = redis.run(call).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "COMPLETED" => Ok(Completion::Completed),
        "KEPT" => Ok(Completion::Kept),
        "HOLDING" => Ok(Completion::Holding(schedules(&reply.take::<String>()?))),
        "GONE" => Ok(Completion::Gone),
        word => Err(reply.unexpected(word)),
    }
}

/// Looks at as many of those who wait as it needs to find one who is there, within reason.
const AUDIT_LIMIT: u32 = 1000;

pub(super) async fn audit(redis: &Redis, queue: &Queue) -> Result<QueueAudit, StoreError> {
    let call = AUDIT.on(&queue.keys).arg(millis(queue.settings.waiting_ttl)).arg(AUDIT_LIMIT);
    let mut reply = redis.run(call).await?;
    let word: String = reply.take()?;
    if word != "AUDITED" {
        return Err(reply.unexpected(&word));
    }
    Ok(QueueAudit {
        active: reply.take()?,
        latest_active: reply.parse()?,
        first_waiting: reply.parse()?,
        torn: reply.take()?,
    })
}

fn schedules(list: &str) -> Vec<ScheduleId> {
    list.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

pub(super) async fn next_epoch(postgres: &Postgres, queue: QueueId) -> Result<i32, StoreError> {
    let update = sqlx::query_scalar!("UPDATE queue SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch", queue.0)
        .fetch_one(postgres.pool());
    Ok(postgres.timed("queue.next_epoch", update).await?)
}

pub(super) async fn directory(
    postgres: &Postgres,
    keys: &Keys,
    defaults: &QueueSettings,
) -> Result<Directory, StoreError> {
    let read = async {
        let queues = sqlx::query!(
            "SELECT id, name, max_active, admit_per_second, active_ttl_seconds, waiting_ttl_seconds, hold_ttl_seconds
             FROM queue"
        );
        let concerts = sqlx::query!("SELECT id, queue_id FROM concert");
        Ok((queues.fetch_all(postgres.pool()).await?, concerts.fetch_all(postgres.pool()).await?))
    };
    let (queues, concerts) = postgres.timed("queue.directory", read).await?;
    let number = |own: Option<i32>, default: u32| own.map_or(default, i32::unsigned_abs);
    let seconds = |own: Option<i32>, default: Duration| {
        own.map_or(default, |seconds| Duration::from_secs(u64::from(seconds.unsigned_abs())))
    };
    let queues = queues.into_iter().map(|row| Queue {
        id: QueueId(row.id),
        keys: keys.queue(&row.name),
        name: row.name,
        settings: QueueSettings {
            max_active: number(row.max_active, defaults.max_active),
            admit_per_second: number(row.admit_per_second, defaults.admit_per_second),
            active_ttl: seconds(row.active_ttl_seconds, defaults.active_ttl),
            waiting_ttl: seconds(row.waiting_ttl_seconds, defaults.waiting_ttl),
            hold_ttl: seconds(row.hold_ttl_seconds, defaults.hold_ttl),
        },
    });
    let by_concert: HashMap<_, _> =
        concerts.into_iter().filter_map(|row| Some((row.id.try_into().ok()?, QueueId(row.queue_id)))).collect();
    Ok(Directory::new(queues.collect(), by_concert))
}
