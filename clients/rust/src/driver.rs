//! The task of a client: it carries out what the session decides.
//!
//! Owns the clock, the socket, the thread of the store, and who waits for which answer. Decides nothing: see `session`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};

use crate::api::Api;
use crate::client::{Call, CallInput};
use crate::config::Config;
use crate::connection::{Heard, Socket};
use crate::error::{Ended, Error, StoreError};
use crate::events::{Event, Place, Queue, Told};
use crate::message::OperationId;
use crate::outbox::Entry;
use crate::session::{Answer, Input, Now, Output, Session, Settings, Ticket};
use crate::store::{Held, Store};

/// Messages of other tasks to the driver.
#[derive(Debug)]
enum Done {
    Input(Input),
    StoreFailed(StoreError),
}

/// A call of the store.
#[derive(Debug)]
enum Keep {
    Put(Entry),
    Remove(u64, OperationId),
    Place(Place),
}

/// Carries out what a session decides, from its start to its end.
pub(crate) async fn drive(
    config: Config,
    tls: Arc<rustls::ClientConfig>,
    queue: Arc<Queue>,
    called: mpsc::UnboundedReceiver<Call>,
) {
    let store = Arc::clone(&config.store);
    let held = tokio::task::spawn_blocking(move || store.load()).await;
    let held = held.unwrap_or_else(|error| Err(StoreError(error.to_string())));
    let held = match held {
        Ok(held) => held,
        Err(error) => {
            let event = Event::Ended(Ended::Store(error.to_string()));
            queue.put(Told { event: Some(event), place: None, bytes: 0 });
            return queue.close();
        }
    };
    let (done, doing) = mpsc::unbounded_channel();
    let (keep, kept) = mpsc::unbounded_channel();
    let store = Arc::clone(&config.store);
    let told = done.clone();
    let keeping = tokio::task::spawn_blocking(move || keep_all(&*store, kept, &told));
    let mut driver = Driver::new(config, tls, queue, held, done, keep);
    driver.run(called, doing).await;
    let Driver { queue, keep, closing, .. } = driver;
    if let Some(place) = queue.take_acknowledged() {
        // The store's thread lives until its sender is dropped.
        let _ = keep.send(Keep::Place(place));
    }
    drop(keep);
    // A panic of the store's ends its thread; what it had is what it has.
    let _ = keeping.await;
    queue.close();
    for waiting in closing {
        let _ = waiting.send(Ok(Answer::Nothing));
    }
}

/// The store's thread: calls it one after the other. Of places that wait together the last is kept.
fn keep_all(store: &dyn Store, mut kept: mpsc::UnboundedReceiver<Keep>, told: &mpsc::UnboundedSender<Done>) {
    let mut failed = false;
    while let Some(first) = kept.blocking_recv() {
        let mut place = None;
        let mut next = Some(first);
        while let Some(keep) = next {
            let result = match keep {
                Keep::Put(entry) => {
                    let result = store.put(&entry);
                    // A driver that is gone needs no answer.
                    let _ = told.send(Done::Input(Input::Stored { order: entry.order, result: result.clone() }));
                    // Whoever did an operation hears of it there; for what became of it nobody waits.
                    if entry.refusal.is_some() { result } else { Ok(()) }
                }
                Keep::Remove(order, id) => store.remove(order, id),
                Keep::Place(newer) => {
                    place = Some(newer);
                    Ok(())
                }
            };
            report(result, &mut failed, told);
            next = kept.try_recv().ok();
        }
        if let Some(place) = place {
            let result = match place {
                Place::After(cursor) => store.set_cursor(Some(&cursor)),
                Place::Nowhere => store.set_cursor(None),
            };
            if result.is_ok() {
                failed = false;
            }
            report(result, &mut failed, told);
        }
    }
}

fn report(result: Result<(), StoreError>, failed: &mut bool, told: &mpsc::UnboundedSender<Done>) {
    if let Err(error) = result
        && !std::mem::replace(failed, true)
    {
        // A driver that is gone tells nobody.
        let _ = told.send(Done::StoreFailed(error));
    }
}

