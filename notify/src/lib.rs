//! Notifications to who is away: the workers that turn items into jobs and send them, and the services they send to.
//!
//! Owns when something is sent and by whom. What is stored, and every transaction, is `chat::notices`. Runs beside the
//! shards, on a thread of its own.
//!
//! ```text
//! worker       what is due is planned and sent; the thread of it
//! before       applications are asked before a message is stored
//! compose      a job in words
//! counts       what is counted
//! message      what one target is told, whatever the medium
//! letter       the HTML of a mail whose application has written none
//! links        links in what it is told
//! outcome      what came of it
//! breaker      whether a provider is asked at all
//! categories   what an operator says of each kind of notification
//! limits       how many of a kind a user gets
//! quiet        the hours in which somebody wants to be left alone
//! retry        what becomes of a job after an attempt
//! template     what a notification says, by language and medium, with places for parameters
//! words        what a notice says by its template, kept for the next target
//! providers    the services, one file each, behind one trait
//! ```

pub mod before;
pub mod breaker;
pub mod categories;
pub mod compose;
mod counts;
mod hook_body;
mod letter;
mod limits;
pub mod links;
pub mod message;
pub mod outcome;
pub mod providers;
pub mod quiet;
pub mod retry;
pub mod template;
mod words;
pub mod worker;

pub use categories::{Beyond, Categories, Category};
pub use counts::{Counts, Waiting};
pub use links::Links;
pub use message::Message;
pub use outcome::{Fault, Outcome};
pub use providers::Providers;
