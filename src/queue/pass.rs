//! The extractors that a call with a token names: [`Presented`], an authentic token, whatever has become of it, and
//! [`ActivePass`], one that may try now.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{FromRef, FromRequestParts};
use dashmap::DashMap;
use foldhash::quality::RandomState;
use http::header::HeaderName;
use http::request::Parts;

use super::{Claim, Queue, QueueId, Queues, Standing};
use crate::http::{ApiError, Asked, ErrorCode, RateLimits, single_header};
use crate::ids::UserId;

static TOKEN: HeaderName = HeaderName::from_static("token");

/// How long a read may rely on what Redis said of a token.
const RELIANCE: Duration = Duration::from_millis(500);

/// How old that may be before Redis is asked again although it can still be relied on, so that nobody waits for it.
const AGES_AT: Duration = Duration::from_millis(300);

/// An authentic token, and its queue. Redis was not asked.
#[derive(Debug, Clone)]
pub struct Presented {
    /// What it says.
    pub claim: Claim,
    /// Its queue.
    pub queue: Arc<Queue>,
}

/// Likewise, for streams: the token is in the header, or in the query as `?token=`, since browsers' `EventSource` sends no
/// headers.
#[derive(Debug, Clone)]
pub struct Watching(pub Presented);

/// What the token says that a user has already, if it sends one and it is authentic.
#[derive(Debug, Clone)]
pub(super) struct Had(pub(super) Option<Claim>);

/// An authentic token that is active, or was a moment ago.
#[derive(Debug, Clone)]
pub struct ActivePass(pub Presented);

impl Presented {
    /// What this token says, and its queue; fails unless it is authentic.
    pub(crate) fn by(token: Option<&str>, queues: &Queues) -> Result<Self, ApiError> {
        token
            .and_then(|token| queues.signer.verify(token))
            .and_then(|claim| queues.get(claim.queue).map(|queue| Self { claim, queue }))
            .ok_or_else(invalid_token)
    }

