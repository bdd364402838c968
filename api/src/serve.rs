//! The listeners: connections in, requests to the router, and an end when the node stops.
//!
//! Owns a thread for each listener, its single-threaded runtime, and the bounds in number and time of everything that a
//! client can keep open. Knows no route. Without TLS it is HTTP/1.1, within TLS what the client prefers of that and HTTP/2. A connection ends by itself when its head takes too long, when its request
//! does, when it is old, and at the latest [`Limits::stop`] after the server was told to stop.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kv::Engine;
use schema::ErrorCode;
use timeline::Reader;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tower_service::Service;

use crate::config::{Config, Limits, Node};
use crate::counts::Bound;
use crate::following::Until;
use crate::http1::Stream;
use crate::http2::{self, Places, UnderWay};
use crate::issuers::Tokens;
use crate::password::Passwords;
use crate::problem::Problem;
use crate::proxy::{Network, Unread, is_trusted, proxied};
use crate::routes;
use crate::shards::Shards;
use crate::state::Api;
use crate::sweep;
use crate::tls::{self, Tls};

/// Bytes that a connection of HTTP/1.1 may buffer of a head, and of a body at a time.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Pause after an accept that failed, for want of descriptors most likely: some will be closed meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that runs. Dropping it stops the server without waiting for it.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Stops accepting and lets open requests end, within [`Limits::stop`]. Does not wait; may be repeated.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether the server has ended, asked to or not.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops, and waits until the server has ended.
    ///
    /// # Panics
    /// If the server's thread did.
    pub fn join(self) {
        self.stop();
        self.thread.join().expect("the thread that serves HTTP does not panic");
    }
}

/// Serves clients on a thread of its own, named `api`, until it is stopped.
///
/// Reads go to `engine` on that thread, those of news feeds to `feeds`; what changes channels goes through `shards`.
///
/// # Errors
/// If the socket, a thread, the password cost or the WebSocket's address is not usable.
pub fn serve<E: Engine, S: Shards>(
    config: Config,
    listener: TcpListener,
    engine: E,
    shards: S,
    feeds: Arc<Reader<E>>,
    tokens: Tokens,
    node: Arc<dyn Node>,
) -> io::Result<Running> {
    for origin in [&config.ws_origin, &config.api_origin] {
        if !origin.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{origin:?} is no address")));
        }
    }
    let limits = config.limits;
    let passwords = Passwords::start(config.password_cost)?;
    let document = routes::openapi::render(config.dev_users.is_some());
    let (trusted, tls) = (config.trusted_proxies.clone().into(), config.tls.clone());
    let api = Api::new(config, (engine, shards, feeds), tokens, Arc::clone(&node), passwords, document);
    let requests = Arc::new(Semaphore::new(limits.connections_max));
    let sweep = sweep::run(api.clone());
    let serving = Serving { router: routes::public(api), trusted, tls, requests, limits, node };
    start("api", listener, serving, limits.connections_max, sweep)
}

/// Serves probes and scrapers on a thread of its own, named `internal`, until it is stopped.
///
/// Needs no store: a node that waits for one says so here.
///
/// # Errors
/// If the socket or a thread is not usable.
pub fn serve_internal(listener: TcpListener, limits: Limits, node: Arc<dyn Node>) -> io::Result<Running> {
    let router = routes::internal(Arc::clone(&node));
    let requests = Arc::new(Semaphore::new(limits.internal_connections_max));
    let serving = Serving { router, trusted: [].into(), tls: None, requests, limits, node };
    start("internal", listener, serving, limits.internal_connections_max, std::future::ready(()))
}

/// The state of every connection of a listener.
#[derive(Clone)]
struct Serving {
    router: Router,
    /// Peers that may say for whom they speak.
    trusted: Arc<[Network]>,
    tls: Option<Tls>,
    /// A place for each request of HTTP/2 that is under way beyond the few that a connection has to itself: of them no more than
    /// HTTP/1.1's connections could have.
    requests: Arc<Semaphore>,
    limits: Limits,
    node: Arc<dyn Node>,
}

fn start(
    name: &str,
    listener: TcpListener,
    serving: Serving,
    connections_max: usize,
    beside: impl Future<Output = ()> + Send + 'static,
) -> io::Result<Running> {
    listener.set_nonblocking(true)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let (stop, stopped) = watch::channel(false);
    let tls = serving.tls.clone();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Some(tls) = tls {
            // Ends with the runtime.
            drop(runtime.spawn(tls.renew()));
        }
        drop(runtime.spawn(beside));
        runtime.block_on(accept(listener, serving, connections_max, stopped));
        // Drops what did not end in time.
        runtime.shutdown_background();
    })?;
    Ok(Running { stop, thread })
}

