//! Applications that are asked before a user's message, or an edit, is stored.
//!
//! Owns who is asked, for how long, and what becomes of no answer. An [`Asker`] is asked from any thread; calls are made by a
//! thread of its own, which also reads which hooks there are, each second. What an application says is judged by the channel's
//! home, in the operation's transaction. Bounds: `BEFORE_OF_HOOK_MAX` questions to one hook at once, of `BEFORE_MS_MAX` each at
//! most; a hook that fails several times in a row is left alone for a while ([`rest`]), so that not each message waits for it in vain.
//!
//! ```text
//! question   what is asked, and what an answer says        rest   whether a hook that fails is asked at all
//! counts     what is counted                               list   the hooks that are asked
//! ```

mod counts;
mod list;
mod question;
mod rest;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chat::LayerError;
use chat::hooks::{self, Hook, Screening};
use kv::Engine;
use schema::hook::{BeforeKind, Concerns};
use schema::limits::{BEFORE_MS_MAX, BEFORE_OF_HOOK_MAX};
use schema::{ChannelId, ChannelOp, ErrorCode, Refusal, Ruling, UnixMs};
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::providers::Caller;

pub use counts::{AskOutcome, Counts};
use list::List;
use question::{Asked, Verdict};
use rest::Rest;

/// Pause between two reads of the hooks: one that was made is asked from then on.
const HOOKS_EVERY: Duration = Duration::from_secs(1);
/// Pause before what found no place at a hook is to be sent again.
const RETRY_MS: u32 = 250;
/// Least pause between two lines of the log about one hook that fails.
const SAID_EVERY: Duration = Duration::from_secs(10);
/// The reason that a sender is told where a hook refuses what it does not answer.
const UNANSWERED: &str = "the application that looks at messages here did not answer";

/// Parts of an asker.
pub struct Parts<E> {
    /// The store.
    pub engine: E,
    /// The hooks of now.
    pub hooks: Vec<Hook>,
    /// The wall clock.
    pub wall: fn() -> UnixMs,
    /// Who calls, on the asker's own thread.
    pub caller: Caller,
    /// Where is counted.
    pub counts: Arc<Counts>,
    /// Told what hooks are asked about, at once and whenever that changes.
    pub tell: Box<dyn Fn(Arc<Concerns>) + Send + Sync>,
}

/// State of a hook beside its record. It outlives changes of the list.
#[derive(Debug)]
struct HookState {
    places: Arc<Semaphore>,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    rest: Rest,
    /// When the log said last that it fails, unless it answered since.
    said: Option<Instant>,
}

impl Default for HookState {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(BEFORE_OF_HOOK_MAX)), health: Mutex::default() }
    }
}

/// A question on its way to the thread that calls. It holds its place until that has an answer, or nobody waits for it.
struct Call {
    hook: Arc<Hook>,
    standing: Arc<HookState>,
    place: OwnedSemaphorePermit,
    asked: Asked,
    within: Duration,
    reply: oneshot::Sender<Option<Verdict>>,
}

impl HookState {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what its hook answered, or why it did not.
    fn note(&self, hook: &Hook, answer: Result<&Verdict, &str>, counts: &Counts) {
        let mut health = self.health();
        health.rest.note(Instant::now(), answer.is_ok());
        match answer {
            Ok(_) => {
                if health.said.take().is_some() {
                    tracing::info!(hook = hook.id, "a webhook answers what it is asked again");
                }
            }
            Err(why) => {
                counts.note(AskOutcome::Failed);
                if health.said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
                    health.said = Some(Instant::now());
                    let refuses = hook.record.failure_refuses;
                    tracing::warn!(hook = hook.id, why, refuses, "a webhook does not say what it thinks of messages");
                }
            }
        }
    }
}

/// See the module. Clones ask the same.
pub struct Asker<E>(Arc<Inner<E>>);

