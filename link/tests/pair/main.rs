//! Two ends of a link over a stream that does what networks do.

mod cuts;
mod garbage;
mod handshake;
mod judge;
mod planted;
mod rows;
mod sizes;
mod world;
