//! Those who watch a schedule's seats by a stream of events. One run of a job feeds all of an instance's: a schedule that is
//! watched costs one look and one rendering of what is new, however many streams watch it.
//!
//! Events are state, not history: whoever comes again is told all that is not free, unless it has seen the latest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use schemars::JsonSchema;
use serde::Serialize;

use super::board::FreeList;
use super::render::status;
use super::{Plan, Seats};
use crate::http::{self, ApiError, COMMENT, EventSink, EventStream, retry, silence};
use crate::ids::{ScheduleId, SeatId, UserId};
use crate::store_error::StoreError;

/// How many chunks a client may be behind.
const BEHIND: usize = 16;

/// The most streams of one user; one more ends the oldest.
const MOST_OF_A_USER: usize = 4;

/// How many schedules are looked at together.
const LOOKS_AT_A_TIME: usize = 16;

/// All streams of this instance.
#[derive(Debug)]
pub(super) struct Hub {
    streams: Mutex<Streams>,
    most: usize,
}

/// Who wants to watch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watcher<'a> {
    pub(super) user: UserId,
    /// How long it may.
    pub(super) left: Duration,
    /// The id of the last event that it has seen.
    pub(super) last: Option<&'a str>,
}

#[derive(Debug, Default)]
struct Streams {
    /// Whether a shutdown has begun.
    ended: bool,
    count: usize,
    schedules: HashMap<ScheduleId, Watched>,
    /// Each of a user's streams has a clone of this.
    users: HashMap<UserId, Arc<()>>,
}

/// A schedule that is watched.
#[derive(Debug)]
struct Watched {
    plan: Arc<Plan>,
    /// What all its streams know.
    told: Arc<FreeList>,
    /// That as a new stream's first event, once it was needed.
    first: Option<Bytes>,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    sink: EventSink,
    whose: Arc<()>,
    begun: Instant,
    ends_at: Instant,
    /// When it is given a sign of life, if there is nothing else.
    comment_at: Instant,
}

/// What is new of a schedule's seats.
#[derive(Serialize, JsonSchema)]
pub(super) struct ChangesView {
    /// The event's id again.
    #[schemars(example = &"1-42")]
    version: String,
    /// Those that changed; in `seats`, all that are not free.
    seats: Vec<ChangeView>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ChangeView {
    concert_seat_id: SeatId,
    /// What it is now.
    #[schemars(extend("enum" = ["FREE", "HELD", "SOLD"]), example = &"SOLD")]
    status: &'static str,
}

impl Seats {
    /// Begins a stream of a schedule's changes.
    pub(super) async fn watch(&self, schedule: ScheduleId, watcher: Watcher<'_>) -> Result<EventStream, ApiError> {
        self.hub.lock().require_room(self.hub.most)?;
        let (plan, list) = (self.plan(schedule).await?, self.free_list(schedule).await?);
        self.hub.add(schedule, plan, &list, watcher)
    }

    /// One run of the job: tells every stream what has changed.
    pub async fn feed(&self) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        for some in self.hub.tend().chunks(LOOKS_AT_A_TIME) {
            let mut looks: FuturesUnordered<_> = some.iter().map(|schedule| self.feed_those_of(*schedule)).collect();
            // One that cannot be looked at now must not keep the others' streams from being told.
            while let Some(looked) = looks.next().await {
                outcome = outcome.and(looked);
            }
        }
        outcome
    }

    async fn feed_those_of(&self, schedule: ScheduleId) -> Result<(), StoreError> {
        let list = self.free_list(schedule).await?;
        if let Some(watched) = self.hub.lock().schedules.get_mut(&schedule) {
            watched.learn(&list);
        }
        Ok(())
    }

    /// Ends all streams, which may come again elsewhere; there will be no more.
    pub fn end_streams(&self) {
        let mut streams = self.hub.lock();
        streams.ended = true;
        for stream in streams.schedules.drain().flat_map(|(_, watched)| watched.streams) {
            let _ = stream.sink.send(retry());
        }
        streams.users.clear();
        streams.count = 0;
    }
}

