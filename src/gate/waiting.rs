//! Where those go who may not pass yet. The place is the operator's alone; of what the visitor asked for only the path and
//! the query are taken along, so that nobody can be lured elsewhere by way of the gate.

use std::fmt::Write;

use http::Uri;
use http::header::{HeaderMap, HeaderName};

use crate::http::single_header;

/// Beyond it the way back is forgotten, rather than an answer's header too large for the proxy.
const LONGEST_RETURN: usize = 2048;

/// Where proxies write down what the visitor asked them for: nginx' ingress, Traefik and Caddy, nginx by custom.
static ORIGINAL: [HeaderName; 3] = [
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-forwarded-uri"),
    HeaderName::from_static("x-original-uri"),
];

/// A path or an http(s) URL in which `{queue}` and `{return}` stand for the queue's name and for the way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingPage(String);

impl WaitingPage {
    /// None if it is no such thing.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let plain = text.replace("{queue}", "").replace("{return}", "");
        // What is filled in belongs behind the host, of which it must not become a part.
        let start = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let host = start.map_or("", |rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let begins = if start.is_some() { !host.is_empty() } else { text.starts_with('/') && !text.starts_with("//") };
        let sane = plain.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}\\".contains(&byte));
        (begins && sane && !host.contains('{')).then(|| Self(text.to_owned()))
    }

    /// The page for somebody who waits in this queue and asked for this.
    pub(super) fn address(&self, queue: &str, way_back: &str) -> String {
        self.0.replace("{queue}", &encoded(queue)).replace("{return}", &encoded(way_back))
    }
}

/// What the visitor asked the proxy for, by what the proxy says, or by the part of its question behind the gate's own path.
pub(super) fn way_back(headers: &HeaderMap, behind: Option<&str>) -> String {
    let said = || ORIGINAL.iter().find_map(|name| single_header(headers, name));
    behind.or_else(said).and_then(local).unwrap_or_else(|| "/".to_owned())
}

/// A path with its query, and nothing else. Browsers take `//host`, `/\host` and either with a tab in it for another
/// site.
fn local(text: &str) -> Option<String> {
    if text.len() > LONGEST_RETURN {
        return None;
    }
    let uri: Uri = text.parse().ok()?;
    let path = uri.path_and_query()?.as_str();
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    Some(format!("/{}", path.trim_start_matches(['/', '\\'])))
}

/// Percent-encoded, all but what RFC 3986 calls unreserved.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_a_path_or_a_site() {
        for good in ["/", "/wait/{queue}?to={return}", "https://wait.example/{queue}", "http://wait.example"] {
            assert!(WaitingPage::new(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "wait",
            "//wait.example",
            "https://",
            "https://{queue}.example/",
            "{return}",
            "/{user}",
            "/a b",
            "/\\x",
            "ftp://x/",
            "/é",
        ] {
            assert!(WaitingPage::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_way_back_stays_on_the_site() {
        for (said, taken) in [
            ("/shop?item=1&b=c", "/shop?item=1&b=c"),
            ("https://shop.example/a?b", "/a?b"),
            ("https://shop.example", "/"),
            ("//evil.example/x", "/evil.example/x"),
            ("/\\evil.example", "/evil.example"),
            ("https://shop.example//evil.example", "/evil.example"),
            ("/%2f%2fevil.example", "/%2f%2fevil.example"),
            ("javascript:alert(1)", "/"),
            ("/\t/evil.example", "/"),
            ("evil.example", "/"),
            ("*", "/"),
            ("", "/"),
        ] {
            assert_eq!(local(said).unwrap_or_else(|| "/".to_owned()), taken, "{said:?}");
        }
        assert_eq!(local(&format!("/{}", "x".repeat(LONGEST_RETURN))), None);
    }

    #[test]
    fn what_is_filled_in_is_encoded() {
        let page = WaitingPage::new("/wait/{queue}?to={return}&x=1").map(|page| page.address("a/b", "/s?q=1&r=%20#é"));
        assert_eq!(page.as_deref(), Some("/wait/a%2Fb?to=%2Fs%3Fq%3D1%26r%3D%2520%23%C3%A9&x=1"));
    }
}
