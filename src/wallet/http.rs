//! The wallets' calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use super::{ChargeError, Wallets};
use crate::http::{ApiError, ErrorCode, Json, RateLimits, Success, User};
use crate::ids::UserId;
use crate::money::{RawAmount, Won};

/// `/api/v1/user-wallets/…`.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<RateLimits>: FromRef<S>,
    Arc<Wallets>: FromRef<S>,
{
    Router::new().route("/api/v1/user-wallets/balance", get(balance).patch(charge))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BalanceView {
    user_id: UserId,
    balance: Won,
}

async fn balance(State(wallets): State<Arc<Wallets>>, User(user): User) -> Result<Success<BalanceView>, ApiError> {
    let balance = wallets.balance(user).await?;
    Ok(Success(BalanceView { user_id: user, balance }))
}

#[derive(Debug, Deserialize)]
struct ChargeRequest {
    amount: RawAmount,
}

async fn charge(
    State(wallets): State<Arc<Wallets>>,
    User(user): User,
    Json(request): Json<ChargeRequest>,
) -> Result<Success<()>, ApiError> {
    let amount = request
        .amount
        .to_charge()
        .map_err(|_| ApiError::new(ErrorCode::InvalidAmount, "amount is a whole number from 1 to 100,000,000 won."))?;
    wallets.charge(user, amount).await?;
    metrics::counter!("wallet_charges_total").increment(1);
    Ok(Success(()))
}

impl From<ChargeError> for ApiError {
    fn from(error: ChargeError) -> Self {
        match error {
            ChargeError::BalanceLimit => {
                Self::new(ErrorCode::InvalidAmount, "The balance would pass its limit of 1,000,000,000,000 won.")
            }
            ChargeError::Store(error) => error.into(),
        }
    }
}
