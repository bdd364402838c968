//! The thread that fetches the keys of issuers and asks the connect proxy.
//!
//! Owns its runtime, the time of each request, and what is logged: once when an issuer's keys cannot be fetched any more,
//! and once when they can again. Which HTTP client there is comes from outside, since this crate has none.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use schema::UnixMs;
use tokio::runtime;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::Tokens;
use super::keys::KeySet;
use super::proxy::{Proxy, Question, Said, body, said};
use super::ring::Ring;

/// For a key set.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// Bytes of a key set.
const KEYS_BYTES_MAX: usize = 256 * 1024;
/// Bytes of what a connect proxy answers.
const SAID_BYTES_MAX: usize = 16 * 1024;

/// An answer by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its status.
    pub status: u16,
    /// Its body, within the limit that was given.
    pub body: Vec<u8>,
}

/// A request under way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Fetched, String>> + Send + 'a>>;

/// An HTTP client that follows no redirect. What goes wrong is a text for the log, which names no secret.
pub trait Fetch: Send + Sync + 'static {
    /// Gets a URL. An answer of more bytes is an error.
    fn get<'a>(&'a self, url: &'a str, bytes_max: usize) -> Fetching<'a>;

    /// Posts JSON to a URL, signed with a secret as calls of applications are (`Rookery-Signature`).
    fn post<'a>(&'a self, url: &'a str, secret: &'a str, body: Vec<u8>, bytes_max: usize, now: UnixMs) -> Fetching<'a>;
}

/// The thread, while it runs. Dropping it ends it, and what it was asked with it.
#[derive(Debug)]
pub struct Refreshing {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed.
            let _ = thread.join();
        }
    }
}

/// Starts to fetch keys, and to ask about tokens, on a thread of its own, named `issuers`. At most once for the same
/// tokens.
///
/// # Errors
/// If the thread cannot be had.
pub fn start(tokens: Tokens, fetch: Arc<dyn Fetch>, wall: fn() -> UnixMs) -> io::Result<Refreshing> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, mut stopped) = watch::channel(false);
    let thread = thread::Builder::new().name("issuers".to_owned()).spawn(move || {
        runtime.block_on(async {
            for at in 0..tokens.issuers().urls().count() {
                tokio::spawn(keep_fresh(tokens.clone(), at, Arc::clone(&fetch)));
            }
            if let Some(proxy) = tokens.issuers().proxy() {
                tokio::spawn(ask(Arc::clone(proxy), fetch, wall));
            }
            // An error says that the sender is gone: then it stops too.
            let _ = stopped.wait_for(|&stopped| stopped).await;
        });
        runtime.shutdown_background();
    })?;
    Ok(Refreshing { stop, thread: Some(thread) })
}

/// Fetches the keys of one issuer again and again.
async fn keep_fresh(tokens: Tokens, at: usize, fetch: Arc<dyn Fetch>) {
    let (name, url, ring) = tokens.issuers().urls().nth(at).expect("it is one of them");
    loop {
        wait(ring).await;
        let began = Instant::now();
        ring.begins(began);
        let fetched = timeout(FETCH_MAX, fetch.get(url, KEYS_BYTES_MAX)).await;
        let keys = fetched.unwrap_or_else(|_| Err(format!("no answer within {FETCH_MAX:?}"))).and_then(keys);
        let why = keys.as_ref().err().cloned();
        let changes = ring.ends(began, keys.ok());
        match why {
            Some(why) if changes => {
                tracing::warn!(
                    issuer = name,
                    url,
                    why,
                    "the issuer's keys cannot be fetched: those that are known go on counting"
                );
            }
            Some(why) => tracing::debug!(issuer = name, why, "the issuer's keys cannot be fetched"),
            None if changes => {
                tracing::info!(issuer = name, keys = ring.keys().len(), "the issuer's keys are fetched again")
            }
            None => tracing::debug!(issuer = name, keys = ring.keys().len(), "the issuer's keys are fetched"),
        }
    }
}

fn keys(Fetched { status, body }: Fetched) -> Result<KeySet, String> {
    if status == 200 { KeySet::parse(&body) } else { Err(format!("it answers {status}")) }
}

/// Returns when keys are due, which an unknown key may bring forward.
async fn wait(ring: &Ring) {
    loop {
        let due_at = ring.due_at(Instant::now());
        tokio::select! {
            () = sleep_until(due_at.into()) => return,
            () = ring.wanted.notified() => {}
        }
    }
}

/// Asks the proxy what it is to be asked.
async fn ask(proxy: Arc<Proxy>, fetch: Arc<dyn Fetch>, wall: fn() -> UnixMs) {
    let asked = proxy.asked.lock().ok().and_then(|mut asked| asked.take());
    let mut asked = asked.expect("one thread asks");
    let places = Arc::new(tokio::sync::Semaphore::new(super::proxy::ASKED_MAX));
    while let Some(question) = asked.recv().await {
        // Nobody waits for another's question.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            drop(question.reply.send(Said::Nothing));
            continue;
        };
        let (proxy, fetch) = (Arc::clone(&proxy), Arc::clone(&fetch));
        tokio::spawn(async move {
            answer(&proxy, &*fetch, question, wall).await;
            drop(place);
        });
    }
}

/// Answers one question, in time for its asker; what the service says after that is remembered all the same.
async fn answer(proxy: &Proxy, fetch: &dyn Fetch, question: Question, wall: fn() -> UnixMs) {
    // Its client has the place until the service has answered, whether anybody still waits or not.
    let Question { token, patience, reply, place: _place } = question;
    let asked = async {
        if let Some(said) = proxy.remembered(&token, wall()) {
            return said;
        }
        let answer = fetch.post(&proxy.url, &proxy.secret.0, body(&token), SAID_BYTES_MAX, wall());
        let answer = timeout(proxy.timeout, answer).await;
        let said = said(answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", proxy.timeout))));
        proxy.remember(&token, &said, wall());
        said
    };
    tokio::pin!(asked);
    // Whoever asked may have gone.
    match timeout(patience, &mut asked).await {
        Ok(said) => drop(reply.send(said)),
        Err(_) => {
            drop(reply.send(Said::Nothing));
            asked.await;
        }
    }
}
