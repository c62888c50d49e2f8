//! Wallets: a balance a user, and the ledger that explains it to the last won. Owns the tables `user_wallet` and
//! `wallet_ledger`; a balance changes only in one statement with the entry that says why.

mod gathered;
mod http;
mod store;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use http::{calls, router};

use crate::http::Page;
use crate::idempotency::Claim;
use crate::ids::{PaymentId, TransactionId, UserId};
use crate::money::Won;
use crate::postgres::Postgres;
use crate::store_error::StoreError;
use gathered::Charges;

/// All wallets.
#[derive(Debug, Clone)]
pub struct Wallets {
    postgres: Postgres,
    charges: Charges,
}

/// Why nothing was charged.
#[derive(Debug, thiserror::Error)]
pub enum ChargeError {
    /// The balance would pass its limit.
    #[error("the balance would pass its limit")]
    BalanceLimit,
    /// Another request has the same key.
    #[error("another request has the same Idempotency-Key")]
    KeyInUse,
    /// A store failed. Whether it was charged is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id; a user's entries are in the order of their ids.
    pub id: TransactionId,
    /// CHARGE, PAYMENT or REFUND.
    pub kind: String,
    /// What it added to the balance.
    pub amount: Won,
    /// The balance after it.
    pub balance_after: Won,
    /// The payment made or given back.
    pub payment: Option<PaymentId>,
    /// When.
    pub at: DateTime<Utc>,
}

impl Wallets {
    /// Asks nobody yet.
    #[must_use]
    pub fn new(postgres: Postgres) -> Arc<Self> {
        Arc::new(Self { charges: Charges::new(postgres.clone()), postgres })
    }

    /// The balance; 0 for a user that never charged.
    pub async fn balance(&self, user: UserId) -> Result<Won, StoreError> {
        store::balance(&self.postgres, user).await
    }

    /// The ledger of a user, newest first, and where to go on.
    pub async fn ledger(&self, user: UserId, page: Page) -> Result<(Vec<Entry>, Option<String>), StoreError> {
        let mut entries = store::ledger(&self.postgres, user, page).await?;
        let next = page.cut(&mut entries, |entry| entry.id.get());
        Ok((entries, next))
    }

    /// Adds to the balance; returns the new one. Under a key, the answer is stored with it.
    pub async fn charge(&self, user: UserId, amount: Won, claim: Option<&Claim>) -> Result<Won, ChargeError> {
        let charged = match claim {
            None => self.charges.charge(user, amount).await?,
            Some(claim) => store::charge_once(&self.postgres, claim, user, amount).await?,
        };
        charged.ok_or(ChargeError::BalanceLimit)
    }
}
