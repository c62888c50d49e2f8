//! Admission control: how many statements may be under way, those that wait for a connection included. One more would only
//! wait for its time-out and make the others wait longer, so it is refused at once.

use tokio::sync::{Semaphore, SemaphorePermit};

tokio::task_local! {
    static PASSES: ();
}

/// Counts the statements under way.
#[derive(Debug)]
pub(super) struct Gate {
    free: Semaphore,
    places: u32,
}

/// Held while a statement is under way.
#[derive(Debug)]
pub(super) struct Place<'a>(#[expect(dead_code, reason = "given back when dropped")] Option<SemaphorePermit<'a>>);

impl Gate {
    pub(super) fn new(places: u32) -> Self {
        Self { free: Semaphore::new(usize::try_from(places).unwrap_or(Semaphore::MAX_PERMITS)), places }
    }

    /// How many statements are under way, without the jobs'.
    pub(super) fn under_way(&self) -> u32 {
        self.places.saturating_sub(u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX))
    }

    /// A place, or none if there are too many already.
    pub(super) fn enter(&self) -> Option<Place<'_>> {
        if PASSES.try_with(|()| ()).is_ok() {
            return Some(Place(None));
        }
        let permit = self.free.try_acquire().ok();
        if permit.is_none() {
            metrics::counter!("postgres_refused_total").increment(1);
        }
        permit.map(|permit| Place(Some(permit)))
    }
}

/// The statements of this work are never refused: it is done once, whatever the number of requests, and ends what they
/// leave unfinished.
pub async fn unrefused<T>(work: impl Future<Output = T>) -> T {
    PASSES.scope((), work).await
}
