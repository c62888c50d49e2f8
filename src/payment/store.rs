//! The payments' only SQL.

use crate::ids::{PaymentId, ReservationId, SeatId, UserId};
use crate::money::Won;
use crate::postgres::{Postgres, broken_constraint};
use crate::store_error::StoreError;

/// What Postgres decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Paid, now.
    Paid { id: PaymentId, amount: Won },
    /// Paid, by an earlier statement; nothing was written.
    PaidBefore { id: PaymentId },
    /// The wallet cannot pay; nothing was written.
    Insufficient,
    /// The seat has a live reservation already; nothing was written.
    SeatSold,
    /// This reservation can never be paid; nothing was written.
    Aborted,
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
    pub(super) payment: Option<PaymentId>,
}

/// The payment, one statement and so one transaction and one round trip: debit, reservation, payment, ledger entry, or
/// none of them. The price is the seat's own.
pub(super) async fn pay(
    postgres: &Postgres,
    reservation: ReservationId,
    user: UserId,
    seat: SeatId,
) -> Result<Decision, PayFailure> {
    let write = sqlx::query!(
        "WITH bill AS (
                 SELECT price FROM concert_seat WHERE id = $3
             ), debit AS (
                 UPDATE user_wallet wallet SET balance = wallet.balance - bill.price
                 FROM bill WHERE wallet.user_id = $2 AND wallet.balance >= bill.price
                 RETURNING wallet.balance, bill.price
             ), confirmed AS (
                 INSERT INTO reservation (id, user_id, concert_seat_id, status, price)
                 SELECT $1, $2, $3, 'CONFIRMED', price FROM debit
                 RETURNING id
             ), paid AS (
                 INSERT INTO payment_history (reservation_id, user_id, amount)
                 SELECT confirmed.id, $2, debit.price FROM confirmed, debit
                 RETURNING id, amount
             ), entry AS (
                 INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
                 SELECT $2, 'PAYMENT', -debit.price, debit.balance, paid.id FROM paid, debit
             )
             SELECT id, amount FROM paid",
        reservation.get(),
        user.get(),
        seat.get()
    )
    .fetch_optional(postgres.pool());
    match postgres.timed("payment.pay", write).await {
        Ok(Some(row)) => {
            let id = row.id.try_into().map_err(|error| PayFailure::Unknown(unexpected(error)))?;
            Ok(Decision::Paid { id, amount: Won(row.amount) })
        }
        Ok(None) => Ok(Decision::Insufficient),
        Err(error) => match broken_constraint(&error) {
            Some("reservation_seat_live") => Ok(Decision::SeatSold),
            // The row is there: paid before, or a tombstone. The caller asks which.
            Some("reservation_pkey") => Err(PayFailure::Unknown(error.into())),
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
        "SELECT reservation.user_id, reservation.status = 'CONFIRMED' AS \"live!\", payment.id AS \"payment?\"
             FROM reservation LEFT JOIN payment_history payment ON payment.reservation_id = reservation.id
             WHERE reservation.id = $1",
        reservation.get()
    )
    .fetch_optional(postgres.pool());
    let Some(row) = postgres.timed("payment.find", read).await? else { return Ok(None) };
    let user = row.user_id.try_into().map_err(unexpected)?;
    let payment = row.payment.map(PaymentId::try_from).transpose().map_err(unexpected)?;
    Ok(Some(Record { user, live: row.live, payment }))
}

/// Puts a tombstone where a payment would have to put its row, unless the payment was faster.
pub(super) async fn abort(
    postgres: &Postgres,
    reservation: ReservationId,
    user: UserId,
    seat: SeatId,
) -> Result<(), StoreError> {
    let write = sqlx::query!(
        "INSERT INTO reservation (id, user_id, concert_seat_id, status, price)
             SELECT $1, $2, id, 'ABORTED', price FROM concert_seat WHERE id = $3
             ON CONFLICT (id) DO NOTHING",
        reservation.get(),
        user.get(),
        seat.get()
    )
    .execute(postgres.pool());
    postgres.timed("payment.abort", write).await?;
    Ok(())
}

fn unexpected(error: crate::ids::NotAnId) -> StoreError {
    StoreError::Unexpected { store: "postgres", source: error.into() }
}
