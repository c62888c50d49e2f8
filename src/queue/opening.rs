//! A queue's opening: the draw made when an opening is known of, ended when it comes, and its order given to those who came
//! early. Any number of instances may do each of it at once; an instance that dies at any moment leaves it to the others.
//!
//! Redis ends the draw, Postgres then keeps how it ended, and only what Postgres has is carried out: so the order stays the
//! same whatever becomes of Redis. Nobody is let in until all of it is done.

use std::sync::Arc;

use super::directory::{Queue, QueueId};
use super::draw::{Closing, Draw, Permutation};
use super::lost::PLACES_A_EPOCH;
use super::store::{self, Shuffled};
use super::token::Claim;
use super::{Queues, records};
use crate::store_error::StoreError;

/// The most entries that one script puts into order.
const CHUNK: u64 = 1000;

/// Puts entries into order that the draw has not got, after a loss: behind all.
const BEHIND: u64 = 0;

/// What a place says of the order.
enum Placed<'a> {
    /// It is the order.
    InOrder,
    /// It is to be drawn yet, or its draw went by without it.
    Undrawn,
    /// It is this entry of a draw that is over.
    Entry(&'a Draw, Closing, u64),
}

impl<'a> Placed<'a> {
    fn of(queue: &'a Queue, place: u64) -> Self {
        let epoch = place / PLACES_A_EPOCH;
        for draw in queue.draws.iter().rev() {
            let Some(closing) = draw.closing else {
                if epoch >= draw.epoch {
                    return Self::Undrawn;
                }
                continue;
            };
            let closed_in = closing.first_order / PLACES_A_EPOCH;
            if let Some(entry) = closing.entry_of(place).filter(|_| epoch == closed_in) {
                return Self::Entry(draw, closing, entry);
            }
            if (draw.epoch..closed_in).contains(&epoch) {
                return Self::Undrawn;
            }
        }
        Self::InOrder
    }
}

impl Permutation {
    fn order_of(&self, closing: Closing, entry: u64) -> Option<u64> {
        self.place_of(entry).map(|drawn| closing.first_order + 1 + drawn)
    }
}

impl Queues {
    /// Makes the draws that are missing, and moves those whose opening was moved; whether there were any.
    pub(super) async fn prepare_draws(&self) -> Result<bool, StoreError> {
        let mut any = false;
        for queue in self.all() {
            if let Some(opens_at) = queue.settings.opens_at
                && queue.draw().is_none_or(|draw| draw.opens_at != opens_at)
            {
                records::prepare_draw(&self.postgres, queue.id, rand::random()).await?;
                any = true;
            }
        }
        Ok(any)
    }

    /// Ends the queue's draw and carries it out, as far as that is to be done now.
    pub(super) async fn open_doors(&self, queue: &Queue) -> Result<(), StoreError> {
        let Some(draw) = queue.draw().filter(|draw| self.is_to_be_shuffled(queue, draw)) else { return Ok(()) };
        let draw = if draw.closing.is_some() {
            // Redis may have gone back to before the end of it.
            if store::close_draw(&self.redis, queue, draw).await?.is_none() {
                return Ok(());
            }
            Arc::clone(draw)
        } else {
            let Some(closing) = store::close_draw(&self.redis, queue, draw).await? else { return Ok(()) };
            let closing = records::end_draw(&self.postgres, queue.id, draw.number, closing).await?;
            tracing::info!(queue = queue.name, entries = closing.entries, "the queue's draw is over");
            let draw = Arc::new(Draw { closing: Some(closing), ..draw.as_ref().clone() });
            self.refresh().await?;
            draw
        };
        self.shuffle(queue, &draw).await?;
        self.shuffled.insert(queue.id, draw.number);
        Ok(())
    }

    fn is_to_be_shuffled(&self, queue: &Queue, draw: &Draw) -> bool {
        self.shuffled.get(&queue.id).is_none_or(|done| *done < draw.number)
    }

    async fn shuffle(&self, queue: &Queue, draw: &Draw) -> Result<(), StoreError> {
        let Some(closing) = draw.closing else { return Ok(()) };
        let permutation = self.permutation(queue, draw, closing).await?;
        let order = |entry| permutation.place_of(entry).map_or(BEHIND, |place| closing.first_order + 1 + place);
        let mut entry = 1;
        loop {
            let orders: Vec<u64> = (entry..entry + CHUNK).map(order).collect();
            match store::shuffle(&self.redis, queue, draw.number, entry, &orders).await? {
                Some(Shuffled { left: 1.., least }) => entry = least,
                _ => return Ok(()),
            }
        }
    }

    /// The order that was drawn, computed once and kept.
    async fn permutation(&self, queue: &Queue, draw: &Draw, closing: Closing) -> Result<Arc<Permutation>, StoreError> {
        let key = (queue.id, draw.number);
        if let Some(known) = self.permutations.get(&key) {
            return Ok(Arc::clone(&known));
        }
        let (seed, name) = (draw.seed, queue.name.clone());
        let compute = tokio::task::spawn_blocking(move || Permutation::draw(&seed, &name, closing.entries));
        let drawn = compute.await.map_err(|error| StoreError::Unavailable { store: "cpu", source: error.into() })?;
        Ok(Arc::clone(&self.permutations.entry(key).or_insert_with(|| Arc::new(drawn))))
    }

    /// The order of a place; none if it is to be drawn yet, or its draw went by without it, which puts it behind all.
    pub(super) async fn order(&self, queue: &Queue, place: u64) -> Result<Option<u64>, StoreError> {
        match Placed::of(queue, place) {
            Placed::InOrder => Ok(Some(place)),
            Placed::Undrawn => Ok(None),
            Placed::Entry(draw, closing, entry) => {
                let permutation = self.permutation(queue, draw, closing).await?;
                Ok(permutation.order_of(closing, entry))
            }
        }
    }

    /// The order of a token, as far as it can be told at once.
    pub(super) fn order_of(&self, queue: &Queue, claim: &Claim) -> Option<u64> {
        match Placed::of(queue, claim.place) {
            Placed::InOrder => Some(claim.place),
            Placed::Undrawn => None,
            Placed::Entry(draw, closing, entry) => {
                self.permutations.get(&(queue.id, draw.number))?.order_of(closing, entry)
            }
        }
    }

    /// The entry number that a token had in a draw that is over, if its place tells.
    pub(super) fn entry_of(queue: &Queue, claim: &Claim) -> Option<u64> {
        match Placed::of(queue, claim.place) {
            Placed::Entry(_, _, entry) => Some(entry),
            Placed::InOrder | Placed::Undrawn => None,
        }
    }

    /// Which place a token was drawn, from 0, if it was.
    pub async fn draw_place(&self, queue: &Queue, claim: &Claim) -> Result<Option<u64>, StoreError> {
        let order = self.order(queue, claim.place).await?;
        Ok(order.filter(|order| *order != claim.place).and_then(|order| queue.draw_place_of(order)))
    }

    /// Forgets that the queue's draw was carried out: Redis is another, or an older one.
    pub(super) fn shuffle_again(&self, queue: QueueId) {
        self.shuffled.remove(&queue);
    }
}
