//! Bounds of a connection of HTTP/2: requests at once, their heads, what is buffered, and how long it may idle.
//!
//! Owns the numbers, the places and the count of requests under way, and how a request of HTTP/2 says its host. There is
//! HTTP/2 within TLS alone. Heads that are too long are answered with 431 by hyper, without a body.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{HeaderValue, Request, Version};
use http_body_util::BodyExt as _;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

/// Requests of one connection at once. A page asks for some 40 files and then for a few answers; those beyond wait in the
/// browser.
const STREAMS_MAX: u32 = 32;
/// Requests of one connection that need no place among those of all: two tabs of a page that follow something, and a request
/// each. 1,024 connections have 4,096 beside the 1,024 that they share.
const OWN_PLACES: usize = 4;
/// Bytes of a request's head, as HTTP/2 counts them: 32 bytes a header more than its text. 32 requests on each of 1,024
/// connections have 512 MB of them at most.
const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// Bytes of one request's body that are buffered, and of an answer's: what a connection of HTTP/1.1 may.
const STREAM_BYTES_MAX: u32 = 64 * 1024;
/// Bytes of all bodies of a connection that are buffered.
const CONNECTION_BYTES_MAX: u32 = 128 * 1024;
/// Silence after which a client whose requests are under way is pinged.
const PING_AFTER: Duration = Duration::from_secs(15);
/// Time limit of its answer.
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

/// Places of requests under way: a few that a connection has to itself, and those that all share.
///
/// A client that opens no window takes no answer, and keeps its places for as long as its connection may be there. If all were
/// shared, a few dozen such connections would keep out everybody.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    own: Arc<Semaphore>,
    shared: Arc<Semaphore>,
}

impl Places {
    /// Those of a new connection.
    pub(crate) fn new(shared: Arc<Semaphore>) -> Self {
        Self { own: Arc::new(Semaphore::new(OWN_PLACES)), shared }
    }

    /// Whether the next request has to wait for one.
    pub(crate) fn are_taken(&self) -> bool {
        self.own.available_permits() == 0 && self.shared.available_permits() == 0
    }

    /// One of its own, or else one that is shared, once there is any.
    pub(crate) async fn take(&self) -> OwnedSemaphorePermit {
        let place = tokio::select! {
            biased;
            place = Arc::clone(&self.own).acquire_owned() => place,
            place = Arc::clone(&self.shared).acquire_owned() => place,
        };
        place.expect("the semaphores are never closed")
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
    use std::collections::BTreeMap;

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

    /// Requests that ask for a place, by their connection's letter, and those that have one; `-a` is an end of one of a's.
    #[test]
    fn who_takes_no_answer_keeps_no_other_connection_out() {
        let check = |row: &str| {
            let (asked, expected) = row.split_once(" => ").expect("asked => have one");
            let shared = Arc::new(Semaphore::new(3));
            let runtime = runtime::Builder::new_current_thread().enable_time().build();
            let had: Vec<String> = runtime.expect("a runtime").block_on(async {
                let (mut connections, mut had) = (BTreeMap::new(), Vec::<(char, OwnedSemaphorePermit)>::new());
                for word in asked.split(' ') {
                    let letter = word.chars().next_back().expect("a letter");
                    let places = connections.entry(letter).or_insert_with(|| Places::new(Arc::clone(&shared)));
                    if word.starts_with('-') {
                        drop(had.remove(had.iter().position(|(of, _)| *of == letter).expect("it has one")));
                        continue;
                    }
                    let waits = places.are_taken();
                    let place = timeout(Duration::from_millis(5), places.take()).await;
                    assert_eq!(waits, place.is_err(), "{row}: {word}");
                    had.extend(place.map(|place| (letter, place)));
                }
                connections
                    .keys()
                    .map(|&letter| format!("{letter}{}", had.iter().filter(|(of, _)| *of == letter).count()))
                    .collect()
            });
            assert_eq!(had.join(" "), expected, "{row}");
        };
        check("a a a => a3");
        check("a a a a a a a a a => a7");
        check("a a a a a a a a b b b b b => a7 b4");
        check("a a a a a a a b -b b => a7 b1");
        check("a a a a b b b b a b a b a => a6 b5");
        check("a a a a b b b b b b b -b b a => a4 b7");
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
