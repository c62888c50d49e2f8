//! Money and tickets: what was acknowledged is there, what is there was asked for, and all of it adds up.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{FromRow, PgPool};

use crate::Outcome;
use crate::history::{Records, Verdict};
use crate::programme::Programme;

/// A reservation with its payment.
#[derive(Debug, FromRow)]
struct Ticket {
    reservation: i64,
    user_id: i64,
    seat: i64,
    status: String,
    payment: Option<i64>,
    payer: Option<i64>,
    amount: Option<i64>,
    payment_status: Option<String>,
}

/// An entry of the ledger.
#[derive(Debug, FromRow)]
struct Entry {
    user_id: i64,
    kind: String,
    amount: i64,
    payment: Option<i64>,
}

/// All that PostgreSQL has.
#[derive(Debug)]
pub(super) struct Books {
    tickets: Vec<Ticket>,
    /// Payments without a reservation.
    orphans: Vec<i64>,
    entries: Vec<Entry>,
    balances: BTreeMap<i64, i64>,
}

impl Books {
    /// Reads it, when nobody writes any more.
    pub(super) async fn read(postgres: &PgPool) -> Outcome<Self> {
        let tickets = sqlx::query_as(
            "SELECT reservation.id AS reservation, reservation.user_id, reservation.concert_seat_id AS seat,
                    reservation.status, payment.id AS payment, payment.user_id AS payer, payment.amount,
                    payment.status AS payment_status
             FROM reservation LEFT JOIN payment_history payment ON payment.reservation_id = reservation.id
             WHERE reservation.status <> 'ABORTED' OR payment.id IS NOT NULL",
        )
        .fetch_all(postgres)
        .await?;
        let orphans = sqlx::query_scalar(
            "SELECT id FROM payment_history payment
             WHERE NOT EXISTS (SELECT FROM reservation WHERE reservation.id = payment.reservation_id)",
        )
        .fetch_all(postgres)
        .await?;
        let entries = sqlx::query_as("SELECT user_id, kind, amount, payment_history_id AS payment FROM wallet_ledger")
            .fetch_all(postgres)
            .await?;
        let balances: Vec<(i64, i64)> =
            sqlx::query_as("SELECT user_id, balance FROM user_wallet").fetch_all(postgres).await?;
        Ok(Self { tickets, orphans, entries, balances: balances.into_iter().collect() })
    }

    /// Checks all of it.
    pub(super) fn check(&self, records: &mut Records) {
        self.check_charges(records);
        self.check_payments(records);
        self.check_batches(records);
        self.check_tickets(records);
        self.check_refunds(records);
        self.check_sums(records);
    }

