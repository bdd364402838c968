//! Client addresses behind proxies: X-Forwarded-For, Forwarded, PROXY protocol.
//!
//! Owns whom to believe: an address is taken from `X-Forwarded-For`, `Forwarded` (RFC 7239) or a PROXY header only
//! where the peer that sent it is trusted, so that nobody else chooses whose limits it counts against.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};

use axum::http::HeaderMap;
use axum::http::header::FORWARDED;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::rate::network;

/// An address, or all that begin with the same bits: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an IP address, nor one with a prefix as in 10.0.0.0/8")]
pub struct ParseNetworkError;

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| ParseNetworkError)?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = prefix.map_or(Ok(bits_max), str::parse).map_err(|_| ParseNetworkError)?;
        if prefix_bits > bits_max {
            return Err(ParseNetworkError);
        }
        Ok(Self { address, prefix_bits })
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let differ = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => u128::from(ours.to_bits() ^ other.to_bits()) << 96,
            (IpAddr::V6(ours), IpAddr::V6(other)) => ours.to_bits() ^ other.to_bits(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        differ.leading_zeros() >= u32::from(self.prefix_bits)
    }
}

/// Whether what `peer` says of its clients is believed.
pub(crate) fn is_trusted(trusted: &[Network], peer: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(peer.to_canonical()))
}

/// Address of the client whose request this is: the peer, or, if that is trusted, the last address in its headers that
/// is not.
///
/// A proxy that maintains one of the two headers passes the other on as its client wrote it. So where both are there
/// they have to agree, and else the client is the peer.
pub(crate) fn client(trusted: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !is_trusted(trusted, peer) {
        return peer;
    }
    let listed: Vec<_> = lines(headers, "x-forwarded-for").flat_map(|line| line.split(',')).map(address).collect();
    let elements: Vec<_> =
        lines(headers, FORWARDED.as_str()).flat_map(|line| unquoted(line, ',')).map(forwarded_for).collect();
    match (listed.as_slice(), elements.as_slice()) {
        (hops, []) | ([], hops) => walk(trusted, peer, hops),
        (listed, elements) => {
            let (one, other) = (walk(trusted, peer, listed), walk(trusted, peer, elements));
            if one == other { one } else { peer }
        }
    }
}

/// A client for limits by address: its IPv4 address, or of IPv6 its /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork(u64);

impl ClientNetwork {
    /// The client of a request that came from `peer`; none where that is a trusted proxy which does not say for whom it
    /// speaks: what one of its clients does is not to count against all.
    #[must_use]
    pub fn of(trusted: &[Network], peer: IpAddr, headers: &HeaderMap) -> Option<Self> {
        let client = client(trusted, peer, headers);
        (!is_trusted(trusted, client)).then(|| Self(network(client)))
    }
}

/// From the peer back along the hops, as long as each is trusted to name the one before. One that cannot be read ends
/// the way.
fn walk(trusted: &[Network], peer: IpAddr, hops: &[Option<IpAddr>]) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        match hop {
            Some(hop) if is_trusted(trusted, client) => client = *hop,
            Some(_) | None => break,
        }
    }
    client
}

/// The lines of a header; an empty text for one that is not ASCII.
fn lines<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default())
}

/// `10.0.0.1`, `10.0.0.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|place: SocketAddr| place.ip()));
    address.map(|address| address.to_canonical())
}

/// The `for` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    unquoted(element, ';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim_matches([' ', '\t']);
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        name.trim_matches([' ', '\t']).eq_ignore_ascii_case("for").then(|| address(value))?
    })
}

/// The parts between separators that do not stand in quotes.
fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |letter| {
        if escaped {
            escaped = false;
        } else {
            escaped = quoted && letter == '\\';
            quoted ^= letter == '"';
        }
        !quoted && letter == separator
    })
}

/// The bytes before a connection's first request.
#[derive(Debug, PartialEq, Eq)]
enum Prelude {
    /// No PROXY header.
    Absent,
    /// The beginning of one, maybe.
    Partial,
    /// A PROXY header of so many bytes. Without a source the connection is the proxy's own.
    Whole { bytes: usize, source: Option<IpAddr> },
    /// One that breaks the PROXY protocol.
    Damaged,
}

/// Bytes of a PROXY header at most: those of version 1 have 107, those of version 2 have room for extensions.
const PRELUDE_BYTES_MAX: usize = 1024;

