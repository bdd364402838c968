//! The API as clients meet it: real HTTP over loopback, the memory engine, and one shard that appends for real.

mod accounts;
mod attachments;
mod backend;
mod bounds;
mod channels;
mod client;
mod contacts;
mod devices;
mod events;
mod feed;
mod hooks;
mod large;
mod links;
mod media;
mod notifications;
mod people;
mod reports;
mod revisions;
mod search;
mod settings;
mod shards;
mod surface;
mod templates;
mod world;