impl<E> Clone for Asker<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<E> {
    engine: E,
    list: RwLock<Arc<List>>,
    /// Each has a place at its hook until it ends, so that it needs no bound of its own.
    calls: mpsc::UnboundedSender<Call>,
    counts: Arc<Counts>,
}

/// The thread, while it runs. Dropping it ends it: what is asked then has no answer.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed.
            let _ = thread.join();
        }
    }
}

/// Starts to ask, on a thread named `before`. `tell` has been called when this returns.
///
/// # Errors
/// If the thread or its runtime cannot be had.
pub fn start<E: Engine>(parts: Parts<E>) -> io::Result<(Asker<E>, Running)> {
    let Parts { engine, hooks, wall, caller, counts, tell } = parts;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, mut stopped) = watch::channel(false);
    let (calls, asked) = mpsc::unbounded_channel();
    let list = Arc::new(List::new(hooks, &List::default()));
    tell(Arc::clone(list.concerns()));
    let called = Arc::clone(&counts);
    let asker = Asker(Arc::new(Inner { engine, list: RwLock::new(list), calls, counts }));
    let reader = asker.clone();
    let thread = thread::Builder::new().name("before".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::spawn(call_all(asked, Arc::new(caller), called, wall));
            tokio::spawn(async move { reader.keep_fresh(tell).await });
            // An error says that the sender is gone: then it stops too.
            let _ = stopped.wait_for(|&stopped| stopped).await;
        });
        runtime.shutdown_background();
    })?;
    Ok((asker, Running { stop, thread: Some(thread) }))
}

impl<E: Engine> Asker<E> {
    /// What applications say of a user's operation: nothing, if it passes as it is; or a refusal that passes, if too much waits for
    /// one of them. Takes [`BEFORE_MS_MAX`] at most beside the store's time.
    ///
    /// # Errors
    /// The store's, and damage.
    pub async fn ask(
        &self,
        channel: ChannelId,
        mut op: ChannelOp,
        wall: UnixMs,
    ) -> Result<Result<Option<Ruling>, Refusal>, LayerError> {
        let list = self.list();
        let Some(of) = BeforeKind::of_op(&op).filter(|_| list.concerns().has(channel, &op)) else {
            return Ok(Ok(None));
        };
        let kind = match hooks::screening(&self.0.engine, channel, &op).await? {
            Screening::Passes => return Ok(Ok(None)),
            Screening::NoMember => return Ok(Ok(Some(Ruling::Unasked))),
            Screening::Asks(kind) => kind,
        };
        let asked: Vec<_> = list.asked(channel, kind, of).collect();
        let all_ms = asked.iter().map(|(hook, _)| u64::from(hook.record.before_ms)).sum();
        let mut changed = None;
        for (hook, standing) in asked {
            let Ok(place) = Arc::clone(&standing.places).try_acquire_owned() else {
                self.0.counts.note(AskOutcome::Full);
                let message =
                    format!("{BEFORE_OF_HOOK_MAX} messages wait for an application's word, send it again later");
                return Ok(Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS)));
            };
            let answer = if standing.health().rest.may_ask(Instant::now()) {
                let (hook, standing, asked) =
                    (Arc::clone(hook), Arc::clone(standing), Asked::new((channel, kind), &op, wall));
                let (within, (reply, answer)) = (time_of(hook.record.before_ms, all_ms), oneshot::channel());
                // A node that stops answers nothing.
                let _ = self.0.calls.send(Call { hook, standing, place, asked, within, reply });
                answer.await.unwrap_or_default()
            } else {
                self.0.counts.note(AskOutcome::LeftAlone);
                None
            };
            match answer {
                Some(Verdict::Allow) => self.0.counts.note(AskOutcome::Allowed),
                Some(Verdict::Change(body)) => {
                    self.0.counts.note(AskOutcome::Changed);
                    question::set_body(&mut op, Arc::clone(&body));
                    changed = Some(Ruling::Change(body));
                }
                Some(Verdict::Refuse(reason)) => {
                    self.0.counts.note(AskOutcome::Refused);
                    return Ok(Ok(Some(Ruling::Refuse(reason))));
                }
                None if hook.record.failure_refuses => return Ok(Ok(Some(Ruling::Refuse(UNANSWERED.into())))),
                None => {}
            }
        }
        Ok(Ok(changed))
    }

    fn list(&self) -> Arc<List> {
        Arc::clone(&self.0.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the hooks again and again.
    async fn keep_fresh(&self, tell: Box<dyn Fn(Arc<Concerns>) + Send + Sync>) {
        loop {
            sleep(HOOKS_EVERY).await;
            match hooks::list(&self.0.engine).await {
                Ok(hooks) => {
                    let before = self.list();
                    let list = List::new(hooks, &before);
                    if list != *before {
                        let concerns = Arc::clone(list.concerns());
                        *self.0.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
                        tell(concerns);
                    }
                }
                // Those that are known go on being asked.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, "webhooks could not be read, trying again");
                }
            }
        }
    }
}

