//! A queue's invariants, gone through a page at a time, so that Redis is never kept busy and memory is bounded.

use std::sync::LazyLock;

use super::Queues;
use super::directory::Queue;
use super::store::TOKEN;
use crate::redis::{Redis, Reply, Script, millis};
use crate::store_error::StoreError;
use crate::tally::Tally;

static AUDIT: LazyLock<Script> =
    LazyLock::new(|| Script::new("queue.audit", &[TOKEN, include_str!("../../lua/queue/audit.lua")]));

/// The most that one script looks at: a millisecond or so of Redis' time.
const PAGE: u32 = 500;

/// A queue's invariants. Each page is as of one instant, and those of who is active come before those of who waits: who is
/// let in meanwhile is in neither, or in the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueAudit {
    /// Tokens active: the most at any of these instants.
    pub active: u32,
    /// The greatest order among them; 0 if there are none.
    pub latest_active: u64,
    /// The least order of those who wait and are there; 0 if there are none.
    pub first_waiting: u64,
    /// Orders that wait and are there, although a later one was let in after they had come.
    pub overtaken: Tally,
    /// Users who are in what their record does not say, or not in what it says: two live tokens are always that.
    pub torn: Tally,
}

/// What a page is of.
#[derive(Debug, Clone, Copy)]
enum Part {
    Active,
    Waiting,
    Tokens,
}

/// A page's tokens that are alive.
#[derive(Debug, Clone, Copy)]
struct Alive {
    /// As the page has it, of an active one its place, which is its order too unless it was drawn.
    order: u64,
    /// Of an active one when it was let in, 0 if that is not known any more; of a waiting one when it came.
    at_ms: u64,
}

impl Queues {
    /// Goes through a queue's invariants.
    pub async fn audit(&self, queue: &Queue) -> Result<QueueAudit, StoreError> {
        let mut audit = QueueAudit::default();
        let mut overtakers = Overtakers::default();
        for part in [Part::Active, Part::Waiting, Part::Tokens] {
            let mut from = Some("0".to_owned());
            while let Some(begin) = from {
                let (alive, following) = page(&self.redis, queue, part, &begin, &mut audit).await?;
                for mut token in alive {
                    match part {
                        Part::Active => {
                            token.order = self.order(queue, token.order).await?.unwrap_or(token.order);
                            audit.latest_active = audit.latest_active.max(token.order);
                            overtakers.add(token);
                        }
                        Part::Waiting => {
                            if audit.first_waiting == 0 {
                                audit.first_waiting = token.order;
                            }
                            if overtakers.overtook(token) {
                                audit.overtaken.add(token.order);
                            }
                        }
                        Part::Tokens => {}
                    }
                }
                from = following;
            }
        }
        Ok(audit)
    }
}

/// Reads a page, counts what it says, and returns who is alive in it and where the next one begins.
async fn page(
    redis: &Redis,
    queue: &Queue,
    part: Part,
    from: &str,
    audit: &mut QueueAudit,
) -> Result<(Vec<Alive>, Option<String>), StoreError> {
    let part = match part {
        Part::Active => "ACTIVE",
        Part::Waiting => "WAITING",
        Part::Tokens => "TOKENS",
    };
    let call = AUDIT.on(&queue.keys).arg(millis(queue.settings.waiting_ttl)).arg(part).arg(from).arg(PAGE);
    let mut reply = redis.run(call).await?;
    let word: String = reply.take()?;
    match word.as_str() {
        "AUDITED" => {}
        // Nobody is there.
        "UNOPENED" => return Ok((Vec::new(), None)),
        word => return Err(reply.unexpected(word)),
    }
    audit.active = audit.active.max(reply.take()?);
    let following: String = reply.take()?;
    let torn: u32 = reply.take()?;
    for _ in 0..torn {
        audit.torn.add(reply.take::<String>()?);
    }
    Ok((alive(&mut reply)?, Some(following).filter(|following| !following.is_empty())))
}

fn alive(reply: &mut Reply) -> Result<Vec<Alive>, StoreError> {
    let numbers: Vec<u64> = reply.rest()?;
    Ok(numbers.chunks_exact(2).map(|pair| Alive { order: pair[0], at_ms: pair[1] }).collect())
}

/// Of the active tokens those that no other one outdoes, being both of a later order and let in later: in descending order. Who waits was overtaken by any of them only if by one of these. Where all goes well it is a single one.
#[derive(Debug, Default)]
struct Overtakers(Vec<Alive>);

impl Overtakers {
    fn add(&mut self, token: Alive) {
        let outdoes = |one: &Alive, other: &Alive| one.order >= other.order && one.at_ms >= other.at_ms;
        if !self.0.iter().any(|known| outdoes(known, &token)) {
            self.0.retain(|known| !outdoes(&token, known));
            self.0.push(token);
        }
    }

    /// Whether one of a later order was let in after this one, which still waits, had come. One that has left cannot come
    /// back to its place, so it was there at that moment too. A place that was lost with Redis and given back is as old as
    /// its return.
    fn overtook(&self, waiting: Alive) -> bool {
        self.0.iter().any(|active| active.order > waiting.order && active.at_ms > waiting.at_ms)
    }
}
