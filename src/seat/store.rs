//! The seats' only script calls and SQL.

use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use super::HoldTerms;
use super::answers::{
    Attempt, Begun, Finished, Found, Held, Hold, HoldMany, HoldStatus, Holder, Known, Look, Outcome, Released, Sweep,
    Whose,
};
use super::board::Board;
use super::plan::{Plan, Seat};
use crate::ids::{ReservationId, ScheduleId, UserId};
use crate::money::Won;
use crate::postgres::Postgres;
use crate::queue::{Asked, Standing, TOKEN, asked, not_active};
use crate::redis::{Arg, Args, EACH, Gathered, Redis, Reply, ScheduleKeys, Script, millis};
use crate::store_error::StoreError;

pub(super) const MAP: &str = include_str!("../../lua/seat/map.lua");

static LOAD: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.load", &[MAP, include_str!("../../lua/seat/load.lua")]));
static OPEN: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.open", &[MAP, include_str!("../../lua/seat/open.lua")]));
static LOOK: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.look", &[MAP, include_str!("../../lua/seat/look.lua")]));
static HOLD: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.hold", &[MAP, TOKEN, EACH, include_str!("../../lua/seat/hold.lua")]));
static HOLD_MANY: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.hold_many", &[MAP, TOKEN, include_str!("../../lua/seat/hold_many.lua")]));
static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.release", &[MAP, include_str!("../../lua/seat/release.lua")]));
static HELD: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.held", &[MAP, include_str!("../../lua/seat/held.lua")]));
static FIND: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.find", &[MAP, include_str!("../../lua/seat/find.lua")]));
static BEGIN_PAYMENT: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.begin_payment", &[MAP, EACH, include_str!("../../lua/seat/begin_payment.lua")]));
static FINISH_PAYMENT: LazyLock<Script> = LazyLock::new(|| {
    Script::new("seat.finish_payment", &[MAP, TOKEN, EACH, include_str!("../../lua/seat/finish_payment.lua")])
});
static REFUND: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.refund", &[MAP, include_str!("../../lua/seat/refund.lua")]));
static WHOSE: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.whose", &[MAP, include_str!("../../lua/seat/whose.lua")]));
static SWEEP: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.sweep", &[MAP, include_str!("../../lua/seat/sweep.lua")]));

/// The most lapsed holds that one script frees on its way.
const SWEEP_LIMIT: u32 = 256;

/// How long an ended hold's record is kept, to say that it has lapsed.
const PAST_RETENTION: Duration = Duration::from_hours(24);

/// What is asked of a map so often that the calls are gathered.
#[derive(Debug)]
pub(super) struct MapCalls {
    hold: Gathered,
    begin_payment: Gathered,
    finish_payment: Gathered,
}

impl MapCalls {
    pub(super) fn new(redis: &Redis, keys: &ScheduleKeys) -> Self {
        let gathered = |script, keys| Gathered::new(redis.clone(), script, keys);
        Self {
            hold: gathered(&HOLD, keys.with_queue()),
            begin_payment: gathered(&BEGIN_PAYMENT, keys.as_ref()),
            finish_payment: gathered(&FINISH_PAYMENT, keys.with_queue()),
        }
    }
}

/// The reply's word; none if the map is missing.
pub(super) fn word(reply: &mut Reply) -> Result<Option<String>, StoreError> {
    let word: String = reply.take()?;
    Ok((word != "MISSING").then_some(word))
}

pub(super) async fn load(redis: &Redis, keys: &ScheduleKeys, nonce: &str, states: Vec<u8>) -> Result<bool, StoreError> {
    let mut reply = redis.run(LOAD.on(keys).arg(nonce).arg(states)).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "LOADING" => Ok(true),
        "LOADED" => Ok(false),
        word => Err(reply.unexpected(word)),
    }
}

