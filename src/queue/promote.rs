//! The scheduler's steps. Any number of instances may take them at once: each step is one script.

use std::time::Instant;

use super::{Figures, Queue, Queues, records, store};
use crate::store_error::StoreError;

/// The most steps a queue is given in one run of the job, when each finds more to do.
const STEPS_A_RUN: u32 = 16;

impl Queues {
    /// One run of the job: a step for each queue, and more where there is more to do.
    pub async fn promote(&self) -> Result<(), StoreError> {
        for queue in self.all() {
            self.open_doors(&queue).await?;
            for _ in 0..STEPS_A_RUN {
                if !self.promote_step(&queue).await? {
                    break;
                }
            }
            self.look_at_stock(&queue).await?;
        }
        Ok(())
    }

    /// One bounded step for one queue; whether there is more to do at once.
    pub async fn promote_step(&self, queue: &Queue) -> Result<bool, StoreError> {
        let glimpse = self.glimpse(queue.id);
        let (terms, asked, with_crowd) = (self.terms(queue).await?, Instant::now(), glimpse.is_wanted());
        let Some(step) = store::promote(&self.redis, terms, with_crowd).await? else {
            self.progress.remove(&queue.id);
            // Those whose places are lost must claim them, so nobody may be told of them any more.
            glimpse.clear();
            self.figures.remove(&queue.id);
            return Ok(false);
        };
        step.admissions.record(queue);
        glimpse.learn(asked, &step.crowd, with_crowd);
        self.progress.insert(queue.id, step.progress);
        self.figures.insert(queue.id, Figures::new(step.progress.waiting, step.active, step.crowd.let_in));
        if step.progress.waiting > 0 {
            glimpse.waited.note();
        }
        Ok(step.more)
    }

    /// Writes down how far each queue has come, as this instance saw it last.
    pub async fn remember(&self) -> Result<(), StoreError> {
        for queue in self.all() {
            let progress = self.progress.get(&queue.id).map(|progress| *progress);
            if let Some(progress) = progress {
                records::remember(&self.postgres, queue.id, progress).await?;
            }
        }
        Ok(())
    }
}
