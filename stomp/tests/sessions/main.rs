//! A session: what a client's frames ask for, and what replies and pushes become.

mod acks;
mod login;
mod presence;
mod properties;
mod sends;
mod subscriptions;
mod table;
