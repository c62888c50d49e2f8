//! The programme: concerts and their schedules, as a snapshot of Postgres. Owns the tables `concert`,
//! `concert_schedule` and `programme_revision`.

mod calendar;
mod control;
mod demo;
mod http;
mod programme;
mod store;

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::NaiveDate;
use chrono_tz::Tz;

pub use calendar::today;
pub use control::{
    AddedSchedule, ControlError, Listed, ListedSchedule, NewConcert, NewSchedule, add_schedules, create,
};
pub use demo::{Seeded, seed};
pub use http::{calls, router, shortcut};
pub use programme::{Concert, Programme, Schedule};

use crate::ids::{ConcertId, ScheduleId};
use crate::postgres::Postgres;
use crate::queue::{QueueId, Queues};
use crate::store_error::StoreError;
use calendar::Calendar;

/// The programme, kept fresh.
#[derive(Debug)]
pub struct Concerts {
    postgres: Postgres,
    calendar: Calendar,
    programme: ArcSwap<Programme>,
}

impl Concerts {
    /// Reads the programme. Dates are the venue's, in this time zone.
    pub async fn start(postgres: Postgres, time_zone: Tz) -> Result<Self, StoreError> {
        let revision = store::revision(&postgres).await?;
        let programme = ArcSwap::from_pointee(store::programme(&postgres, revision).await?);
        Ok(Self { postgres, calendar: Calendar::new(time_zone), programme })
    }

    /// Reads the queues and the programme again, if they have changed. The revision is taken as known last, so that whatever
    /// fails on the way is done again.
    pub async fn refresh(&self, queues: &Queues) -> Result<(), StoreError> {
        let revision = store::revision(&self.postgres).await?;
        if revision != self.programme.load().revision {
            queues.refresh().await?;
            self.programme.store(Arc::new(store::programme(&self.postgres, revision).await?));
        }
        Ok(())
    }

    /// The programme as it is now.
    #[must_use]
    pub fn programme(&self) -> Arc<Programme> {
        self.programme.load_full()
    }

    /// A concert.
    #[must_use]
    pub fn concert(&self, id: ConcertId) -> Option<Arc<Concert>> {
        self.programme.load().concert(id)
    }

    /// A schedule, over or not.
    #[must_use]
    pub fn schedule(&self, id: ScheduleId) -> Option<Arc<Schedule>> {
        self.programme.load().schedule(id)
    }

    /// A schedule that is not over.
    #[must_use]
    pub fn upcoming(&self, id: ScheduleId) -> Option<Arc<Schedule>> {
        let today = self.today();
        self.schedule(id).filter(|schedule| schedule.date >= today)
    }

    /// Whether this is a schedule of this queue that is not over.
    pub(crate) fn sells(&self, queue: QueueId, id: ScheduleId) -> bool {
        self.programme.load().sells(queue, id, self.today())
    }

    /// Today's date at the venue.
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.calendar.today()
    }
}