/// How long one hook has of what those that are asked about a message want together: its share, where that is more than they
/// may have, so that one that takes all its time leaves the others theirs.
fn time_of(before_ms: u32, all_ms: u64) -> Duration {
    let most_ms = u64::from(BEFORE_MS_MAX);
    let share_ms = u64::from(before_ms) * most_ms / all_ms.max(most_ms);
    Duration::from_millis(share_ms.max(1))
}

/// Makes calls, each on its own.
async fn call_all(
    mut asked: mpsc::UnboundedReceiver<Call>,
    caller: Arc<Caller>,
    counts: Arc<Counts>,
    wall: fn() -> UnixMs,
) {
    while let Some(Call { hook, standing, place, asked, within, mut reply }) = asked.recv().await {
        let (caller, counts) = (Arc::clone(&caller), Arc::clone(&counts));
        tokio::spawn(async move {
            let answer = tokio::select! {
                answer = ask(&caller, &hook, asked, within, wall()) => answer,
                () = reply.closed() => return standing.health().rest.withdraw(Instant::now()),
            };
            standing.note(&hook, answer.as_ref().map_err(String::as_str), &counts);
            drop(place);
            // Whoever asked may have gone just now.
            let _ = reply.send(answer.ok());
        });
    }
}

/// Answer of a hook in its time.
async fn ask(caller: &Caller, hook: &Hook, asked: Asked, within: Duration, wall: UnixMs) -> Result<Verdict, String> {
    let (id, body) = asked.into_call();
    let target = (hook.record.url.as_str(), hook.record.secret.as_str());
    let until = Instant::now() + within;
    let ask = |body| caller.ask_hook(target, &id, body, question::ANSWER_BYTES_MAX, wall, until);
    // Once more without an answer: a server may close a connection that was kept just as it is asked.
    let asking = async {
        match ask(body.clone()).await {
            Ok(answer) => Ok(answer),
            Err(_) => ask(body).await,
        }
    };
    let answer = timeout(within, asking).await;
    let (status, body) = answer.unwrap_or_else(|_| Err(format!("no answer within {} ms", within.as_millis())))?;
    question::said(status, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_that_want_more_than_there_is_have_a_share_each() {
        let check = |wanted: &[u32], expected: &[u64]| {
            let all_ms = wanted.iter().copied().map(u64::from).sum();
            let found: Vec<u64> = wanted.iter().map(|&ms| time_of(ms, all_ms).as_millis() as u64).collect();
            assert_eq!(found, expected, "{wanted:?}");
        };
        check(&[400], &[400]);
        check(&[400, 4_600], &[400, 4_600]);
        check(&[5_000, 5_000], &[2_500, 2_500]);
        check(&[5_000, 400], &[4_629, 370]);
        check(&[5_000; 64], &[78; 64]);
    }
}
