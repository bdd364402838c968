//! Bounds of a connection of HTTP/2: requests at once, their heads, what is buffered, and how long it may idle.
//!
//! Owns the numbers, the count of requests under way on a connection, and how a request of HTTP/2 says its host. There is
//! HTTP/2 within TLS alone. Heads that are too long are answered with 431 by hyper, without a body.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{HeaderValue, Request, Version};
use http_body_util::BodyExt as _;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;
use tokio::time::timeout;

/// Requests of one connection at once. A page asks for some 40 files and then for a few answers; those beyond wait in the
/// browser.
const STREAMS_MAX: u32 = 32;
/// Bytes of a request's head, as HTTP/2 counts them: 32 bytes a header more than its text. 32 requests on each of 1,024
/// connections have 512 MB of them at most.
const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// Bytes of one request's body that are buffered, and of an answer's: what a connection of HTTP/1.1 may.
const STREAM_BYTES_MAX: u32 = 64 * 1024;
/// Bytes of all bodies of a connection that are buffered.
const CONNECTION_BYTES_MAX: u32 = 128 * 1024;
/// Silence after which a client whose requests are under way is pinged.
const PING_AFTER: Duration = Duration::from_secs(15);
/// How long its answer may take.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Server connections within these bounds. Of streams that are reset before they are answered 20 may wait (h2's default);
/// beyond them the connection ends, so that resets cost a client its connection and the server little.
pub(crate) fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .initial_stream_window_size(STREAM_BYTES_MAX)
        .initial_connection_window_size(CONNECTION_BYTES_MAX)
        .max_send_buf_size(STREAM_BYTES_MAX as usize)
        .max_local_error_reset_streams(STREAMS_MAX as usize)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PONG_WITHIN);
    builder
}

/// Gives a request of HTTP/2 the `Host` that handlers read, from its `:authority`. One that has both, and they differ, gets
/// a second, for which it is refused.
pub(crate) fn name_host(request: &mut Request<Body>) {
    debug_assert_eq!(request.version(), Version::HTTP_2, "a connection speaks one version");
    let Some(authority) = request.uri().authority() else { return };
    let Ok(host) = HeaderValue::from_str(authority.as_str()) else { return };
    if request.headers().get(HOST).is_none_or(|named| !named.as_bytes().eq_ignore_ascii_case(host.as_bytes())) {
        request.headers_mut().append(HOST, host);
    }
}

/// A body that keeps something until it was sent, or given up.
pub(crate) fn hold(body: Body, held: impl Send + 'static) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &held;
        frame
    }))
}

/// Requests of one connection: how many are under way, and how many there have been.
#[derive(Debug, Clone)]
pub(crate) struct UnderWay(watch::Sender<Counted>);

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    open: u32,
    begun: u64,
}

impl Default for UnderWay {
    fn default() -> Self {
        Self(watch::Sender::new(Counted::default()))
    }
}

impl UnderWay {
    /// One more, until what is returned is dropped.
    pub(crate) fn enter(&self) -> Entered {
        self.0.send_modify(|counted| *counted = Counted { open: counted.open + 1, begun: counted.begun + 1 });
        Entered(self.0.clone())
    }

    /// Ends once none was under way for so long.
    pub(crate) async fn idle(&self, within: Duration) {
        const HELD: &str = "the sender is held here";
        let mut counted = self.0.subscribe();
        loop {
            let before = counted.wait_for(|counted| counted.open == 0).await.expect(HELD).begun;
            let next = async { counted.wait_for(|counted| counted.begun > before).await.map(drop) };
            if timeout(within, next).await.is_err() {
                return;
            }
        }
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Entered(watch::Sender<Counted>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.send_modify(|counted| counted.open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[test]
    fn a_request_has_one_host() {
        let check = |target: &str, host: Option<&str>, expected: &[&str]| {
            let mut request = Request::builder().uri(target).version(Version::HTTP_2);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let mut request = request.body(Body::empty()).expect("a request");
            name_host(&mut request);
            let found: Vec<_> = request.headers().get_all(HOST).iter().collect();
            assert_eq!(found, expected, "{target} {host:?}");
        };
        check("https://a.example/x", None, &["a.example"]);
        check("https://a.example:81/x", Some("A.example:81"), &["A.example:81"]);
        check("/x", Some("a.example"), &["a.example"]);
        check("/x", None, &[]);
        // Refused as two are (http1).
        check("https://a.example/x", Some("b.example"), &["b.example", "a.example"]);
    }

    /// Milliseconds at which requests begin and end, and between which the connection was found idle after 200 ms.
    #[test]
    fn a_connection_is_idle_once_none_is_under_way() {
        let check = |requests: &[(u64, u64)], from_ms: u128, to_ms: u128| {
            let runtime = runtime::Builder::new_current_thread().enable_time().build();
            let elapsed_ms = runtime.expect("a runtime").block_on(async {
                let (begun, under_way) = (Instant::now(), UnderWay::default());
                for &(from_ms, to_ms) in requests {
                    let under_way = under_way.clone();
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(from_ms)).await;
                        let _entered = under_way.enter();
                        sleep(Duration::from_millis(to_ms - from_ms)).await;
                    });
                }
                under_way.idle(Duration::from_millis(200)).await;
                begun.elapsed().as_millis()
            });
            assert!((from_ms..to_ms).contains(&elapsed_ms), "{requests:?}: {elapsed_ms} ms");
        };
        check(&[], 200, 5_000);
        check(&[(50, 500)], 700, 5_000);
        check(&[(100, 100)], 300, 5_000);
        check(&[(50, 500), (200, 300)], 700, 5_000);
        check(&[(5_000, 9_000)], 200, 5_000);
    }
}
