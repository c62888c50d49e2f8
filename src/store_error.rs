//! How a store, Redis or Postgres, can fail us. What it *decides* (a seat is taken, a wallet is short) is never an
//! error of this kind.

use std::error::Error;
use std::sync::Arc;

/// A store failed. In either case nothing is known of what it did: callers must be safe to repeat.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not answer in time, or cannot be reached. Safe to retry.
    #[error("{store} is not available")]
    Unavailable {
        /// `redis`, `postgres`, or the task that asked them.
        store: &'static str,
        /// What happened.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It answered with something that this program does not understand, or refused what it must not refuse.
    #[error("{store} answered unexpectedly")]
    Unexpected {
        /// `redis`, `postgres`, or the task that asked them.
        store: &'static str,
        /// What happened.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// The same failure for each of those whom it concerns.
    pub fn repeat(self) -> impl Iterator<Item = Self> {
        let (is_passing, store, source) = match self {
            Self::Unavailable { store, source } => (true, store, source),
            Self::Unexpected { store, source } => (false, store, source),
        };
        let source: Arc<dyn Error + Send + Sync> = source.into();
        std::iter::repeat_with(move || {
            let source = Box::new(Arc::clone(&source));
            if is_passing { Self::Unavailable { store, source } } else { Self::Unexpected { store, source } }
        })
    }
}