impl Hub {
    /// For so many streams at the most.
    pub(super) fn new(most: u32) -> Self {
        Self { streams: Mutex::default(), most: usize::try_from(most).unwrap_or(usize::MAX) }
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(
        &self,
        schedule: ScheduleId,
        plan: Arc<Plan>,
        list: &Arc<FreeList>,
        Watcher { user, left, last }: Watcher<'_>,
    ) -> Result<EventStream, ApiError> {
        let (sink, events) = http::event_stream(BEHIND);
        let mut streams = self.lock();
        streams.require_room(self.most)?;
        let whose = streams.users.entry(user).or_default().clone();
        let now = Instant::now();
        let mut stream = Stream { sink, whose, begun: now, ends_at: now + left, comment_at: now };
        let watched = streams.schedules.entry(schedule);
        let watched = watched.or_insert_with(|| Watched { plan, told: list.clone(), first: None, streams: Vec::new() });
        // All its streams know the same, so that one event fits them all.
        watched.learn(list);
        let knows = last == Some(&watched.told.known.to_string());
        if stream.send(retry(), now) && (knows || stream.send(watched.first()?, now)) {
            let whose = stream.whose.clone();
            watched.streams.push(stream);
            streams.count += 1;
            // One clone is the map's, one the new stream's, one is here.
            if Arc::strong_count(&whose) > MOST_OF_A_USER + 2 {
                streams.end_oldest(&whose);
            }
        }
        Ok(events)
    }

    /// Ends the streams whose time is over, forgets those that were left, gives the silent a sign of life; returns the
    /// schedules that are watched.
    fn tend(&self) -> Vec<ScheduleId> {
        let mut streams = self.lock();
        let now = Instant::now();
        streams.schedules.retain(|_, watched| {
            watched.streams.retain_mut(|stream| stream.goes_on(now));
            !watched.streams.is_empty()
        });
        streams.users.retain(|_, theirs| Arc::strong_count(theirs) > 1);
        streams.count = streams.schedules.values().map(|watched| watched.streams.len()).sum();
        let count = u32::try_from(streams.count).unwrap_or(u32::MAX);
        metrics::gauge!("seat_streams").set(f64::from(count));
        streams.schedules.keys().copied().collect()
    }
}

impl Streams {
    fn require_room(&self, most: usize) -> Result<(), ApiError> {
        if self.ended {
            return Err(ApiError::unavailable("shutting down"));
        }
        if self.count >= most {
            return Err(ApiError::unavailable("as many streams as there may be"));
        }
        Ok(())
    }

    fn end_oldest(&mut self, whose: &Arc<()>) {
        let all = self.schedules.values_mut();
        let theirs = all.filter_map(|watched| {
            let streams = watched.streams.iter().enumerate();
            let theirs = streams.filter(|(_, stream)| Arc::ptr_eq(&stream.whose, whose));
            let oldest = theirs.map(|(at, stream)| (stream.begun, at)).min();
            oldest.map(|(begun, at)| (begun, at, &mut watched.streams))
        });
        if let Some((_, at, streams)) = theirs.min_by_key(|(begun, ..)| *begun) {
            streams.swap_remove(at);
            self.count -= 1;
        }
    }
}

impl Watched {
    /// Tells all streams what is new, unless the list is older than what they know.
    fn learn(&mut self, list: &Arc<FreeList>) {
        if list.asked <= self.told.asked {
            return;
        }
        let told = std::mem::replace(&mut self.told, list.clone());
        if told.known == list.known {
            return;
        }
        self.first = None;
        let seats = self.seats(|at| status_at(list, at) != status_at(&told, at));
        // A seat that is being paid for is still held.
        if seats.is_empty() {
            return;
        }
        match self.event("changes", seats) {
            Ok(event) => {
                let now = Instant::now();
                self.streams.retain_mut(|stream| stream.send(event.clone(), now));
            }
            // Whoever comes again is told all.
            Err(_) => self.streams.clear(),
        }
    }

