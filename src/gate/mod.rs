//! The gate: lets visitors of any site through whose turn it is, and sends the others to the waiting page. A site's own
//! proxy asks it before each request; neither the site nor its pages know of it.
//!
//! Who has come through gets a pass, which is checked here without asking Redis. So a pass outlives a token that ends
//! early (by paying or leaving) by at most its own life; it never outlives the token's time.

mod http;
mod pass;
mod visitor;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

pub use http::{calls, router};
pub use pass::{Issued, KeyError, Pass};
pub use waiting::WaitingPage;

use crate::http::{ApiError, ErrorCode};
use crate::queue::{Presented, Queue, Queues, Standing};
use crate::veiled::Veiled;
use pass::{KeySet, Passes};
use visitor::Visitor;

/// How the gate lets through.
#[derive(Debug)]
pub struct GateSettings<'a> {
    /// Passes are made with it.
    pub token_key: &'a [u8],
    /// Passes made with them are accepted too.
    pub old_token_keys: Vec<&'a [u8]>,
    /// For whom passes are.
    pub audience: &'a str,
    /// How long a pass is good at the most.
    pub pass_ttl: Duration,
    /// Where those go who may not pass yet.
    pub waiting_page: WaitingPage,
}

/// The gate.
#[derive(Debug)]
pub struct Gate {
    passes: Passes,
    key_set: KeySet,
    waiting_page: WaitingPage,
}

/// Who goes through.
#[derive(Debug)]
struct Admitted {
    user: crate::ids::UserId,
    queue: String,
    pass: Shown,
}

/// The pass that goes with it.
#[derive(Debug)]
enum Shown {
    /// As the visitor brought it.
    Kept(Veiled),
    /// Made now.
    New(Issued),
}

impl Gate {
    /// With keys that are made of the server's secrets.
    pub fn new(settings: &GateSettings<'_>) -> Result<Self, KeyError> {
        let GateSettings { token_key, old_token_keys, audience, pass_ttl, waiting_page } = settings;
        let (passes, key_set) = Passes::new(token_key, old_token_keys, audience, *pass_ttl)?;
        Ok(Self { passes, key_set, waiting_page: waiting_page.clone() })
    }

    /// A pass for a token; fails with the reason unless the token is active.
    async fn issue(&self, queues: &Queues, presented: &Presented) -> Result<Issued, ApiError> {
        let standing = queues.check_lately(&presented.queue, &presented.claim).await?;
        standing.require_active()?;
        let Standing::Active { left } = standing else { return Err(ApiError::internal("active, and not")) };
        self.passes.issue(presented.claim.user, &presented.queue.name, left)
    }

    /// Whether this visitor may go on, to what only this queue's visitors may see, if one is named.
    async fn admit(
        &self,
        queues: &Queues,
        visitor: &Visitor,
        required: Option<&Arc<Queue>>,
    ) -> Result<Admitted, ApiError> {
        let Some((pass, text)) = self.good_pass(visitor, required) else {
            if !visitor.has_token() && self.good_pass(visitor, None).is_some() {
                return Err(ApiError::new(ErrorCode::WrongQueue, "The pass is for another queue than this site's."));
            }
            return self.admit_by_token(queues, visitor, required).await;
        };
        let kept = || Admitted { user: pass.user, queue: pass.queue.clone(), pass: Shown::Kept(text.into()) };
        if !self.passes.is_old(&pass) || !visitor.has_token() {
            return Ok(kept());
        }
        match self.admit_by_token(queues, visitor, required).await {
            // Redis need not be there while the pass is good.
            Err(error) if error.code().status().is_server_error() => Ok(kept()),
            renewed => renewed,
        }
    }

    async fn admit_by_token(
        &self,
        queues: &Queues,
        visitor: &Visitor,
        required: Option<&Arc<Queue>>,
    ) -> Result<Admitted, ApiError> {
        let presented = visitor.presented(queues)?;
        if let Some(required) = required {
            presented.require_queue(required.id)?;
        }
        let issued = self.issue(queues, &presented).await?;
        Ok(Admitted { user: presented.claim.user, queue: presented.queue.name.clone(), pass: Shown::New(issued) })
    }

    /// The first good pass among those that the visitor brought.
    fn good_pass<'a>(&self, visitor: &'a Visitor, required: Option<&Arc<Queue>>) -> Option<(Pass, &'a str)> {
        let fits = |pass: &Pass| required.is_none_or(|required| required.name == pass.queue);
        let read = |text: &'a Veiled| Some((self.passes.verify(text).filter(fits)?, &**text));
        visitor.passes.iter().find_map(read)
    }
}
