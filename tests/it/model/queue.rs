//! The queue: who is active, who waits behind whom, what every token ever given is now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use onsale::queue::{Claim, Completion, Departure, Queue, QueueId, QueueSettings, Rank, Signer, Standing};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof};

use super::try_courses;
use crate::support::{TestApp, block_on, schedule, user};

const USERS: i64 = 6;

#[derive(Debug, Clone)]
enum Event {
    Enter(i64),
    Leave(i64),
    /// A seat held in a schedule.
    Keep(i64, i64),
    /// Paid, and nothing held in these schedules any more.
    Complete(i64, Vec<i64>),
    Promote,
    /// Every later promotion has this cap.
    Cap(u32),
}

fn events() -> impl Strategy<Value = (u32, Vec<Event>)> {
    let user = 1..=USERS;
    let event = prop_oneof![
        6 => user.clone().prop_map(Event::Enter),
        2 => user.clone().prop_map(Event::Leave),
        2 => (user.clone(), 1_i64..=3).prop_map(|(user, schedule)| Event::Keep(user, schedule)),
        3 => (user, vec(1_i64..=3, 0..=3)).prop_map(|(user, done)| Event::Complete(user, done)),
        3 => Just(Event::Promote),
        1 => (1_u32..=4).prop_map(Event::Cap),
    ];
    (1_u32..=4, vec(event, 1..=40))
}

/// What a token is, by the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { ahead: u64 },
    Active,
    Completed,
    Expired,
}

/// Tokens by number, in the order in which they were given.
#[derive(Debug, Default)]
struct Model {
    owners: Vec<i64>,
    waiting: Vec<usize>,
    active: BTreeSet<usize>,
    completed: BTreeSet<usize>,
    holding: BTreeMap<i64, Vec<i64>>,
}

impl Model {
    fn newest(&self, user: i64) -> Option<usize> {
        self.owners.iter().rposition(|owner| *owner == user)
    }

    fn state(&self, token: usize) -> State {
        // Of older tokens only that they are over is remembered.
        if self.newest(self.owners[token]) != Some(token) {
            return State::Expired;
        }
        match self.waiting.iter().position(|other| *other == token) {
            Some(ahead) => State::Waiting { ahead: ahead as u64 },
            None if self.active.contains(&token) => State::Active,
            None if self.completed.contains(&token) => State::Completed,
            None => State::Expired,
        }
    }

    fn live(&self, user: i64) -> Option<usize> {
        self.newest(user).filter(|token| matches!(self.state(*token), State::Waiting { .. } | State::Active))
    }

    fn enter(&mut self, user: i64, cap: u32) -> usize {
        let token = self.live(user).unwrap_or_else(|| {
            self.owners.push(user);
            self.waiting.push(self.owners.len() - 1);
            self.owners.len() - 1
        });
        self.promote(cap);
        token
    }

    fn promote(&mut self, cap: u32) {
        let room = (cap as usize).saturating_sub(self.active.len()).min(self.waiting.len());
        self.active.extend(self.waiting.drain(..room));
    }

    fn end(&mut self, token: usize) {
        self.waiting.retain(|other| *other != token);
        self.active.remove(&token);
        self.holding.remove(&self.owners[token]);
    }

    fn leave(&mut self, token: usize) -> Departure {
        if self.live(self.owners[token]) != Some(token) {
            return Departure::Gone;
        }
        let held = self.holding.get(&self.owners[token]).cloned().unwrap_or_default();
        self.end(token);
        Departure::Left(held.into_iter().map(schedule).collect())
    }

    /// Returns in which schedules its user holds seats then, if it may.
    fn keep(&mut self, token: usize, schedule: i64) -> Option<String> {
        (self.state(token) == State::Active).then(|| {
            let held = self.holding.entry(self.owners[token]).or_default();
            if !held.contains(&schedule) {
                held.push(schedule);
            }
            held.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        })
    }

    fn complete(&mut self, token: usize, done: &[i64]) -> Completion {
        if self.state(token) != State::Active {
            return Completion::Gone;
        }
        let held = self.holding.entry(self.owners[token]).or_default();
        if held.iter().any(|schedule| !done.contains(schedule)) {
            return Completion::Holding(held.iter().copied().map(schedule).collect());
        }
        self.end(token);
        self.completed.insert(token);
        Completion::Completed
    }
}

/// The id of the first course's queue.
const FIRST_QUEUE: i32 = 1000;

/// The real queue, and the claims of the model's tokens.
struct Course<'a> {
    app: &'a TestApp,
    signer: &'a Signer,
    queue: Queue,
    claims: Vec<Claim>,
    model: Model,
}

impl<'a> Course<'a> {
    fn new(app: &'a TestApp, signer: &'a Signer, cap: u32) -> Self {
        static NEXT: AtomicI32 = AtomicI32::new(FIRST_QUEUE);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("model-{id}");
        let minute = Duration::from_mins(1);
        let settings = QueueSettings {
            max_active: cap,
            admit_per_second: 1_000_000,
            active_ttl: minute,
            waiting_ttl: minute,
            hold_ttl: minute,
            max_waiting: 1_000_000,
            opens_at: None,
            paused: false,
            draining: false,
            stock_factor: 0.0,
        };
        let keys = app.app.readiness.redis.keys().queue(&name);
        let queue = Queue::new(QueueId(id), name, settings, keys);
        Self { app, signer, queue, claims: Vec::new(), model: Model::default() }
    }

