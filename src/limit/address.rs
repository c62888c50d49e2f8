//! Whose a request is, by address: the peer's, or that which proxies of ours say it came from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Proxies that can be named.
const MOST_NETWORKS: usize = 256;

/// An address as it is counted: `IPv4` whole, `IPv6` by its network of 64 bits, since whoever has one has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(Ipv6Addr);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped()),
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        }
    }
}

/// Without colons but in hex, where it is part of an argument in which one ends it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_ipv4_mapped() {
            Some(v4) => v4.fmt(f),
            None => write!(f, "{:x}", self.0.to_bits() >> 64),
        }
    }
}

/// A network: an address and how many of its bits count, as in `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// This is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a network is an address, or one and a number of bits, such as 10.0.0.0/8")]
pub struct NotANetwork;

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = (network.to_bits() ^ address.to_bits()).leading_zeros();
                differing >= self.bits.into()
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = (network.to_bits() ^ address.to_bits()).leading_zeros();
                differing >= self.bits.into()
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let plain = |bits: &&str| !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            None => most,
            Some(bits) => Some(bits).filter(plain).and_then(|bits| bits.parse().ok()).ok_or(NotANetwork)?,
        };
        if bits > most || matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
            return Err(NotANetwork);
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The proxies that are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

/// Who comes over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// One whose own address counts.
    Client(Address),
    /// A proxy that is believed, which says whom it comes for.
    Proxy(IpAddr),
    /// Something on this machine, which is not counted: one that can connect from here needs no requests to do harm.
    Local,
}

impl Proxies {
    /// Reads networks with commas between them; nothing is none.
    pub fn read(text: &str) -> Result<Self, String> {
        let takes = || format!("takes up to {MOST_NETWORKS} networks, such as 10.0.0.0/8,fd00::/8, not {text:?}");
        if text.is_empty() {
            return Ok(Self::default());
        }
        let networks: Result<Vec<Network>, NotANetwork> = text.split(',').map(|one| one.trim().parse()).collect();
        networks.ok().filter(|networks| networks.len() <= MOST_NETWORKS).map(Self).ok_or_else(takes)
    }

    fn believe(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who comes from this address.
    #[must_use]
    pub fn visitor(&self, peer: IpAddr) -> Visitor {
        let peer = peer.to_canonical();
        if self.believe(peer) {
            Visitor::Proxy(peer)
        } else if peer.is_loopback() {
            Visitor::Local
        } else {
            Visitor::Client(peer.into())
        }
    }

    /// Whose a request is that says by these `X-Forwarded-For` where it came from; none if it is not counted. Each proxy adds
    /// at the end whom it heard it from, so it is read from there until somebody is not believed: what stands before that,
    /// anybody can have written.
    #[must_use]
    pub fn address<'a>(
        &self,
        visitor: &Visitor,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Option<Address> {
        let proxy = match *visitor {
            Visitor::Local => return None,
            Visitor::Client(address) => return Some(address),
            Visitor::Proxy(proxy) => proxy,
        };
        let mut last = proxy;
        for hop in forwarded.rev().flat_map(|value| value.rsplit(',')) {
            // A proxy that cannot say whom it heard it from is who it is.
            let Some(address) = read_hop(hop) else { break };
            last = address;
            if !self.believe(address) {
                break;
            }
        }
        Some(last.into())
    }
}

/// An address, with or without a port.
fn read_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.parse().ok();
    let address = bare.or_else(|| {
        let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        bracketed.and_then(|text| text.parse().ok().map(IpAddr::V6))
    });
    let address = address.or_else(|| text.parse().ok().map(|socket: std::net::SocketAddr| socket.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn whose(proxies: &str, peer: &str, forwarded: &[&str]) -> Option<String> {
        let proxies = Proxies::read(proxies).unwrap();
        let address = proxies.address(&proxies.visitor(ip(peer)), forwarded.iter().copied());
        address.map(|address| address.to_string())
    }

    #[test]
    fn only_proxies_that_are_named_are_believed_and_only_as_far_as_they_know() {
        let named = "10.0.0.0/8,fd00::/8,192.0.2.7";
        for (peer, forwarded, address) in [
            ("203.0.113.9", &["1.1.1.1"][..], "203.0.113.9"),
            ("10.1.2.3", &["198.51.100.4"], "198.51.100.4"),
            ("10.1.2.3", &["1.1.1.1, 198.51.100.4"], "198.51.100.4"),
            ("10.1.2.3", &["198.51.100.4, 10.9.9.9"], "198.51.100.4"),
            ("10.1.2.3", &["1.1.1.1,198.51.100.4", "192.0.2.7,10.9.9.9"], "198.51.100.4"),
            ("10.1.2.3", &["198.51.100.4:4711"], "198.51.100.4"),
            ("10.1.2.3", &["::ffff:198.51.100.4"], "198.51.100.4"),
            ("fd00::1", &["[2001:db8:1:2:3::4]:80"], "20010db800010002"),
            ("fd00::1", &["[2001:db8:1:2:3::4]"], "20010db800010002"),
            ("fd00::1", &["2001:db8:1:2::9"], "20010db800010002"),
            ("10.1.2.3", &[], "10.1.2.3"),
            ("10.1.2.3", &["10.7.7.7"], "10.7.7.7"),
            ("10.1.2.3", &["198.51.100.4, unknown"], "10.1.2.3"),
            ("10.1.2.3", &["198.51.100.4, unknown, 10.9.9.9"], "10.9.9.9"),
            ("10.1.2.3", &[""], "10.1.2.3"),
        ] {
            assert_eq!(whose(named, peer, forwarded).as_deref(), Some(address), "{peer} {forwarded:?}");
        }
        assert_eq!(whose(named, "127.0.0.1", &["1.1.1.1"]), None);
        assert_eq!(whose(named, "::1", &[]), None);
        assert_eq!(whose("127.0.0.0/8", "127.0.0.1", &["1.1.1.1"]).as_deref(), Some("1.1.1.1"));
    }

    #[test]
    fn networks_are_read_strictly() {
        for good in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::/8", "192.0.2.7", "::1/128"] {
            assert!(good.parse::<Network>().is_ok(), "{good}");
        }
        for bad in ["", "/", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "10.0/8", "x/8", "::ffff:1.2.3.4/96"]
        {
            assert_eq!(bad.parse::<Network>(), Err(NotANetwork), "{bad}");
        }
        assert!(Proxies::read("10.0.0.0/8,").is_err());
        assert_eq!(Proxies::read(""), Ok(Proxies::default()));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains(ip("255.1.1.1")));
        assert!(!"10.0.0.0/9".parse::<Network>().unwrap().contains(ip("10.128.0.0")));
    }
}
