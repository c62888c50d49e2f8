//! An answer that is rendered once and sent often: the same bytes to all, compressed once where somebody takes that, and 304
//! to who has it already (RFC 9110, sections 8.8.3, 12.5.3 and 13.1.2).

use std::io::Read;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzEncoder;
use http::StatusCode;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, VARY};

use tokio::sync::OnceCell;

use super::envelope::json_response;
use super::not_modified::matches_etag;

/// What is smaller fits into one packet anyhow.
const WORTH_COMPRESSING: usize = 1400;

/// What is larger takes more than a fraction of a millisecond, and so a thread of its own.
const IS_LONG_WORK: usize = 64 * 1024;

/// The 720 kB of a hall's 17,000 free seats become 97 kB in 4 ms; level 6 makes 87 kB of them in 10 ms (with zlib).
const LEVEL: Compression = Compression::new(1);

/// A JSON body of status 200, for the client's own cache, which asks each time whether it has changed.
#[derive(Debug)]
pub struct Rendered {
    body: Bytes,
    etag: HeaderValue,
    /// The compressed body is another representation, so it has another tag.
    gzip_etag: HeaderValue,
    gzip: OnceCell<Option<Bytes>>,
}

impl Rendered {
    /// `tag` is 1 to 64 hex digits that are another's if the body is another.
    #[must_use]
    pub fn new(body: Bytes, tag: &str) -> Self {
        // Hex digits are fit for a header; an empty tag would match nothing.
        let etag = |suffix| HeaderValue::try_from(format!("\"{tag}{suffix}\""));
        let none = HeaderValue::from_static("\"\"");
        let etags = [etag(""), etag("-gzip")].map(|etag| etag.unwrap_or_else(|_| none.clone()));
        let [etag, gzip_etag] = etags;
        Self { body, etag, gzip_etag, gzip: OnceCell::new() }
    }

    /// The body as it is.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What this request is answered.
    pub async fn answer(&self, headers: &HeaderMap) -> Response {
        match self.at_once(headers) {
            Some(response) => response,
            None => match self.gzipped().await {
                Some(gzip) => self.compressed(&gzip),
                None => self.plain(),
            },
        }
    }

    /// Likewise, unless the body has to be compressed for it first.
    #[must_use]
    pub fn at_once(&self, headers: &HeaderMap) -> Option<Response> {
        let takes_gzip = self.body.len() >= WORTH_COMPRESSING && takes_gzip(headers);
        let (sent, other) = if takes_gzip { (&self.gzip_etag, &self.etag) } else { (&self.etag, &self.gzip_etag) };
        // Who has either has what is there now.
        if let Some(had) =
            [sent, other].into_iter().find(|etag| matches_etag(headers, etag.to_str().unwrap_or_default()))
        {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Some(about(response, had));
        }
        if !takes_gzip {
            return Some(self.plain());
        }
        self.gzip.get().map(|gzip| gzip.as_ref().map_or_else(|| self.plain(), |gzip| self.compressed(gzip)))
    }

    fn plain(&self) -> Response {
        about(json_response(self.body.clone()), &self.etag)
    }

    fn compressed(&self, gzip: &Bytes) -> Response {
        let mut response = json_response(gzip.clone());
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        about(response, &self.gzip_etag)
    }

    /// The body compressed: by whoever asks first, while the others wait for it. None if that failed.
    async fn gzipped(&self) -> Option<Bytes> {
        let compress = async || {
            let body = self.body.clone();
            if body.len() < IS_LONG_WORK {
                return gzip(&body);
            }
            tokio::task::spawn_blocking(move || gzip(&body)).await.ok().flatten()
        };
        self.gzip.get_or_init(compress).await.clone()
    }
}

fn about(mut response: Response, etag: &HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(ETAG, etag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    response
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut compressed = Vec::with_capacity(body.len() / 8);
    GzEncoder::new(body, LEVEL).read_to_end(&mut compressed).ok()?;
    Some(compressed.into())
}

/// Whether a request takes gzip, and does not like it less than the plain body. Who says nothing gets the plain one.
#[must_use]
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for coding in values.flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        // A weight that is none is no permission.
        let weight: f32 = weight.map_or(1.0, |weight| weight.parse().unwrap_or_default());
        match name {
            "*" => any = Some(weight),
            _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => gzip = Some(weight),
            _ if name.eq_ignore_ascii_case("identity") => identity = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or_default();
    gzip > 0.0 && gzip >= identity.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_who_takes_it() {
        let with = |value: &'static str| HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        for value in ["gzip", "br, GZIP", "x-gzip", "gzip;q=0.5", "deflate, gzip ; q=0.1", "*", "identity;q=0.5, gzip"]
        {
            assert!(takes_gzip(&with(value)), "{value}");
        }
        for value in ["", "identity", "br", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "identity, gzip;q=0.5", "gzip;q=x"] {
            assert!(!takes_gzip(&with(value)), "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn who_comes_at_once_gets_the_same_compressed_bytes() {
        for length in [WORTH_COMPRESSING, 10 * IS_LONG_WORK] {
            let rendered = Rendered::new(Bytes::from(vec![b'x'; length]), "ab");
            let (one, other) = tokio::join!(rendered.gzipped(), rendered.gzipped());
            let (one, other) = (one.unwrap(), other.unwrap());
            assert!(one.len() < length / 8);
            assert_eq!(one.as_ptr(), other.as_ptr(), "not compressed twice");
            assert_eq!(rendered.gzipped().await.unwrap().as_ptr(), one.as_ptr());
        }
    }
}
