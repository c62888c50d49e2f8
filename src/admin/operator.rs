//! Who may operate: named keys, and the check that stands before every operators' call.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;

use crate::http::{ApiError, ErrorCode};
use crate::secret::{Secret, bearer};

/// What the key of `ONSALE_ADMIN_TOKEN` is called.
const UNNAMED: &str = "admin";

/// The longest name of an operator.
const LONGEST_NAME: usize = 64;

/// Wrong keys a second that are answered 401; more are answered 429. It keeps the log readable and says that something is
/// wrong: a secret of 256 bits is not guessed at any rate.
const WRONG_KEYS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// Names and secrets, as in `ONSALE_ADMIN_TOKENS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorKeys(Vec<(String, Secret)>);

/// Reads `name=secret`, several with commas. A name may have several secrets, so that one can take another's place; a
/// secret has one name. What was given is never repeated.
pub(crate) fn operator_keys(text: &str) -> Result<OperatorKeys, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte);
    let mut keys = Vec::new();
    let mut secrets = BTreeSet::new();
    for entry in text.split(',').map(str::trim) {
        let (name, secret) = entry.split_once('=').ok_or("takes name=secret, several with commas")?;
        if !(1..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(plain) {
            return Err("takes names of 1 to 64 letters, digits and _ - . @".to_owned());
        }
        if !secrets.insert(secret) {
            return Err(format!("takes a secret of its own for each name, and {name}'s is another's too"));
        }
        keys.push((name.to_owned(), bearer(secret)?));
    }
    Ok(OperatorKeys(keys))
}

/// An operator, as the audit log will name it.
#[derive(Debug, Clone)]
pub(super) struct Operator(pub(super) Arc<str>);

/// The keys that are taken.
pub struct Operators {
    /// Of this process only: what is kept and compared are hashes under it, and hashes compare in constant time.
    hash_key: [u8; blake3::KEY_LEN],
    keys: Vec<(Arc<str>, blake3::Hash)>,
    wrong: DefaultDirectRateLimiter,
}

impl Operators {
    /// The unnamed key and the named ones; none if there are no keys at all.
    #[must_use]
    pub fn new(unnamed: Option<&Secret>, named: Option<&OperatorKeys>) -> Option<Self> {
        let hash_key = rand::random();
        let unnamed = unnamed.map(|secret| (UNNAMED, secret));
        let named = named.iter().flat_map(|keys| &keys.0).map(|(name, secret)| (name.as_str(), secret));
        let keys: Vec<_> = unnamed
            .into_iter()
            .chain(named)
            .map(|(name, secret)| (Arc::from(name), blake3::keyed_hash(&hash_key, secret.expose())))
            .collect();
        let wrong = RateLimiter::direct(Quota::per_second(WRONG_KEYS_PER_SECOND));
        (!keys.is_empty()).then_some(Self { hash_key, keys, wrong })
    }

    /// Whose key it is. Looks at all of them, whichever it is.
    fn named(&self, shown: &str) -> Option<Operator> {
        let shown = blake3::keyed_hash(&self.hash_key, shown.as_bytes());
        let find = |found: Option<Operator>, (name, hash): &(Arc<str>, blake3::Hash)| {
            if *hash == shown { found.or_else(|| Some(Operator(name.clone()))) } else { found }
        };
        self.keys.iter().fold(None, find)
    }

    fn check(&self, headers: &HeaderMap) -> Result<Operator, ApiError> {
        let message = "Send the header Authorization: Bearer, with an operator's token.";
        let missing = || ApiError::new(ErrorCode::InvalidToken, message);
        let shown = crate::http::bearer(headers).ok_or_else(missing)?;
        if let Some(operator) = self.named(shown) {
            return Ok(operator);
        }
        if self.wrong.check().is_err() {
            return Err(ApiError::new(
                ErrorCode::RateLimited,
                "Too many wrong tokens; wait as long as Retry-After says.",
            ));
        }
        tracing::warn!("an operators' call with a wrong token");
        Err(ApiError::new(ErrorCode::InvalidToken, "No operator has this token."))
    }
}

impl std::fmt::Debug for Operators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(name, _)| name)).finish()
    }
}

/// Stands before every operators' call, of whatever method, so that none can be forgotten.
pub(super) async fn authenticate(
    State(operators): State<Arc<Operators>>,
    mut request: Request,
    next: Next,
) -> Response {
    match operators.check(request.headers()) {
        Ok(operator) => {
            request.extensions_mut().insert(operator);
            next.run(request).await
        }
        Err(error) => {
            let unauthorized = error.code() == ErrorCode::InvalidToken;
            let mut response = error.into_response();
            if unauthorized {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get().cloned().ok_or_else(|| ApiError::internal("an operators' call without its check"))
    }
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;

    use super::*;

    const ANN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const BOB: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn keys_have_names_and_are_shown_as_they_were_given() {
        let keys = operator_keys(&format!("ann={ANN}, bob={BOB}")).unwrap();
        let operators = Operators::new(None, Some(&keys)).unwrap();
        let name = |values: &[&str]| operators.check(&headers(values)).ok().map(|operator| operator.0.to_string());
        assert_eq!(name(&[&format!("Bearer {ANN}")]).as_deref(), Some("ann"));
        assert_eq!(name(&[&format!("bearer  {BOB}")]).as_deref(), Some("bob"));
        let upper = format!("Bearer {}", ANN.to_uppercase());
        for wrong in [&upper, "Bearer", "Bearer ", "Basic x", ANN, &format!("Bearer {ANN}0"), &format!("Bearer{ANN}")] {
            assert_eq!(name(&[wrong]), None, "{wrong}");
        }
        assert_eq!(name(&[&format!("Bearer {ANN}"), &format!("Bearer {ANN}")]), None, "twice");
    }

    #[test]
    fn without_keys_there_are_no_operators() {
        assert!(Operators::new(None, None).is_none());
        let unnamed = bearer(ANN).unwrap();
        let operators = Operators::new(Some(&unnamed), None).unwrap();
        let shown = headers(&[&format!("Bearer {ANN}")]);
        assert_eq!(operators.check(&shown).ok().map(|operator| operator.0.to_string()).as_deref(), Some(UNNAMED));
        assert!(!format!("{operators:?}").contains("0011"));
    }

    #[test]
    fn bad_keys_are_refused_and_never_repeated() {
        for bad in ["", "ann", ANN, &format!("={ANN}"), &format!("a b={ANN}"), "ann=0011", &format!("ann={ANN},")] {
            let complaint = operator_keys(bad).unwrap_err();
            assert!(complaint.starts_with("takes ") && !complaint.contains("0011"), "{complaint}");
        }
        assert!(operator_keys(&format!("ann={ANN},bob={ANN}")).is_err(), "whose is it?");
        assert!(operator_keys(&format!("ann={ANN},ann={BOB}")).is_ok(), "one may take the other's place");
    }

    #[test]
    fn wrong_keys_run_out_and_right_ones_do_not() {
        let unnamed = bearer(ANN).unwrap();
        let operators = Operators::new(Some(&unnamed), None).unwrap();
        let codes: Vec<_> =
            (0..40).filter_map(|_| operators.check(&headers(&["Bearer no"])).err()).map(|error| error.code()).collect();
        assert!(codes.starts_with(&[ErrorCode::InvalidToken; 10]));
        assert_eq!(codes.last(), Some(&ErrorCode::RateLimited));
        assert!(operators.check(&headers(&[&format!("Bearer {ANN}")])).is_ok(), "nobody is locked out by another");
    }
}