    /// All that is not free.
    fn first(&mut self) -> Result<Bytes, ApiError> {
        if let Some(first) = &self.first {
            return Ok(first.clone());
        }
        let first = self.event("seats", self.seats(|at| status_at(&self.told, at) != FREE))?;
        self.first = Some(first.clone());
        Ok(first)
    }

    /// The seats at some positions, as they are.
    fn seats(&self, is_told: impl Fn(u32) -> bool) -> Vec<ChangeView> {
        let seats = self.plan.by_number().filter(|(at, _)| is_told(*at));
        seats.map(|(at, seat)| ChangeView { concert_seat_id: seat.id, status: status_at(&self.told, at) }).collect()
    }

    fn event(&self, name: &str, seats: Vec<ChangeView>) -> Result<Bytes, ApiError> {
        let version = self.told.known.to_string();
        http::event(name, Some(&self.told.known), &ChangesView { version, seats })
    }
}

const FREE: &str = "FREE";

fn status_at(list: &FreeList, position: u32) -> &'static str {
    status(usize::try_from(position).ok().and_then(|at| list.states.get(at)).copied())
}

impl Stream {
    fn send(&mut self, chunk: Bytes, now: Instant) -> bool {
        self.comment_at = now + silence();
        self.sink.send(chunk)
    }

    fn goes_on(&mut self, now: Instant) -> bool {
        !self.sink.is_closed() && now < self.ends_at && (now < self.comment_at || self.send(COMMENT, now))
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::super::Seat;
    use super::super::answers::Known;
    use super::*;
    use crate::money::Won;

    fn plan() -> Arc<Plan> {
        let seat = |number: i32| {
            let id = i64::from(number).try_into().unwrap_or_else(|_| unreachable!());
            Seat { id, section: String::new(), row: String::new(), number, price: Won(1) }
        };
        Arc::new(Plan::new((1..=3).map(seat).collect()))
    }

    fn list(states: &'static [u8], version: u64, asked: Instant) -> Arc<FreeList> {
        let known = Known { generation: "g".to_owned(), version };
        Arc::new(FreeList::render(&plan(), states.into(), known, asked, 0))
    }

    fn stream() -> (Stream, EventStream) {
        let (sink, events) = http::event_stream(BEHIND);
        let now = Instant::now();
        (Stream { sink, whose: Arc::default(), begun: now, ends_at: now, comment_at: now }, events)
    }

    /// All chunks of a stream that has ended.
    fn chunks(events: EventStream) -> Vec<Bytes> {
        let mut body = events.into_response().into_body();
        let next =
            || body.frame().now_or_never().flatten().and_then(Result::ok).and_then(|frame| frame.into_data().ok());
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn what_is_new_is_told_once_and_rendered_once() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let ((one, its), (other, others)) = (stream(), stream());
        let told = list(b"FFS", 1, now);
        let mut watched = Watched { plan: plan(), told, first: None, streams: vec![one, other] };
        watched.learn(&list(b"HFS", 2, later(2)));
        // Older than what was told; being paid for; the same again.
        watched.learn(&list(b"FFS", 1, later(1)));
        watched.learn(&list(b"PFS", 3, later(3)));
        watched.learn(&list(b"PFS", 3, later(4)));
        watched.learn(&list(b"SHF", 6, later(5)));
        drop(watched);
        let (its, others) = (chunks(its), chunks(others));
        let seat = |id, status| format!("{{\"concertSeatId\":{id},\"status\":\"{status}\"}}");
        let event = |id, seats: &[String]| {
            let data = format!("{{\"version\":\"{id}\",\"seats\":[{}]}}", seats.join(","));
            format!("event: changes\nid: {id}\ndata: {data}\n\n")
        };
        let expected =
            [event("g-2", &[seat(1, "HELD")]), event("g-6", &[seat(1, "SOLD"), seat(2, "HELD"), seat(3, "FREE")])];
        assert_eq!(its, expected);
        let bytes = |chunks: &[Bytes]| chunks.iter().map(|chunk| chunk.as_ptr()).collect::<Vec<_>>();
        assert_eq!(bytes(&its), bytes(&others), "not the same text, but the same bytes");
    }
}
