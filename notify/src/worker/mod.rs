//! The workers of a node: one that plans, and one for each medium, so that one that is down delays no other.
//!
//! Owns the thread and its runtime, when each looks, and the end. What is this node's to do follows from the view that the
//! node goes by; that it still is, every transaction proves.
//!
//! ```text
//! planner    items that are due become jobs        sender    jobs of one medium are leased, sent and ended
//! events     applications are told of events      ways      by which provider, and whether now
//! hooks      webhooks are told of chat              pause     who did not take a call is left alone
//! backlogs   webhooks for which too much waits
//! ```

mod backlogs;
mod events;
mod hooks;
mod pause;
mod planner;
mod sender;
mod ways;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chat::notices::{Job, Notice, Reach, Said, Worker};
use kv::Engine;
use schema::{Incarnation, UnixMs, View};
use tokio::runtime;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::compose;
use crate::counts::Counts;
use crate::links::Links;
use crate::message::Message;
use crate::providers::Providers;
use crate::words::{Telling, Words};

/// How often a queue is looked at in which nothing was due. A look at an empty queue is one read.
const EVERY: Duration = Duration::from_millis(500);
/// How long a store that fails, or a view that is changing, is left alone.
const TROUBLE: Duration = Duration::from_secs(1);
/// How long attempts may take to end once the worker stops. What is under way then is anybody's when its lease ends.
const STOP: Duration = Duration::from_secs(5);

/// The same of all workers together, a store among them that does not answer.
const STOP_ALL: Duration = Duration::from_secs(12);

/// What the workers need.
pub struct Parts<E> {
    /// The store.
    pub engine: E,
    /// This node's life.
    pub life: Incarnation,
    /// The view that the node goes by, from memory.
    pub view: Arc<dyn Fn() -> Option<Arc<View>> + Send + Sync>,
    /// The wall clock.
    pub wall: fn() -> UnixMs,
    /// Who sends.
    pub providers: Arc<Providers>,
    /// Where is counted.
    pub counts: Arc<Counts>,
    /// The maker of links in messages; none without a public URL.
    pub links: Option<Arc<dyn Links>>,
}

/// What every worker shares.
struct Shared<E> {
    parts: Parts<E>,
    /// Contacts and settings, as they were read lately.
    reach: Arc<Reach>,
    /// Words of notices by their templates, kept.
    words: Arc<Words>,
    /// Told when jobs were made.
    made: Notify,
    stop: watch::Receiver<bool>,
}

impl<E: Engine> Shared<E> {
    /// What is this node's to do, if anything.
    fn mine(&self) -> Option<Worker> {
        let view = (self.parts.view)()?;
        Worker::of(&view, self.parts.life)
    }

    fn now(&self) -> UnixMs {
        (self.parts.wall)()
    }

