//! The client: what an application calls, and the task that carries out what the session decides.
//!
//! Owns the clock, the socket, the thread of the store, and who waits for which answer. Decides nothing: see `session.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::api::Api;
use crate::config::{Config, Endpoint};
use crate::connection::{Heard, Socket, default_tls};
use crate::error::{Ended, Error, StoreError};
use crate::events::{Event, Events, Place, Queue, Told};
use crate::message::{
    ChannelId, HistoryPage, Opened, OperationId, PresenceEntry, Search, SearchPage, Seq, UserId, Window,
};
use crate::outbox::{Draft, Entry, Marked, Operation, Outcome, Outgoing, Progress, Reacted, Revised, Sent};
use crate::session::{Answer, Input, Lasting, Now, Output, Session, Settings, Ticket};
use crate::store::{Held, Store};

/// A client: one device of one account. Cloning it gives another handle of the same.
///
/// It lives until [`close`](Self::close), until an [`Event::Ended`], or until neither a handle nor its [`Events`] is left.
#[derive(Debug, Clone)]
pub struct Client {
    calls: mpsc::UnboundedSender<Call>,
    questions: Arc<Semaphore>,
}

/// A call of the application: an input once it has a ticket, and who waits.
#[derive(Debug)]
struct Call {
    input: CallInput,
    answer: Option<oneshot::Sender<Result<Answer, Error>>>,
}

#[derive(Debug)]
enum CallInput {
    Submit { channel_id: ChannelId, operation: Operation, until_done: bool },
    Retry(OperationId),
    Discard(OperationId),
    List,
    Ask { command: &'static str, fields: Value, lasting: Lasting },
    Typing { channel_id: ChannelId, on: bool },
    Hurry,
    Leave,
}

impl Client {
    /// Starts a client within the tokio runtime of the caller. It connects, and goes on connecting, by itself.
    ///
    /// # Errors
    /// The configuration cannot work. What the store says comes as an event.
    pub fn start(config: Config) -> Result<(Self, Events), Error> {
        if let Endpoint::Discover(apis) = &config.endpoint
            && apis.is_empty()
        {
            return Err(Error::Config("no address of the API".to_owned()));
        }
        let tls = config.tls.clone().map_or_else(default_tls, Ok)?;
        let (calls, called) = mpsc::unbounded_channel();
        let queue = Arc::new(Queue::default());
        let questions = Arc::new(Semaphore::new(config.bounds.questions));
        tokio::spawn(drive(config, tls, Arc::clone(&queue), called));
        Ok((Self { calls, questions }, Events::new(queue)))
    }

    async fn call(&self, input: CallInput) -> Result<Answer, Error> {
        let (answer, answered) = oneshot::channel();
        self.calls.send(Call { input, answer: Some(answer) }).map_err(|_| Error::Ended)?;
        answered.await.unwrap_or(Err(Error::Ended))
    }