pub(super) async fn open(
    redis: &Redis,
    keys: &ScheduleKeys,
    nonce: &str,
    doubt: Duration,
    sold: &[Attempt],
) -> Result<(), StoreError> {
    let sold: Vec<String> = sold.iter().map(|sale| format!("{}:{}", sale.position, sale.reservation)).collect();
    let mut reply = redis.run(OPEN.on(keys).arg(nonce).arg(millis(doubt)).arg(sold)).await?;
    let word: String = reply.take()?;
    // Outrun by another loading: the caller will find its map, or try again.
    if matches!(word.as_str(), "OPENED" | "OUTRUN") { Ok(()) } else { Err(reply.unexpected(&word)) }
}

pub(super) async fn look(
    redis: &Redis,
    keys: &ScheduleKeys,
    known: Option<&Known>,
) -> Result<Option<Look>, StoreError> {
    let (generation, version) = known.map_or(("", 0), |known| (known.generation.as_str(), known.version));
    let mut reply = redis.run(LOOK.on(keys).arg(generation).arg(version).arg(SWEEP_LIMIT)).await?;
    let Some(word) = word(&mut reply)? else { return Ok(None) };
    match word.as_str() {
        "SAME" => Ok(Some(Look::Same)),
        "SEATS" => {
            let known = Known { generation: reply.take()?, version: reply.parse()? };
            let states: Vec<u8> = reply.take()?;
            Ok(Some(Look::Seats { known, states: states.into() }))
        }
        word => Err(reply.unexpected(word)),
    }
}

/// What a script says that holds under a token: none if the map is missing; else what `read` makes of its word, unless the token
/// may not try.
fn tried<T>(
    reply: Reply,
    refused: impl FnOnce(Standing) -> T,
    read: impl FnOnce(&str, &mut Reply) -> Result<T, StoreError>,
) -> Result<Option<Asked<T>>, StoreError> {
    let asked = asked(reply, |word, reply| match (word, not_active(word)) {
        ("MISSING", _) => Ok(None),
        (_, Some(standing)) => Ok(Some(refused(standing))),
        (word, None) => read(word, reply).map(Some),
    })?;
    Ok(match asked {
        Asked::Answer(answer) => answer.map(Asked::Answer),
        Asked::Unopened => Some(Asked::Unopened),
        Asked::Lost { since } => Some(Asked::Lost { since }),
    })
}

pub(super) async fn hold(
    board: &Board,
    holder: &Holder,
    reservation: ReservationId,
    position: u32,
    terms: HoldTerms,
) -> Result<Option<Asked<Hold>>, StoreError> {
    let waiting_ttl = millis(terms.waiting_ttl).into();
    let shared = vec![terms.most.into(), SWEEP_LIMIT.into(), waiting_ttl, board.schedule.get().into()];
    let Holder { user, place, token } = holder;
    let (user, place, token) = (user.get().into(), (*place).into(), token.clone().into());
    let own = vec![user, place, token, reservation.get().into(), position.into(), millis(terms.ttl).into()];
    let reply = board.calls.hold.call(Args { shared, own }).await?;
    tried(reply, Hold::NotActive, |word, reply| match word {
        "HELD" | "AGAIN" => {
            let (reservation, token_left) = (reply.parse()?, Duration::from_millis(reply.take()?));
            Ok(Hold::Held { reservation, token_left })
        }
        "TAKEN" => Ok(Hold::Taken),
        "LIMIT" => Ok(Hold::Limit),
        "NO_SEAT" => Ok(Hold::NoSeat),
        word => Err(reply.unexpected(word)),
    })
}

