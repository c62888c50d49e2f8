//! How a call says who asks, and what it is answered if it does not.

use http::HeaderMap;
use http::header::HeaderName;

use super::{Identity, Kind, Unidentified};
use crate::http::{ApiError, ErrorCode, bearer, single_header};
use crate::ids::UserId;

static USER_ID: HeaderName = HeaderName::from_static("userid");

impl Identity {
    /// The user that these headers speak for.
    pub fn user(&self, headers: &HeaderMap) -> Result<UserId, Unidentified> {
        let named = || single_header(headers, &USER_ID).and_then(|value| value.parse().ok());
        match &self.0 {
            Kind::Gateway => named().ok_or(Unidentified::Nameless),
            Kind::Bearers(bearers) => {
                let shown = bearer(headers).ok_or(Unidentified::NoBearer)?;
                let user = bearers.subject(shown)?;
                // Whoever sends it means another one, or was not told that it no longer counts.
                if headers.contains_key(&USER_ID) && named() != Some(user) {
                    return Err(Unidentified::AnothersName);
                }
                Ok(user)
            }
        }
    }
}

impl From<Unidentified> for ApiError {
    fn from(unidentified: Unidentified) -> Self {
        let message = match unidentified {
            Unidentified::Nameless => "Send the header userId: a positive whole number.",
            Unidentified::NoBearer => "Send the header Authorization: Bearer, with the token of your sign-in.",
            Unidentified::Expired => "The bearer token has expired: sign in again.",
            Unidentified::NotAccepted => "The bearer token is not accepted: sign in again.",
            Unidentified::AnothersName => "The header userId is not the bearer token's subject; it can be left out.",
        };
        Self::new(ErrorCode::UserRequired, message)
    }
}
