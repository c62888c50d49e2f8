//! The wallets' calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChargeError, Entry, Wallets};
use crate::http::{ApiError, Described, ErrorCode, Json, Page, PageQuery, RateLimits, Success, Time, rfc3339};
use crate::idempotency::{self, Answer, Call, Claim, Idempotency, IdempotencyKey};
use crate::identity::{Identity, User};
use crate::ids::{PaymentId, TransactionId, UserId};
use crate::money::{RawAmount, Won};

/// `/api/v1/user-wallets/…`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    &'static Idempotency: FromRef<S>,
    &'static Identity: FromRef<S>,
    &'static RateLimits: FromRef<S>,
    &'static Wallets: FromRef<S>,
{
    Router::new()
        .route("/api/v1/user-wallets/balance", get(balance).patch(charge))
        .route("/api/v1/user-wallets/transactions", get(transactions))
}

/// What is said of them.
#[must_use]
pub fn calls() -> Vec<Described> {
    let balance = "/api/v1/user-wallets/balance";
    vec![
        Described::get(balance, "balance", "The balance; 0 of who has never charged.").user().gives::<BalanceView>(),
        Described::patch(balance, "charge", "Add to the balance.")
            .saying("A balance never passes 1,000,000,000,000 won. Without an `Idempotency-Key` a 503 leaves it open whether it \
                     was charged.")
            .user()
            .keyed()
            .json::<ChargeRequest>()
            .fails(&[ErrorCode::InvalidAmount]),
        Described::get("/api/v1/user-wallets/transactions", "transactions", "The ledger, newest first.")
            .user()
            .query::<PageQuery>()
            .gives::<LedgerView>(),
    ]
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct BalanceView {
    user_id: UserId,
    /// In whole won.
    balance: Won,
}

async fn balance(State(wallets): State<&'static Wallets>, User(user): User) -> Result<Success<BalanceView>, ApiError> {
    let balance = wallets.balance(user).await?;
    Ok(Success(BalanceView { user_id: user, balance }))
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LedgerView {
    /// Newest first.
    transactions: Vec<EntryView>,
    /// What to ask for as `cursor` to go on; `null` at the end.
    #[schemars(example = &"AQAAAAAAAAAq")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct EntryView {
    transaction_id: TransactionId,
    /// What it was for.
    #[schemars(extend("enum" = ["CHARGE", "PAYMENT", "REFUND"]), example = &"CHARGE")]
    r#type: String,
    /// In whole won; negative of a payment.
    amount: Won,
    /// The balance after it, in whole won.
    balance_after: Won,
    /// The payment it belongs to; `null` for a charge.
    payment_history_id: Option<PaymentId>,
    #[schemars(with = "Time")]
    created_at: String,
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            transaction_id: entry.id,
            r#type: entry.kind,
            amount: entry.amount,
            balance_after: entry.balance_after,
            payment_history_id: entry.payment,
            created_at: rfc3339(entry.at),
        }
    }
}

async fn transactions(
    State(wallets): State<&'static Wallets>,
    User(user): User,
    page: Page,
) -> Result<Success<LedgerView>, ApiError> {
    let (entries, next_cursor) = wallets.ledger(user, page).await?;
    Ok(Success(LedgerView { transactions: entries.into_iter().map(EntryView::from).collect(), next_cursor }))
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
struct ChargeRequest {
    amount: RawAmount,
}

async fn charge(
    State(wallets): State<&'static Wallets>,
    State(idempotency): State<&'static Idempotency>,
    User(user): User,
    key: IdempotencyKey,
    Json(request): Json<ChargeRequest>,
) -> Result<Response, ApiError> {
    let Some(keyed) = key.on(user, Call::Charge, &request)? else {
        let added = add(wallets, user, request.amount, None).await;
        return Ok(Success(added.map_err(in_doubt)?).into_response());
    };
    let run = async move |claim: Arc<Claim>| {
        let added = add(wallets, user, request.amount, Some(&claim)).await;
        claim.settle(added).await
    };
    Ok(idempotency.answer(keyed, run).await?.into_response())
}

async fn add(wallets: &Wallets, user: UserId, amount: RawAmount, claim: Option<&Claim>) -> Result<(), ApiError> {
    let amount = amount
        .to_charge()
        .map_err(|_| ApiError::new(ErrorCode::InvalidAmount, "amount is a whole number from 1 to 100,000,000 won."))?;
    wallets.charge(user, amount, claim).await?;
    metrics::counter!("wallet_charges_total").increment(1);
    Ok(())
}

/// Without a key nobody can tell afterwards whether it was this charge that was made.
fn in_doubt(error: ApiError) -> ApiError {
    if error.code() != ErrorCode::Unavailable {
        return error;
    }
    error.saying(
        "Whether it was charged is not known: look at the balance before you try again. With an Idempotency-Key trying \
         again is safe.",
    )
}

/// What a charge answers, given the new balance; none if it would have passed its limit.
pub(super) fn answer(charged: Option<Won>) -> Option<Answer> {
    let outcome = charged.map(|_| ()).ok_or(ChargeError::BalanceLimit);
    Answer::to_be_kept(&outcome.map_err(ApiError::from))
}

impl From<ChargeError> for ApiError {
    fn from(error: ChargeError) -> Self {
        match error {
            ChargeError::BalanceLimit => {
                Self::new(ErrorCode::InvalidAmount, "The balance would pass its limit of 1,000,000,000,000 won.")
            }
            ChargeError::KeyInUse => idempotency::in_use(),
            ChargeError::Store(error) => error.into(),
        }
    }
}
