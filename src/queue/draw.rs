//! The draw by which those who come before a queue's opening are put into order: computed from a seed, so that anyone can
//! recompute it.
//!
//! A draw has a seed of 32 random bytes, made before anybody can come. Its SHA-256 is public from then on, the seed once the
//! draw is over. Whoever comes early is given an entry number, from 1, counted up; who leaves and comes again is given a new
//! one, and the old one is nobody's. At the opening the number of entries N is fixed. The key of entry e is
//! HMAC-SHA256(seed, `"<queue>:<N>:<e>"`), the numbers in decimal; entries are sorted by key, then number; the k-th, from 0,
//! has the k-th place, and everybody who comes later is behind.
//!
//! N is in the message so that even who knows the seed cannot choose a lucky number: which numbers are lucky depends on how
//! many will have come in the end. So a draw proves that the operator did not choose the order afterwards, and nobody can
//! choose it before.

use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::http::Time;

/// The most entries that a draw is recomputed for.
const MOST_ENTRIES: u64 = 100_000_000;

/// In one sentence, for those who read the facts.
const ALGORITHM: &str = "The key of entry e (1 to entries) is HMAC-SHA256 with the seed's 32 bytes as key and the ASCII text \
                         \"<queue>:<entries>:<e>\" as message; entries are sorted by (key, e), and the k-th, from 0, has \
                         draw-place k and order firstOrder + 1 + k.";

/// A draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// Counts a queue's draws, from 1.
    pub number: u32,
    /// When it is over.
    pub opens_at: DateTime<Utc>,
    pub(super) seed: [u8; 32],
    /// The queue's epoch when the draw was made: no entry is older.
    pub(super) epoch: u64,
    /// What is known once it is over.
    pub(super) closing: Option<Closing>,
}

/// How a draw's entries ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    /// The place before the first entry's.
    pub(super) base: u64,
    /// How many entries were given.
    pub(super) entries: u64,
    /// The order before the first drawn one.
    pub(super) first_order: u64,
}

/// What everybody may know of a draw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The queue's name.
    #[schemars(example = &"big")]
    pub queue: String,
    /// When it is over.
    #[schemars(with = "Time")]
    pub opens_at: String,
    /// The hash of the seed, in hex.
    #[schemars(example = &"66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925")]
    pub seed_sha256: String,
    /// The seed, in hex, once it is over.
    #[schemars(example = &"0000000000000000000000000000000000000000000000000000000000000000")]
    pub seed: Option<String>,
    /// How many entries were given, once it is over.
    #[schemars(example = 5000)]
    pub entries: Option<u64>,
    /// The order before the first drawn one, once it is over.
    #[schemars(example = 4_294_967_296_u64)]
    pub first_order: Option<u64>,
    /// How to recompute it.
    #[schemars(example = ALGORITHM)]
    #[serde(default)]
    pub algorithm: String,
}

/// Why a draw does not hold, or cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum UnprovenError {
    /// There is no seed yet.
    #[error("the draw is not over: its seed is not public yet")]
    NotOver,
    /// A field is not what it must be.
    #[error("{0} is not 32 bytes in hex")]
    NotHex(&'static str),
    /// The seed is another one than was promised.
    #[error("the draw does not hold: the seed's SHA-256 is {found}, not {promised} as was said before")]
    AnotherSeed {
        /// What it is.
        found: String,
        /// What was said.
        promised: String,
    },
    /// There are more than anybody could have been.
    #[error("{0} entries are too many to recompute")]
    TooMany(u64),
}

/// The order that was drawn: which entry has which place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permutation {
    /// By entry number, less one.
    places: Vec<u32>,
}

impl Draw {
    /// What everybody may know of it now.
    #[must_use]
    pub fn facts(&self, queue: &str) -> Facts {
        Facts {
            queue: queue.to_owned(),
            opens_at: self.opens_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            seed_sha256: hex::encode(Sha256::digest(self.seed)),
            seed: self.closing.map(|_| hex::encode(self.seed)),
            entries: self.closing.map(|closing| closing.entries),
            first_order: self.closing.map(|closing| closing.first_order),
            algorithm: ALGORITHM.to_owned(),
        }
    }
}

