//! A client of Rookery, the chat gateway: a stream of events and typed calls.
//!
//! ```no_run
//! use rookery_client::{Api, Client, Config, DirectoryStore, Error, Event};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Error> {
//!     let store = DirectoryStore::open("echo-bot")?;
//!     let api = Api::new("http://127.0.0.1:8000")?;
//!     let login = api.log_in("echo_bot", "correct horse battery", Some(store.device_id())).await?;
//!     let me = login.user_id;
//!     let config = Config::new("http://127.0.0.1:8000", store.device_id(), api.tokens(login, |_| ()));
//!     let (client, mut events) = Client::start(config.store(store))?;
//!     while let Some(event) = events.next().await {
//!         match event {
//!             Event::Message(message) if message.from != me && !message.deleted => {
//!                 client.send(message.channel_id, message.body).await?;
//!             }
//!             Event::Ended(why) => println!("{why:?}"),
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! **What is sent is sent once.** An operation has a name of its own, is in the [`Store`] before the server is asked for it, and is asked for
//! under that name until it is answered: over disconnections, with [`DirectoryStore`] over crashes of either side. The server does it
//! once. Operations of one channel happen in the order in which they were called.
//!
//! **What happens is told at least once, in order.** Each [`Event`] of the account's inbox bears a cursor, which is stored once the
//! application has acknowledged the event by fetching the next one. The next connection, or the next life of the process, goes on behind
//! it. See [`Events`].
//!
//! **Memory is bounded** by [`Bounds`]: where the application is slow the server keeps what it was not told.
//!
//! Connecting, waiting, the server's own wishes about that (a node that drains, one that is overloaded, one that says nothing), fresh
//! tokens and lost cursors are the client's business; an application sees [`Event::Connection`], and of a store that went back in time
//! [`Event::Reset`]. `PROTOCOL.md` of the server's repository is the contract.

#![forbid(unsafe_code)]

mod api;
mod client;
mod config;
mod connection;
mod driver;
mod error;
mod events;
mod known;
mod message;
mod outbox;
mod session;
mod store;

pub use api::{Api, Channel, Login, LoginTokens, Member, NewChannel, Profile};
pub use client::Client;
pub use config::{Bounds, BoxFuture, Config, Endpoint, TokenError, TokenNeed, Tokens};
pub use error::{Code, Ended, Error, Refusal, StoreError};
pub use events::{Connection, Event, Events};
pub use http::Method;
pub use message::{
    Attachment, ChannelId, ChannelKind, HistoryPage, MediaId, MediaKind, MemberChange, Message, Opened, OperationId,
    PresenceEntry, PresenceState, ReadMark, Role, Search, SearchHit, SearchPage, Seq, SnapshotChannel, Tally, UserId,
    Window,
};
pub use outbox::{Draft, Entry, Marked, Operation, Outcome, Outgoing, Progress, Reacted, Revised, Sent};
pub use store::{DirectoryStore, Held, MemoryStore, Store};
