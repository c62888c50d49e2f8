//! What the audit has to say of an invariant: one line for people, one object for programs.

use std::fmt;

use serde::Serialize;

use crate::tally::Tally;

/// One invariant, and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its number in the contract.
    pub invariant: u8,
    /// Whether it holds.
    pub holds: bool,
    /// What it says.
    pub rule: &'static str,
    /// What was looked at.
    pub detail: String,
    /// What breaks it; empty if it holds.
    pub breaches: Vec<Breach>,
    /// What to do about a breach.
    pub remedy: &'static str,
}

/// One way in which an invariant is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// What is so often.
    pub what: &'static str,
    /// How often.
    pub count: u64,
    /// The first few, by what finds them.
    pub examples: Vec<String>,
}

/// An invariant as the contract has it, and what to do when it is broken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Invariant {
    pub(super) number: u8,
    pub(super) rule: &'static str,
    pub(super) remedy: &'static str,
}

impl Invariant {
    /// What was looked at, and what of it there must not be.
    pub(super) fn found(self, detail: String, wrong: impl IntoIterator<Item = (&'static str, Tally)>) -> Finding {
        let wrong = wrong.into_iter().filter(|(_, tally)| !tally.is_empty());
        let breaches: Vec<_> =
            wrong.map(|(what, Tally { count, examples })| Breach { what, count, examples }).collect();
        let Self { number: invariant, rule, remedy } = self;
        Finding { invariant, holds: breaches.is_empty(), rule, detail, breaches, remedy }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds { "holds " } else { "BROKEN" };
        write!(f, "{word} {}  {} ({})", self.invariant, self.rule, self.detail)?;
        for Breach { what, count, examples } in &self.breaches {
            let more = if *count > examples.len() as u64 { ", …" } else { "" };
            write!(f, " {count} {what}: {}{more}.", examples.join(", "))?;
        }
        if self.holds { Ok(()) } else { write!(f, " What to do: {}", self.remedy) }
    }
}
