//! What a visitor brings: a token, a pass, in headers or in cookies, and the address it asked its proxy for.

use http::header::{HeaderMap, HeaderName};

use crate::http::{ApiError, cookies, single_header};
use crate::queue::{Presented, Queues};
use crate::veiled::Veiled;

pub(super) const PASS_COOKIE: &str = "onsale_pass";
const TOKEN_COOKIE: &str = "onsale_token";

static TOKEN: HeaderName = HeaderName::from_static("token");
static PASS: HeaderName = HeaderName::from_static("onsale-pass");

/// Several cookies may have one name, as each folder and each domain above can set its own. More of them nobody has by
/// accident, and each costs a signature's check.
const MOST_OF_A_NAME: usize = 4;

/// Whoever stands before the gate.
#[derive(Debug)]
pub(super) struct Visitor {
    tokens: Vec<Veiled>,
    pub(super) passes: Vec<Veiled>,
}

impl Visitor {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        Self { tokens: shown(headers, &TOKEN, TOKEN_COOKIE), passes: shown(headers, &PASS, PASS_COOKIE) }
    }

    pub(super) fn has_token(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// The first authentic token.
    pub(super) fn presented(&self, queues: &Queues) -> Result<Presented, ApiError> {
        let authentic = self.tokens.iter().find_map(|token| Presented::by(Some(token), queues).ok());
        authentic.map_or_else(|| Presented::by(None, queues), Ok)
    }
}

/// What the header says, else what the cookies of this name say.
fn shown(headers: &HeaderMap, header: &HeaderName, cookie: &str) -> Vec<Veiled> {
    if headers.contains_key(header) {
        return single_header(headers, header).map(Veiled::from).into_iter().collect();
    }
    cookies(headers, cookie).map(Veiled::from).take(MOST_OF_A_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::COOKIE;

    #[test]
    fn the_header_comes_before_the_cookies() {
        let mut headers = HeaderMap::new();
        headers
            .append(COOKIE, HeaderValue::from_static("a=b; onsale_token=one;onsale_token=\"two\"; xonsale_token=no"));
        headers.append(COOKIE, HeaderValue::from_static("onsale_token=three; =; onsale_pass"));
        let visitor = Visitor::new(&headers);
        assert_eq!((visitor.tokens, visitor.passes.len()), (vec!["one".into(), "two".into(), "three".into()], 0));
        headers.append(&TOKEN, HeaderValue::from_static("four"));
        assert_eq!(Visitor::new(&headers).tokens, ["four".into()]);
        headers.append(&TOKEN, HeaderValue::from_static("five"));
        assert!(!Visitor::new(&headers).has_token());
    }
}
