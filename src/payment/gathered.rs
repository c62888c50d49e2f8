//! Payments without a key, gathered: what comes while a set is carried out is decided together by the next, one statement
//! and one wait for the disk for all of it.
//!
//! Each is decided on its own: no empty wallet, no sold seat and no row that was there before is another's concern. A set
//! decides only what is plain. What it leaves out, and whatever was in one that failed and was rolled back, is decided by
//! itself, by the statement that knows every case. Of a set of which nobody knows whether it was carried out, each member is
//! told so, and each puts its own tombstone.

use super::Paid;
use super::store::{self, Decision, PayFailure, Purchase};
use crate::batch::{Batcher, NotDone, Work};
use crate::ids::{SeatId, UserId};
use crate::postgres::{Postgres, may_be_a_members, not_decided, rolled_back};
use crate::store_error::StoreError;

/// The payments, gathered.
#[derive(Debug)]
pub(super) struct Purchases {
    postgres: Postgres,
    sets: Batcher<Sets>,
}

struct Sets(Postgres);

/// What no two of a set may share. A reservation is of one seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    User(UserId),
    Seat(SeatId),
}

impl Purchases {
    pub(super) fn new(postgres: Postgres) -> Self {
        let bounds = postgres.sets();
        Self { sets: Batcher::new(Sets(postgres.clone()), bounds), postgres }
    }

    pub(super) async fn pay(&self, purchase: Purchase) -> Result<Decision<Paid>, PayFailure> {
        match self.sets.submit(purchase).await {
            Ok(Ok(Some(decision))) => Ok(decision),
            Ok(Ok(None)) => store::pay(&self.postgres, &purchase).await,
            Ok(Err(failure)) => Err(failure),
            Err(why @ (NotDone::Full | NotDone::Late)) => Err(PayFailure::NothingHappened(not_decided(why))),
            Err(why @ NotDone::Lost) => Err(PayFailure::Unknown(not_decided(why))),
        }
    }
}

impl Work for Sets {
    type Job = Purchase;
    /// None for what is to be decided by itself.
    type Answer = Result<Option<Decision<Paid>>, PayFailure>;
    type Key = Key;

    fn op(&self) -> &'static str {
        "payment.pay"
    }

    fn keys(purchase: &Purchase) -> impl IntoIterator<Item = Key> {
        [Key::User(purchase.attempt.user), Key::Seat(purchase.seat)]
    }

    async fn run(&self, purchases: Vec<Purchase>) -> Vec<Self::Answer> {
        let error = match store::pay_gathered(&self.0, &purchases).await {
            Ok(decisions) => return decisions.into_iter().map(Ok).collect(),
            Err(error) => error,
        };
        if may_be_a_members(&error) {
            return purchases.iter().map(|_| Ok(None)).collect();
        }
        let failure = if rolled_back(&error) { PayFailure::NothingHappened } else { PayFailure::Unknown };
        StoreError::from(error).repeat().take(purchases.len()).map(|error| Err(failure(error))).collect()
    }
}
