//! Who buys: clients, each living one shopper's life after the other, and what they leave unknown, asked about in the end.
//!
//! `life.rs` is a shopper's way through the queue to the seats, `till.rs` what is done with money.

mod life;
mod till;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::call::{Call, Caller, Heard};
use crate::cluster::Cluster;
use crate::history::{History, Verdict, lock, now_ms};
use crate::programme::Programme;

/// How long a client insists on an answer before it turns to something else and leaves the question for later.
const PATIENCE: Duration = Duration::from_secs(8);
/// What is under way when the faults end is decided by then: a payment, and whoever reconciles it.
const SETTLING: Duration = Duration::from_secs(8);
/// How many of the questions left are asked at once.
const ASKED_AT_ONCE: usize = 32;

/// All clients.
#[derive(Debug)]
pub struct Crowd {
    shop: Arc<Shop>,
    seed: u64,
}

/// What the clients share.
#[derive(Debug)]
struct Shop {
    caller: Caller,
    programme: Arc<Programme>,
    history: Arc<History>,
    next_user: AtomicI64,
    questions: Mutex<Vec<Question>>,
}

/// What is not known yet, and how to ask.
#[derive(Debug, Clone)]
struct Question {
    call: Call,
    about: About,
}

/// Which record it is about.
#[derive(Debug, Clone, Copy)]
enum About {
    Charge(usize),
    /// And which of a batch.
    Payment(usize, Option<usize>),
    Refund(usize),
}

/// A client, and the shopper that it is at the moment.
#[derive(Debug)]
pub struct Shopper {
    shop: Arc<Shop>,
    lots: StdRng,
    /// Which queue it goes to.
    queue: usize,
    /// The one instance that it asks, if it does not ask all.
    only: Option<usize>,
    user: i64,
    token: String,
    /// How many keys and charges this user has used.
    counted: i64,
    /// What is certainly in the wallet.
    funds: i64,
    /// When which seat was first asked for.
    asked: BTreeMap<i64, u64>,
    /// What it was ever given.
    held: Vec<Mine>,
    /// The reservations that it has tried to pay for.
    tried: BTreeSet<i64>,
}

/// A hold that a shopper was given.
#[derive(Debug, Clone, Copy)]
struct Mine {
    seat: i64,
    reservation: i64,
    /// Which record it is.
    record: usize,
    /// From when to when it is certainly valid.
    asked: u64,
    until: u64,
}

impl Crowd {
    /// Clients that ask at the instances' fronts.
    pub fn new(
        arguments: &Arguments,
        cluster: &Cluster,
        programme: &Arc<Programme>,
        history: &Arc<History>,
    ) -> Outcome<Self> {
        let fronts: Vec<SocketAddr> = cluster.instances.iter().map(|instance| instance.front.address()).collect();
        let shop = Shop {
            caller: Caller::new(fronts, history.clone())?,
            programme: programme.clone(),
            history: history.clone(),
            next_user: AtomicI64::new(1),
            questions: Mutex::default(),
        };
        Ok(Self { shop: Arc::new(shop), seed: arguments.seed })
    }

    /// Lets so many clients shop for as long as there are faults. One in three goes to the narrow queue.
    pub fn open(&self, clients: u32) -> JoinSet<()> {
        let mut shopping = JoinSet::new();
        for client in 0..clients {
            let mut shopper = self.shopper(client.into(), usize::from(client % 3 != 0), None);
            shopping.spawn(async move {
                while shopper.shop.history.under_faults() {
                    shopper.become_somebody();
                    shopper.live().await;
                }
            });
        }
        shopping
    }

