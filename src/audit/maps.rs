//! What the seat maps say, all together, and whether they agree with Postgres. One schedule at a time: of each only a byte
//! a seat is kept, and two marks of whether it is sold.

use std::time::Duration;

use super::books::Books;
use super::finding::{Finding, Invariant};
use crate::concert::Concerts;
use crate::ids::ScheduleId;
use crate::seat::{MapAudit, Seats};
use crate::store_error::StoreError;
use crate::tally::Tally;

/// From which age a payment under way is called stuck, and a lapsed hold forgotten; the jobs end them long before.
const LATE: Duration = Duration::from_secs(30);

/// How often a map that disagrees with Postgres is looked at before that is called a breach, and how long in between: a
/// payment commits in Postgres a moment before Redis follows.
const LOOKS: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

const NOTHING_IS_LOST: Invariant = Invariant {
    number: 4,
    rule: "No charge, hold or payment is lost; nothing is taken without a ticket.",
    remedy: "Ledgers: restore the missing entries from a backup, and find out what writes past the service; money taken \
             without a payment goes back by a REFUND entry and the balance. Seat maps: a sold seat offered again is refused \
             at the till and marked by the job seat.settle within a minute, if any instance runs; a seat that only Redis \
             calls sold, or a lost hold, needs the schedule's keys deleted: the map is then built anew from Postgres, \
             and its holds are lost.",
};

const EVERY_HOLD_ENDS: Invariant = Invariant {
    number: 7,
    rule: "Every hold ends: paid, given up, or lapsed, and then the seat is free.",
    remedy: "See that an instance runs and that job_runs_total of seat.sweep counts up with outcome ok: it frees what has \
             lapsed and reconciles what is stuck. A seat that nothing will free needs the schedule's keys deleted: the \
             map is then built anew from Postgres, and its holds are lost.",
};

/// What the seat maps say.
#[derive(Debug, Default)]
pub(super) struct Maps {
    seen: u32,
    holds: u64,
    /// Sold in Postgres, to be had in Redis.
    offered: Tally,
    /// Sold in Redis only.
    phantoms: Tally,
    lost: Tally,
    endless: Tally,
    overdue: Tally,
    stuck: Tally,
}

pub(super) async fn read(concerts: &Concerts, seats: &Seats) -> Result<Maps, StoreError> {
    let mut maps = Maps::default();
    for schedule in concerts.programme().schedules() {
        if let Some(look) = settled(seats, schedule.id).await? {
            maps.add(seats, schedule.id, &look).await?;
        }
    }
    Ok(maps)
}

/// One look at one map.
struct Look {
    map: MapAudit,
    holds: u64,
    offered: Positions,
    phantoms: Positions,
}

/// Counts seats by position.
#[derive(Default)]
struct Positions {
    count: u64,
    first: Vec<i32>,
}

impl Positions {
    fn add(&mut self, position: i32) {
        self.count += 1;
        if self.first.len() < 5 {
            self.first.push(position);
        }
    }
}

/// A map that disagrees with Postgres is looked at again.
async fn settled(seats: &Seats, schedule: ScheduleId) -> Result<Option<Look>, StoreError> {
    let mut look = look(seats, schedule).await?;
    for _ in 1..LOOKS {
        if look.as_ref().is_none_or(|look| look.offered.count + look.phantoms.count == 0) {
            break;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        look = self::look(seats, schedule).await?;
    }
    Ok(look)
}

async fn look(seats: &Seats, schedule: ScheduleId) -> Result<Option<Look>, StoreError> {
    // Postgres before and after: a seat sold, or refunded, in between is neither missing nor too much.
    let before = seats.sold_marks(schedule).await?;
    let Some(map) = seats.audit(schedule, LATE).await? else { return Ok(None) };
    let after = seats.sold_marks(schedule).await?;
    let mut look = Look { map, holds: 0, offered: Positions::default(), phantoms: Positions::default() };
    let is_sold = |marks: &[bool], at: usize| marks.get(at).copied().unwrap_or_default();
    for (at, position) in (0..look.map.states.len().max(after.len())).zip(0..) {
        // A seat beyond the map's end is as one that is free.
        let state = look.map.states.get(at).copied().unwrap_or(b'F');
        let (before, after) = (is_sold(&before, at), is_sold(&after, at));
        match state {
            b'S' if !before && !after => look.phantoms.add(position),
            b'F' | b'H' if before && after => look.offered.add(position),
            b'H' | b'P' => look.holds += 1,
            _ => {}
        }
    }
    Ok(Some(look))
}

impl Maps {
    async fn add(&mut self, seats: &Seats, schedule: ScheduleId, look: &Look) -> Result<(), StoreError> {
        self.seen += 1;
        self.holds += look.holds;
        for (positions, total) in [(&look.offered, &mut self.offered), (&look.phantoms, &mut self.phantoms)] {
            total.absorb(&format!("schedule {schedule} seat"), &named(seats, schedule, positions).await?);
        }
        let of = |what: &str| format!("schedule {schedule} {what}");
        self.lost.absorb(&of("reservation"), &look.map.lost);
        self.overdue.absorb(&of("reservation"), &look.map.overdue);
        self.stuck.absorb(&of("reservation"), &look.map.stuck);
        self.endless.absorb(&of("position"), &look.map.endless);
        Ok(())
    }

    pub(super) fn nothing_is_lost(&self, books: &Books) -> Finding {
        let detail = format!("{} ledger entries, {} seat maps", books.entries, self.seen);
        let wrong = [
            ("gaps in ledgers", &books.gaps),
            ("entries without a payment", &books.orphans),
            ("sold seats that Redis would give again", &self.offered),
            ("seats that only Redis calls sold", &self.phantoms),
            ("lost holds", &self.lost),
        ];
        NOTHING_IS_LOST.found(detail, wrong.map(|(what, tally)| (what, tally.clone())))
    }

    pub(super) fn every_hold_ends(&self) -> Finding {
        let detail = format!("{} holds in {} seat maps", self.holds, self.seen);
        let wrong = [
            ("seats that nothing will free", &self.endless),
            ("lapsed holds not ended", &self.overdue),
            ("payments stuck", &self.stuck),
        ];
        EVERY_HOLD_ENDS.found(detail, wrong.map(|(what, tally)| (what, tally.clone())))
    }
}

/// By the seats' ids, so that an operator finds them.
async fn named(seats: &Seats, schedule: ScheduleId, positions: &Positions) -> Result<Tally, StoreError> {
    if positions.count == 0 {
        return Ok(Tally::default());
    }
    let ids = seats.seats_at(schedule, &positions.first).await?;
    Ok(Tally { count: positions.count, examples: ids.iter().map(ToString::to_string).collect() })
}
