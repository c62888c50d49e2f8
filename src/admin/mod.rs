//! For operators: making concerts, setting queues, looking at how it goes, and the log of all that was done. Owns the table
//! `admin_audit`, and no other: what is changed belongs to its own room, whose `control.rs` changes it.
//!
//! Without an operator's token nothing here is reached: the check stands before all calls at once. An act and its row in
//! the log are one transaction, so there is never one without the other.

mod http;
mod operator;
mod store;

use std::sync::Arc;

use sqlx::PgConnection;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use http::{calls, router};
pub(crate) use operator::operator_keys;
pub use operator::{OperatorKeys, Operators};

use crate::concert::Concerts;
use crate::http::{ApiError, ErrorCode};
use crate::payment::Totals;
use crate::postgres::{Postgres, Transaction};
use crate::queue::Queues;
use crate::store_error::StoreError;
use operator::Operator;

/// What operators' calls stand on.
#[derive(Debug)]
pub struct Admin {
    postgres: Postgres,
    concerts: Arc<Concerts>,
    queues: Arc<Queues>,
    /// None if there are no operators: then there are no operators' calls.
    operators: Option<Arc<Operators>>,
    /// What the payments came to, and when that was asked.
    totals: Mutex<Option<(Instant, Totals)>>,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    CreateConcert,
    AddSchedule,
    CreateQueue,
    SetQueue,
    PauseQueue,
    ResumeQueue,
    DrainQueue,
}

impl Action {
    /// As the log has it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::CreateConcert => "CREATE_CONCERT",
            Self::AddSchedule => "ADD_SCHEDULE",
            Self::CreateQueue => "CREATE_QUEUE",
            Self::SetQueue => "SET_QUEUE",
            Self::PauseQueue => "PAUSE_QUEUE",
            Self::ResumeQueue => "RESUME_QUEUE",
            Self::DrainQueue => "DRAIN_QUEUE",
        }
    }
}

/// Who does what, under which request's id.
#[derive(Debug)]
struct Act {
    operator: Operator,
    action: Action,
    request_id: String,
}

/// An act under way: a transaction in which the change is made, and which ends with the row in the log or with nothing.
#[derive(Debug)]
struct UnderWay<'a> {
    admin: &'a Admin,
    transaction: Transaction,
    act: Act,
}

impl Admin {
    /// Without `operators` there are no operators' calls.
    #[must_use]
    pub fn new(postgres: Postgres, concerts: Arc<Concerts>, queues: Arc<Queues>, operators: Option<Operators>) -> Self {
        Self { postgres, concerts, queues, operators: operators.map(Arc::new), totals: Mutex::new(None) }
    }

    /// Who may operate; none if nobody may.
    #[must_use]
    pub fn operators(&self) -> Option<Arc<Operators>> {
        self.operators.clone()
    }

    async fn begin(&self, act: Act) -> Result<UnderWay<'_>, StoreError> {
        let transaction = self.postgres.timed("admin.begin", Transaction::begin(&self.postgres)).await?;
        Ok(UnderWay { admin: self, transaction, act })
    }
}

impl UnderWay<'_> {
    /// What the change is to be made on.
    fn connection(&mut self) -> (&Postgres, &mut PgConnection) {
        (&self.admin.postgres, self.transaction.connection())
    }

    /// Writes the row and ends the transaction. `request` and `outcome` are JSON.
    async fn commit(mut self, target: &str, request: &str, outcome: &str) -> Result<(), ApiError> {
        let Admin { postgres, concerts, queues, .. } = self.admin;
        store::write(postgres, self.transaction.connection(), &self.act, target, request, outcome).await?;
        let committed = postgres.timed("admin.commit", self.transaction.commit()).await;
        committed.map_err(|error| in_doubt(StoreError::from(error).into()))?;
        tracing::info!(
            operator.name = &*self.act.operator.0,
            action = self.act.action.as_str(),
            target,
            "an operator's act"
        );
        // Here it is in force at once, on other instances when they ask; should this fail, this one asks again as well.
        let _ = concerts.refresh(queues).await;
        Ok(())
    }

    /// Ends the transaction with nothing done and nothing logged: the log is of what was done.
    async fn give_up(self, why: impl Into<ApiError>) -> ApiError {
        // Should this fail too, the connection is closed, and Postgres rolls back by itself.
        let _ = self.admin.postgres.timed("admin.roll_back", self.transaction.roll_back()).await;
        why.into()
    }
}

fn in_doubt(error: ApiError) -> ApiError {
    if error.code() != ErrorCode::Unavailable {
        return error;
    }
    error.saying(
        "Whether it was done is not known: look before you try again. The log /admin/v1/audit has it if it was.",
    )
}
