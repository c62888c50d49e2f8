//! The SQL of batches: what `store` has for one reservation, for several as one statement.

use sqlx::PgExecutor;

use super::{Decision, PayFailure, decided, no_id, unexpected};
use crate::idempotency::{Answer, Claim};
use crate::ids::{PaymentId, ReservationId, ScheduleId, SeatId, UserId};
use crate::money::Won;
use crate::payment::Paid;
use crate::postgres::Postgres;
use crate::queue;
use crate::seat::Attempt;
use crate::store_error::StoreError;

/// One reservation of a batch, being paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::payment) struct Order {
    pub(in crate::payment) schedule: ScheduleId,
    pub(in crate::payment) attempt: Attempt,
    pub(in crate::payment) seat: SeatId,
    pub(in crate::payment) price: Won,
}

/// Several payments of one user, all or none: `pay` for each, as one statement and so one transaction. `answer` is what is
/// stored under a key.
pub(in crate::payment) async fn pay_many(
    postgres: &Postgres,
    user: UserId,
    orders: &[Order],
    token: &queue::Claim,
    once: Option<(&Claim, impl FnOnce(&[(ReservationId, Paid)]) -> Option<Answer>)>,
) -> Result<Decision<Vec<(ReservationId, Paid)>>, PayFailure> {
    decided(match once {
        None => postgres.timed("payment.pay_many", take_many(postgres.pool(), user, orders, token)).await,
        Some((claim, answer)) => {
            postgres.timed("payment.pay_many_once", take_many_once(claim, answer, user, orders, token)).await
        }
    })
}

async fn take_many_once(
    claim: &Claim,
    answer: impl FnOnce(&[(ReservationId, Paid)]) -> Option<Answer>,
    user: UserId,
    orders: &[Order],
    token: &queue::Claim,
) -> Result<Decision<Vec<(ReservationId, Paid)>>, sqlx::Error> {
    let Some(mut once) = claim.begin().await? else { return Ok(Decision::KeyInUse) };
    let decision = take_many(once.connection(), user, orders, token).await?;
    let Decision::Paid(paid) = &decision else {
        once.roll_back().await?;
        return Ok(decision);
    };
    Ok(if once.end(answer(paid)).await? { decision } else { Decision::KeyInUse })
}

/// The ids, seats and attempts, as Postgres takes them.
fn columns(orders: &[Order]) -> (Vec<i64>, Vec<i64>, Vec<i32>) {
    let ids = orders.iter().map(|order| order.attempt.reservation.get()).collect();
    let seats = orders.iter().map(|order| order.seat.get()).collect();
    (ids, seats, orders.iter().map(|order| order.attempt.number).collect())
}

/// What `take` does, for all or for none. Where fewer could be confirmed than were asked for (a tombstone, or a row that was
/// there before), the debit asks for a balance that the wallet's own CHECK refuses, which undoes the others.
///
/// Of those of one user, the first has the wallet.
async fn take_many(
    executor: impl PgExecutor<'_>,
    user: UserId,
    orders: &[Order],
    token: &queue::Claim,
) -> Result<Decision<Vec<(ReservationId, Paid)>>, sqlx::Error> {
    let (ids, seats, attempts) = columns(orders);
    let paid = sqlx::query!(
        "WITH asked AS (
             SELECT asked.id, asked.attempt, seat.id AS seat_id, seat.price
             FROM unnest($1::bigint[], $2::bigint[], $3::integer[]) AS asked (id, seat_id, attempt)
             JOIN concert_seat seat ON seat.id = asked.seat_id
         ), bill AS (
             SELECT wallet.user_id FROM user_wallet wallet
             WHERE wallet.user_id = $4 AND wallet.balance >= (SELECT sum(price) FROM asked)
             FOR NO KEY UPDATE
         ), confirmed AS (
             INSERT INTO reservation AS had (id, user_id, concert_seat_id, status, price, attempt)
             SELECT asked.id, $4, asked.seat_id, 'CONFIRMED', asked.price, asked.attempt FROM asked, bill
             ORDER BY asked.seat_id
             ON CONFLICT (id) DO UPDATE
                 SET status = 'CONFIRMED', attempt = excluded.attempt, price = excluded.price, created_at = now()
                 WHERE had.status = 'ABORTED' AND had.attempt < excluded.attempt AND had.user_id = excluded.user_id
             RETURNING id, price
         ), sold AS (
             SELECT count(*) = cardinality($1::bigint[]) AS is_all, coalesce(sum(price), 0)::bigint AS total
             FROM confirmed
         ), debit AS (
             UPDATE user_wallet wallet SET balance = CASE WHEN sold.is_all THEN wallet.balance - sold.total ELSE -1 END
             FROM sold, bill WHERE wallet.user_id = $4
             RETURNING wallet.balance + sold.total AS balance_before
         ), paid AS (
             INSERT INTO payment_history (reservation_id, user_id, amount, queue_id, queue_place)
             SELECT confirmed.id, $4, confirmed.price, $5, $6 FROM confirmed, debit ORDER BY confirmed.id
             RETURNING id, reservation_id, amount
         ), entry AS (
             INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
             SELECT $4, 'PAYMENT', -amount, balance_before - (sum(amount) OVER (ORDER BY id))::bigint, id
             FROM paid, debit ORDER BY id
         )
         SELECT id, reservation_id, amount FROM paid",
        &ids,
        &seats,
        &attempts,
        user.get(),
        token.queue.0,
        token.place.cast_signed()
    )
    .fetch_all(executor);
    let rows = paid.await?;
    if rows.is_empty() {
        return Ok(Decision::Refused);
    }
    let paid = rows.into_iter().map(|row| {
        let paid = Paid { id: row.id.try_into()?, taken: Some(Won(row.amount)) };
        Ok((row.reservation_id.try_into()?, paid))
    });
    Ok(Decision::Paid(paid.collect::<Result<_, _>>().map_err(no_id)?))
}

