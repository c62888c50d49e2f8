//! The wallets' only SQL, but for the debit of a payment, which is part of the payment's own statement.

use sqlx::PgExecutor;

use super::{ChargeError, http};
use crate::idempotency::Claim;
use crate::ids::UserId;
use crate::money::{GREATEST_BALANCE, Won};
use crate::postgres::Postgres;
use crate::store_error::StoreError;

pub(super) async fn balance(postgres: &Postgres, user: UserId) -> Result<Won, StoreError> {
    let read = sqlx::query_scalar!("SELECT balance FROM user_wallet WHERE user_id = $1", user.get())
        .fetch_optional(postgres.pool());
    Ok(Won(postgres.timed("wallet.balance", read).await?.unwrap_or(0)))
}

/// The new balance; none if it would pass its limit.
pub(super) async fn charge(postgres: &Postgres, user: UserId, amount: Won) -> Result<Option<Won>, StoreError> {
    Ok(postgres.timed("wallet.charge", add(postgres.pool(), user, amount)).await?)
}

/// Likewise, with the answer stored in the same transaction.
pub(super) async fn charge_once(
    postgres: &Postgres,
    claim: &Claim,
    user: UserId,
    amount: Won,
) -> Result<Option<Won>, ChargeError> {
    let charge = async {
        let Some(mut once) = claim.begin().await? else { return Ok(None) };
        let charged = add(once.connection(), user, amount).await?;
        Ok(once.end(http::answer(charged)).await?.then_some(charged))
    };
    postgres.timed("wallet.charge_once", charge).await.map_err(StoreError::from)?.ok_or(ChargeError::KeyInUse)
}

/// The entry's id is drawn while the wallet's row is locked, so a user's entries are in the order of their balances.
async fn add(executor: impl PgExecutor<'_>, user: UserId, amount: Won) -> Result<Option<Won>, sqlx::Error> {
    let balance = sqlx::query_scalar!(
        "WITH charged AS (
                 INSERT INTO user_wallet AS wallet (user_id, balance) VALUES ($1, $2)
                 ON CONFLICT (user_id) DO UPDATE SET balance = wallet.balance + $2
                     WHERE wallet.balance + $2 <= $3
                 RETURNING balance
             )
             INSERT INTO wallet_ledger (user_id, kind, amount, balance_after)
             SELECT $1, 'CHARGE', $2, balance FROM charged
             RETURNING balance_after",
        user.get(),
        amount.0,
        GREATEST_BALANCE.0
    )
    .fetch_optional(executor);
    Ok(balance.await?.map(Won))
}
