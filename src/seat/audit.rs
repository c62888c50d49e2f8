//! A seat map's invariants, gone through a range at a time, so that Redis is never kept busy; and what Postgres has as
//! sold, to compare, a mark a seat.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::TryStreamExt;

use super::Seats;
use super::store::{MAP, word};
use crate::ids::ScheduleId;
use crate::redis::{Redis, ScheduleKeys, Script, millis};
use crate::store_error::StoreError;
use crate::tally::Tally;

static AUDIT: LazyLock<Script> =
    LazyLock::new(|| Script::new("seat.audit", &[MAP, include_str!("../../lua/seat/audit.lua")]));

/// The most seats that one script looks at: some milliseconds of Redis' time where all of them are held.
const RANGE: u32 = 250;

/// How often a map may be lost and rebuilt under the audit before it gives up.
const TRIES: u32 = 4;

/// A seat map's invariants. Each range of it is as of one instant, all are of one generation of the map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapAudit {
    /// One byte a seat, in order of position: F, H, P or S.
    pub states: Vec<u8>,
    /// Positions that are not free, and nothing will ever free them.
    pub endless: Tally,
    /// Reservations that live although their seat is not theirs.
    pub lost: Tally,
    /// Reservations that have lapsed long ago, and hold their seat still.
    pub overdue: Tally,
    /// Reservations that have been paying for too long.
    pub stuck: Tally,
}

impl Seats {
    /// Goes through a seat map's invariants; none if Redis has not got the map. `late` is the age from which what should
    /// end by itself has not.
    pub async fn audit(&self, schedule: ScheduleId, late: Duration) -> Result<Option<MapAudit>, StoreError> {
        let board = self.board(schedule).await?;
        for _ in 0..TRIES {
            match one_generation(&self.redis, &board.keys, late).await? {
                Whole::Map(audit) => return Ok(Some(audit)),
                Whole::Missing => return Ok(None),
                Whole::Torn => {}
            }
        }
        let source = format!("the seat map of schedule {schedule} does not stay").into();
        Err(StoreError::Unavailable { store: "redis", source })
    }

    /// Which positions Postgres has as sold, a mark each, up to the last of them.
    pub async fn sold_marks(&self, schedule: ScheduleId) -> Result<Vec<bool>, StoreError> {
        let read = async {
            let mut sold = sqlx::query_scalar!(
                "SELECT seat.position
                 FROM concert_seat seat
                 JOIN reservation ON reservation.concert_seat_id = seat.id AND reservation.status = 'CONFIRMED'
                 WHERE seat.concert_schedule_id = $1",
                schedule.get()
            )
            .fetch(self.postgres.pool());
            let mut marks = Vec::new();
            while let Some(position) = sold.try_next().await? {
                let at = usize::try_from(position).unwrap_or_default();
                if marks.len() <= at {
                    marks.resize(at + 1, false);
                }
                marks[at] = true;
            }
            Ok(marks)
        };
        Ok(self.postgres.timed("seat.sold_marks", read).await?)
    }

    /// The ids of the seats at these positions.
    pub async fn seats_at(&self, schedule: ScheduleId, positions: &[i32]) -> Result<Vec<i64>, StoreError> {
        let read = sqlx::query_scalar!(
            "SELECT id FROM concert_seat WHERE concert_schedule_id = $1 AND position = ANY($2) ORDER BY id",
            schedule.get(),
            positions
        )
        .fetch_all(self.postgres.pool());
        Ok(self.postgres.timed("seat.seats_at", read).await?)
    }
}

/// What going through a map from its first range to its last gave.
enum Whole {
    Missing,
    /// It was lost, or rebuilt, on the way.
    Torn,
    Map(MapAudit),
}

async fn one_generation(redis: &Redis, keys: &ScheduleKeys, late: Duration) -> Result<Whole, StoreError> {
    let mut audit = MapAudit::default();
    let mut first_generation = None;
    for first in (0..).step_by(RANGE as usize) {
        let Some((generation, states)) = range(redis, keys, late, first, &mut audit).await? else {
            return Ok(if first == 0 { Whole::Missing } else { Whole::Torn });
        };
        if *first_generation.get_or_insert_with(|| generation.clone()) != generation {
            return Ok(Whole::Torn);
        }
        audit.states.extend_from_slice(&states);
        if states.len() < RANGE as usize {
            break;
        }
    }
    Ok(Whole::Map(audit))
}

/// Reads a range, and counts what is wrong in it: the map's generation, and the range's states; none if there is no map.
async fn range(
    redis: &Redis,
    keys: &ScheduleKeys,
    late: Duration,
    first: u32,
    audit: &mut MapAudit,
) -> Result<Option<(String, Vec<u8>)>, StoreError> {
    let mut reply = redis.run(AUDIT.on(keys).arg(millis(late)).arg(first).arg(RANGE)).await?;
    let Some(word) = word(&mut reply)? else { return Ok(None) };
    if word != "AUDITED" {
        return Err(reply.unexpected(&word));
    }
    let (generation, states) = (reply.take()?, reply.take()?);
    let wrong: Vec<String> = reply.rest()?;
    for pair in wrong.chunks_exact(2) {
        let tally = match pair[0].as_str() {
            "ENDLESS" => &mut audit.endless,
            "LOST" => &mut audit.lost,
            "OVERDUE" => &mut audit.overdue,
            "STUCK" => &mut audit.stuck,
            what => return Err(reply.unexpected(what)),
        };
        tally.add(&pair[1]);
    }
    Ok(Some((generation, states)))
}
