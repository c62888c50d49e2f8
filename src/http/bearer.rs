//! What a caller shows in `Authorization`.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::single_header;

/// What `Authorization: Bearer` shows; the scheme's name is case-insensitive (RFC 9110).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, shown) = single_header(headers, &AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| shown.trim_start_matches(' '))
}
