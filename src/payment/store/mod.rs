//! The payments' only SQL.
//!
//! One order of locks for all that moves money: wallets first, then reservations, these in the order of their seats. Whoever
//! waits for a reservation or a seat may have a wallet, and nobody who has one of those waits for a wallet; so nobody ever
//! waits in a circle.

mod batch;
mod gathered;

use chrono::NaiveDate;
use sqlx::PgExecutor;

pub(super) use batch::{Found, Order, abort_many, find_many, pay_many};
pub(super) use gathered::pay_gathered;

use super::{Paid, Past, http};
use crate::http::Page;
use crate::idempotency::Claim;
use crate::ids::{NotAnId, PaymentId, ReservationId, ScheduleId, SeatId, UserId};
use crate::money::Won;
use crate::postgres::{Postgres, broken_constraint, rolled_back};
use crate::queue;
use crate::seat::Attempt;
use crate::store_error::StoreError;

/// What Postgres decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision<T> {
    /// Paid, now.
    Paid(T),
    /// Nothing was written: the wallet cannot pay, or the reservation's row was there already.
    Refused,
    /// Nothing was written: the seat has a live reservation already.
    SeatSold,
    /// Nothing was written: another request has the same `Idempotency-Key`.
    KeyInUse,
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
    /// Paid for, and not refunded.
    pub(super) live: bool,
    /// The attempt that has decided: that paid, or that must not pay any more.
    pub(super) attempt: i32,
    pub(super) payment: Option<PaymentId>,
}

/// One payment of those that are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Purchase {
    pub(super) attempt: Attempt,
    pub(super) seat: SeatId,
    pub(super) token: queue::Claim,
}

/// The payment by itself: one statement and so one transaction and one round trip.
pub(super) async fn pay(postgres: &Postgres, purchase: &Purchase) -> Result<Decision<Paid>, PayFailure> {
    decided(postgres.timed("payment.pay_alone", take(postgres.pool(), purchase)).await)
}

/// The payment under a key: one transaction with the answer.
pub(super) async fn pay_once(
    postgres: &Postgres,
    purchase: &Purchase,
    claim: &Claim,
) -> Result<Decision<Paid>, PayFailure> {
    decided(postgres.timed("payment.pay_once", take_once(claim, purchase)).await)
}

/// What an error says of what was decided.
fn decided<T>(decision: Result<Decision<T>, sqlx::Error>) -> Result<Decision<T>, PayFailure> {
    decision.or_else(|error| match broken_constraint(&error) {
        Some("reservation_seat_live") => Ok(Decision::SeatSold),
        Some("user_wallet_balance_range") => Ok(Decision::Refused),
        _ if rolled_back(&error) => Err(PayFailure::NothingHappened(error.into())),
        _ => Err(PayFailure::Unknown(error.into())),
    })
}

/// What is not paid has no answer yet: why it is not remains to be asked.
async fn take_once(claim: &Claim, purchase: &Purchase) -> Result<Decision<Paid>, sqlx::Error> {
    let Some(mut once) = claim.begin().await? else { return Ok(Decision::KeyInUse) };
    let decision = take(once.connection(), purchase).await?;
    let Decision::Paid(paid) = decision else {
        once.roll_back().await?;
        return Ok(decision);
    };
    Ok(if once.end(http::answer(paid.id)).await? { decision } else { Decision::KeyInUse })
}

/// Reservation, debit, payment, ledger entry, or none of them. The price is the seat's own. A tombstone stops this attempt
/// and older ones, not later ones.
///
/// The wallet is locked first, so what is looked at is what is debited.
async fn take(executor: impl PgExecutor<'_>, purchase: &Purchase) -> Result<Decision<Paid>, sqlx::Error> {
    let Purchase { attempt, seat, token } = purchase;
    let paid = sqlx::query!(
        "WITH bill AS (
             SELECT seat.price FROM concert_seat seat JOIN user_wallet wallet ON wallet.balance >= seat.price
             WHERE seat.id = $3 AND wallet.user_id = $2
             FOR NO KEY UPDATE OF wallet
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
             INSERT INTO payment_history (reservation_id, user_id, amount, queue_id, queue_place)
             SELECT $1, $2, price, $5, $6 FROM debit
             RETURNING id, amount
         ), entry AS (
             INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
             SELECT $2, 'PAYMENT', -debit.price, debit.balance, paid.id FROM paid, debit
         )
         SELECT id, amount FROM paid",
        attempt.reservation.get(),
        attempt.user.get(),
        seat.get(),
        attempt.number,
        token.queue.0,
        token.place.cast_signed()
    )
    .fetch_optional(executor);
    let Some(row) = paid.await? else { return Ok(Decision::Refused) };
    Ok(Decision::Paid(Paid { id: row.id.try_into().map_err(no_id)?, taken: Some(Won(row.amount)) }))
}

