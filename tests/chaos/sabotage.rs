//! Breaking the shop on purpose, from outside: a checker that finds nothing then is worth nothing.

use clap::ValueEnum;
use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::Outcome;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// PostgreSQL does not mind a seat being sold twice
    UniqueIndex,
    /// One in thirty entries of the wallets' ledger is not written
    Ledger,
    /// One in thirty charges is credited twice
    DoubleCharge,
    /// One in a hundred payments vanishes a moment after it was acknowledged
    LostPayment,
}

impl Sabotage {
    /// Breaks it.
    pub async fn begin(self, postgres: &PgPool) -> Outcome {
        let broken = match self {
            Self::UniqueIndex => "DROP INDEX reservation_seat_live".to_owned(),
            Self::Ledger => on_ledger("BEFORE", "IF random() < 1 / 30.0 THEN RETURN NULL; END IF;"),
            Self::DoubleCharge => on_ledger(
                "AFTER",
                "IF NEW.kind = 'CHARGE' AND pg_trigger_depth() = 1 AND random() < 1 / 30.0 THEN
                     UPDATE user_wallet SET balance = balance + NEW.amount WHERE user_id = NEW.user_id;
                     INSERT INTO wallet_ledger (user_id, kind, amount, balance_after)
                     VALUES (NEW.user_id, 'CHARGE', NEW.amount, NEW.balance_after + NEW.amount);
                 END IF;",
            ),
            Self::LostPayment => on_ledger(
                "AFTER",
                "IF NEW.kind = 'PAYMENT' AND random() < 1 / 100.0 THEN
                     DELETE FROM reservation USING payment_history payment
                     WHERE payment.id = NEW.payment_history_id AND reservation.id = payment.reservation_id;
                 END IF;",
            ),
        };
        let unbound = "ALTER TABLE payment_history DROP CONSTRAINT payment_history_reservation_exists";
        if self == Self::LostPayment {
            postgres.execute(unbound).await?;
        }
        // All fixed texts of this file.
        postgres.execute(AssertSqlSafe(broken)).await?;
        Ok(())
    }
}

fn on_ledger(when: &str, deed: &str) -> String {
    format!(
        "CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {deed} RETURN NEW; END $$;
         CREATE TRIGGER sabotage {when} INSERT ON wallet_ledger FOR EACH ROW EXECUTE FUNCTION sabotage()"
    )
}