    /// Does something to a channel, and waits until the server has done it, over disconnections if need be.
    async fn perform(&self, channel_id: ChannelId, operation: Operation) -> Result<Outcome, Error> {
        match self.call(CallInput::Submit { channel_id, operation, until_done: true }).await? {
            Answer::Finished(Outgoing { progress: Progress::Done(outcome), .. }) => Ok(outcome),
            Answer::Finished(Outgoing { id, progress: Progress::Failed(refusal), .. }) => {
                // Whoever waited knows: it need not wait in the outbox for somebody who looks.
                let _ = self.calls.send(Call { input: CallInput::Discard(id), answer: None });
                Err(refusal.into())
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a message and waits until it is durable, over disconnections if need be.
    ///
    /// It is in the outbox before it is sent. If this future is dropped it is sent all the same, and if the process ends, after the
    /// next start with the same store; then an [`Event::Outgoing`] says what became of it.
    ///
    /// # Errors
    /// [`Error::Refused`] for good; the message is in the outbox no more. [`Error::OutboxFull`] and [`Error::Store`]: it was not
    /// taken. [`Error::Ended`]: it waits in the store for the next start, if it had been taken.
    pub async fn send(&self, channel_id: ChannelId, message: impl Into<Draft>) -> Result<Sent, Error> {
        match self.perform(channel_id, Operation::Send(message.into())).await? {
            Outcome::Sent(sent) => Ok(sent),
            other => Err(Error::Malformed(format!("{other:?}"))),
        }
    }

    /// Gives an own message another text. `base_revision` is the revision that its user saw.
    ///
    /// # Errors
    /// As of [`send`](Self::send); 122 if the message was changed meanwhile.
    pub async fn edit(
        &self,
        channel_id: ChannelId,
        seq: Seq,
        base_revision: u32,
        body: impl Into<String>,
    ) -> Result<Revised, Error> {
        let operation = Operation::Edit { seq, base_revision, body: body.into() };
        self.revise(channel_id, operation).await
    }

    /// Takes a message's text away.
    ///
    /// # Errors
    /// As of [`send`](Self::send).
    pub async fn delete(&self, channel_id: ChannelId, seq: Seq) -> Result<Revised, Error> {
        self.revise(channel_id, Operation::Delete { seq }).await
    }

    async fn revise(&self, channel_id: ChannelId, operation: Operation) -> Result<Revised, Error> {
        match self.perform(channel_id, operation).await? {
            Outcome::Revised(revised) => Ok(revised),
            other => Err(Error::Malformed(format!("{other:?}"))),
        }
    }

    /// Puts an emoji to a message, or takes it away.
    ///
    /// # Errors
    /// As of [`send`](Self::send).
    pub async fn react(
        &self,
        channel_id: ChannelId,
        seq: Seq,
        emoji: impl Into<String>,
        on: bool,
    ) -> Result<Reacted, Error> {
        match self.perform(channel_id, Operation::React { seq, emoji: emoji.into(), on }).await? {
            Outcome::Reacted(reacted) => Ok(reacted),
            other => Err(Error::Malformed(format!("{other:?}"))),
        }
    }

    /// Says up to where the user has read, on all devices. Marks never go back; of several that wait the furthest is sent.
    ///
    /// # Errors
    /// As of [`send`](Self::send).
    pub async fn mark(&self, channel_id: ChannelId, read_seq: Seq) -> Result<Marked, Error> {
        match self.perform(channel_id, Operation::Mark { read_seq }).await? {
            Outcome::Marked(marked) => Ok(marked),
            other => Err(Error::Malformed(format!("{other:?}"))),
        }
    }

    /// Takes an operation into the outbox and does not wait for the server: its name. [`Event::Outgoing`] says what becomes of
    /// it. For one that was refused: [`retry`](Self::retry), [`discard`](Self::discard).
    ///
    /// # Errors
    /// [`Error::OutboxFull`], [`Error::Store`], [`Error::Ended`], or a text over the limit: it was not taken.
    pub async fn submit(&self, channel_id: ChannelId, operation: Operation) -> Result<OperationId, Error> {
        match self.call(CallInput::Submit { channel_id, operation, until_done: false }).await? {
            Answer::Operation(id) => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks for a refused operation again, under its id: if it had arrived after all, it does not happen twice.
    ///
    /// # Errors
    /// [`Error::NoSuchOperation`] if no refused operation has that id.
    pub async fn retry(&self, id: OperationId) -> Result<(), Error> {
        self.call(CallInput::Retry(id)).await.map(drop)
    }

    /// Gives up an operation that was refused or waits. One that is on its way cannot be taken back.
    ///
    /// # Errors
    /// [`Error::NoSuchOperation`] if it is not there, or on its way.
    pub async fn discard(&self, id: OperationId) -> Result<(), Error> {
        self.call(CallInput::Discard(id)).await.map(drop)
    }

    /// Operations in the outbox, in the order in which they were done: those that wait, and those that were refused.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn outgoing(&self) -> Result<Vec<Outgoing>, Error> {
        match self.call(CallInput::List).await? {
            Answer::Outgoing(all) => Ok(all),
            other => Err(unexpected(&other)),
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        command: &'static str,
        fields: Value,
        lasting: Lasting,
    ) -> Result<T, Error> {
        // It is never closed.
        let _permit = self.questions.acquire().await.map_err(|_| Error::Ended)?;
        match self.call(CallInput::Ask { command, fields, lasting }).await? {
            Answer::Reply(reply) => {
                serde_json::from_value(reply).map_err(|error| Error::Malformed(format!("{command}: {error}")))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// A page of a channel's history, of `limit` messages at most (200).
    ///
    /// # Errors
    /// [`Error::Offline`] without a connection; [`Error::Refused`].
    pub async fn history(&self, channel_id: ChannelId, window: Window, limit: u32) -> Result<HistoryPage, Error> {
        let mut fields = json!({"channel_id": channel_id, "limit": limit});
        match window {
            Window::Newest => {}
            Window::Before(seq) => fields["before"] = json!(seq),
            Window::After(seq) => fields["after"] = json!(seq),
            Window::Around(seq) => fields["around"] = json!(seq),
        }
        self.ask("history", fields, Lasting::No).await
    }

    /// Messages with the words of a query, over the account's channels.
    ///
    /// # Errors
    /// As of [`history`](Self::history).
    pub async fn search(&self, search: &Search) -> Result<SearchPage, Error> {
        self.ask("search", json!(search), Lasting::No).await
    }

    /// Presence of up to 200 users, in the order asked for.
    ///
    /// # Errors
    /// As of [`history`](Self::history).
    pub async fn presence(&self, users: &[UserId]) -> Result<Vec<PresenceEntry>, Error> {
        let reply: Entries = self.ask("presence_get", json!({"user_ids": users}), Lasting::No).await?;
        Ok(reply.entries)
    }

    /// Presence of a channel's members, a page of 200, from page 0.
    ///
    /// # Errors
    /// As of [`history`](Self::history).
    pub async fn presence_of_members(&self, channel_id: ChannelId, page: u32) -> Result<Vec<PresenceEntry>, Error> {
        let fields = json!({"channel_id": channel_id, "page": page});
        let reply: Entries = self.ask("presence_get", fields, Lasting::No).await?;
        Ok(reply.entries)
    }

    /// Has changes of the presence of up to 500 users told by [`Event::Presence`], in the place of those before; also on later
    /// connections. How they are now, which is told by that event as well.
    ///
    /// # Errors
    /// As of [`history`](Self::history). Then those before are watched.
    pub async fn watch(&self, users: &[UserId]) -> Result<Vec<PresenceEntry>, Error> {
        let fields = json!({"user_ids": users});
        let reply: Entries = self.ask("presence_watch", fields, Lasting::Watch(users.to_vec())).await?;
        Ok(reply.entries)
    }

    /// Opens a channel: its members' presence, typing and marks are told; of a large one its messages too, those after `after_seq`, or
    /// from now on. It is opened again on later connections, behind the last message that was told.
    ///
    /// # Errors
    /// As of [`history`](Self::history). Then it is not open.
    pub async fn open(&self, channel_id: ChannelId, after_seq: Option<Seq>) -> Result<Opened, Error> {
        let mut fields = json!({"channel_id": channel_id});
        if let Some(seq) = after_seq {
            fields["after_seq"] = json!(seq);
        }
        self.ask("open", fields, Lasting::Open(channel_id, after_seq)).await
    }

    /// Closes a channel: it is not opened again.
    ///
    /// # Errors
    /// As of [`history`](Self::history). Without a connection it is closed anyway.
    pub async fn close_channel(&self, channel_id: ChannelId) -> Result<(), Error> {
        let _: Value = self.ask("close", json!({"channel_id": channel_id}), Lasting::Close(channel_id)).await?;
        Ok(())
    }

    /// Tells a channel that its user writes, or has stopped. Nothing is answered, and nothing told without a connection. Say
    /// it while the user writes, as often as is convenient: it is told on once in three seconds.
    pub fn typing(&self, channel_id: ChannelId, on: bool) {
        // Who has ended writes nothing.
        let _ = self.calls.send(Call { input: CallInput::Typing { channel_id, on }, answer: None });
    }

    /// The network came back, or a user: does not wait for the rest of a pause, or looks at once whether the node is still
    /// there.
    pub fn hurry(&self) {
        // Who has ended connects no more.
        let _ = self.calls.send(Call { input: CallInput::Hurry, answer: None });
    }

    /// Ends the client: closes its connection, and waits until the store has what it was given. What is in the outbox
    /// waits there for the next start. Events that were not fetched can still be, and are told again after the next start, since a
    /// client that has ended stores nothing.
    pub async fn close(&self) {
        // Who has ended is closed.
        let _ = self.call(CallInput::Leave).await;
    }
}

#[derive(serde::Deserialize)]
struct Entries {
    entries: Vec<PresenceEntry>,
}

fn unexpected(answer: &Answer) -> Error {
    Error::Malformed(format!("{answer:?}"))
}

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
async fn drive(
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
