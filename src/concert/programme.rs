//! What is on: concerts in order of their ids, each with its schedules in order of date.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::NaiveDate;
use foldhash::fast::RandomState;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::http::Date;
use crate::ids::{ConcertId, ScheduleId};
use crate::queue::QueueId;

/// A concert.
#[derive(Debug)]
pub struct Concert {
    /// Its id.
    pub id: ConcertId,
    /// Its title.
    pub title: String,
    /// The queue that serves it.
    pub queue: QueueId,
    /// Its evenings, by date.
    pub schedules: Vec<Arc<Schedule>>,
}

impl Concert {
    /// Its evenings that are not over on this day.
    pub fn upcoming(&self, today: NaiveDate) -> impl Iterator<Item = &Arc<Schedule>> {
        self.schedules.iter().filter(move |schedule| schedule.date >= today)
    }
}

/// One evening of a concert.
#[derive(Debug)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// The concert whose evening it is.
    pub concert: ConcertId,
    /// The venue's date.
    pub date: NaiveDate,
    /// The queue that serves its concert.
    pub queue: QueueId,
    /// How it is told, as JSON.
    pub(super) view: Box<RawValue>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScheduleView {
    concert_schedule_id: ScheduleId,
    #[schemars(with = "Date")]
    date: NaiveDate,
}

impl Schedule {
    /// None if it could not be told, which does not happen.
    pub(super) fn new(id: ScheduleId, concert: ConcertId, date: NaiveDate, queue: QueueId) -> Option<Self> {
        let view = to_raw_value(&ScheduleView { concert_schedule_id: id, date }).ok()?;
        Some(Self { id, concert, date, queue, view })
    }
}

/// The programme at some moment.
#[derive(Debug)]
pub struct Programme {
    /// Counts its changes.
    pub revision: i64,
    concerts: BTreeMap<ConcertId, Arc<Concert>>,
    schedules: HashMap<ScheduleId, Arc<Schedule>, RandomState>,
}

impl Programme {
    pub(super) fn new(revision: i64, concerts: impl IntoIterator<Item = Concert>) -> Self {
        let concerts: BTreeMap<_, _> = concerts.into_iter().map(|concert| (concert.id, Arc::new(concert))).collect();
        let schedules = concerts.values().flat_map(|concert| concert.schedules.iter().cloned());
        let schedules = schedules.map(|schedule| (schedule.id, schedule)).collect();
        Self { revision, concerts, schedules }
    }

    /// All concerts, by id.
    #[must_use]
    pub fn concerts(&self) -> &BTreeMap<ConcertId, Arc<Concert>> {
        &self.concerts
    }

    /// All schedules, over or not, in no order.
    #[must_use]
    pub fn schedules(&self) -> impl ExactSizeIterator<Item = &Arc<Schedule>> {
        self.schedules.values()
    }

    /// Whether this is a schedule of this queue that is not over on this day.
    pub(super) fn sells(&self, queue: QueueId, id: ScheduleId, today: NaiveDate) -> bool {
        self.schedules.get(&id).is_some_and(|schedule| schedule.queue == queue && schedule.date >= today)
    }

    /// A concert.
    #[must_use]
    pub fn concert(&self, id: ConcertId) -> Option<Arc<Concert>> {
        self.concerts.get(&id).cloned()
    }

    /// A schedule.
    #[must_use]
    pub fn schedule(&self, id: ScheduleId) -> Option<Arc<Schedule>> {
        self.schedules.get(&id).cloned()
    }
}