fn no_id(error: NotAnId) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// Sees to it that a user has a wallet, with nothing in it unless it has something.
pub(super) async fn open_wallet(postgres: &Postgres, user: UserId) -> Result<(), StoreError> {
    let write =
        sqlx::query!("INSERT INTO user_wallet (user_id, balance) VALUES ($1, 0) ON CONFLICT DO NOTHING", user.get())
            .execute(postgres.pool());
    postgres.timed("payment.open_wallet", write).await?;
    Ok(())
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

/// Who has paid in a queue within a day, which is the longest that a token lives, and in which schedule.
pub(super) async fn used_up(
    postgres: &Postgres,
    queue: queue::QueueId,
) -> Result<Vec<(queue::Claim, ScheduleId)>, StoreError> {
    let read = sqlx::query!(
        "SELECT payment.user_id, payment.queue_place AS \"place!\", seat.concert_schedule_id
         FROM payment_history payment
         JOIN reservation ON reservation.id = payment.reservation_id
         JOIN concert_seat seat ON seat.id = reservation.concert_seat_id
         WHERE payment.queue_id = $1 AND payment.queue_place IS NOT NULL AND payment.paid_at > now() - interval '1 day'",
        queue.0
    )
    .fetch_all(postgres.pool());
    let rows = postgres.timed("payment.used_up", read).await?;
    let used = rows.into_iter().filter_map(|row| {
        let (user, place) = (row.user_id.try_into().ok()?, row.place.unsigned_abs());
        Some((queue::Claim { queue, user, place }, row.concert_schedule_id.try_into().ok()?))
    });
    Ok(used.collect())
}

/// The token under which a reservation was paid for, if that is known.
pub(super) async fn token_of(
    postgres: &Postgres,
    reservation: ReservationId,
) -> Result<Option<queue::Claim>, StoreError> {
    let read = sqlx::query!(
        "SELECT user_id, queue_id, queue_place FROM payment_history WHERE reservation_id = $1",
        reservation.get()
    )
    .fetch_optional(postgres.pool());
    let Some(row) = postgres.timed("payment.token_of", read).await? else { return Ok(None) };
    let user = row.user_id.try_into().map_err(unexpected)?;
    let at = row.queue_id.zip(row.queue_place);
    Ok(at.map(|(id, place)| queue::Claim { queue: queue::QueueId(id), user, place: place.unsigned_abs() }))
}

fn unexpected(error: NotAnId) -> StoreError {
    StoreError::Unexpected { store: "postgres", source: error.into() }
}

/// A payment, as its refund needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Payment {
    pub(super) reservation: ReservationId,
    pub(super) schedule: ScheduleId,
    pub(super) position: u32,
    /// The concert's day, the venue's.
    pub(super) date: NaiveDate,
    pub(super) amount: Won,
    pub(super) is_refunded: bool,
}

