//! Outbound guard: which endpoints that users name may be connected to.
//!
//! Owns the judgement of URLs and addresses. A URL is judged where it is registered and before it is used, an address at
//! each connect, after the name was resolved: a name that points elsewhere tomorrow gains nothing. Does no I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

/// Bytes of an endpoint's URL. Those of push services are below 1 KB.
pub const ENDPOINT_BYTES_MAX: usize = 2_048;

/// Why an endpoint is refused: its registrant's fault, and nothing was connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It cannot be parsed.
    #[error("the endpoint is not an absolute URL")]
    NotUrl,
    /// It is too long.
    #[error("the endpoint has {bytes} bytes, the limit is {ENDPOINT_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not encrypted.
    #[error("the endpoint is not https")]
    NotHttps,
    /// It has a user's name or a password in it.
    #[error("the endpoint has credentials in it")]
    Credentials,
    /// It is on an address that is not of the public Internet.
    #[error("the endpoint is on a private or reserved address")]
    PrivateAddress,
}

/// Judges an endpoint as a production node does: https, no credentials, no literal private address.
///
/// # Errors
/// The registrant's fault.
pub fn check_endpoint(url: &str) -> Result<(), EndpointError> {
    Guard::default().check_endpoint(url).map(|_| ())
}

/// The rules that endpoints are judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guard {
    /// Whether loopback may be connected to, and without TLS: for tests and development.
    pub allow_loopback: bool,
}

impl Guard {
    /// Judges a URL, and gives it parsed.
    ///
    /// # Errors
    /// The registrant's fault.
    pub fn check_endpoint(self, url: &str) -> Result<Uri, EndpointError> {
        if url.len() > ENDPOINT_BYTES_MAX {
            return Err(EndpointError::TooLong { bytes: url.len() });
        }
        let uri: Uri = url.parse().map_err(|_| EndpointError::NotUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(EndpointError::NotUrl);
        };
        if authority.as_str().contains('@') {
            return Err(EndpointError::Credentials);
        }
        let host = host_of(authority.host());
        if host.is_empty() {
            return Err(EndpointError::NotUrl);
        }
        let is_loopback = is_loopback_name(host);
        if is_loopback && !self.allow_loopback {
            return Err(EndpointError::PrivateAddress);
        }
        match scheme {
            "https" => {}
            "http" if is_loopback => {}
            _ => return Err(EndpointError::NotHttps),
        }
        if host.parse().is_ok_and(|address| !self.allows(address)) {
            return Err(EndpointError::PrivateAddress);
        }
        Ok(uri)
    }

    /// Whether an address may be connected to.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        if self.allow_loopback && address.is_loopback() {
            return true;
        }
        match address {
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) => is_public_v6(address),
        }
    }
}

/// A URL's host as a resolver takes it: an IPv6 address has no brackets then.
pub(super) fn host_of(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether a host is this machine by its name alone.
pub(super) fn is_loopback_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|at| at.is_loopback())
}

/// By IANA's registry of special-purpose IPv4 addresses, and nothing of multicast or of class E.
fn is_public_v4(address: Ipv4Addr) -> bool {
    const RESERVED: [(Ipv4Addr, u32); 15] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),
        (Ipv4Addr::new(10, 0, 0, 0), 8),
        (Ipv4Addr::new(100, 64, 0, 0), 10),
        (Ipv4Addr::new(127, 0, 0, 0), 8),
        (Ipv4Addr::new(169, 254, 0, 0), 16),
        (Ipv4Addr::new(172, 16, 0, 0), 12),
        (Ipv4Addr::new(192, 0, 0, 0), 24),
        (Ipv4Addr::new(192, 0, 2, 0), 24),
        (Ipv4Addr::new(192, 88, 99, 0), 24),
        (Ipv4Addr::new(192, 168, 0, 0), 16),
        (Ipv4Addr::new(198, 18, 0, 0), 15),
        (Ipv4Addr::new(198, 51, 100, 0), 24),
        (Ipv4Addr::new(203, 0, 113, 0), 24),
        (Ipv4Addr::new(224, 0, 0, 0), 4),
        (Ipv4Addr::new(240, 0, 0, 0), 4),
    ];
    let shares = |(network, bits): &(Ipv4Addr, u32)| (network.to_bits() ^ address.to_bits()) >> (32 - bits) == 0;
    !RESERVED.iter().any(shares)
}

