//! The wallets' only SQL, but for the debit of a payment, which is part of the payment's own statement.

use sqlx::PgExecutor;

use super::gathered::{Charge, Charged};
use super::{ChargeError, Entry, http};
use crate::http::Page;
use crate::idempotency::Claim;
use crate::ids::{NotAnId, UserId};
use crate::money::{GREATEST_BALANCE, Won};
use crate::postgres::Postgres;
use crate::store_error::StoreError;

pub(super) async fn balance(postgres: &Postgres, user: UserId) -> Result<Won, StoreError> {
    let read = sqlx::query_scalar!("SELECT balance FROM user_wallet WHERE user_id = $1", user.get())
        .fetch_optional(postgres.pool());
    Ok(Won(postgres.timed("wallet.balance", read).await?.unwrap_or(0)))
}

/// Entries of a page, newest first.
pub(super) async fn ledger(postgres: &Postgres, user: UserId, page: Page) -> Result<Vec<Entry>, StoreError> {
    let read = sqlx::query!(
        "SELECT id, kind, amount, balance_after, payment_history_id, created_at FROM wallet_ledger
         WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        user.get(),
        page.before,
        page.limit()
    )
    .fetch_all(postgres.pool());
    let rows = postgres.timed("wallet.ledger", read).await?;
    let entries = rows.into_iter().map(|row| {
        Ok(Entry {
            id: row.id.try_into()?,
            kind: row.kind,
            amount: Won(row.amount),
            balance_after: Won(row.balance_after),
            payment: row.payment_history_id.map(TryInto::try_into).transpose()?,
            at: row.created_at,
        })
    });
    let unexpected = |error: NotAnId| StoreError::Unexpected { store: "postgres", source: error.into() };
    entries.collect::<Result<_, _>>().map_err(unexpected)
}

/// The new balance; none if it would pass its limit.
pub(super) async fn charge(postgres: &Postgres, user: UserId, amount: Won) -> Result<Option<Won>, StoreError> {
    Ok(postgres.timed("wallet.charge_alone", add(postgres.pool(), user, amount)).await?)
}

/// What `charge` does, for many users as one statement, each decided on its own; no user twice. One whose wallet somebody
/// else has locked is left out rather than waited for, so that it holds nobody up. New wallets are made in the order of
/// their users: where two sets make the same ones, neither waits for the other in a circle.
pub(super) async fn charge_many(postgres: &Postgres, charges: &[Charge]) -> Result<Vec<Charged>, sqlx::Error> {
    let users: Vec<i64> = charges.iter().map(|charge| charge.user.get()).collect();
    let amounts: Vec<i64> = charges.iter().map(|charge| charge.amount.0).collect();
    let write = sqlx::query!(
        "WITH asked AS MATERIALIZED (
             SELECT * FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS asked (user_id, amount, turn)
         ), locked AS MATERIALIZED (
             SELECT user_id, balance FROM user_wallet WHERE user_id = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED
         ), opened AS (
             INSERT INTO user_wallet (user_id, balance)
             SELECT asked.user_id, asked.amount FROM asked LEFT JOIN locked USING (user_id)
             WHERE locked.user_id IS NULL ORDER BY asked.user_id
             ON CONFLICT (user_id) DO NOTHING
             RETURNING user_id, balance, balance AS amount
         ), added AS (
             UPDATE user_wallet wallet SET balance = locked.balance + asked.amount
             FROM locked JOIN asked USING (user_id)
             WHERE wallet.user_id = locked.user_id AND locked.balance + asked.amount <= $3
             RETURNING wallet.user_id, wallet.balance, asked.amount
         ), charged AS (
             SELECT user_id, balance, amount FROM added UNION ALL SELECT user_id, balance, amount FROM opened
         ), entry AS (
             INSERT INTO wallet_ledger (user_id, kind, amount, balance_after)
             SELECT user_id, 'CHARGE', amount, balance FROM charged
         )
         SELECT asked.turn AS \"turn!\", charged.balance AS \"balance?\",
                locked.user_id IS NOT NULL AND charged.user_id IS NULL AS \"is_refused!\"
         FROM asked LEFT JOIN charged USING (user_id) LEFT JOIN locked USING (user_id)",
        &users,
        &amounts,
        GREATEST_BALANCE.0
    )
    .fetch_all(postgres.pool());
    let mut answers = vec![Charged::LeftOut; charges.len()];
    for row in postgres.timed("wallet.charge", write).await? {
        let answer = match row.balance {
            Some(balance) => Charged::Decided(Some(Won(balance))),
            None if row.is_refused => Charged::Decided(None),
            None => continue,
        };
        let turn = usize::try_from(row.turn - 1).ok();
        if let Some(place) = turn.and_then(|turn| answers.get_mut(turn)) {
            *place = answer;
        }
    }
    Ok(answers)
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
