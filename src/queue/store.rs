//! The queue's only script calls.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::answers::{Completion, Departure, Rank, Standing};
use super::directory::{Queue, QueueSettings};
use super::draw::{Closing, Draw};
use super::estimate::ASKS_WITHIN;
use super::lost::{Asked, PLACES_A_EPOCH};
use super::records::Progress;
use super::snapshot::Crowd;
use super::token::Claim;
use crate::ids::{ScheduleId, UserId};
use crate::redis::{Arg, Args, Call, EACH, Gathered, QueueKeys, Redis, Reply, Script, millis};
use crate::store_error::StoreError;

/// Put before all scripts of a queue, and before those of its schedules that need the token too.
pub(crate) const TOKEN: &str = include_str!("../../lua/queue/token.lua");
const ADMIT: &str = include_str!("../../lua/queue/admit.lua");

static OPEN: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.open", &[TOKEN, include_str!("../../lua/queue/open.lua")]));
static ENTER: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.enter", &[TOKEN, ADMIT, EACH, include_str!("../../lua/queue/enter.lua")]));
static PROMOTE: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.promote", &[TOKEN, ADMIT, include_str!("../../lua/queue/promote.lua")]));
static RESTORE: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.restore", &[TOKEN, ADMIT, include_str!("../../lua/queue/restore.lua")]));
static CLOSE_DRAW: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.close_draw", &[TOKEN, ADMIT, include_str!("../../lua/queue/close_draw.lua")]));
static SHUFFLE: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.shuffle", &[TOKEN, include_str!("../../lua/queue/shuffle.lua")]));
static USE_UP: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.use_up", &[TOKEN, include_str!("../../lua/queue/use_up.lua")]));
static RANK: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.rank", &[TOKEN, include_str!("../../lua/queue/rank.lua")]));
static CHECK: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.check", &[TOKEN, EACH, include_str!("../../lua/queue/check.lua")]));
static LEAVE: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.leave", &[TOKEN, include_str!("../../lua/queue/leave.lua")]));
static HOLDING: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.holding", &[TOKEN, include_str!("../../lua/queue/holding.lua")]));
static COMPLETE: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.complete", &[TOKEN, include_str!("../../lua/queue/complete.lua")]));

static SEE: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.see", &[TOKEN, include_str!("../../lua/queue/see.lua")]));

/// How many may be let in, and reaped, on the way of one entering.
const ENTER_LIMIT: u32 = 64;

/// The most that one step admits, ends, reaps or forgets, of each: a bound on how long the script keeps Redis busy.
const STEP_LIMIT: u32 = 1000;

/// How long an ended token's record is kept at least, to say what became of it, unless a full queue needs its room.
const ENDED_RETENTION: Duration = Duration::from_hours(1);

/// What is asked of a queue so often that the calls are gathered.
#[derive(Debug)]
pub(super) struct QueueCalls {
    enter: Gathered,
    check: Gathered,
}

impl QueueCalls {
    pub(super) fn new(redis: &Redis, keys: &QueueKeys) -> Self {
        let gathered = |script| Gathered::new(redis.clone(), script, keys);
        Self { enter: gathered(&ENTER), check: gathered(&CHECK) }
    }
}

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
    /// Whether the one that entered has a new place.
    pub(super) fn has_issued(&self) -> bool {
        self.issued > 0
    }

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

/// A user's place, and whom else entering let in.
pub(super) struct Entry {
    pub(super) place: u64,
    pub(super) waits: bool,
    /// Its entry number, if it is to be drawn.
    pub(super) number: Option<u64>,
    pub(super) admissions: Admissions,
}

/// What became of asking to enter.
pub(super) enum Entering {
    Entered(Entry),
    /// The queue gives nobody a new place.
    Closing,
    /// As many as it may keep are there.
    Full,
}

/// How far a draw was carried out.
pub(super) struct Shuffled {
    /// How many are left to be given their order.
    pub(super) left: u64,
    /// The least entry number among them.
    pub(super) least: u64,
}

/// How a scheduler's step went.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) progress: Progress,
    pub(super) active: u32,
    pub(super) more: bool,
    pub(super) admissions: Admissions,
    /// Who waits, if that was wanted, and how many came and went.
    pub(super) crowd: Crowd,
}

/// What has become of a token that was seen, or where it stands if nobody but Redis can tell.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// It is this.
    Known(Rank),
    /// Redis does not know its place.
    Lost,
}

/// For how long after a loss a token may claim its place: as long as it could have lived unseen, or needs to ask as it was told to.
fn claim_window(settings: &QueueSettings) -> Duration {
    settings.waiting_ttl.max(settings.active_ttl).max(ASKS_WITHIN)
}