    /// Makes the words of notices that are still to be made, beside this thread: a template of bad will takes tenths of a
    /// second, for which nobody but its own medium waits.
    async fn make_words(&self, jobs: &[Job], said: &[Said]) {
        let tellings = jobs.iter().zip(said).filter_map(|(job, said)| match said {
            Said::Notice(notice) => telling(job, notice),
            Said::Something(_) | Said::Unreadable | Said::Nothing { .. } => None,
        });
        let missing = self.words.missing(tellings);
        if missing.is_empty() {
            return;
        }
        let own = |of: &Telling<'_>| {
            (of.notice, Arc::clone(of.stored), of.params.to_owned(), of.locale.to_owned(), of.medium)
        };
        let (missing, words, now) = (missing.iter().map(own).collect::<Vec<_>>(), Arc::clone(&self.words), self.now());
        let made = spawn_blocking(move || {
            for (notice, stored, params, locale, medium) in &missing {
                let telling = Telling { notice: *notice, stored, params, locale, medium: *medium };
                words.of(&telling, now);
            }
        });
        if let Err(error) = made.await {
            tracing::error!(%error, "the words of notices were not made");
        }
    }

    /// What a target is told of a notice.
    ///
    /// # Errors
    /// Why its template has no words for it.
    fn message(&self, job: &Job, notice: &Notice) -> Result<Message, String> {
        if notice.record.template.is_empty() {
            return Ok(compose::of_notice(job, notice, None));
        }
        let telling = telling(job, notice).ok_or("it is not there any more")?;
        let made = self.words.of(&telling, self.now());
        let rendered = made.0.as_ref().map_err(String::clone)?;
        Ok(compose::of_notice(job, notice, Some(rendered)))
    }

    fn is_stopping(&self) -> bool {
        // Whoever is gone without a word wants them no longer either.
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Ends when the workers are to stop.
    async fn stopped(&self) {
        // An error says that the sender is gone.
        let mut stop = self.stop.clone();
        let _gone = stop.wait_for(|&stopped| stopped).await;
    }

    /// Waits for so long, or until the workers stop.
    async fn rest(&self, how_long: Duration) {
        tokio::select! {
            () = self.stopped() => {}
            () = sleep(how_long) => {}
        }
    }
}

/// What a target is to be told by a notice's template, if it has one that is there.
fn telling<'a>(job: &Job, notice: &'a Notice) -> Option<Telling<'a>> {
    // Whoever has chosen a language is told in it on every device.
    let chosen = notice.settings.language.as_str();
    let locale = if chosen.is_empty() { notice.contact.locale.as_str() } else { chosen };
    let (stored, params) = (notice.template.as_ref()?, notice.record.data.as_str());
    Some(Telling { notice: job.record.origin, stored, params, locale, medium: job.medium })
}

/// Workers that run. Dropping it stops them without waiting.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Takes nothing up any more. Does not wait; may be repeated.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops, and waits until what is under way has ended, twelve seconds at most.
    ///
    /// # Panics
    /// If the workers' thread did.
    pub fn join(self) {
        self.stop();
        self.thread.join().expect("the thread of the workers does not panic");
    }
}

/// Starts the workers, on a thread of their own named `notify`.
///
/// # Errors
/// If the thread or its runtime cannot be had.
pub fn start<E: Engine>(parts: Parts<E>) -> io::Result<Running> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = watch::channel(false);
    let thread = thread::Builder::new().name("notify".to_owned()).spawn(move || {
        runtime.block_on(run(parts, stopped));
        // Cuts off attempts that did not end in time.
        runtime.shutdown_background();
    })?;
    Ok(Running { stop, thread })
}

async fn run<E: Engine>(parts: Parts<E>, stop: watch::Receiver<bool>) {
    let media: Vec<_> = parts.providers.media().collect();
    let reach = Arc::new(Reach::by(&media).with_critical(parts.providers.categories().critical()));
    let words = Arc::new(Words::default());
    let kept = (Arc::clone(&reach), Arc::clone(&words));
    parts.counts.show_caches(move || kept.0.caches().into_iter().chain(kept.1.caches()).collect());
    let shared = Arc::new(Shared { parts, reach, words, made: Notify::new(), stop });
    let stopped = Arc::clone(&shared);
    let mut workers = JoinSet::new();
    workers.spawn(planner::plan(Arc::clone(&shared)));
    workers.spawn(planner::look(Arc::clone(&shared)));
    workers.spawn(events::call(Arc::clone(&shared)));
    workers.spawn(hooks::call(Arc::clone(&shared)));
    workers.spawn(backlogs::bound(Arc::clone(&shared)));
    for medium in media {
        workers.spawn(sender::send(Arc::clone(&shared), medium));
    }
    let all = async {
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
    };
    tokio::select! {
        () = all => {}
        () = async {
            stopped.stopped().await;
            sleep(STOP_ALL).await;
        } => tracing::warn!("the store keeps workers of notifications from ending: they are cut off"),
    }
}
