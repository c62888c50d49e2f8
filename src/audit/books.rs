//! What Postgres alone decides: one snapshot, one row of counts.

use super::Finding;
use super::stores::Maps;
use crate::postgres::Postgres;
use crate::store_error::StoreError;

/// Counts of what there is and of what must not be.
#[derive(Debug)]
pub(super) struct Books {
    live: i64,
    sold_twice: i64,
    wallets: i64,
    wrong_balances: i64,
    broken_chains: i64,
    payments: i64,
    torn_payments: i64,
    unpaid_reservations: i64,
    orphan_entries: i64,
}

/// One statement sees one snapshot.
pub(super) async fn read(postgres: &Postgres) -> Result<Books, StoreError> {
    let read = sqlx::query_as!(
        Books,
        r#"WITH entry AS (
                 SELECT user_id, amount, balance_after, kind, payment_history_id,
                        coalesce(lag(balance_after) OVER (PARTITION BY user_id ORDER BY id), 0) AS balance_before
                 FROM wallet_ledger
             ), total AS (
                 SELECT user_id, sum(amount) AS amount FROM entry GROUP BY user_id
             ), payment AS (
                 SELECT payment.id, payment.user_id, payment.amount, payment.status,
                        reservation.user_id AS reserved_by, reservation.price, reservation.status AS reservation_status,
                        seat.price AS seat_price,
                        (SELECT count(*) FROM wallet_ledger debit
                         WHERE debit.payment_history_id = payment.id AND debit.kind = 'PAYMENT'
                           AND debit.user_id = payment.user_id AND debit.amount = -payment.amount) AS debits,
                        (SELECT count(*) FROM wallet_ledger refund
                         WHERE refund.payment_history_id = payment.id AND refund.kind = 'REFUND'
                           AND refund.user_id = payment.user_id AND refund.amount = payment.amount) AS refunds
                 FROM payment_history payment
                 LEFT JOIN reservation ON reservation.id = payment.reservation_id
                 LEFT JOIN concert_seat seat ON seat.id = reservation.concert_seat_id
             )
             SELECT
               (SELECT count(*) FROM reservation WHERE status = 'CONFIRMED') AS "live!",
               (SELECT count(*) FROM (SELECT FROM reservation WHERE status = 'CONFIRMED'
                  GROUP BY concert_seat_id HAVING count(*) > 1) twice) AS "sold_twice!",
               (SELECT count(*) FROM user_wallet) AS "wallets!",
               (SELECT count(*) FROM user_wallet wallet FULL JOIN total USING (user_id)
                  WHERE coalesce(wallet.balance, -1) <> coalesce(total.amount, 0) OR wallet.balance < 0)
                  AS "wrong_balances!",
               (SELECT count(*) FROM entry WHERE balance_after <> balance_before + amount) AS "broken_chains!",
               (SELECT count(*) FROM payment) AS "payments!",
               (SELECT count(*) FROM payment WHERE NOT coalesce(
                  user_id = reserved_by AND amount = price AND price = seat_price AND debits = 1
                  AND refunds = (CASE status WHEN 'REFUNDED' THEN 1 ELSE 0 END)
                  AND reservation_status = (CASE status WHEN 'REFUNDED' THEN 'CANCELLED' ELSE 'CONFIRMED' END),
                  false)) AS "torn_payments!",
               (SELECT count(*) FROM reservation WHERE status <> 'ABORTED' AND NOT EXISTS (
                  SELECT FROM payment_history paid WHERE paid.reservation_id = reservation.id))
                  AS "unpaid_reservations!",
               (SELECT count(*) FROM entry WHERE kind <> 'CHARGE' AND NOT EXISTS (
                  SELECT FROM payment_history paid WHERE paid.id = entry.payment_history_id)) AS "orphan_entries!""#
    )
    .fetch_one(postgres.pool());
    Ok(postgres.timed("audit.books", read).await?)
}

impl Books {
    pub(super) fn seats_sold_once(&self) -> Finding {
        Finding {
            invariant: 1,
            holds: self.sold_twice == 0,
            rule: "No seat of a schedule has two live confirmed reservations.",
            detail: format!("{} live reservations, {} seats sold twice", self.live, self.sold_twice),
        }
    }

    pub(super) fn balances_are_sums(&self) -> Finding {
        Finding {
            invariant: 2,
            holds: self.wrong_balances == 0,
            rule: "Every wallet's balance is the sum of its ledger, and never below 0.",
            detail: format!("{} wallets, {} wrong balances", self.wallets, self.wrong_balances),
        }
    }

    pub(super) fn payments_are_whole(&self) -> Finding {
        let (torn, unpaid) = (self.torn_payments, self.unpaid_reservations);
        Finding {
            invariant: 3,
            holds: torn == 0 && unpaid == 0,
            rule: "Every payment has one reservation and one debit of the seat's price by the same user, and every \
                   confirmed reservation one payment.",
            detail: format!("{} payments, {torn} torn, {unpaid} reservations without one", self.payments),
        }
    }

    pub(super) fn nothing_is_lost(&self, maps: &Maps) -> Finding {
        let (chains, orphans) = (self.broken_chains, self.orphan_entries);
        Finding {
            invariant: 4,
            holds: chains == 0 && orphans == 0 && maps.agree(),
            rule: "No charge, hold or payment is lost; nothing is taken without a ticket.",
            detail: format!("{chains} gaps in ledgers, {orphans} debits without a payment, {}", maps.disagreements()),
        }
    }
}
