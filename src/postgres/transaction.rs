//! Transactions of several statements. Most of what this service does is one statement, and needs none.

use sqlx::{Executor, PgConnection};

use super::Postgres;
use super::connections::Loan;

/// A transaction, which takes its connection with it unless it is ended: what was begun on it can only be rolled back then.
///
/// sqlx 0.9.0's own would give a connection back whose BEGIN was cancelled, and what came next on it would never be
/// committed.
#[derive(Debug)]
pub struct Transaction(Loan);

impl Transaction {
    /// Begins one.
    pub async fn begin(postgres: &Postgres) -> Result<Self, sqlx::Error> {
        let mut transaction = Self(postgres.pool().lend().await?);
        transaction.connection().execute("BEGIN").await?;
        Ok(transaction)
    }

    /// What its statements run on.
    pub fn connection(&mut self) -> &mut PgConnection {
        self.0.connection()
    }

    /// Ends it with all that was done. After an error, or if it is given up half-way, that is not known.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("COMMIT").await
    }

    /// Ends it with nothing done.
    pub async fn roll_back(self) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        self.connection().execute(statement).await?;
        self.0.give_back();
        Ok(())
    }
}
