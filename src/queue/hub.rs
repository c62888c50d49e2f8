//! Those who watch their tokens by a stream of events. One run of a job feeds all of an instance's: no stream has a timer,
//! a task or a call to Redis of its own. Those who wait are told from the snapshot; of whom it does not tell, Redis is asked
//! many at a time.
//!
//! Events are state, not history: whoever comes again, with whatever `Last-Event-ID`, is told at once what is now.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;

use super::estimate::poll_interval;
use super::lately::PAGE;
use super::snapshot::Snapshot;
use super::view::{About, RankView};
use super::{Claim, Presented, Queue, QueueId, Queues, Rank};
use crate::http::{self, ApiError, COMMENT, EventSink, EventStream, retry, silence};
use crate::store_error::StoreError;

/// How many chunks a client may be behind.
const BEHIND: usize = 16;

/// The most streams of one token; one more ends the oldest.
const MOST_OF_A_TOKEN: usize = 4;

/// How often Redis is asked of an active token: it may be paid or given up by way of another instance.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How many lost places are claimed at a time, and the most in one run.
const CLAIMS_AT_A_TIME: usize = 32;
const CLAIMS_A_RUN: usize = 1000;

/// All streams of this instance.
#[derive(Debug)]
pub(super) struct Hub {
    streams: Mutex<Streams>,
    most: usize,
    next_id: AtomicU64,
}

#[derive(Debug, Default)]
struct Streams {
    /// Whether a shutdown has begun.
    ended: bool,
    count: usize,
    tokens: HashMap<Claim, Watched>,
}

/// A token that is watched.
#[derive(Debug)]
struct Watched {
    rank: Rank,
    /// When Redis was asked for it last.
    asked: Instant,
    /// When it was noted as seen last.
    noted: Instant,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    sink: EventSink,
    said: Option<Said>,
    /// Until when its position is not told again.
    quiet_until: Instant,
    /// When it is given a sign of life, if there is nothing else.
    comment_at: Instant,
}

/// What a stream was told last, as far as a change of it is worth an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Position(u64),
    SoldOut,
    Active(i64),
    Ended,
}

/// A queue during one run.
struct Moment {
    queue: Arc<Queue>,
    about: About,
    snapshot: Option<Arc<Snapshot>>,
}

/// Tokens of one queue of which Redis is to be asked, and when each was seen.
type Asking = HashMap<QueueId, (Arc<Queue>, Vec<(Claim, Instant)>)>;

impl Queues {
    /// Begins a stream of a token's events; it ends with the token.
    pub(super) async fn watch(&self, Presented { claim, queue }: &Presented) -> Result<EventStream, ApiError> {
        self.hub.require_room()?;
        let rank = self.rank_lately(queue, claim).await?;
        let about = self.about(queue);
        let view = RankView::new(rank, queue, &about)?;
        self.told(claim, view.estimated_wait_seconds);
        self.hub.add(queue, claim, rank, &about)
    }

    /// One run of the job: tells every stream what is new.
    pub async fn feed(&self) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        for (queue, tokens) in self.hub.feed(self).into_values() {
            for page in tokens.chunks(PAGE) {
                let asked = self.ask_of(&queue, page).await;
                outcome = outcome.and(asked);
            }
        }
        outcome
    }

    /// Asks Redis of a page of tokens that are watched, and claims the places that it has lost.
    async fn ask_of(&self, queue: &Queue, page: &[(Claim, Instant)]) -> Result<(), StoreError> {
        let lost = match self.see(queue, page).await? {
            Some(lost) => lost,
            // The first opens the queue for all.
            None => page.iter().take(1).map(|(claim, _)| *claim).collect(),
        };
        let lost = &lost[..lost.len().min(CLAIMS_A_RUN)];
        for some in lost.chunks(CLAIMS_AT_A_TIME) {
            let claims = FuturesUnordered::new();
            for claim in some {
                claims.push(self.rank(queue, claim));
            }
            let _ranks: Vec<Rank> = claims.try_collect().await?;
        }
        Ok(())
    }

    /// Ends all streams, which may come again elsewhere; there will be no more.
    pub fn end_streams(&self) {
        let mut streams = self.hub.lock();
        streams.ended = true;
        for stream in streams.tokens.drain().flat_map(|(_, watched)| watched.streams) {
            let _ = stream.sink.send(retry());
        }
        streams.count = 0;
    }
}

