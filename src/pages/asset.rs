//! The files of pages: styles, scripts, words. Each is compressed once, and has an address with all files' common version in
//! it, so that browsers keep it for good and a page never runs with another version's script.

use std::io::Read;
use std::sync::LazyLock;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzEncoder;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, VARY, X_CONTENT_TYPE_OPTIONS,
};

use crate::http::{matches_etag, takes_gzip};

/// What is served. Words come as scripts, which import them.
const FILES: &[(&str, &str)] = &[
    ("site.css", include_str!("../../web/site.css")),
    ("shop.css", include_str!("../../web/shop.css")),
    ("console.css", include_str!("../../web/console.css")),
    ("api.js", include_str!("../../web/api.js")),
    ("words.js", include_str!("../../web/words.js")),
    ("site.js", include_str!("../../web/site.js")),
    ("programme.js", include_str!("../../web/programme.js")),
    ("concert.js", include_str!("../../web/concert.js")),
    ("waiting.js", include_str!("../../web/waiting.js")),
    ("draw.js", include_str!("../../web/draw.js")),
    ("seats.js", include_str!("../../web/seats.js")),
    ("hall.js", include_str!("../../web/hall.js")),
    ("gestures.js", include_str!("../../web/gestures.js")),
    ("live.js", include_str!("../../web/live.js")),
    ("list.js", include_str!("../../web/list.js")),
    ("shapes.js", include_str!("../../web/shapes.js")),
    ("ticket.js", include_str!("../../web/ticket.js")),
    ("map.js", include_str!("../../web/map.js")),
    ("pay.js", include_str!("../../web/pay.js")),
    ("me.js", include_str!("../../web/me.js")),
    ("console.js", include_str!("../../web/console.js")),
    ("console-chart.js", include_str!("../../web/console-chart.js")),
    ("console-hall.js", include_str!("../../web/console-hall.js")),
    ("console-live.js", include_str!("../../web/console-live.js")),
    ("console-log.js", include_str!("../../web/console-log.js")),
    ("console-queue.js", include_str!("../../web/console-queue.js")),
    ("demo.js", include_str!("../../web/demo.js")),
    ("en.js", include_str!("../../web/words/en.json")),
    ("ko.js", include_str!("../../web/words/ko.json")),
    ("shop-en.js", include_str!("../../web/words/shop-en.json")),
    ("shop-ko.js", include_str!("../../web/words/shop-ko.json")),
    ("console-en.js", include_str!("../../web/words/console-en.json")),
    ("console-ko.js", include_str!("../../web/words/console-ko.json")),
];

/// Forever, as far as HTTP has it.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

static ASSETS: LazyLock<Vec<Asset>> =
    LazyLock::new(|| FILES.iter().map(|(name, text)| Asset::new(name, text)).collect());

/// Another one if any file is another.
pub(super) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = blake3::Hasher::new();
    for (name, text) in FILES {
        hasher.update(name.as_bytes()).update(text.as_bytes()).update(&[0]);
    }
    hasher.finalize().to_hex()[..16].to_owned()
});

/// A file as it is served.
struct Asset {
    name: &'static str,
    kind: &'static str,
    body: Bytes,
    gzip: Bytes,
    etag: String,
}

impl Asset {
    fn new(name: &'static str, text: &'static str) -> Self {
        let is_style = kind_of(name) == "css";
        let is_words = text.starts_with('{');
        let body = if is_words { Bytes::from(format!("export default {text}")) } else { text.into() };
        let kind = if is_style { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        let etag = format!("\"{}\"", &blake3::hash(&body).to_hex()[..32]);
        Self { name, kind, gzip: gzipped(&body, Compression::best()), body, etag }
    }
}

fn kind_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, kind)| kind)
}

/// Compressed; reading memory does not fail.
pub(super) fn gzipped(body: &[u8], level: Compression) -> Bytes {
    let mut compressed = Vec::with_capacity(body.len() / 3);
    let _ = GzEncoder::new(body, level).read_to_end(&mut compressed);
    compressed.into()
}

/// What is done before anybody asks.
pub(super) fn prepare() {
    LazyLock::force(&ASSETS);
    LazyLock::force(&VERSION);
}

/// A file. While instances of two versions serve, one may be asked for the other's: it gives what it has, not to be kept.
pub(super) fn answer(version: &str, name: &str, headers: &HeaderMap) -> Option<Response> {
    let asset = ASSETS.iter().find(|asset| asset.name == name)?;
    let keep = if version == *VERSION { FOR_GOOD } else { "no-cache" };
    let about: [(HeaderName, &str); 4] =
        [(ETAG, &asset.etag), (CACHE_CONTROL, keep), (VARY, "accept-encoding"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    if matches_etag(headers, &asset.etag) {
        return Some((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let kind = [(CONTENT_TYPE, asset.kind)];
    Some(if takes_gzip(headers) {
        (about, kind, [(CONTENT_ENCODING, "gzip")], Body::from(asset.gzip.clone())).into_response()
    } else {
        (about, kind, Body::from(asset.body.clone())).into_response()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_file_is_served() {
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        for folder in [web.clone(), web.join("words")] {
            for entry in fs::read_dir(folder).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let served = name.replace(".json", ".js");
                let is_one = ["js", "css"].contains(&kind_of(&served));
                assert!(!is_one || ASSETS.iter().any(|asset| asset.name == served), "{name} is not served");
            }
        }
    }

    /// The names of all texts, with the values that each takes.
    fn said(name: &str) -> BTreeSet<(String, BTreeSet<String>)> {
        let (_, text) = FILES.iter().find(|(known, _)| *known == name).unwrap();
        let words: Value = serde_json::from_str(text).unwrap();
        let taken = |text: &Value| {
            let text = text.as_str().or_else(|| text["other"].as_str()).unwrap().to_owned();
            text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect()
        };
        words.as_object().unwrap().iter().map(|(name, text)| (name.clone(), taken(text))).collect()
    }

    #[test]
    fn both_languages_say_the_same_with_the_same_values() {
        for room in ["", "shop-", "console-"] {
            assert_eq!(said(&format!("{room}en.js")), said(&format!("{room}ko.js")), "{room}");
        }
    }
}
