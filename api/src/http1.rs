//! HTTP/1.1's rules that hyper leaves to its user.
//!
//! Owns which requests are refused before they are routed, and the words of those that hyper refuses by itself: they
//! get a status from it and no body, and here the problem that every other error has.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, HOST, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Version};
use schema::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::Node;
use crate::counts::Bound;
use crate::problem::Problem;

/// Reason to refuse a request whatever it asks for.
pub(crate) fn refusal(request: &Request) -> Option<Problem> {
    let headers = request.headers();
    let bad = |detail: &str| Some(Problem::bad_request(detail).because(Bound::Request));
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        // HTTP/1.0 knows no Host.
        (None, _) if request.version() < Version::HTTP_11 => {}
        (None, _) if request.version() == Version::HTTP_2 => {
            return bad("a request of HTTP/2 names an authority (RFC 9113, section 8.3.1)");
        }
        (None, _) => return bad("a request of HTTP/1.1 has a Host header (RFC 9112, section 3.2)"),
        (Some(_), Some(_)) => return bad("Host is there more than once"),
        (Some(host), None) if !is_host(host.as_bytes()) => return bad("Host is no name or address with a port"),
        (Some(_), None) => {}
    }
    if list(headers, TRANSFER_ENCODING.as_str()).any(|coding| !coding.eq_ignore_ascii_case("chunked")) {
        let detail = "send the body as it is or in chunks: no other Transfer-Encoding is known here";
        return Some(Problem::bad_request(detail).with_status(StatusCode::NOT_IMPLEMENTED).because(Bound::Request));
    }
    if list(headers, CONTENT_ENCODING.as_str()).any(|coding| !coding.eq_ignore_ascii_case("identity")) {
        let detail = "send the body as it is: no Content-Encoding is known here";
        return Some(
            Problem::bad_request(detail).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE).because(Bound::Request),
        );
    }
    None
}

fn is_host(bytes: &[u8]) -> bool {
    Authority::try_from(bytes).is_ok_and(|host| !host.as_str().contains('@'))
}

/// The members of a list over all lines of a header; one that is not ASCII is a member that equals nothing.
fn list<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("?"));
    lines
        .flat_map(|line| line.split(','))
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
}

/// A connection's bytes, with bodies for hyper's own refusals.
pub(crate) struct Stream<T> {
    inner: T,
    node: Arc<dyn Node>,
    /// Whether a line has ended since the last answer: else what is too long is the target.
    line_ended: bool,
    replacement: Option<Replacement>,
}

/// Replacement for a refusal of hyper's.
struct Replacement {
    bytes: Vec<u8>,
    written: usize,
}

impl<T> Stream<T> {
    pub(crate) fn new(inner: T, node: Arc<dyn Node>) -> Self {
        Self { inner, node, line_ended: false, replacement: None }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stream<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.line_ended |= buf.filled()[before..].contains(&b'\n');
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.replacement.is_none() {
            let Some((problem, head)) = words(buf, std::mem::take(&mut this.line_ended)) else {
                return Pin::new(&mut this.inner).poll_write(cx, buf);
            };
            this.node.http_counts().add(problem.bound());
            this.replacement = Some(Replacement { bytes: problem.into_bytes(head), written: 0 });
        }
        let Some(Replacement { bytes, written }) = &mut this.replacement else { unreachable!("set just now") };
        while *written < bytes.len() {
            match ready!(Pin::new(&mut this.inner).poll_write(cx, &bytes[*written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written += more,
            }
        }
        this.replacement = None;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// If `bytes` are an error of hyper's own, what it lacks, and its head without the length of no body. None of our
/// errors is without a body, and hyper writes its own alone: no answer follows it, and those before it are flushed.
fn words(bytes: &[u8], line_ended: bool) -> Option<(Problem, String)> {
    let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let (status, rest) = head.strip_prefix("HTTP/1.1 ")?.split_once(' ')?;
    let status = if status == "431" && !line_ended { "414" } else { status };
    let fields = rest.split_once("\r\n").map_or("", |(_, fields)| fields);
    let problem = match status {
        "400" => Problem::bad_request("this is no request of HTTP/1.1").because(Bound::Request),
        "414" => Problem::new(ErrorCode::LimitExceeded, "the target of a request has at most 64 KiB")
            .with_status(StatusCode::URI_TOO_LONG)
            .because(Bound::Head),
        "431" => Problem::new(ErrorCode::LimitExceeded, "the head of a request has at most 64 KiB and 100 headers")
            .with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            .because(Bound::Head),
        _ => return None,
    };
    let mut fields: Vec<&str> = fields.split("\r\n").collect();
    let empty = fields.iter().position(|field| *field == "content-length: 0")?;
    fields.remove(empty);
    let head = format!("HTTP/1.1 {}", problem.status());
    Some((problem, fields.into_iter().fold(head, |head, field| head + "\r\n" + field)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_without_a_body_gets_one() {
        let check = |answer: &str, line_ended: bool, expected: Option<u16>| {
            let answer = answer.replace(' ', "\r\n").replace('_', " ");
            let found = words(answer.as_bytes(), line_ended).map(|(problem, head)| {
                let bytes = String::from_utf8(problem.into_bytes(head)).expect("text");
                let (head, body) = bytes.split_once("\r\n\r\n").expect("a body follows");
                assert!(head.starts_with(&format!("HTTP/1.1 {} ", expected.expect("an error"))), "{bytes}");
                assert_eq!(head.matches("content-length").count(), 1, "{bytes}");
                assert!(head.ends_with(&format!("\r\ncontent-length: {}", body.len())), "{bytes}");
                let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
                u16::try_from(body["status"].as_u64().expect("a number")).expect("a status")
            });
            assert_eq!(found, expected, "{answer}");
        };
        check("HTTP/1.1_431_x connection:_close content-length:_0 date:_y  ", true, Some(431));
        check("HTTP/1.1_431_x connection:_close content-length:_0 date:_y  ", false, Some(414));
        check("HTTP/1.1_414_x content-length:_0  ", true, Some(414));
        check("HTTP/1.1_400_x content-length:_0  ", false, Some(400));
        check("HTTP/1.1_400_x content-length:_2  {}", true, None);
        check("HTTP/1.1_400_x content-length:_2  ", true, None);
        check("HTTP/1.1_200_x content-length:_0  ", true, None);
        check("HTTP/1.1_204_x  ", true, None);
    }
}
