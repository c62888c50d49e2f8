//! What is told of a token: the rank's answer, and the events' data.

use chrono::{DateTime, SecondsFormat};
use schemars::JsonSchema;
use serde::Serialize;

use super::estimate::{self, Outlook, WaitSeconds};
use super::pass::invalid_token;
use super::{Claim, Presented, Queue, Queues, Rank};
use crate::http::{ApiError, Time};
use crate::redis::millis;

/// How far a token is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RankView {
    /// `SOLD_OUT` of one who waits while nothing is left; a refund can bring it back to `WAITING`.
    #[schemars(extend("enum" = ["WAITING", "SOLD_OUT", "ACTIVE", "EXPIRED", "COMPLETED"]), example = &"WAITING")]
    pub(crate) status: &'static str,
    /// The place among those who wait, from 0; `null` unless waiting.
    #[schemars(example = 1234)]
    rank: Option<u64>,
    /// How many are ahead.
    #[schemars(example = 1234)]
    pub(crate) ahead: u64,
    /// Until its turn: `null` once the token has ended, and where nothing can be said.
    pub(crate) estimated_wait_seconds: Option<WaitSeconds>,
    /// When to ask again, in milliseconds.
    #[schemars(example = 2500)]
    pub(crate) poll_after_millis: u64,
    /// When the token ends: an active one at the latest, a waiting one unless it is seen again; `null` once ended.
    #[schemars(with = "Option<Time>")]
    pub(crate) expires_at: Option<String>,
}

/// What there is to say of the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub(super) outlook: Outlook,
    /// Whether there is nothing left to be let in for.
    pub(super) sold_out: bool,
}

impl Queues {
    /// What is told of a token to who asks for it.
    pub(crate) async fn view(&self, presented: &Presented) -> Result<(Rank, RankView), ApiError> {
        let Presented { queue, claim } = presented;
        let rank = self.rank_lately(queue, claim).await?;
        Ok((rank, self.view_of(queue, claim, rank)?))
    }

    /// What is told of a token that is so far.
    pub(super) fn view_of(&self, queue: &Queue, claim: &Claim, rank: Rank) -> Result<RankView, ApiError> {
        let view = RankView::new(rank, queue, &self.about(queue))?;
        self.told(claim, view.estimated_wait_seconds);
        Ok(view)
    }
}

impl RankView {
    pub(super) fn new(rank: Rank, queue: &Queue, about: &About) -> Result<Self, ApiError> {
        let ahead = if let Rank::Waiting { ahead, .. } = rank { ahead } else { 0 };
        let poll_after = estimate::poll_after(ahead, about.outlook.opens_in, &queue.settings, rand::random());
        let ended = |status| Self {
            status,
            rank: None,
            ahead: 0,
            estimated_wait_seconds: None,
            poll_after_millis: millis(poll_after),
            expires_at: None,
        };
        match rank {
            Rank::Waiting { ahead, expires_ms, .. } => {
                let wait = || about.outlook.wait(ahead, &queue.settings);
                Ok(Self {
                    rank: Some(ahead),
                    ahead,
                    estimated_wait_seconds: if about.sold_out { None } else { wait() },
                    expires_at: rfc3339(expires_ms),
                    ..ended(if about.sold_out { "SOLD_OUT" } else { "WAITING" })
                })
            }
            Rank::Active { expires_ms, .. } => Ok(Self {
                estimated_wait_seconds: Some(WaitSeconds { low: 0, high: 0 }),
                expires_at: rfc3339(expires_ms),
                ..ended("ACTIVE")
            }),
            Rank::Expired => Ok(ended("EXPIRED")),
            Rank::Completed => Ok(ended("COMPLETED")),
            Rank::Unknown => Err(invalid_token()),
        }
    }
}

fn rfc3339(ms: i64) -> Option<String> {
    DateTime::from_timestamp_millis(ms).map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}
