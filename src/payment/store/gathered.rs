//! The SQL of payments that are decided together: what `store` has for one reservation, for many users' as one statement.

use super::{Decision, Purchase, no_id};
use crate::money::Won;
use crate::payment::Paid;
use crate::postgres::Postgres;

/// What `take` does, for many users as one statement, each decided on its own; no user, seat or reservation twice. Who has
/// no decision is left out, and nothing was written for it: somebody else has the wallet locked, or something is in the way
/// (a row of the same reservation, a live one of the seat), of which `take` finds out what it means.
///
/// Wallets are not waited for, so one that is held up holds up nobody else. Prices are looked up rather than joined: a plan
/// that was made while there were few seats would read all of them for every set until the statistics are renewed.
pub(in crate::payment) async fn pay_gathered(
    postgres: &Postgres,
    purchases: &[Purchase],
) -> Result<Vec<Option<Decision<Paid>>>, sqlx::Error> {
    let column = |of: fn(&Purchase) -> i64| purchases.iter().map(of).collect::<Vec<_>>();
    let attempts: Vec<i32> = purchases.iter().map(|purchase| purchase.attempt.number).collect();
    let queues: Vec<i32> = purchases.iter().map(|purchase| purchase.token.queue.0).collect();
    let write = sqlx::query!(
        "WITH asked AS MATERIALIZED (
             SELECT asked.*, (SELECT price FROM concert_seat WHERE id = asked.seat_id)
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::integer[], $6::bigint[])
                 WITH ORDINALITY AS asked (id, user_id, seat_id, attempt, queue_id, place, turn)
         ), wallet AS MATERIALIZED (
             SELECT user_id, balance FROM user_wallet WHERE user_id = ANY ($2) FOR NO KEY UPDATE SKIP LOCKED
         ), confirmed AS (
             INSERT INTO reservation (id, user_id, concert_seat_id, status, price, attempt)
             SELECT asked.id, asked.user_id, asked.seat_id, 'CONFIRMED', asked.price, asked.attempt
             FROM asked JOIN wallet ON wallet.user_id = asked.user_id AND wallet.balance >= asked.price
             ORDER BY asked.seat_id
             ON CONFLICT DO NOTHING
             RETURNING id, user_id, price
         ), debit AS (
             UPDATE user_wallet wallet SET balance = wallet.balance - confirmed.price
             FROM confirmed WHERE wallet.user_id = confirmed.user_id
             RETURNING confirmed.id, wallet.balance
         ), paid AS (
             INSERT INTO payment_history (reservation_id, user_id, amount, queue_id, queue_place)
             SELECT asked.id, asked.user_id, asked.price, asked.queue_id, asked.place FROM debit JOIN asked USING (id)
             RETURNING id, reservation_id, user_id, amount
         ), entry AS (
             INSERT INTO wallet_ledger (user_id, kind, amount, balance_after, payment_history_id)
             SELECT paid.user_id, 'PAYMENT', -paid.amount, debit.balance, paid.id
             FROM paid JOIN debit ON debit.id = paid.reservation_id
         )
         SELECT asked.turn AS \"turn!\", paid.id AS \"payment?\", paid.amount AS \"amount?\",
                coalesce(wallet.balance < asked.price, false) AS \"is_refused!\"
         FROM asked
         LEFT JOIN paid ON paid.reservation_id = asked.id
         LEFT JOIN wallet ON wallet.user_id = asked.user_id",
        &column(|purchase| purchase.attempt.reservation.get()),
        &column(|purchase| purchase.attempt.user.get()),
        &column(|purchase| purchase.seat.get()),
        &attempts,
        &queues,
        &column(|purchase| purchase.token.place.cast_signed())
    )
    .fetch_all(postgres.pool());
    let mut decisions = vec![None; purchases.len()];
    for row in postgres.timed("payment.pay", write).await? {
        let decision = match row.payment {
            Some(id) => Decision::Paid(Paid { id: id.try_into().map_err(no_id)?, taken: row.amount.map(Won) }),
            None if row.is_refused => Decision::Refused,
            None => continue,
        };
        let turn = usize::try_from(row.turn - 1).ok();
        if let Some(place) = turn.and_then(|turn| decisions.get_mut(turn)) {
            *place = Some(decision);
        }
    }
    Ok(decisions)
}
