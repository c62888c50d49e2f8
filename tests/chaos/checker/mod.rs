//! What must hold of the whole run, once the faults are over and everything has settled: of what the clients were told, of
//! what PostgreSQL and Redis have, and between them.
//!
//! `ledger.rs` is about money and tickets, `seats.rs` about holds and the seat maps, `queue.rs` about order and rate,
//! `liveness.rs` about answering, and recovering.

mod ledger;
pub mod liveness;
mod queue;
mod seats;

use crate::Outcome;
use crate::cluster::Cluster;
use crate::history::{History, Records};
use crate::programme::Programme;

/// Checks everything; what does not hold is in the history afterwards.
pub async fn check(cluster: &Cluster, programme: &Programme, history: &History) -> Outcome {
    let wrong_seats = seats::maps_settle(cluster, programme).await?;
    let books = ledger::Books::read(cluster.stores.admin()).await?;
    check_records(programme, &books, wrong_seats, &mut history.records());
    let (holds, said) = cluster.audit().await?;
    if !holds {
        history.breach("`onsale audit` finds nothing", said);
    }
    Ok(())
}

fn check_records(programme: &Programme, books: &ledger::Books, wrong_seats: Vec<String>, records: &mut Records) {
    for wrong in wrong_seats {
        records.breach("every hold ends, and Redis calls sold what PostgreSQL does", wrong);
    }
    books.check(records);
    seats::check_holds(records);
    queue::check(programme, records);
    liveness::check_times(records);
    for suspicion in std::mem::take(&mut records.suspicions) {
        if records.excuses(&suspicion) {
            *records.counts.entry("holds lost with what Redis lost").or_default() += 1;
        } else {
            records.breach(suspicion.breach.rule, suspicion.breach.detail);
        }
    }
}
