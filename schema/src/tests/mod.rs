//! Tests over all forms of all values: what they are on the wire and in the store for ever, and that no bytes surprise.

mod generated;
mod golden;
mod properties;
