//! Question to a running node, by its internal listener.
//!
//! Owns as much of HTTP as that takes: one request a connection, an answer of known length.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::config::Mode;

use super::settings::Settings;

/// How long a node may take for each step: it answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer: 256 nodes with 256 links each are some 30 MB at the very worst.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Asks, and returns what was answered; nothing if nobody listens there.
///
/// # Errors
/// Whoever listens there is no node, or refuses.
pub(super) fn ask(internal: SocketAddr, method: &str, path: &str) -> anyhow::Result<Option<String>> {
    ask_with(internal, method, path, "")
}

/// The same, with a JSON body.
///
/// # Errors
/// As [`ask`]; a refusal in the node's own words.
fn ask_with(internal: SocketAddr, method: &str, path: &str, body: &str) -> anyhow::Result<Option<String>> {
    let at = reachable(internal);
    let stream = match TcpStream::connect_timeout(&at, PATIENCE) {
        Ok(stream) => stream,
        Err(error) if nobody(&error) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot ask the node at {at}")),
    };
    let answer = talk(stream, at, method, path, body).with_context(|| format!("the node at {at} does not answer"))?;
    let Some((status, body)) = parted(&answer) else { anyhow::bail!("what listens on {at} is no node") };
    let problem: Option<Value> = serde_json::from_str(body).ok();
    let said = problem.as_ref().and_then(|problem| problem["detail"].as_str()).unwrap_or(body.trim());
    ensure!((200..300).contains(&status), "the node at {at} answers {method} {path} with {status}: {said}");
    Ok(Some(body.to_owned()))
}

/// What the node at `listen.internal` of a configuration answers, as JSON.
///
/// # Errors
/// As [`ask_with`]; nobody listens there.
pub(super) fn asked(settings: &Settings, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
    let internal = settings.load(Mode::Run)?.internal;
    let Some(text) = ask_with(internal, method, path, body)? else {
        bail!("no node answers at {internal}; name another with --internal");
    };
    serde_json::from_str(&text).context("the node's answer is of another version of this program")
}

fn nobody(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

fn talk(mut stream: TcpStream, at: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// The status and the body.
fn parted(answer: &str) -> Option<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
    Some((status, body))
}

/// A node that listens on every address is found on this machine's own.
fn reachable(at: SocketAddr) -> SocketAddr {
    let loopback: IpAddr = if at.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    if at.ip().is_unspecified() { SocketAddr::new(loopback, at.port()) } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let check = |answer: &str, expected: Option<(u16, &str)>| assert_eq!(parted(answer), expected, "{answer:?}");
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", Some((200, "{}")));
        check("HTTP/1.1 503 \r\n\r\n", Some((503, "")));
        check("SSH-2.0-OpenSSH_9.2\r\n\r\n", None);
        check("HTTP/1.1 200 OK\r\n", None);
    }

    #[test]
    fn a_node_that_listens_everywhere_is_asked_on_loopback() {
        let check = |at: &str, expected: &str| {
            let at: SocketAddr = at.parse().expect("an address");
            assert_eq!(reachable(at).to_string(), expected);
        };
        check("0.0.0.0:9000", "127.0.0.1:9000");
        check("[::]:9000", "[::1]:9000");
        check("10.0.0.1:9000", "10.0.0.1:9000");
    }
}