    /// Waits for all of them, then asks about all that they left unknown. False if something does not become known.
    pub async fn close(&self, mut shopping: JoinSet<()>, patience: Duration) -> Outcome<bool> {
        let settled = Instant::now() + SETTLING;
        while let Some(ended) = shopping.join_next().await {
            ended?;
        }
        tokio::time::sleep(settled.saturating_duration_since(Instant::now())).await;
        let late = Instant::now() + patience;
        let mut questions = std::mem::take(&mut *lock(&self.shop.questions)).into_iter();
        let mut asking = JoinSet::new();
        let mut all_known = true;
        loop {
            while asking.len() < ASKED_AT_ONCE
                && let Some(question) = questions.next()
            {
                let (shop, lots) = (self.shop.clone(), StdRng::seed_from_u64(self.seed));
                asking.spawn(async move { shop.settle(&question, late, lots).await });
            }
            match asking.join_next().await {
                Some(known) => all_known &= known?,
                None => return Ok(all_known),
            }
        }
    }

    /// A purchase by a new user, of which nothing goes wrong, through one instance. What it came to is in the history.
    pub async fn buy_through(&self, instance: usize) -> bool {
        let number = 1_000_000 + u64::try_from(instance).unwrap_or_default();
        let mut shopper = self.shopper(number, 1, Some(instance));
        shopper.become_somebody();
        shopper.buy_plainly().await.is_some()
    }

    fn shopper(&self, number: u64, queue: usize, only: Option<usize>) -> Shopper {
        Shopper {
            shop: self.shop.clone(),
            lots: StdRng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(number)),
            queue,
            only,
            user: 0,
            token: String::new(),
            counted: 0,
            funds: 0,
            asked: BTreeMap::new(),
            held: Vec::new(),
            tried: BTreeSet::new(),
        }
    }
}

impl Shop {
    /// Leaves a question for later.
    fn leave(&self, call: Call, about: About) {
        lock(&self.questions).push(Question { call, about });
    }

    /// Asks what became of something, now that everything works.
    async fn settle(&self, Question { call, about }: &Question, late: Instant, mut lots: StdRng) -> bool {
        let heard = self.caller.insist(call, None, late, &mut lots).await;
        let mut records = self.history.records();
        let Some(answer) = heard.answer else {
            records.breach("everything becomes known once the faults are over", format!("{call:?}"));
            return false;
        };
        let code = || answer.code().to_owned();
        let plain = if answer.is_ok() { Verdict::Done(()) } else { Verdict::Refused(code()) };
        let counted = match *about {
            About::Charge(record) => {
                records.charges[record].verdict = plain;
                "charges whose outcome was asked for later"
            }
            About::Refund(record) => {
                records.refunds[record].verdict = plain;
                "refunds whose outcome was asked for later"
            }
            About::Payment(record, turn) => {
                let before = &mut records.payments[record].verdict;
                let now = answer.payment(turn).map_or_else(|| Verdict::Refused(code()), Verdict::Done);
                let counted = match (&before, &now) {
                    (Verdict::Refused(_), Verdict::Done(_)) => "payments refused while unknown, paid after all",
                    (_, Verdict::Done(_)) => "payments unknown at first, asked for later: paid",
                    _ => "payments unknown at first, asked for later: not paid",
                };
                *before = now;
                counted
            }
        };
        *records.counts.entry(counted).or_default() += 1;
        true
    }
}

impl Shopper {
    /// Another user, or one time in four the same again.
    fn become_somebody(&mut self) {
        if self.user == 0 || !self.happens(25) {
            self.user = self.shop.next_user.fetch_add(1, Ordering::Relaxed);
            self.counted = 0;
            self.funds = 0;
            self.asked.clear();
            self.held.clear();
            self.tried.clear();
        }
    }

    /// So many times in a hundred.
    fn happens(&mut self, percent: u32) -> bool {
        self.lots.random_ratio(percent, 100)
    }

    /// A number that this user has not used yet.
    fn next_number(&mut self) -> i64 {
        self.counted += 1;
        self.counted
    }

    /// A key that nobody has used yet.
    fn new_key(&mut self) -> String {
        let number = self.next_number();
        format!("{}-{number}", self.user)
    }

    async fn insist(&mut self, call: &Call) -> Heard {
        let late = Instant::now() + PATIENCE;
        self.shop.caller.insist(call, self.only, late, &mut self.lots).await
    }

    /// From now on a seat is not certain to be this user's.
    fn lets_go(&self, mine: &Mine) {
        self.shop.history.records().holds[mine.record].ends(now_ms());
    }
}