/// Holds the seats at these positions, or the best if there are none, under as many of these ids as are needed.
pub(super) async fn hold_many(
    redis: &Redis,
    board: &Board,
    holder: &Holder,
    ids: &[ReservationId],
    positions: &[u32],
    rows: &str,
    terms: HoldTerms,
) -> Result<Option<Asked<HoldMany>>, StoreError> {
    let call = HOLD_MANY.on(board.keys.with_queue());
    let call = call.arg(holder.user.get()).arg(list(ids)).arg(list(positions)).arg(rows);
    let call = call.arg(millis(terms.ttl)).arg(terms.most).arg(SWEEP_LIMIT).arg(&*holder.token).arg(holder.place);
    let reply = redis.run(call.arg(millis(terms.waiting_ttl)).arg(board.schedule.get())).await?;
    tried(reply, HoldMany::NotActive, |word, reply| match word {
        "HELD" => {
            let (expires_ms, token_left) = (reply.take()?, Duration::from_millis(reply.take()?));
            let rest: Vec<String> = reply.rest()?;
            let seat = |seat: &[String]| Some((seat[0].parse().ok()?, seat[1].parse().ok()?));
            let seats = rest.chunks_exact(2).filter_map(seat).collect();
            Ok(HoldMany::Held { seats, expires_ms, token_left })
        }
        "TAKEN" => Ok(HoldMany::Taken),
        "LIMIT" => Ok(HoldMany::Limit),
        "NO_SEAT" => Ok(HoldMany::NoSeat),
        word => Err(reply.unexpected(word)),
    })
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// One reservation of a user's, or all that it holds or is paying for.
pub(super) async fn find(
    redis: &Redis,
    keys: &ScheduleKeys,
    user: UserId,
    reservation: Option<ReservationId>,
) -> Result<Option<Vec<Found>>, StoreError> {
    let reservation = reservation.map(|reservation| reservation.to_string()).unwrap_or_default();
    let mut reply = redis.run(FIND.on(keys).arg(user.get()).arg(reservation)).await?;
    let Some(word) = word(&mut reply)? else { return Ok(None) };
    if word != "FOUND" {
        return Err(reply.unexpected(&word));
    }
    let mut found = Vec::new();
    let rest: Vec<String> = reply.rest()?;
    for fields in rest.chunks_exact(4) {
        let status = match fields[1].as_str() {
            "H" => HoldStatus::Held,
            "P" => HoldStatus::Paying,
            "S" => HoldStatus::Sold,
            "G" => HoldStatus::GivenUp,
            _ => HoldStatus::Ended,
        };
        let (Ok(reservation), Ok(position), Ok(expires_ms)) = (fields[0].parse(), fields[2].parse(), fields[3].parse())
        else {
            return Err(reply.unexpected(&fields.join(" ")));
        };
        found.push(Found { reservation, status, position, expires_ms });
    }
    Ok(Some(found))
}

pub(super) async fn release(
    redis: &Redis,
    keys: &ScheduleKeys,
    user: UserId,
    reservation: ReservationId,
    token: Option<&str>,
) -> Result<Option<Released>, StoreError> {
    let call = RELEASE.on(keys).arg(user.get()).arg(reservation.get()).arg(token.unwrap_or_default());
    let mut reply = redis.run(call).await?;
    let Some(word) = word(&mut reply)? else { return Ok(None) };
    match word.as_str() {
        "RELEASED" => Ok(Some(Released::Released)),
        "GIVEN_UP" => Ok(Some(Released::GivenUp)),
        "LAPSED" => Ok(Some(Released::Lapsed)),
        "PAYING" => Ok(Some(Released::Paying)),
        "SOLD" => Ok(Some(Released::Sold)),
        "LATER_TOKEN" => Ok(Some(Released::LaterToken)),
        "UNKNOWN" => Ok(Some(Released::Unknown)),
        word => Err(reply.unexpected(word)),
    }
}

pub(super) async fn held(redis: &Redis, keys: &ScheduleKeys, user: UserId) -> Result<Option<Vec<Held>>, StoreError> {
    let mut reply = redis.run(HELD.on(keys).arg(user.get())).await?;
    if word(&mut reply)?.is_none() {
        return Ok(None);
    }
    let rest: Vec<String> = reply.rest()?;
    let held = rest
        .chunks_exact(2)
        .filter_map(|held| Some(Held { reservation: held[0].parse().ok()?, paying: held[1] == "P" }));
    Ok(Some(held.collect()))
}

pub(super) async fn begin_payment(
    calls: &MapCalls,
    user: UserId,
    reservation: ReservationId,
    token: Option<&str>,
) -> Result<Option<Begun>, StoreError> {
    let own = vec![user.get().into(), reservation.get().into(), token.unwrap_or_default().to_owned().into()];
    let mut reply = calls.begin_payment.call(Args { shared: Vec::new(), own }).await?;
    let Some(word) = word(&mut reply)? else { return Ok(None) };
    match word.as_str() {
        "BEGUN" => Ok(Some(Begun::Begun { position: reply.parse()?, attempt: reply.take()? })),
        "PAYING" => Ok(Some(Begun::Paying)),
        "OTHER_TOKEN" => Ok(Some(Begun::OtherToken)),
        "SOLD" => Ok(Some(Begun::Sold)),
        "LAPSED" => Ok(Some(Begun::Lapsed)),
        "DOUBTFUL" => Ok(Some(Begun::Doubtful)),
        "UNKNOWN" => Ok(Some(Begun::Unknown)),
        word => Err(reply.unexpected(word)),
    }
}

/// `place`: of the token that has paid, if it is to end.
pub(super) async fn finish_payment(
    board: &Board,
    attempt: &Attempt,
    outcome: Outcome,
    place: Option<u64>,
) -> Result<Finished, StoreError> {
    let outcome = match outcome {
        Outcome::Paid => "PAID",
        Outcome::Refused => "REFUSED",
        Outcome::Aborted => "ABORTED",
        Outcome::SoldToAnother => "SOLD_TO_ANOTHER",
    };
    let Attempt { reservation, user, position, number } = attempt;
    let (number, place) = (i64::from(*number).into(), place.map_or(Arg::Word(""), Arg::from));
    let own = vec![user.get().into(), reservation.get().into(), (*position).into(), number, outcome.into(), place];
    let args = Args { shared: vec![board.schedule.get().into()], own };
    let mut reply = board.calls.finish_payment.call(args).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "SOLD" => Ok(Finished::Sold { is_token_done: reply.take::<u8>()? == 1 }),
        "HELD" => Ok(Finished::Held),
        "FREED" => Ok(Finished::Freed),
        "YIELDED" => Ok(Finished::Yielded),
        "GONE" => Ok(Finished::Gone),
        "MISSING" => Ok(Finished::Missing),
        word => Err(reply.unexpected(word)),
    }
}