/// Accepts until stopped, at most `connections_max` at once, then waits for those that are open.
async fn accept(
    listener: tokio::net::TcpListener,
    serving: Serving,
    connections_max: usize,
    stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(connections_max));
    let mut stop = stopped.clone();
    loop {
        let next = async {
            let waits = places.available_permits() == 0;
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            let accepted = listener.accept().await;
            serving.node.http_counts().add(waits.then_some(Bound::Connections));
            (place, accepted)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = until(&mut stop) => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, serving.clone(), stopped.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all =
        u32::try_from(connections_max).expect("connections are bounded by descriptors, which are fewer than 2^32");
    if timeout(serving.limits.stop, places.acquire_many(all)).await.is_err() {
        tracing::warn!(open = connections_max - places.available_permits(), "HTTP connections were cut off");
    }
}

/// Ends when the server is to stop, or nobody is left who could say so.
async fn until(stop: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone.
    let _gone = stop.wait_for(|&stopped| stopped).await;
}

/// Serves one connection to its end.
async fn connection(mut stream: TcpStream, mut peer: SocketAddr, serving: Serving, mut stop: watch::Receiver<bool>) {
    let Serving { router, trusted, tls, requests, limits, node } = serving;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it began");
        return;
    }
    let mut unread = Vec::new();
    if is_trusted(&trusted, peer.ip()) {
        let source = tokio::select! {
            source = timeout(limits.header, proxied(&mut stream, &mut unread)) => source,
            () = until(&mut stop) => return,
        };
        match source {
            Ok(Ok(source)) => peer.set_ip(source.unwrap_or(peer.ip())),
            Ok(Err(error)) => return tracing::debug!(%error, %peer, "a proxy's connection ended before it began"),
            Err(_) => return,
        }
    }
    let ends = Until { stop: stop.clone(), at: tokio::time::Instant::now() + limits.connection };
    let meeting = Meeting { peer, ends, router, limits, node, uploads: Uploads::default() };
    let stream = Unread { stream, bytes: unread };
    let Some(tls) = tls else { return one(stream, meeting, stop).await };
    let stream = tokio::select! {
        agreed = timeout(limits.header, tls.accept(stream)) => agreed,
        () = until(&mut stop) => return,
    };
    match stream {
        Ok(Ok(stream)) if tls::speaks_http2(&stream) => many(stream, meeting, requests, stop).await,
        Ok(Ok(stream)) => one(stream, meeting, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, %peer, "no TLS was agreed on"),
        Err(_) => tracing::debug!(%peer, "TLS took too long"),
    }
}

/// What a connection's requests have in common.
struct Meeting {
    peer: SocketAddr,
    ends: Until,
    router: Router,
    limits: Limits,
    node: Arc<dyn Node>,
    uploads: Uploads,
}

impl Meeting {
    /// A request as handlers take it.
    fn request(&self, request: Request<Incoming>) -> Request<Body> {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        request.extensions_mut().insert(self.ends.clone());
        request
    }
}

/// Serves a connection of HTTP/1.1, one request at a time.
async fn one(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    meeting: Meeting,
    mut stop: watch::Receiver<bool>,
) {
    let (limits, node, uploads) = (meeting.limits, Arc::clone(&meeting.node), meeting.uploads.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut router, request) = (meeting.router.clone(), meeting.request(request));
        let (limit, upload) = meeting.uploads.enter(&request, &limits);
        let answer = async move {
            let _upload = upload;
            router.call(request).await
        };
        respond(answer, limit, Arc::clone(&meeting.node))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(READ_BYTES_MAX)
        .serve_connection(TokioIo::new(Stream::new(stream, node)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = sleep(limits.connection) => {}
        () = until(&mut stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => log_end(ended),
        () = uploads.over(limits.request) => {}
    }
}

/// Serves a connection of HTTP/2, whose requests take a place each: its own, or one of `requests`.
async fn many(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    meeting: Meeting,
    requests: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let (limits, uploads) = (meeting.limits, meeting.uploads.clone());
    let (places, under_way) = (Places::new(requests), UnderWay::default());
    let entering = under_way.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut router, places, entered) = (meeting.router.clone(), places.clone(), entering.enter());
        let (mut request, node) = (meeting.request(request), Arc::clone(&meeting.node));
        http2::name_host(&mut request);
        let (limit, upload) = meeting.uploads.enter(&request, &limits);
        let answer = async move {
            let _upload = upload;
            node.http_counts().add(places.are_taken().then_some(Bound::Connections));
            let place = places.take().await;
            let response = router.call(request).await?;
            // Until its last byte was taken a request is under way.
            Ok(response.map(|body| http2::hold(body, (place, entered))))
        };
        respond(answer, limit, Arc::clone(&meeting.node))
    });
    let mut connection = pin!(http2::builder().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = under_way.idle(limits.header) => {}
        () = sleep(limits.connection) => {}
        () = until(&mut stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => log_end(ended),
        // A peer that does not take part in the end.
        () = under_way.idle(limits.header) => {}
        () = uploads.over(limits.request) => {}
    }
}

/// Uploads under way on a connection, which may take longer than other requests: no connection is cut off meanwhile.
#[derive(Debug, Clone, Default)]
struct Uploads(watch::Sender<u32>);

impl Uploads {
    /// How long a request may take, and what is held until it ends if it is an upload.
    fn enter(&self, request: &Request<Body>, limits: &Limits) -> (Duration, Option<Upload>) {
        if !routes::is_upload(request) {
            return (limits.request, None);
        }
        self.0.send_modify(|open| *open += 1);
        (limits.upload, Some(Upload(self.0.clone())))
    }

    /// Ends after so long, and not before those that are under way have.
    async fn over(&self, within: Duration) {
        sleep(within).await;
        let mut open = self.0.subscribe();
        // An error says that nobody could enter any more.
        let _gone = open.wait_for(|&open| open == 0).await;
    }
}

/// An upload that is under way.
#[derive(Debug)]
struct Upload(watch::Sender<u32>);

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection");
    }
}

/// Has a request answered, and answers for it if that takes too long.
async fn respond(
    answer: impl Future<Output = Result<Response, Infallible>>,
    limit: Duration,
    node: Arc<dyn Node>,
) -> Result<Response, Infallible> {
    match timeout(limit, answer).await {
        Ok(response) => response,
        Err(_) => {
            node.http_counts().add(Some(Bound::RequestTime));
            let detail = format!("no answer within {limit:?}; whether it took effect is not known");
            Ok(Problem::new(ErrorCode::Overloaded, detail).after_ms(1_000).into_response())
        }
    }
}