impl Hub {
    /// For so many streams at the most.
    pub(super) fn new(most: u32) -> Self {
        // Ids go on from those of an earlier process.
        let now = u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or_default();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { streams: Mutex::default(), most, next_id: AtomicU64::new(now) }
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn require_room(&self) -> Result<(), ApiError> {
        self.lock().require_room(self.most)
    }

    fn add(&self, queue: &Queue, claim: &Claim, rank: Rank, about: &About) -> Result<EventStream, ApiError> {
        let (sink, events) = http::event_stream(BEHIND);
        let now = Instant::now();
        let mut stream = Stream { sink, said: None, quiet_until: now, comment_at: now + silence() };
        let goes_on = stream.sink.send(retry()) && self.tell(&mut stream, queue, rank, about);
        let mut streams = self.lock();
        streams.require_room(self.most)?;
        if goes_on {
            let unwatched = || Watched { rank, asked: now, noted: now, streams: Vec::new() };
            let watched = streams.tokens.entry(*claim).or_insert_with(unwatched);
            let is_full = watched.streams.len() >= MOST_OF_A_TOKEN;
            if is_full {
                watched.streams.remove(0);
            }
            watched.streams.push(stream);
            streams.count += usize::from(!is_full);
        }
        Ok(events)
    }

    /// Tells every stream what is new as far as this instance knows; returns the tokens of which Redis is to be asked.
    fn feed(&self, queues: &Queues) -> Asking {
        let mut moments: HashMap<QueueId, Option<Moment>> = HashMap::new();
        let mut asking = Asking::new();
        let mut streams = self.lock();
        let now = Instant::now();
        streams.tokens.retain(|claim, watched| {
            watched.streams.retain(|stream| !stream.sink.is_closed());
            let moment = moments.entry(claim.queue).or_insert_with(|| Moment::of(queues, claim.queue));
            let Some(moment) = moment else { return false };
            if watched.streams.is_empty() {
                return false;
            }
            if watched.update(queues, claim, moment, now) {
                watched.asked = now;
                let tokens = asking.entry(claim.queue).or_insert_with(|| (moment.queue.clone(), Vec::new()));
                tokens.1.push((*claim, now));
            }
            self.tell_all(watched, &moment.queue, &moment.about)
        });
        streams.count = streams.tokens.values().map(|watched| watched.streams.len()).sum();
        let count = u32::try_from(streams.count).unwrap_or(u32::MAX);
        metrics::gauge!("queue_streams").set(f64::from(count));
        asking
    }

    /// Tells those who watch a token what Redis has just said of it.
    pub(super) fn learn(&self, queues: &Queues, claim: &Claim, rank: &Rank) {
        let mut streams = self.lock();
        let Entry::Occupied(mut watched) = streams.tokens.entry(*claim) else { return };
        let Some(queue) = queues.get(claim.queue) else { return };
        watched.get_mut().rank = *rank;
        watched.get_mut().asked = Instant::now();
        if !self.tell_all(watched.get_mut(), &queue, &queues.about(&queue)) {
            watched.remove();
        }
    }

    /// Whether any stream goes on.
    fn tell_all(&self, watched: &mut Watched, queue: &Queue, about: &About) -> bool {
        let rank = watched.rank;
        watched.streams.retain_mut(|stream| self.tell(stream, queue, rank, about));
        !watched.streams.is_empty()
    }

    /// Tells a stream what a token is now, if that is news; otherwise gives a sign of life, if it is time for one. Whether
    /// the stream goes on.
    fn tell(&self, stream: &mut Stream, queue: &Queue, rank: Rank, about: &About) -> bool {
        let now = Instant::now();
        let (said, name) = match rank {
            Rank::Waiting { .. } if about.sold_out => (Said::SoldOut, "sold_out"),
            Rank::Waiting { ahead, .. } => (Said::Position(ahead), "position"),
            Rank::Active { expires_ms, .. } => (Said::Active(expires_ms), "active"),
            Rank::Expired | Rank::Completed | Rank::Unknown => (Said::Ended, "expired"),
        };
        let moved = matches!((stream.said, said), (Some(Said::Position(_)), Said::Position(_)));
        if stream.said == Some(said) || (moved && now < stream.quiet_until) {
            return now < stream.comment_at || stream.send(COMMENT, now);
        }
        if let Said::Position(ahead) = said {
            stream.quiet_until = now + poll_interval(ahead, &queue.settings);
        }
        stream.said = Some(said);
        let rank = if rank == Rank::Unknown { Rank::Expired } else { rank };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let event = RankView::new(rank, queue, about).and_then(|view| http::event(name, Some(id), &view));
        event.is_ok_and(|event| stream.send(event, now)) && said != Said::Ended
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
}

impl Moment {
    fn of(queues: &Queues, id: QueueId) -> Option<Self> {
        let queue = queues.get(id)?;
        let (about, snapshot) = (queues.about(&queue), queues.glimpse(id).fresh(Arc::clone));
        Some(Self { queue, about, snapshot })
    }
}

impl Watched {
    /// Takes what the snapshot says of the token; whether Redis is to be asked.
    fn update(&mut self, queues: &Queues, claim: &Claim, moment: &Moment, now: Instant) -> bool {
        let since = now.duration_since(self.asked);
        let Rank::Waiting { ahead, .. } = self.rank else { return since >= ASK_EVERY };
        let Some(snapshot) = &moment.snapshot else { return since >= ASK_EVERY };
        let settings = &moment.queue.settings;
        let order = queues.order_of(&moment.queue, claim);
        if let Some(ahead) = order.and_then(|order| snapshot.ahead(order)) {
            let expires_ms = snapshot.expiry(settings.waiting_ttl);
            self.rank = Rank::Waiting { ahead, expires_ms, order: order.unwrap_or_default(), entry: 0 };
            if now.duration_since(self.noted) >= settings.waiting_ttl / 4 {
                self.noted = now;
                queues.sightings.note(claim, settings.waiting_ttl);
            }
            return false;
        }
        if order.is_some_and(|order| snapshot.has_bit(order)) {
            // It has just gone out of the crowd, or come after the snapshot.
            return snapshot.taken() > self.asked;
        }
        since >= poll_interval(ahead, settings) / 2
    }
}

impl Stream {
    fn send(&mut self, chunk: Bytes, now: Instant) -> bool {
        self.comment_at = now + silence();
        self.sink.send(chunk)
    }
}
