//! What the queues say, all together.

use super::finding::{Finding, Invariant};
use crate::queue::Queues;
use crate::store_error::StoreError;
use crate::tally::Tally;

const CAP_AND_ORDER: Invariant = Invariant {
    number: 5,
    rule: "Active tokens never exceed the cap; nobody is admitted before someone who came earlier and is still there.",
    remedy: "If the cap was lowered lately, or ONSALE_MAX_ACTIVE is not the instances' own here, nothing: the queue falls \
             to it as tokens end. Else find out what writes to the queue's keys past the service, and what version each \
             instance runs; those overtaken are let in next.",
};

const ONE_TOKEN: Invariant = Invariant {
    number: 6,
    rule: "A user has at most one live token a queue; a token admits at most once.",
    remedy: "Find out what writes to the queue's keys past the service. Removing the user named from the queue's keys \
             waiting, active and tokens ends its tokens; it asks for a new one.",
};

/// What the queues say.
#[derive(Debug, Default)]
pub(super) struct QueueAudits {
    queues: u32,
    active: u32,
    /// By queue.
    over_cap: Tally,
    /// By queue and place.
    overtaken: Tally,
    /// By queue and user.
    torn: Tally,
}

pub(super) async fn read(queues: &Queues) -> Result<QueueAudits, StoreError> {
    let mut audits = QueueAudits::default();
    for queue in queues.all() {
        let audit = queues.audit(&queue).await?;
        audits.queues += 1;
        audits.active += audit.active;
        let cap = queue.settings.max_active;
        if audit.active > cap {
            audits.over_cap.add(format_args!("queue {}: {} active, cap {cap}", queue.name, audit.active));
        }
        audits.overtaken.absorb(&format!("queue {} place", queue.name), &audit.overtaken);
        audits.torn.absorb(&format!("queue {} user", queue.name), &audit.torn);
    }
    Ok(audits)
}

impl QueueAudits {
    pub(super) fn cap_and_order(&self) -> Finding {
        let detail = format!("{} active in {} queues", self.active, self.queues);
        let wrong = [("over their cap", &self.over_cap), ("overtaken", &self.overtaken)];
        CAP_AND_ORDER.found(detail, wrong.map(|(what, tally)| (what, tally.clone())))
    }

    pub(super) fn one_token_a_user(&self) -> Finding {
        let detail = format!("{} active in {} queues", self.active, self.queues);
        ONE_TOKEN.found(detail, [("with two tokens, or in what their token is not", self.torn.clone())])
    }
}