/// What Postgres has for a reservation of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::payment) struct Found {
    /// Paid for, and not refunded.
    pub(in crate::payment) live: bool,
    pub(in crate::payment) payment: Option<PaymentId>,
    /// This attempt must not pay any more.
    pub(in crate::payment) was_aborted: bool,
    /// The seat has another's live reservation.
    pub(in crate::payment) seat_sold: bool,
}

/// What Postgres has for each of them, in their order.
pub(in crate::payment) async fn find_many(postgres: &Postgres, orders: &[Order]) -> Result<Vec<Found>, StoreError> {
    let (ids, seats, attempts) = columns(orders);
    let read = sqlx::query!(
        "SELECT coalesce(reservation.status = 'CONFIRMED', false) AS \"live!\", payment.id AS \"payment?\",
                coalesce(reservation.attempt >= asked.attempt, false) AS \"was_aborted!\",
                EXISTS (SELECT FROM reservation other WHERE other.concert_seat_id = asked.seat_id
                        AND other.status = 'CONFIRMED' AND other.id <> asked.id) AS \"seat_sold!\"
         FROM unnest($1::bigint[], $2::bigint[], $3::integer[]) WITH ORDINALITY AS asked (id, seat_id, attempt, turn)
         LEFT JOIN reservation ON reservation.id = asked.id
         LEFT JOIN payment_history payment ON payment.reservation_id = asked.id
         ORDER BY asked.turn",
        &ids,
        &seats,
        &attempts
    )
    .fetch_all(postgres.pool());
    let rows = postgres.timed("payment.find_many", read).await?;
    let found = rows.into_iter().map(|row| {
        let payment = row.payment.map(PaymentId::try_from).transpose().map_err(unexpected)?;
        Ok(Found { live: row.live, payment, was_aborted: row.was_aborted, seat_sold: row.seat_sold })
    });
    found.collect()
}

/// `abort` for each, as one statement, in the order in which `take_many` locks them.
pub(in crate::payment) async fn abort_many(
    postgres: &Postgres,
    user: UserId,
    orders: &[Order],
) -> Result<(), StoreError> {
    let (ids, seats, attempts) = columns(orders);
    let write = sqlx::query!(
        "INSERT INTO reservation AS had (id, user_id, concert_seat_id, status, price, attempt)
         SELECT asked.id, $4, seat.id, 'ABORTED', seat.price, asked.attempt
         FROM unnest($1::bigint[], $2::bigint[], $3::integer[]) AS asked (id, seat_id, attempt)
         JOIN concert_seat seat ON seat.id = asked.seat_id
         ORDER BY seat.id
         ON CONFLICT (id) DO UPDATE SET attempt = excluded.attempt
             WHERE had.status = 'ABORTED' AND had.attempt < excluded.attempt",
        &ids,
        &seats,
        &attempts,
        user.get()
    )
    .execute(postgres.pool());
    postgres.timed("payment.abort_many", write).await?;
    Ok(())
}
