//! How many of something there are, and which, as far as a person wants to read.

use std::fmt;

/// The most that are named.
const NAMED: usize = 5;

/// A count, and the first few of what was counted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, name: impl fmt::Display) {
        self.count += 1;
        if self.examples.len() < NAMED {
            self.examples.push(name.to_string());
        }
    }

    /// Counts another's too. What the examples are of is said by `kind`: "schedule 1 reservation".
    pub fn absorb(&mut self, kind: &str, other: &Self) {
        self.count += other.count;
        let room = NAMED.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.iter().take(room).map(|example| format!("{kind} {example}")));
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
