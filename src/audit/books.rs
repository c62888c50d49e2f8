//! What Postgres alone decides: all of it in one snapshot, counted there.

use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};

use super::STATEMENT_TIMEOUT_MS;
use super::finding::{Finding, Invariant};
use crate::postgres::Postgres;
use crate::store_error::StoreError;
use crate::tally::Tally;

const SOLD_ONCE: Invariant = Invariant {
    number: 1,
    rule: "No seat of a schedule has two live confirmed reservations.",
    remedy: "Stop selling the schedule. The index reservation_seat_live is missing or damaged: find out why, refund all \
             but the first payment of each seat named, then create the index again.",
};

const BALANCES: Invariant = Invariant {
    number: 2,
    rule: "Every wallet's balance is the sum of its ledger, and never below 0.",
    remedy: "Something wrote past the service, or a constraint is missing: find out what. The ledger is the evidence: once \
             its entries are accounted for, set the balance of each user named to their sum.",
};

const WHOLE_PAYMENTS: Invariant = Invariant {
    number: 3,
    rule: "Every payment has one reservation and one debit of the seat's price by the same user, and every confirmed \
           reservation one payment.",
    remedy: "Compare each payment named with its reservation, its seat's price and its ledger entries \
             (payment_history_id), and each reservation with its payments: what was not taken or was taken too much is \
             settled with the user by a ledger entry and the balance, a ticket that nobody paid for is CANCELLED. Find \
             out what wrote past the service.",
};

/// A damaged index would hide the very rows that it should have kept out. Whole tables are read anyway.
const TRUST_NO_INDEX: &str = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off;
                              SET LOCAL enable_bitmapscan = off";

/// What there is, and what must not be.
#[derive(Debug)]
pub(super) struct Books {
    live: i64,
    /// Seats.
    sold_twice: Tally,
    wallets: i64,
    /// Users.
    wrong_balances: Tally,
    payments: i64,
    /// Payments.
    torn: Tally,
    /// Reservations.
    not_paid_once: Tally,
    pub(super) entries: i64,
    /// Ledger entries that do not follow from the one before.
    pub(super) gaps: Tally,
    /// Ledger entries for payments that are not there.
    pub(super) orphans: Tally,
}

/// How many there are of what was looked at, how many of it are wrong, and the first of those.
struct Count {
    all: i64,
    wrong: i64,
    first: Vec<i64>,
}

impl Count {
    /// The wrong ones, named as what they are.
    fn tally(&self, kind: &str) -> Tally {
        let examples = self.first.iter().map(|id| format!("{kind} {id}")).collect();
        Tally { count: self.wrong.unsigned_abs(), examples }
    }
}

pub(super) async fn read(postgres: &Postgres) -> Result<Books, StoreError> {
    let limit = Duration::from_millis(STATEMENT_TIMEOUT_MS.into());
    let read = async {
        let mut snapshot = postgres.snapshot(limit).await?;
        snapshot.execute(TRUST_NO_INDEX).await?;
        let seats = seats(&mut snapshot).await?;
        let wallets = wallets(&mut snapshot).await?;
        let payments = payments(&mut snapshot).await?;
        let reservations = reservations(&mut snapshot).await?;
        let gaps = gaps(&mut snapshot).await?;
        let orphans = orphans(&mut snapshot).await?;
        snapshot.close().await?;
        Ok::<_, sqlx::Error>(Books {
            live: seats.all,
            sold_twice: seats.tally("seat"),
            wallets: wallets.all,
            wrong_balances: wallets.tally("user"),
            payments: payments.all,
            torn: payments.tally("payment"),
            not_paid_once: reservations.tally("reservation"),
            entries: gaps.all,
            gaps: gaps.tally("entry"),
            orphans: orphans.tally("entry"),
        })
    };
    let read = tokio::time::timeout(limit * 6, read).await;
    Ok(read.unwrap_or_else(|elapsed| Err(sqlx::Error::Io(elapsed.into())))?)
}

/// Live reservations, and seats with two.
async fn seats(snapshot: &mut PgConnection) -> sqlx::Result<Count> {
    sqlx::query_as!(
        Count,
        r#"SELECT (SELECT count(*) FROM reservation WHERE status = 'CONFIRMED') AS "all!", count(*) AS "wrong!",
                  coalesce((array_agg(concert_seat_id ORDER BY concert_seat_id))[1:5], '{}') AS "first!"
           FROM (SELECT concert_seat_id FROM reservation WHERE status = 'CONFIRMED'
                 GROUP BY concert_seat_id HAVING count(*) > 1) AS twice"#
    )
    .fetch_one(snapshot)
    .await
}

/// Wallets, and users whose balance is not what the ledger says.
async fn wallets(snapshot: &mut PgConnection) -> sqlx::Result<Count> {
    sqlx::query_as!(
        Count,
        r#"WITH total AS (SELECT user_id, sum(amount) AS amount FROM wallet_ledger GROUP BY user_id)
           SELECT (SELECT count(*) FROM user_wallet) AS "all!", count(*) AS "wrong!",
                  coalesce((array_agg(user_id ORDER BY user_id))[1:5], '{}') AS "first!"
           FROM user_wallet wallet FULL JOIN total USING (user_id)
           WHERE coalesce(wallet.balance, -1) <> coalesce(total.amount, 0) OR wallet.balance < 0"#
    )
    .fetch_one(snapshot)
    .await
}