    async fn happen(&mut self, event: &Event) {
        match event {
            Event::Enter(user) => self.enter(*user).await,
            Event::Promote => {
                self.app.app.queues.promote_step(&self.queue).await.unwrap();
                self.model.promote(self.queue.settings.max_active);
            }
            Event::Cap(cap) => self.queue.settings.max_active = *cap,
            Event::Leave(user) | Event::Keep(user, _) | Event::Complete(user, _) => {
                // Also with tokens that are over.
                for token in 0..self.claims.len() {
                    if self.model.owners[token] == *user {
                        self.act(token, event).await;
                    }
                }
            }
        }
    }

    async fn enter(&mut self, who: i64) {
        let token = self.app.app.queues.enter(&self.queue, user(who)).await.unwrap().token;
        let claim = self.signer.verify(&token).unwrap();
        let token = self.model.enter(who, self.queue.settings.max_active);
        if token == self.claims.len() {
            assert!(self.claims.iter().all(|older| older.place < claim.place), "places go up");
            self.claims.push(claim);
        }
        assert_eq!(self.claims[token], claim, "one live token a user");
    }

    async fn act(&mut self, token: usize, event: &Event) {
        let queues = &self.app.app.queues;
        let claim = &self.claims[token];
        match event {
            Event::Leave(_) => {
                assert_eq!(queues.leave(&self.queue, claim).await.unwrap(), self.model.leave(token));
            }
            Event::Keep(_, held) => {
                // As `seat.hold` does it.
                let held = self.model.keep(token, *held);
                if let Some(list) = held {
                    let key = format!("{{queue:{}}}:holding", self.queue.name);
                    self.app.redis(&["HSET", &key, &claim.user.to_string(), &list]).await;
                }
            }
            Event::Complete(_, done) => {
                let done_with: Vec<_> = done.iter().copied().map(schedule).collect();
                let (prefix, queue) = (&self.app.settings.stores.key_prefix, &self.queue.name);
                for schedule in &done_with {
                    // A map in which nobody holds anything, opened in the same Redis as the queue.
                    let map = format!("{prefix}:{{queue:{queue}}}:schedule:{schedule}:map");
                    self.app.redis(&["COPY", &format!("{{queue:{queue}}}:state"), &map, "REPLACE"]).await;
                }
                let completion = queues.complete(&self.queue, claim, &done_with, None).await.unwrap();
                assert_eq!(completion, self.model.complete(token, done));
            }
            Event::Enter(_) | Event::Promote | Event::Cap(_) => unreachable!(),
        }
    }

    /// Every token ever given is what the model says; so are the sums.
    async fn compare(&self) {
        let queues = &self.app.app.queues;
        for (token, claim) in self.claims.iter().enumerate() {
            let expected = self.model.state(token);
            let rank = match queues.rank(&self.queue, claim).await.unwrap() {
                Rank::Waiting { ahead, .. } => State::Waiting { ahead },
                Rank::Active { .. } => State::Active,
                Rank::Completed => State::Completed,
                Rank::Expired => State::Expired,
                Rank::Unknown => panic!("token {token} is unknown"),
            };
            assert_eq!(rank, expected, "the rank of token {token}");
            let standing = queues.check(&self.queue, claim).await.unwrap();
            let agrees = match standing {
                Standing::Waiting => matches!(expected, State::Waiting { .. }),
                Standing::Active { .. } => expected == State::Active,
                Standing::Completed => expected == State::Completed,
                Standing::Expired => expected == State::Expired,
                Standing::Unknown => false,
            };
            assert!(agrees, "token {token} is {expected:?} and may {standing:?}");
        }
        let audit = queues.audit(&self.queue).await.unwrap();
        let place = |token: Option<&usize>| token.map_or(0, |token| self.claims[*token].place);
        assert_eq!((audit.active as usize, audit.torn.count), (self.model.active.len(), 0));
        assert_eq!(audit.latest_active, place(self.model.active.last()));
        assert_eq!(audit.first_waiting, place(self.model.waiting.first()));
        assert!(audit.latest_active < audit.first_waiting || audit.first_waiting == 0, "first come, first served");
        assert_eq!(audit.overtaken.count, 0);
    }
}

/// Each course has a queue of its own; these are enough for all of them and for making a failure small.
async fn add_queues(app: &TestApp) {
    let add = "INSERT INTO queue (id, name) SELECT id, 'model-' || id FROM generate_series($1, $1 + 999) id";
    sqlx::query(add).bind(FIRST_QUEUE).execute(app.pool()).await.unwrap();
}

#[test]
fn the_queue_does_what_the_model_does() {
    let app = block_on(TestApp::without_jobs(&[]));
    block_on(add_queues(&app));
    let signer = Signer::new(app.settings.token_key.expose());
    try_courses(32, &events(), app, async |app, (cap, events)| {
        let mut course = Course::new(app, &signer, cap);
        for event in &events {
            course.happen(event).await;
            course.compare().await;
        }
    });
}
