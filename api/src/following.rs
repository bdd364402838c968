//! Answers that stay open and grow: events of an application's notifications as they come.
//!
//! Owns how many there are at once and when each ends: when the server stops, when its connection is old, when the store
//! does not answer. Its reader asks again from the last line that it has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use chat::notices::events::{self, EventsPage};
use futures_util::stream;
use kv::Engine;
use schema::notice_event::NoticeEvent;
use schema::{ErrorCode, Position};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::counts::Bound;
use crate::problem::Problem;

/// Pause between two looks for new events. A look that finds nothing is one read.
const EVERY: Duration = Duration::from_secs(1);
/// Longest silence of an answer: one with nothing to say says an empty line, for whoever waits and whatever lies between.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Events of one read.
const PAGE_ROWS: u32 = 500;
/// Answers that grow for one application at once.
const OF_APP_MAX: usize = 4;
/// The same for all: a read a second each, and a sixteenth of the connections.
const ALL_MAX: usize = 64;

/// Ends of a connection's answers.
#[derive(Debug, Clone)]
pub(crate) struct Until {
    /// Set once the server stops.
    pub(crate) stop: watch::Receiver<bool>,
    /// Time at which the connection is old.
    pub(crate) at: Instant,
}

/// The answers that grow, by application.
#[derive(Debug, Default)]
pub(crate) struct Followers(Arc<Mutex<HashMap<u64, usize>>>);

/// A place among them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    app: u64,
    all: Arc<Mutex<HashMap<u64, usize>>>,
}

impl Followers {
    /// A place for one more of an application's.
    pub(crate) fn enter(&self, app: u64) -> Result<Place, Problem> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of_app, together) = (all.get(&app).copied().unwrap_or_default(), all.values().sum::<usize>());
        if of_app >= OF_APP_MAX || together >= ALL_MAX {
            let detail = format!(
                "{of_app} requests of this application follow its events here, of {OF_APP_MAX}, and {together} of all, of \
                 {ALL_MAX}: end one, or ask again without follow"
            );
            return Err(Problem::new(ErrorCode::Overloaded, detail).after_ms(10_000).because(Bound::Followers));
        }
        *all.entry(app).or_default() += 1;
        Ok(Place { app, all: Arc::clone(&self.0) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.app) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.app);
            }
        }
    }
}

/// Events as lines of JSON.
pub(crate) fn lines<E: Engine>(engine: &E, page: &EventsPage) -> Vec<u8> {
    let mut text = Vec::new();
    for (position, event) in &page.events {
        NoticeEvent::new(events::cursor(engine, *position), event).append_to(&mut text);
    }
    text
}

/// A body that tells the events of the application whose place it is, after a position, as they come.
pub(crate) fn body<E: Engine>(engine: E, place: Place, after: Position, until: Until) -> Body {
    let following = Following { engine, place, after, until, said: Instant::now() };
    Body::from_stream(stream::unfold(following, |mut following| async move {
        let more = following.next().await?;
        Some((Ok::<_, std::convert::Infallible>(more), following))
    }))
}

struct Following<E> {
    engine: E,
    place: Place,
    after: Position,
    until: Until,
    /// Time of the last line.
    said: Instant,
}

impl<E: Engine> Following<E> {
    /// What is told next; nothing when it ends.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if *self.until.stop.borrow() || Instant::now() >= self.until.at {
                return None;
            }
            let page = match events::events(&self.engine, self.place.app, self.after, PAGE_ROWS).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "whoever follows events asks again");
                    return None;
                }
            };
            self.after = page.through;
            let text = lines(&self.engine, &page);
            if !text.is_empty() {
                self.said = Instant::now();
                return Some(text.into());
            }
            if self.said.elapsed() >= SILENCE_MAX {
                self.said = Instant::now();
                return Some(Bytes::from_static(b"\n"));
            }
            tokio::select! {
                () = sleep(EVERY) => {}
                () = sleep_until(self.until.at) => {}
                // An error says that the sender is gone: then it stops too.
                _ = self.until.stop.wait_for(|&stopped| stopped) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_grow_are_bounded_for_each_application_and_for_all() {
        let followers = Followers::default();
        let mut places: Vec<_> = (0..OF_APP_MAX).map(|_| followers.enter(1).expect("there is room")).collect();
        assert!(followers.enter(1).is_err(), "one application has no more");
        places.pop();
        places.push(followers.enter(1).expect("one has ended"));
        for app in 2.. {
            match followers.enter(app) {
                Ok(place) => places.push(place),
                Err(_) => break,
            }
        }
        assert_eq!(places.len(), ALL_MAX);
        drop(places);
        assert!(followers.0.lock().expect("no test panics there").is_empty(), "nothing is left of them");
    }
}