/// Whether something of the queue was left by a former Redis, and this was the call that opened it.
pub(super) async fn open(redis: &Redis, queue: &Queue, epoch: u64, calm: Duration) -> Result<bool, StoreError> {
    let before_first = epoch * PLACES_A_EPOCH;
    let window = millis(claim_window(&queue.settings));
    let mut reply = redis.run(OPEN.on(&queue.keys).arg(before_first).arg(window).arg(millis(calm))).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "OPENED" => Ok(reply.take::<u8>()? == 1),
        "OPEN" => Ok(false),
        word => Err(reply.unexpected(word)),
    }
}

/// How a call admits: how the queue is set, and what its stock leaves room for.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) queue: &'a Queue,
    /// How many may try who hold nothing yet, if that is bounded.
    pub(super) room: Option<u64>,
}

pub(super) async fn enter(calls: &QueueCalls, terms: Terms<'_>, user: UserId) -> Result<Asked<Entering>, StoreError> {
    let mut shared = terms.args(ENTER_LIMIT).to_vec();
    shared.extend([terms.queue.settings.draining.into(), terms.queue.settings.max_waiting.into()]);
    let mut reply = calls.enter.call(Args { shared, own: vec![user.get().into()] }).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "UNOPENED" => Ok(Asked::Unopened),
        "CLOSING" => Ok(Asked::Answer(Entering::Closing)),
        "FULL" => Ok(Asked::Answer(Entering::Full)),
        "WAITING" | "ACTIVE" => {
            let place = reply.parse()?;
            let (issued, entry, expired, abandoned) = (reply.take()?, reply.parse()?, reply.take()?, reply.take()?);
            let waits_ms = reply.rest()?;
            let admissions = Admissions { issued, expired, abandoned, waits_ms };
            let number = Some(entry).filter(|number| *number > 0);
            Ok(Asked::Answer(Entering::Entered(Entry { place, waits: word == "WAITING", number, admissions })))
        }
        word => Err(reply.unexpected(word)),
    }
}

/// `with_crowd`: whether to bring along who waits.
pub(super) async fn promote(redis: &Redis, terms: Terms<'_>, with_crowd: bool) -> Result<Option<Step>, StoreError> {
    let queue = terms.queue;
    let call = PROMOTE.on(&queue.keys).arg(&terms.args(STEP_LIMIT)[..]);
    // As long as a place may be claimed, what became of it must be known.
    let call = call.arg(millis(claim_window(&queue.settings).max(ENDED_RETENTION)));
    let mut reply = redis.run(call.arg(u8::from(with_crowd))).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "UNOPENED" => Ok(None),
        "STEPPED" => {
            let (waiting, active) = (reply.take()?, reply.take()?);
            let (expired, abandoned, more) = (reply.take()?, reply.take()?, reply.take()?);
            let progress = Progress { admitted: reply.parse()?, waiting };
            let crowd = Crowd {
                now_ms: reply.take()?,
                before: reply.parse()?,
                early: reply.take()?,
                let_in: reply.take()?,
                left: reply.take()?,
                first_byte: reply.take()?,
                bytes: reply.take()?,
            };
            let admissions = Admissions { issued: 0, expired, abandoned, waits_ms: reply.rest()? };
            Ok(Some(Step { progress, active, more, admissions, crowd }))
        }
        word => Err(reply.unexpected(word)),
    }
}

impl Terms<'_> {
    fn args(&self, limit: u32) -> [Arg; 9] {
        let Queue { settings, .. } = self.queue;
        let draw = self.queue.draw_under_way();
        // An opening whose draw is not known yet must not be taken for none.
        let unprepared = settings.opens_at.is_some() && self.queue.draw().is_none();
        let opens_at = draw.and(settings.opens_at).map_or(0, |opens_at| opens_at.timestamp_millis().max(0));
        [
            settings.max_active.into(),
            settings.admit_per_second.into(),
            millis(settings.active_ttl).into(),
            millis(settings.waiting_ttl).into(),
            limit.into(),
            (settings.paused || unprepared).into(),
            self.room.map_or(-1, u64::cast_signed).into(),
            draw.map_or(0, |draw| draw.number).into(),
            opens_at.into(),
        ]
    }
}

/// Ends a draw's entries, if it is time; none if it is not.
pub(super) async fn close_draw(redis: &Redis, queue: &Queue, draw: &Draw) -> Result<Option<Closing>, StoreError> {
    let opens_at = queue.settings.opens_at.map_or(0, |opens_at| opens_at.timestamp_millis().max(0));
    let over = if draw.closing.is_some() { 0 } else { opens_at };
    let mut reply = redis.run(CLOSE_DRAW.on(&queue.keys).arg(draw.number).arg(over)).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "UNOPENED" | "EARLY" => Ok(None),
        "CLOSED" => Ok(Some(Closing { base: reply.parse()?, entries: reply.parse()?, first_order: reply.parse()? })),
        word => Err(reply.unexpected(word)),
    }
}

