//! What Redis keeps, and whether it agrees with Postgres.

use std::sync::Arc;
use std::time::Duration;

use super::Finding;
use crate::concert::Concerts;
use crate::queue::{Queue, QueueAudit, Queues};
use crate::seat::Seats;
use crate::store_error::StoreError;

/// From which age a payment under way is called stuck; the reconciler ends it long before.
const STUCK: Duration = Duration::from_secs(30);

/// What the seat maps say, all schedules together.
#[derive(Debug, Default)]
pub(super) struct Maps {
    seen: u32,
    holds: u32,
    /// Sold in Postgres, to be had in Redis.
    ghosts: u32,
    /// Sold in Redis only.
    phantoms: u32,
    endless: u32,
    stuck: u32,
}

/// What the queues say.
#[derive(Debug)]
pub(super) struct QueueAudits(Vec<(Arc<Queue>, QueueAudit)>);

pub(super) async fn queues(queues: &Queues) -> Result<QueueAudits, StoreError> {
    let mut audits = Vec::new();
    for queue in queues.all() {
        let audit = queues.audit(&queue).await?;
        audits.push((queue, audit));
    }
    Ok(QueueAudits(audits))
}

pub(super) async fn maps(concerts: &Concerts, seats: &Seats) -> Result<Maps, StoreError> {
    let mut maps = Maps::default();
    for schedule in concerts.programme().schedules() {
        // Postgres first: a seat sold in between is then sold in Redis only if Postgres had it before.
        let before = seats.sold(schedule.id).await?;
        let Some(audit) = seats.audit(schedule.id, STUCK).await? else { continue };
        let after = seats.sold(schedule.id).await?;
        maps.seen += 1;
        maps.endless += audit.endless;
        maps.stuck += audit.stuck;
        for (state, position) in audit.states.iter().zip(0_i32..) {
            match state {
                b'S' if !before.contains(&position) && !after.contains(&position) => maps.phantoms += 1,
                b'F' | b'H' if before.contains(&position) && after.contains(&position) => maps.ghosts += 1,
                b'H' | b'P' => maps.holds += 1,
                _ => {}
            }
        }
    }
    Ok(maps)
}

impl Maps {
    pub(super) fn agree(&self) -> bool {
        self.ghosts == 0 && self.phantoms == 0
    }

    pub(super) fn disagreements(&self) -> String {
        format!("{} sold seats that Redis would give again, {} that only Redis calls sold", self.ghosts, self.phantoms)
    }

    pub(super) fn every_hold_ends(&self) -> Finding {
        Finding {
            invariant: 7,
            holds: self.endless == 0 && self.stuck == 0,
            rule: "Every hold ends: paid, given up, or lapsed, and then the seat is free.",
            detail: format!(
                "{} holds in {} seat maps, {} without an end, {} payments stuck",
                self.holds, self.seen, self.endless, self.stuck
            ),
        }
    }
}

impl QueueAudits {
    pub(super) fn cap_and_order(&self) -> Finding {
        let over_cap = |queue: &Queue, audit: &QueueAudit| audit.active > queue.settings.max_active;
        let out_of_order = |audit: &QueueAudit| audit.first_waiting > 0 && audit.latest_active > audit.first_waiting;
        let wrong: Vec<String> = self
            .0
            .iter()
            .filter(|(queue, audit)| over_cap(queue, audit) || out_of_order(audit))
            .map(|(queue, audit)| format!("{}: {audit:?}, cap {}", queue.name, queue.settings.max_active))
            .collect();
        let active: u32 = self.0.iter().map(|(_, audit)| audit.active).sum();
        Finding {
            invariant: 5,
            holds: wrong.is_empty(),
            rule: "Active tokens never exceed the cap; nobody is admitted before someone who came earlier and is still \
                   there.",
            detail: format!("{active} active in {} queues{}", self.0.len(), listed(&wrong)),
        }
    }

    pub(super) fn one_token_a_user(&self) -> Finding {
        let torn: u32 = self.0.iter().map(|(_, audit)| audit.torn).sum();
        Finding {
            invariant: 6,
            holds: torn == 0,
            rule: "A user has at most one live token a queue; a token admits at most once.",
            detail: format!("{torn} users with two"),
        }
    }
}

fn listed(wrong: &[String]) -> String {
    if wrong.is_empty() { String::new() } else { format!("; broken: {}", wrong.join("; ")) }
}
