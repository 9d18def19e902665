use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// To which addresses a URL from outside may lead.
///
/// The check is for the address that is connected to: a literal in the URL as the URL parser understands it, or each
/// address that a name resolves to, at every connection. A check of the text alone would miss `0x7f.1` and names that
/// resolve to something else the second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressPolicy {
    /// Addresses of the public Internet only.
    #[default]
    PublicOnly,
    /// Every address: for endpoints on this machine or in a private network, set by the embedder and by nobody else.
    AllowPrivate,
}

impl AddressPolicy {
    /// Whether one address may be connected to.
    ///
    /// An IPv6 address that stands for an IPv4 one (mapped, or NAT64 `64:ff9b::/96`) is judged by that one. 6to4 and
    /// Teredo are refused: no server is there.
    ///
    /// # Errors
    /// Names the range that the address is in.
    ///
    /// # Specification
    /// IANA special-purpose address registries (RFC 6890 and its updates).
    pub fn check(self, address: IpAddr) -> Result<(), RefusedAddress> {
        let range = match (self, address) {
            (Self::AllowPrivate, _) => None,
            (Self::PublicOnly, IpAddr::V4(v4)) => special_v4(v4),
            (Self::PublicOnly, IpAddr::V6(v6)) => special_v6(v6),
        };
        range.map_or(Ok(()), |range| Err(RefusedAddress { address, range }))
    }

    /// Whether the host of a URL may be asked for: its address if it is a literal; a name but `localhost` and those
    /// below it is judged when resolved.
    ///
    /// # Errors
    /// As [`Self::check`].
    ///
    /// # Specification
    /// RFC 6761 section 6.3.
    #[cfg(feature = "http")]
    pub fn check_host(self, url: &::url::Url) -> Result<(), RefusedAddress> {
        match url.host() {
            Some(::url::Host::Ipv4(v4)) => self.check(v4.into()),
            Some(::url::Host::Ipv6(v6)) => self.check(v6.into()),
            Some(::url::Host::Domain(name)) if is_localhost(name) => self.check(Ipv4Addr::LOCALHOST.into()),
            Some(::url::Host::Domain(_)) | None => Ok(()),
        }
    }
}

/// An address that [`AddressPolicy`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("address {address} is refused: {range:?}")]
pub struct RefusedAddress {
    /// The address.
    pub address: IpAddr,
    /// Why.
    pub range: AddressRange,
}

/// What an address is for, if not for the public Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressRange {
    /// `0.0.0.0/8`, `::`.
    Unspecified,
    /// `127.0.0.0/8`, `::1`.
    Loopback,
    /// `10/8`, `172.16/12`, `192.168/16`, `fc00::/7`, `fec0::/10`, `64:ff9b:1::/48`.
    Private,
    /// `100.64.0.0/10`.
    CarrierNat,
    /// `169.254.0.0/16`, where clouds keep their metadata, and `fe80::/10`.
    LinkLocal,
    /// `224.0.0.0/4`, `ff00::/8`.
    Multicast,
    /// 6to4 `2002::/16` and its relays, Teredo `2001::/32`.
    Tunnel,
    /// Documentation, benchmarks, protocol assignments, and everything that nobody was given.
    Reserved,
}

/// `localhost`, or a name below it.
#[cfg(feature = "http")]
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
}

fn special_v4(v4: Ipv4Addr) -> Option<AddressRange> {
    match v4.octets() {
        [0, ..] => Some(AddressRange::Unspecified),
        [127, ..] => Some(AddressRange::Loopback),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some(AddressRange::Private),
        [100, 64..=127, ..] => Some(AddressRange::CarrierNat),
        [169, 254, ..] => Some(AddressRange::LinkLocal),
        [224..=239, ..] => Some(AddressRange::Multicast),
        [192, 88, 99, _] => Some(AddressRange::Tunnel),
        // Protocol assignments, three blocks of documentation, benchmarks, class E with broadcast.
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18 | 19, ..] | [240..=255, ..] => {
            Some(AddressRange::Reserved)
        }
        _ => None,
    }
}

fn special_v6(v6: Ipv6Addr) -> Option<AddressRange> {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(AddressRange::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(AddressRange::Loopback),
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            special_v4(embedded(high, low))
        }
        [0x64, 0xff9b, 1, ..] => Some(AddressRange::Private),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(AddressRange::Private),
        [0xfe80..=0xfebf, ..] => Some(AddressRange::LinkLocal),
        [0xff00..=0xffff, ..] => Some(AddressRange::Multicast),
        [0x2001, 0, ..] | [0x2002, ..] => Some(AddressRange::Tunnel),
        // 2001::/23 protocol assignments, 2001:db8::/32 and 3fff::/20 documentation.
        [0x2001, 1..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => {
            Some(AddressRange::Reserved)
        }
        [0x2000..=0x3fff, ..] => None,
        // Only 2000::/3 has been given out.
        _ => Some(AddressRange::Reserved),
    }
}

#[cfg(test)]
mod tests;