/// Gives entries, from this one on, their orders; none if there is nothing of this draw to do.
pub(super) async fn shuffle(
    redis: &Redis,
    queue: &Queue,
    draw: u32,
    entry: u64,
    orders: &[u64],
) -> Result<Option<Shuffled>, StoreError> {
    let mut reply = redis.run(SHUFFLE.on(&queue.keys).arg(draw).arg(entry).arg(orders)).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "UNOPENED" | "OTHER" => Ok(None),
        "SHUFFLED" => Ok(Some(Shuffled { left: reply.take()?, least: reply.parse()? })),
        word => Err(reply.unexpected(word)),
    }
}

fn claim_args<'a>(script: &'a Script, queue: &Queue, claim: &Claim) -> Call<'a> {
    script.on(&queue.keys).arg(claim.user.get()).arg(claim.place).arg(millis(queue.settings.waiting_ttl))
}

/// What the script says of the token, in `read`'s terms, unless it or its queue is lost.
pub(crate) fn asked<T>(
    mut reply: Reply,
    read: impl FnOnce(&str, &mut Reply) -> Result<T, StoreError>,
) -> Result<Asked<T>, StoreError> {
    let word: String = reply.take()?;
    match word.as_str() {
        "UNOPENED" => Ok(Asked::Unopened),
        "LOST" => Ok(Asked::Lost { since: Duration::from_millis(reply.take()?) }),
        word => read(word, &mut reply).map(Asked::Answer),
    }
}

/// Ends those of these tokens, which have paid, that still wait; returns those that are active.
pub(super) async fn use_up(redis: &Redis, queue: &Queue, paid: &[Claim]) -> Result<Vec<Claim>, StoreError> {
    let pairs: Vec<String> = paid.iter().map(|claim| format!("{}:{}", claim.user, claim.place)).collect();
    let mut reply = redis.run(USE_UP.on(&queue.keys).arg(&pairs)).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "UNOPENED" => Ok(Vec::new()),
        "USED" => {
            let active: Vec<String> = reply.rest()?;
            let is_active = |(pair, _): &(&String, &Claim)| active.contains(pair);
            Ok(pairs.iter().zip(paid).filter(is_active).map(|(_, claim)| *claim).collect())
        }
        word => Err(reply.unexpected(word)),
    }
}

/// Gives a lost place back, in this order, or if there is none, to be drawn or behind all; none if there is nothing to give
/// back any more.
pub(super) async fn restore(
    redis: &Redis,
    terms: Terms<'_>,
    claim: &Claim,
    order: Option<u64>,
) -> Result<Option<Admissions>, StoreError> {
    let call = RESTORE.on(&terms.queue.keys).arg(claim.user.get()).arg(claim.place).arg(order.unwrap_or(0));
    let mut reply = redis.run(call.arg(&terms.args(ENTER_LIMIT)[..])).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "UNOPENED" | "KNOWN" => Ok(None),
        "RESTORED" => {
            let (expired, abandoned) = (reply.take()?, reply.take()?);
            Ok(Some(Admissions { issued: 0, expired, abandoned, waits_ms: reply.rest()? }))
        }
        word => Err(reply.unexpected(word)),
    }
}

pub(super) async fn rank(redis: &Redis, queue: &Queue, claim: &Claim) -> Result<Asked<Rank>, StoreError> {
    let reply = redis.run(claim_args(&RANK, queue, claim)).await?;
    asked(reply, |word, reply| match word {
        "WAITING" => {
            let (ahead, expires_ms) = (reply.take()?, reply.take()?);
            Ok(Rank::Waiting { ahead, expires_ms, order: reply.parse()?, entry: reply.parse()? })
        }
        "ACTIVE" => {
            let (expires_ms, left) = (reply.take()?, Duration::from_millis(reply.take()?));
            Ok(Rank::Active { expires_ms, left })
        }
        "EXPIRED" => Ok(Rank::Expired),
        "COMPLETED" => Ok(Rank::Completed),
        "UNKNOWN" => Ok(Rank::Unknown),
        word => Err(reply.unexpected(word)),
    })
}

/// Tells Redis of at most a thousand tokens when they were seen; returns what has become of those that do not wait any
/// more, and where those stand that have no bit in the crowd. None if Redis does not know the queue.
pub(super) async fn see(
    redis: &Redis,
    queue: &Queue,
    seen: &[(Claim, Instant)],
) -> Result<Option<Vec<(Claim, Fate)>>, StoreError> {
    let sightings = seen.iter().map(|(claim, at)| format!("{}:{}:{}", claim.user, claim.place, millis(at.elapsed())));
    let sightings: Vec<String> = sightings.collect();
    let waiting_ttl = millis(queue.settings.waiting_ttl);
    let mut reply = redis.run(SEE.on(&queue.keys).arg(waiting_ttl).arg(&sightings)).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "UNOPENED" => Ok(None),
        "SEEN" => {
            let fates: Vec<String> = reply.rest()?;
            let read = |text: &String| fate(queue, text).ok_or_else(|| reply.unexpected(text));
            fates.iter().map(read).collect::<Result<_, _>>().map(Some)
        }
        word => Err(reply.unexpected(word)),
    }
}

