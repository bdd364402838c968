//! Connecting to a service: a name is resolved, each address judged, and one of them connected to.
//!
//! Owns the order of these. Whom it may connect to is the guard's; TLS and HTTP lie above.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tower_service::Service;

use super::guard::{Guard, host_of};

/// For one address: another may answer where this one does not, within one attempt.
const CONNECT_MS_MAX: u64 = 5_000;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 3;

/// Why there is no connection. Names no address: the endpoint is somebody's.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The name is not known, or nobody answers who knows.
    #[error("its name does not resolve")]
    Name(#[source] io::Error),
    /// Every address of the name is one that the guard refuses.
    #[error("it is on a private or reserved address")]
    Refused,
    /// Nobody listens there, or nothing comes back.
    #[error("it cannot be connected to")]
    Connect(#[source] io::Error),
}

/// Makes connections, of an operator's URLs without a guard.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) guard: Option<Guard>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let guard = self.guard;
        Box::pin(async move { connect(guard, &uri).await.map(TokioIo::new) })
    }
}

async fn connect(guard: Option<Guard>, uri: &Uri) -> Result<TcpStream, ConnectError> {
    let host = host_of(uri.host().unwrap_or_default());
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    let found = lookup_host((host, port)).await.map_err(ConnectError::Name)?;
    let allowed = |at: &SocketAddr| guard.is_none_or(|guard| guard.allows(at.ip()));
    let mut last = ConnectError::Refused;
    for address in found.filter(allowed).take(ADDRESSES_MAX) {
        match timeout(Duration::from_millis(CONNECT_MS_MAX), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(ConnectError::Connect)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = ConnectError::Connect(error),
            Err(_) => last = ConnectError::Connect(io::ErrorKind::TimedOut.into()),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_private_address_is_refused_at_connect_whatever_names_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let check = async |guard, host: &str, expected: &str| {
            let uri = format!("http://{host}:{port}/").parse().expect("a URL");
            let found = match connect(guard, &uri).await {
                Ok(_) => "connected".to_owned(),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expected, "{host}");
        };
        let (strict, lenient) = (Some(Guard::default()), Some(Guard { allow_loopback: true }));
        check(None, "127.0.0.1", "connected").await;
        check(lenient, "127.0.0.1", "connected").await;
        check(lenient, "localhost", "connected").await;
        check(strict, "127.0.0.1", "it is on a private or reserved address").await;
        // Names for it: what a hosts file or somebody's zone says, and forms that only a resolver reads.
        check(strict, "localhost", "it is on a private or reserved address").await;
        check(strict, "2130706433", "it is on a private or reserved address").await;
        check(strict, "127.1", "it is on a private or reserved address").await;
        check(lenient, "10.0.0.1", "it is on a private or reserved address").await;
    }

    #[tokio::test]
    async fn who_does_not_listen_cannot_be_connected_to() {
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("bound").local_addr().expect("bound");
        let error = connect(None, &format!("http://{closed}/").parse().expect("a URL")).await.expect_err("closed");
        assert_eq!(error.to_string(), "it cannot be connected to");
    }
}