/// Global unicast (2000::/3) without what is for documents or leads back into IPv4. What NAT64 makes of an IPv4 address
/// is judged as that; an IPv4-mapped address is nothing that a resolver gives.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        // IETF's protocols, Teredo among them; documents; 6to4.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: Guard, url: &str, expected: Result<(), EndpointError>) {
        assert_eq!(guard.check_endpoint(url).map(|_| ()), expected, "{url}");
    }

    #[test]
    fn an_endpoint_is_https_on_the_public_internet() {
        use EndpointError::{Credentials, NotHttps, NotUrl, PrivateAddress};
        let check = |url: &str, expected| check(Guard::default(), url, expected);
        check("https://fcm.googleapis.com/fcm/send/abc", Ok(()));
        check("https://updates.push.services.mozilla.com:443/wpush/v2/gAAA", Ok(()));
        check("https://1.1.1.1/x", Ok(()));
        check("https://[2606:4700::1111]/x", Ok(()));
        check("http://push.example/x", Err(NotHttps));
        check("ftp://push.example/x", Err(NotHttps));
        check("/push", Err(NotUrl));
        check("push.example", Err(NotUrl));
        check("", Err(NotUrl));
        check("https://user:secret@push.example/x", Err(Credentials));
        check("https://user@127.0.0.1/x", Err(Credentials));
        check("https://127.0.0.1/x", Err(PrivateAddress));
        check("http://127.0.0.1/x", Err(PrivateAddress));
        check("https://localhost/x", Err(PrivateAddress));
        check("https://LocalHost./x", Err(PrivateAddress));
        check("https://a.localhost/x", Err(PrivateAddress));
        check("https://[::1]/x", Err(PrivateAddress));
        check("https://[::ffff:10.0.0.1]/x", Err(PrivateAddress));
        check("https://10.1.2.3:8443/x", Err(PrivateAddress));
        check("https://169.254.169.254/latest/meta-data", Err(PrivateAddress));
        let long = format!("https://push.example/{}", "x".repeat(ENDPOINT_BYTES_MAX));
        check(&long, Err(EndpointError::TooLong { bytes: long.len() }));
    }

    #[test]
    fn loopback_is_for_development_and_nothing_else_becomes_legal_with_it() {
        use EndpointError::{NotHttps, PrivateAddress};
        let check = |url: &str, expected| check(Guard { allow_loopback: true }, url, expected);
        check("http://127.0.0.1:4000/x", Ok(()));
        check("http://localhost:4000/x", Ok(()));
        check("https://[::1]/x", Ok(()));
        check("http://push.example/x", Err(NotHttps));
        check("https://192.168.0.1/x", Err(PrivateAddress));
    }

    #[test]
    fn an_address_is_judged_as_it_is_connected_to() {
        let check = |address: &str, expected| {
            let parsed = address.parse().expect("an address");
            assert_eq!(Guard::default().allows(parsed), expected, "{address}");
        };
        for public in
            ["8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "198.20.0.1", "223.1.1.1"]
        {
            check(public, true);
        }
        for public in ["2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "64:ff9b::808:808"] {
            check(public, true);
        }
        for private in ["0.0.0.0", "10.0.0.1", "100.64.0.1", "127.9.9.9", "169.254.0.1", "172.16.0.1", "172.31.255.255"]
        {
            check(private, false);
        }
        for private in ["192.0.0.8", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1"] {
            check(private, false);
        }
        for private in ["203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"] {
            check(private, false);
        }
        for private in
            ["::", "::1", "::ffff:8.8.8.8", "::8.8.8.8", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1"]
        {
            check(private, false);
        }
        for private in ["2001:db8::1", "2001::1", "2002:7f00:1::", "3fff::1", "64:ff9b::a00:1", "64:ff9b:1::808:808"] {
            check(private, false);
        }
    }
}