/// State of the task: a session, its socket, and whoever waits for an answer.
struct Driver {
    config: Config,
    tls: Arc<rustls::ClientConfig>,
    api: Api,
    session: Session,
    started: Instant,
    queue: Arc<Queue>,
    socket: Option<Socket>,
    waiting: BTreeMap<Ticket, oneshot::Sender<Result<Answer, Error>>>,
    next_ticket: u64,
    /// Callers that wait until all is stored.
    closing: Vec<oneshot::Sender<Result<Answer, Error>>>,
    done: mpsc::UnboundedSender<Done>,
    keep: mpsc::UnboundedSender<Keep>,
    /// The queue was full when something was heard.
    was_full: bool,
}

impl Driver {
    fn new(
        config: Config,
        tls: Arc<rustls::ClientConfig>,
        queue: Arc<Queue>,
        held: Held,
        done: mpsc::UnboundedSender<Done>,
        keep: mpsc::UnboundedSender<Keep>,
    ) -> Self {
        let settings = Settings {
            endpoint: config.endpoint.clone(),
            device_id: config.device_id.clone(),
            client: config.client.clone(),
            bounds: config.bounds,
            seed: fastrand::u64(..),
        };
        Self {
            api: Api::with_tls(&tls),
            session: Session::new(settings, held),
            config,
            tls,
            started: Instant::now(),
            queue,
            socket: None,
            waiting: BTreeMap::new(),
            next_ticket: 0,
            closing: Vec::new(),
            done,
            keep,
            was_full: false,
        }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { ms: as_ms(self.started.elapsed()), wall_ms: as_ms(wall) }
    }

