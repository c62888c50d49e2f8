//! The gate's calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use http::{Method, StatusCode, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::visitor::{PASS_COOKIE, Visitor};
use super::waiting::way_back;
use super::{Admitted, Gate, Issued, Shown};
use crate::http::{
    Access, ApiError, Described, ErrorCode, Query, RateLimits, Success, Time, matches_etag, schema, single_header,
};
use crate::ids::ConcertId;
use crate::queue::{Presented, Queue, QueueName, Queues};
use crate::veiled::Veiled;

const CHECK: &str = "/gate/check";

static USER: HeaderName = HeaderName::from_static("x-onsale-user");
static QUEUE: HeaderName = HeaderName::from_static("x-onsale-queue");
static PASS: HeaderName = HeaderName::from_static("x-onsale-pass");
static REQUIRED: HeaderName = HeaderName::from_static("x-onsale-require-queue");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// `/gate/…`, `/.well-known/jwks.json` and `/api/v1/queues/token/pass`. The gate takes every method, as proxies ask with
/// the visitor's own.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    &'static Gate: FromRef<S>,
    &'static Queues: FromRef<S>,
    &'static RateLimits: FromRef<S>,
{
    Router::new()
        .route(CHECK, any(check))
        .route("/gate/check/", any(check_behind))
        .route("/gate/check/{*rest}", any(check_behind))
        .route("/.well-known/jwks.json", get(keys))
        .route("/api/v1/queues/token/pass", get(pass))
}

/// What is said of them.
#[must_use]
pub fn calls() -> Vec<Described> {
    let mut calls = vec![
        Described::get("/api/v1/queues/token/pass", "pass", "A signed pass for other sites, for an active token.")
            .active()
            .gives::<PassView>(),
        Described::get("/.well-known/jwks.json", "keys", "The keys that passes are checked with.")
            .saying("A JSON Web Key Set (RFC 7517) that is in the envelope too.")
            .tagged()
            .gives_whole(schema::<KeySetView>),
    ];
    let names = ["gateGet", "gatePost", "gatePut", "gatePatch", "gateDelete", "gateOptions", "gateHead", "gateTrace"];
    let behind = [
        "gateBehindGet",
        "gateBehindPost",
        "gateBehindPut",
        "gateBehindPatch",
        "gateBehindDelete",
        "gateBehindOptions",
        "gateBehindHead",
        "gateBehindTrace",
    ];
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::HEAD,
        Method::TRACE,
    ];
    for ((method, name), behind) in methods.into_iter().zip(names).zip(behind) {
        let asked = Described::get(CHECK, name, "For a site's proxy: whether this visitor may go on.");
        calls.push(of_gate(asked.by(method.clone())).query::<Options>().fails(&[ErrorCode::ConcertNotFound]));
        let asked =
            Described::get("/gate/check/{path}", behind, "Likewise, for proxies that put this before the path.");
        calls.push(of_gate(asked.by(method)).at::<Rest>("path").header(
            "onsale-require-queue",
            "The queue that the visitor must have come through.",
            schema::<QueueName>,
        ));
    }
    calls
}

fn of_gate(call: Described) -> Described {
    call.saying("With a token or a pass, in a header or in the cookies `onsale_token` and `onsale_pass`. A refusal names the way \
                 to the waiting page in `Location`.")
        .open_to(&[Access::Token, Access::Pass])
        .fails(&[ErrorCode::InvalidToken, ErrorCode::TokenExpired, ErrorCode::TokenNotActive, ErrorCode::WrongQueue])
        .also(302, "Refused; `Location` is the way to the waiting page.")
        .tells("X-Onsale-User", "The visitor.", "1")
        .tells("X-Onsale-Queue", "The queue it came through.", "default")
        .tells("X-Onsale-Pass", "Its pass.", "eyJhbGciOiJFZERTQSJ9.e30.c2ln")
}

/// The visitor's own path.
#[derive(JsonSchema)]
#[schemars(inline, transparent)]
#[expect(dead_code, reason = "only described")]
struct Rest(
    /// The visitor's own path.
    #[schemars(example = &"shop")]
    String,
);

/// What the proxy's own configuration asks for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Options {
    /// The queue that the visitor must have come through.
    #[schemars(with = "Option<QueueName>")]
    queue: Option<String>,
    /// Likewise, by a concert that it serves.
    #[schemars(with = "Option<ConcertId>")]
    concert_id: Option<String>,
    /// `302` to have a refusal sent to the waiting page.
    #[schemars(extend("enum" = ["302"]), example = &"302")]
    redirect: Option<String>,
}

/// For proxies that ask at a fixed address.
async fn check(
    State(gate): State<&'static Gate>,
    State(queues): State<&'static Queues>,
    Query(options): Query<Options>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let redirect = match options.redirect.as_deref() {
        None => false,
        Some("302") => true,
        Some(_) => return Err(ApiError::invalid("redirect takes 302 and nothing else.")),
    };
    let required = required(queues, &options)?;
    Ok(gate.answer(queues, &headers, required, redirect, None).await)
}

