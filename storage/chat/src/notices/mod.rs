//! Notifications to users who are away: where they are told, what is to be sent, and what became of it.
//!
//! Owns the rows `contact`, `settings`, `code`, `told`, `job`, `delivery` and `dead`. An item (`push`) becomes jobs, one
//! for each target, in one transaction that clears the item, so it becomes its jobs once, through crashes and takeovers; a
//! job is a worker's for [`JOB_LEASE_MS`](schema::limits::JOB_LEASE_MS) and goes in the transaction that notes what became
//! of it. Upholds I9. Who sends, by which provider and when again, is the crate `notify`.
//!
//! ```text
//! contacts   where a user is told           plan     items that are due become jobs
//! worker     whose partitions these are     jobs     jobs that are due become a worker's, and end
//! scan       what is due, in order          say      what a job has to say, as things stand
//! sweep      what is forgotten              status   how much waits, and what was given up
//! links      what links in them mean        track    what is heard of them once they have left
//! settings   what a user wants              reach    the contacts that something goes to
//! codes      who reads at an address        cache    what was read lately
//! events     what became of applications' notices, in order
//! templates  words of applications, in versions                        posts    likes, replies and mentions, digested
//! ```

pub mod accept;
pub mod apps;
pub mod cache;
pub mod codes;
pub mod contacts;
pub mod events;
mod instance;
pub mod jobs;
mod links;
mod plan;
pub mod posts;
mod reach;
mod say;
mod scan;
pub mod settings;
mod status;
mod sweep;
pub mod templates;
mod track;
mod worker;

pub use instance::instances;
pub use jobs::{End, Job, Leased};
pub use links::{Link, Target, URL_BYTES_MAX, is_web_url};
pub use plan::{Planned, plan};
pub use reach::Reach;
pub use say::{Notice, Said, Saying, say};
pub use scan::Scan;
pub use status::{Count, Depth, GivenUp, depths, given_up, replay};
pub use sweep::sweep;
pub use track::{deliveries, note};
pub use worker::Worker;
