//! Conditional requests, as RFC 9110 section 13.1.2 has them.

use http::header::{HeaderMap, IF_NONE_MATCH};

/// Whether an `If-None-Match` of the request names this entity tag (by weak comparison), or any (`*`).
#[must_use]
pub fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| candidate == "*" || opaque_tag(candidate) == opaque_tag(etag))
}

fn opaque_tag(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_weakly_over_lists() {
        let with = |value: &'static str| HeaderMap::from_iter([(IF_NONE_MATCH, http::HeaderValue::from_static(value))]);
        for value in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(matches_etag(&with(value), "\"a\""), "{value}");
        }
        for value in ["\"b\"", "a", ""] {
            assert!(!matches_etag(&with(value), "\"a\""), "{value}");
        }
        assert!(!matches_etag(&HeaderMap::new(), "\"a\""));
    }
}
