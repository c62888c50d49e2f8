//! Holds and seat maps: no seat was promised to two at a time, and in the end Redis and PostgreSQL say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use redis::AsyncCommands;

use crate::Outcome;
use crate::cluster::Cluster;
use crate::history::{Hold, Records, Span};
use crate::programme::{Programme, SEATS};

/// Within this every hold has lapsed, every payment is decided, and every map has been told.
const SETTLING: Duration = Duration::from_secs(45);
/// How many wrong seats are named.
const NAMED: usize = 5;

/// Waits until every map is at rest and agrees with PostgreSQL; returns what does not in time.
pub(super) async fn maps_settle(cluster: &Cluster, programme: &Programme) -> Outcome<Vec<String>> {
    let late = Instant::now() + SETTLING;
    loop {
        let wrong = wrong_seats(cluster, programme).await?;
        if wrong.is_empty() || Instant::now() > late {
            return Ok(wrong);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Seats that are neither free nor sold, or sold in one store only; no map at all is fine, nor is one of a former Redis that
/// nobody has asked about since: it is compared with PostgreSQL before it answers.
async fn wrong_seats(cluster: &Cluster, programme: &Programme) -> Outcome<Vec<String>> {
    let sold = "SELECT concert_seat_id FROM reservation WHERE status = 'CONFIRMED'";
    let sold: Vec<i64> = sqlx::query_scalar(sold).fetch_all(cluster.stores.admin()).await?;
    let sold: BTreeSet<i64> = sold.into_iter().collect();
    let mut redis = cluster.stores.redis().await?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut redis).await?;
    let this = info.lines().find_map(|line| line.strip_prefix("run_id:")).ok_or("Redis does not say who it is")?;
    let mut wrong = Vec::new();
    let schedules =
        programme.queues.iter().flat_map(|queue| queue.schedules.clone().map(|schedule| (&queue.name, schedule)));
    for (queue, schedule) in schedules {
        let opened_in: Option<String> =
            redis.hget(format!("onsale:{{queue:{queue}}}:schedule:{schedule}:map"), "incarnation").await?;
        if opened_in.is_none_or(|incarnation| incarnation != this) {
            continue;
        }
        let states: Option<Vec<u8>> = redis.get(format!("onsale:{{queue:{queue}}}:schedule:{schedule}:seats")).await?;
        let Some(states) = states else { continue };
        if i64::try_from(states.len())? != SEATS {
            wrong.push(format!("the map of schedule {schedule} has {} seats", states.len()));
        }
        for (seat, state) in Programme::seats(schedule).zip(states) {
            let is_right = if sold.contains(&seat) { state == b'S' } else { state == b'F' };
            if !is_right {
                let owner = if sold.contains(&seat) { "sold" } else { "not sold" };
                wrong.push(format!("seat {seat}: {} in Redis, {owner} in PostgreSQL", char::from(state)));
            }
        }
        let left: (u64, u64) = (
            redis.zcard(format!("onsale:{{queue:{queue}}}:schedule:{schedule}:lapses")).await?,
            redis.zcard(format!("onsale:{{queue:{queue}}}:schedule:{schedule}:paying")).await?,
        );
        if left != (0, 0) {
            wrong.push(format!("schedule {schedule}: {} holds and {} payments under way", left.0, left.1));
        }
    }
    wrong.truncate(NAMED);
    Ok(wrong)
}

/// Two users were promised one seat at a time only if Redis forgot the first promise.
pub(super) fn check_holds(records: &mut Records) {
    let mut by_seat: BTreeMap<i64, Vec<Hold>> = BTreeMap::new();
    for hold in &records.holds {
        by_seat.entry(hold.seat).or_default().push(hold.clone());
    }
    for (seat, holds) in by_seat {
        for (index, second) in holds.iter().enumerate() {
            // Those before it have been written down before it, as far as that matters: they were acknowledged earlier.
            let clash = holds[..index].iter().chain(&holds[index + 1..]).find(|first| clashes(first, second));
            if let Some(first) = clash {
                let span = Span { from: first.asked, to: second.acknowledged };
                records.suspect(seat, span, "one seat, one holder", format!("seat {seat}: {first:?} and {second:?}"));
            }
        }
    }
}

/// The second was asked for after the first was acknowledged, and acknowledged while that was valid.
fn clashes(first: &Hold, second: &Hold) -> bool {
    first.user != second.user && first.acknowledged < second.asked && second.acknowledged < first.until
}