/// Payments, and those that do not go with their reservation, the seat's price and the ledger.
async fn payments(snapshot: &mut PgConnection) -> sqlx::Result<Count> {
    sqlx::query_as!(
        Count,
        r#"WITH moved AS (
               SELECT payment_history_id AS id, min(user_id) AS first_user, max(user_id) AS last_user,
                      count(*) FILTER (WHERE kind = 'PAYMENT') AS debits,
                      -coalesce(sum(amount) FILTER (WHERE kind = 'PAYMENT'), 0) AS debited,
                      count(*) FILTER (WHERE kind = 'REFUND') AS refunds,
                      coalesce(sum(amount) FILTER (WHERE kind = 'REFUND'), 0) AS refunded
               FROM wallet_ledger WHERE payment_history_id IS NOT NULL GROUP BY payment_history_id
           ), torn AS (
               SELECT payment.id
               FROM payment_history payment
               LEFT JOIN reservation ON reservation.id = payment.reservation_id
               LEFT JOIN concert_seat seat ON seat.id = reservation.concert_seat_id
               LEFT JOIN moved ON moved.id = payment.id
               WHERE NOT coalesce(
                   payment.user_id = reservation.user_id
                   AND payment.user_id = moved.first_user AND payment.user_id = moved.last_user
                   AND payment.amount = reservation.price AND reservation.price = seat.price
                   AND moved.debits = 1 AND moved.debited = payment.amount
                   AND CASE payment.status
                       WHEN 'REFUNDED' THEN
                           reservation.status = 'CANCELLED' AND moved.refunds = 1 AND moved.refunded = payment.amount
                       ELSE reservation.status = 'CONFIRMED' AND moved.refunds = 0
                   END,
                   false)
           )
           SELECT (SELECT count(*) FROM payment_history) AS "all!", count(*) AS "wrong!",
                  coalesce((array_agg(id ORDER BY id))[1:5], '{}') AS "first!"
           FROM torn"#
    )
    .fetch_one(snapshot)
    .await
}

/// Reservations, and those that are confirmed, or were, and have no payment, or two.
async fn reservations(snapshot: &mut PgConnection) -> sqlx::Result<Count> {
    sqlx::query_as!(
        Count,
        r#"WITH wrong AS (
               SELECT reservation.id
               FROM reservation LEFT JOIN payment_history payment ON payment.reservation_id = reservation.id
               WHERE reservation.status <> 'ABORTED'
               GROUP BY reservation.id HAVING count(payment.id) <> 1
           )
           SELECT (SELECT count(*) FROM reservation) AS "all!", count(*) AS "wrong!",
                  coalesce((array_agg(id ORDER BY id))[1:5], '{}') AS "first!"
           FROM wrong"#
    )
    .fetch_one(snapshot)
    .await
}

/// Ledger entries, and those whose balance is not that of the one before and their own amount.
async fn gaps(snapshot: &mut PgConnection) -> sqlx::Result<Count> {
    sqlx::query_as!(
        Count,
        r#"WITH entry AS (
               SELECT id, amount, balance_after,
                      coalesce(lag(balance_after) OVER (PARTITION BY user_id ORDER BY id), 0) AS balance_before
               FROM wallet_ledger
           )
           SELECT count(*) AS "all!",
                  count(*) FILTER (WHERE balance_after <> balance_before + amount) AS "wrong!",
                  coalesce((array_agg(id ORDER BY id)
                      FILTER (WHERE balance_after <> balance_before + amount))[1:5], '{}') AS "first!"
           FROM entry"#
    )
    .fetch_one(snapshot)
    .await
}

/// Ledger entries for payments, and those whose payment is not there.
async fn orphans(snapshot: &mut PgConnection) -> sqlx::Result<Count> {
    sqlx::query_as!(
        Count,
        r#"SELECT count(*) AS "all!", count(*) FILTER (WHERE payment.id IS NULL) AS "wrong!",
                  coalesce((array_agg(entry.id ORDER BY entry.id) FILTER (WHERE payment.id IS NULL))[1:5], '{}')
                      AS "first!"
           FROM wallet_ledger entry LEFT JOIN payment_history payment ON payment.id = entry.payment_history_id
           WHERE entry.kind <> 'CHARGE'"#
    )
    .fetch_one(snapshot)
    .await
}

impl Books {
    pub(super) fn seats_sold_once(&self) -> Finding {
        let detail = format!("{} live reservations", self.live);
        SOLD_ONCE.found(detail, [("sold twice", self.sold_twice.clone())])
    }

    pub(super) fn balances_are_sums(&self) -> Finding {
        let detail = format!("{} wallets", self.wallets);
        BALANCES.found(detail, [("wrong balances", self.wrong_balances.clone())])
    }

    pub(super) fn payments_are_whole(&self) -> Finding {
        let detail = format!("{} payments", self.payments);
        let wrong = [("torn", self.torn.clone()), ("without one payment", self.not_paid_once.clone())];
        WHOLE_PAYMENTS.found(detail, wrong)
    }
}
