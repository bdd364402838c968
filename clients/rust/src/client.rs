//! The client: calls of an application, as typed functions.
//!
//! Owns their form, and the bound of questions that are under way. Each call goes to the task that has the session (`driver`), and
//! waits for its answer.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::config::{Config, Endpoint};
use crate::connection::default_tls;
use crate::driver::drive;
use crate::error::Error;
use crate::events::{Events, Queue};
use crate::message::{
    ChannelId, HistoryPage, Opened, OperationId, PresenceEntry, Search, SearchPage, Seq, UserId, Window,
};
use crate::outbox::{Draft, Marked, Operation, Outcome, Outgoing, Progress, Reacted, Revised, Sent};
use crate::session::{Answer, Lasting};

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
pub(crate) struct Call {
    pub(crate) input: CallInput,
    pub(crate) answer: Option<oneshot::Sender<Result<Answer, Error>>>,
}

/// An input but for its ticket.
#[derive(Debug)]
pub(crate) enum CallInput {
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