/// Payments of a page, newest first.
pub(super) async fn history(postgres: &Postgres, user: UserId, page: Page) -> Result<Vec<Past>, StoreError> {
    let read = sqlx::query!(
        "SELECT payment.id, payment.reservation_id, payment.amount, payment.status, payment.paid_at, payment.refunded_at,
                seat.id AS seat_id, seat.section, seat.row, seat.number, schedule.id AS schedule_id, schedule.concert_id,
                schedule.date
         FROM payment_history payment
         JOIN reservation ON reservation.id = payment.reservation_id
         JOIN concert_seat seat ON seat.id = reservation.concert_seat_id
         JOIN concert_schedule schedule ON schedule.id = seat.concert_schedule_id
         WHERE payment.user_id = $1 AND payment.id < $2 ORDER BY payment.id DESC LIMIT $3",
        user.get(),
        page.before,
        page.limit()
    )
    .fetch_all(postgres.pool());
    let rows = postgres.timed("payment.history", read).await?;
    let payments = rows.into_iter().map(|row| {
        Ok(Past {
            id: row.id.try_into()?,
            reservation: row.reservation_id.try_into()?,
            concert: row.concert_id.try_into()?,
            schedule: row.schedule_id.try_into()?,
            seat: row.seat_id.try_into()?,
            date: row.date,
            section: row.section,
            row: row.row,
            number: row.number,
            amount: Won(row.amount),
            status: row.status,
            paid_at: row.paid_at,
            refunded_at: row.refunded_at,
        })
    });
    payments.collect::<Result<_, _>>().map_err(unexpected)
}

/// How a refund went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refunding {
    /// The money is back, now.
    Refunded,
    /// It was back before.
    RefundedBefore,
    /// Nothing was written: the balance would pass its limit.
    BalanceLimit,
}

/// A user's payment; another's is as absent as any.
pub(super) async fn payment(
    postgres: &Postgres,
    user: UserId,
    payment: PaymentId,
) -> Result<Option<Payment>, StoreError> {
    let read = sqlx::query!(
        "SELECT payment.reservation_id, payment.amount, payment.status = 'REFUNDED' AS \"is_refunded!\",
                seat.position, schedule.id AS schedule_id, schedule.date
         FROM payment_history payment
         JOIN reservation ON reservation.id = payment.reservation_id
         JOIN concert_seat seat ON seat.id = reservation.concert_seat_id
         JOIN concert_schedule schedule ON schedule.id = seat.concert_schedule_id
         WHERE payment.id = $1 AND payment.user_id = $2",
        payment.get(),
        user.get()
    )
    .fetch_optional(postgres.pool());
    let Some(row) = postgres.timed("payment.payment", read).await? else { return Ok(None) };
    Ok(Some(Payment {
        reservation: row.reservation_id.try_into().map_err(unexpected)?,
        schedule: row.schedule_id.try_into().map_err(unexpected)?,
        position: row.position.unsigned_abs(),
        date: row.date,
        amount: Won(row.amount),
        is_refunded: row.is_refunded,
    }))
}

/// The refund, one statement and so one transaction: reservation, credit, payment, ledger entry, or none of them. Of many
/// at once all but one wait for the wallet, and find the reservation cancelled.
pub(super) async fn refund(postgres: &Postgres, user: UserId, payment: PaymentId) -> Result<Refunding, StoreError> {
    let write = sqlx::query!(
        "WITH locked AS (
             SELECT user_id FROM user_wallet WHERE user_id = $2 FOR NO KEY UPDATE
         ), cancelled AS (
             UPDATE reservation SET status = 'CANCELLED', cancelled_at = now()
             FROM locked JOIN payment_history payment USING (user_id)
             WHERE payment.id = $1 AND payment.user_id = $2
               AND reservation.id = payment.reservation_id AND reservation.status = 'CONFIRMED'
             RETURNING payment.amount
         ), credit AS (
             UPDATE user_wallet wallet SET balance = wallet.balance + cancelled.amount
             FROM cancelled WHERE wallet.user_id = $2
             RETURNING wallet.balance
         ), refunded AS (
             UPDATE payment_history payment SET status = 'REFUNDED', refunded_at = now()
             FROM credit WHERE payment.id = $1
             RETURNING payment.amount, credit.balance
         )
         INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
         SELECT $2, 'REFUND', amount, balance, $1 FROM refunded",
        payment.get(),
        user.get()
    )
    .execute(postgres.pool());
    match postgres.timed("payment.refund", write).await {
        Ok(done) if done.rows_affected() == 1 => Ok(Refunding::Refunded),
        Ok(_) => Ok(Refunding::RefundedBefore),
        Err(error) if broken_constraint(&error) == Some("user_wallet_balance_range") => Ok(Refunding::BalanceLimit),
        Err(error) => Err(error.into()),
    }
}
