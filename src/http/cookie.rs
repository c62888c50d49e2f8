//! Cookies, as they are sent.

use http::header::{COOKIE, HeaderMap};

/// The values of all cookies of this name: each folder and each domain above can set its own.
pub fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(known, _)| *known == name).map(|(_, value)| value.trim_matches('"'))
}
