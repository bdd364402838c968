//! The server of every fake but that of mail: HTTP/1.1 and HTTP/2 without TLS on a port of loopback.
//!
//! Owns the connections and what a profile does. What a request in order is, and in which form it is refused, is each
//! service's.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use crate::control;
use crate::ledger::{Ledger, Received};
use crate::profile::Profile;

/// Bytes of a request's body.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// As Apple's: requests that may be under way on one connection of HTTP/2.
const STREAMS_MAX: u32 = 1_000;

pub(crate) type Answer = Response<Full<Bytes>>;

/// How a request in order is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Throttled { retry_after_s: u32 },
    Gone,
    BadCredentials,
    Unavailable,
}

/// What a service makes of a request.
pub(crate) enum Judged {
    /// It asks to take a message, and is in order: the message, and what is answered if it is taken.
    Message(Box<Received>, Answer),
    /// It is something else, and this is the answer.
    Other(Answer),
    /// It is not in order: why, and the answer.
    Faulty(String, Answer),
}

/// One service.
pub(crate) trait Service: Send + Sync + 'static {
    /// Judges a request as the real one does.
    fn judge(&self, request: &Request<Bytes>) -> Judged;

    /// A refusal in the service's form; by its status alone, unless the service says more.
    fn refuse(&self, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::Throttled { retry_after_s } => retry_after(answer(429, ""), retry_after_s),
            Refusal::Gone => answer(410, ""),
            Refusal::BadCredentials => answer(401, ""),
            Refusal::Unavailable => answer(503, ""),
        }
    }

    /// From now on requests are signed with this, where they are.
    fn expect(&self, secret: &str) {
        let _ = secret;
    }

    /// What follows when a message was taken, such as word of its delivery. `is_new` is false for a repetition.
    fn taken(&self, received: &Received, is_new: bool) {
        let _ = (received, is_new);
    }
}

/// Told of each message that was taken for the first time: the service's name, and the message.
pub type Observer = Arc<dyn Fn(&str, &Received) + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) name: &'static str,
    pub(crate) ledger: Ledger,
    pub(crate) profile: Mutex<Profile>,
    pub(crate) goaway: watch::Sender<u64>,
    pub(crate) observer: Option<Observer>,
}

impl Shared {
    pub(crate) fn profile(&self) -> Profile {
        *self.profile.lock().expect("nobody panics with it")
    }

    /// Takes a message, and tells whoever observes of one that is new. Whether it is.
    pub(crate) fn take(&self, mut received: Received) -> bool {
        received.at_ms = unix_ms();
        let shown = self.observer.as_ref().map(|observer| (observer, received.clone()));
        let is_new = self.ledger.take(received);
        if let Some((observer, received)) = shown.filter(|_| is_new) {
            observer(self.name, &received);
        }
        is_new
    }

    pub(crate) fn set_profile(&self, profile: Profile) {
        *self.profile.lock().expect("nobody panics with it") = profile;
    }
}

/// Binds a port of loopback.
pub(crate) fn bind() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Accepts connections until it is dropped.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, service: Arc<dyn Service>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                drop(tokio::spawn(connection(stream, Arc::clone(&shared), Arc::clone(&service))));
            }
            // Too many descriptors, or a peer that has gone: neither ends a fake.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, of: Arc<dyn Service>) {
    // Only costs time.
    let _ = stream.set_nodelay(true);
    let mut goaway = shared.goaway.subscribe();
    let cut = Arc::new(Notify::new());
    let service = {
        let cut = Arc::clone(&cut);
        service_fn(move |request: Request<Incoming>| {
            let (shared, of, cut) = (Arc::clone(&shared), Arc::clone(&of), Arc::clone(&cut));
            async move { Ok::<_, Infallible>(respond(&shared, &*of, request, &cut).await) }
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(STREAMS_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            // Whatever a peer does with its connection is no concern of a fake.
            _ = connection.as_mut() => return,
            () = cut.notified() => return,
            changed = goaway.changed() => match changed {
                Ok(()) => connection.as_mut().graceful_shutdown(),
                Err(_) => return,
            },
        }
    }
}

async fn respond(shared: &Shared, service: &dyn Service, request: Request<Incoming>, cut: &Notify) -> Answer {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, REQUEST_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return answer(413, ""),
    };
    let request = Request::from_parts(head, body);
    if let Some(answer) = control::respond(shared, service, &request) {
        return answer;
    }
    let (received, ok) = match service.judge(&request) {
        Judged::Message(received, ok) => (received, ok),
        Judged::Other(answer) => return answer,
        Judged::Faulty(why, answer) => {
            shared.ledger.asked();
            shared.ledger.faulty(&why);
            return answer;
        }
    };
    let number = shared.ledger.asked();
    let refuse = |refusal| service.refuse(refusal);
    let profile = shared.profile();
    match profile {
        Profile::Throttle { retry_after_s } => return refuse(Refusal::Throttled { retry_after_s }),
        Profile::Gone => return refuse(Refusal::Gone),
        Profile::BadCredentials => return refuse(Refusal::BadCredentials),
        Profile::Unavailable => return refuse(Refusal::Unavailable),
        Profile::Flaky { one_of } if number.is_multiple_of(one_of.into()) => return refuse(Refusal::Unavailable),
        Profile::Hang => pending().await,
        Profile::Slow { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
        Profile::Ok | Profile::Drop | Profile::Flaky { .. } => {}
    }
    let is_new = shared.take(Received::clone(&received));
    service.taken(&received, is_new);
    if profile == Profile::Drop {
        cut.notify_one();
        pending().await
    }
    ok
}

/// An answer with this text.
pub(crate) fn answer(status: u16, text: impl Into<Bytes>) -> Answer {
    Response::builder().status(status).body(Full::from(text.into())).expect("statuses are legal here")
}

/// An answer with this JSON.
pub(crate) fn json(status: u16, value: &serde_json::Value) -> Answer {
    let mut answer = answer(status, value.to_string());
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    answer
}

/// The same with a `Retry-After`.
pub(crate) fn retry_after(mut answer: Answer, seconds: u32) -> Answer {
    answer.headers_mut().insert("retry-after", seconds.into());
    answer
}

/// A header's text; empty if there is none.
pub(crate) fn header<'a>(request: &'a Request<Bytes>, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