impl Closing {
    /// The entry number of a place, if it is one of the draw's.
    pub(super) fn entry_of(&self, place: u64) -> Option<u64> {
        place.checked_sub(self.base).filter(|entry| (1..=self.entries).contains(entry))
    }
}

impl Facts {
    /// Recomputes the order, if the seed is the one that was promised.
    pub fn verify(&self) -> Result<Permutation, UnprovenError> {
        let (Some(seed), Some(entries)) = (&self.seed, self.entries) else { return Err(UnprovenError::NotOver) };
        let bytes = |text: &str, name| {
            hex::decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or(UnprovenError::NotHex(name))
        };
        let (seed, promised) = (bytes(seed, "seed")?, bytes(&self.seed_sha256, "seedSha256")?);
        let found: [u8; 32] = Sha256::digest(seed).into();
        if found != promised {
            return Err(UnprovenError::AnotherSeed { found: hex::encode(found), promised: hex::encode(promised) });
        }
        if entries > MOST_ENTRIES {
            return Err(UnprovenError::TooMany(entries));
        }
        Ok(Permutation::draw(&seed, &self.queue, entries))
    }
}

impl Permutation {
    /// The order of so many entries. Takes about a microsecond for each.
    #[must_use]
    pub fn draw(seed: &[u8; 32], queue: &str, entries: u64) -> Self {
        let count = u32::try_from(entries).unwrap_or(u32::MAX);
        let Ok(hmac) = Hmac::<Sha256>::new_from_slice(seed) else { return Self { places: Vec::new() } };
        let key = |entry: u32| {
            let mut hmac = hmac.clone();
            hmac.update(format!("{queue}:{entries}:{entry}").as_bytes());
            <[u8; 32]>::from(hmac.finalize().into_bytes())
        };
        let mut keyed: Vec<([u8; 32], u32)> = (1..=count).map(|entry| (key(entry), entry)).collect();
        keyed.sort_unstable();
        let mut places = vec![0; keyed.len()];
        for ((_, entry), place) in keyed.into_iter().zip(0..) {
            if let Some(slot) = usize::try_from(entry - 1).ok().and_then(|at| places.get_mut(at)) {
                *slot = place;
            }
        }
        Self { places }
    }

    /// Which place an entry has, from 0.
    #[must_use]
    pub fn place_of(&self, entry: u64) -> Option<u64> {
        let at = usize::try_from(entry.checked_sub(1)?).ok()?;
        self.places.get(at).map(|place| u64::from(*place))
    }

    /// The places of entries 1, 2 and so on.
    #[must_use]
    pub fn places(&self) -> &[u32] {
        &self.places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_place_of_its_own_and_one_entry_more_changes_all() {
        let drawn = Permutation::draw(&[7; 32], "night", 1000);
        let mut places = drawn.places().to_vec();
        places.sort_unstable();
        assert_eq!(places, (0..1000).collect::<Vec<_>>());
        let more = Permutation::draw(&[7; 32], "night", 1001);
        let same = drawn.places().iter().zip(more.places()).filter(|(one, other)| one == other).count();
        assert!(same < 50, "{same} of 1000 entries have kept their place");
        assert_eq!((drawn.place_of(0), drawn.place_of(1001)), (None, None));
    }

    #[test]
    fn another_seed_than_was_promised_is_found_out() {
        let closing = Some(Closing { base: 0, entries: 3, first_order: 3 });
        let draw = Draw { number: 1, opens_at: DateTime::UNIX_EPOCH, seed: [7; 32], epoch: 0, closing };
        let facts = draw.facts("night");
        assert_eq!(facts.verify().ok(), Some(Permutation::draw(&[7; 32], "night", 3)));
        let forged = Facts { seed: Some(hex::encode([8; 32])), ..facts.clone() };
        assert!(matches!(forged.verify(), Err(UnprovenError::AnotherSeed { .. })));
        let early = Draw { closing: None, ..draw }.facts("night");
        assert!(early.seed.is_none() && matches!(early.verify(), Err(UnprovenError::NotOver)));
        let endless = Facts { entries: Some(u64::MAX), ..facts };
        assert!(matches!(endless.verify(), Err(UnprovenError::TooMany(_))));
    }
}
