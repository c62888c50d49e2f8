//! Refunds: money back and the seat free, once, as long as the concert's day has not come.
//!
//! One statement in Postgres, which alone decides → `seat.refund`, which follows. The reservation's state is the fence:
//! of any number of refunds one finds it CONFIRMED. A refund whose answer was lost can be asked for again; one whose end
//! never reached Redis is found by settling the map.

use super::{Payments, store};
use crate::http::carried;
use crate::ids::{PaymentId, UserId};
use crate::money::Won;
use crate::store_error::StoreError;
use store::Refunding;

/// A refund made, now or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refunded {
    /// What was given back.
    pub amount: Won,
    /// Whether this request has given it.
    pub now: bool,
}

/// Why nothing was given back.
#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    /// No such payment, or another user's.
    #[error("there is no such payment of this user")]
    NoPayment,
    /// The concert's day has come.
    #[error("the concert's day has come")]
    TooLate,
    /// The balance would pass its limit.
    #[error("the balance would pass its limit")]
    BalanceLimit,
    /// A store failed. Whether it was given back is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Payments {
    /// Gives a payment back, in a task of its own: a client that goes away does not stop half-way.
    pub async fn refund(&'static self, user: UserId, payment: PaymentId) -> Result<Refunded, RefundError> {
        let task = self.tasks.spawn(carried(async move { self.refund_whole(user, payment).await }));
        task.await
            .unwrap_or_else(|error| Err(StoreError::Unexpected { store: "refund task", source: error.into() }.into()))
    }

    async fn refund_whole(&self, user: UserId, id: PaymentId) -> Result<Refunded, RefundError> {
        let payment = store::payment(&self.postgres, user, id).await?.ok_or(RefundError::NoPayment)?;
        let now = if payment.is_refunded {
            false
        } else if payment.date <= self.concerts.today() {
            return Err(RefundError::TooLate);
        } else {
            match store::refund(&self.postgres, user, id).await? {
                Refunding::Refunded => true,
                Refunding::RefundedBefore => false,
                Refunding::BalanceLimit => return Err(RefundError::BalanceLimit),
            }
        };
        // Also for one that was made before: its own message may have been lost.
        if let Err(error) = self.seats.refund(payment.schedule, payment.reservation, payment.position).await {
            tracing::warn!(reservation.id = %payment.reservation, %error, "the seat map lags behind a refund");
        }
        Ok(Refunded { amount: payment.amount, now })
    }
}