/// Reads a PROXY header, of version 1 or 2, at the start of a connection.
fn prelude(bytes: &[u8]) -> Prelude {
    const V1: &[u8] = b"PROXY ";
    const V1_BYTES_MAX: usize = 107;
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    if bytes.starts_with(V1) {
        let within = &bytes[..bytes.len().min(V1_BYTES_MAX)];
        return match within.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => match std::str::from_utf8(&within[..end]).ok().and_then(version_1) {
                Some(source) => Prelude::Whole { bytes: end + 2, source },
                None => Prelude::Damaged,
            },
            None if bytes.len() >= V1_BYTES_MAX => Prelude::Damaged,
            None => Prelude::Partial,
        };
    }
    if bytes.starts_with(V2) {
        let &[command, family, high, low, ref rest @ ..] = &bytes[V2.len()..] else { return Prelude::Partial };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let bytes = V2.len() + 4 + length;
        if bytes > PRELUDE_BYTES_MAX || command & 0xFE != 0x20 {
            return Prelude::Damaged;
        }
        let Some(rest) = rest.get(..length) else { return Prelude::Partial };
        let source = match (command & 1, family >> 4) {
            (1, 1) => rest.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
            (1, 2) => rest.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
            // A check of the proxy's own, or a family that is no internet.
            _ => return Prelude::Whole { bytes, source: None },
        };
        return source.map_or(Prelude::Damaged, |source| Prelude::Whole { bytes, source: Some(source.to_canonical()) });
    }
    if V1.starts_with(bytes) || V2.starts_with(bytes) { Prelude::Partial } else { Prelude::Absent }
}

/// Reads a PROXY header, if there is one: for whom the peer speaks. What follows it is left in `unread`.
///
/// # Errors
/// The connection's, or it began as a PROXY header and is none.
pub(crate) async fn proxied(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<IpAddr>> {
    loop {
        match prelude(unread) {
            Prelude::Absent => return Ok(None),
            Prelude::Whole { bytes, source } => {
                unread.drain(..bytes);
                return Ok(source);
            }
            Prelude::Damaged => return Err(io::Error::new(io::ErrorKind::InvalidData, "not a PROXY header")),
            Prelude::Partial => {}
        }
        let mut more = [0; PRELUDE_BYTES_MAX];
        match stream.read(&mut more).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => unread.extend_from_slice(&more[..bytes]),
        }
    }
}

/// A connection whose first bytes were read by whoever looked for a PROXY header.
pub(crate) struct Unread {
    pub(crate) stream: TcpStream,
    pub(crate) bytes: Vec<u8>,
}