/// Reads `user:place:WORD:number:number`.
fn fate(queue: &Queue, text: &str) -> Option<(Claim, Fate)> {
    let mut fields = text.split(':');
    let claim = Claim { queue: queue.id, user: fields.next()?.parse().ok()?, place: fields.next()?.parse().ok()? };
    let (word, number): (_, i64) = (fields.next()?, fields.next()?.parse().ok()?);
    let last: u64 = fields.next()?.parse().ok()?;
    let fate = match word {
        "WAITING" => {
            let (ahead, expires_ms) = (number.try_into().ok()?, last.try_into().ok()?);
            // Streams do not tell the order.
            Fate::Known(Rank::Waiting { ahead, expires_ms, order: 0, entry: 0 })
        }
        "ACTIVE" => Fate::Known(Rank::Active { expires_ms: number, left: Duration::from_millis(last) }),
        "EXPIRED" => Fate::Known(Rank::Expired),
        "COMPLETED" => Fate::Known(Rank::Completed),
        "UNKNOWN" => Fate::Known(Rank::Unknown),
        "LOST" => Fate::Lost,
        _ => return None,
    };
    Some((claim, fate))
}

pub(super) async fn check(calls: &QueueCalls, queue: &Queue, claim: &Claim) -> Result<Asked<Standing>, StoreError> {
    let shared = vec![millis(queue.settings.waiting_ttl).into()];
    let own = vec![claim.user.get().into(), claim.place.into()];
    asked(calls.check.call(Args { shared, own }).await?, |word, reply| match word {
        "ACTIVE" => Ok(Standing::Active { left: Duration::from_millis(reply.take()?) }),
        word => not_active(word).ok_or_else(|| reply.unexpected(word)),
    })
}

/// What a script calls a token that may not try.
pub(crate) fn not_active(word: &str) -> Option<Standing> {
    match word {
        "WAITING" => Some(Standing::Waiting),
        "EXPIRED" => Some(Standing::Expired),
        "COMPLETED" => Some(Standing::Completed),
        "UNKNOWN" => Some(Standing::Unknown),
        _ => None,
    }
}

pub(super) async fn leave(redis: &Redis, queue: &Queue, claim: &Claim) -> Result<Asked<Departure>, StoreError> {
    let reply = redis.run(claim_args(&LEAVE, queue, claim)).await?;
    asked(reply, |word, reply| match word {
        "LEFT" => Ok(Departure::Left(schedules(&reply.take::<String>()?))),
        "GONE" => Ok(Departure::Gone),
        "UNKNOWN" => Ok(Departure::Unknown),
        word => Err(reply.unexpected(word)),
    })
}

/// Looks into these schedules.
pub(super) async fn complete(
    redis: &Redis,
    queue: &Queue,
    claim: &Claim,
    schedules: &[ScheduleId],
    only_if_held_in: Option<ScheduleId>,
) -> Result<Asked<Completion>, StoreError> {
    let of_schedules = schedules.iter().flat_map(|id| redis.keys().schedule(&queue.name, *id).of_users());
    let keys: Vec<String> = of_schedules.chain(queue.keys.as_ref().iter().cloned()).collect();
    let list: Vec<String> = schedules.iter().map(ScheduleId::to_string).collect();
    let only = only_if_held_in.map_or(0, ScheduleId::get);
    let call = COMPLETE.on(&keys).arg(claim.user.get()).arg(claim.place).arg(list.join(" ")).arg(only);
    asked(redis.run(call).await?, |word, reply| match word {
        "COMPLETED" => Ok(Completion::Completed),
        "KEPT" => Ok(Completion::Kept),
        "HOLDING" => Ok(Completion::Holding(self::schedules(&reply.take::<String>()?))),
        "MISSING" => Ok(Completion::Missing(reply.parse()?)),
        "GONE" => Ok(Completion::Gone),
        word => Err(reply.unexpected(word)),
    })
}

/// The schedules in which a user may hold seats.
pub(super) async fn holding(redis: &Redis, queue: &Queue, user: UserId) -> Result<Vec<ScheduleId>, StoreError> {
    let mut reply = redis.run(HOLDING.on(&queue.keys).arg(user.get())).await?;
    let word: String = reply.take()?;
    if word == "HOLDING" { Ok(schedules(&reply.take::<String>()?)) } else { Err(reply.unexpected(&word)) }
}

fn schedules(list: &str) -> Vec<ScheduleId> {
    list.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}
