//! Errors that end a run: which address, which error, which remedy.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;
use wire::HandshakeError;

use super::opening::OPENING_MAX;

/// The run ends with it: figures for fewer connections than were asked for would mislead. Only a workload whose
/// connections come back takes one that is the server's for one more try.
/// `number` is the connection's, from 0.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("cannot connect to {address} (connection {number}){}", remedy(source))]
    Connect { address: SocketAddr, number: usize, source: io::Error },
    #[error("{address} did not upgrade connection {number} to WebSocket at {path}; is the URL right?")]
    Upgrade { address: SocketAddr, number: usize, path: String, source: HandshakeError },
    #[error("{address} closed connection {number} before it answered the upgrade; is it at its limit of connections?")]
    Closed { address: SocketAddr, number: usize },
    #[error(
        "{address} left connection {number} unanswered for {} s; is it overloaded, or its backlog of connections \
         shorter than --opening?", OPENING_MAX.as_secs()
    )]
    Timeout { address: SocketAddr, number: usize },
    #[error("epoll failed")]
    Poll(#[source] io::Error),
}

impl EngineError {
    /// Whether it is this machine's, so that no other try will do better.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Self::Connect { source, .. } => matches!(
                source.raw_os_error().map(Errno::from_raw_os_error),
                Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL)
            ),
            Self::Upgrade { .. } | Self::Closed { .. } | Self::Timeout { .. } => false,
            Self::Poll(_) => true,
        }
    }

    /// What happened, without the connection that it happened to.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Connect { source, .. } => format!("cannot connect: {source}"),
            Self::Upgrade { source, .. } => format!("no upgrade: {source}"),
            Self::Closed { .. } => "closed before the upgrade was answered".to_owned(),
            Self::Timeout { .. } => "the upgrade was not answered in time".to_owned(),
            Self::Poll(error) => error.to_string(),
        }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED) => "; nothing listens there: is the node running, is the port right?",
        Some(Errno::MFILE | Errno::NFILE) => "; the file limit is reached: raise it (`ulimit -n`) or ask for fewer",
        Some(Errno::ADDRNOTAVAIL) => {
            "; no local port is free: widen net.ipv4.ip_local_port_range, or wait a minute for closed ones"
        }
        Some(Errno::TIMEDOUT) => "; is the address reachable from here?",
        Some(Errno::CONNRESET) => "; the server refused it: is it at its limit of connections or files?",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_address_the_error_and_the_remedy() {
        check(
            Errno::CONNREFUSED,
            "127.0.0.1:8001 (connection 7); nothing listens there: is the node running, is the port right?: Connection refused (os error 111)",
        );
        check(
            Errno::MFILE,
            "the file limit is reached: raise it (`ulimit -n`) or ask for fewer: Too many open files (os error 24)",
        );
        check(Errno::ADDRNOTAVAIL, "no local port is free: widen");
        check(Errno::CONNRESET, "the server refused it: is it at its limit");
    }

    fn check(errno: Errno, expected: &str) {
        let address = "127.0.0.1:8001".parse().unwrap();
        let source = io::Error::from_raw_os_error(errno.raw_os_error());
        let said = format!("{:#}", anyhow::Error::new(EngineError::Connect { address, number: 7, source }));
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    }
}