/// Frees the seat of a reservation; without one, a seat that is sold to nobody whom the map knows.
pub(super) async fn refund(
    redis: &Redis,
    keys: &ScheduleKeys,
    reservation: Option<ReservationId>,
    position: u32,
) -> Result<(), StoreError> {
    let reservation = reservation.map(|reservation| reservation.to_string()).unwrap_or_default();
    let mut reply = redis.run(REFUND.on(keys).arg(reservation).arg(position)).await?;
    let word: String = reply.take()?;
    // Without a map, one that is built later will be right; another's seat stays another's.
    if matches!(word.as_str(), "FREED" | "GONE" | "MISSING") { Ok(()) } else { Err(reply.unexpected(&word)) }
}

/// What these seats are and whose.
pub(super) async fn whose(
    redis: &Redis,
    keys: &ScheduleKeys,
    positions: &[u32],
) -> Result<Option<Vec<Whose>>, StoreError> {
    let mut reply = redis.run(WHOSE.on(keys).arg(positions)).await?;
    let Some(word) = word(&mut reply)? else { return Ok(None) };
    if word != "WHOSE" {
        return Err(reply.unexpected(&word));
    }
    let rest: Vec<String> = reply.rest()?;
    let seat = |(position, seat): (&u32, &[String])| Whose {
        position: *position,
        state: seat[0].bytes().next().unwrap_or_default(),
        reservation: seat[1].parse().ok(),
    };
    Ok(Some(positions.iter().zip(rest.chunks_exact(2)).map(seat).collect()))
}

