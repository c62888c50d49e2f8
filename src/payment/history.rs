//! The payment history, as its user sees it.

use chrono::{DateTime, NaiveDate, Utc};

use super::{Payments, store};
use crate::http::Page;
use crate::ids::{ConcertId, PaymentId, ReservationId, ScheduleId, SeatId, UserId};
use crate::money::Won;
use crate::store_error::StoreError;

/// A payment of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Its id; a user's payments are in the order of their ids.
    pub id: PaymentId,
    /// What was paid for.
    pub reservation: ReservationId,
    /// The seat's concert.
    pub concert: ConcertId,
    /// Its evening.
    pub schedule: ScheduleId,
    /// The venue's date.
    pub date: NaiveDate,
    /// The seat.
    pub seat: SeatId,
    /// The part of the hall.
    pub section: String,
    /// The row in it.
    pub row: String,
    /// Its number.
    pub number: i32,
    /// What it cost.
    pub amount: Won,
    /// PAID or REFUNDED.
    pub status: String,
    /// When.
    pub paid_at: DateTime<Utc>,
    /// When it was given back; none unless it was.
    pub refunded_at: Option<DateTime<Utc>>,
}

impl Payments {
    /// The payments of a user, newest first, and where to go on.
    pub async fn history(&self, user: UserId, page: Page) -> Result<(Vec<Past>, Option<String>), StoreError> {
        let mut payments = store::history(&self.postgres, user, page).await?;
        let next = page.cut(&mut payments, |payment| payment.id.get());
        Ok((payments, next))
    }
}