/// For proxies that put the gate's path before the visitor's. Then the query is the visitor's too, and so nothing that the
/// gate goes by: which queue it is, such a proxy says in a header. It hands the answer to the visitor, who must be
/// redirected.
async fn check_behind(
    State(gate): State<&'static Gate>,
    State(queues): State<&'static Queues>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // Said twice, it is not clear by whom; then it is no queue's name.
    let said = || single_header(&headers, &REQUIRED).unwrap_or_default().to_owned();
    let queue = headers.contains_key(&REQUIRED).then(said);
    let required = required(queues, &Options { queue, ..Options::default() })?;
    Ok(gate.answer(queues, &headers, required, true, behind(&uri)).await)
}

fn behind(uri: &Uri) -> Option<&str> {
    uri.path_and_query()?.as_str().strip_prefix(CHECK)
}

/// The queue that the visitor must have come through, if one is named.
fn required(queues: &Queues, options: &Options) -> Result<Option<Arc<Queue>>, ApiError> {
    let by_name = match &options.queue {
        None => None,
        Some(name) => Some(queues.by_name(name).ok_or_else(|| ApiError::invalid("There is no queue of this name."))?),
    };
    let Some(concert) = &options.concert_id else { return Ok(by_name) };
    let concert: ConcertId =
        concert.parse().map_err(|_| ApiError::invalid("concertId is not a positive whole number."))?;
    let serving = queues
        .serving(Some(concert))
        .ok_or_else(|| ApiError::new(ErrorCode::ConcertNotFound, "There is no such concert."))?;
    match by_name {
        Some(named) if named.id != serving.id => Err(ApiError::invalid("This queue does not serve this concert.")),
        _ => Ok(Some(serving)),
    }
}

impl Gate {
    async fn answer(
        &self,
        queues: &Queues,
        headers: &HeaderMap,
        required: Option<Arc<Queue>>,
        redirect: bool,
        behind: Option<&str>,
    ) -> Response {
        let visitor = Visitor::new(headers);
        let error = match self.admit(queues, &visitor, required.as_ref()).await {
            Ok(admitted) => match welcome(&admitted, is_secure(headers)) {
                Ok(response) => return uncached(response),
                Err(error) => error,
            },
            Err(error) => error,
        };
        let client_error = error.code().status().is_client_error();
        let mut response = error.into_response();
        if client_error {
            let queue = required.or_else(|| visitor.presented(queues).ok().map(|presented| presented.queue));
            let queue = queue.or_else(|| queues.serving(None));
            let address = queue.map(|queue| self.waiting_page.address(&queue.name, &way_back(headers, behind)));
            if let Some(address) = address.and_then(|address| HeaderValue::try_from(address).ok()) {
                response.headers_mut().insert(LOCATION, address);
                if redirect {
                    *response.status_mut() = StatusCode::FOUND;
                }
            }
        }
        uncached(response)
    }
}

fn welcome(admitted: &Admitted, secure: bool) -> Result<Response, ApiError> {
    let value = |text: &str| HeaderValue::try_from(text).map_err(ApiError::internal);
    let (text, cookie) = match &admitted.pass {
        Shown::Kept(text) => (&**text, None),
        Shown::New(issued) => (&*issued.text, Some(value(&cookie(issued, secure))?)),
    };
    let user = HeaderValue::from(admitted.user.get());
    let mut response =
        ([(&USER, user), (&QUEUE, value(&admitted.queue)?), (&PASS, value(text)?)], Success(())).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

fn cookie(issued: &Issued, secure: bool) -> String {
    let (text, life) = (&*issued.text, issued.life.as_secs());
    let secure = if secure { "; Secure" } else { "" };
    format!("{PASS_COOKIE}={text}; HttpOnly; SameSite=Lax; Path=/; Max-Age={life}{secure}")
}

/// Whether the visitor came to the proxy by https. Over plain http a browser would not keep a `Secure` cookie.
fn is_secure(headers: &HeaderMap) -> bool {
    single_header(headers, &FORWARDED_PROTO).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// What was decided holds for this request of this visitor.
fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PassView {
    /// A JSON Web Token, signed with Ed25519.
    #[schemars(with = "String", example = &"eyJhbGciOiJFZERTQSJ9.e30.c2ln")]
    pass: Veiled,
    /// When it ends.
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
}

/// For sites that check passes themselves.
async fn pass(
    State(gate): State<&'static Gate>,
    State(queues): State<&'static Queues>,
    presented: Presented,
) -> Result<Response, ApiError> {
    let issued = gate.issue(queues, &presented).await?;
    let expires_at = issued.expires_at();
    Ok(uncached(Success(PassView { pass: issued.text, expires_at }).into_response()))
}

/// The keys, in the envelope and a key set at once.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only described: it is rendered where the keys are made")]
struct KeySetView {
    /// As of every success.
    #[schemars(extend("const" = "SUCCESS"), example = &"SUCCESS")]
    result: String,
    /// Nothing.
    #[schemars(example = ())]
    data: (),
    /// Nothing.
    #[schemars(example = ())]
    error: (),
    /// JSON Web Keys, the one that signs first.
    #[schemars(extend("examples" = [[{"kty": "OKP", "crv": "Ed25519"}]]))]
    keys: Vec<std::collections::BTreeMap<String, String>>,
}

async fn keys(State(gate): State<&'static Gate>, headers: HeaderMap) -> Response {
    let keys = &gate.key_set;
    let caching = [(ETAG, keys.etag.as_str()), (CACHE_CONTROL, "public, max-age=300")];
    if matches_etag(&headers, &keys.etag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(CONTENT_TYPE, "application/json")], keys.body.clone()).into_response()
}
