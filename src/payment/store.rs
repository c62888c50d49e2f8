//! The payments' only SQL.

use crate::ids::{PaymentId, ReservationId, SeatId, UserId};
use crate::money::Won;
use crate::postgres::{Postgres, broken_constraint};
use crate::seat::Attempt;
use crate::store_error::StoreError;

/// What Postgres decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Paid, now.
    Paid { id: PaymentId, amount: Won },
    /// Nothing was written: the wallet cannot pay, or the reservation's row was there already.
    Refused,
    /// Nothing was written: the seat has a live reservation already.
    SeatSold,
}

/// Why there is no decision.
#[derive(Debug)]
pub(super) enum PayFailure {
    /// The statement was certainly not carried out.
    NothingHappened(StoreError),
    /// It may have been.
    Unknown(StoreError),
}

/// A reservation's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) user: UserId,
    pub(super) live: bool,
    /// The attempt that has decided: that paid, or that must not pay any more.
    pub(super) attempt: i32,
    pub(super) payment: Option<PaymentId>,
}

/// The payment, one statement and so one transaction and one round trip: reservation, debit, payment, ledger entry, or none
/// of them. The price is the seat's own. A tombstone stops this attempt and older ones, not later ones.
///
/// The balance is looked at first and debited last. Should another payment of the same user come in between, the wallet's
/// own CHECK undoes this one.
pub(super) async fn pay(postgres: &Postgres, attempt: &Attempt, seat: SeatId) -> Result<Decision, PayFailure> {
    let write = sqlx::query!(
        "WITH bill AS (
             SELECT seat.price FROM concert_seat seat JOIN user_wallet wallet ON wallet.balance >= seat.price
             WHERE seat.id = $3 AND wallet.user_id = $2
         ), confirmed AS (
             INSERT INTO reservation AS had (id, user_id, concert_seat_id, status, price, attempt)
             SELECT $1, $2, $3, 'CONFIRMED', price, $4 FROM bill
             ON CONFLICT (id) DO UPDATE
                 SET status = 'CONFIRMED', attempt = excluded.attempt, price = excluded.price, created_at = now()
                 WHERE had.status = 'ABORTED' AND had.attempt < excluded.attempt AND had.user_id = excluded.user_id
             RETURNING id, price
         ), debit AS (
             UPDATE user_wallet wallet SET balance = wallet.balance - confirmed.price
             FROM confirmed WHERE wallet.user_id = $2
             RETURNING wallet.balance, confirmed.price
         ), paid AS (
             INSERT INTO payment_history (reservation_id, user_id, amount)
             SELECT $1, $2, price FROM debit
             RETURNING id, amount
         ), entry AS (
             INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
             SELECT $2, 'PAYMENT', -debit.price, debit.balance, paid.id FROM paid, debit
         )
         SELECT id, amount FROM paid",
        attempt.reservation.get(),
        attempt.user.get(),
        seat.get(),
        attempt.number
    )
    .fetch_optional(postgres.pool());
    match postgres.timed("payment.pay", write).await {
        Ok(Some(row)) => {
            let id = row.id.try_into().map_err(|error| PayFailure::Unknown(unexpected(error)))?;
            Ok(Decision::Paid { id, amount: Won(row.amount) })
        }
        Ok(None) => Ok(Decision::Refused),
        Err(error) => match broken_constraint(&error) {
            Some("reservation_seat_live") => Ok(Decision::SeatSold),
            Some("user_wallet_balance_range") => Ok(Decision::Refused),
            _ if rolled_back(&error) => Err(PayFailure::NothingHappened(error.into())),
            _ => Err(PayFailure::Unknown(error.into())),
        },
    }
}

/// An error that Postgres itself reports has rolled back, but for being shut down, where its last word may be cut short.
fn rolled_back(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(error) => !error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// What Postgres has for a reservation.
pub(super) async fn find(postgres: &Postgres, reservation: ReservationId) -> Result<Option<Record>, StoreError> {
    let read = sqlx::query!(
        "SELECT reservation.user_id, reservation.status = 'CONFIRMED' AS \"live!\", reservation.attempt,
                payment.id AS \"payment?\"
         FROM reservation LEFT JOIN payment_history payment ON payment.reservation_id = reservation.id
         WHERE reservation.id = $1",
        reservation.get()
    )
    .fetch_optional(postgres.pool());
    let Some(row) = postgres.timed("payment.find", read).await? else { return Ok(None) };
    let user = row.user_id.try_into().map_err(unexpected)?;
    let payment = row.payment.map(PaymentId::try_from).transpose().map_err(unexpected)?;
    Ok(Some(Record { user, live: row.live, attempt: row.attempt, payment }))
}

/// Puts a tombstone where an attempt would have to put its row, unless the attempt was faster. One that is just being
/// carried out is waited for.
pub(super) async fn abort(postgres: &Postgres, attempt: &Attempt, seat: SeatId) -> Result<(), StoreError> {
    let write = sqlx::query!(
        "INSERT INTO reservation AS had (id, user_id, concert_seat_id, status, price, attempt)
         SELECT $1, $2, id, 'ABORTED', price, $4 FROM concert_seat WHERE id = $3
         ON CONFLICT (id) DO UPDATE SET attempt = excluded.attempt
             WHERE had.status = 'ABORTED' AND had.attempt < excluded.attempt",
        attempt.reservation.get(),
        attempt.user.get(),
        seat.get(),
        attempt.number
    )
    .execute(postgres.pool());
    postgres.timed("payment.abort", write).await?;
    Ok(())
}

fn unexpected(error: crate::ids::NotAnId) -> StoreError {
    StoreError::Unexpected { store: "postgres", source: error.into() }
}