    /// Acknowledged is in the ledger once, refused not at all, and nothing is that nobody asked for.
    fn check_charges(&self, records: &mut Records) {
        let mut credited: BTreeMap<(i64, i64), u64> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.kind == "CHARGE") {
            *credited.entry((entry.user_id, entry.amount)).or_default() += 1;
        }
        for charge in records.charges.clone() {
            let times = credited.remove(&(charge.user, charge.amount)).unwrap_or_default();
            let holds = match &charge.verdict {
                Verdict::Done(()) => times == 1,
                Verdict::Refused(_) => times == 0,
                Verdict::Unknown => times <= 1,
            };
            if !holds {
                records
                    .breach("a charge is credited once, if it was acknowledged", format!("{charge:?}: {times} times"));
            }
            if charge.verdict == Verdict::Unknown {
                let came_to =
                    if times == 1 { "charges never answered: credited" } else { "charges never answered: not" };
                *records.counts.entry(came_to).or_default() += 1;
            }
        }
        for ((user, amount), times) in credited {
            let detail = format!("{amount} won of user {user}, {times} times");
            records.breach("nothing is credited that nobody charged", detail);
        }
    }

    /// Acknowledged is there, what is there was asked for by that user, and nobody was refused what is there.
    fn check_payments(&self, records: &mut Records) {
        let tickets: BTreeMap<i64, &Ticket> = self.tickets.iter().map(|ticket| (ticket.reservation, ticket)).collect();
        let mut asked: BTreeMap<i64, Vec<_>> = BTreeMap::new();
        for payment in &records.payments {
            asked.entry(payment.reservation).or_default().push(payment.clone());
        }
        for (reservation, payments) in &asked {
            let ticket = tickets.get(reservation);
            for payment in payments {
                let Verdict::Done(id) = payment.verdict else { continue };
                let is_there = ticket.is_some_and(|ticket| {
                    ticket.payment == Some(id) && ticket.user_id == payment.user && ticket.seat == payment.seat
                });
                if !is_there {
                    records.breach("an acknowledged payment is there", format!("{payment:?}: {ticket:?}"));
                }
            }
            let all_refused = payments.iter().all(|payment| matches!(payment.verdict, Verdict::Refused(_)));
            if all_refused && ticket.is_some() {
                records.breach("nobody is refused who has paid", format!("{payments:?}: {ticket:?}"));
            }
        }
        for ticket in &self.tickets {
            let by_owner =
                |payments: &Vec<crate::history::Payment>| payments.iter().any(|payment| payment.user == ticket.user_id);
            if !asked.get(&ticket.reservation).is_some_and(by_owner) {
                records.breach("nothing is paid that nobody asked for", format!("{ticket:?}"));
            }
        }
    }

    /// What was asked for together, and in no other way, is paid whole or not at all.
    fn check_batches(&self, records: &mut Records) {
        let mut batches: BTreeMap<i64, BTreeSet<Option<usize>>> = BTreeMap::new();
        for payment in &records.payments {
            batches.entry(payment.reservation).or_default().insert(payment.batch);
        }
        let tickets: BTreeSet<i64> = self.tickets.iter().map(|ticket| ticket.reservation).collect();
        for (batch, reservations) in records.batches.clone().into_iter().enumerate() {
            let is_only = |id: &i64| batches.get(id).is_some_and(|asked| *asked == BTreeSet::from([Some(batch)]));
            if !reservations.iter().all(is_only) {
                continue;
            }
            let paid = reservations.iter().filter(|id| tickets.contains(id)).count();
            if paid != 0 && paid != reservations.len() {
                records.breach("a batch is paid whole or not at all", format!("{paid} of {reservations:?}"));
            }
            let came_to = if paid == 0 { "batches not paid" } else { "batches paid" };
            *records.counts.entry(came_to).or_default() += 1;
        }
    }

    /// Each ticket has its payment, of its price and its owner, each seat one ticket.
    fn check_tickets(&self, records: &mut Records) {
        let mut owners: BTreeMap<i64, &Ticket> = BTreeMap::new();
        for ticket in &self.tickets {
            let expected = match ticket.status.as_str() {
                "CONFIRMED" => "PAID",
                "CANCELLED" => "REFUNDED",
                _ => "none",
            };
            let is_whole = ticket.payer == Some(ticket.user_id)
                && ticket.amount == Some(Programme::price(ticket.seat))
                && ticket.payment_status.as_deref() == Some(expected);
            if !is_whole {
                records.breach("a ticket has a payment of its price by its owner", format!("{ticket:?}"));
            }
            if ticket.status == "CONFIRMED"
                && let Some(other) = owners.insert(ticket.seat, ticket)
            {
                records.breach("a seat is sold once", format!("{other:?} and {ticket:?}"));
            }
        }
        for payment in &self.orphans {
            records.breach("no money without a ticket", format!("payment {payment} has no reservation"));
        }
    }

    /// Acknowledged is done, refused is not, and nothing else is.
    fn check_refunds(&self, records: &mut Records) {
        let refunded = |ticket: &&Ticket| ticket.payment_status.as_deref() == Some("REFUNDED");
        let refunded: BTreeSet<i64> =
            self.tickets.iter().filter(refunded).filter_map(|ticket| ticket.payment).collect();
        let mut asked = BTreeSet::new();
        for refund in records.refunds.clone() {
            asked.insert(refund.payment);
            let is_done = refunded.contains(&refund.payment);
            let holds = match &refund.verdict {
                Verdict::Done(()) => is_done,
                Verdict::Refused(_) => !is_done,
                Verdict::Unknown => true,
            };
            if !holds {
                records.breach("a refund is made, if it was acknowledged", format!("{refund:?}, refunded: {is_done}"));
            }
        }
        for payment in refunded.difference(&asked) {
            records.breach("nothing is refunded that nobody asked back", format!("payment {payment}"));
        }
    }

    /// Each payment has its entries, each wallet what its ledger adds up to.
    fn check_sums(&self, records: &mut Records) {
        let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
        let mut moved: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
        for entry in &self.entries {
            *sums.entry(entry.user_id).or_default() += entry.amount;
            if let Some(payment) = entry.payment {
                moved.entry(payment).or_default().push((entry.user_id, entry.amount));
            }
        }
        for (user, balance) in &self.balances {
            let sum = sums.remove(user).unwrap_or_default();
            if sum != *balance || *balance < 0 {
                let detail = format!("user {user} has {balance}, the ledger says {sum}");
                records.breach("a balance is the sum of its ledger", detail);
            }
        }
        for (user, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
            records.breach(
                "a balance is the sum of its ledger",
                format!("user {user} has no wallet, {sum} in the ledger"),
            );
        }
        for ticket in &self.tickets {
            let (Some(payment), Some(amount)) = (ticket.payment, ticket.amount) else { continue };
            let mut expected = vec![(ticket.user_id, -amount)];
            if ticket.payment_status.as_deref() == Some("REFUNDED") {
                expected.push((ticket.user_id, amount));
            }
            let mut found = moved.remove(&payment).unwrap_or_default();
            found.sort_unstable();
            if found != expected {
                records
                    .breach("a payment takes its price once, a refund gives it back", format!("{ticket:?}: {found:?}"));
            }
        }
        for (payment, entries) in moved {
            records.breach("no money without a ticket", format!("payment {payment}: {entries:?}"));
        }
    }
}
