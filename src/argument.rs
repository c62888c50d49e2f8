//! What values settings take that several rooms have in common.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// A whole number in a range.
pub(crate) fn whole(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("takes a whole number from {} to {}, not {text:?}", range.start(), range.end()))
    }
}

/// Where to listen, or whom to reach.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("takes an address with a port, such as 127.0.0.1:8080, not {text:?}"))
}