impl AsyncRead for Unread {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let taken = self.bytes.len().min(buf.remaining());
        buf.put_slice(&self.bytes[..taken]);
        self.bytes.drain(..taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Unread {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The source of `PROXY TCP4 SOURCE DESTINATION PORT PORT`; none of `PROXY UNKNOWN`.
fn version_1(line: &str) -> Option<Option<IpAddr>> {
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", "TCP4" | "TCP6", source, _, _, _] => source.parse().ok().map(Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn networks(texts: &str) -> Vec<Network> {
        texts.split(' ').map(|text| text.parse().expect("a network")).collect()
    }

    #[test]
    fn a_network_is_an_address_or_those_with_the_same_first_bits() {
        let check = |network: &str, address: &str, expected| {
            let trusted = is_trusted(&networks(network), address.parse().expect("an address"));
            assert_eq!(trusted, expected, "{address} in {network}");
        };
        check("10.0.0.1", "10.0.0.1", true);
        check("10.0.0.1", "::ffff:10.0.0.1", true);
        check("10.0.0.1", "10.0.0.2", false);
        check("10.0.0.0/8", "10.9.9.9", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("2001:db8::/32", "2001:db8:1::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        for text in ["", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "10.0.0/8"] {
            assert_eq!(text.parse::<Network>(), Err(ParseNetworkError), "{text}");
        }
    }

    #[test]
    fn an_address_is_believed_only_of_whom_is_trusted() {
        let check = |peer: &str, lines: &[(&'static str, &'static str)], expected: &str| {
            let mut headers = HeaderMap::new();
            for &(name, value) in lines {
                headers.append(name, HeaderValue::from_static(value));
            }
            let trusted = networks("10.0.0.0/8 2001:db8:1::/48");
            let found = client(&trusted, peer.parse().expect("an address"), &headers);
            assert_eq!(found, expected.parse::<IpAddr>().expect("an address"), "{peer} {lines:?}");
        };
        const XFF: &str = "x-forwarded-for";
        const F: &str = "forwarded";
        check("9.9.9.9", &[(XFF, "1.1.1.1"), (F, "for=1.1.1.1")], "9.9.9.9");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &[(XFF, "1.1.1.1")], "1.1.1.1");
        check("10.0.0.1", &[(XFF, "6.6.6.6, 1.1.1.1")], "1.1.1.1");
        check("10.0.0.1", &[(XFF, "6.6.6.6,1.1.1.1,\t10.0.0.2")], "1.1.1.1");
        check("10.0.0.1", &[(XFF, "6.6.6.6"), (XFF, "1.1.1.1"), (XFF, "10.0.0.2")], "1.1.1.1");
        check("10.0.0.1", &[(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3");
        check("10.0.0.1", &[(XFF, "1.1.1.1, unknown, 10.0.0.2")], "10.0.0.2");
        check("10.0.0.1", &[(XFF, "1.1.1.1, ")], "10.0.0.1");
        check("10.0.0.1", &[(XFF, "1.1.1.1:4711")], "1.1.1.1");
        check("10.0.0.1", &[(XFF, "[2001:db8::1]:4711")], "2001:db8::1");
        check("2001:db8:1::1", &[(XFF, "2001:db8::1")], "2001:db8::1");
        check("10.0.0.1", &[(XFF, "::ffff:1.1.1.1")], "1.1.1.1");
        check("10.0.0.1", &[(F, "for=1.1.1.1")], "1.1.1.1");
        check("10.0.0.1", &[(F, "proto=https;For=\"[2001:db8::1]:4711\";by=x, for=10.0.0.2")], "2001:db8::1");
        check("10.0.0.1", &[(F, "for=6.6.6.6;host=\"a,b;for=7.7.7.7\", for=1.1.1.1")], "1.1.1.1");
        check("10.0.0.1", &[(F, "for=6.6.6.6, for=_hidden")], "10.0.0.1");
        check("10.0.0.1", &[(F, "for=6.6.6.6"), (F, "for=1.1.1.1")], "1.1.1.1");
        check("10.0.0.1", &[(XFF, "1.1.1.1"), (F, "for=1.1.1.1")], "1.1.1.1");
        check("10.0.0.1", &[(XFF, "1.1.1.1"), (F, "for=6.6.6.6")], "10.0.0.1");
    }

    #[test]
    fn limits_by_address_know_a_client_and_no_proxy() {
        let of = |peer: &str, forwarded: &'static str| {
            let mut headers = HeaderMap::new();
            if !forwarded.is_empty() {
                headers.append("x-forwarded-for", HeaderValue::from_static(forwarded));
            }
            ClientNetwork::of(&networks("10.0.0.0/8"), peer.parse().expect("an address"), &headers)
        };
        let check = |one: (&str, &'static str), other: (&str, &'static str), same: bool| {
            let (first, second) = (of(one.0, one.1), of(other.0, other.1));
            assert_eq!(first.is_some() && first == second, same, "{one:?} {other:?}");
        };
        check(("1.1.1.1", ""), ("1.1.1.1", "2.2.2.2"), true);
        check(("10.0.0.1", "1.1.1.1"), ("1.1.1.1", ""), true);
        check(("1.1.1.1", ""), ("1.1.1.2", ""), false);
        check(("2001:db8::1", ""), ("2001:db8::2", ""), true);
        check(("2001:db8::1", ""), ("2001:db8:0:1::1", ""), false);
        check(("10.0.0.1", ""), ("10.0.0.1", ""), false);
        check(("10.0.0.1", "10.0.0.2"), ("10.0.0.1", "10.0.0.2"), false);
    }

    #[test]
    fn a_proxy_header_names_the_source() {
        let check = |bytes: &[u8], expected: Result<(usize, &str), Prelude>| {
            let expected = match expected {
                Ok((bytes, source)) => Prelude::Whole { bytes, source: source.parse().ok() },
                Err(other) => other,
            };
            assert_eq!(prelude(bytes), expected, "{}", bytes.escape_ascii());
            if let Prelude::Whole { bytes: whole, .. } = expected {
                for cut in 0..whole {
                    assert_eq!(prelude(&bytes[..cut]), Prelude::Partial, "{} cut at {cut}", bytes.escape_ascii());
                }
            }
        };
        check(b"PROXY TCP4 1.1.1.1 2.2.2.2 4711 80\r\nGET /", Ok((36, "1.1.1.1")));
        check(b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n", Ok((36, "2001:db8::1")));
        check(b"PROXY UNKNOWN\r\n", Ok((15, "")));
        check(b"PROXY UNKNOWN a b c d\r\n", Ok((23, "")));
        check(b"PROXY TCP4 x 2.2.2.2 4711 80\r\n", Err(Prelude::Damaged));
        check(b"PROXY TCP4 1.1.1.1\r\n", Err(Prelude::Damaged));
        check(&[b"PROXY ".as_slice(), &[b'x'; 101]].concat(), Err(Prelude::Damaged));
        let version_2 = |command: u8, family: u8, rest: &[u8]| {
            let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
            [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length, rest].concat()
        };
        check(&version_2(0x21, 0x11, &[1, 1, 1, 1, 2, 2, 2, 2, 0, 9, 0, 80]), Ok((28, "1.1.1.1")));
        check(
            &version_2(0x21, 0x11, &[&[1, 1, 1, 1, 2, 2, 2, 2, 0, 9, 0, 80][..], &[0; 9]].concat()),
            Ok((37, "1.1.1.1")),
        );
        check(
            &version_2(0x21, 0x21, &[[0x20; 16], [0; 16]].concat()),
            Ok((48, "2020:2020:2020:2020:2020:2020:2020:2020")),
        );
        check(&version_2(0x20, 0x00, &[]), Ok((16, "")));
        check(&version_2(0x21, 0x31, &[0; 216]), Ok((232, "")));
        check(&version_2(0x21, 0x11, &[1, 1]), Err(Prelude::Damaged));
        check(&version_2(0x11, 0x11, &[0; 12]), Err(Prelude::Damaged));
        check(&version_2(0x21, 0x11, &[0; 2000]), Err(Prelude::Damaged));
        check(b"GET / HTTP/1.1\r\n", Err(Prelude::Absent));
        check(b"POST /", Err(Prelude::Absent));
        check(b"\r\n\r\nGET /", Err(Prelude::Absent));
    }
}
