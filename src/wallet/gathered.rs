//! Charges without a key, gathered: what comes while a set is carried out is decided together by the next, one statement
//! and one wait for the disk for all of it.
//!
//! Nobody is charged, refused or kept waiting for another's sake. What a set leaves out (somebody else has the wallet
//! locked), and whatever was in one that failed and was rolled back, is decided by itself.

use super::store;
use crate::batch::{Batcher, Work};
use crate::ids::UserId;
use crate::money::Won;
use crate::postgres::{Postgres, may_be_a_members, not_decided};
use crate::store_error::StoreError;

/// An amount to be added to a user's balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) user: UserId,
    pub(super) amount: Won,
}

/// What became of a charge in its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charged {
    /// The new balance; none if it would pass its limit.
    Decided(Option<Won>),
    /// Nothing yet: it is to be decided by itself.
    LeftOut,
}

/// The charges, gathered.
#[derive(Debug, Clone)]
pub(super) struct Charges {
    postgres: Postgres,
    sets: Batcher<Sets>,
}

struct Sets(Postgres);

impl Charges {
    pub(super) fn new(postgres: Postgres) -> Self {
        let bounds = postgres.sets();
        Self { sets: Batcher::new(Sets(postgres.clone()), bounds), postgres }
    }

    /// The new balance; none if it would pass its limit.
    pub(super) async fn charge(&self, user: UserId, amount: Won) -> Result<Option<Won>, StoreError> {
        match self.sets.submit(Charge { user, amount }).await.map_err(not_decided)?? {
            Charged::Decided(balance) => Ok(balance),
            Charged::LeftOut => store::charge(&self.postgres, user, amount).await,
        }
    }
}

impl Work for Sets {
    type Job = Charge;
    type Answer = Result<Charged, StoreError>;
    type Key = UserId;

    fn op(&self) -> &'static str {
        "wallet.charge"
    }

    /// A row changes once in a statement.
    fn keys(charge: &Charge) -> impl IntoIterator<Item = UserId> {
        [charge.user]
    }

    async fn run(&self, charges: Vec<Charge>) -> Vec<Self::Answer> {
        match store::charge_many(&self.0, &charges).await {
            Ok(told) => told.into_iter().map(Ok).collect(),
            Err(error) if may_be_a_members(&error) => charges.iter().map(|_| Ok(Charged::LeftOut)).collect(),
            Err(error) => StoreError::from(error).repeat().take(charges.len()).map(Err).collect(),
        }
    }
}