    /// Fails unless the token is for this queue.
    pub fn require_queue(&self, queue: QueueId) -> Result<(), ApiError> {
        if self.queue.id == queue {
            return Ok(());
        }
        Err(ApiError::new(ErrorCode::WrongQueue, "The token is for another queue than this concert's."))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Presented
where
    &'static Queues: FromRef<S>,
    &'static RateLimits: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let presented = Self::by(single_header(&parts.headers, &TOKEN), <&'static Queues>::from_ref(state))?;
        <&'static RateLimits>::from_ref(state).admit(presented.claim.user, &parts.method)?;
        Ok(presented)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Watching
where
    &'static Queues: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let in_query = || parts.uri.query()?.split('&').find_map(|field| field.strip_prefix("token="));
        let token = single_header(&parts.headers, &TOKEN).or_else(in_query);
        Presented::by(token, <&'static Queues>::from_ref(state)).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Had
where
    &'static Queues: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let token = single_header(&parts.headers, &TOKEN);
        Ok(Self(token.and_then(|token| <&'static Queues>::from_ref(state).signer.verify(token))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ActivePass
where
    &'static Queues: FromRef<S>,
    &'static RateLimits: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let presented = Presented::from_request_parts(parts, state).await?;
        let queues = <&'static Queues>::from_ref(state);
        queues.check_lately(&presented.queue, &presented.claim).await?.require_active()?;
        Ok(Self(presented))
    }
}

impl Queues {
    /// What a call's token says, if it is authentic.
    pub(super) fn claim_of(&self, asked: &Asked<'_>) -> Option<Claim> {
        single_header(asked.headers, &TOKEN).and_then(|token| self.signer.verify(token))
    }

    /// Likewise, if it is active as Redis said not long ago. Waits for nobody: who is the first to find that this was a while
    /// ago has Redis asked again meanwhile.
    pub(crate) fn active_at_once(&'static self, asked: &Asked<'_>) -> Option<Claim> {
        let claim = self.claim_of(asked)?;
        self.passes.recall(&claim, asked.at)?;
        if self.passes.is_to_be_renewed(&claim, asked.at) {
            tokio::spawn(self.renew(claim));
        }
        Some(claim)
    }

    /// A failure is for who asks when it is too long ago.
    async fn renew(&self, claim: Claim) {
        let Some(queue) = self.get(claim.queue) else { return };
        match self.ask_standing(&queue, &claim).await {
            Ok(standing) => self.passes.learn_again(&claim, &standing),
            Err(error) => tracing::debug!(%error, "Redis could not be asked again whether a token is active"),
        }
    }
}

impl Standing {
    /// Fails with the reason unless active.
    pub fn require_active(&self) -> Result<(), ApiError> {
        match self {
            Self::Active { .. } => Ok(()),
            Self::Waiting => Err(ApiError::new(ErrorCode::TokenNotActive, "It is not this token's turn yet.")),
            Self::Expired => Err(ApiError::new(ErrorCode::TokenExpired, "The token's time is over.")),
            Self::Completed => Err(ApiError::new(ErrorCode::TokenExpired, "The token was used up by a payment.")),
            Self::Unknown => Err(invalid_token()),
        }
    }

    /// How long it is active yet.
    #[must_use]
    pub fn left(&self) -> Duration {
        if let Self::Active { left } = self { *left } else { Duration::ZERO }
    }
}

pub(crate) fn invalid_token() -> ApiError {
    ApiError::new(ErrorCode::InvalidToken, "Send the header token with a token of this service.")
}

/// Which tokens were active when Redis was asked last.
#[derive(Debug, Default)]
pub(super) struct PassCache {
    known: DashMap<(QueueId, UserId), Known, RandomState>,
}

#[derive(Debug)]
struct Known {
    place: u64,
    learnt: Instant,
    expires: Instant,
    /// Whether somebody has seen to it that Redis is asked again.
    renewing: AtomicBool,
}

impl PassCache {
    /// How long the token is active yet, if Redis said so lately.
    pub(super) fn recall(&self, claim: &Claim, now: Instant) -> Option<Duration> {
        self.known_within(claim, RELIANCE, now)
    }

    /// Whether Redis is to be asked again before what it said is too old, and nobody sees to it yet; from now on the caller
    /// does.
    fn is_to_be_renewed(&self, claim: &Claim, now: Instant) -> bool {
        self.known.get(&(claim.queue, claim.user)).is_some_and(|known| {
            now.saturating_duration_since(known.learnt) >= AGES_AT && !known.renewing.swap(true, Ordering::Relaxed)
        })
    }

    /// How long the token is active yet, if Redis has ever said so and this instance knows of no end since.
    pub(super) fn presume(&self, claim: &Claim) -> Option<Duration> {
        self.known_within(claim, Duration::MAX, Instant::now())
    }

    fn known_within(&self, claim: &Claim, time: Duration, now: Instant) -> Option<Duration> {
        let known = self.known.get(&(claim.queue, claim.user))?;
        if known.place != claim.place || now.saturating_duration_since(known.learnt) > time {
            return None;
        }
        let left = known.expires.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    pub(super) fn learn(&self, claim: &Claim, standing: &Standing) {
        let Standing::Active { left } = *standing else {
            return self.forget(claim);
        };
        let learnt = Instant::now();
        let known = Known { place: claim.place, learnt, expires: learnt + left, renewing: AtomicBool::new(false) };
        self.known.insert((claim.queue, claim.user), known);
    }

    /// Likewise, of a token that is not forgotten: what ended it here since Redis was asked knows better.
    fn learn_again(&self, claim: &Claim, standing: &Standing) {
        let Standing::Active { left } = *standing else {
            return self.forget(claim);
        };
        let learnt = Instant::now();
        let known = self.known.get_mut(&(claim.queue, claim.user)).filter(|known| known.place == claim.place);
        if let Some(mut known) = known {
            (known.learnt, known.expires, known.renewing) = (learnt, learnt + left, AtomicBool::new(false));
        }
    }

    pub(super) fn forget(&self, claim: &Claim) {
        self.known.remove_if(&(claim.queue, claim.user), |_, known| known.place == claim.place);
    }

    /// Forgets all: Redis has lost them.
    pub(super) fn clear(&self) {
        self.known.clear();
    }

    /// Drops what has ended.
    pub(super) fn prune(&self) {
        let now = Instant::now();
        self.known.retain(|_, known| known.expires > now);
    }
}
