//! The worker that calls applications with their events: in order, until they are taken.
//!
//! Owns when each is called: one call of an application at a time, and after one that was not taken a pause that doubles.
//! An application is called by the owner of its partition, and where it is goes on only under the fence, after an answer:
//! each event is told at least once. Of two nodes that both think an application theirs both may tell it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat::LayerError;
use chat::notices::Worker;
use chat::notices::apps::{self, App};
use chat::notices::events::{self, EventsPage};
use kv::Engine;
use schema::UnixMs;
use schema::notice_event::NoticeEvent;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Shared;
use super::pause::Pause;

/// Pause between two looks for events to tell. A look that finds nothing is two reads.
const EVERY: Duration = Duration::from_secs(1);
/// Pause between two reads of the applications: from then on one is called that was not before.
const APPS_EVERY: Duration = Duration::from_secs(5);
/// Events of one call.
const LINES_MAX: u32 = 500;
/// Calls that follow each other at once, before others have their turn.
const CALLS_MAX: usize = 20;
/// Applications that are called at once.
const AT_ONCE: usize = 64;
/// What came of calling an application.
struct Called {
    app: u64,
    /// If it did not take its events: since when the oldest waits, and why.
    refused: Option<(UnixMs, String)>,
}

/// Calls applications, for as long as the workers run.
pub(super) async fn call<E: Engine>(shared: Arc<Shared<E>>) {
    if shared.parts.providers.caller().is_none() {
        return;
    }
    let (mut apps, mut read_at): (Vec<App>, _) = (Vec::new(), Instant::now());
    let mut pauses: HashMap<u64, Pause> = HashMap::new();
    let mut calls = JoinSet::new();
    let mut called: Vec<u64> = Vec::new();
    while !shared.is_stopping() {
        if Instant::now() >= read_at {
            read_at = Instant::now() + APPS_EVERY;
            match apps::list(&shared.parts.engine).await {
                Ok(all) => apps = all.into_iter().filter(|app| app.record.events_url.is_some()).collect(),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "applications could not be read, trying again");
                }
            }
        }
        let worker = shared.mine();
        let is_mine = |app: u64| worker.as_ref().is_some_and(|worker| worker.has_app(app));
        pauses.retain(|&app, _| is_mine(app) && apps.iter().any(|known| known.id == app));
        let now = shared.now();
        let oldest_ms = pauses.values().map(|pause| now.since_ms(pause.waits)).max().unwrap_or_default();
        shared.parts.counts.events_wait(oldest_ms);
        let is_due = |app: &&App| {
            let pause = pauses.get(&app.id);
            !called.contains(&app.id) && pause.is_none_or(Pause::is_over)
        };
        if let Some(worker) = &worker {
            let room = AT_ONCE - called.len();
            let due: Vec<&App> = apps.iter().filter(|app| worker.has_app(app.id)).filter(is_due).take(room).collect();
            for app in due {
                called.push(app.id);
                calls.spawn(call_one(Arc::clone(&shared), worker.clone(), app.clone()));
            }
        }
        let look = sleep(EVERY);
        tokio::pin!(look);
        loop {
            tokio::select! {
                () = shared.stopped() => return,
                () = look.as_mut() => break,
                Some(ended) = calls.join_next() => match ended {
                    Ok(ended) => {
                        called.retain(|&other| other != ended.app);
                        note(&mut pauses, ended);
                    }
                    Err(error) => {
                        tracing::error!(%error, "a call of an application broke off");
                        // Which one is not known: all have their next turn.
                        called.clear();
                        calls.abort_all();
                    }
                },
            }
        }
    }
}

/// Leaves an application alone for a while that did not take its events.
fn note(pauses: &mut HashMap<u64, Pause>, Called { app, refused }: Called) {
    let Some((waits, why)) = refused else {
        pauses.remove(&app);
        return;
    };
    let pause = Pause::after(pauses.get(&app), waits, None);
    if pause.times == 1 {
        tracing::warn!(app, why, "an application does not take its events, trying again");
    }
    pauses.insert(app, pause);
}

/// Tells an application what there is to tell.
async fn call_one<E: Engine>(shared: Arc<Shared<E>>, worker: Worker, app: App) -> Called {
    let counts = &shared.parts.counts;
    for _ in 0..CALLS_MAX {
        match call_once(&shared, &worker, &app).await {
            Ok(Next::More) => {}
            Ok(Next::Nothing) => break,
            Ok(Next::NotTaken { waits, why }) => {
                counts.events_failed();
                return Called { app: app.id, refused: Some((waits, why)) };
            }
            Err(error) => {
                tracing::warn!(
                    app = app.id,
                    error = &error as &dyn std::error::Error,
                    "events could not be told, trying again"
                );
                break;
            }
        }
    }
    Called { app: app.id, refused: None }
}

enum Next {
    /// There may be more.
    More,
    Nothing,
    NotTaken {
        /// When the oldest of them came.
        waits: UnixMs,
        why: String,
    },
}

async fn call_once<E: Engine>(shared: &Shared<E>, worker: &Worker, app: &App) -> Result<Next, LayerError> {
    let engine = &shared.parts.engine;
    let (Some(url), Some(secret)) = (&app.record.events_url, &app.record.events_secret) else {
        return Ok(Next::Nothing);
    };
    let Some(from) = events::called(engine, worker, app.id).await? else { return Ok(Next::Nothing) };
    let page = events::events(engine, app.id, from, LINES_MAX).await?;
    let EventsPage { events, through, more } = &page;
    if let Some((_, first)) = events.first() {
        let mut lines = Vec::new();
        for (position, event) in events {
            NoticeEvent::new(events::cursor(engine, *position), event).append_to(&mut lines);
        }
        let caller = shared.parts.providers.caller().expect("who has none calls nobody");
        if let Err(why) = caller.post(url, secret, lines, shared.now()).await {
            return Ok(Next::NotTaken { waits: first.at_ms, why });
        }
    }
    if *through == from {
        return Ok(Next::Nothing);
    }
    let is_noted = events::note_called(engine, worker, app.id, from, *through).await?;
    if is_noted {
        shared.parts.counts.events_told(events.len() as u64);
    }
    Ok(if *more && is_noted { Next::More } else { Next::Nothing })
}
