//! The layers over the memory engine, with faults, and the main path over the embedded one.

mod append;
mod beside;
mod budget;
mod chain;
mod changes;
mod checked;
mod clock;
mod devices;
mod failover;
mod fences;
mod handover;
mod large;
mod lies;
mod live;
mod model;
mod people;
mod push;
mod reads;
mod search;
mod searched;
mod standby;
mod transfer;
mod trouble;
mod unreadable;
mod views;
mod world;
