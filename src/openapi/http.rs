//! The description's own calls.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use schemars::json_schema;
use sha2::{Digest, Sha256};

use super::rendered;
use crate::http::{Described, matches_etag};
use crate::identity::Trust;

/// The page, with its style and script.
static PAGE: &str = include_str!("page.html");

/// `/openapi.json` of a service that knows its users so, and `/docs`.
pub fn router<S: Clone + Send + Sync + 'static>(trust: Trust) -> Router<S> {
    // Put together now, not when somebody waits for it.
    LazyLock::force(&POLICY);
    let document = Arc::new(rendered(trust));
    let document = get(move |headers: HeaderMap| async move { document.answer(&headers).await });
    Router::new().route("/openapi.json", document).route("/docs", get(page))
}

/// What is said of them.
#[must_use]
pub fn calls() -> Vec<Described> {
    vec![
        Described::get("/openapi.json", "openapi", "This description.")
            .saying("OpenAPI 3.1; the one JSON body that is not in the envelope.")
            .tagged()
            .gives_whole(|_| json_schema!({"type": "object", "required": ["openapi", "info", "paths"]})),
        Described::get("/docs", "docs", "A page to try the calls.").tagged().gives_page(),
    ]
}

/// The page's own style and script may run, and it may ask this service; nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let within =
        |tag: &str| PAGE.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
    let hash = |tag| STANDARD.encode(Sha256::digest(within(tag).map_or("", |(text, _)| text)));
    let (script, style) = (hash("script"), hash("style"));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
});

async fn page(headers: HeaderMap) -> Response {
    static TAG: LazyLock<String> =
        LazyLock::new(|| format!("\"{}\"", &blake3::hash(PAGE.as_bytes()).to_hex().as_str()[..32]));
    let about: [(HeaderName, &str); 2] = [(ETAG, TAG.as_str()), (CACHE_CONTROL, "no-cache")];
    if matches_etag(&headers, &TAG) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let guards = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (about, guards, Body::from(PAGE)).into_response()
}