    async fn run(&mut self, mut called: mpsc::UnboundedReceiver<Call>, mut doing: mpsc::UnboundedReceiver<Done>) {
        self.handle(Input::Wake);
        let queue = Arc::clone(&self.queue);
        let mut handles = true;
        while !self.session.is_over() {
            // Where the application does not fetch events the socket waits for it, unless something is awaited that
            // comes behind them.
            let reads = self.has_room() || self.session.awaits();
            let now = self.now();
            if !reads {
                self.session.rest(now);
            }
            let wake = self.session.poll_timeout(now).map(|at_ms| at_ms.saturating_sub(now.ms));
            let wake = async {
                match wake {
                    Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                    None => std::future::pending().await,
                }
            };
            let heard = async {
                match &mut self.socket {
                    Some(socket) if reads => (socket.number, socket.next().await),
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                call = called.recv(), if handles => match call {
                    Some(call) => self.called(call),
                    None => handles = false,
                },
                Some(done) = doing.recv() => match done {
                    Done::Input(input) => self.handle(input),
                    Done::StoreFailed(error) => self.tell(error.into()),
                },
                (number, heard) = heard => self.heard(number, heard),
                () = queue.moved.notified() => self.moved(),
                () = wake => {
                    if !reads {
                        self.session.rest(self.now());
                    }
                    self.handle(Input::Wake);
                }
            }
            if !handles && self.queue.is_gone() {
                self.handle(Input::Leave);
            }
        }
        // Who still calls is told by the channel's end; who waits, here.
        self.waiting.clear();
    }

    fn has_room(&self) -> bool {
        let (fill, bounds) = (self.queue.fill(), self.config.bounds);
        fill.events < bounds.events && (fill.bytes < bounds.event_bytes || fill.events == 0)
    }

    fn heard(&mut self, socket: u64, heard: Heard) {
        let input = match heard {
            Heard::Opened => Input::Opened { socket },
            Heard::Text(text) => {
                let room = self.has_room();
                self.was_full |= !room;
                Input::Heard { socket, text, room }
            }
            Heard::Alive => Input::Alive { socket },
            Heard::Closed { code, reason } => {
                self.socket = None;
                Input::Closed { socket, code, reason }
            }
        };
        self.handle(input);
    }

    /// The application has fetched or acknowledged something.
    fn moved(&mut self) {
        if let Some(place) = self.queue.take_acknowledged() {
            self.keep(Keep::Place(place));
        }
        let (fill, bounds) = (self.queue.fill(), self.config.bounds);
        if self.was_full && fill.events <= bounds.events / 2 && fill.bytes <= bounds.event_bytes / 2 {
            self.was_full = false;
            self.handle(Input::Room);
        }
    }

    fn keep(&self, keep: Keep) {
        // The store's thread ends after the driver, but for a panic of the store's, which the application is told of.
        if self.keep.send(keep).is_err() {
            self.tell(StoreError("the store has panicked".to_owned()).into());
        }
    }

    fn tell(&self, event: Event) {
        self.queue.put(Told { event: Some(event), place: None, bytes: 0 });
    }

    fn called(&mut self, Call { input, answer }: Call) {
        let mut ticket = |answer: Option<oneshot::Sender<_>>| {
            let answer = answer?;
            self.next_ticket += 1;
            let ticket = Ticket(self.next_ticket);
            self.waiting.insert(ticket, answer);
            Some(ticket)
        };
        let awaited = "such a call is awaited";
        let input = match input {
            CallInput::Submit { channel_id, operation, until_done } => {
                let ticket = ticket(answer);
                let (stored, done) = if until_done { (None, ticket) } else { (ticket, None) };
                let mut random = [0; 10];
                if let Err(error) = getrandom::fill(&mut random) {
                    // Two operations of one id would be one.
                    let error = Error::Config(format!("the system gives no randomness: {error}"));
                    return self.answer(stored.or(done).expect(awaited), Err(error));
                }
                Input::Submit { channel_id, operation, random, queue: self.queue.fill(), stored, done }
            }
            CallInput::Retry(id) => Input::Retry { id, ticket: ticket(answer).expect(awaited) },
            CallInput::Discard(id) => Input::Discard { id, ticket: ticket(answer) },
            CallInput::List => Input::List { ticket: ticket(answer).expect(awaited) },
            CallInput::Ask { command, fields, lasting } => {
                Input::Ask { command, fields, lasting, ticket: ticket(answer).expect(awaited) }
            }
            CallInput::Typing { channel_id, on } => Input::Typing { channel_id, on },
            CallInput::Hurry => Input::Hurry,
            CallInput::Leave => {
                self.closing.extend(answer);
                Input::Leave
            }
        };
        self.handle(input);
    }

    /// Answer to whoever asked, if they still wait for it.
    fn answer(&mut self, ticket: Ticket, result: Result<Answer, Error>) {
        if let Some(waiting) = self.waiting.remove(&ticket) {
            // Who has gone does not want to know.
            let _ = waiting.send(result);
        }
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.session.handle(now, input);
        while let Some(output) = self.session.poll_output() {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::FindNodes(apis) => {
                let (api, done) = (self.api.clone(), self.done.clone());
                tokio::spawn(async move {
                    let result = api.nodes_of(&apis).await;
                    // A driver that is gone connects no more.
                    let _ = done.send(Done::Input(Input::Nodes(result)));
                });
            }
            Output::FetchToken(need) => {
                let (tokens, done) = (Arc::clone(&self.config.tokens), self.done.clone());
                tokio::spawn(async move {
                    let result = tokens.token(need).await;
                    // As above.
                    let _ = done.send(Done::Input(Input::Token(result)));
                });
            }
            Output::Connect { socket, url } => self.socket = Some(Socket::open(socket, url, Arc::clone(&self.tls))),
            Output::Write(text) => {
                if let Some(socket) = &mut self.socket {
                    socket.write(text);
                }
            }
            Output::Disconnect => self.socket = None,
            Output::Tell(told) => self.queue.put(told),
            Output::Put(entry) => self.keep(Keep::Put(entry)),
            Output::Remove { order, id } => self.keep(Keep::Remove(order, id)),
            Output::Answer { ticket, result } => self.answer(ticket, result),
            Output::Finish { waiters, outgoing } => {
                let mut heard = false;
                for ticket in waiters {
                    let answer = Ok(Answer::Finished(outgoing.clone()));
                    heard |= self.waiting.remove(&ticket).is_some_and(|waiting| waiting.send(answer).is_ok());
                }
                if !heard {
                    self.tell(Event::Outgoing(outgoing));
                }
            }
            Output::Over => self.socket = None,
        }
    }
}

fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