pub(super) async fn sweep(
    redis: &Redis,
    keys: &ScheduleKeys,
    suspicious: Duration,
) -> Result<Option<Sweep>, StoreError> {
    let call = SWEEP.on(keys).arg(SWEEP_LIMIT).arg(millis(suspicious)).arg(millis(PAST_RETENTION));
    let mut reply = redis.run(call).await?;
    let Some(word) = word(&mut reply)? else { return Ok(None) };
    if word != "SWEPT" {
        return Err(reply.unexpected(&word));
    }
    let (freed, live) = (reply.take()?, reply.take()?);
    let oldest_payment = Duration::from_millis(reply.take()?);
    let rest: Vec<String> = reply.rest()?;
    let suspicious = rest.chunks_exact(4).filter_map(|found| {
        let (reservation, user) = (found[0].parse().ok()?, found[1].parse().ok()?);
        Some(Attempt { reservation, user, position: found[2].parse().ok()?, number: found[3].parse().ok()? })
    });
    Ok(Some(Sweep { freed, live, oldest_payment, suspicious: suspicious.collect() }))
}

/// The name of the queue that serves a schedule. It never changes.
pub(super) async fn queue_of(postgres: &Postgres, schedule: ScheduleId) -> Result<String, StoreError> {
    let read = sqlx::query_scalar!(
        "SELECT queue.name
         FROM concert_schedule schedule
         JOIN concert ON concert.id = schedule.concert_id
         JOIN queue ON queue.id = concert.queue_id
         WHERE schedule.id = $1",
        schedule.get()
    )
    .fetch_optional(postgres.pool());
    postgres.timed("seat.queue_of", read).await?.ok_or_else(|| {
        let source = format!("there is no schedule {schedule}").into();
        StoreError::Unexpected { store: "postgres", source }
    })
}

/// The seats of a schedule, in order of position.
pub(super) async fn plan(postgres: &Postgres, schedule: ScheduleId) -> Result<Plan, StoreError> {
    let read = sqlx::query!(
        "SELECT id, section, row, number, price FROM concert_seat WHERE concert_schedule_id = $1 ORDER BY position",
        schedule.get()
    )
    .fetch_all(postgres.pool());
    let rows = postgres.timed("seat.plan", read).await?;
    let seats = rows.into_iter().filter_map(|row| {
        let (id, price) = (row.id.try_into().ok()?, Won(row.price));
        Some(Seat { id, section: row.section, row: row.row, number: row.number, price })
    });
    Ok(Plan::new(seats.collect()))
}

/// Counts a building of the map; returns whether it was built before.
pub(super) async fn count_building(postgres: &Postgres, schedule: ScheduleId) -> Result<bool, StoreError> {
    let count = sqlx::query_scalar!(
        "INSERT INTO seat_map AS had (concert_schedule_id, built) VALUES ($1, 1)
         ON CONFLICT (concert_schedule_id) DO UPDATE SET built = had.built + 1 RETURNING built",
        schedule.get()
    )
    .fetch_one(postgres.pool());
    Ok(postgres.timed("seat.count_building", count).await? > 1)
}

/// The seats at these positions that are sold, as the attempts that paid for them. Their positions are asked for even where all are
/// meant: then PostgreSQL looks up seat by seat, where it would read all that was ever sold, for any schedule.
pub(super) async fn sales(
    postgres: &Postgres,
    schedule: ScheduleId,
    positions: &Range<u32>,
) -> Result<Vec<Attempt>, StoreError> {
    let position = |at: u32| i32::try_from(at).unwrap_or(i32::MAX);
    let read = sqlx::query!(
        "SELECT seat.position, reservation.id, reservation.user_id, reservation.attempt
         FROM concert_seat seat
         JOIN reservation ON reservation.concert_seat_id = seat.id AND reservation.status = 'CONFIRMED'
         WHERE seat.concert_schedule_id = $1 AND seat.position >= $2 AND seat.position < $3",
        schedule.get(),
        position(positions.start),
        position(positions.end)
    )
    .fetch_all(postgres.pool());
    let rows = postgres.timed("seat.sales", read).await?;
    let sold = rows.into_iter().filter_map(|row| {
        let (reservation, user) = (row.id.try_into().ok()?, row.user_id.try_into().ok()?);
        Some(Attempt { reservation, user, position: row.position.try_into().ok()?, number: row.attempt })
    });
    Ok(sold.collect())
}
